//! The state that travels with a call: never longer than 512 bytes, whole or refused, and at home in its own version.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use kommutator_engine::call::state::{CallState, MAX_CALL_ID, MAX_ENDPOINT, MAX_STATE, Pending};
use kommutator_engine::company::version::MAX_LEGS;
use kommutator_engine::{Action, Engine, Turn};
use serde_json::{Value, json};
use support::*;

/// A company whose calls remember as much as may be: as many `repeat` and `tag` nodes as a state has room for, then a
/// hunt for a thousand people whose phones have the longest addresses.
fn heaviest(repeats: usize, tags: usize, strategy: &str) -> Doc {
    let ids = 0..MAX_LEGS;
    let doc = ids.clone().fold(Doc::new(), |doc, ix| doc.employee(&format!("e{ix}"), json!({"endpoint": address(ix)})));
    let mut nodes = json!({
        "who": {"kind": "owner", "exits": {"found": "hunt", "unknown": "hunt", "unavailable": "hunt"}},
        "hunt": hunt(json!({"ring": desks(ids), "strategy": strategy, "seconds": 3600.0})),
    });
    let names: Vec<String> =
        (0..repeats).map(|ix| format!("r{ix}")).chain((0..tags).map(|ix| format!("t{ix}"))).collect();
    for (ix, name) in names.iter().enumerate() {
        let next = names.get(ix + 1).map_or("who", String::as_str);
        nodes[name] = if name.starts_with('r') {
            json!({"kind": "repeat", "times": 65535, "exits": {"again": next, "done": "bye"}})
        } else {
            json!({"kind": "tag", "set": {"k": "v"}, "exits": {"done": next}})
        };
    }
    doc.scheme("main", names.first().map_or("who", String::as_str), nodes)
}

fn address(ix: usize) -> String {
    format!("{ix:0>width$}", width = MAX_ENDPOINT)
}

/// Half of a thousand declined at once, in the pattern least kind to a set; the other half rings on.
fn scattered(turn: &Turn) -> kommutator_engine::Event {
    let ended: Vec<Value> = rung(turn)
        .iter()
        .enumerate()
        .filter(|(ix, _)| ix % 2 == 0)
        .map(|(_, endpoint)| json!({"endpoint": endpoint, "cause": "declined"}))
        .collect();
    event(json!({"type": "no_answer", "ended": ended}))
}

#[test]
fn a_state_fits_512_bytes_in_the_worst_case() {
    let call_id = "ё".repeat(MAX_CALL_ID / 2);
    let mut longest = 0;
    for (repeats, tags) in [(28, 0), (0, 56), (14, 28)] {
        for strategy in ["all", "random", "linear", "expanding"] {
            let mut engine = heaviest(repeats, tags, strategy).engine();
            engine.owner_is("+999999999999999", Some("e999")).unwrap();
            let turn = engine.arrive(&call_id, DID, Some("+999999999999999"), NOON).unwrap();
            assert!(matches!(turn.action, Action::Ring { .. }));
            longest = longest.max(turn.state.len());
            let talk = engine.handle(&turn.state, &answered(rung(&turn)[0]), NOON).unwrap();
            longest = longest.max(talk.state.len());
            let end = engine.handle(&talk.state, &plain("conversation_ended"), NOON).unwrap();
            assert!(end.state.len() <= MAX_STATE);
        }
    }
    // The widest hunt: two rounds, so that the phones out of it and those that ring are both scattered.
    let steps = json!([{"ring": desks(0..998), "seconds": 60.0}, {"ring": desks(998..MAX_LEGS), "seconds": 60.0}]);
    let doc = heaviest(28, 0, "all")
        .set(&["schemes", "main", "nodes", "hunt"], hunt(json!({"strategy": "expanding", "steps": steps})));
    let mut engine = doc.engine();
    engine.owner_is("+999999999999999", Some("e999")).unwrap();
    let turn = engine.arrive(&call_id, DID, Some("+999999999999999"), NOON).unwrap();
    let turn = engine.handle(&turn.state, &scattered(&turn), NOON).unwrap();
    assert_eq!(rung(&turn).len(), 501);
    longest = longest.max(turn.state.len());
    assert!(longest <= MAX_STATE, "{longest}");
    assert!(longest > MAX_STATE - 8, "the worst case is not among these: {longest}");
}

#[test]
fn what_would_not_fit_is_refused_before_any_call() {
    assert_eq!(heaviest(28, 1, "all").codes(), ["state_too_large"]);
    assert_eq!(heaviest(0, 57, "all").codes(), ["state_too_large"]);
    for endpoint in ["", &"x".repeat(MAX_ENDPOINT + 1), &"x".repeat(300)] {
        let doc =
            Doc::new().employee("e0", json!({"endpoint": endpoint})).hunt(json!({"ring": desks([0]), "seconds": 9.0}));
        assert_eq!(doc.codes(), ["out_of_range"]);
    }
    let mut desk = Doc::crew(1).hunt(json!({"ring": desks([0]), "seconds": 20.0})).desk();
    for id in [String::new(), "x".repeat(MAX_CALL_ID + 1)] {
        assert_eq!(desk.engine.arrive(&id, DID, None, NOON).unwrap_err().code(), "bad_call_id");
    }
    let talk = desk.talk("a", DID, 0);
    for endpoint in [String::new(), "x".repeat(MAX_ENDPOINT + 1)] {
        assert_eq!(desk.refused(&talk, &event(json!({"type": "passed", "endpoint": endpoint}))), "bad_event");
    }
    let passed = event(json!({"type": "passed", "endpoint": "x".repeat(MAX_ENDPOINT)}));
    assert_eq!(short(&desk.step(&talk, &passed)), format!("talk {}", "x".repeat(MAX_ENDPOINT)));
}

/// A company whose calls come to every kind of action.
fn every_action() -> Doc {
    let lookup = |kind: &str, exits: [&str; 3]| {
        let exits: Value = exits.into_iter().zip(["menu", "menu", "menu"]).collect::<Vec<_>>().into_iter().fold(
            json!({}),
            |mut all, (exit, to)| {
                all[exit] = json!(to);
                all
            },
        );
        json!({"kind": kind, "exits": exits})
    };
    Doc::crew(3).scheme(
        "main",
        "hello",
        json!({
            "hello": {"kind": "play", "prompt": "hello", "exits": {"done": "seen"}},
            "seen": {"kind": "history", "days": 30, "exits": {"first": "who", "repeat": "who"}},
            "who": lookup("owner", ["found", "unknown", "unavailable"]),
            "menu": {"kind": "menu", "prompt": "hello", "options": {"1": "hunt", "2": "away", "34": "mail"},
                "invalid_prompt": "sorry", "exits": {"hunt": "hunt", "away": "away", "mail": "mail", "no_input": "bye",
                "invalid": "bye"}},
            "away": {"kind": "transfer", "to": "+79161112233", "exits": {"failed": "note"}},
            "hunt": hunt(json!({"ring": [{"owner": true}, {"employee": "e1"}], "strategy": "round_robin", "seconds": 20.0})),
        }),
    )
}

/// The states of one call for each kind of action.
fn states(engine: &mut Engine) -> Vec<Turn> {
    let mut turns = vec![engine.arrive("call-1", DID, Some(CALLER), NOON).unwrap()];
    let step = |engine: &mut Engine, turn: &Turn, written: Value| {
        engine.handle(&turn.state, &event(written), NOON + 1_000).unwrap()
    };
    for written in [
        json!({"type": "played"}),
        json!({"type": "never_called"}),
        json!({"type": "owner", "employee": "e0"}),
        json!({"type": "digits", "digits": "9"}),
        json!({"type": "digits", "digits": "1"}),
        json!({"type": "answered", "endpoint": "PJSIP/100"}),
        json!({"type": "conversation_ended"}),
    ] {
        turns.push(step(engine, turns.last().unwrap(), written));
    }
    let menu = turns[4].clone();
    turns.push(step(engine, &menu, json!({"type": "digits", "digits": "34"})));
    turns.push(step(engine, turns.last().unwrap(), json!({"type": "recorded", "seconds": 5})));
    turns.push(step(engine, &menu, json!({"type": "digits", "digits": "2"})));
    engine.reserve("e0", "other", NOON).unwrap();
    engine.reserve("e1", "other", NOON).unwrap();
    turns.push(step(engine, &menu, json!({"type": "digits", "digits": "1"})));
    let kinds: BTreeSet<String> =
        turns.iter().map(|turn| json!(turn.action)["type"].as_str().unwrap().into()).collect();
    assert_eq!(kinds.len(), 11, "{kinds:?}");
    turns
}

fn refused(engine: &mut Engine, state: &[u8]) -> bool {
    let event = plain("caller_hung_up");
    let codes = [
        engine.handle(state, &event, NOON).map_err(|error| error.code()),
        engine.resume(state, NOON).map_err(|error| error.code()),
    ];
    codes.iter().all(|code| code.as_ref().err() == Some(&"bad_state"))
}

#[test]
fn every_flipped_bit_and_every_cut_is_a_bad_state() {
    let mut engine = every_action().engine();
    for turn in states(&mut engine) {
        let before = format!("{:?}", engine.floor());
        for bit in 0..turn.state.len() * 8 {
            let mut state = turn.state.clone();
            state[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(&mut engine, &state), "bit {bit} of {}", short(&turn));
        }
        for length in 0..turn.state.len() {
            assert!(refused(&mut engine, &turn.state[..length]));
            assert!(refused(&mut engine, &turn.state[length + 1..]));
        }
        for more in [vec![0], vec![0; 600], turn.state.clone()] {
            assert!(refused(&mut engine, &[turn.state.clone(), more].concat()));
        }
        assert_eq!(before, format!("{:?}", engine.floor()), "a refused state moved the floor");
        assert!(engine.resume(&turn.state, NOON + 1_000).is_ok());
    }
}

/// Sealed as ours, and yet not one that a call can come to.
#[test]
fn a_state_whose_action_is_of_another_kind_than_its_node_is_a_bad_state() {
    let mut engine = every_action().engine();
    let actions = [Pending::Play, Pending::Record, Pending::FindOwner, Pending::FindHistory, Pending::Transfer];
    let answers = ["played", "failed", "called_before", "no_owner", "transferred"];
    for turn in states(&mut engine) {
        let genuine = CallState::decode(&turn.state).unwrap();
        for pending in actions.iter().filter(|pending| **pending != genuine.pending) {
            let state = CallState { pending: pending.clone(), ..genuine.clone() }.encode().unwrap();
            assert!(refused(&mut engine, &state), "{pending:?} in place of {:?}", genuine.pending);
            for answer in answers {
                let refusal = engine.handle(&state, &plain(answer), NOON).unwrap_err();
                assert_eq!(refusal.code(), "bad_state");
            }
        }
    }
}

#[test]
fn garbage_is_a_bad_state() {
    let mut engine = every_action().engine();
    let mut dice = Dice::new(3);
    for _ in 0..20_000 {
        let length = dice.below(600);
        let garbage: Vec<u8> = (0..length).map(|_| dice.roll() as u8).collect();
        assert!(refused(&mut engine, &garbage));
    }
    let states = states(&mut engine);
    for _ in 0..20_000 {
        let mut state = dice.pick(&states).state.clone();
        let (at, length) = (dice.below(state.len()), 1 + dice.below(8));
        let whole = state.clone();
        state.iter_mut().skip(at).take(length).for_each(|byte| *byte = dice.roll() as u8);
        assert!(state == whole || refused(&mut engine, &state));
    }
}

#[test]
fn a_call_finishes_on_the_version_it_began_on() {
    let old = Doc::crew(2).hunt(json!({"ring": desks([0]), "seconds": 20.0}));
    // The same ids mean other things in the new version.
    let new = Doc::new()
        .employee("zoe", json!({"endpoint": "PJSIP/999"}))
        .employee("e0", json!({"endpoint": "PJSIP/777"}))
        .scheme(
            "main",
            "bye",
            json!({"hunt": hunt(json!({"ring": [{"employee": "zoe"}], "seconds": 5.0})),
            "first": {"kind": "play", "prompt": "hello", "exits": {"done": "hunt"}}}),
        )
        .set(&["schemes", "main", "start"], json!("first"));
    let mut engine = old.engine();
    let first = engine.active().id;
    let ring = engine.arrive("a", DID, Some(CALLER), NOON).unwrap();
    let second = engine.hold(new.company());
    assert_ne!(first, second);
    assert!(engine.activate(second));
    assert_eq!(short(&engine.arrive("b", DID, Some(CALLER), NOON).unwrap()), "play");
    assert_eq!(short(&engine.resume(&ring.state, NOON).unwrap()), "ring PJSIP/100 20000 #1");
    let talk = engine.handle(&ring.state, &answered("PJSIP/100"), NOON).unwrap();
    assert_eq!(short(&talk), "talk PJSIP/100");
    // The floor is one for all versions: he talks, whatever the version.
    assert!(!engine.reserve("e0", "b", NOON).unwrap());

    assert!(!engine.drop_version(second), "the active version cannot be dropped");
    assert!(engine.drop_version(first));
    assert!(!engine.drop_version(first));
    assert!(!engine.activate(first));
    for state in [&ring.state, &talk.state] {
        assert!(refused(&mut engine, state));
    }
    assert_eq!(engine.hold(old.company()), first, "the same document is the same version");
    let end = engine.handle(&talk.state, &plain("conversation_ended"), NOON).unwrap();
    assert_eq!(short(&end), "answered/none");
}

#[test]
fn a_state_of_a_version_never_held_is_a_bad_state() {
    let mut engine = Doc::crew(2).hunt(json!({"ring": desks([0]), "seconds": 20.0})).engine();
    let mut other = Doc::crew(2).hunt(json!({"ring": desks([0]), "seconds": 21.0})).engine();
    let turn = other.arrive("a", DID, Some(CALLER), NOON).unwrap();
    assert!(refused(&mut engine, &turn.state));
    assert!(engine.floor().claimed(NOON).next().is_none());
}

/// A state as a release before the second format wrote it: another number, another check over the same fields.
fn of_the_first_format(state: &[u8]) -> Vec<u8> {
    let mut old = state[..state.len() - 8].to_vec();
    old[0] = 1;
    let keys = [*b"kommutat", *b"or state"].map(u64::from_le_bytes);
    let check = siphasher::sip::SipHasher24::new_with_keys(keys[0], keys[1]).hash(&old);
    old.extend(check.to_le_bytes());
    old
}

#[test]
fn a_call_that_began_before_the_upgrade_goes_on() {
    let doc = Doc::crew(2).hunt(json!({"ring": desks(0..2), "seconds": 20.0}));
    let (mut desk, mut upgraded) = (doc.desk(), doc.desk());
    let turn = desk.arrive("call");
    upgraded.arrive("call");
    let event = answered(&support::desk(1));
    let after = desk.engine.handle(&turn.state, &event, NOON).unwrap();
    let old = of_the_first_format(&turn.state);
    assert_eq!(bytes(&upgraded.engine.handle(&old, &event, NOON).unwrap()), bytes(&after));
    for at in 0..old.len() {
        let mut damaged = old.clone();
        damaged[at] ^= 0x10;
        assert_eq!(upgraded.engine.handle(&damaged, &event, NOON).unwrap_err().code(), "bad_state", "byte {at}");
    }
}
