//! A packed map from numbers to small values: exact, growing in small steps, found in one access to memory.
//!
//! A number has 50 bits: 15 digits of E.164, and extensions beside them. They are mixed by a bijection, so that they
//! spread evenly and nothing is lost; the low 12 bits of the result name the segment, and a slot keeps the other 38 bits,
//! and its value beside them. Two numbers are never taken for each other.
//!
//! A segment is an array of lines of 64 bytes, each a line of the processor's cache: the kept bits' share of the lines is a
//! number's line, and what finds it full stands in the next that is not. So a look-up reads the segment's address, of
//! which there are few, and a line. As numbers come, one segment after another is laid out anew with a sixteenth more lines
//! (Larson, *Linear hashing with partial expansions*, VLDB 1980): no insertion moves more than the numbers of two
//! segments (five thousand of ten million, in some tenths of a millisecond), and whoever frees and takes memory in such an
//! order leaves no holes in it.
//!
//! Not measured, for what they are rules them out: a sorted vector moves megabytes at a change; perfect hashes (`ph`) and
//! `fst` are built whole; filters (`xorf`) are not exact. `benches/memory.rs` has the figures, beside `HashMap<u64, u32>`.

use std::marker::PhantomData;

use crate::number::Number;

/// Bits of a number.
const NUMBER_BITS: u32 = 50;
/// Bits of it that name the segment, and so need no room.
const SEGMENT_BITS: u32 = 12;
const SEGMENTS: usize = 1 << SEGMENT_BITS;
/// Bits of it that a slot keeps.
const KEPT_BITS: u32 = NUMBER_BITS - SEGMENT_BITS;
const KEPT: u64 = (1 << KEPT_BITS) - 1;
/// Bytes of a line; the last one says how many slots are taken.
const LINE: usize = 64;
/// Of so many slots, one is free when the next segment grows, and in a map made with room.
const FREE: usize = 8;
/// A segment grows by one line for so many, rounded up: the fullest then has one slot in fourteen free.
const GROWTH: usize = 16;
/// How many lines after its own a number may stand. So many full ones in a row come by chance where a segment has little room,
/// and it is laid out anew then; where it is three quarters full, with six slots in a line, in one case of 10¹² (a line more
/// is e^-0.226 times as likely: Poisson, 4.5 numbers a line). Callers who choose their numbers to do so are not remembered.
const AWAY_MOST: usize = 128;

/// How a number's kept bits and a value are packed.
pub trait Slot: Copy {
    /// Bytes.
    const BYTES: usize;
    /// The largest value.
    const MOST: u64;
    /// How many there are in a line.
    const IN_LINE: usize = (LINE - 1) / Self::BYTES;
}

/// Seven bytes: values below 2¹⁸.
#[derive(Clone, Copy, Debug)]
pub struct Narrow;

impl Slot for Narrow {
    const BYTES: usize = 7;
    const MOST: u64 = (1 << (7 * 8 - KEPT_BITS)) - 1;
}

/// Ten bytes: values below 2⁴².
#[derive(Clone, Copy, Debug)]
pub struct Wide;

impl Slot for Wide {
    const BYTES: usize = 10;
    const MOST: u64 = (1 << (10 * 8 - KEPT_BITS)) - 1;
}

/// Why a number was not put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The map.
#[derive(Clone, Debug)]
pub struct Packed<S> {
    /// None until there is a number, then [`SEGMENTS`].
    segments: Vec<Box<[Line]>>,
    /// Lines of all segments.
    lines: usize,
    /// The segment that grows next.
    next: usize,
    len: usize,
    slots: PhantomData<S>,
}

impl<S> Default for Packed<S> {
    fn default() -> Self {
        Self { segments: Vec::new(), lines: 0, next: 0, len: 0, slots: PhantomData }
    }
}

impl<S: Slot> Packed<S> {
    /// A map with the lines that so many numbers need.
    pub fn with_room_for(numbers: usize) -> Self {
        let mut map = Self::default();
        if numbers > 0 {
            let lines = (numbers + numbers / (FREE - 1)).div_ceil(SEGMENTS * S::IN_LINE);
            map.segments = (0..SEGMENTS).map(|_| vec![Line::EMPTY; lines].into()).collect();
            map.lines = lines * SEGMENTS;
        }
        map
    }

    /// How many numbers it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes it takes: lines, and where they are; not the allocator's own.
    pub fn bytes(&self) -> usize {
        self.lines * LINE + self.segments.capacity() * size_of::<Box<[Line]>>()
    }

    /// The value of a number.
    pub fn get(&self, number: Number) -> Option<u64> {
        let (at, kept) = place(number);
        let segment = self.segments.get(at)?;
        let (line, slot) = find::<S>(segment, kept)?;
        Some(segment[line].value::<S>(slot))
    }

    /// Sets the value of a number, which is at most [`Slot::MOST`]; answers the one it had. At most two segments grow.
    pub fn insert(&mut self, number: Number, value: u64) -> Result<Option<u64>, Full> {
        let (at, kept) = place(number);
        self.insert_at(at, kept, value)
    }

    fn insert_at(&mut self, at: usize, kept: u64, value: u64) -> Result<Option<u64>, Full> {
        debug_assert!(value <= S::MOST, "the value has no room");
        if self.segments.is_empty() {
            self.segments = (0..SEGMENTS).map(|_| Box::default()).collect();
        }
        let segment = &mut self.segments[at];
        if let Some((line, slot)) = find::<S>(segment, kept) {
            let before = segment[line].value::<S>(slot);
            segment[line].write::<S>(slot, kept, value);
            return Ok(Some(before));
        }
        while !put::<S>(&mut self.segments[at], kept, value) {
            // By chance it has more than its share. Where somebody chose that, room does not help, and is not made for long.
            let segment = &self.segments[at];
            let taken: usize = segment.iter().map(Line::taken).sum();
            let crowded = taken * 4 >= segment.len() * S::IN_LINE * 3;
            if !(crowded && self.grow(at)) {
                return Err(Full);
            }
        }
        self.len += 1;
        if self.len * FREE > self.lines * S::IN_LINE * (FREE - 1) {
            self.grow_next();
        }
        Ok(None)
    }

    fn grow_next(&mut self) {
        self.grow(self.next);
        self.next = (self.next + 1) % SEGMENTS;
    }

    /// Takes a number out; answers its value.
    pub fn remove(&mut self, number: Number) -> Option<u64> {
        let (at, kept) = place(number);
        let segment = self.segments.get_mut(at)?;
        let (line, slot) = find::<S>(segment, kept)?;
        let value = segment[line].value::<S>(slot);
        take_out::<S>(segment, line, slot);
        self.len -= 1;
        Some(value)
    }

    /// Takes out a number that shares this one's line, if there is one.
    pub fn make_room_for(&mut self, number: Number) {
        let (at, kept) = place(number);
        let Some(segment) = self.segments.get_mut(at) else { return };
        let own = own_line(kept, segment.len());
        if segment.get(own).is_some_and(|line| line.taken() > 0) {
            take_out::<S>(segment, own, 0);
            self.len -= 1;
        }
    }

    /// Lays a segment out anew, with more lines. Where these are too few for one of its
    /// numbers, with twice as many more, and so on. False, and nothing changed, where numbers were chosen to find no place.
    fn grow(&mut self, at: usize) -> bool {
        let old = &self.segments[at];
        let more = old.len().div_ceil(GROWTH).max(1);
        let laid = [1, 2, 4, 8].into_iter().find_map(|times| {
            let mut new = vec![Line::EMPTY; old.len() + times * more].into_boxed_slice();
            let mut slots = old.iter().flat_map(|line| (0..line.taken()).map(move |slot| (line, slot)));
            let all = slots.all(|(line, slot)| put::<S>(&mut new, line.kept::<S>(slot), line.value::<S>(slot)));
            all.then_some(new)
        });
        let Some(new) = laid else { return false };
        self.lines += new.len() - old.len();
        self.segments[at] = new;
        true
    }
}

/// Where a number stands: its own line, or one of the next after lines that are full.
fn find<S: Slot>(segment: &[Line], kept: u64) -> Option<(usize, usize)> {
    for at in path(kept, segment.len()) {
        let line = &segment[at];
        if let Some(slot) = line.find::<S>(kept) {
            return Some((at, slot));
        }
        if line.taken() < S::IN_LINE {
            return None;
        }
    }
    None
}

/// Puts a new number into the first line of its path that has room. False where none has.
fn put<S: Slot>(segment: &mut [Line], kept: u64, value: u64) -> bool {
    for at in path(kept, segment.len()) {
        let line = &mut segment[at];
        let taken = line.taken();
        if taken < S::IN_LINE {
            line.write::<S>(taken, kept, value);
            line.0[LINE - 1] = taken as u8 + 1;
            return true;
        }
    }
    false
}

/// Takes a slot out, and fills its line again, where that was full, from those after it: nobody stands after a line with
/// room that is on his path.
fn take_out<S: Slot>(segment: &mut [Line], mut line: usize, mut slot: usize) {
    loop {
        let last = segment[line].taken() - 1;
        let (kept, value) = (segment[line].kept::<S>(last), segment[line].value::<S>(last));
        segment[line].write::<S>(slot, kept, value);
        segment[line].0[LINE - 1] = last as u8;
        if last + 1 < S::IN_LINE {
            return;
        }
        let Some((from, moving)) = displaced::<S>(segment, line) else { return };
        let (kept, value) = (segment[from].kept::<S>(moving), segment[from].value::<S>(moving));
        segment[line].write::<S>(last, kept, value);
        segment[line].0[LINE - 1] = last as u8 + 1;
        (line, slot) = (from, moving);
    }
}

/// A slot after this line that would stand in it if there had been room.
fn displaced<S: Slot>(segment: &[Line], line: usize) -> Option<(usize, usize)> {
    let count = segment.len();
    let after = |from: usize, to: usize| (to + count - from) % count;
    for away in 1..count.min(AWAY_MOST + 1) {
        let from = (line + away) % count;
        let taken = segment[from].taken();
        for slot in 0..taken {
            let own = own_line(segment[from].kept::<S>(slot), count);
            if after(own, line) < after(own, from) {
                return Some((from, slot));
            }
        }
        if taken < S::IN_LINE {
            break;
        }
    }
    None
}

/// The lines in which a number may stand, in order.
fn path(kept: u64, lines: usize) -> impl Iterator<Item = usize> {
    let own = own_line(kept, lines);
    (own..own + lines.min(AWAY_MOST + 1)).map(move |at| if at < lines { at } else { at - lines })
}

/// The share of the lines that the kept bits are of all they could be.
const fn own_line(kept: u64, lines: usize) -> usize {
    ((kept as u128 * lines as u128) >> KEPT_BITS) as usize
}

/// The segment of a number, and the bits that its slot keeps.
fn place(number: Number) -> (usize, u64) {
    let mixed = mixed(number);
    (mixed as usize & (SEGMENTS - 1), mixed >> SEGMENT_BITS)
}

/// Slots one after another, and how many are taken.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([u8; LINE]);

impl Line {
    const EMPTY: Self = Self([0; LINE]);

    const fn taken(&self) -> usize {
        self.0[LINE - 1] as usize
    }

    /// Compares all slots at once: no branch to mispredict but whether it is there.
    fn find<S: Slot>(&self, kept: u64) -> Option<usize> {
        let equal = |slot: usize| u32::from(self.kept::<S>(slot) == kept) << slot;
        let found = (0..S::IN_LINE).fold(0, |found, slot| found | equal(slot)) & ((1 << self.taken()) - 1);
        (found != 0).then(|| found.trailing_zeros() as usize)
    }

    fn kept<S: Slot>(&self, slot: usize) -> u64 {
        self.low::<S>(slot) & KEPT
    }

    fn value<S: Slot>(&self, slot: usize) -> u64 {
        let high = self.0[slot * S::BYTES..][..S::BYTES].get(8..).unwrap_or_default();
        let high = high.iter().rev().fold(0, |high, &byte| high << 8 | u64::from(byte));
        (self.low::<S>(slot) >> KEPT_BITS | high << (u64::BITS - KEPT_BITS)) & S::MOST
    }

    /// The first eight bytes of a slot; of one that has fewer, with what follows it.
    fn low<S: Slot>(&self, slot: usize) -> u64 {
        self.0[slot * S::BYTES..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    fn write<S: Slot>(&mut self, slot: usize, kept: u64, value: u64) {
        let packed = u128::from(kept) | u128::from(value) << KEPT_BITS;
        self.0[slot * S::BYTES..][..S::BYTES].copy_from_slice(&packed.to_le_bytes()[..S::BYTES]);
    }
}

/// A number's 50 bits, mixed by a bijection of them: each step can be undone.
fn mixed(number: Number) -> u64 {
    const ALL: u64 = (1 << NUMBER_BITS) - 1;
    let mut bits = bits(number);
    bits ^= bits >> 26;
    bits = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) & ALL;
    bits ^= bits >> 25;
    bits = bits.wrapping_mul(0xbf58_476d_1ce4_e5b9) & ALL;
    bits ^= bits >> 24;
    bits = bits.wrapping_mul(0x94d0_49bb_1331_11eb) & ALL;
    bits ^ bits >> 27
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
    use std::collections::HashMap;

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
                Change::Grow if map.len() > 0 => (0..500).for_each(|_| map.grow_next()),
                Change::Grow => {}
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
        fn it_is_a_map(changes in proptest::collection::vec(any_change(Narrow::MOST), 0..200)) {
            agrees::<Narrow>(&changes)?;
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
    fn neighbours_spread_evenly_whatever_their_number() {
        for numbers in [30_000, 300_000_u64] {
            let mut map = Packed::<Narrow>::default();
            for at in 0..numbers {
                assert_eq!(map.insert(subscriber(at), at % 1_000), Ok(None));
            }
            assert!((0..numbers).all(|at| map.get(subscriber(at)) == Some(at % 1_000)), "{numbers}");
            assert_eq!(map.get(subscriber(numbers)), None);
            let most = map.lines / SEGMENTS * 2 + 3;
            assert!(map.segments.iter().all(|lines| lines.len() <= most), "{numbers}");
        }
    }

    #[test]
    fn nine_bytes_a_number_however_it_grew() {
        let numbers = 500_000;
        let (mut grown, mut made) = (Packed::<Narrow>::default(), Packed::<Narrow>::with_room_for(numbers as usize));
        let room = made.lines;
        for at in 0..numbers {
            assert_eq!(grown.insert(subscriber(at), 1), Ok(None));
            assert_eq!(made.insert(subscriber(at), 1), Ok(None));
        }
        assert!(grown.bytes() < 9 * numbers as usize && made.bytes() < 9 * numbers as usize);
        assert!(made.lines < room + room / 100, "of {room} lines {} were needed", made.lines);
    }

    #[test]
    fn room_is_made_for_one_by_leaving_one_of_its_line() {
        let mut map = Packed::<Narrow>::default();
        map.insert(subscriber(0), 1).unwrap();
        let segment = place(subscriber(0)).0;
        let same: Vec<Number> = (1..).map(subscriber).filter(|&number| place(number).0 == segment).take(2).collect();
        same.iter().for_each(|&number| assert_eq!(map.insert(number, 2), Ok(None)));
        map.make_room_for(same[1]);
        assert_eq!((map.len(), map.get(subscriber(0))), (2, None));
        assert_eq!([map.get(same[0]), map.get(same[1])], [Some(2), Some(2)]);
    }

    #[test]
    fn a_segment_that_somebody_fills_on_purpose_is_full_and_the_others_are_not() {
        let mut map = Packed::<Narrow>::default();
        let taken = (0..5_000).filter(|&kept| map.insert_at(7, kept, 1).is_ok()).count();
        assert_eq!(taken, (AWAY_MOST + 1) * Narrow::IN_LINE);
        assert!((0..5_000).all(|kept| find::<Narrow>(&map.segments[7], kept).is_some() == (kept < taken as u64)));
        assert!(map.segments[7].len() < 2 * (AWAY_MOST + 1));
        let others: Vec<Number> = (0..100_000).map(subscriber).filter(|&number| place(number).0 != 7).collect();
        others.iter().for_each(|&number| assert_eq!(map.insert(number, 1), Ok(None)));
        assert!(others.iter().all(|&number| map.get(number) == Some(1)));
    }

    proptest! {
        /// A segment of a few lines, so crowded that numbers stand far from their own.
        #[test]
        fn whoever_is_taken_out_of_a_crowd_leaves_the_others_to_be_found(
            kept in proptest::collection::hash_set(prop_oneof![0..60_u64, (0..60_u64).prop_map(|at| KEPT - at)], 1..60),
            lines in 7..50_usize,
            leaving in any::<u64>(),
        ) {
            let mut segment = vec![Line::EMPTY; lines];
            for &kept in &kept {
                prop_assert!(put::<Narrow>(&mut segment, kept, kept & 0xff));
            }
            let mut left: Vec<u64> = kept.into_iter().collect();
            left.sort_unstable_by_key(|kept| kept.wrapping_add(leaving).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            while let Some(kept) = left.pop() {
                let (line, slot) = find::<Narrow>(&segment, kept).unwrap();
                take_out::<Narrow>(&mut segment, line, slot);
                prop_assert_eq!(find::<Narrow>(&segment, kept), None);
                for &kept in &left {
                    let (line, slot) = find::<Narrow>(&segment, kept).unwrap();
                    prop_assert_eq!(segment[line].value::<Narrow>(slot), kept & 0xff);
                }
            }
        }
    }
}
