//! Decides each of the measured calls a number of times, and nothing else: for counting instructions.
//!
//! `kommutator-decide TIMES`. In the order of `bench/calls.json`, each scheme runs `arrivals`, `decisions`, `walks`
//! and `answered_calls` once. A profiler collects in `arrival`, `decision`, `walk` and `answered_call` (`--toggle-collect`), which
//! those call so many times, and dumps after those (`--dump-after`): callgrind does not take one function for both.
#![allow(clippy::expect_used, missing_docs)] // a measurement that cannot go on must say so and stop

#[path = "../../../rust/engine/benches/calls/mod.rs"]
mod calls;

use std::hint::black_box;

use calls::BenchCall;
use kommutator_engine::Engine;
use kommutator_engine::call::{Decisions, Disposition};

fn main() {
    let times = std::env::args().nth(1).and_then(|times| times.parse().ok()).expect("kommutator-decide TIMES");
    for (scheme, call) in &calls::all() {
        let mut engine = call.proven_engine(scheme);
        arrivals(call, &mut engine, times);
        assert_eq!(calls::words(&call.arrive(&mut engine)), call.first_answer(), "{scheme}");
        let mut table = engine.decisions();
        let place = call.decide(&mut engine, &mut table);
        decisions(call, &mut engine, &mut table, times);
        let decision = table.get(place).expect("a decision");
        assert_eq!(calls::told(&decision.action), call.decided_answer(), "{scheme}");
        walks(call, &mut engine, times);
        assert_eq!(call.walk(&mut engine).0, Disposition::Answered, "{scheme}");
        answered_calls(call, &mut engine, times);
        assert_eq!(calls::words(&call.whole(&mut engine)), call.last_answer(), "{scheme}");
    }
}

#[inline(never)]
fn arrivals(call: &BenchCall, engine: &mut Engine, times: u32) {
    (0..times).for_each(|_| arrival(call, engine));
}

#[inline(never)]
fn decisions(call: &BenchCall, engine: &mut Engine, table: &mut Decisions, times: u32) {
    (0..times).for_each(|_| decision(call, engine, table));
}

#[inline(never)]
fn walks(call: &BenchCall, engine: &mut Engine, times: u32) {
    (0..times).for_each(|_| walk(call, engine));
}

#[inline(never)]
fn answered_calls(call: &BenchCall, engine: &mut Engine, times: u32) {
    (0..times).for_each(|_| answered_call(call, engine));
}

/// The turn is dropped in here: its memory is part of what it costs.
#[inline(never)]
fn arrival(call: &BenchCall, engine: &mut Engine) {
    black_box(call.arrive(engine));
}

/// The table has the decision already.
#[inline(never)]
fn decision(call: &BenchCall, engine: &mut Engine, table: &mut Decisions) {
    black_box(call.decide(engine, table));
}

#[inline(never)]
fn walk(call: &BenchCall, engine: &mut Engine) {
    black_box(call.walk(engine));
}

#[inline(never)]
fn answered_call(call: &BenchCall, engine: &mut Engine) {
    black_box(call.whole(engine));
}
