//! A packed map from numbers to small values: exact, growing in steps of microseconds, without a byte for emptiness.
//!
//! A number has 50 bits: 15 digits of E.164, and extensions beside them. They are mixed by a bijection, so that they
//! spread evenly and nothing is lost; the low bits of the result say the bucket, and as there are never fewer than 2¹²
//! buckets, a slot keeps the other 38 bits alone, and its value beside them. Two numbers are never taken for each other.
//!
//! Buckets grow by linear hashing (Litwin, *Linear hashing: a new tool for file and table addressing*, VLDB 1980): as
//! numbers come, one bucket at a time is split in two, so that no insertion ever moves more than one bucket's slots.
//!
//! Measured by `benches/memory.rs` on a busy machine with two cores, ten million numbers with an employee each: 9.5 bytes
//! a number and 11.2 with the allocator's own, where `std::collections::HashMap<u64, u32>` (hashbrown) takes 28.5; a
//! look-up as long as one access to memory at random, 1.9 µs of 2.1; the longest insertion 85 ms where doing nothing was
//! interrupted for 78 ms, and that of the `HashMap`, which doubles, 412 ms. Not measured, for what they are rules them
//! out: a sorted vector moves megabytes at a change; perfect hashes (`ph`) and `fst` are built whole; filters (`xorf`) are
//! not exact.

use crate::number::Number;

/// Bits of a number.
const NUMBER_BITS: u32 = 50;
/// Bits of it that say the bucket in the smallest map, and so need no room.
const IMPLIED_BITS: u32 = 12;
/// Bits of it that a slot keeps.
const KEPT_BITS: u32 = NUMBER_BITS - IMPLIED_BITS;
const KEPT: u64 = (1 << KEPT_BITS) - 1;
/// Buckets come in chunks of as many, so that their directory never has to move as a whole.
const CHUNK: usize = 1 << IMPLIED_BITS;
/// Slots a bucket has on average.
const MEAN: usize = 24;
/// A bucket grows by so many slots.
const GROWTH: usize = 4;
/// Most slots of a bucket. Chance does not fill one; callers who choose their numbers to do so are not remembered.
const MOST_IN_BUCKET: usize = 1_000;

/// A number's kept bits, and a value, in as few bytes as the value allows.
pub trait Slot: Copy {
    /// The largest value.
    const MOST: u64;
    /// Packs both.
    fn new(kept: u64, value: u64) -> Self;
    /// The kept bits.
    fn kept(self) -> u64;
    /// The value.
    fn value(self) -> u64;
}

/// Eight bytes: values below 2²⁶.
impl Slot for u64 {
    const MOST: u64 = (1 << (u64::BITS - KEPT_BITS)) - 1;

    fn new(kept: u64, value: u64) -> Self {
        kept | value << KEPT_BITS
    }

    fn kept(self) -> u64 {
        self & KEPT
    }

    fn value(self) -> u64 {
        self >> KEPT_BITS
    }
}

/// Ten bytes: values below 2⁴².
#[derive(Clone, Copy, Debug)]
pub struct Wide([u16; 5]);

impl Slot for Wide {
    const MOST: u64 = (1 << (80 - KEPT_BITS)) - 1;

    fn new(kept: u64, value: u64) -> Self {
        let low = u64::new(kept, value & u64::MOST);
        let word = |at: u32| (low >> (16 * at)) as u16;
        Self([word(0), word(1), word(2), word(3), (value >> (u64::BITS - KEPT_BITS)) as u16])
    }

    fn kept(self) -> u64 {
        self.low() & KEPT
    }

    fn value(self) -> u64 {
        u64::value(self.low()) | u64::from(self.0[4]) << (u64::BITS - KEPT_BITS)
    }
}

impl Wide {
    fn low(self) -> u64 {
        let [a, b, c, d, _] = self.0.map(u64::from);
        a | b << 16 | c << 32 | d << 48
    }
}

/// Why a number was not put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The map.
#[derive(Debug)]
pub struct Packed<S> {
    chunks: Vec<Box<[Vec<S>]>>,
    buckets: usize,
    len: usize,
}

impl<S> Default for Packed<S> {
    fn default() -> Self {
        Self { chunks: Vec::new(), buckets: 0, len: 0 }
    }
}

impl<S: Slot> Packed<S> {
    /// A map with the buckets that so many numbers need: filling it splits none.
    pub fn with_room_for(numbers: usize) -> Self {
        let mut map = Self::default();
        let buckets = numbers.div_ceil(MEAN);
        while map.buckets < buckets {
            map.add_chunk();
            map.buckets += CHUNK;
        }
        map
    }

    /// How many numbers it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes it takes: slots, the room left in buckets, and their directory; not the allocator's own.
    pub fn bytes(&self) -> usize {
        let buckets = self.chunks.iter().flat_map(|chunk| chunk.iter());
        let slots: usize = buckets.map(|bucket| bucket.capacity() * size_of::<S>() + size_of::<Vec<S>>()).sum();
        slots + self.chunks.capacity() * size_of::<Box<[Vec<S>]>>()
    }

    /// The value of a number.
    pub fn get(&self, number: Number) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        let (at, kept) = self.place(mixed(number));
        let bucket = &self.chunks[at / CHUNK][at % CHUNK];
        bucket.iter().find(|slot| slot.kept() == kept).map(|slot| slot.value())
    }

    /// Sets the value of a number, which is at most [`Slot::MOST`]; answers the one it had. At most one bucket is split.
    pub fn insert(&mut self, number: Number, value: u64) -> Result<Option<u64>, Full> {
        debug_assert!(value <= S::MOST, "the value has no room");
        if self.len >= self.buckets * MEAN {
            self.grow();
        }
        let (at, kept) = self.place(mixed(number));
        let bucket = &mut self.chunks[at / CHUNK][at % CHUNK];
        if let Some(slot) = bucket.iter_mut().find(|slot| slot.kept() == kept) {
            let before = slot.value();
            *slot = S::new(kept, value);
            return Ok(Some(before));
        }
        if bucket.len() >= MOST_IN_BUCKET {
            return Err(Full);
        }
        if bucket.len() == bucket.capacity() {
            bucket.reserve_exact(GROWTH);
        }
        bucket.push(S::new(kept, value));
        self.len += 1;
        Ok(None)
    }

    /// Takes a number out; answers its value.
    pub fn remove(&mut self, number: Number) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        let (at, kept) = self.place(mixed(number));
        let bucket = &mut self.chunks[at / CHUNK][at % CHUNK];
        let found = bucket.iter().position(|slot| slot.kept() == kept)?;
        // The order stays: the first slot is the one that came first.
        let value = bucket.remove(found).value();
        self.len -= 1;
        Some(value)
    }

    /// Takes out, of the numbers that share this one's bucket, the one that came first, if there is one.
    pub fn make_room_for(&mut self, number: Number) {
        if self.len == 0 {
            return;
        }
        let (at, _) = self.place(mixed(number));
        let bucket = &mut self.chunks[at / CHUNK][at % CHUNK];
        if !bucket.is_empty() {
            bucket.remove(0);
            self.len -= 1;
        }
    }

    /// The bucket of a mixed number, and the bits that its slot keeps.
    fn place(&self, mixed: u64) -> (usize, u64) {
        let whole = self.buckets.next_power_of_two();
        let at = mixed as usize & (whole - 1);
        (if at < self.buckets { at } else { at - whole / 2 }, mixed >> IMPLIED_BITS)
    }

    /// One bucket more: the next in turn gives it half of its slots.
    fn grow(&mut self) {
        if self.buckets.is_multiple_of(CHUNK) {
            self.add_chunk();
        }
        if self.buckets == 0 {
            self.buckets = CHUNK;
            return;
        }
        let new = self.buckets;
        let bit = new.ilog2();
        let old = new & !(1 << bit);
        let moves = |slot: &S| slot.kept() >> (bit - IMPLIED_BITS) & 1 == 1;
        let bucket = &mut self.chunks[old / CHUNK][old % CHUNK];
        let leaving = bucket.iter().filter(|slot| moves(slot)).count();
        let (mut stayed, mut moved) = (Vec::with_capacity(bucket.len() - leaving), Vec::with_capacity(leaving));
        bucket.iter().for_each(|slot| if moves(slot) { moved.push(*slot) } else { stayed.push(*slot) });
        *bucket = stayed;
        self.chunks[new / CHUNK][new % CHUNK] = moved;
        self.buckets += 1;
    }

    fn add_chunk(&mut self) {
        self.chunks.push((0..CHUNK).map(|_| Vec::new()).collect());
    }
}

/// A number's 50 bits, mixed by a bijection of them: each step can be undone.
fn mixed(number: Number) -> u64 {
    const ALL: u64 = (1 << NUMBER_BITS) - 1;
    let mut bits = bits(number);
    bits ^= bits >> 26;
    bits = bits.wrapping_mul(0x0003_5a2d_9b6d_4a35) & ALL;
    bits ^= bits >> 25;
    bits = bits.wrapping_mul(0x0001_e995_7c4f_0b1d) & ALL;
    bits ^ bits >> 26
}

/// The number as an integer below 2⁵⁰: E.164 by its digits, extensions above all of them, by length and value.
fn bits(number: Number) -> u64 {
    const E164: u64 = 1_000_000_000_000_000;
    const OF_A_LENGTH: u64 = 1_000_000;
    number.e164().unwrap_or_else(|| {
        let packed = number.as_u64();
        let (digits, value) = (packed >> 56 & 0x7f, packed & ((1 << 56) - 1));
        E164 + digits * OF_A_LENGTH + value
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;
    use crate::number::Country;

    fn any_number() -> impl Strategy<Value = Number> {
        prop_oneof![
            // A few that come again and again, neighbours, and any at all.
            (0..50_u64).prop_map(|at| Number::from_e164(79_161_230_000 + at).unwrap()),
            (1_000_000..1_000_000_000_000_000_u64).prop_map(|digits| Number::from_e164(digits).unwrap()),
            "[0-9]{2,6}".prop_map(|digits| Number::parse(&digits, Country::Ru).unwrap()),
        ]
    }

    #[derive(Clone, Debug)]
    enum Change {
        Insert(Number, u64),
        Remove(Number),
        Grow,
    }

    fn any_change(most: u64) -> impl Strategy<Value = Change> {
        prop_oneof![
            6 => (any_number(), prop_oneof![Just(0), Just(most), 0..=most]).prop_map(|(n, v)| Change::Insert(n, v)),
            2 => any_number().prop_map(Change::Remove),
            2 => Just(Change::Grow),
        ]
    }

    fn agrees<S: Slot>(changes: &[Change]) -> Result<(), TestCaseError> {
        let (mut map, mut model) = (Packed::<S>::default(), HashMap::new());
        for change in changes {
            match *change {
                Change::Insert(number, value) => {
                    prop_assert_eq!(map.insert(number, value), Ok(model.insert(number, value)));
                }
                Change::Remove(number) => prop_assert_eq!(map.remove(number), model.remove(&number)),
                // As if there were many more numbers.
                Change::Grow => (0..500).for_each(|_| map.grow()),
            }
            prop_assert_eq!(map.len(), model.len());
        }
        for (&number, &value) in &model {
            prop_assert_eq!(map.get(number), Some(value));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn it_is_a_map(changes in proptest::collection::vec(any_change(u64::MOST), 0..200)) {
            agrees::<u64>(&changes)?;
        }

        #[test]
        fn the_wide_one_is_a_map(changes in proptest::collection::vec(any_change(Wide::MOST), 0..200)) {
            agrees::<Wide>(&changes)?;
        }

        #[test]
        fn numbers_that_differ_differ_in_their_bits(one in any_number(), other in any_number()) {
            prop_assert!(mixed(one) < 1 << NUMBER_BITS);
            prop_assert_eq!(mixed(one) == mixed(other), one == other);
        }
    }

    fn subscriber(at: u64) -> Number {
        Number::from_e164(79_000_000_000 + at).unwrap()
    }

    #[test]
    fn neighbours_spread_evenly_whatever_the_number_of_buckets() {
        for numbers in [30_000, 200_000, 700_000_u64] {
            let mut map = Packed::<u64>::default();
            for at in 0..numbers {
                assert_eq!(map.insert(subscriber(at), at), Ok(None));
            }
            assert!((0..numbers).all(|at| map.get(subscriber(at)) == Some(at)), "{numbers}");
            assert_eq!(map.get(subscriber(numbers)), None);
            let longest = map.chunks.iter().flat_map(|chunk| chunk.iter().map(Vec::len)).max();
            assert!(longest.unwrap() < 4 * MEAN, "{numbers}: {longest:?}");
        }
    }

    #[test]
    fn room_made_beforehand_is_not_split_again() {
        let numbers = 500_000;
        let mut map = Packed::<u64>::with_room_for(numbers as usize);
        let buckets = map.buckets;
        (0..numbers).for_each(|at| assert_eq!(map.insert(subscriber(at), 1), Ok(None)));
        assert_eq!(map.buckets, buckets);
        assert!((0..numbers).all(|at| map.get(subscriber(at)) == Some(1)));
    }

    #[test]
    fn room_is_made_for_one_by_leaving_the_eldest_of_its_bucket() {
        let mut map = Packed::<u64>::default();
        let at = |map: &Packed<u64>, number| map.place(mixed(number)).0;
        map.insert(subscriber(0), 1).unwrap();
        let bucket = at(&map, subscriber(0));
        let same: Vec<Number> = (1..).map(subscriber).filter(|&number| at(&map, number) == bucket).take(2).collect();
        same.iter().for_each(|&number| assert_eq!(map.insert(number, 2), Ok(None)));
        map.make_room_for(same[1]);
        assert_eq!((map.get(subscriber(0)), map.get(same[0]), map.get(same[1])), (None, Some(2), Some(2)));
    }

    #[test]
    fn a_bucket_that_somebody_fills_on_purpose_is_full_and_the_others_are_not() {
        let mut map = Packed::<u64>::default();
        map.insert(subscriber(0), 1).unwrap();
        let bucket = map.place(mixed(subscriber(0))).0;
        let mut chosen = (1..).map(subscriber).filter(|&number| map.place(mixed(number)).0 == bucket);
        let chosen: Vec<Number> = chosen.by_ref().take(MOST_IN_BUCKET).collect();
        let taken = chosen.iter().filter(|&&number| map.insert(number, 1).is_ok()).count();
        assert_eq!(taken, MOST_IN_BUCKET - 1);
        let chosen: HashSet<Number> = chosen.into_iter().collect();
        let other = (1..).map(subscriber).find(|number| !chosen.contains(number)).unwrap();
        assert_eq!(map.insert(other, 7), Ok(None));
        assert_eq!(map.get(other), Some(7));
    }
}
