//! A pure decision is where a call goes: the machine's path and action, after its announcements, on the floor as it is. And
//! asking changes nothing.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use jiff::Timestamp;
use kommutator_engine::call::{Ask, Decision};
use kommutator_engine::number::Number;
use kommutator_engine::{Action, Engine, EngineError, Event, Turn};
use smol_str::SmolStr;
use support::worlds::*;
use support::*;

/// What a call does until its first action that is no announcement, by arriving.
fn gone(engine: &mut Engine, call: &str, did: &str, caller: Option<&str>, now: i64) -> (Decision, Turn) {
    let mut turn = engine.arrive(call, did, caller, now).unwrap();
    let mut path = Vec::new();
    path.extend(taken(&turn));
    while matches!(turn.action, Action::Play { .. }) {
        turn = engine.handle(&turn.state, &Event::Played {}, now).unwrap();
        path.extend(taken(&turn));
    }
    let action = anonymous(turn.action.clone());
    (Decision { path, scheme: SmolStr::default(), node: SmolStr::default(), owner: None, action }, turn)
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
                    actions.insert(kind(&turn.action));
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
