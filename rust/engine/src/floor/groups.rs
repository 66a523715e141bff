//! The people of big hunts, kept in order: who may be rung next is found without asking everybody.
//!
//! Each hunt that rings more than [`WALKED`](super::WALKED) phones one by one has a *group*: which of its legs may be free, which will be
//! soon, which talk, and all of them by the record that its strategy goes by. Whatever changes about a person moves him
//! within his groups, in time logarithmic in their size. Hunts of the same phones and the same order share a group, in
//! whichever node and version they stand; it is made when the first call asks for it, so that to hold a version, or to let
//! one go, takes no time for each of its legs.
//!
//! A group answers with candidates. What holds for one call and not for another (its own claims), or ends by itself (a
//! claim's deadline), is for [`Floor::standing`] to say of each of them: a leg that could be rung is always a candidate,
//! a candidate cannot always be rung.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::hunters::{Hunter, Hunters, Record, Shape};
use super::shuffle::Shuffle;
use super::{ClaimKind, Floor, Line, Person, Presence, Slot, Standing};
use crate::company::version::{NodeIx, VersionId};

/// What of a leg no call and no clock changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Class {
    #[default]
    Gone,
    MayBeFree,
    Soon,
    Talking,
}

impl Class {
    fn of(person: &Person, mobile: bool, as_of_ms: i64) -> Self {
        let absent = person.presence != Presence::Present || person.line == Line::Unreachable;
        let held = person.claims.iter().filter(|claim| claim.until_ms > as_of_ms).map(|claim| claim.kind);
        match held.max_by_key(|&kind| kind == ClaimKind::Talking) {
            _ if absent && !mobile => Self::Gone,
            _ if person.line == Line::Busy => Self::Talking,
            Some(ClaimKind::Talking) => Self::Talking,
            Some(_) => Self::Soon,
            None if matches!(person.line, Line::Ringing | Line::WrapUp) => Self::Soon,
            None => Self::MayBeFree,
        }
    }
}

/// A leg's place in a group. The group may be gone, and another in its place: this seat is nobody's then, and is taken away
/// when its person moves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    group: u32,
    made: u64,
    leg: u16,
    mobile: bool,
}

#[derive(Clone, Copy, Debug)]
struct Sitting {
    who: Option<(Slot, bool)>,
    class: Class,
    record: i64,
}

#[derive(Debug)]
struct Group {
    /// Counts groups: no other was the same.
    made: u64,
    shape: Arc<Shape>,
    /// How many hunts of the versions held are of this shape.
    hunts: usize,
    sitting: Vec<Sitting>,
    may_be_free: Vec<u64>,
    soon: Vec<u64>,
    talking: Vec<u64>,
    /// All legs by their record, and those that may be free: where the order is not that of places.
    by_record: BTreeSet<(i64, u16)>,
    free_by_record: BTreeSet<(i64, u16)>,
}

impl Group {
    /// A group in which these sit, by leg.
    fn new(made: u64, shape: Arc<Shape>, sitting: Vec<Sitting>) -> Self {
        let among = |class: Class| {
            let mut words = vec![0; sitting.len().div_ceil(64)];
            let legs = sitting.iter().enumerate().filter(|(_, sits)| sits.class == class);
            legs.for_each(|(leg, _)| words[leg / 64] |= 1 << (leg % 64));
            words
        };
        let (may_be_free, soon, talking) = (among(Class::MayBeFree), among(Class::Soon), among(Class::Talking));
        // A set that is made of all at once sorts them and is done.
        let ordered = |of: &dyn Fn(&Sitting) -> bool| -> BTreeSet<(i64, u16)> {
            let legs = (0..).zip(&sitting).filter(|(_, sits)| shape.record != Record::Place && of(sits));
            legs.map(|(leg, sits)| (sits.record, leg)).collect()
        };
        let (by_record, free_by_record) = (ordered(&|_| true), ordered(&|sits| sits.class == Class::MayBeFree));
        Self { made, hunts: 0, may_be_free, soon, talking, by_record, free_by_record, sitting, shape }
    }

    fn ordered(&self) -> bool {
        self.shape.record != Record::Place
    }

    /// Moves a leg.
    fn seat(&mut self, leg: usize, class: Class, record: i64) {
        let before = self.sitting[leg];
        (self.sitting[leg].class, self.sitting[leg].record) = (class, record);
        let (word, bit) = (leg / 64, 1 << (leg % 64));
        if before.class != class {
            for (of, words) in [
                (Class::MayBeFree, &mut self.may_be_free),
                (Class::Soon, &mut self.soon),
                (Class::Talking, &mut self.talking),
            ] {
                if of == class {
                    words[word] |= bit;
                } else {
                    words[word] &= !bit;
                }
            }
        }
        if self.ordered() && (before.class, before.record) != (class, record) {
            let (old, new) = ((before.record, leg as u16), (record, leg as u16));
            if before.record != record {
                self.by_record.remove(&old);
                self.by_record.insert(new);
            }
            if before.class == Class::MayBeFree {
                self.free_by_record.remove(&old);
            }
            if class == Class::MayBeFree {
                self.free_by_record.insert(new);
            }
        }
    }
}

/// What a version that is held no more leaves of its groups, to be let go where no call waits.
#[derive(Debug, Default)]
pub struct Unseated {
    _hunters: Hunters,
    _groups: Vec<Group>,
}

/// All groups, and which hunts they are of.
#[derive(Debug, Default)]
pub(super) struct Groups {
    all: Vec<Option<Group>>,
    vacant: Vec<u32>,
    made: u64,
    by_shape: FxHashMap<Arc<Shape>, u32>,
    by_hunt: FxHashMap<VersionId, Hunters>,
    /// When the next claim of each person who sits in a group ends.
    ends: BTreeSet<(i64, Slot)>,
    /// The latest moment that was asked about: claims that had ended by then count no more.
    as_of_ms: i64,
}

/// In which order a hunt looks at the legs of its group.
#[derive(Clone, Copy, Debug)]
pub enum Looking<'s> {
    /// By place, round from this one.
    From(usize),
    /// By the record of its strategy.
    ByRecord,
    /// By chance.
    Shuffled(&'s Shuffle),
}

/// Who asks about a group.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The group, as [`Floor::group`] gave it.
    pub group: u32,
    /// The call.
    pub call: &'a str,
    /// Now.
    pub now_ms: i64,
    /// Legs that are out of the hunt.
    pub out: &'a dyn Fn(usize) -> bool,
}

impl Floor {
    /// Takes a version's big hunts over. Whom they ring is seated when the first call asks for them.
    pub(super) fn seat_hunts(&mut self, version: VersionId, hunters: Hunters) {
        self.unseat_hunts(version);
        if !hunters.0.is_empty() {
            self.groups.by_hunt.insert(version, hunters);
        }
    }

    /// Takes the groups of a version out, where no other version has hunts of the same phones. Linear in its hunts.
    pub fn unseat_hunts(&mut self, version: VersionId) -> Unseated {
        let Some(hunters) = self.groups.by_hunt.remove(&version) else { return Unseated::default() };
        let mut groups = Vec::new();
        for hunter in hunters.0.values() {
            let Hunter::Seated(at) = *hunter else { continue };
            let place = &mut self.groups.all[at as usize];
            let Some(group) = place else { continue };
            group.hunts -= 1;
            if group.hunts == 0 {
                self.groups.by_shape.remove(&group.shape);
                self.groups.vacant.push(at);
                groups.extend(place.take());
            }
        }
        Unseated { _hunters: hunters, _groups: groups }
    }

    /// The group of a shape, for one hunt more. Logarithmic in its legs for each of them, where there was none.
    fn seated(&mut self, shape: Arc<Shape>) -> u32 {
        let at = match self.groups.by_shape.get(&shape) {
            Some(&at) => at,
            None => self.seat_group(shape),
        };
        if let Some(group) = &mut self.groups.all[at as usize] {
            group.hunts += 1;
        }
        at
    }

    fn seat_group(&mut self, shape: Arc<Shape>) -> u32 {
        self.groups.made += 1;
        let made = self.groups.made;
        let at = self.groups.vacant.pop().unwrap_or_else(|| {
            self.groups.all.push(None);
            (self.groups.all.len() - 1) as u32
        });
        let mut sitting = Vec::with_capacity(shape.legs.len());
        for (leg, who) in (0..).zip(&shape.legs) {
            let (class, record) = match *who {
                // A number alone is always free, and has no record.
                None => (Class::MayBeFree, shape.record.of(i64::MIN, 0)),
                Some((slot, mobile)) => {
                    let as_of_ms = self.groups.as_of_ms;
                    let person = self.person(slot);
                    person.seats.push(Seat { group: at, made, leg, mobile });
                    let record = shape.record.of(person.talked_until_ms, person.answered);
                    let class = Class::of(person, mobile, as_of_ms);
                    self.ends(slot);
                    (class, record)
                }
            };
            sitting.push(Sitting { who: *who, class, record });
        }
        self.groups.all[at as usize] = Some(Group::new(made, Arc::clone(&shape), sitting));
        self.groups.by_shape.insert(shape, at);
        at
    }

    /// Keeps when the next claim of somebody who sits in a group ends.
    fn ends(&mut self, slot: Slot) {
        let person = &mut self.people[slot];
        let as_of_ms = self.groups.as_of_ms;
        let ends = person.claims.iter().map(|claim| claim.until_ms).filter(|&until_ms| until_ms > as_of_ms).min();
        if ends != person.ends {
            if let Some(before) = std::mem::replace(&mut person.ends, ends) {
                self.groups.ends.remove(&(before, slot));
            }
            if let Some(ends) = ends {
                self.groups.ends.insert((ends, slot));
            }
        }
    }

    /// Something about the person has changed: he moves within his groups.
    pub(super) fn moved(&mut self, slot: Slot) {
        self.moves += 1;
        if self.people[slot].seats.is_empty() {
            return;
        }
        self.ends(slot);
        let as_of_ms = self.groups.as_of_ms;
        let person = &mut self.people[slot];
        let mut gone = false;
        for seat in &person.seats {
            match &mut self.groups.all[seat.group as usize] {
                Some(group) if group.made == seat.made => {
                    let record = group.shape.record.of(person.talked_until_ms, person.answered);
                    group.seat(usize::from(seat.leg), Class::of(person, seat.mobile, as_of_ms), record);
                }
                _ => gone = true,
            }
        }
        if gone {
            let all = &self.groups.all;
            person.seats.retain(|seat| matches!(&all[seat.group as usize], Some(group) if group.made == seat.made));
        }
    }

    /// The group of a node's hunt; none where its legs are to be walked. Groups know no time before the latest they were
    /// asked about: for a moment before it, legs are walked too.
    pub fn group(&mut self, version: VersionId, node: NodeIx, now_ms: i64) -> Option<u32> {
        let hunter = self.groups.by_hunt.get(&version)?.0.get(&node)?;
        if now_ms < self.groups.as_of_ms {
            return None;
        }
        let group = match hunter {
            Hunter::Seated(group) => *group,
            Hunter::Waiting(shape) => {
                let group = self.seated(Arc::clone(shape));
                self.groups.by_hunt.get_mut(&version)?.0.insert(node, Hunter::Seated(group));
                group
            }
        };
        self.groups.as_of_ms = now_ms;
        while let Some(&(ends, slot)) = self.groups.ends.first().filter(|(ends, _)| *ends <= now_ms) {
            self.groups.ends.remove(&(ends, slot));
            self.person(slot).ends = None;
            self.moved(slot);
        }
        Some(group)
    }

    /// Whether anybody of a group is at work and can be reached, free or not.
    #[must_use]
    pub fn anybody_there(&self, group: u32) -> bool {
        let Some(group) = self.groups.all[group as usize].as_ref() else { return false };
        [&group.may_be_free, &group.soon, &group.talking].into_iter().flatten().any(|&word| word != 0)
    }

    /// The legs of a group by the record of its strategy, whoever they are.
    pub fn by_record(&self, group: u32) -> impl Iterator<Item = usize> {
        let group = self.groups.all[group as usize].as_ref();
        group.into_iter().flat_map(|group| group.by_record.iter().map(|&(_, leg)| usize::from(leg)))
    }

    /// The first leg in order that can be rung.
    pub fn first_free(&self, asking: Asking<'_>, looking: Looking<'_>) -> Option<usize> {
        let group = self.groups.all[asking.group as usize].as_ref()?;
        let free = |leg: usize| self.standing_in(group, leg, asking) == Some(Standing::Free);
        let mut legs = group.may_be_free.clone();
        let ours = self.seats_of(asking);
        ours.iter().for_each(|&leg| legs[leg / 64] |= 1 << (leg % 64));
        match looking {
            Looking::From(start) => {
                places(&legs, start..legs.len() * 64).chain(places(&legs, 0..start)).find(|&leg| free(leg))
            }
            Looking::ByRecord => {
                let first = group.free_by_record.iter().map(|&(_, leg)| usize::from(leg)).find(|&leg| free(leg));
                let ours = ours.into_iter().filter(|&leg| free(leg));
                first.into_iter().chain(ours).min_by_key(|&leg| (group.sitting[leg].record, leg))
            }
            Looking::Shuffled(shuffle) => loop {
                let leg = places(&legs, 0..legs.len() * 64).min_by_key(|&leg| shuffle.rank(leg))?;
                if free(leg) {
                    break Some(leg);
                }
                legs[leg / 64] &= !(1 << (leg % 64));
            },
        }
    }

    /// The first leg from this place on that can be rung or will be free soon, and whether somebody before it is busy.
    pub fn first_worth_a_round(&self, asking: Asking<'_>, from: usize) -> (Option<usize>, bool) {
        let Some(group) = self.groups.all[asking.group as usize].as_ref() else { return (None, false) };
        let all = group.may_be_free.len() * 64;
        let mut legs: Vec<u64> = group.may_be_free.iter().zip(&group.soon).map(|(free, soon)| free | soon).collect();
        self.seats_of(asking).iter().for_each(|&leg| legs[leg / 64] |= 1 << (leg % 64));
        let worth = |leg: usize| {
            let standing = self.standing_in(group, leg, asking);
            standing.is_some_and(|standing| standing == Standing::Free || standing.will_be_free())
        };
        let found = places(&legs, from..all).find(|&leg| worth(leg));
        let busy = |leg: usize| self.standing_in(group, leg, asking).is_some_and(Standing::is_busy);
        (found, places(&group.talking, from..found.unwrap_or(all)).any(busy))
    }

    /// Whether somebody of the group is busy whom the hunt looks at before this leg; anybody, without one.
    pub fn busy_before(&self, asking: Asking<'_>, looking: Looking<'_>, leg: Option<usize>) -> bool {
        let Some(group) = self.groups.all[asking.group as usize].as_ref() else { return false };
        let all = group.sitting.len();
        let rank = |leg: usize| match looking {
            Looking::From(start) => (0, (leg + all - start) % all),
            Looking::ByRecord => (group.sitting[leg].record, leg),
            Looking::Shuffled(shuffle) => (0, shuffle.rank(leg)),
        };
        let before = leg.map(rank);
        let mut held = places(&group.talking, 0..all).chain(places(&group.soon, 0..all));
        held.any(|leg| {
            before.is_none_or(|before| rank(leg) < before)
                && self.standing_in(group, leg, asking).is_some_and(Standing::is_busy)
        })
    }

    /// The legs of the group whose people will be free soon, and are not out of the hunt.
    pub fn soon_free(&self, asking: Asking<'_>) -> impl Iterator<Item = usize> {
        let group = self.groups.all[asking.group as usize].as_ref();
        group.into_iter().flat_map(move |group| {
            let soon = places(&group.soon, 0..group.sitting.len()).chain(self.seats_of(asking));
            soon.filter(move |&leg| self.standing_in(group, leg, asking).is_some_and(Standing::will_be_free))
        })
    }

    /// None for a leg that is out of the hunt.
    fn standing_in(&self, group: &Group, leg: usize, asking: Asking<'_>) -> Option<Standing> {
        if (asking.out)(leg) {
            return None;
        }
        let who = group.sitting[leg].who;
        Some(who.map_or(Standing::Free, |(slot, mobile)| self.standing(slot, asking.call, mobile, asking.now_ms)))
    }

    /// The legs of the group whose people the call itself holds.
    fn seats_of(&self, asking: Asking<'_>) -> Vec<usize> {
        let held = self.claims.get(asking.call).map_or(&[][..], |slots| &slots[..]).iter();
        let seats = held.flat_map(|slot| &self.people[*slot].seats);
        let made = self.groups.all[asking.group as usize].as_ref().map(|group| group.made);
        seats
            .filter(|seat| seat.group == asking.group && Some(seat.made) == made)
            .map(|seat| usize::from(seat.leg))
            .collect()
    }
}

/// The places of a set within a range, lowest first.
fn places(words: &[u64], within: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
    let mut at = within.start;
    std::iter::from_fn(move || {
        while at < within.end {
            let word = words.get(at / 64)? >> (at % 64);
            if word == 0 {
                at = (at / 64 + 1) * 64;
                continue;
            }
            let found = at + word.trailing_zeros() as usize;
            at = found + 1;
            return (found < within.end).then_some(found);
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_are_the_bits_within(words in proptest::collection::vec(any::<u64>(), 0..4), from in 0..300_usize, to in 0..300_usize) {
            let set = |at: usize| words.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1);
            let expected: Vec<usize> = (from..to).filter(|&at| set(at)).collect();
            prop_assert_eq!(places(&words, from..to).collect::<Vec<_>>(), expected);
        }
    }
}
