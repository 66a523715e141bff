//! Who joined or left a list since its version was made.

use std::collections::HashMap;

use crate::number::Number;

/// How many changes of lists are kept beside the version's own lists.
pub const LIST_CHANGES: usize = 1_000_000;

/// Changes of lists: seen by the next look-up, whatever the version's own list says. Lists are named by id, for they
/// outlive versions.
#[derive(Clone, Debug, Default)]
pub struct ListChanges {
    lists: HashMap<Box<str>, HashMap<Number, bool>>,
    count: usize,
}

impl ListChanges {
    /// Adds a number to a list, or takes it out. False, and nothing changed, when [`LIST_CHANGES`] are kept already: the
    /// change belongs in a new version then. Expected constant.
    pub fn set(&mut self, list: &str, number: Number, listed: bool) -> bool {
        let known = self.lists.get_mut(list);
        if let Some(change) = known.and_then(|changes| changes.get_mut(&number)) {
            *change = listed;
            return true;
        }
        if self.count >= LIST_CHANGES {
            return false;
        }
        self.lists.entry(list.into()).or_default().insert(number, listed);
        self.count += 1;
        true
    }

    /// The change of a number's membership in a list, if there was one. Expected constant; allocates nothing.
    #[must_use]
    pub fn get(&self, list: &str, number: Number) -> Option<bool> {
        self.lists.get(list)?.get(&number).copied()
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
}
