//! Small sets of small numbers, comparable and hashable, and numbers for values that occur often.

use std::hash::Hash;

use indexmap::IndexSet;

/// A set of numbers below a size fixed when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mask(Box<[u64]>);

impl Mask {
    /// The empty set of numbers below `size`.
    pub fn none(size: usize) -> Self {
        Self(vec![0; size.div_ceil(64)].into())
    }

    /// The members that `belongs` names among the numbers below `size`.
    pub fn of(size: usize, belongs: impl Fn(usize) -> bool) -> Self {
        let mut mask = Self::none(size);
        (0..size).filter(|&at| belongs(at)).for_each(|at| mask.insert(at));
        mask
    }

    /// Adds a number.
    pub fn insert(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    /// Takes a number out.
    pub fn remove(&mut self, at: usize) {
        self.0[at / 64] &= !(1 << (at % 64));
    }

    /// Adds all of another set of the same size; true when that made a difference.
    pub fn join(&mut self, other: &Self) -> bool {
        let mut grown = false;
        for (word, &more) in self.0.iter_mut().zip(&other.0) {
            grown |= more & !*word != 0;
            *word |= more;
        }
        grown
    }

    /// The size it was made for, rounded up to whole words.
    pub fn size(&self) -> usize {
        self.0.len() * 64
    }

    /// Is the number in it.
    pub fn has(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word & (1 << (at % 64)) != 0)
    }

    /// Has it no member.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// Its members, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        let words = self.0.iter().enumerate().filter(|&(_, &word)| word != 0);
        words.flat_map(|(at, &word)| (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| at * 64 + bit))
    }
}

/// Values by number, each once, in the order in which they came.
#[derive(Debug)]
pub struct Numbered<T>(IndexSet<T>);

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self(IndexSet::new())
    }
}

impl<T: Hash + Eq> Numbered<T> {
    /// The value's number.
    pub fn number(&mut self, value: T) -> u32 {
        self.0.insert_full(value).0 as u32
    }

    /// The value of a number given out before.
    pub fn value(&self, number: u32) -> &T {
        &self.0[number as usize]
    }
}
