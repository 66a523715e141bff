//! Who owns which number: a cache of what the company's memory answered, or all of it.
//!
//! A table that is *complete* holds the owner of every number that has one: whoever is not in it is nobody's, and no call
//! asks. It stays complete through changes: what is told of a number is so at once, and a number forgotten is asked for,
//! and known again. Only at the bound of [`MOST_OWNERS`] numbers, where somebody has to leave, is it a cache from then on.

use indexmap::IndexSet;

use super::BadLine;
use super::packed::{Narrow, Packed, Slot};
use crate::number::Number;

/// The most numbers whose owners are kept; at the bound one of those that came first leaves for each that comes.
pub const MOST_OWNERS: usize = 1 << 25;
/// The most employees that owners can be, of all versions that were ever told; others are asked for at each call.
pub const MOST_NAMES: usize = (Narrow::MOST - EMPLOYEES + 1) as usize;

/// Employees for whom a table that is made with room has room.
const NAMES: usize = 1 << 16;

/// Codes of what is known besides employees; theirs follow.
const NOBODY: u64 = 0;
const FORGOTTEN: u64 = 1;
const EMPLOYEES: u64 = 2;

/// What is known of a number's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'t> {
    /// This employee, by id.
    Employee(&'t str),
    /// Nobody: the company's memory said so.
    Nobody,
}

/// Owners of numbers: seven bytes a number and the room of its line, in all 8.2.
#[derive(Debug)]
pub struct Owners {
    table: Packed<Narrow>,
    names: IndexSet<Box<str>>,
    /// Whether nobody had to leave.
    kept_all: bool,
    complete: bool,
    most: usize,
}

impl Default for Owners {
    fn default() -> Self {
        Self::with_room_for(0)
    }
}

impl Owners {
    /// An empty cache, with room made beforehand.
    #[must_use]
    pub fn with_room_for(numbers: usize) -> Self {
        Self {
            table: Packed::with_room_for(numbers.min(MOST_OWNERS)),
            // A table of many has many employees: to double their room would hold up a call later.
            names: IndexSet::with_capacity(if numbers > 0 { NAMES } else { 0 }),
            kept_all: true,
            complete: false,
            most: MOST_OWNERS,
        }
    }

    /// The number's owner, if known.
    #[must_use]
    pub fn of(&self, number: Number) -> Option<Owner<'_>> {
        match self.table.get(number) {
            Some(NOBODY) => Some(Owner::Nobody),
            Some(FORGOTTEN) => None,
            Some(code) => self.names.get_index((code - EMPLOYEES) as usize).map(|id| Owner::Employee(id)),
            None => self.complete.then_some(Owner::Nobody),
        }
    }

    /// Tells a number's owner, `None` being nobody.
    pub fn set(&mut self, number: Number, employee: Option<&str>) {
        match employee {
            None if self.complete => _ = self.table.remove(number),
            None => self.put(number, NOBODY),
            Some(id) => match self.code(id) {
                Some(code) => self.put(number, code),
                None => self.forget(number),
            },
        }
    }

    /// Tells all of a page: a line for each number, `+79161230099<TAB>anna`, the employee left out where it is nobody's.
    /// Millions of lines a second. Answers how many there were, or the line that is not one; those before it were told.
    pub fn read(&mut self, page: &[u8]) -> Result<usize, BadLine> {
        super::lines(page, |number, employee| {
            self.set(number, employee.filter(|employee| !employee.is_empty()));
            true
        })
    }

    /// Forgets a number's owner: the next call asks.
    pub fn forget(&mut self, number: Number) {
        if self.complete {
            self.put(number, FORGOTTEN);
        } else {
            self.table.remove(number);
        }
    }

    /// Says that every number that has an owner is in, so that nobody owns the others. False, and nothing changed, when
    /// the table has been at its bound, or had no room for one of them.
    pub fn complete(&mut self) -> bool {
        self.complete = self.kept_all && self.table.len() < self.most;
        self.complete
    }

    /// Whether it is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Of how many numbers something is known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nothing is known of any number by itself.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the numbers take, without the allocator's own.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }

    fn put(&mut self, number: Number, code: u64) {
        let known = self.table.len() < self.most || self.table.get(number).is_some();
        if known && self.table.insert(number, code).is_ok() {
            return;
        }
        (self.kept_all, self.complete) = (false, false);
        self.table.make_room_for(number);
        // Where the line of the number has nobody who could leave, it is not remembered.
        if self.table.len() < self.most {
            _ = self.table.insert(number, code);
        }
    }

    fn code(&mut self, id: &str) -> Option<u64> {
        let index = match self.names.get_index_of(id) {
            Some(index) => index,
            None if self.names.len() < MOST_NAMES => self.names.insert_full(id.into()).0,
            None => return None,
        };
        Some(index as u64 + EMPLOYEES)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn subscriber(at: u64) -> Number {
        Number::from_e164(79_000_000_000 + at).unwrap()
    }

    #[derive(Clone, Debug)]
    enum Told {
        Is(u64, Option<&'static str>),
        Forget(u64),
    }

    fn any_telling() -> impl Strategy<Value = Told> {
        let employee = prop_oneof![Just(None), Just(Some("anna")), Just(Some("boris"))];
        prop_oneof![
            3 => (0..20_u64, employee).prop_map(|(number, employee)| Told::Is(number, employee)),
            1 => (0..20_u64).prop_map(Told::Forget),
        ]
    }

    fn owner<'t>(employee: Option<&'t str>) -> Owner<'t> {
        employee.map_or(Owner::Nobody, Owner::Employee)
    }

    proptest! {
        #[test]
        fn what_was_told_last_is_so_and_what_was_forgotten_is_asked(
            loaded in proptest::collection::hash_map(0..20_u64, prop_oneof![Just("anna"), Just("vera")], 0..20),
            complete in any::<bool>(),
            told in proptest::collection::vec(any_telling(), 0..100),
        ) {
            let mut owners = Owners::with_room_for(loaded.len());
            let mut model: HashMap<u64, Option<&str>> = HashMap::new();
            if complete {
                model.extend((0..20).map(|number| (number, None)));
            }
            for (&number, &employee) in &loaded {
                owners.set(subscriber(number), Some(employee));
                model.insert(number, Some(employee));
            }
            prop_assert!(!complete || owners.complete());
            for change in told {
                match change {
                    Told::Is(number, employee) => {
                        owners.set(subscriber(number), employee);
                        model.insert(number, employee);
                    }
                    Told::Forget(number) => {
                        owners.forget(subscriber(number));
                        model.remove(&number);
                    }
                }
            }
            for number in 0..20 {
                let expected = model.get(&number).map(|&employee| owner(employee));
                prop_assert_eq!(owners.of(subscriber(number)), expected);
            }
        }

        #[test]
        fn at_its_bound_it_forgets_but_never_says_what_is_not_so(numbers in proptest::collection::vec(0..60_u64, 0..200)) {
            let mut owners = Owners { most: 20, ..Owners::default() };
            prop_assert!(owners.complete());
            for &number in &numbers {
                owners.set(subscriber(number), Some(if number % 2 == 0 { "anna" } else { "boris" }));
                prop_assert!(owners.len() <= 20);
            }
            for &number in &numbers {
                let said = owners.of(subscriber(number));
                let truth = if number % 2 == 0 { "anna" } else { "boris" };
                prop_assert!(said.is_none() || said == Some(Owner::Employee(truth)), "{number}: {said:?}");
            }
        }
    }

    #[test]
    fn a_page_is_read_to_the_line_that_is_none() {
        let mut owners = Owners::default();
        assert_eq!(owners.read(b"+79000000001\tanna\n+79000000002\t\r\n+79000000003\n101\tboris"), Ok(4));
        assert_eq!(owners.of(subscriber(1)), Some(Owner::Employee("anna")));
        assert_eq!((owners.of(subscriber(2)), owners.of(subscriber(3))), (Some(Owner::Nobody), Some(Owner::Nobody)));
        assert_eq!(owners.read(b""), Ok(0));
        for page in [&b"+79000000004\tanna\nnumber\tanna\n"[..], b"+79000000004\tanna\n+790000000\xff5\tanna"] {
            assert_eq!(Owners::default().read(page), Err(BadLine { line: 2 }));
        }
    }

    #[test]
    fn a_complete_table_keeps_no_room_for_nobody() {
        let mut owners = Owners::default();
        assert!(owners.complete());
        owners.set(subscriber(1), Some("anna"));
        owners.set(subscriber(1), None);
        assert_eq!((owners.of(subscriber(1)), owners.len()), (Some(Owner::Nobody), 0));
    }
}
