//! Everybody's place on the floor, and what of a new version can be seated before it is held.
//!
//! A version names its employees by id, and the floor by place. To look fifty thousand of them up takes milliseconds, in
//! which no call shall wait: so places are found beside the floor, on the roster as it is, and taken over at once.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::hunters::Hunters;
use super::{Person, Slot};
use crate::company::version::Company;

/// Who has which place. It only grows, and a copy of it costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    employees: Arc<FxHashMap<SmolStr, Slot>>,
    /// Places taken so far: by employees, and by numbers that queues ring.
    taken: u32,
}

impl Roster {
    pub(super) fn find(&self, id: &str) -> Option<Slot> {
        self.employees.get(id).copied()
    }

    /// The same, when so many places are taken.
    pub(super) fn with_taken(&self, taken: usize) -> Self {
        Self { employees: Arc::clone(&self.employees), taken: taken as u32 }
    }

    fn take(&mut self) -> Slot {
        let slot = Slot(self.taken);
        self.taken += 1;
        slot
    }
}

/// The places of a version's employees and of its big hunts, found beside the floor.
#[derive(Debug)]
pub struct Places {
    /// The roster they were found on; the floor's, if nobody has come since.
    before: Roster,
    roster: Roster,
    fresh: Vec<Person>,
    pub(super) slots: Vec<Slot>,
    pub(super) hunters: Hunters,
}

impl Places {
    /// Finds everybody's place. Linear in the employees and in the legs of big hunts; where somebody is new, in everybody
    /// on the roster.
    pub(super) fn find(company: &Company, before: &Roster) -> Self {
        let mut roster = before.clone();
        let mut fresh = Vec::new();
        let mut slots = Vec::with_capacity(company.employees.len());
        for employee in &company.employees {
            slots.push(roster.find(&employee.id).unwrap_or_else(|| {
                let slot = roster.take();
                Arc::make_mut(&mut roster.employees).insert(employee.id.clone(), slot);
                fresh.push(Person::new(employee.id.clone()));
                slot
            }));
        }
        let hunters = Hunters::of(company, &slots);
        Self { before: before.clone(), roster, fresh, slots, hunters }
    }

    /// Whether they are right on this roster: nobody has come since, and the places of the new ones are free.
    pub(super) fn hold_on(&self, roster: &Roster) -> bool {
        let free = self.fresh.is_empty() || self.before.taken == roster.taken;
        free && Arc::ptr_eq(&self.before.employees, &roster.employees)
    }

    /// Brings the new ones in, and the roster that has them; the one before stays here. Linear in the new ones alone.
    pub(super) fn bring(&mut self, people: &mut People, roster: &mut Roster) {
        people.0.reserve(self.fresh.len().div_ceil(CHUNK));
        self.fresh.drain(..).for_each(|person| people.push(person));
        self.before = std::mem::replace(roster, self.roster.clone());
    }
}

/// People of one piece of memory: so that none has to move when others come.
const CHUNK: usize = 256;

/// Everybody on the floor, by place.
#[derive(Debug, Default)]
pub(super) struct People(Vec<Vec<Person>>);

impl People {
    pub(super) fn push(&mut self, person: Person) {
        match self.0.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push(person),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(person);
                self.0.push(chunk);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * CHUNK + last.len())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Person> {
        self.0.iter().flatten()
    }
}

impl Index<Slot> for People {
    type Output = Person;

    fn index(&self, Slot(at): Slot) -> &Person {
        &self.0[at as usize / CHUNK][at as usize % CHUNK]
    }
}

impl IndexMut<Slot> for People {
    fn index_mut(&mut self, Slot(at): Slot) -> &mut Person {
        &mut self.0[at as usize / CHUNK][at as usize % CHUNK]
    }
}
