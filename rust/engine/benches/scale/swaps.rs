//! What steps take while versions with ten million numbers and fifty thousand employees are swapped beside them, and how
//! long each change holds the engine.
//!
//! The engine is behind a lock, as whoever serves calls with several threads has it: one thread steps, the other compiles
//! versions, makes them ready, and holds the engine for the change alone. The same is done first without any change, with a
//! neighbour as busy. Steps and holds are timed by the clock and by the thread's processor time: what by the clock is long
//! and of the processor is not was waiting for the processor, or for the lock.

use std::fs::read_to_string;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kommutator_engine::company::{Document, compile_beside};
use kommutator_engine::directory::pack;
use kommutator_engine::facts::{Callers, Owners};
use kommutator_engine::number::Number;
use kommutator_engine::{Engine, Event, Prepared};
use serde_json::{Map, Value, json};

use super::figures::{figure, scaled};
use super::{mobiles, number, processor_time};

const LISTED: usize = 10_000_000;
const PEOPLE: usize = 50_000;
const IN_GROUP: usize = 1_000;
const SWAPS: usize = 4;
const CHANGES: usize = 100_000;

type Shared = Arc<Mutex<Engine>>;
/// A step or a hold: by the clock, and of the processor.
type Took = (Duration, Duration);

/// Tells how long steps took, without and with changes beside them.
pub fn told() {
    let packed: Vec<String> =
        (0..2).map(|seed| pack(mobiles(scaled(LISTED), seed + 10).into_iter().map(number).collect())).collect();
    let documents: Vec<Document> = packed.into_iter().enumerate().map(|(nth, packed)| document(nth, packed)).collect();

    for (name, changing) in [("alone", false), ("beside swaps", true)] {
        let began = switches();
        let (steps, holds) = stepped(&documents, changing);
        let ended = switches();
        let (mut clock, mut processor): (Vec<_>, Vec<_>) = steps.iter().copied().unzip();
        figure(&format!("steps {name}/steps"), steps.len() as f64, "");
        percentiles(&format!("steps {name}/clock"), &mut clock);
        percentiles(&format!("steps {name}/processor"), &mut processor);
        let slow = steps.iter().filter(|(clock, _)| *clock > Duration::from_millis(1));
        let own = slow.clone().filter(|(_, processor)| *processor > Duration::from_millis(1)).count();
        figure(&format!("steps {name}/longer than 1 ms by the clock"), slow.count() as f64, "");
        figure(&format!("steps {name}/longer than 1 ms of the processor"), own as f64, "");
        for (at, kind) in ["voluntary", "involuntary"].iter().enumerate() {
            figure(&format!("steps {name}/{kind} switches"), (ended[at] - began[at]) as f64, "");
        }
        for (what, (clock, processor)) in holds {
            figure(&format!("held/{what}/clock"), clock.as_secs_f64() * 1e6, "µs");
            figure(&format!("held/{what}"), processor.as_secs_f64() * 1e6, "µs");
        }
    }
}

fn percentiles(name: &str, taken: &mut [Duration]) {
    taken.sort_unstable();
    for (what, share) in [("p50", 0.5), ("p99.9", 0.999), ("p99.999", 0.999_99), ("worst", 1.0)] {
        let at = taken[((taken.len() - 1) as f64 * share) as usize];
        figure(&format!("{name}/{what}"), at.as_secs_f64() * 1e6, "µs");
    }
}

/// Voluntary and involuntary switches of this thread so far: Linux's `/proc/thread-self/status`.
fn switches() -> [u64; 2] {
    let status = read_to_string("/proc/thread-self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().last()?.parse().ok()).unwrap_or(0)
    };
    ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"].map(of)
}

/// The time of every step that was taken while [`SWAPS`] versions were compiled, and the longest hold of each kind.
fn stepped(documents: &[Document], changing: bool) -> (Vec<Took>, Vec<(&'static str, Took)>) {
    let engine: Shared =
        Arc::new(Mutex::new(Engine::new(compile_beside(&documents[1], &Default::default()).company.into())));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let neighbour = scope.spawn(|| {
            let holds = neighbour(documents, &engine, changing);
            done.store(true, Ordering::Relaxed);
            holds
        });
        let mut taken = Vec::with_capacity(16_000_000);
        let mut call = 0_i64;
        while !done.load(Ordering::Relaxed) {
            call += 1;
            let id = format!("call-{call}");
            let (began, began_processor) = (Instant::now(), processor_time());
            let mut held = engine.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = held.arrive(&id, "+74951112233", Some("+79161230001"), call).expect("a turn");
            held.handle(&turn.state, &Event::CallerHungUp { seconds: None }, call).expect("a turn");
            drop(held);
            taken.push((began.elapsed(), processor_time() - began_processor));
        }
        (taken, neighbour.join().expect("the neighbour ends"))
    })
}

/// The longest hold of each kind.
struct Holds<'e> {
    engine: &'e Shared,
    longest: Vec<(&'static str, Took)>,
}

impl Holds<'_> {
    /// Does something to the engine, and lets go of what that leaves only after the engine.
    fn hold<R>(&mut self, what: &'static str, deed: impl FnOnce(&mut Engine) -> R) -> R {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, began_processor) = (Instant::now(), processor_time());
        let result = deed(&mut engine);
        let (processor, clock) = (processor_time() - began_processor, began.elapsed());
        drop(engine);
        match self.longest.iter_mut().find(|(known, _)| *known == what) {
            Some((_, longest)) => *longest = (longest.0.max(clock), longest.1.max(processor)),
            None => self.longest.push((what, (clock, processor))),
        }
        result
    }
}

fn neighbour(documents: &[Document], engine: &Shared, changing: bool) -> Vec<(&'static str, Took)> {
    let mut holds = Holds { engine, longest: Vec::new() };
    for nth in 0..SWAPS {
        let files = holds.hold("list_files", |engine| engine.list_files());
        let company = Arc::new(compile_beside(&documents[nth % documents.len()], &files).company);
        drop(files);
        if !changing {
            continue;
        }
        let roster = holds.hold("roster", |engine| engine.roster());
        let mut ready = Prepared::new(company, &roster);
        let before = holds.hold("active", |engine| engine.active().id);
        let next = holds.hold("hold", |engine| engine.hold_prepared(&mut ready));
        assert!(holds.hold("activate", |engine| engine.activate(next)));
        drop(holds.hold("take_version", |engine| engine.take_version(before)).expect("held until now"));
    }
    if changing {
        facts(&mut holds);
    }
    holds.longest
}

/// Whole tables, and changes one by one.
fn facts(holds: &mut Holds<'_>) {
    let (mut owners, mut callers) = (Owners::with_room_for(scaled(LISTED)), Callers::with_room_for(scaled(LISTED)));
    for (at, digits) in mobiles(scaled(LISTED), 20).into_iter().enumerate() {
        owners.set(number(digits), Some(&format!("e{}", at % PEOPLE)));
        callers.tell(number(digits), at as i64);
    }
    assert!(owners.complete());
    drop(holds.hold("swap_owners", |engine| engine.swap_owners(owners)));
    drop(holds.hold("swap_callers", |engine| engine.swap_callers(callers)));
    for (at, digits) in mobiles(CHANGES, 21).into_iter().enumerate() {
        let written = Number::to_string(&number(digits));
        let employee = format!("e{}", at % PEOPLE);
        holds.hold("owner_is", |engine| engine.owner_is(&written, Some(&employee))).expect("a number");
        holds.hold("forget_owner", |engine| engine.forget_owner(&written)).expect("a number");
        holds.hold("called", |engine| engine.called(&written, at as i64)).expect("a number");
        holds.hold("listed", |engine| engine.listed("vip", &written, at % 2 == 0)).expect("a number");
    }
    let before = holds.hold("generation", |engine| engine.facts().generation());
    holds.hold("listed", |engine| engine.listed("vip", "+79161230001", true)).expect("a number");
    assert_eq!(holds.hold("generation", |engine| engine.facts().generation()), before + 1);
}

/// A company of fifty groups that are hunted in every order.
fn document(nth: usize, packed: String) -> Document {
    let people = scaled(PEOPLE).max(IN_GROUP);
    let member = |ix: usize| format!("e{ix}");
    let card = |ix| (member(ix), json!({"name": format!("E{ix}"), "endpoint": format!("PJSIP/{ix}")}));
    let group = |group: usize| -> Value {
        json!({"members": (group * IN_GROUP..(group + 1) * IN_GROUP).map(member).collect::<Vec<_>>()})
    };
    let groups = people / IN_GROUP;
    let mut nodes = json!({
        "vip": {"kind": "list", "list": ["vip"], "exits": {"match": "g0-linear", "else": "g0-linear"}},
        "bye": {"kind": "hangup", "prompt": "sorry"},
    });
    for group in 0..groups {
        for strategy in ["linear", "round_robin", "longest_idle", "fewest_calls", "random"] {
            nodes[format!("g{group}-{strategy}")] = json!({"kind": "ring", "ring": [{"group": format!("g{group}")}],
                "strategy": strategy, "seconds": 20.0, "exits": {"no_answer": "bye", "busy": "bye", "unavailable": "bye"}});
        }
    }
    let document = json!({
        "company": {"name": format!("Bench {nth}"), "timezone": "Europe/Moscow", "country": "RU"},
        "employees": (0..people).map(card).collect::<Map<_, _>>(),
        "groups": (0..groups).map(|at| (format!("g{at}"), group(at))).collect::<Map<_, _>>(),
        "lists": {"vip": {"packed": packed}},
        "prompts": {"sorry": {"seconds": 1.0}},
        "numbers": {"default": {"scheme": "main"}},
        "schemes": {"main": {"start": "vip", "responsible": "e0", "nodes": nodes}},
    });
    serde_json::from_value(document).expect("a document")
}
