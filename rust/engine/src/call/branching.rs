//! Nodes that ask something about the call, and are left by what they learn: lists, regions, history, owner, chance.

use arrayvec::ArrayString;
use smol_str::SmolStr;

use crate::company::version::{Company, EmployeeIx, ListIx, RegionIx, Step, exit};
use crate::directory::{ListMatch, RegionMatch, RegionMatched};
use crate::facts::{Called, Facts, Owner};
use crate::number::Number;
use crate::trace::Reason;

use super::machine::{Next, Run, seed};

impl Run<'_> {
    /// The exit of a list node: whether the caller is in one of these lists, changes of facts before what the version says.
    pub(super) fn list(&mut self, lists: &[ListIx]) -> (usize, Reason) {
        let Some(caller) = self.state.caller else { return (exit::ELSE, Reason::Withheld {}) };
        let generation = self.facts.generation();
        for &list in lists {
            let id = &self.company.list_ids[list.at()];
            let listed = match self.facts.listed(id, caller) {
                Some(true) => Some((caller.text(), "change")),
                Some(false) => None,
                None => self.company.lists.find(list.at(), caller).map(|found| match found {
                    ListMatch::Number(number) => (number.text(), "number"),
                    ListMatch::Prefix(prefix) => (prefix.text(), "prefix"),
                }),
            };
            if let Some((entry, by)) = listed {
                return (
                    exit::MATCH,
                    Reason::Listed { list: id.clone(), entry, by: SmolStr::new_static(by), generation },
                );
            }
        }
        let lists = lists.iter().map(|list| self.company.list_ids[list.at()].clone()).collect();
        (exit::ELSE, Reason::NotListed { lists, generation })
    }

    /// The exit of a region node: the region of the caller's number, where it is one of these.
    pub(super) fn region(&self, regions: &[RegionIx]) -> (usize, Reason) {
        let Some(caller) = self.state.caller else { return (regions.len(), Reason::Withheld {}) };
        match self.company.regions.find(caller) {
            Some(RegionMatch { region, matched }) => {
                let by = match matched {
                    RegionMatched::Prefix(prefix) => prefix.text(),
                    RegionMatched::Range(from, to) => range(from, to),
                };
                let id = self.company.region_ids[region].clone();
                match regions.iter().position(|known| known.at() == region) {
                    Some(place) => (place, Reason::InRegion { region: id, by }),
                    None => (regions.len(), Reason::NotInRegions { region: Some(id) }),
                }
            }
            None => (regions.len(), Reason::NotInRegions { region: None }),
        }
    }

    /// The exit of a history node, where it is known whether the caller has called before; none: it must be asked.
    pub(super) fn history(&mut self, days: Option<u32>) -> Option<(usize, Reason)> {
        let Some(caller) = self.state.caller else { return Some((exit::FIRST, Reason::Withheld {})) };
        let generation = self.facts.generation();
        match self.facts.history(caller, days, self.now_ms) {
            Called::Before => Some((exit::REPEAT, Reason::CalledBefore { cached: true, generation })),
            Called::Never => Some((exit::FIRST, Reason::FirstCall { cached: true, generation })),
            Called::Unknown => None,
        }
    }

    /// On by what was answered, which is remembered.
    pub(super) fn history_answered(&mut self, before: bool) -> Next {
        if let (Some(caller), Step::History { days, .. }) = (self.state.caller, &self.node().step) {
            self.facts.set_history(caller, *days, before, self.now_ms);
        }
        let generation = self.facts.generation();
        if before {
            self.leave(exit::REPEAT, Reason::CalledBefore { cached: false, generation })
        } else {
            self.leave(exit::FIRST, Reason::FirstCall { cached: false, generation })
        }
    }

    /// The exit of an owner node, where it is known who is responsible for the caller; none: it must be asked.
    pub(super) fn owner(&mut self) -> Option<(usize, Reason)> {
        self.state.owner = None;
        let Some(caller) = self.state.caller else { return Some((exit::UNKNOWN, Reason::Withheld {})) };
        let generation = self.facts.generation();
        match self.facts.owner(caller)? {
            Owner::Nobody => Some((exit::UNKNOWN, Reason::OwnerUnknown { cached: true, generation })),
            Owner::Employee(id) => {
                let company = self.company;
                match company.employee_index.get(id) {
                    Some(&ix) => Some(self.owned_by(ix, true)),
                    None => Some((exit::UNKNOWN, Reason::OwnerNotHere { employee: id.into(), generation })),
                }
            }
        }
    }

    /// On by the owner that was answered, who is remembered.
    pub(super) fn owner_found(&mut self, employee: &str) -> Next {
        if let Some(caller) = self.state.caller {
            self.facts.set_owner(caller, Some(employee));
        }
        let (place, why) = match self.company.employee_index.get(employee) {
            Some(&ix) => self.owned_by(ix, false),
            None => {
                let generation = self.facts.generation();
                (exit::UNKNOWN, Reason::OwnerNotHere { employee: employee.into(), generation })
            }
        };
        self.leave(place, why)
    }

    fn owned_by(&mut self, ix: EmployeeIx, cached: bool) -> (usize, Reason) {
        self.state.owner = Some(ix);
        let (employee, generation) = (self.company.employees[ix.at()].id.clone(), self.facts.generation());
        (exit::FOUND, Reason::OwnerFound { employee, cached, generation })
    }

    /// On without an owner, which is remembered.
    pub(super) fn owner_unknown(&mut self) -> Next {
        if let Some(caller) = self.state.caller {
            self.facts.set_owner(caller, None);
        }
        let generation = self.facts.generation();
        self.leave(exit::UNKNOWN, Reason::OwnerUnknown { cached: false, generation })
    }

    /// The exit of a split node.
    pub(super) fn split(&self, upto: &[u64]) -> (usize, Reason) {
        let (place, weight, of) = side(&self.state.call_id, upto);
        (place, Reason::Chance { weight, of })
    }
}

/// Whether a caller is in a list: changes of facts before what the version says. [`Run::list`] says by which entry, too.
pub(super) fn is_listed(company: &Company, facts: &Facts, list: ListIx, caller: Number) -> bool {
    let changed = || facts.listed(&company.list_ids[list.at()], caller);
    let changed = if facts.lists_unchanged() { None } else { changed() };
    changed.unwrap_or_else(|| company.lists.has(list.at(), caller))
}

/// The exit by which a call leaves a split; what was drawn, and of how much. It depends on the call id alone, so two splits
/// with the same weights choose alike.
pub(super) fn side(call_id: &str, upto: &[u64]) -> (usize, u64, u64) {
    let of = upto.last().copied().unwrap_or(1).max(1);
    let weight = ((u128::from(seed(call_id, 0)) * u128::from(of)) >> 64) as u64;
    (upto.partition_point(|&bound| bound <= weight).min(upto.len().saturating_sub(1)), weight, of)
}

/// The ends of a range of numbers.
fn range(from: Number, to: Number) -> SmolStr {
    let mut text = ArrayString::<64>::new();
    text.push_str(&from.text());
    text.push('–');
    text.push_str(&to.text());
    SmolStr::new(text)
}
