//! Regions of callers: prefixes somebody wrote, and the ranges of a numbering plan.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use serde::Serialize;

use super::prefixes::Prefixes;
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
    prefixes: Prefixes<usize>,
    ranges: Vec<Range>,
    /// Where the deciding range changes: the first number of each stretch, and the range that decides from there on.
    stretches: Vec<(u64, Option<u32>)>,
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
        let mut prefixes = BTreeMap::new();
        let mut ranges = BTreeMap::new();
        for (region, extent) in regions.iter().enumerate() {
            for &prefix in &extent.prefixes {
                let first = *prefixes.entry(prefix).or_insert(region);
                if first != region {
                    conflicts.push(RegionConflict::Prefix { prefix, first, second: region });
                }
            }
            for &(from, to) in &extent.ranges {
                let Some((start, end)) = ends(from, to) else {
                    conflicts.push(RegionConflict::NotARange { region, from, to });
                    continue;
                };
                let first = *ranges.entry((start, end)).or_insert(region);
                if first != region {
                    conflicts.push(RegionConflict::Range { from: start, to: end, first, second: region });
                }
            }
            conflicts.truncate(CONFLICTS_REPORTED);
        }
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        let ranges: Vec<Range> = ranges.into_iter().map(|((from, to), region)| Range { from, to, region }).collect();
        Ok(Self { prefixes: Prefixes::new(prefixes.into_iter().collect()), stretches: stretches(&ranges), ranges })
    }

    /// The region of a number; an extension has none. Logarithmic in the number of prefixes and ranges.
    #[must_use]
    pub fn find(&self, number: Number) -> Option<RegionMatch> {
        let prefix = self.prefixes.longest(number);
        let range = self.range(number);
        match (prefix, range) {
            (Some((prefix, _)), Some(range)) if range.width() < width(prefix, number) => Some(range.matched()),
            (Some((prefix, region)), _) => Some(RegionMatch { region, matched: RegionMatched::Prefix(prefix) }),
            (None, range) => range.map(Range::matched),
        }
    }

    /// The range that decides for a number, prefixes apart.
    fn range(&self, number: Number) -> Option<Range> {
        let digits = number.e164()?;
        let next = self.stretches.partition_point(|&(first, _)| first <= digits);
        let (_, decides) = self.stretches.get(next.checked_sub(1)?)?;
        self.ranges.get((*decides)? as usize).copied()
    }
}

/// A range of one region.
#[derive(Clone, Copy, Debug)]
struct Range {
    from: Number,
    to: Number,
    region: usize,
}

impl Range {
    /// How many numbers it holds, less one.
    const fn width(self) -> u64 {
        self.to.as_u64() - self.from.as_u64()
    }

    const fn matched(self) -> RegionMatch {
        RegionMatch { region: self.region, matched: RegionMatched::Range(self.from, self.to) }
    }
}

/// The ends of a range of E.164 numbers of one length.
fn ends(from: u64, to: u64) -> Option<(Number, Number)> {
    (from <= to && from.checked_ilog10() == to.checked_ilog10())
        .then(|| Some((Number::from_e164(from)?, Number::from_e164(to)?)))
        .flatten()
}

/// How many numbers as long as `number` begin with `prefix`, less one.
fn width(prefix: Prefix, number: Number) -> u64 {
    let digits = number.as_u64().checked_ilog10().map_or(0, |log| log + 1);
    10_u64.pow(digits.saturating_sub(prefix.digits())) - 1
}

/// Lays ranges, sorted by their first number, flat: each stretch of numbers with the one range that decides there.
fn stretches(ranges: &[Range]) -> Vec<(u64, Option<u32>)> {
    let mut bounds: Vec<u64> = ranges.iter().flat_map(|range| [range.from.as_u64(), range.to.as_u64() + 1]).collect();
    bounds.sort_unstable();
    bounds.dedup();

    let mut flat: Vec<(u64, Option<u32>)> = Vec::new();
    let mut starting = (0_u32..).zip(ranges).peekable();
    let mut open = BinaryHeap::new();
    for bound in bounds {
        while let Some((index, range)) = starting.next_if(|(_, range)| range.from.as_u64() == bound) {
            open.push((Reverse(range.width()), range.from, range.to.as_u64(), index));
        }
        while open.peek().is_some_and(|&(_, _, last, _)| last < bound) {
            open.pop();
        }
        let decides = open.peek().map(|&(_, _, _, index)| index);
        if flat.last().is_none_or(|&(_, before)| before != decides) {
            flat.push((bound, decides));
        }
    }
    flat
}
