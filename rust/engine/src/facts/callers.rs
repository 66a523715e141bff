//! Who has called before, and when last.
//!
//! What is kept of a number is a *span*: its last call was at `lo` or later, and at `hi` or earlier. A call that was told
//! makes both the same, to the millisecond, and is kept in ten bytes for as long as the engine lives. An answer of the
//! company's memory is a span that is not a point; it is kept in a bounded cache, evicted by use alone. A question about
//! a span that it does not decide is not answered here: the call asks.
//!
//! What follows from it, of a number and a call of it that was told and was at or after the moment in question:
//!
//! - It is never said that the number has not called, whatever else was told, answered, evicted or missed; but at the very
//!   millisecond of an answer that overlooks the call, the answer stands: the nodes of one turn agree with each other.
//! - That it has called is said to the millisecond where its last call was told between 1970 and 2109; of others it is
//!   asked.
//! - A number of which nothing was told is asked for. Where the table is complete it has not called, unless calls may
//!   have been missed at or after the moment in question: then it is asked for too.

use std::num::NonZeroUsize;

use lru::LruCache;

use super::BadLine;
use super::packed::{Packed, Slot, Wide};
use crate::number::Number;

/// The most numbers whose last calls are kept. At the bound new ones share the cache of answers, and the table is complete
/// no more.
pub const MOST_CALLERS: usize = 150_000_000;
/// How many answers of the company's memory are kept.
pub const MOST_ANSWERS: usize = 100_000;

const DAY_MS: i64 = 86_400_000;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    lo: i64,
    hi: i64,
}

impl Span {
    fn point(at_ms: i64) -> Self {
        Self { lo: at_ms, hi: at_ms }
    }

    /// What both say of one number: each was right about the calls that it knew.
    fn with(self, other: Self) -> Self {
        Self { lo: self.lo.max(other.lo), hi: self.hi.max(other.hi) }
    }

    fn called_since(self, since: i64) -> Called {
        match self {
            Self { lo, .. } if lo >= since => Called::Before,
            Self { hi, .. } if hi < since => Called::Never,
            _ => Called::Unknown,
        }
    }
}

/// An answer of the company's memory, and when it was given.
#[derive(Clone, Copy, Debug)]
struct Answer {
    span: Span,
    at_ms: i64,
}

impl Answer {
    /// Whether a number called since a moment, told at `now_ms`; `known` is the answer before.
    fn new(known: Option<Self>, since: i64, before: bool, now_ms: i64) -> Self {
        let span = if before {
            Span { lo: known.map_or(since, |known| known.span.lo.max(since)), hi: now_ms }
        } else {
            Span { lo: i64::MIN, hi: since.saturating_sub(1) }
        };
        Self { span, at_ms: now_ms }
    }
}

/// An answer that is kept by whoever learned it.
#[derive(Clone, Copy, Debug)]
pub struct Learned(Answer);

/// The last calls that were told, ten bytes a number and the room of its line, in all 12.2; and the answers.
#[derive(Debug)]
pub struct Callers {
    last: Packed<Wide>,
    answers: Option<LruCache<Number, Answer>>,
    /// Whether every number told was kept.
    kept_all: bool,
    complete: bool,
    missed_until: i64,
    most: usize,
}

impl Default for Callers {
    fn default() -> Self {
        Self::with_room_for(0)
    }
}

impl Callers {
    /// An empty table, with room made beforehand.
    #[must_use]
    pub fn with_room_for(numbers: usize) -> Self {
        let last = Packed::with_room_for(numbers.min(MOST_CALLERS));
        Self { last, answers: None, kept_all: true, complete: false, missed_until: i64::MIN, most: MOST_CALLERS }
    }

    /// Tells of the number's last call, at `at_ms`. A call before one that was told is no news.
    pub fn tell(&mut self, number: Number, at_ms: i64) {
        let (moment, before) = (to_moment(at_ms), self.last.get(number));
        if before.is_some_and(|before| before >= moment) {
            return;
        }
        let room = before.is_some() || self.last.len() < self.most;
        let kept = room && self.last.insert(number, moment).is_ok();
        self.kept_all &= kept;
        self.complete &= kept;
        let point = Span::point(at_ms);
        match self.answers.as_mut().and_then(|answers| answers.peek_mut(&number)) {
            Some(answer) => answer.span = answer.span.with(point),
            None if kept => {}
            None => self.remember(number, Answer { span: point, at_ms }),
        }
    }

    /// Tells all of a page: a line for each number and its last call, `+79161230099<TAB>1795165200000`, milliseconds of
    /// UTC. Millions of lines a second. Answers how many there were, or the line that is not one; those before it were told.
    pub fn read(&mut self, page: &[u8]) -> Result<usize, BadLine> {
        super::lines(page, |number, moment| {
            let at_ms = moment.and_then(|moment| moment.parse().ok());
            at_ms.map(|at_ms| self.tell(number, at_ms)).is_some()
        })
    }

    /// Tells the answer to "did it call within so many days before `now_ms`".
    pub fn answered(&mut self, number: Number, days: Option<u32>, before: bool, now_ms: i64) {
        let known = if before { self.answer(number) } else { None };
        self.remember(number, Answer::new(known, since(days, now_ms), before, now_ms));
    }

    /// Whether the number called within so many days before `now_ms`; at any time, without `days`.
    pub fn of(&mut self, number: Number, days: Option<u32>, now_ms: i64) -> Called {
        let answer = self.answer(number);
        self.said(number, answer, days, now_ms)
    }

    /// The same, without counting as a use of the answer that is kept; or by one that was learned since.
    #[must_use]
    pub fn peek(&self, number: Number, learned: Option<Learned>, days: Option<u32>, now_ms: i64) -> Called {
        self.said(number, self.peek_answer(number, learned), days, now_ms)
    }

    /// What [`Callers::answered`] would keep, for who shall know it alone.
    #[must_use]
    pub fn learn(
        &self,
        number: Number,
        learned: Option<Learned>,
        days: Option<u32>,
        before: bool,
        now_ms: i64,
    ) -> Learned {
        let known = self.peek_answer(number, learned);
        Learned(Answer::new(known, since(days, now_ms), before, now_ms))
    }

    fn peek_answer(&self, number: Number, learned: Option<Learned>) -> Option<Answer> {
        let kept = || self.answers.as_ref().and_then(|answers| answers.peek(&number).copied());
        learned.map(|Learned(answer)| answer).or_else(kept)
    }

    fn said(&self, number: Number, answer: Option<Answer>, days: Option<u32>, now_ms: i64) -> Called {
        let told = self.last.get(number).map(from_moment);
        let missed = Span { lo: i64::MIN, hi: self.missed_until };
        let span = match (told, answer) {
            (None, None) if self.complete => missed,
            (None, None) => return Called::Unknown,
            (Some(told), None) => told.with(missed),
            (_, Some(answer)) if answer.at_ms == now_ms && now_ms > missed.hi => answer.span,
            (told, Some(answer)) => {
                let known = told.map_or(answer.span, |told| told.with(answer.span));
                if answer.at_ms > missed.hi { known } else { known.with(missed) }
            }
        };
        span.called_since(since(days, now_ms))
    }

    /// Says that every call until now was told. The table is complete then, unless it had no room for one of them.
    pub fn complete(&mut self) {
        self.complete = self.kept_all;
        self.missed_until = i64::MIN;
    }

    /// Says that calls until `until_ms` may not have been told.
    pub fn missed(&mut self, until_ms: i64) {
        self.missed_until = self.missed_until.max(until_ms);
    }

    /// Whether every call was told, but for those that may have been missed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Of how many numbers calls were told.
    #[must_use]
    pub fn len(&self) -> usize {
        self.last.len()
    }

    /// Whether no call was told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the numbers take, without the allocator's own.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.last.bytes()
    }

    fn answer(&mut self, number: Number) -> Option<Answer> {
        self.answers.as_mut()?.get(&number).copied()
    }

    fn remember(&mut self, number: Number, answer: Answer) {
        // All of its room at once: to double it later would hold up a call.
        let most = NonZeroUsize::new(MOST_ANSWERS).unwrap_or(NonZeroUsize::MIN);
        self.answers.get_or_insert_with(|| LruCache::new(most)).put(number, answer);
    }
}

/// The first instant that counts, one past the earliest representable where every call counts.
fn since(days: Option<u32>, now_ms: i64) -> i64 {
    days.map_or(i64::MIN + 1, |days| now_ms.saturating_sub(i64::from(days).saturating_mul(DAY_MS)).max(i64::MIN + 1))
}

/// Milliseconds since the epoch, from 1970 to 2109; those before and after as the first and the last.
fn to_moment(at_ms: i64) -> u64 {
    u64::try_from(at_ms).map_or(0, |at_ms| at_ms.min(Wide::MOST))
}

fn from_moment(moment: u64) -> Span {
    let at_ms = moment as i64;
    match moment {
        0 => Span { lo: i64::MIN + 1, hi: 0 },
        Wide::MOST => Span { lo: at_ms, hi: i64::MAX },
        _ => Span::point(at_ms),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn subscriber(at: u64) -> Number {
        Number::from_e164(79_000_000_000 + at).unwrap()
    }

    #[derive(Clone, Debug)]
    enum Deed {
        /// A call that began so many milliseconds ago has ended, and is told.
        Call(u64, i64),
        /// The same, and is not told, but that some may be missing is.
        Missed(u64, i64),
        Ask(u64, Option<u32>),
        /// The cache of answers has forgotten.
        Evict(u64),
        Pass(i64),
    }

    fn any_deed() -> impl Strategy<Value = Deed> {
        let ago = prop_oneof![Just(0), 0..5_000_i64, 0..3 * DAY_MS];
        let days = prop_oneof![Just(None), (0..4_u32).prop_map(Some), Just(Some(u32::MAX))];
        prop_oneof![
            3 => (0..6_u64, ago.clone()).prop_map(|(number, ago)| Deed::Call(number, ago)),
            1 => (0..6_u64, ago).prop_map(|(number, ago)| Deed::Missed(number, ago)),
            6 => (0..6_u64, days).prop_map(|(number, days)| Deed::Ask(number, days)),
            1 => (0..6_u64).prop_map(Deed::Evict),
            3 => prop_oneof![Just(1), Just(DAY_MS), 0..2 * DAY_MS].prop_map(Deed::Pass),
        ]
    }

    proptest! {
        /// The company's memory knows all calls. Whatever this table says without asking is what the memory would have said.
        #[test]
        fn what_is_said_without_asking_is_so(
            earlier in proptest::collection::vec((0..6_u64, 0..4 * DAY_MS), 0..10),
            complete in any::<bool>(),
            deeds in proptest::collection::vec(any_deed(), 0..60),
            most in prop_oneof![Just(0), Just(3), Just(MOST_CALLERS)],
        ) {
            let (mut callers, mut now) = (Callers { most, ..Callers::default() }, NOW);
            let mut memory: HashMap<u64, i64> = HashMap::new();
            let tell = |memory: &mut HashMap<u64, i64>, number, at: i64| {
                memory.entry(number).and_modify(|last| *last = at.max(*last)).or_insert(at);
            };
            for &(number, ago) in &earlier {
                tell(&mut memory, number, now - ago);
            }
            if complete && most == MOST_CALLERS {
                memory.iter().for_each(|(&number, &last)| callers.tell(subscriber(number), last));
                callers.complete();
            }
            for deed in deeds {
                match deed {
                    Deed::Call(number, ago) => {
                        tell(&mut memory, number, now - ago);
                        // A router tells of its calls as they end, and the others' last calls are told as they end, too.
                        callers.tell(subscriber(number), memory[&number]);
                    }
                    Deed::Missed(number, ago) => {
                        tell(&mut memory, number, now - ago);
                        callers.missed(now);
                    }
                    Deed::Ask(number, days) => {
                        let truth = memory.get(&number).is_some_and(|&last| last >= since(days, now));
                        match callers.of(subscriber(number), days, now) {
                            Called::Before => prop_assert!(truth, "{number} did not call"),
                            Called::Never => prop_assert!(!truth, "{number} did call"),
                            Called::Unknown => callers.answered(subscriber(number), days, truth, now),
                        }
                    }
                    Deed::Evict(number) => {
                        _ = callers.answers.as_mut().and_then(|answers| answers.pop(&subscriber(number)));
                    }
                    Deed::Pass(ms) => now += ms,
                }
            }
        }

        #[test]
        fn a_call_that_was_told_is_known_to_the_millisecond_and_never_asked_for(
            at in 1..i64::try_from(Wide::MOST).unwrap(),
            days in 0..1_000_u32,
            early in any::<bool>(),
        ) {
            let mut callers = Callers::default();
            callers.tell(subscriber(1), at);
            let last = at + i64::from(days) * DAY_MS;
            prop_assert_eq!(callers.of(subscriber(1), None, last), Called::Before);
            let (now, expected) = if early { (last, Called::Before) } else { (last + 1, Called::Never) };
            prop_assert_eq!(callers.of(subscriber(1), Some(days), now), expected);
        }

        #[test]
        fn a_call_at_any_moment_at_all_is_never_a_first_one_after(at in any::<i64>(), later in 0..i64::MAX, days: Option<u32>) {
            let mut callers = Callers::default();
            callers.complete();
            callers.tell(subscriber(1), at);
            let now = at.saturating_add(later);
            let (said, truth) = (callers.of(subscriber(1), days, now), at >= since(days, now));
            let wrong = if truth { Called::Never } else { Called::Before };
            prop_assert_ne!(said, wrong);
            prop_assert!(days.is_some() || at == i64::MIN || said == Called::Before);
        }
    }

    #[test]
    fn an_answer_that_overlooks_a_call_stands_for_its_own_turn_alone() {
        let mut callers = Callers::default();
        callers.tell(subscriber(1), NOW - 1);
        callers.answered(subscriber(1), None, false, NOW);
        assert_eq!(callers.of(subscriber(1), None, NOW), Called::Never);
        assert_eq!(callers.of(subscriber(1), None, NOW + 1), Called::Before);
        callers.answered(subscriber(1), None, false, NOW + 2);
        callers.tell(subscriber(1), NOW + 2);
        assert_eq!(callers.of(subscriber(1), None, NOW + 2), Called::Before);
    }

    #[test]
    fn a_page_is_read_to_the_line_that_is_none() {
        let mut callers = Callers::default();
        assert_eq!(callers.read(format!("+79000000001\t{NOW}\n+79000000002\t{}\n", NOW - DAY_MS).as_bytes()), Ok(2));
        assert_eq!(callers.of(subscriber(1), Some(0), NOW), Called::Before);
        assert_eq!(callers.of(subscriber(2), Some(0), NOW), Called::Never);
        for page in ["+79000000003\t1\n+79000000003", "+79000000003\t1\n+79000000003\tyesterday"] {
            assert_eq!(callers.read(page.as_bytes()), Err(BadLine { line: 2 }));
        }
    }

    #[test]
    fn a_table_that_had_no_room_for_somebody_is_not_complete_and_takes_nobody_for_new() {
        let mut callers = Callers { most: 1, ..Callers::default() };
        callers.tell(subscriber(1), NOW - DAY_MS);
        callers.tell(subscriber(2), NOW - DAY_MS);
        callers.complete();
        assert_eq!(callers.of(subscriber(1), None, NOW), Called::Before);
        assert_eq!(callers.of(subscriber(2), None, NOW), Called::Before);
        assert_eq!(callers.of(subscriber(3), None, NOW), Called::Unknown);
    }

    #[test]
    fn in_a_complete_table_nobody_is_asked_for_until_calls_may_be_missing() {
        let mut callers = Callers::default();
        callers.tell(subscriber(1), NOW - DAY_MS);
        assert_eq!(callers.of(subscriber(2), None, NOW), Called::Unknown);
        callers.complete();
        assert_eq!(callers.of(subscriber(2), None, NOW), Called::Never);
        callers.missed(NOW);
        assert_eq!(callers.of(subscriber(2), None, NOW), Called::Unknown);
        assert_eq!(callers.of(subscriber(1), None, NOW), Called::Before);
        assert_eq!(callers.of(subscriber(1), Some(0), NOW), Called::Unknown);
        // Three days later, whoever called within two days is known again.
        assert_eq!(callers.of(subscriber(2), Some(2), NOW + 3 * DAY_MS), Called::Never);
    }
}
