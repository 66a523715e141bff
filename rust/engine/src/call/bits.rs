//! A small set of places in a hunt, and its shortest form on the wire.

use smallvec::SmallVec;

use super::wire::{Reader, Writer};

/// Places of so many words stand in the set itself: most hunts ring fewer than 128 phones.
const WORDS: usize = 2;

/// A set of small numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits(SmallVec<[u64; WORDS]>);

impl Bits {
    /// Adds a place.
    pub fn insert(&mut self, at: usize) {
        let word = at / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (at % 64);
    }

    /// Is the place in it.
    pub fn contains(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word & (1 << (at % 64)) != 0)
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Its places, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(word, &bits)| ones(bits).map(move |bit| word * 64 + bit))
    }

    fn last(&self) -> Option<usize> {
        let word = self.0.iter().rposition(|&bits| bits != 0)?;
        Some(word * 64 + self.0[word].ilog2() as usize)
    }

    /// Writes it: the places one by one (how many, then each), or as bytes (0xffff, how many, then each), whichever is
    /// shorter.
    pub fn write<const ROOM: usize>(&self, to: &mut Writer<ROOM>) {
        let places: usize = self.0.iter().map(|word| word.count_ones() as usize).sum();
        if places == 0 {
            return to.u16(0);
        }
        let bytes = self.last().map_or(0, |last| last / 8 + 1);
        if places * 2 <= bytes + 2 {
            to.u16(places as u16);
            for place in self.iter() {
                to.u16(place as u16);
            }
        } else {
            to.u16(u16::MAX);
            to.u16(bytes as u16);
            for byte in 0..bytes {
                to.u8((self.0[byte / 8] >> (byte % 8 * 8)) as u8);
            }
        }
    }

    /// Reads what [`Bits::write`] wrote.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut bits = Self::default();
        let places = from.u16()?;
        if places < u16::MAX {
            for _ in 0..places {
                bits.insert(usize::from(from.u16()?));
            }
        } else {
            for byte in 0..usize::from(from.u16()?) {
                let value = from.u8()?;
                (0..8).filter(|bit| value & (1 << bit) != 0).for_each(|bit| bits.insert(byte * 8 + bit));
            }
        }
        Some(bits)
    }
}

/// The places of the bits set, lowest first.
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(bit)
    })
}
