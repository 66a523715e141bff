//! What hunts and queues ring, and for how long.

use smol_str::SmolStr;

use super::{EmployeeIx, PromptIx};
use crate::company::document::Strategy;
use crate::number::Number;

/// The most phones one hunt can ring: their two bit sets and a call's identity fit a state of 512 bytes.
pub const MAX_LEGS: usize = 1000;

/// A hunt: its legs in order, and its rounds.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// Distinct legs, in the order of the targets (of the ranks, where an expanding hunt goes by rank).
    pub legs: Vec<Leg>,
    /// How the next round is chosen.
    pub strategy: Strategy,
    /// `all`, `expanding`: round `i` is `legs[..rounds[i].legs]`. The other strategies ring one leg a round, and have one
    /// element here.
    pub rounds: Vec<Round>,
    /// Music while waiting, or the PBX's ringback.
    pub music: Option<SmolStr>,
    /// How many legs, from the first, the first round rings where they are all free: none where that depends on the call,
    /// or where two of them are the same phone.
    pub surely: usize,
}

impl Hunt {
    /// True when a round that nobody has answered is its last.
    #[must_use]
    pub fn has_one_round(&self) -> bool {
        if self.one_by_one() { self.legs.len() == 1 } else { self.rounds.len() == 1 }
    }

    /// True when each round rings one leg.
    #[must_use]
    pub fn one_by_one(&self) -> bool {
        !matches!(self.strategy, Strategy::All | Strategy::Expanding)
    }

    /// The longest the hunt can last, milliseconds.
    #[must_use]
    pub fn longest_ms(&self) -> u64 {
        if self.one_by_one() {
            self.rounds.first().map_or(0, |round| round.ms * self.legs.len() as u64)
        } else {
            self.rounds.iter().map(|round| round.ms).sum()
        }
    }
}

/// A queue: whom it rings, attempt by attempt, and how long its callers wait.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Whom an attempt can ring. `all` and `expanding` ring as a hunt's rounds; each attempt of the other strategies rings
    /// one leg.
    pub hunt: Hunt,
    /// From coming to the exit `timeout`, milliseconds.
    pub max_wait_ms: u64,
    /// The most callers in line.
    pub max_length: u32,
    /// For how long a phone rung in vain is passed over, milliseconds.
    pub pause_ms: u64,
    /// Told to who waits, by his place in line; the last to whoever stands further back.
    pub announce: Vec<PromptIx>,
    /// From the end of an announcement, the longest of them, to the next; milliseconds.
    pub announce_every_ms: u64,
}

impl Queue {
    /// What the caller is told who stands `position`th in line, the first being 1.
    #[must_use]
    pub fn announcement(&self, position: u32) -> Option<PromptIx> {
        let place = (position.max(1) - 1) as usize;
        self.announce.get(place).or(self.announce.last()).copied()
    }

    /// The longest of the announcements, milliseconds; none lasts 0.
    #[must_use]
    pub fn longest_announcement_ms(&self, ms: impl Fn(PromptIx) -> u64) -> u64 {
        self.announce.iter().map(|&prompt| ms(prompt)).max().unwrap_or(0)
    }
}

/// A round's size and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// How many of the hunt's legs, from the first, belong to it.
    pub legs: u16,
    /// Its length, milliseconds.
    pub ms: u64,
}

/// One phone that a hunt can ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leg {
    /// An employee's desk phone.
    Desk(EmployeeIx),
    /// An employee's mobile.
    Mobile(EmployeeIx),
    /// A telephone number.
    Phone(Number),
    /// The desk phone of whom the last `owner` node found.
    Owner,
}
