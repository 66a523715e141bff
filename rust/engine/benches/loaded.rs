//! Arrivals with a country's data loaded: ten million numbers on every list, half a million ranges, ten million owners,
//! fifty thousand employees.
//!
//! *Warm* is one caller again and again. *Cold* is a hundred thousand callers, half of them on the lists and owned, so that what
//! the tables say of each is out of cache. Each is asked as a whole turn and as a pure decision. `BENCH_PERCENT` makes the data
//! smaller.
#![allow(clippy::expect_used, missing_docs)] // a benchmark that cannot go on must say so and stop

#[allow(dead_code)] // calls are wanted here, whole calls are not
mod calls;
#[allow(dead_code)]
mod figures;
#[allow(dead_code)]
mod scale;

use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use kommutator_engine::Engine;
use kommutator_engine::company::{Company, Document, compile};
use kommutator_engine::directory::pack;
use kommutator_engine::facts::Owners;
use serde_json::{Value, json};

use scale::{Random, mobiles, number, plan};

const LISTED: usize = 10_000_000;
const CALLERS: usize = 100_000;
const EMPLOYEES: usize = 50_000;
const SCHEMES: [&str; 4] = ["2-list-and-menu", "4-regions", "5-card-and-vip", "7-owner-first"];

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let listed = mobiles(figures::scaled(LISTED), 1);
    let packed = pack(listed.iter().map(|&digits| number(digits)).collect());
    let mut random = Random(2);
    let callers: Vec<String> = (0..CALLERS)
        .map(|nth| if nth % 2 == 0 { listed[random.below(listed.len() as u64) as usize] } else { random.mobile() })
        .map(|digits| format!("+{digits}"))
        .collect();
    let calls = calls::all();
    for scheme in SCHEMES {
        let call = &calls[scheme];
        let company = company(scheme, &packed);
        let mut engine = Engine::new(Arc::clone(&company));
        engine.swap_owners(owners(&company, &listed));
        call.tell_owner(&mut engine);
        assert_eq!(calls::words(&call.arrive(&mut engine)), call.first_answer(), "{scheme}");

        let mut group = criterion.benchmark_group("loaded");
        let mut turn = 0;
        group.bench_function(format!("{scheme}/warm"), |bencher| bencher.iter(|| call.arrive(&mut engine)));
        group.bench_function(format!("{scheme}/cold"), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % CALLERS;
                call.arrive_from(&mut engine, &callers[turn])
            });
        });
        let mut table = engine.decisions();
        group.bench_function(format!("{scheme}/decided, warm"), |bencher| {
            bencher.iter(|| call.decide(&mut engine, &mut table));
        });
        group.bench_function(format!("{scheme}/decided, cold"), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % CALLERS;
                call.decide_from(&mut engine, &mut table, &callers[turn])
            });
        });
        group.finish();
    }
    criterion.final_summary();
}

/// The scheme's company with the numbers on each of its lists, a numbering plan besides its regions, and everybody else.
fn company(scheme: &str, packed: &str) -> Arc<Company> {
    let mut document: Value = serde_json::from_str(calls::document(scheme)).expect("an engine document");
    for list in document["lists"].as_object_mut().expect("lists").values_mut() {
        list["packed"] = json!(packed);
    }
    let regions = document["regions"].as_object_mut().expect("regions");
    // The narrowest wins: what the scheme calls a region of its own stays one.
    let prefixes =
        regions.values().filter_map(|region| region["prefixes"].as_array()).flatten().filter_map(Value::as_str);
    let own: Vec<String> = prefixes
        .map(|prefix| {
            let digits: String = prefix.chars().filter(char::is_ascii_digit).collect();
            if prefix.starts_with('8') { digits.replacen('8', "7", 1) } else { digits }
        })
        .collect();
    for (nth, mut extent) in plan(3).into_iter().enumerate() {
        extent.ranges.retain(|(first, _)| !own.iter().any(|prefix| first.to_string().starts_with(prefix)));
        regions.insert(format!("plan-{nth}"), json!({"name": format!("Plan {nth}"), "ranges": extent.ranges}));
    }
    let employees = document["employees"].as_object_mut().expect("employees");
    for nth in employees.len()..EMPLOYEES {
        employees.insert(format!("e{nth}"), json!({"name": format!("E{nth}"), "endpoint": format!("PJSIP/9{nth:06}")}));
    }
    let document: Document = serde_json::from_value(document).expect("an engine document");
    let compiled = compile(&document);
    assert!(compiled.findings.is_empty(), "{:?}", compiled.findings);
    Arc::new(compiled.company)
}

/// Every listed number is somebody's.
fn owners(company: &Company, listed: &[u64]) -> Owners {
    let mut owners = Owners::with_room_for(listed.len());
    for (nth, &digits) in listed.iter().enumerate() {
        owners.set(number(digits), Some(&company.employees[nth % company.employees.len()].id));
    }
    assert!(owners.complete());
    owners
}
