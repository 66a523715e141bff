//! Decides one of the measured calls a number of times, and nothing else: for counting instructions.
//!
//! `decide SCHEME TIMES`; the functions `arrival` and `answered_call` are what a profiler's `--toggle-collect` names.
#![allow(clippy::expect_used, missing_docs)] // a measurement that cannot go on must say so and stop

#[path = "../benches/calls/mod.rs"]
mod calls;

use std::hint::black_box;

use calls::BenchCall;
use kommutator_engine::{Engine, Turn};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (scheme, times) = arguments.next().zip(arguments.next()).expect("decide SCHEME TIMES");
    let times: u32 = times.parse().expect("TIMES is a number");
    let calls = calls::all();
    let call = calls.get(&scheme).expect("SCHEME is one of bench/calls.json");
    let mut engine = call.proven_engine(&scheme);
    for _ in 0..times {
        assert_eq!(calls::words(&black_box(answered_call(call, &mut engine))), call.last_answer());
    }
    for _ in 0..times {
        assert_eq!(calls::words(&black_box(arrival(call, &mut engine))), call.first_answer());
    }
}

#[inline(never)]
fn arrival(call: &BenchCall, engine: &mut Engine) -> Turn {
    call.arrive(engine)
}

#[inline(never)]
fn answered_call(call: &BenchCall, engine: &mut Engine) -> Turn {
    call.walk(engine)
}
