//! What the engine remembers, at scale: owners, callers, calls in flight, people on the floor.
//!
//! Each is measured beside a limit in the same run: `HashMap<u64, u32>`, one random access to memory, a small company.
//! *Warm* is a thousand numbers asked again and again in a table of all; *cold* is all of them, each asked after the last
//! was answered, so that no two waits for memory overlap. Bytes are the growth of the process, the allocator's own with
//! them. `BENCH_PERCENT` makes everything smaller.
#![allow(clippy::expect_used, clippy::panic, missing_docs)] // a benchmark that cannot go on must say so and stop

mod figures;

use std::collections::HashMap;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use criterion::Criterion;
use figures::{figure, scaled};
use kommutator_engine::company::compile;
use kommutator_engine::facts::{Called, Callers, Owner, Owners};
use kommutator_engine::floor::Line;
use kommutator_engine::number::Number;
use kommutator_engine::{Action, Engine, Event, Turn};
use serde_json::{Map, Value, json};

const NOW: i64 = 1_795_165_200_000;
const WARM: usize = 1_000;
const PART: &str = "BENCH_PART";

type Part = fn(&mut Criterion);

/// Each is measured in a process of its own, for what a process has freed it does not give back.
const PARTS: [(&str, Part); 4] =
    [("owners", owners), ("callers", callers), ("calls", calls_in_flight), ("floor", floor)];

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
    if let Ok(part) = std::env::var(PART) {
        let (_, measure) = PARTS.iter().find(|(name, _)| *name == part).expect("a part of this benchmark");
        measure(&mut criterion);
        criterion.final_summary();
        return;
    }
    for (part, _) in PARTS {
        let this = std::env::current_exe().expect("a program has a path");
        let done = Command::new(this).args(std::env::args().skip(1)).env(PART, part).status();
        assert!(done.expect("it starts").success(), "{part}");
    }
}

/// Resident memory of the process, bytes: the second field of Linux's `/proc/self/statm`, in pages.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).map_or(0, |pages| pages * 4096)
}

fn number(at: usize) -> Number {
    Number::from_e164(79_000_000_000 + at as u64).expect("a number")
}

/// A walk through `0..count` that visits each once and knows no next place before the last (a full-period congruence).
#[derive(Clone, Copy)]
struct Walk {
    count: usize,
    at: usize,
}

impl Walk {
    fn new(count: usize) -> Self {
        Self { count, at: 0 }
    }

    fn next(&mut self, after: usize) -> usize {
        let whole = self.count.next_power_of_two();
        self.at ^= after & (1 << 63);
        loop {
            self.at = (self.at.wrapping_mul(0x9e37_79b9_7f4a_7c15 & !3 | 1).wrapping_add(0x2545_f491_4f6c_dd1d | 1))
                & (whole - 1);
            if self.at < self.count {
                return self.at;
            }
        }
    }
}

/// How long each of very many deeds takes; the longest is told, with the time that half and all but one in a million take.
fn timed(what: &str, count: usize, mut deed: impl FnMut(usize)) {
    let mut buckets = vec![0_usize; 2_000];
    let (mut longest, begun) = (Duration::ZERO, Instant::now());
    let mut last = begun;
    for at in 0..count {
        deed(at);
        let now = Instant::now();
        let took = now - last;
        last = now;
        longest = longest.max(took);
        buckets[(took.as_nanos() as usize / 20).min(1_999)] += 1;
    }
    let percentile = |share: f64| {
        let (mut left, mut at) = ((count as f64 * share) as usize, 0);
        while at < 1_999 && left >= buckets[at] {
            left -= buckets[at];
            at += 1;
        }
        at * 20
    };
    figure(&format!("{what}/rate"), count as f64 / begun.elapsed().as_secs_f64(), "a second");
    figure(&format!("{what}/p50"), percentile(0.5) as f64, "ns");
    figure(&format!("{what}/p99.9999"), percentile(0.999_999) as f64, "ns at most, 40,000 and more being one");
    figure(&format!("{what}/longest"), longest.as_secs_f64() * 1e6, "µs");
}

fn owners(criterion: &mut Criterion) {
    let count = scaled(10_000_000);
    timed("nothing at all", count, |at| _ = black_box(at));
    let employees: Vec<String> = (0..50_000).map(|ix| format!("employee-{ix}")).collect();
    let before = resident();
    let mut owners = Owners::default();
    timed("owners told one by one", count, |at| owners.set(number(at), Some(&employees[at % employees.len()])));
    assert!(owners.complete());
    figure("owners/resident", (resident() - before) as f64 / count as f64, "bytes each");
    figure("owners/size", owners.bytes() as f64 / count as f64, "bytes each");
    let before = resident();
    let mut map = HashMap::<u64, u32>::new();
    timed("HashMap<u64, u32> told one by one", count, |at| _ = map.insert(number(at).as_u64(), (at % 50_000) as u32));
    figure("HashMap<u64, u32>/resident", (resident() - before) as f64 / count as f64, "bytes each");
    let before = resident();
    let mut made = Owners::with_room_for(count);
    (0..count).for_each(|at| made.set(number(at), Some(&employees[at % employees.len()])));
    figure("owners/made with room/resident", (resident() - before) as f64 / count as f64, "bytes each");
    drop(made);
    let plain: Vec<u64> = (0..count as u64).collect();

    let mut group = criterion.benchmark_group("memory/owner");
    for (heat, within) in [("warm", WARM.min(count)), ("cold", count)] {
        let mut walk = Walk::new(within);
        let mut last = 0;
        group.bench_function(format!("{heat}/of"), |bencher| {
            bencher.iter(|| {
                let at = walk.next(last);
                let Some(Owner::Employee(id)) = owners.of(number(at)) else { panic!("{at} has an owner") };
                last = id.len();
            });
        });
        group.bench_function(format!("{heat}/HashMap"), |bencher| {
            bencher.iter(|| last = map[&number(walk.next(last)).as_u64()] as usize);
        });
        group.bench_function(format!("{heat}/one access"), |bencher| {
            bencher.iter(|| last = plain[walk.next(last)] as usize);
        });
        group.bench_function(format!("{heat}/the walk itself"), |bencher| bencher.iter(|| last = walk.next(last)));
    }
    group.bench_function("told and forgotten", |bencher| {
        let mut walk = Walk::new(count);
        bencher.iter(|| {
            let of = number(walk.next(0));
            owners.forget(of);
            owners.set(of, Some("employee-1"));
        });
    });
    group.finish();
}

fn callers(criterion: &mut Criterion) {
    let count = scaled(100_000_000);
    timed("nothing at all", count, |at| _ = black_box(at));
    let before = resident();
    let mut callers = Callers::default();
    timed("callers told one by one", count, |at| callers.tell(number(at), NOW - at as i64));
    callers.complete();
    figure("callers/resident", (resident() - before) as f64 / count as f64, "bytes each");
    figure("callers/size", callers.bytes() as f64 / count as f64, "bytes each");
    known_exactly(&mut callers, count);
    let mut group = criterion.benchmark_group("memory/caller");
    for (heat, within) in [("warm", WARM.min(count)), ("cold", count)] {
        let mut walk = Walk::new(within);
        group.bench_function(format!("{heat}/called before"), |bencher| {
            bencher.iter(|| assert_eq!(callers.of(number(walk.next(0)), None, NOW), Called::Before));
        });
        group.bench_function(format!("{heat}/first call"), |bencher| {
            bencher.iter(|| assert_eq!(callers.of(number(count + walk.next(0)), Some(30), NOW), Called::Never));
        });
    }
    group.bench_function("told again", |bencher| {
        let (mut walk, mut now) = (Walk::new(count), NOW);
        bencher.iter(|| {
            now += 1;
            callers.tell(number(walk.next(0)), now);
        });
    });
    group.finish();
}

/// Asks for a million of the numbers, and for as many that never called. To the millisecond, each had called since the
/// moment of its last call, and not since the next; and no call is a first one that is not.
fn known_exactly(callers: &mut Callers, count: usize) {
    const DAY: i64 = 86_400_000;
    let mut walk = Walk::new(count);
    for _ in 0..count.min(1_000_000) {
        let at = walk.next(0);
        let last = NOW - at as i64;
        assert_eq!(callers.of(number(at), None, NOW), Called::Before, "{at}");
        assert_eq!(callers.of(number(at), Some(30), last + 30 * DAY), Called::Before, "{at}");
        assert_eq!(callers.of(number(at), Some(30), last + 30 * DAY + 1), Called::Never, "{at}");
        assert_eq!(callers.of(number(count + at), None, NOW), Called::Never, "{at}");
    }
}

/// A company whose first scheme is a menu, and where every other is a hunt through a group of people.
fn company(people: usize, groups: usize, strategies: &[&str]) -> Engine {
    let each = people / groups;
    let employee = |ix: usize| {
        let card = json!({"name": format!("E{ix}"), "department": "sales", "endpoint": format!("PJSIP/{ix}")});
        (format!("e{ix}"), card)
    };
    let members =
        |group: usize| -> Vec<String> { (group * each..(group + 1) * each).map(|ix| format!("e{ix}")).collect() };
    let rest = json!({
        "note": {"kind": "task", "assign": "sales", "title": "Call back", "exits": {"done": "bye"}},
        "bye": {"kind": "hangup"},
    });
    let scheme = |start: &str, first: Value| {
        let mut nodes = rest.clone();
        nodes[start] = first;
        json!({"start": start, "responsible": "sales", "nodes": nodes})
    };
    let menu = json!({"kind": "menu", "prompt": "hello", "options": {"1": "one"}, "seconds": 5.0, "attempts": 3,
        "exits": {"one": "note", "no_input": "note", "invalid": "note"}});
    let mut schemes = Map::from_iter([("menu".to_owned(), scheme("menu", menu))]);
    let mut numbers = Map::from_iter([("+74950000000".to_owned(), json!({"scheme": "menu"}))]);
    for (at, strategy) in strategies.iter().enumerate() {
        let hunt = json!({"kind": "ring", "ring": [{"group": "g0"}], "strategy": strategy, "seconds": 20.0,
            "exits": {"no_answer": "note", "busy": "note", "unavailable": "note"}});
        schemes.insert((*strategy).to_owned(), scheme("hunt", hunt));
        numbers.insert(format!("+7495000000{}", at + 1), json!({"scheme": strategy}));
    }
    let document = json!({
        "company": {"name": "C", "timezone": "Europe/Moscow", "country": "RU", "language": "en"},
        "employees": (0..people).map(employee).collect::<Map<_, _>>(),
        "departments": {"sales": {"name": "Sales"}},
        "groups": (0..groups).map(|group| (format!("g{group}"), json!({"members": members(group)}))).collect::<Map<_, _>>(),
        "prompts": {"hello": {"seconds": 3.0}},
        "numbers": numbers,
        "schemes": schemes,
    });
    let compiled = compile(&serde_json::from_value(document).expect("a document"));
    assert!(compiled.findings.is_empty(), "{:?}", compiled.findings);
    Engine::new(compiled.company.into())
}

fn calls_in_flight(criterion: &mut Criterion) {
    let count = scaled(1_000_000);
    let mut engine = company(10, 1, &[]);
    let mut group = criterion.benchmark_group("memory/calls in flight");
    let wrong: Event = serde_json::from_value(json!({"type": "digits", "digits": "9"})).expect("an event");
    let step = |engine: &mut Engine, turn: &Turn| engine.handle(&turn.state, &wrong, NOW).expect("it answers the menu");
    let first = engine.arrive("first", "+74950000000", None, NOW).expect("a call");
    group.bench_function("a step, one call", |bencher| bencher.iter(|| black_box(step(&mut engine, &first))));
    let (mut states, before) = (Vec::with_capacity(count), resident());
    timed("calls begun", count, |at| {
        states.push(engine.arrive(&format!("call-{at}"), "+74950000000", None, NOW).expect("a call").state);
    });
    let held: usize = states.iter().map(|state| state.capacity() + size_of::<Vec<u8>>()).sum();
    figure("calls in flight/resident", (resident() - before) as f64 / count as f64, "bytes each");
    figure("calls in flight/state", held as f64 / count as f64, "bytes each");
    group.bench_function("a step beside them", |bencher| bencher.iter(|| black_box(step(&mut engine, &first))));
    let mut walk = Walk::new(count);
    group.bench_function("a step, each call in turn", |bencher| {
        bencher.iter(|| engine.handle(&states[walk.next(0)], &wrong, NOW).expect("it answers the menu"));
    });
    group.finish();
}

/// A call is offered to the next employee and goes again; with everybody free, with one of the group, with nobody.
fn floor(criterion: &mut Criterion) {
    let people = scaled(50_000);
    let strategies = ["round_robin", "longest_idle", "fewest_calls", "random", "linear"];
    let gone: Event = serde_json::from_value(json!({"type": "caller_hung_up"})).expect("an event");
    let mut group = criterion.benchmark_group("memory/next employee");
    for (people, groups) in [(10, 1), (people, people.div_ceil(1_000))] {
        let mut engine = company(people, groups, &strategies);
        let each = people / groups;
        for (crowd, busy) in [("all free", 0..0), ("one free", 0..each - 1), ("nobody free", 0..each)] {
            busy.for_each(|ix| engine.line(&format!("e{ix}"), Line::Busy).expect("an employee"));
            for (at, strategy) in strategies.iter().enumerate() {
                let did = format!("+7495000000{}", at + 1);
                group.bench_function(format!("{strategy}, {crowd} of {each}, {people} people"), |bencher| {
                    bencher.iter(|| {
                        let turn = engine.arrive("call", &did, None, NOW).expect("a call");
                        assert_eq!(matches!(turn.action, Action::Ring { .. }), crowd != "nobody free");
                        engine.handle(&turn.state, &gone, NOW).expect("he may go at any time")
                    });
                });
            }
            (0..each).for_each(|ix| engine.line(&format!("e{ix}"), Line::Idle).expect("an employee"));
        }
        let mut ix = 0;
        group.bench_function(format!("a line changes, {people} people"), |bencher| {
            bencher.iter(|| {
                ix = (ix + 1) % (2 * each);
                let line = if ix < each { Line::Busy } else { Line::Idle };
                engine.line(&format!("e{}", ix % each), line).expect("an employee");
            });
        });
    }
    group.finish();
}
