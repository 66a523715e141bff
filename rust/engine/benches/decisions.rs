//! One decision of each of the eight schemes, and the whole of an answered call. Each first shows that the answer is right.
#![allow(clippy::expect_used, missing_docs)] // a benchmark that cannot go on must say so and stop

mod calls;

use std::time::Duration;

use criterion::Criterion;
use kommutator_engine::call::Disposition;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    arrivals(&mut criterion);
    decisions(&mut criterion);
    walks(&mut criterion);
    answered_calls(&mut criterion);
    criterion.final_summary();
}

/// From the arrival to the first action.
fn arrivals(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("arrival");
    for (scheme, call) in &calls::all() {
        let mut engine = call.proven_engine(scheme);
        group.bench_function(scheme, |bencher| bencher.iter(|| call.arrive(&mut engine)));
        assert_eq!(calls::words(&call.arrive(&mut engine)), call.first_answer(), "{scheme}");
    }
    group.finish();
}

/// Where the call goes, and nothing else.
fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decision");
    for (scheme, call) in &calls::all() {
        let mut engine = call.proven_engine(scheme);
        let mut table = engine.decisions();
        let place = call.decide(&mut engine, &mut table);
        let decision = table.get(place).expect("a decision");
        assert_eq!(calls::told(&decision.action), call.decided_answer(), "{scheme}");
        group.bench_function(scheme, |bencher| bencher.iter(|| call.decide(&mut engine, &mut table)));
        assert_eq!((call.decide(&mut engine, &mut table), table.len()), (place, 1), "{scheme}");
    }
    group.finish();
}

/// All that the caller of an answered call meets, and nothing else.
fn walks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("walk");
    for (scheme, call) in &calls::all() {
        let mut engine = call.proven_engine(scheme);
        assert_eq!(call.walk(&mut engine).0, Disposition::Answered, "{scheme}");
        group.bench_function(scheme, |bencher| bencher.iter(|| call.walk(&mut engine)));
    }
    group.finish();
}

/// From the arrival to the end of a call that somebody answers.
fn answered_calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answered_call");
    for (scheme, call) in &calls::all() {
        let mut engine = call.proven_engine(scheme);
        group.bench_function(scheme, |bencher| bencher.iter(|| call.whole(&mut engine)));
        assert_eq!(calls::words(&call.whole(&mut engine)), call.last_answer(), "{scheme}");
    }
    group.finish();
}
