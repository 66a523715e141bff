//! Every way a call can end: its one disposition, whose fault it was, and what it leaves behind.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;

use kommutator_engine::{Action, Event, Turn};
use serde_json::{Value, json};
use support::*;

/// A scheme that can be led anywhere by a menu:
/// 1 a hunt, 2 voicemail, 3 a transfer, 4 an announcement at which a call may end, 5 a goodbye that allows a loss,
/// 6 a hang-up at once, 7 a task and then voicemail, 8 an announcement and then the hunt.
fn company() -> Doc {
    let exits = ["hunt", "mail", "away", "news", "farewell", "bye", "note", "tell"];
    let options: Value = (1..=8).zip(exits).fold(json!({}), |mut all, (digit, exit)| {
        all[digit.to_string()] = json!(exit);
        all
    });
    let mut wired: Value = exits.iter().fold(json!({}), |mut all, exit| {
        all[*exit] = json!(exit);
        all
    });
    wired["no_input"] = json!("bye");
    wired["invalid"] = json!("bye");
    Doc::crew(2)
        .employee("boss", json!({"endpoint": "PJSIP/200", "email": "boss@example.test", "mobile": "+79165550000"}))
        .scheme(
            "main",
            "menu",
            json!({
                "menu": {"kind": "menu", "prompt": "hello", "options": options, "exits": wired},
                "hunt": {"kind": "ring", "ring": desks(0..2), "seconds": 20.0,
                    "exits": {"no_answer": "bye", "busy": "bye", "unavailable": "bye"}},
                "mail": {"kind": "voicemail", "prompt": "speak", "seconds": 60.0, "email": ["office@example.test"],
                    "assign": "boss", "exits": {"done": "sorry"}},
                "sorry": {"kind": "hangup", "prompt": "sorry"},
                "away": {"kind": "transfer", "to": "PJSIP/elsewhere", "exits": {"failed": "bye"}},
                "news": {"kind": "play", "prompt": "hello", "allow_lost": "we are closed", "exits": {"done": "bye"}},
                "tell": {"kind": "play", "prompt": "hello", "allow_lost": "a queue is told", "exits": {"done": "hunt"}},
                "farewell": {"kind": "hangup", "prompt": "sorry", "allow_lost": "we are closed", "cause": "busy"},
                "note": {"kind": "task", "assign": "owner", "title": "Позвонить {caller}", "exits": {"done": "mail"}},
            }),
        )
}

/// `press 1`, `answered PJSIP/100`, `recorded 3`, `caller_hung_up`, `caller_hung_up 2`, `fault pbx`, …
fn told(written: &str) -> Event {
    let mut words = written.split(' ');
    let kind = words.next().unwrap_or_default();
    let rest = words.next();
    let seconds = || rest.map(|seconds| seconds.parse::<f64>().unwrap());
    event(match (kind, rest) {
        ("press", Some(digits)) => json!({"type": "digits", "digits": digits}),
        ("answered", Some(endpoint)) => json!({"type": "answered", "endpoint": endpoint}),
        ("passed", Some(endpoint)) => json!({"type": "passed", "endpoint": endpoint}),
        ("fault", Some(whose)) => json!({"type": "fault", "whose": whose}),
        ("recorded" | "caller_hung_up", _) => json!({"type": kind, "seconds": seconds()}),
        _ => json!({"type": kind}),
    })
}

/// The types of effects.
fn kinds(effects: &[Value]) -> String {
    effects.iter().map(|effect| effect["type"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

/// Plays a call; its end and all its effects.
fn play(desk: &mut Desk, mut turn: Turn, events: &str) -> (String, Vec<Value>) {
    let mut effects: Vec<Value> = turn.effects.iter().map(|effect| json!(effect)).collect();
    for written in events.split(", ").filter(|written| !written.is_empty()) {
        let event = told(written);
        let before = desk.engine.handle(&turn.state, &event, desk.now).unwrap();
        // The same event from the same state makes the same effects.
        let again = desk.engine.handle(&turn.state, &event, desk.now).unwrap();
        assert_eq!(json!(before.effects), json!(again.effects), "{events}: {written}");
        turn = before;
        effects.extend(turn.effects.iter().map(|effect| json!(effect)));
    }
    let ids: BTreeSet<&str> = effects.iter().map(|effect| effect["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), effects.len(), "{events}: {effects:?}");
    assert!(ids.iter().all(|id| id.starts_with("call-1:")));
    assert!(matches!(turn.action, Action::End { .. }), "{events}: {}", short(&turn));
    assert!(desk.claims().is_empty(), "{events}: {:?}", desk.claims());
    for event in ["hung_up", "caller_hung_up", "fault ours", "no_answer", "conversation_ended", "played"] {
        assert_eq!(desk.refused(&turn, &told(event)), "unexpected_event");
    }
    (short(&turn), effects)
}

#[test]
fn every_way_a_call_can_end() {
    let cases = [
        // A conversation began.
        ("press 1, answered PJSIP/100, conversation_ended", "answered/none", ""),
        ("press 1, answered PJSIP/100, caller_hung_up", "answered/none", ""),
        ("press 1, answered PJSIP/100, fault pbx", "answered/none", ""),
        ("press 1, answered PJSIP/101, fault ours", "answered/none", ""),
        ("press 1, answered PJSIP/100, passed PJSIP/900, conversation_ended", "answered/none", ""),
        ("press 1, answered PJSIP/100, passed PJSIP/900, passed PJSIP/901, caller_hung_up", "answered/none", ""),
        // Given away.
        ("press 3, transferred", "transferred/none", ""),
        ("press 3, failed, hung_up", "unavailable/callee", "missed_call"),
        ("press 3, caller_hung_up", "abandoned/caller", "task missed_call"),
        ("press 3, fault pbx", "failed/pbx", "task missed_call"),
        // A message of at least a second.
        ("press 2, recorded 1, hung_up", "voicemail/none", "voicemail"),
        ("press 2, recorded 33.5, caller_hung_up", "voicemail/none", "voicemail"),
        ("press 2, recorded 33.5, fault pbx", "voicemail/none", "voicemail"),
        ("press 2, caller_hung_up 1", "voicemail/none", "voicemail"),
        ("press 2, caller_hung_up 12.75", "voicemail/none", "voicemail"),
        ("press 7, recorded 2, hung_up", "voicemail/none", "task voicemail"),
        // Shorter, it is none.
        ("press 2, recorded 0.99, hung_up", "unavailable/callee", "missed_call"),
        ("press 2, recorded 0, caller_hung_up", "unavailable/callee", "missed_call"),
        ("press 2, caller_hung_up 0.99", "abandoned/caller", "task missed_call"),
        ("press 2, caller_hung_up", "abandoned/caller", "task missed_call"),
        ("press 7, caller_hung_up 0.5", "abandoned/caller", "task task missed_call"),
        ("press 2, fault pbx", "failed/pbx", "task missed_call"),
        // The caller left before the scheme ended.
        ("caller_hung_up", "abandoned/caller", "task missed_call"),
        ("caller_hung_up 30", "abandoned/caller", "task missed_call"),
        ("press 0, caller_hung_up", "abandoned/caller", "task missed_call"),
        ("press 1, caller_hung_up", "abandoned/caller", "task missed_call"),
        ("press 4, caller_hung_up", "abandoned/caller", "task missed_call"),
        ("press 8, played, caller_hung_up", "abandoned/caller", "task missed_call"),
        // Ended at an announcement that allows it.
        ("press 4, played, hung_up", "informed/none", ""),
        ("press 4, played, caller_hung_up", "informed/none", ""),
        ("press 4, played, fault pbx", "informed/none", ""),
        ("press 5, hung_up", "informed/none", ""),
        ("press 5, caller_hung_up", "informed/none", ""),
        ("press 5, fault pbx", "failed/pbx", "task missed_call"),
        // How the last hunt ended.
        ("press 1, no_answer, hung_up", "no_answer/callee", "missed_call"),
        ("press 1, no_answer, caller_hung_up", "no_answer/callee", "missed_call"),
        ("press 1, no_answer, fault ours", "no_answer/callee", "missed_call"),
        ("press 1, busy, hung_up", "busy/callee", "missed_call"),
        ("press 1, unavailable, hung_up", "unavailable/callee", "missed_call"),
        ("press 8, played, busy, hung_up", "busy/callee", "missed_call"),
        // No hunt at all: nobody was to be had.
        ("press 6, hung_up", "unavailable/callee", "missed_call"),
        ("no_input, no_input, no_input, hung_up", "unavailable/callee", "missed_call"),
        ("press 9, no_input, press 9, hung_up", "unavailable/callee", "missed_call"),
        // Nobody's choice.
        ("fault pbx", "failed/pbx", "task missed_call"),
        ("fault ours", "failed/ours", "task missed_call"),
        ("press 1, fault pbx", "failed/pbx", "task missed_call"),
        ("press 4, fault ours", "failed/ours", "task missed_call"),
    ];
    let doc = company();
    for (events, how, effects) in cases {
        let mut desk = doc.desk();
        let turn = desk.arrive("call-1");
        let (end, made) = play(&mut desk, turn, events);
        assert_eq!((end.as_str(), kinds(&made).as_str()), (how, effects), "{events}");
    }
}

#[test]
fn whoever_waits_and_leaves_has_abandoned_the_call() {
    let mut desk = company().desk();
    for ix in 0..2 {
        desk.engine.reserve(&format!("e{ix}"), "other", NOON).unwrap();
    }
    let menu = desk.arrive("call-1");
    let wait = desk.step(&menu, &told("press 1"));
    assert_eq!(short(&wait), "wait 20000");
    let end = desk.step(&wait, &told("caller_hung_up"));
    assert_eq!(short(&end), "abandoned/caller");
}

#[test]
fn a_number_that_serves_no_scheme_is_hung_up_as_unallocated_and_leaves_nothing() {
    for last in ["hung_up", "caller_hung_up", "fault pbx"] {
        let mut desk = company().desk();
        for did in ["+74959999999", "nonsense"] {
            let turn = desk.arrive_at("call-1", did);
            assert_eq!(json!(turn.action), json!({"type": "hang_up", "prompt": null, "cause": "unallocated"}));
            let (end, effects) = play(&mut desk, turn, last);
            assert_eq!((end.as_str(), effects.len()), ("failed/caller", 0), "{last}");
        }
    }
    let doc = company().set(&["numbers", "default"], json!({"scheme": "main"}));
    assert_eq!(short(&doc.desk().arrive_at("call-1", "+74959999999")), "menu");
}

#[test]
fn an_abandoned_call_makes_a_task_for_the_owner_else_the_last_rung_else_the_responsible() {
    let nodes = json!({
        "who": {"kind": "owner", "exits": {"found": "hello", "unknown": "hello", "unavailable": "hello"}},
        "hello": {"kind": "play", "prompt": "hello", "exits": {"done": "hunt"}},
        "hunt": hunt(json!({"ring": desks(0..2), "strategy": "linear", "seconds": 20.0})),
    });
    let doc = Doc::crew(3).scheme("main", "who", nodes);
    let cases = [
        (Some("e2"), "caller_hung_up", "e2"),
        (Some("e2"), "played, caller_hung_up", "e2"),
        (None, "caller_hung_up", "sales"),
        (None, "played, caller_hung_up", "e0"),
        (None, "played, busy, caller_hung_up", "e1"),
        (None, "fault pbx", "sales"),
        (None, "played, fault ours", "e0"),
    ];
    for (owner, events, whose) in cases {
        let mut desk = doc.desk();
        desk.engine.owner_is(CALLER, owner).unwrap();
        let turn = desk.arrive("call-1");
        let (_, effects) = play(&mut desk, turn, events);
        let expected = json!([
            {"type": "task", "id": "call-1:1", "assign": whose, "title": format!("Перезвонить: {CALLER}")},
            {"type": "missed_call", "id": "call-1:2", "caller": CALLER, "did": DID, "owner": whose},
        ]);
        assert_eq!(json!(effects), expected, "{events}");
    }
}

#[test]
fn what_a_scheme_says_of_abandoned_calls_takes_the_place_of_the_default() {
    let place = ["schemes", "main", "abandoned"];
    let notices = json!([
        {"sms": {"to": "caller", "template": "missed"}},
        {"sms": {"to": {"employee": "boss"}, "template": "missed"}},
        {"email": {"to": {"address": "office@example.test"}, "template": "missed"}},
        {"task": {"assign": "boss", "title": "Звонил {caller}"}},
    ]);
    let doc = company().set(&place, notices);
    let mut desk = doc.desk();
    let turn = desk.arrive("call-1");
    let (end, effects) = play(&mut desk, turn, "press 1, caller_hung_up");
    assert_eq!((end.as_str(), kinds(&effects).as_str()), ("abandoned/caller", "sms sms email task missed_call"));
    let to: Vec<&Value> = effects[..3].iter().map(|effect| &effect["to"]).collect();
    assert_eq!(json!(to), json!([CALLER, "+79165550000", "office@example.test"]));
    assert_eq!(effects[0]["text"], format!("Звонок от {CALLER}"));
    assert_eq!(effects[3]["assign"], "boss");

    // Nobody can be sent an SMS whose number is withheld; the rest is done all the same.
    let turn = desk.engine.arrive("call-1", DID, None, NOON).unwrap();
    let (_, effects) = play(&mut desk, turn, "press 1, caller_hung_up");
    assert_eq!(kinds(&effects), "sms email task missed_call");
    assert_eq!(effects[2]["title"], "Звонил номер скрыт");
    assert_eq!(effects[3]["caller"], Value::Null);

    // Not where a conversation began, a message was left, or the scheme had ended.
    for events in
        ["press 1, answered PJSIP/100, caller_hung_up", "press 2, caller_hung_up 9", "press 1, busy, caller_hung_up"]
    {
        let mut desk = doc.desk();
        let turn = desk.arrive("call-1");
        let (_, effects) = play(&mut desk, turn, events);
        assert!(!kinds(&effects).contains("sms"), "{events}: {effects:?}");
    }
    let mut desk = company().set(&place, json!([])).desk();
    let turn = desk.arrive("call-1");
    let (_, effects) = play(&mut desk, turn, "caller_hung_up");
    assert_eq!(kinds(&effects), "missed_call");
}

#[test]
fn a_message_is_kept_under_the_name_the_recording_was_made_by() {
    for (events, seconds) in [("press 2, recorded 33.5, hung_up", 33.5), ("press 2, caller_hung_up 2.25", 2.25)] {
        let mut desk = company().desk();
        let menu = desk.arrive("call-1");
        let record = desk.step(&menu, &told("press 2"));
        let Action::Record { recording, .. } = &record.action else { panic!("{}", short(&record)) };
        let (_, effects) = play(&mut desk, menu, events);
        let expected = json!([{"type": "voicemail", "id": "call-1:1", "recording": recording, "seconds": seconds,
            "email": ["office@example.test"], "assign": "boss"}]);
        assert_eq!(json!(effects), expected);
    }
}

#[test]
fn two_recordings_of_a_call_have_two_names() {
    let nodes = json!({
        "first": {"kind": "voicemail", "prompt": "speak", "seconds": 60.0, "exits": {"done": "again"}},
        "again": {"kind": "repeat", "times": 1, "exits": {"again": "first", "done": "bye"}},
    });
    let mut desk = Doc::crew(1).scheme("main", "first", nodes).desk();
    let turn = desk.arrive("call-1");
    let (end, effects) = play(&mut desk, turn, "recorded 3, recorded 4, hung_up");
    assert_eq!((end.as_str(), kinds(&effects).as_str()), ("voicemail/none", "voicemail voicemail"));
    assert_ne!(effects[0]["recording"], effects[1]["recording"]);
    // A second one too short takes nothing from the first.
    let turn = desk.arrive("call-1");
    let (end, effects) = play(&mut desk, turn, "recorded 3, recorded 0.2, hung_up");
    assert_eq!((end.as_str(), kinds(&effects).as_str()), ("voicemail/none", "voicemail"));
}

#[test]
fn a_recording_of_no_possible_length_is_refused_and_changes_nothing() {
    let mut desk = company().desk();
    let menu = desk.arrive("call-1");
    let record = desk.step(&menu, &told("press 2"));
    for seconds in ["-1", "90000", "1e300"] {
        assert_eq!(desk.refused(&record, &told(&format!("recorded {seconds}"))), "bad_event");
        assert_eq!(desk.refused(&record, &told(&format!("caller_hung_up {seconds}"))), "bad_event");
    }
    assert_eq!(desk.refused(&record, &Event::Recorded { seconds: f64::NAN }), "bad_event");
    assert_eq!(short(&desk.step(&record, &told("recorded 3"))), "hang_up");
}

#[test]
fn a_notice_to_the_owner_without_an_address_becomes_a_task() {
    let nodes = json!({
        "tell": {"kind": "sms", "to": "owner", "template": "missed", "exits": {"done": "post"}},
        "post": {"kind": "email", "to": "owner", "template": "missed", "exits": {"done": "mark"}},
        "mark": {"kind": "tag", "set": {"seen": "yes"}, "exits": {"done": "bye"}},
    });
    let mut desk = Doc::crew(1).scheme("main", "tell", nodes).desk();
    let turn = desk.arrive("call-1");
    assert_eq!(passed(&turn), "tell:done post:done mark:done");
    let (end, effects) = play(&mut desk, turn, "hung_up");
    assert_eq!((end.as_str(), kinds(&effects).as_str()), ("unavailable/callee", "task task tag missed_call"));
    assert_eq!(effects[0]["assign"], "sales");
}
