//! A column of calls is decided as each of them is by itself: on any floor, with facts and lists that change between its parts.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use kommutator_engine::call::{Ask, Calls, Column, Dids};
use kommutator_engine::company::Company;
use kommutator_engine::floor::{Line, Presence};
use kommutator_engine::number::{Country, Number};
use kommutator_engine::{Engine, EngineError};
use serde_json::{Value, json};
use support::worlds::*;
use support::*;

/// Calls decided at once, between which the floor and facts change.
const PART: usize = 60;

/// Schemes in which every question leads to each kind of stop, and one that asks too much for a sheet.
fn asking() -> Arc<Company> {
    let ring = |who: Value, strategy: &str, to: [&str; 3]| {
        let exits = json!({"no_answer": to[0], "busy": to[1], "unavailable": to[2]});
        json!({"kind": "ring", "ring": who, "strategy": strategy, "seconds": 10.0, "exits": exits})
    };
    let mut doc = Doc::crew(6)
        .set(&["schedules", "office"], json!({"weekly": {"mon-fri": ["09:00-18:00", "20:00-02:00"]}}))
        .set(
            &["schedules", "berlin"],
            json!({"timezone": "Europe/Berlin", "weekly": {"mon-sun": ["10:00-16:30"]},
            "exceptions": {"2026-11-20": [], "2027-03-28": ["01:00-05:00"]}}),
        )
        .set(&["schedules", "late"], json!({"weekly": {"mon-sun": ["12:00-24:00"]}}))
        .set(&["lists", "vip"], json!({"numbers": ["+79161230099", "101"], "prefixes": ["+7812"]}))
        .set(&["lists", "bad"], json!({"numbers": ["+14155552671"], "prefixes": ["+49"]}))
        .set(&["regions", "moscow"], json!({"name": "Москва", "prefixes": ["+7495", "+7916"]}))
        .set(&["regions", "urals"], json!({"name": "Урал", "prefixes": ["+7343"]}));
    for (nth, strategy) in STRATEGIES.into_iter().enumerate() {
        let nodes = json!({
            "hello": {"kind": "play", "prompt": "hello", "exits": {"done": "vip"}},
            "vip": {"kind": "list", "list": ["vip", "bad"], "exits": {"match": "hours", "else": "where"}},
            "hours": {"kind": "schedule", "schedule": "office", "exits": {"open": "team", "closed": "bad"}},
            "bad": {"kind": "list", "list": ["bad"], "exits": {"match": "coin", "else": "mark"}},
            "mark": {"kind": "tag", "set": {"side": "good"}, "exits": {"done": "again"}},
            "again": {"kind": "repeat", "times": 1, "exits": {"again": "where", "done": "mail"}},
            "where": {"kind": "region", "regions": ["urals", "moscow"],
                "exits": {"urals": "abroad", "moscow": "seen", "else": "who"}},
            "abroad": {"kind": "schedule", "schedule": "berlin", "exits": {"open": "mixed", "closed": "line"}},
            "seen": {"kind": "history", "days": 7, "exits": {"first": "menu", "repeat": "team"}},
            "who": {"kind": "owner", "exits": {"found": "own", "unknown": "team", "unavailable": "mail"}},
            "own": ring(json!([{"owner": true}]), "all", ["mail", "after", "after"]),
            "after": {"kind": "schedule", "schedule": "late", "exits": {"open": "menu", "closed": "mail"}},
            "coin": {"kind": "split", "weights": {"heads": 1, "tails": 2}, "exits": {"heads": "menu", "tails": "team"}},
            "menu": {"kind": "menu", "prompt": "hello", "options": {"1": "team", "0": "away"},
                "exits": {"team": "team", "away": "away", "no_input": "team", "invalid": "mail"}},
            "away": {"kind": "transfer", "to": "+79161112233", "exits": {"failed": "mail"}},
            "team": ring(desks(0..3), strategy, ["mail", "after", "away"]),
            "mixed": ring(json!([{"mobile": "e3"}, {"employee": "e4"}, {"phone": "+79035550011"}]), strategy, ["mail", "mail", "away"]),
            "line": {"kind": "queue", "ring": desks(4..6), "seconds": 10.0, "max_wait": 100.0, "max_length": 2,
                "exits": {"timeout": "mail", "full": "mail", "nobody": "away"}},
        });
        doc = doc.scheme(&format!("s{nth}"), "hello", nodes);
    }
    let mut nodes = serde_json::Map::new();
    for nth in 0..14 {
        let list = format!("l{nth}");
        doc = doc.set(&["lists", &list], json!({"prefixes": [format!("+79{nth}")]}));
        let next = if nth == 13 { "team".to_owned() } else { format!("l{}", nth + 1) };
        nodes.insert(list.clone(), json!({"kind": "list", "list": [list], "exits": {"match": "mail", "else": next}}));
    }
    nodes.insert("team".into(), ring(desks(0..3), "all", ["mail", "mail", "mail"]));
    doc.scheme("many", "l0", Value::Object(nodes)).company()
}

fn change(engine: &mut Engine, dice: &mut Dice, company: &Company, now: i64) {
    let percent = *dice.pick(&[0, 0, 20, 100]);
    for employee in &company.employees {
        let taken = dice.percent(percent);
        let lines = [Line::Ringing, Line::Busy, Line::WrapUp, Line::Unreachable];
        engine.line(&employee.id, if taken { *dice.pick(&lines) } else { Line::Idle }).unwrap();
        let away = [Presence::Present, Presence::Away, Presence::Offline];
        engine.presence(&employee.id, if taken { *dice.pick(&away) } else { Presence::Present }).unwrap();
    }
    for caller in CALLERS.into_iter().flatten().filter(|caller| Number::parse(caller, Country::Ru).is_some()) {
        match dice.below(8) {
            0 => engine.owner_is(caller, Some(&dice.pick(&company.employees).id)).unwrap(),
            1 => engine.owner_is(caller, None).unwrap(),
            2 => engine.forget_owner(caller).unwrap(),
            3 => engine.called(caller, now - dice.below(20) as i64 * 86_400_000).unwrap(),
            4 => engine.listed("vip", caller, dice.percent(50)).unwrap(),
            _ => {}
        }
    }
    // Calls that ring hold people, some of them until long after the moments that are asked about.
    if dice.percent(50) {
        let (call, did) = (format!("live-{}", dice.below(20)), company.numbers.keys().next().map(ToString::to_string));
        engine.arrive(&call, &did.unwrap_or_default(), *dice.pick(&CALLERS), now).unwrap();
    }
}

#[test]
fn a_column_says_of_each_call_what_it_is_told_alone() {
    let companies = SCHEMES.into_iter().map(of_scenarios).chain([asking()]);
    let mut stops = BTreeSet::new();
    for (nth, company) in companies.enumerate() {
        let mut dice = Dice::new(11 + nth as u64);
        let mut served: Vec<Option<Number>> = company.numbers.keys().copied().map(Some).collect();
        served.extend([Number::from_e164(74_950_000_000), None]);
        served.sort_unstable();
        let mut engine = Engine::new(Arc::clone(&company));
        let (mut column, mut alone) = (Column::new(engine.decisions()), engine.decisions());
        let mut numbers = Vec::new();
        for part in 0..60 {
            change(&mut engine, &mut dice, &company, NOON);
            let one = part % 2 == 0;
            let did = *dice.pick(&served);
            let dids: Vec<_> = (0..PART).map(|_| if one { did } else { *dice.pick(&served) }).collect();
            let callers: Vec<_> = (0..PART).map(|_| *dice.pick(&CALLERS)).collect();
            let parsed = |caller: Option<&str>| caller.and_then(|caller| Number::parse(caller, company.country));
            let callers: Vec<_> = callers.into_iter().map(parsed).collect();
            let moments_ms: Vec<i64> = (0..PART).map(|_| NOON + dice.below(400_000) as i64 * 60_000 - 7).collect();
            let ids: Vec<String> = (0..PART).map(|_| format!("call-{}", dice.below(20))).collect();
            let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
            let call_ids = dice.percent(70).then_some(&ids[..]);
            let calls = Calls {
                dids: if one { Dids::One(did) } else { Dids::Each(&dids) },
                callers: &callers,
                moments_ms: &moments_ms,
                call_ids,
            };
            numbers.clear();
            engine.decide_column(&mut column, &calls, &mut numbers).unwrap();
            assert_eq!(numbers.len(), PART);
            for call in 0..PART {
                let call_id = call_ids.map_or("", |ids| ids[call]);
                let ask = Ask { did: dids[call], caller: callers[call], call_id, at_ms: moments_ms[call] };
                let told = engine.decide_in(&mut alone, &ask).unwrap();
                let decision = column.decisions().get(numbers[call]).unwrap();
                assert_eq!(Some(&decision), alone.get(told).as_ref(), "{nth} {part} {ask:?}");
                stops.insert(json!(decision.action)["type"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(column.decisions().len(), alone.len());
    }
    let all = ["find_history", "find_owner", "hang_up", "menu", "record", "ring", "transfer", "wait"];
    assert_eq!(stops.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn columns_of_different_lengths_are_refused_and_nothing_is_added() {
    let mut engine = Engine::new(asking());
    let mut column = Column::new(engine.decisions());
    let mut numbers = vec![7];
    let dids = [None];
    for (dids, moments_ms, call_ids) in [
        (Dids::One(None), &[][..], None),
        (Dids::Each(&[]), &[NOON][..], None),
        (Dids::Each(&dids), &[NOON][..], Some(&[][..])),
    ] {
        let calls = Calls { dids, callers: &[None], moments_ms, call_ids };
        assert_eq!(engine.decide_column(&mut column, &calls, &mut numbers), Err(EngineError::UnevenColumns));
    }
    let none = Calls { dids: Dids::Each(&[]), callers: &[], moments_ms: &[], call_ids: None };
    engine.decide_column(&mut column, &none, &mut numbers).unwrap();
    assert_eq!(numbers, [7]);
}
