//! A pure decision is where a call goes: the machine's path and action, after its announcements, on the floor as it is. And
//! asking changes nothing.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use kommutator_engine::call::{Ask, Decision, Taken};
use kommutator_engine::company::{Company, Document, compile};
use kommutator_engine::floor::{Line, Presence};
use kommutator_engine::number::{Country, Number};
use kommutator_engine::{Action, Engine, EngineError, Event, Turn};
use serde_json::json;
use smol_str::SmolStr;
use support::*;

const SCHEMES: [&str; 8] = [
    "1-office-hours",
    "2-list-and-menu",
    "3-first-or-repeat",
    "4-regions",
    "5-card-and-vip",
    "6-hold-and-repeat",
    "7-owner-first",
    "8-expanding",
];
const STRATEGIES: [&str; 7] = ["all", "linear", "round_robin", "longest_idle", "fewest_calls", "random", "expanding"];
const CALLERS: [Option<&str>; 10] = [
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
const PEOPLE: usize = 4;
const MANY: usize = 100;

/// A scheme a strategy, with every kind of node that decides something, and hunts that are over at once in each way.
fn invented() -> Arc<Company> {
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
        });
        doc = doc.scheme(&format!("s{ix}"), "hello", nodes);
    }
    doc.company()
}

fn of_scenarios(scheme: &str) -> Arc<Company> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios").join(scheme).join("company.json");
    let document: Document = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    Arc::new(compile(&document).company)
}

/// Every number that the company serves, one that only its default does, and none.
fn dialled(company: &Company) -> Vec<String> {
    let numbers = company.numbers.keys().map(ToString::to_string);
    let mut all: Vec<String> = numbers.chain(["+74950000000".into(), String::new()]).collect();
    all.sort();
    all
}

/// What a call does until its first action that is no announcement, by arriving.
fn gone(engine: &mut Engine, call: &str, did: &str, caller: Option<&str>, now: i64) -> (Decision, Turn) {
    let mut turn = engine.arrive(call, did, caller, now).unwrap();
    let mut path = Vec::new();
    let mut follow = |turn: &Turn| {
        path.extend(turn.trace.iter().map(|passed| Taken {
            scheme: passed.scheme.clone(),
            node: passed.node.clone(),
            exit: passed.exit.clone(),
        }));
    };
    follow(&turn);
    while matches!(turn.action, Action::Play { .. }) {
        turn = engine.handle(&turn.state, &Event::Played {}, now).unwrap();
        follow(&turn);
    }
    let mut action = turn.action.clone();
    if let Action::Record { recording: of_call, .. }
    | Action::FindOwner { caller: of_call, .. }
    | Action::FindHistory { caller: of_call, .. } = &mut action
    {
        assert!(!of_call.is_empty());
        *of_call = SmolStr::default();
    }
    (Decision { path, scheme: SmolStr::default(), node: SmolStr::default(), owner: None, action }, turn)
}

fn crowd(engine: &mut Engine, dice: &mut Dice, company: &Company) {
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
fn remember(engine: &mut Engine, dice: &mut Dice, company: &Company, now: i64) {
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
fn seen(engine: &Engine, now: i64) -> String {
    let claims: Vec<_> = engine.floor().claimed(now).collect();
    format!("{claims:?} {} {}", engine.floor().freed(), engine.facts().generation())
}

#[test]
fn a_decision_is_where_the_call_goes() {
    let companies = SCHEMES.into_iter().map(of_scenarios).chain([invented()]);
    let (mut asked, mut queued, mut actions) = (0, 0, std::collections::BTreeSet::new());
    for (nth, company) in companies.enumerate() {
        let mut dice = Dice::new(7 + nth as u64);
        for round in 0..40 {
            let mut engine = Engine::new(Arc::clone(&company));
            let mut table = engine.decisions();
            crowd(&mut engine, &mut dice, &company);
            remember(&mut engine, &mut dice, &company, NOON);
            let mut live: Option<Turn> = None;
            for did in dialled(&company) {
                for caller in CALLERS {
                    // Calls that ring or talk stay, so that the next finds phones taken.
                    if let Some(turn) = live.take_if(|_| dice.percent(50)) {
                        engine.handle(&turn.state, &plain("caller_hung_up"), NOON).unwrap();
                    }
                    let (call, now) = (format!("call-{round}-{asked}"), NOON + dice.below(8_000) as i64 * 3_600_000);
                    let before = seen(&engine, now);
                    let decision = engine.decide(&did, caller, now, &call).unwrap();
                    let country = company.country;
                    let ask = Ask {
                        did: Number::parse(&did, country),
                        caller: caller.and_then(|caller| Number::parse(caller, country)),
                        call_id: &call,
                        at_ms: now,
                    };
                    let number = engine.decide_in(&mut table, &ask).unwrap();
                    assert_eq!(table.get(number).as_ref(), Some(&decision));
                    assert_eq!(seen(&engine, now), before);
                    let (expected, turn) = gone(&mut engine, &call, &did, caller, now);
                    let told = format!("{nth} {did} {caller:?} {now}");
                    assert_eq!(decision.path, expected.path, "{told}");
                    if decision.node == "line" {
                        assert!(matches!(turn.action, Action::Ring { .. } | Action::Wait { .. }), "{told}");
                        queued += 1;
                    } else {
                        assert_eq!(decision.action, expected.action, "{told}");
                    }
                    assert_eq!(decision.owner.is_some(), decision.path.iter().rev().any(|node| node.exit == "found"));
                    // In a line, the call itself is one of those who stand there by now.
                    if decision.node != "line" {
                        assert_eq!(engine.decide(&did, caller, now, &call).unwrap().path, decision.path, "{told}");
                    }
                    actions.insert(json!(turn.action)["type"].as_str().unwrap().to_owned());
                    if dice.percent(30) && matches!(turn.action, Action::Ring { .. }) {
                        live = Some(turn);
                    } else {
                        engine.handle(&turn.state, &plain("caller_hung_up"), now).unwrap();
                    }
                    asked += 1;
                }
            }
            assert!(table.len() <= asked);
        }
    }
    let all = ["find_history", "find_owner", "hang_up", "menu", "record", "ring", "transfer", "wait"];
    assert!(queued > 20, "{queued}");
    assert_eq!(actions.iter().map(String::as_str).collect::<Vec<_>>(), all, "after {asked} questions");
}

#[test]
fn asking_in_between_changes_no_byte_of_what_calls_are_told() {
    let company = invented();
    let play = |asking: bool| {
        let (mut engine, mut dice, mut told) = (Engine::new(Arc::clone(&company)), Dice::new(3), Vec::new());
        remember(&mut engine, &mut dice, &company, NOON);
        for step in 0..3_000_i64 {
            let (did, caller) = (did(dice.below(7)), *dice.pick(&CALLERS));
            let (call, now) = (format!("call-{}", dice.below(30)), NOON + step * 30_000);
            if asking {
                engine.decide(&did, caller, now + 90 * 86_400_000, &call).unwrap();
            }
            let (_, turn) = gone(&mut engine, &call, &did, caller, now);
            told.push(bytes(&turn));
            if dice.percent(60) {
                told.push(bytes(&engine.handle(&turn.state, &plain("caller_hung_up"), now).unwrap()));
            }
        }
        told
    };
    assert_eq!(play(true), play(false));
}

#[test]
fn equal_ways_are_one_decision_and_different_ones_are_not() {
    let mut engine = Engine::new(of_scenarios("2-list-and-menu"));
    let mut table = engine.decisions();
    let at: Timestamp = "2026-11-18T12:00:00+03:00".parse().unwrap();
    let mut ask = |caller: u64, at_ms| {
        let (did, caller) = (Number::from_e164(74_951_112_233), Number::from_e164(caller));
        engine.decide_in(&mut table, &Ask { did, caller, call_id: "", at_ms }).unwrap()
    };
    let (noon, night) = (at.as_millisecond(), at.as_millisecond() + 12 * 3_600_000);
    assert_eq!([ask(79_161_230_099, noon), ask(79_990_000_000, noon), ask(79_161_230_050, noon)], [0, 0, 1]);
    assert_eq!([ask(79_161_230_099, night), ask(79_161_230_050, night)], [2, 1]);
    assert_eq!((table.len(), table.get(3)), (3, None));
}

#[test]
fn a_table_is_of_one_version_as_long_as_it_is_held() {
    let (first, second) = (of_scenarios("1-office-hours"), of_scenarios("2-list-and-menu"));
    let mut engine = Engine::new(Arc::clone(&first));
    let (mut table, ask) = (engine.decisions(), Ask { did: None, caller: None, call_id: "", at_ms: NOON });
    let second = engine.hold(second);
    engine.activate(second);
    let number = engine.decide_in(&mut table, &ask).unwrap();
    let kept = table.get(number);
    assert_eq!(table.version(), first.id);
    engine.drop_version(first.id);
    assert!(matches!(engine.decide_in(&mut table, &ask), Err(EngineError::BadState(_))));
    assert_eq!(table.get(number), kept);
}
