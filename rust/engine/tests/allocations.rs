//! A step asks for no memory but its reply's: whatever it allocates, the turn holds, and gives back when it is dropped.
//!
//! Debug builds and release builds allocate alike, so this holds in both.
#![allow(clippy::expect_used)]

#[path = "../benches/calls/mod.rs"]
#[allow(dead_code)] // arrivals are wanted here, whole calls are not
mod calls;

use allocation_counter::{AllocationInfo, measure};
use kommutator_engine::call::{Calls, Column, Dids};
use kommutator_engine::number::Number;

/// What the reply of an arrival holds: always the state; the trace where nodes were passed, and the lists that were asked in vain;
/// where phones ring, these and the round.
const REPLIES: [(&str, u64); 8] = [
    ("1-office-hours", 1),
    ("2-list-and-menu", 3),
    ("3-first-or-repeat", 1),
    ("4-regions", 2),
    ("5-card-and-vip", 1),
    ("6-hold-and-repeat", 1),
    ("7-owner-first", 4),
    ("8-expanding", 3),
];

#[test]
fn an_arrival_allocates_its_reply_and_nothing_else() {
    let calls = calls::all();
    let allocated = calls.iter().map(|(scheme, call)| {
        let mut engine = call.proven_engine(scheme);
        let mut turn = None;
        let made = measure(|| turn = Some(call.arrive(&mut engine)));
        assert_eq!(calls::words(turn.as_ref().expect("a turn")), call.first_answer());
        let freed = measure(|| drop(turn.take()));
        assert_eq!(held(&made), -held(&freed), "{scheme}: the turn gives back all that the step has taken");
        assert_eq!(made.count_total, held(&made).unsigned_abs(), "{scheme}: nothing is taken only for a while");
        (scheme.as_str(), made.count_total)
    });
    assert_eq!(allocated.collect::<Vec<_>>(), REPLIES);
}

#[test]
fn a_decision_that_was_made_before_allocates_nothing() {
    for (scheme, call) in &calls::all() {
        let mut engine = call.proven_engine(scheme);
        let mut table = engine.decisions();
        let place = call.decide(&mut engine, &mut table);
        let mut again = None;
        let made = measure(|| again = Some(call.decide(&mut engine, &mut table)));
        assert_eq!((again, made.count_total), (Some(place), 0), "{scheme}");
        let decision = table.get(place).expect("a decision");
        assert_eq!(calls::told(&decision.action), call.decided_answer(), "{scheme}");
    }
}

#[test]
fn a_column_allocates_nothing_for_calls_that_are_decided_as_others_were() {
    let mut engine = calls::all()["2-list-and-menu"].proven_engine("2-list-and-menu");
    let number = |digits| Number::from_e164(digits);
    let callers = [number(79_161_230_050), number(79_990_000_000), None, number(78_123_334_455)];
    let dids = [number(74_951_112_233), None, number(74_951_112_233), number(74_951_112_234)];
    let moments_ms: [i64; 4] = std::array::from_fn(|nth| 1_795_165_200_000 + nth as i64 * 21_600_000);
    for dids in [Dids::One(dids[0]), Dids::Each(&dids)] {
        let calls = Calls { dids, callers: &callers, moments_ms: &moments_ms, call_ids: None };
        let mut column = Column::new(engine.decisions());
        let mut numbers = Vec::with_capacity(2 * callers.len());
        engine.decide_column(&mut column, &calls, &mut numbers).expect("decisions");
        let made = measure(|| engine.decide_column(&mut column, &calls, &mut numbers).expect("decisions"));
        assert_eq!(made.count_total, 0);
        assert_eq!(numbers[..callers.len()], numbers[callers.len()..]);
    }
}

/// How many allocations were left at the end; fewer than none where more were given back than taken.
fn held(info: &AllocationInfo) -> i64 {
    info.count_current
}
