//! Regions of callers: prefixes somebody wrote, and the ranges of a numbering plan.

use std::collections::HashMap;

use serde::Serialize;

use super::spans::{Span, Spans};
use crate::number::{Number, Prefix};

/// Most ranges of all regions of a company together; the whole Russian plan has under half a million.
pub const RANGES_MOST: usize = 1 << 24;
/// Most conflicts that one compilation reports; further ones are left out.
pub const CONFLICTS_REPORTED: usize = 100;

/// What a region covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionExtent {
    /// Leading digits.
    pub prefixes: Vec<Prefix>,
    /// Inclusive ranges of whole E.164 numbers, both ends of equal length.
    pub ranges: Vec<(u64, u64)>,
}

/// The region of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RegionMatch {
    /// The region's position in the document.
    pub region: usize,
    /// What of the region's extent the number is in.
    pub matched: RegionMatched,
}

/// What of a region's extent a number is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RegionMatched {
    /// A prefix.
    Prefix(Prefix),
    /// An inclusive range.
    Range(Number, Number),
}

/// Why regions cannot be compiled. Regions are positions in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegionConflict {
    /// Two regions name the same prefix.
    #[error("prefix {prefix} is in two regions")]
    Prefix {
        /// The prefix.
        prefix: Prefix,
        /// The region that names it first.
        first: usize,
        /// The other region.
        second: usize,
    },
    /// Two regions have the same range.
    #[error("range {from}–{to} is in two regions")]
    Range {
        /// The range's first number.
        from: Number,
        /// The range's last number.
        to: Number,
        /// The region that has it first.
        first: usize,
        /// The other region.
        second: usize,
    },
    /// A range that is none: an end that is no E.164 number, ends of different lengths, or in the wrong order.
    #[error("{from}–{to} is not a range of E.164 numbers")]
    NotARange {
        /// The region.
        region: usize,
        /// The first end, as given.
        from: u64,
        /// The last end, as given.
        to: u64,
    },
    /// More ranges than [`RANGES_MOST`].
    #[error("{count} ranges are more than can be held")]
    TooManyRanges {
        /// How many there are.
        count: usize,
    },
}

/// The regions of a company.
///
/// The narrowest set that holds a number decides: of prefixes the longest; of ranges the one with the fewest numbers,
/// of equally wide ones that which begins last; between a prefix and a range that with fewer numbers of this length,
/// and the prefix where they are equal.
#[derive(Clone, Debug, Default)]
pub struct Regions {
    spans: Spans,
    /// What the spans belong to.
    matches: Vec<RegionMatch>,
}

impl Regions {
    /// Compiles the regions, given in the document's order. `n log n` in the number of ranges.
    ///
    /// A prefix or a range that one region names twice counts once.
    ///
    /// # Errors
    /// All conflicts, in the order of the regions that cause them, at most [`CONFLICTS_REPORTED`].
    pub fn compile(regions: &[RegionExtent]) -> Result<Self, Vec<RegionConflict>> {
        let count = regions.iter().map(|region| region.ranges.len()).sum();
        if count > RANGES_MOST {
            return Err(vec![RegionConflict::TooManyRanges { count }]);
        }
        let mut conflicts = Vec::new();
        let mut firsts = HashMap::with_capacity(count);
        let (mut spans, mut matches) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (region, extent) in regions.iter().enumerate() {
            for &prefix in &extent.prefixes {
                let matched = RegionMatched::Prefix(prefix);
                match *firsts.entry(matched).or_insert(region) {
                    first if first != region => {
                        conflicts.push(RegionConflict::Prefix { prefix, first, second: region });
                    }
                    _ => {
                        spans.extend(Span::of_prefix(prefix, matches.len() as u32));
                        matches.push(RegionMatch { region, matched });
                    }
                }
            }
            for &(from, to) in &extent.ranges {
                let Some((start, end)) = ends(from, to) else {
                    conflicts.push(RegionConflict::NotARange { region, from, to });
                    continue;
                };
                let matched = RegionMatched::Range(start, end);
                match *firsts.entry(matched).or_insert(region) {
                    first if first != region => {
                        conflicts.push(RegionConflict::Range { from: start, to: end, first, second: region });
                    }
                    _ => {
                        spans.push(Span { first: from, last: to, preferred: false, owner: matches.len() as u32 });
                        matches.push(RegionMatch { region, matched });
                    }
                }
            }
            conflicts.truncate(CONFLICTS_REPORTED);
        }
        if conflicts.is_empty() { Ok(Self { spans: Spans::new(spans), matches }) } else { Err(conflicts) }
    }

    /// The region of a number; an extension has none. Three accesses to memory, whatever the number of ranges, where these
    /// are spread as a numbering plan's are; never more than logarithmic.
    #[must_use]
    pub fn find(&self, number: Number) -> Option<RegionMatch> {
        self.matches.get(self.spans.owner(number)? as usize).copied()
    }

    /// Bytes on the heap.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.spans.bytes() + self.matches.capacity() * size_of::<RegionMatch>()
    }
}

/// The ends of a range of E.164 numbers of one length.
fn ends(from: u64, to: u64) -> Option<(Number, Number)> {
    (from <= to && from.checked_ilog10() == to.checked_ilog10())
        .then(|| Some((Number::from_e164(from)?, Number::from_e164(to)?)))
        .flatten()
}
