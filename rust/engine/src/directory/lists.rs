//! Lists of numbers.

use serde::Serialize;

use super::prefixes::Prefixes;
use crate::number::{Number, Prefix};

/// The entry of a list that a number matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListMatch {
    /// The number itself.
    Number(Number),
    /// The longest prefix with which it begins.
    Prefix(Prefix),
}

/// One list: whole numbers, extensions among them, and prefixes.
#[derive(Clone, Debug, Default)]
pub struct List {
    numbers: Vec<Number>,
    prefixes: Prefixes<()>,
}

impl List {
    /// Compiles a list; the order of entries and repeated entries mean nothing.
    #[must_use]
    pub fn new(mut numbers: Vec<Number>, prefixes: Vec<Prefix>) -> Self {
        numbers.sort_unstable();
        numbers.dedup();
        Self { numbers, prefixes: Prefixes::new(prefixes.into_iter().map(|prefix| (prefix, ())).collect()) }
    }

    /// Which entry the number matches: the number itself before any prefix, of prefixes the longest. Logarithmic in the
    /// list's length.
    #[must_use]
    pub fn find(&self, number: Number) -> Option<ListMatch> {
        if self.numbers.binary_search(&number).is_ok() {
            return Some(ListMatch::Number(number));
        }
        self.prefixes.longest(number).map(|(prefix, ())| ListMatch::Prefix(prefix))
    }
}

/// All lists of a company, by their position in the document.
#[derive(Clone, Debug, Default)]
pub struct Lists(Vec<List>);

impl Lists {
    /// Takes the lists in the document's order.
    #[must_use]
    pub const fn new(lists: Vec<List>) -> Self {
        Self(lists)
    }

    /// Which entry of list `list` the number matches; `None` also where there is no such list.
    #[must_use]
    pub fn find(&self, list: usize, number: Number) -> Option<ListMatch> {
        self.0.get(list)?.find(number)
    }

    /// The first of `lists` that has the number, and which entry of it matched.
    #[must_use]
    pub fn find_first(&self, lists: &[usize], number: Number) -> Option<(usize, ListMatch)> {
        lists.iter().find_map(|&list| Some((list, self.find(list, number)?)))
    }
}
