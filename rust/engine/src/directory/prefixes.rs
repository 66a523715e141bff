//! Prefixes with a value each, found by longest match.

use crate::number::{Number, Prefix};

/// Sorted prefixes, each once. A look-up is one binary search for each prefix length that occurs.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefixes<T> {
    entries: Vec<(Prefix, T)>,
    /// Lengths that occur, longest first.
    lengths: Vec<u32>,
}

impl<T: Copy> Prefixes<T> {
    /// Takes entries in any order; of equal prefixes the first stays.
    pub(super) fn new(mut entries: Vec<(Prefix, T)>) -> Self {
        entries.sort_by_key(|(prefix, _)| *prefix);
        entries.dedup_by_key(|(prefix, _)| *prefix);
        let mut lengths: Vec<u32> = entries.iter().map(|(prefix, _)| prefix.digits()).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        Self { entries, lengths }
    }

    /// The longest prefix with which the number begins, and its value.
    pub(super) fn longest(&self, number: Number) -> Option<(Prefix, T)> {
        self.lengths.iter().find_map(|&digits| {
            let prefix = Prefix::of(number, digits)?;
            let found = self.entries.binary_search_by_key(&prefix, |(entry, _)| *entry).ok()?;
            self.entries.get(found).copied()
        })
    }
}
