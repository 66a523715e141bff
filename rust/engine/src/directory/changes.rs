//! Who joined or left a list since its version was made.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use indexmap::IndexSet;

use crate::number::Number;

/// How many changes of lists are kept beside the version's own lists.
pub const LIST_CHANGES: usize = 1_000_000;
/// Tables that the changes are parted into: when one needs more room, no more than four thousand have to move.
const TABLES: usize = 256;

/// Changes of lists: seen by the next look-up, whatever the version's own list says. Lists are named by id, for they
/// outlive versions.
#[derive(Clone, Debug, Default)]
pub struct ListChanges {
    lists: IndexSet<Box<str>, RandomState>,
    /// None until there is a change, then [`TABLES`].
    tables: Vec<HashMap<Change, bool, RandomState>>,
    hasher: RandomState,
    count: usize,
}

/// The list's place, and the number.
type Change = (u32, Number);

impl ListChanges {
    /// Adds a number to a list, or takes it out. False, and nothing changed, when [`LIST_CHANGES`] are kept already: the
    /// change belongs in a new version then. Expected constant; the longest moves one table.
    pub fn set(&mut self, list: &str, number: Number, listed: bool) -> bool {
        let known = self.lists.get_index_of(list);
        if let Some(list) = known {
            let change = (list as u32, number);
            let table = self.table(change);
            if let Some(known) = self.tables.get_mut(table).and_then(|table| table.get_mut(&change)) {
                *known = listed;
                return true;
            }
        }
        if self.count >= LIST_CHANGES {
            return false;
        }
        let list = known.unwrap_or_else(|| self.lists.insert_full(list.into()).0);
        if self.tables.is_empty() {
            self.tables = vec![HashMap::default(); TABLES];
        }
        let change = (list as u32, number);
        let table = self.table(change);
        self.tables[table].insert(change, listed);
        self.count += 1;
        true
    }

    /// The change of a number's membership in a list, if there was one. Expected constant; allocates nothing.
    #[must_use]
    pub fn get(&self, list: &str, number: Number) -> Option<bool> {
        let change = (self.lists.get_index_of(list)? as u32, number);
        self.tables.get(self.table(change))?.get(&change).copied()
    }

    /// How many changes are kept.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// By the upper bits: the tables go by the others.
    fn table(&self, change: Change) -> usize {
        (self.hasher.hash_one(change) >> 40) as usize % TABLES
    }
}
