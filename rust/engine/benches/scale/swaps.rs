//! What steps take while versions with ten million numbers and fifty thousand employees are swapped beside them, and how
//! long each change holds the engine.
//!
//! The engine is behind a lock, as whoever serves calls with several threads has it: one thread steps, the other compiles
//! versions and makes whole tables, makes them ready, and holds the engine for the change alone. The same is done first
//! without any change, with a neighbour as busy; and last beside changes one by one, as fast as a thread can make them.
//!
//! Steps and holds are timed by the clock, by processor time, and by cycles: *worked* is the time of the cycles at the mean
//! rate of the run without changes, the reading of the counter among them. What is long by the clock and not by these waited
//! for the processor, or for the engine, and how long for the engine is told too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use kommutator_engine::company::{Document, compile_beside};
use kommutator_engine::directory::pack;
use kommutator_engine::facts::{Callers, Owners};
use kommutator_engine::number::Number;
use kommutator_engine::{Engine, Event, Prepared};
use serde_json::{Map, Value, json};

use super::figures::{figure, scaled};
use super::watch::{Took, Watch, stolen, switches};
use super::{mobiles, number};

const LISTED: usize = 10_000_000;
const PEOPLE: usize = 50_000;
const IN_GROUP: usize = 1_000;
const SWAPS: usize = 4;
const CHANGES: usize = 100_000;

/// Longer than any step may be because of a swap.
const SLOW: Duration = Duration::from_millis(1);

type Shared = Mutex<Engine>;

/// What a step took, and how long it waited for the engine by the clock.
struct Step {
    waited: Duration,
    took: Took,
}

/// A way of telling how long a step was, and its name.
type Way<'a> = (&'a str, &'a dyn Fn(&Step) -> Duration);

/// Tells how long steps took, without and with changes beside them.
pub fn told() {
    let packed: Vec<String> =
        (0..2).map(|seed| pack(mobiles(scaled(LISTED), seed + 10).into_iter().map(number).collect())).collect();
    let documents: Vec<Document> = packed.into_iter().enumerate().map(|(nth, packed)| document(nth, packed)).collect();

    let engine: Shared = Mutex::new(Engine::new(compile_beside(&documents[1], &Default::default()).company.into()));
    let beside: [(&str, &Neighbour<'_>); 3] = [
        ("alone", &|holds| versions(holds, &documents, false)),
        ("beside swaps", &|holds| {
            versions(holds, &documents, true);
            tables(holds);
        }),
        ("beside changes", &changes),
    ];
    let mut rate = None;
    for (name, neighbour) in beside {
        let name = format!("steps {name}");
        let (began, stolen_before) = (switches(), stolen());
        let (steps, holds, in_all) = stepped(&engine, neighbour);
        let (ended, stolen_after) = (switches(), stolen());
        // While nobody waits for anybody: a processor that sleeps has no cycles, and its thread some processor time.
        let rate = *rate.get_or_insert(in_all.rate());
        let slow = |taken: &[Duration]| taken.iter().filter(|&&one| one > SLOW).count() as f64;
        figure(&format!("{name}/steps"), steps.len() as f64, "");
        figure(&format!("{name}/cycles"), rate, "a ns of processor time; 0: not counted");
        let ways: [Way<'_>; 4] = [
            ("clock", &|step| step.took.clock),
            ("waited for the engine", &|step| step.waited),
            ("processor", &|step| step.took.processor),
            ("worked", &|step| step.took.worked(rate)),
        ];
        for (by, of) in ways {
            let mut taken: Vec<Duration> = steps.iter().map(of).collect();
            percentiles(&format!("{name}/{by}"), &mut taken);
            figure(&format!("{name}/{by}/longer than 1 ms"), slow(&taken), "");
        }
        for (at, kind) in ["voluntary", "involuntary"].iter().enumerate() {
            figure(&format!("{name}/{kind} switches"), (ended[at] - began[at]) as f64, "");
        }
        figure(&format!("{name}/stolen"), (stolen_after - stolen_before) as f64 * 10.0, "ms of both processors");
        for (what, longest) in holds {
            figure(&format!("held/{what}/clock"), longest.clock.as_secs_f64() * 1e6, "µs");
            figure(&format!("held/{what}/processor"), longest.processor.as_secs_f64() * 1e6, "µs");
            figure(&format!("held/{what}"), longest.worked(rate).as_secs_f64() * 1e6, "µs");
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

/// What every step took that was taken while a neighbour was busy, its longest hold of each kind, and what all that took.
fn stepped(engine: &Shared, neighbour: &Neighbour<'_>) -> (Vec<Step>, Vec<(&'static str, Took)>, Took) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let neighbour = scope.spawn(|| {
            let mut holds = Holds { engine, watch: Watch::new(), longest: Vec::new() };
            neighbour(&mut holds);
            done.store(true, Ordering::Relaxed);
            holds.longest
        });
        let mut taken = Vec::with_capacity(16_000_000);
        let (mut watch, mut call) = (Watch::new(), 0_i64);
        let from = watch.now();
        while !done.load(Ordering::Relaxed) {
            call += 1;
            let id = format!("call-{call}");
            let began = watch.now();
            let mut held = engine.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = began.clock.elapsed();
            let turn = held.arrive(&id, "+74951112233", Some("+79161230001"), call).expect("a turn");
            held.handle(&turn.state, &Event::CallerHungUp { seconds: None }, call).expect("a turn");
            drop(held);
            taken.push(Step { waited, took: watch.since(&began) });
        }
        let in_all = watch.since(&from);
        (taken, neighbour.join().expect("the neighbour ends"), in_all)
    })
}

/// What a neighbour does to the engine meanwhile.
type Neighbour<'a> = dyn Fn(&mut Holds<'_>) + Sync + 'a;

/// The longest hold of each kind.
struct Holds<'e> {
    engine: &'e Shared,
    watch: Watch,
    longest: Vec<(&'static str, Took)>,
}

impl Holds<'_> {
    /// Does something to the engine, and lets go of what that leaves only after the engine.
    fn hold<R>(&mut self, what: &'static str, deed: impl FnOnce(&mut Engine) -> R) -> R {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let began = self.watch.now();
        let result = deed(&mut engine);
        let took = self.watch.since(&began);
        drop(engine);
        match self.longest.iter_mut().find(|(known, _)| *known == what) {
            Some((_, longest)) => longest.grow(took),
            None => self.longest.push((what, took)),
        }
        result
    }
}

/// Compiles [`SWAPS`] versions, and swaps them in where it is `changing`.
fn versions(holds: &mut Holds<'_>, documents: &[Document], changing: bool) {
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
}

/// Whole tables of owners and callers.
fn tables(holds: &mut Holds<'_>) {
    let (mut owners, mut callers) = (Owners::with_room_for(scaled(LISTED)), Callers::with_room_for(scaled(LISTED)));
    for (at, digits) in mobiles(scaled(LISTED), 20).into_iter().enumerate() {
        owners.set(number(digits), Some(&format!("e{}", at % PEOPLE)));
        callers.tell(number(digits), at as i64);
    }
    assert!(owners.complete());
    drop(holds.hold("swap_owners", |engine| engine.swap_owners(owners)));
    drop(holds.hold("swap_callers", |engine| engine.swap_callers(callers)));
}

/// Changes one by one, each visible at once.
fn changes(holds: &mut Holds<'_>) {
    let list = |engine: &mut Engine, number: &str, there| engine.listed("vip", number, there).expect("a number");
    for (at, digits) in mobiles(CHANGES, 21).into_iter().enumerate() {
        let written = Number::to_string(&number(digits));
        let employee = format!("e{}", at % PEOPLE);
        holds.hold("owner_is", |engine| engine.owner_is(&written, Some(&employee))).expect("a number");
        holds.hold("forget_owner", |engine| engine.forget_owner(&written)).expect("a number");
        holds.hold("called", |engine| engine.called(&written, at as i64)).expect("a number");
        holds.hold("listed", |engine| list(engine, &written, at % 2 == 0));
    }
    let before = holds.hold("generation", |engine| engine.facts().generation());
    holds.hold("listed", |engine| list(engine, "+79161230001", true));
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
