//! Facts that move between versions: who owns a number, who has called before, who joined or left a list.
//!
//! Owners and callers are told one by one, or as tables made aside and swapped in at once. What they do not know, a call
//! asks for.

mod callers;
mod owners;
mod packed;

pub use callers::{Called, Callers, Learned, MOST_ANSWERS, MOST_CALLERS};
pub use owners::{MOST_NAMES, MOST_OWNERS, Owner, Owners};

use crate::directory::ListChanges;
use crate::number::{Country, Number};

/// Owners, callers, and the changes of lists.
#[derive(Debug, Default)]
pub struct Facts {
    owners: Owners,
    callers: Callers,
    lists: ListChanges,
    generation: u64,
}

impl Facts {
    /// How often facts were changed from outside. Traces record it.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Remembers a number's owner, `None` being nobody.
    pub fn set_owner(&mut self, number: Number, employee: Option<&str>) {
        self.owners.set(number, employee);
        self.generation += 1;
    }

    /// Forgets a number's owner: the next call asks.
    pub fn forget_owner(&mut self, number: Number) {
        self.owners.forget(number);
        self.generation += 1;
    }

    /// The number's owner, if known.
    #[must_use]
    pub fn owner(&self, number: Number) -> Option<Owner<'_>> {
        self.owners.of(number)
    }

    /// Takes another table of owners, and gives the one before: to let it go takes long, and no call shall wait for it.
    pub fn swap_owners(&mut self, owners: Owners) -> Owners {
        self.generation += 1;
        std::mem::replace(&mut self.owners, owners)
    }

    /// Who owns which number.
    #[must_use]
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Remembers a call of the number at `at_ms`.
    pub fn set_called(&mut self, number: Number, at_ms: i64) {
        self.callers.tell(number, at_ms);
        self.generation += 1;
    }

    /// Remembers the answer to "did it call within so many days before `now_ms`".
    pub fn set_history(&mut self, number: Number, days: Option<u32>, before: bool, now_ms: i64) {
        self.callers.answered(number, days, before, now_ms);
    }

    /// Whether the number called within so many days before `now_ms`; at any time, without `days`.
    pub fn history(&mut self, number: Number, days: Option<u32>, now_ms: i64) -> Called {
        self.callers.of(number, days, now_ms)
    }

    /// The same, without counting as a use of what is known.
    #[must_use]
    pub fn peek_history(&self, number: Number, days: Option<u32>, now_ms: i64) -> Called {
        self.peek_history_after(None, number, days, now_ms)
    }

    /// The same, for who has learned an answer that is not remembered here.
    #[must_use]
    pub fn peek_history_after(
        &self,
        learned: Option<Learned>,
        number: Number,
        days: Option<u32>,
        now_ms: i64,
    ) -> Called {
        self.callers.peek(number, learned, days, now_ms)
    }

    /// What [`Facts::set_history`] would remember, for who shall know it alone.
    #[must_use]
    pub fn learn_history(
        &self,
        number: Number,
        learned: Option<Learned>,
        days: Option<u32>,
        before: bool,
        now_ms: i64,
    ) -> Learned {
        self.callers.learn(number, learned, days, before, now_ms)
    }

    /// Takes another table of callers, and gives the one before, as [`Facts::swap_owners`] does.
    pub fn swap_callers(&mut self, callers: Callers) -> Callers {
        self.generation += 1;
        std::mem::replace(&mut self.callers, callers)
    }

    /// Remembers that calls until `until_ms` may not have been told.
    pub fn missed_calls(&mut self, until_ms: i64) {
        self.callers.missed(until_ms);
        self.generation += 1;
    }

    /// Who has called.
    #[must_use]
    pub fn callers(&self) -> &Callers {
        &self.callers
    }

    /// Adds a number to a list, or takes it out: see [`ListChanges::set`].
    pub fn set_listed(&mut self, list: &str, number: Number, listed: bool) -> bool {
        let kept = self.lists.set(list, number, listed);
        self.generation += u64::from(kept);
        kept
    }

    /// The change of a number's membership in a list, if there was one.
    #[must_use]
    pub fn listed(&self, list: &str, number: Number) -> Option<bool> {
        if self.lists_unchanged() { None } else { self.lists.get(list, number) }
    }

    /// Whether every list is as its version says.
    #[must_use]
    pub fn lists_unchanged(&self) -> bool {
        self.lists.is_empty()
    }
}

/// The line of a page that is none, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the page is not a number in E.164 and what belongs to it")]
pub struct BadLine {
    /// Which.
    pub line: usize,
}

/// Reads a page: lines of a number and, after a tab, something about it, until `take` refuses one.
fn lines(page: &[u8], mut take: impl FnMut(Number, Option<&str>) -> bool) -> Result<usize, BadLine> {
    let mut read = 0;
    for line in page.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let text = std::str::from_utf8(line).map_err(|_| BadLine { line: read + 1 })?;
        let (number, about) = text.split_once('\t').map_or((text, None), |(number, about)| (number, Some(about)));
        // E.164 and extensions are the same in every country.
        let number = Number::parse(number, Country::Ru).ok_or(BadLine { line: read + 1 })?;
        if !take(number, about) {
            return Err(BadLine { line: read + 1 });
        }
        read += 1;
    }
    Ok(read)
}
