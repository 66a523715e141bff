//! Companies, callers and floors for questions about calls that are none: decisions and walks.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use kommutator_engine::call::Taken;
use kommutator_engine::company::{Company, Document, compile};
use kommutator_engine::floor::{Line, Presence};
use kommutator_engine::number::{Country, Number};
use kommutator_engine::trace::Passed;
use kommutator_engine::{Action, Engine, Turn};
use serde_json::json;
use smol_str::SmolStr;

use super::{Dice, Doc, desks};

/// The companies of the scenarios.
pub const SCHEMES: [&str; 8] = [
    "1-office-hours",
    "2-list-and-menu",
    "3-first-or-repeat",
    "4-regions",
    "5-card-and-vip",
    "6-hold-and-repeat",
    "7-owner-first",
    "8-expanding",
];
/// Every strategy.
pub const STRATEGIES: [&str; 7] =
    ["all", "linear", "round_robin", "longest_idle", "fewest_calls", "random", "expanding"];
/// Callers of every kind.
pub const CALLERS: [Option<&str>; 10] = [
    Some("8 (916) 123-00-50"),
    Some("84951234567"),
    Some("+79161230099"),
    Some("8 812 333-44-55"),
    Some("83432012345"),
    Some("8 10 49 30 1234567"),
    Some("+14155552671"),
    Some("101"),
    Some("anonymous"),
    None,
];
/// Who is in the invented company's small hunts.
pub const PEOPLE: usize = 4;
/// How many it has.
pub const MANY: usize = 100;

/// A scheme a strategy, with every kind of node that decides something, and hunts that are over at once in each way.
pub fn invented() -> Arc<Company> {
    let many: Vec<String> = (0..MANY).map(|ix| format!("e{ix}")).collect();
    let mut doc = Doc::crew(MANY)
        .set(&["groups", "many"], json!({"members": many}))
        .set(&["employees", "e3", "endpoint"], json!("PJSIP/100"))
        .set(&["schedules", "office"], json!({"weekly": {"mon-fri": ["09:00-18:00", "20:00-02:00"]}}))
        .set(&["lists", "vip"], json!({"numbers": ["+79161230099"], "prefixes": ["+7812"]}))
        .set(&["regions", "moscow"], json!({"name": "Москва", "prefixes": ["+7495"]}));
    for (ix, strategy) in STRATEGIES.into_iter().enumerate() {
        let ring = |what: serde_json::Value, to: [&str; 3]| {
            let exits = json!({"no_answer": to[0], "busy": to[1], "unavailable": to[2]});
            json!({"kind": "ring", "ring": what, "strategy": strategy, "seconds": 10.0, "exits": exits})
        };
        let nodes = json!({
            "hello": {"kind": "play", "prompt": "hello", "exits": {"done": "hours"}},
            "hours": {"kind": "schedule", "schedule": "office", "exits": {"open": "vip", "closed": "coin"}},
            "vip": {"kind": "list", "list": ["vip"], "exits": {"match": "who", "else": "where"}},
            "where": {"kind": "region", "regions": ["moscow"], "exits": {"moscow": "seen", "else": "coin"}},
            "seen": {"kind": "history", "days": 7, "exits": {"first": "menu", "repeat": "who"}},
            "coin": {"kind": "split", "weights": {"heads": 1, "tails": 2, "edge": 1},
                "exits": {"heads": "menu", "tails": "mark", "edge": "own"}},
            "mark": {"kind": "tag", "set": {"side": "tails"}, "exits": {"done": "hunt"}},
            "who": {"kind": "owner", "exits": {"found": "own", "unknown": "hunt", "unavailable": "hunt"}},
            "own": ring(json!([{"owner": true}]), ["hunt", "hunt", "many"]),
            "menu": {"kind": "menu", "prompt": "hello", "options": {"1": "hunt", "0": "away"},
                "exits": {"hunt": "hunt", "away": "away", "no_input": "hunt", "invalid": "bye"}},
            "away": {"kind": "transfer", "to": "+79161112233", "exits": {"failed": "hunt"}},
            "hunt": ring(desks(0..PEOPLE), ["mail", "line", "mobiles"]),
            "mobiles": ring(json!([{"mobile": "e0"}, {"mobile": "e1"}]), ["many", "away", "away"]),
            "many": ring(json!([{"group": "many"}]), ["mail", "sorry", "away"]),
            "line": {"kind": "queue", "ring": desks(4..7), "seconds": 10.0, "max_wait": 100.0, "max_length": 2,
                "exits": {"timeout": "mail", "full": "sorry", "nobody": "away"}},
            "sorry": {"kind": "play", "prompt": "sorry", "exits": {"done": "twice"}},
            "twice": {"kind": "repeat", "times": 2, "exits": {"again": "hunt", "done": "note"}},
            "mail": {"kind": "voicemail", "prompt": "speak", "seconds": 60.0, "exits": {"done": "anew"}},
            "anew": {"kind": "repeat", "times": 1, "exits": {"again": "hello", "done": "bye"}},
        });
        doc = doc.scheme(&format!("s{ix}"), "hello", nodes);
    }
    doc.company()
}

/// A company of the scenarios.
pub fn of_scenarios(scheme: &str) -> Arc<Company> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios").join(scheme).join("company.json");
    let document: Document = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    Arc::new(compile(&document).company)
}

/// Every number that the company serves, one that only its default does, and none.
pub fn dialled(company: &Company) -> Vec<String> {
    let numbers = company.numbers.keys().map(ToString::to_string);
    let mut all: Vec<String> = numbers.chain(["+74950000000".into(), String::new()]).collect();
    all.sort();
    all
}

/// Takes some of the people, or all, or none.
pub fn crowd(engine: &mut Engine, dice: &mut Dice, company: &Company) {
    let percent = *dice.pick(&[0, 5, 40, 90, 100]);
    for employee in &company.employees {
        let taken = dice.percent(percent);
        let lines = [Line::Ringing, Line::Busy, Line::WrapUp, Line::Unreachable];
        engine.line(&employee.id, if taken { *dice.pick(&lines) } else { Line::Idle }).unwrap();
        let away = [Presence::Present, Presence::Away, Presence::Offline];
        engine.presence(&employee.id, if taken { *dice.pick(&away) } else { Presence::Present }).unwrap();
    }
}

/// Facts about a caller that a company may have or not.
pub fn remember(engine: &mut Engine, dice: &mut Dice, company: &Company, now: i64) {
    for caller in CALLERS.into_iter().flatten().filter(|caller| Number::parse(caller, Country::Ru).is_some()) {
        match dice.below(4) {
            0 => engine.owner_is(caller, Some(&dice.pick(&company.employees).id)).unwrap(),
            1 => engine.owner_is(caller, None).unwrap(),
            2 => engine.owner_is(caller, Some("somebody else")).unwrap(),
            _ => engine.forget_owner(caller).unwrap(),
        }
        if dice.percent(30) {
            engine.called(caller, now - dice.below(20) as i64 * 86_400_000).unwrap();
        }
        if dice.percent(20) {
            _ = engine.listed("vip", caller, dice.percent(50));
        }
    }
}

/// What can be seen of an engine.
pub fn seen(engine: &Engine, now: i64) -> String {
    let claims: Vec<_> = engine.floor().claimed(now).collect();
    format!("{claims:?} {} {}", engine.floor().freed(), engine.facts().generation())
}

/// The nodes that a turn has passed.
pub fn taken(turn: &Turn) -> Vec<Taken> {
    let taken =
        |passed: &Passed| Taken { scheme: passed.scheme.clone(), node: passed.node.clone(), exit: passed.exit.clone() };
    turn.trace.iter().map(taken).collect()
}

/// An action without what only a call has, which must be there.
pub fn anonymous(mut action: Action) -> Action {
    if let Action::Record { recording: of_call, .. }
    | Action::FindOwner { caller: of_call, .. }
    | Action::FindHistory { caller: of_call, .. } = &mut action
    {
        assert!(!of_call.is_empty());
        *of_call = SmolStr::default();
    }
    action
}

/// An action's type in the contract.
pub fn kind(action: &Action) -> String {
    json!(action)["type"].as_str().unwrap().to_owned()
}
