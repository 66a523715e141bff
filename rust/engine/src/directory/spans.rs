//! Which of many nested spans of numbers decides for a number.
//!
//! With 738,140 ranges of a numbering plan a look-up takes 13 ns in cache, where a binary search of the sorted ranges takes
//! 46 ns, and 1.2 µs out of it, where that takes 2.9 µs (`benches/numbers.rs`; an access to memory took 425 ns then). Prefixes are
//! spans of each length, so they cost nothing besides. Lists stay apart: a set of numbers is found by hash, in one access.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::number::{Number, Prefix};

/// Lengths of whole numbers, in digits.
const LENGTHS: std::ops::RangeInclusive<u32> = 7..=15;
/// So many changes have more buckets than there are changes: a country's few prefixes stand close to one another.
const FEW: usize = 1 << 10;
const BUCKETS_FOR_ONE_OF_FEW: usize = 16;
const POWERS_OF_TEN: [u64; 16] = {
    let mut powers = [1; 16];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};
/// No span decides.
const NOBODY: u32 = u32::MAX;
/// Changes that are compared at once. So many stand after the last, above every number.
const AT_ONCE: usize = 4;

/// Numbers of one length, both ends included, and what they are a span of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) last: u64,
    /// Of spans equally wide, one that is preferred decides.
    pub(super) preferred: bool,
    /// What the span belongs to: a position in an array of its owner's.
    pub(super) owner: u32,
}

impl Span {
    /// The numbers that begin with these digits: a span for each length that a number can have.
    pub(super) fn of_prefix(prefix: Prefix, owner: u32) -> impl Iterator<Item = Self> {
        LENGTHS.filter_map(move |length| {
            let rest = 10_u64.pow(length.checked_sub(prefix.digits())?);
            let first = prefix.as_u64() * rest;
            Some(Self { first, last: first + rest - 1, preferred: true, owner })
        })
    }

    const fn width(self) -> u64 {
        self.last - self.first
    }
}

/// Spans laid flat: where the deciding span changes, and who decides from there on.
///
/// The narrowest span that holds a number decides, of equally wide ones a preferred one, else that which begins last, else
/// that of the last owner. So the longest of prefixes and the narrowest of ranges are found by one search: numbers of one length are
/// divided into as many buckets of equal width as there are changes, if not more, and the changes of one bucket are searched.
#[derive(Clone, Debug, Default)]
pub(super) struct Spans {
    changes: Vec<Change>,
    /// Where the changes of each bucket begin, all lengths after one another, with an end.
    buckets: Vec<u32>,
    guides: [Guide; *LENGTHS.end() as usize + 1],
}

/// From `first` on, `owner` decides.
#[derive(Clone, Copy, Debug)]
struct Change {
    first: u64,
    owner: u32,
}

/// Where numbers of one length are looked for.
#[derive(Clone, Copy, Debug, Default)]
struct Guide {
    /// The first change; numbers below it are in no span.
    first: u64,
    /// A bucket has `2^shift` numbers.
    shift: u32,
    /// The first bucket, and how many there are: none without changes.
    bucket: u32,
    count: u32,
}

impl Spans {
    /// Lays spans flat. `n log n`.
    pub(super) fn new(mut spans: Vec<Span>) -> Self {
        spans.sort_unstable_by_key(|span| (span.first, span.last));
        let changes = changes(&spans);
        if changes.is_empty() {
            return Self::default();
        }
        let mut flat = Self { changes, buckets: Vec::new(), guides: Default::default() };
        let mut begin = 0;
        for length in LENGTHS {
            let own = flat.changes.get(begin..).unwrap_or_default();
            let end = begin + own.partition_point(|change| change.first < 10_u64.pow(length));
            flat.guide(length, begin, end);
            begin = end;
        }
        flat.buckets.push(begin as u32);
        flat.changes.extend([Change { first: u64::MAX, owner: NOBODY }; AT_ONCE]);
        flat.buckets.shrink_to_fit();
        flat
    }

    /// Divides the changes `begin..end`, those of numbers of one length, into buckets.
    fn guide(&mut self, length: u32, begin: usize, end: usize) {
        let own = &self.changes[begin..end];
        let (Some(first), Some(last)) = (own.first(), own.last()) else { return };
        let buckets = if own.len() > FEW { own.len() } else { own.len() * BUCKETS_FOR_ONE_OF_FEW };
        let width = (last.first - first.first) / buckets as u64;
        let guide = Guide {
            first: first.first,
            shift: u64::BITS - width.leading_zeros(),
            bucket: self.buckets.len() as u32,
            count: 0,
        };
        for (next, change) in (begin as u32..).zip(own) {
            let bucket = ((change.first - guide.first) >> guide.shift) as usize + guide.bucket as usize;
            if bucket >= self.buckets.len() {
                self.buckets.resize(bucket + 1, next);
            }
        }
        let count = self.buckets.len() as u32 - guide.bucket;
        self.guides[length as usize] = Guide { count, ..guide };
    }

    /// Who decides for a number; nobody for an extension. Two accesses to memory; logarithmic in the changes of a bucket.
    pub(super) fn owner(&self, number: Number) -> Option<u32> {
        let digits = number.e164()?;
        let guide = self.guides.get(length(digits))?;
        let offset = digits.checked_sub(guide.first)? >> guide.shift;
        let bucket = guide.bucket as usize + offset.min(u64::from(guide.count).checked_sub(1)?) as usize;
        let begin = *self.buckets.get(bucket)? as usize;
        // Of the bucket, as a rule: changes after it are above the number. A branch for each would be nothing to be guessed.
        let first: &[Change; AT_ONCE] = self.changes.get(begin..)?.first_chunk()?;
        let mut next = begin + first.iter().map(|change| usize::from(change.first <= digits)).sum::<usize>();
        if next == begin + AT_ONCE {
            let end = *self.buckets.get(bucket + 1)? as usize;
            next += self.changes.get(next..end)?.partition_point(|change| change.first <= digits);
        }
        let owner = self.changes.get(next.checked_sub(1)?)?.owner;
        (owner != NOBODY).then_some(owner)
    }

    /// Bytes on the heap.
    pub(super) const fn bytes(&self) -> usize {
        self.changes.capacity() * size_of::<Change>() + self.buckets.capacity() * size_of::<u32>()
    }
}

/// How many decimal digits an integer of at most [`LENGTHS`] has. By its bits, which leave two answers: no branch.
const fn length(number: u64) -> usize {
    let bits = u64::BITS - number.leading_zeros();
    // So many times log 2.
    let least = ((bits * 1_233) >> 12) as usize;
    let power = POWERS_OF_TEN[least % POWERS_OF_TEN.len()];
    least + (number >= power) as usize
}

/// Where the deciding span changes, ascending; spans are sorted by their first number. Lengths do not mix: a span ends
/// within its own.
fn changes(spans: &[Span]) -> Vec<Change> {
    let mut bounds: Vec<u64> = spans.iter().flat_map(|span| [span.first, span.last + 1]).collect();
    bounds.sort_unstable();
    bounds.dedup();

    let mut changes: Vec<Change> = Vec::with_capacity(bounds.len());
    let mut starting = spans.iter().peekable();
    let mut open = BinaryHeap::new();
    for bound in bounds {
        while let Some(span) = starting.next_if(|span| span.first == bound) {
            open.push((Reverse(span.width()), span.preferred, span.first, span.owner, span.last));
        }
        while open.peek().is_some_and(|&(.., last)| last < bound) {
            open.pop();
        }
        let owner = open.peek().map_or(NOBODY, |&(.., owner, _)| owner);
        let first_of_length = bound.checked_ilog10().is_some_and(|log| bound == 10_u64.pow(log));
        if first_of_length || changes.last().is_none_or(|before| before.owner != owner) {
            changes.push(Change { first: bound, owner });
        }
    }
    changes.shrink_to_fit();
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_the_number_of_digits() {
        assert_eq!(length(0), 0);
        for digits in 1..=15_u32 {
            for number in
                [10_u64.pow(digits - 1), 10_u64.pow(digits - 1) + 1, 5 * 10_u64.pow(digits - 1), 10_u64.pow(digits) - 1]
            {
                assert_eq!(length(number), digits as usize, "{number}");
            }
        }
        for bits in 0..50 {
            for number in [1_u64 << bits, (1 << bits) + 1, (2 << bits) - 1] {
                assert_eq!(length(number), number.to_string().len().min(16), "{number}");
            }
        }
    }
}
