//! A step asks for no memory but its reply's: whatever it allocates, the turn holds, and gives back when it is dropped.
//!
//! Debug builds and release builds allocate alike, so this holds in both.
#![allow(clippy::expect_used)]

#[path = "../benches/calls/mod.rs"]
#[allow(dead_code)] // arrivals are wanted here, whole calls are not
mod calls;

use allocation_counter::{AllocationInfo, measure};
use kommutator_engine::call::{Disposition, Fault};

/// The most that a reply may hold: the state, the trace, the round with whom it left out, the phones that ring.
const REPLY: u64 = 5;

#[test]
fn an_arrival_allocates_its_reply_and_nothing_else() {
    for (scheme, call) in &calls::all() {
        let mut engine = call.proven_engine(scheme);
        let mut turn = None;
        let made = measure(|| turn = Some(call.arrive(&mut engine)));
        assert_eq!(calls::words(turn.as_ref().expect("a turn")), call.first_answer());
        let freed = measure(|| drop(turn.take()));
        assert_eq!(held(&made), -held(&freed), "{scheme}: the turn gives back all that the step has taken");
        assert_eq!(made.count_total, held(&made).unsigned_abs(), "{scheme}: nothing is taken only for a while");
        assert!(made.count_total <= REPLY, "{scheme}: {} allocations", made.count_total);
    }
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
fn a_walk_allocates_nothing_where_the_first_round_answers() {
    // The other's second round is formed by the machine.
    for (scheme, call) in calls::all().iter().filter(|(scheme, _)| *scheme != "8-expanding") {
        let mut engine = call.proven_engine(scheme);
        let mut ending = None;
        let made = measure(|| ending = Some(call.follow(&mut engine)));
        assert_eq!((ending, made.count_total), (Some((Disposition::Answered, Fault::None)), 0), "{scheme}");
    }
}

/// How many allocations were left at the end; fewer than none where more were given back than taken.
fn held(info: &AllocationInfo) -> i64 {
    info.count_current
}
