//! Facts that move between versions: who owns a number, who has called before, who joined or left a list.
//!
//! Owners and histories are caches of what the company's memory answered, bounded and evicted by use alone. What they do
//! not know, a call asks for.

use std::hash::Hash;

use lru::LruCache;

use crate::directory::ListChanges;
use crate::number::Number;

/// How many callers' owners are remembered, and how many callers' histories.
pub const REMEMBERED: usize = 100_000;

const DAY_MS: i64 = 86_400_000;

/// What is known of a number's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This employee, by id.
    Employee(Box<str>),
    /// Nobody: the company's memory said so.
    Nobody,
}

/// Whether a number called within some days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// It did.
    Before,
    /// It did not.
    Never,
    /// Not known here.
    Unknown,
}

/// When a number called last: at `lo` or later, at `hi` or earlier.
#[derive(Clone, Copy, Debug)]
struct LastCall {
    lo: i64,
    hi: i64,
}

/// The caches and the changes of lists.
#[derive(Debug)]
pub struct Facts {
    owners: LruCache<Number, Owner>,
    histories: LruCache<Number, LastCall>,
    lists: ListChanges,
    generation: u64,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            owners: LruCache::unbounded(),
            histories: LruCache::unbounded(),
            lists: ListChanges::default(),
            generation: 0,
        }
    }
}

impl Facts {
    /// How often facts were changed from outside. Traces record it.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Remembers a number's owner, `None` being nobody.
    pub fn set_owner(&mut self, number: Number, employee: Option<&str>) {
        let owner = employee.map_or(Owner::Nobody, |id| Owner::Employee(id.into()));
        remember(&mut self.owners, number, owner);
        self.generation += 1;
    }

    /// Forgets a number's owner: the next call asks.
    pub fn forget_owner(&mut self, number: Number) {
        self.owners.pop(&number);
        self.generation += 1;
    }

    /// The number's owner, if known.
    pub fn owner(&mut self, number: Number) -> Option<&Owner> {
        self.owners.get(&number)
    }

    /// Remembers a call of the number at `at_ms`.
    pub fn set_called(&mut self, number: Number, at_ms: i64) {
        let last = self.histories.peek(&number).copied();
        let hi = last.map_or(at_ms, |last| last.hi.max(at_ms));
        let lo = last.map_or(at_ms, |last| last.lo.max(at_ms));
        remember(&mut self.histories, number, LastCall { lo, hi });
        self.generation += 1;
    }

    /// Remembers the answer to "did it call within so many days before `now_ms`".
    pub fn set_history(&mut self, number: Number, days: Option<u32>, before: bool, now_ms: i64) {
        let since = since(days, now_ms);
        let last = self.histories.peek(&number).copied();
        let learnt = if before {
            LastCall { lo: last.map_or(since, |last| last.lo.max(since)), hi: now_ms }
        } else {
            LastCall { lo: i64::MIN, hi: since.saturating_sub(1) }
        };
        remember(&mut self.histories, number, learnt);
    }

    /// Whether the number called within so many days before `now_ms`; at any time, without `days`.
    pub fn history(&mut self, number: Number, days: Option<u32>, now_ms: i64) -> Called {
        let since = since(days, now_ms);
        match self.histories.get(&number) {
            Some(last) if last.lo >= since => Called::Before,
            Some(last) if last.hi < since => Called::Never,
            _ => Called::Unknown,
        }
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
        if self.lists.is_empty() { None } else { self.lists.get(list, number) }
    }
}

/// The first instant that counts, one past the earliest representable where every call counts.
fn since(days: Option<u32>, now_ms: i64) -> i64 {
    days.map_or(i64::MIN + 1, |days| now_ms.saturating_sub(i64::from(days).saturating_mul(DAY_MS)).max(i64::MIN + 1))
}

fn remember<V>(cache: &mut LruCache<Number, V>, number: Number, value: V)
where
    Number: Hash + Eq,
{
    cache.put(number, value);
    if cache.len() > REMEMBERED {
        cache.pop_lru();
    }
}
