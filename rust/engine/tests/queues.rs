//! Queues: first come, first served, each attempt and each exit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use kommutator_engine::call::state::{CallState, MAX_STATE};
use kommutator_engine::floor::{LINE_GRACE_MS, Line, Presence};
use kommutator_engine::{Action, Engine, Event, Turn};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::*;

/// A scheme of one queue: `timeout` leads to voicemail, `full` and `nobody` to a task.
fn queue(crew: usize, mut parameters: Value) -> Doc {
    let node = parameters.as_object_mut().unwrap();
    node.insert("kind".into(), json!("queue"));
    node.entry("ring").or_insert_with(|| desks(0..crew));
    node.entry("exits").or_insert_with(|| json!({"timeout": "mail", "full": "note", "nobody": "note"}));
    Doc::crew(crew).scheme("main", "line", json!({"line": parameters}))
}

fn one_by_one(crew: usize) -> Doc {
    queue(crew, json!({"strategy": "linear", "seconds": 20.0, "max_wait": 300.0}))
}

fn position(turn: &Turn) -> Option<u32> {
    if let Action::Wait { position, .. } = turn.action { position } else { None }
}

fn heads(desk: &mut Desk) -> Vec<String> {
    desk.engine.queue_heads(desk.now).into_iter().map(Into::into).collect()
}

const FREE: &str = "employee_free";
const OVER: &str = "conversation_ended";

#[test]
fn who_came_first_is_served_first_and_nobody_passes_him() {
    let mut desk = one_by_one(1).desk();
    let first = desk.arrive("first");
    assert_eq!(short(&first), "ring PJSIP/100 20000 #1");
    let talk = desk.step(&first, &answered("PJSIP/100"));
    desk.now += 1000;
    let second = desk.arrive("second");
    let third = desk.arrive("third");
    assert_eq!((position(&second), position(&third)), (Some(1), Some(2)));
    desk.now += 5000;
    assert_eq!(short(&desk.step(&talk, &plain(OVER))), "answered/none");
    assert_eq!(heads(&mut desk), ["second"]);
    let passing = desk.step(&third, &plain(FREE));
    assert_eq!((short(&passing).as_str(), position(&passing)), ("wait 60000", Some(2)));
    let newcomer = desk.arrive("newcomer");
    assert_eq!(position(&newcomer), Some(3), "he is free, and the line has a head");
    let second = desk.step(&second, &plain(FREE));
    assert_eq!(short(&second), "ring PJSIP/100 20000 #1");
    assert_eq!(heads(&mut desk), ["third"], "the next may be offered whoever else is free");
}

#[test]
fn two_who_came_in_one_moment_keep_their_order() {
    let mut desk = one_by_one(1).desk();
    desk.arrive("served");
    desk.arrive("z");
    desk.arrive("a");
    assert_eq!(heads(&mut desk), ["z"]);
    let views = serde_json::to_value(desk.engine.queues(desk.now)).unwrap();
    let callers = |name: &str, ringing: bool| json!({"call": name, "since_ms": NOON, "ringing": ringing});
    let all = json!([callers("served", true), callers("z", false), callers("a", false)]);
    assert_eq!(views, json!([{"scheme": "main", "node": "line", "callers": all}]));
}

#[test]
fn two_free_people_ring_for_the_first_two_at_once() {
    let mut desk = one_by_one(2).desk();
    assert_eq!(rung(&desk.arrive("one")), ["PJSIP/100"]);
    assert_eq!(rung(&desk.arrive("two")), ["PJSIP/101"]);
    assert_eq!(position(&desk.arrive("three")), Some(3));
}

#[test]
fn a_silent_phone_rests_and_the_caller_keeps_his_place() {
    let mut desk = one_by_one(1).desk();
    let first = desk.arrive("first");
    let second = desk.arrive("second");
    let first = desk.after(20, &first, &plain("no_answer"));
    assert_eq!((short(&first).as_str(), position(&first)), ("wait 10000", Some(1)), "until the phone has rested");
    assert_eq!(left_out(&first), [("e0".into(), "resting".into())]);
    assert_eq!(short(&desk.step(&second, &plain(FREE))), "wait 60000", "it rests for every call of the queue");
    assert_eq!(short(&desk.after(4, &first, &plain(FREE))), "wait 6000");
    let first = desk.after(6, &first, &plain("waited"));
    assert_eq!(short(&first), "ring PJSIP/100 20000 #2");
}

#[test]
fn calls_that_are_forgotten_hold_nobody_and_stand_in_no_line() {
    let mut desk = one_by_one(2).desk();
    let rung_in_vain = desk.arrive("first");
    let rings = desk.arrive("second");
    desk.step(&rings, &answered("PJSIP/101"));
    assert_eq!(short(&desk.after(20, &rung_in_vain, &plain("no_answer"))), "wait 10000");
    assert_eq!(position(&desk.arrive("third")), Some(2));
    desk.engine.forget_calls();
    assert_eq!((heads(&mut desk).len(), desk.engine.floor().claimed(desk.now).count()), (0, 0));
    assert_eq!(short(&desk.arrive("next")), "ring PJSIP/100 20000 #1");
}

#[test]
fn an_attempt_rings_those_not_tried_before_those_tried() {
    let mut desk = one_by_one(3).desk();
    let mut turn = desk.arrive("call");
    let mut order = Vec::new();
    for _ in 0..6 {
        order.extend(rung(&turn).iter().map(|phone| (*phone).to_owned()));
        turn = desk.after(20, &turn, &plain("no_answer"));
    }
    assert_eq!(order, ["PJSIP/100", "PJSIP/101", "PJSIP/102", "PJSIP/100", "PJSIP/101", "PJSIP/102"]);
}

#[test]
fn who_declines_is_passed_over_for_the_pause() {
    let doc = queue(2, json!({"strategy": "all", "seconds": 20.0, "pause": 30.0}));
    let mut desk = doc.desk();
    let turn = desk.arrive("call");
    assert_eq!(rung(&turn), ["PJSIP/100", "PJSIP/101"]);
    let ended = json!([{"endpoint": "PJSIP/100", "cause": "declined"}, {"endpoint": "PJSIP/101", "cause": "busy"}]);
    let turn = desk.after(3, &turn, &event(json!({"type": "busy", "ended": ended})));
    assert_eq!(short(&turn), "wait 30000");
    let turn = desk.after(30, &turn, &plain("waited"));
    assert_eq!(short(&turn), "ring PJSIP/100 PJSIP/101 20000 #2");
}

#[test]
fn an_expanding_attempt_adds_rank_after_rank() {
    let doc = (0..3).fold(queue(3, json!({"strategy": "expanding", "seconds": 10.0})), |doc, ix| {
        doc.set(&["employees", &format!("e{ix}"), "rank"], json!(ix))
    });
    let mut desk = doc.desk();
    desk.line(1, Line::Busy);
    let turn = desk.arrive("call");
    assert_eq!(rung(&turn), ["PJSIP/100"]);
    desk.line(1, Line::Idle);
    let turn = desk.after(10, &turn, &plain("no_answer"));
    assert_eq!(rung(&turn), ["PJSIP/100", "PJSIP/101"]);
    let turn = desk.after(10, &turn, &plain("no_answer"));
    assert_eq!(rung(&turn), ["PJSIP/100", "PJSIP/101", "PJSIP/102"]);
    let turn = desk.after(10, &turn, &plain("no_answer"));
    assert_eq!(short(&turn), "wait 10000", "all three rest");
    let turn = desk.after(10, &turn, &plain("waited"));
    assert_eq!(rung(&turn), ["PJSIP/100"], "the next attempt begins with the first rank");
}

#[test]
fn the_longest_wait_cuts_an_attempt() {
    let mut desk = queue(1, json!({"seconds": 20.0, "max_wait": 25.0})).desk();
    let turn = desk.arrive("call");
    let turn = desk.after(
        18,
        &turn,
        &event(json!({"type": "no_answer", "ended": [
        {"endpoint": "PJSIP/100", "cause": "declined"}]})),
    );
    assert_eq!(short(&turn), "wait 7000", "no phone that rests until after the longest wait is waited for");
    let turn = desk.after(7, &turn, &plain("waited"));
    assert_eq!(passed(&turn), "line:timeout");
    assert_eq!(short(&turn), "record");
    assert!(heads(&mut desk).is_empty() && desk.engine.queues(desk.now).is_empty());

    let turn = desk.arrive("other");
    assert_eq!(short(&turn), "wait 3000");
    let turn = desk.after(3, &turn, &plain("waited"));
    assert_eq!(short(&turn), "ring PJSIP/100 20000 #1");
    let turn = desk.after(20, &turn, &plain("no_answer"));
    assert_eq!(short(&turn), "wait 2000");
    let turn = desk.step(&turn, &plain("waited"));
    assert_eq!(passed(&turn), "line:timeout", "a time that is told to be up is up, whatever the clock says");
}

#[test]
fn a_full_line_turns_away_at_once() {
    let mut desk = queue(1, json!({"seconds": 20.0, "max_length": 2})).desk();
    desk.arrive("rings");
    let waits = desk.arrive("waits");
    let full = desk.arrive("full");
    assert_eq!(passed(&full), "line:full note:done");
    assert_eq!(full.trace[0].why, serde_json::from_value(json!({"code": "queue_full", "callers": 2})).unwrap());
    let gone = desk.step(&waits, &plain("caller_hung_up"));
    assert_eq!(short(&gone), "abandoned/caller");
    assert_eq!(position(&desk.arrive("next")), Some(2));
}

#[test]
fn nobody_is_waited_for_who_is_not_there() {
    let mut desk = one_by_one(2).desk();
    desk.presence(0, Presence::Away);
    desk.line(1, Line::Unreachable);
    assert_eq!(passed(&desk.arrive("early")), "line:nobody note:done");
    desk.line(1, Line::Busy);
    let waits = desk.arrive("waits");
    assert_eq!(position(&waits), Some(1), "who is only busy is there");
    let behind = desk.arrive("behind");
    let freed = desk.engine.floor().freed();
    desk.presence(1, Presence::Offline);
    assert!(desk.engine.floor().freed() > freed, "the heads are to be asked");
    let waits = desk.step(&waits, &plain(FREE));
    assert_eq!(passed(&waits), "line:nobody note:done");
    assert_eq!(heads(&mut desk), ["behind"]);
    assert_eq!(passed(&desk.step(&behind, &plain(FREE))), "line:nobody note:done");
}

#[test]
fn exits_left_out_follow_the_timeout() {
    let doc = queue(1, json!({"seconds": 20.0, "exits": {"timeout": "mail"}}));
    let mut desk = doc.desk();
    desk.presence(0, Presence::Away);
    assert_eq!(passed(&desk.arrive("call")), "line:nobody");
}

#[test]
fn the_announcement_is_told_at_first_and_then_every_so_often() {
    let doc = queue(1, json!({"seconds": 20.0, "announce": "sorry", "announce_every": 25.0, "music": "calm"}));
    let mut desk = doc.desk();
    desk.line(0, Line::Busy);
    let mut turn = desk.arrive("call");
    let told = |turn: &Turn| match &turn.action {
        Action::Wait { announce, music, ms, .. } => (announce.clone(), music.clone().unwrap(), *ms),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&turn), (Some("sorry".into()), "calm".into(), 29_000), "four seconds of it, and 25");
    assert_eq!(told(&desk.after(10, &turn, &plain(FREE))), (None, "calm".into(), 19_000));
    turn = desk.after(19, &turn, &plain("waited"));
    assert_eq!(told(&turn), (Some("sorry".into()), "calm".into(), 29_000));
}

#[test]
fn the_announcement_tells_the_place_in_line_and_the_last_one_whoever_stands_further_back() {
    let places = json!(["hello", "speak", "sorry"]);
    let doc = queue(1, json!({"seconds": 20.0, "announce": places, "announce_every": 26.0}));
    let mut desk = doc.desk();
    desk.line(0, Line::Busy);
    let said = |turn: &Turn| match &turn.action {
        Action::Wait { announce, ms, .. } => (announce.clone().unwrap_or_default().to_string(), *ms),
        other => panic!("{other:?}"),
    };
    let turns: Vec<Turn> = ["first", "second", "third", "fourth"].iter().map(|call| desk.arrive(call)).collect();
    // After the longest of the three, "sorry" with its four seconds.
    let every = 30_000;
    let heard: Vec<_> = turns.iter().map(said).collect();
    assert_eq!(heard, [("hello", every), ("speak", every), ("sorry", every), ("sorry", every)].map(own));
    assert_eq!(said(&desk.engine.resume(&turns[1].state, desk.now).unwrap()), own(("speak", every)));
    // The first leaves: who stands behind him moves up, and hears so when it is said again.
    desk.step(&turns[0], &plain("caller_hung_up"));
    let third = desk.after(10, &turns[2], &plain(FREE));
    assert_eq!(said(&third), own(("", 20_000)));
    assert_eq!(said(&desk.after(20, &third, &plain("waited"))), own(("speak", every)));
}

fn own((prompt, ms): (&str, u64)) -> (String, u64) {
    (prompt.to_owned(), ms)
}

#[test]
fn who_is_taken_over_has_his_old_place() {
    let doc = one_by_one(1);
    let mut before = doc.desk();
    let served = before.arrive("served");
    before.now += 2000;
    let first = before.arrive("first");
    let second = before.arrive("second");
    // Another router, which knows nothing, hears of them in another order.
    let mut desk = doc.desk();
    desk.now = before.now + 3000;
    let second = desk.engine.resume(&second.state, desk.now).unwrap();
    let newcomer = desk.arrive("newcomer");
    let first = desk.engine.resume(&first.state, desk.now).unwrap();
    let served = desk.engine.resume(&served.state, desk.now).unwrap();
    assert_eq!(short(&served), "ring PJSIP/100 15000 #1");
    assert_eq!((position(&first), short(&second), position(&newcomer)), (Some(1), "wait 57000".into(), Some(2)));
    assert_eq!(heads(&mut desk), ["first"]);
    let views = serde_json::to_value(desk.engine.queues(desk.now)).unwrap();
    let order: Vec<&Value> = views[0]["callers"].as_array().unwrap().iter().map(|caller| &caller["call"]).collect();
    assert_eq!(order, ["served", "first", "second", "newcomer"]);
}

#[test]
fn a_state_that_is_out_of_date_leaves_nobody_in_line() {
    let doc = one_by_one(1);
    let mut before = doc.desk();
    before.line(0, Line::Busy);
    let waits = before.arrive("call");
    before.line(0, Line::Idle);
    let rings = before.step(&waits, &plain(FREE));
    let talks = before.step(&rings, &answered("PJSIP/100"));
    let mut engine = doc.engine();
    for (state, callers) in [(&waits, 1), (&talks, 0), (&waits, 1), (&rings, 1), (&talks, 0)] {
        engine.resume(&state.state, NOON).unwrap();
        assert_eq!(engine.queues(NOON).iter().map(|queue| queue.callers.len()).sum::<usize>(), callers);
    }
}

#[test]
fn a_new_version_loses_no_places() {
    let (old, new) = (one_by_one(1), one_by_one(1).set(&["company", "name"], json!("Other")));
    let mut desk = old.desk();
    let served = desk.arrive("served");
    let first = desk.arrive("first");
    let version = desk.engine.hold(new.company());
    assert!(desk.engine.activate(version));
    desk.now += 1000;
    let second = desk.arrive("second");
    assert_eq!(position(&second), Some(3), "one line");
    let talk = desk.step(&served, &answered("PJSIP/100"));
    desk.step(&talk, &plain(OVER));
    assert_eq!(heads(&mut desk), ["first", "second"], "the first of each version, the longest waiting first");
    assert_eq!(rung(&desk.step(&first, &plain(FREE))), ["PJSIP/100"]);
}

#[test]
fn a_client_that_has_vanished_stands_in_nobodys_way_for_long() {
    let mut desk = one_by_one(1).desk();
    let served = desk.arrive("served");
    desk.arrive("vanished");
    let waits = desk.arrive("waits");
    let talk = desk.step(&served, &answered("PJSIP/100"));
    desk.step(&talk, &plain(OVER));
    let waits = desk.after(60, &waits, &plain("waited"));
    assert_eq!(position(&waits), Some(2));
    let waits = desk.after(15, &waits, &plain(FREE));
    assert_eq!(short(&waits), "ring PJSIP/100 20000 #1");
}

#[test]
fn a_number_of_nobody_rings_for_one_caller_at_a_time() {
    let phone = "+74957654321";
    let mut desk = queue(1, json!({"ring": [{"phone": phone}], "seconds": 20.0})).desk();
    let first = desk.arrive("first");
    assert_eq!(rung(&first), [phone]);
    let second = desk.arrive("second");
    assert_eq!(position(&second), Some(2));
    let talk = desk.after(1, &first, &answered(phone));
    assert_eq!(short(&desk.step(&second, &plain(FREE))), "wait 60000");
    assert!(desk.claims().is_empty(), "it is nobody of the house");
    desk.step(&talk, &plain(OVER));
    assert_eq!(rung(&desk.step(&second, &plain(FREE))), [phone]);
}

#[test]
fn a_number_of_nobody_stays_with_its_call_when_that_is_taken_over() {
    let phone = "+74957654321";
    let doc = queue(1, json!({"ring": [{"phone": phone}], "seconds": 20.0}));
    let mut before = doc.desk();
    let rings = before.arrive("first");
    let talks = before.step(&rings, &answered(phone));
    for state in [&rings, &talks] {
        let mut desk = doc.desk();
        desk.engine.resume(&state.state, desk.now).unwrap();
        let second = desk.arrive("second");
        assert_eq!(short(&second), "wait 60000", "the phone is the first one's");
        desk.step(state, &plain("caller_hung_up"));
        assert_eq!(rung(&desk.step(&second, &plain(FREE))), [phone]);
    }
}

#[test]
fn a_process_that_has_not_heard_of_a_caller_gives_him_his_place() {
    let doc = one_by_one(1);
    let mut before = doc.desk();
    before.line(0, Line::Busy);
    let first = before.arrive("first");
    before.now += 1000;
    let second = before.arrive("second");
    let mut desk = doc.desk();
    desk.line(0, Line::Busy);
    desk.now = before.now;
    let third = desk.arrive("third");
    assert_eq!(position(&third), Some(1), "as far as is known");
    let second = desk.step(&second, &plain(FREE));
    assert_eq!(position(&second), Some(1));
    desk.line(0, Line::Idle);
    assert_eq!(rung(&desk.step(&first, &plain(FREE))), ["PJSIP/100"], "he is head at once, and somebody is free");
    assert_eq!(heads(&mut desk), ["second"]);
}

#[test]
fn callers_with_owners_of_their_own_wait_for_them_side_by_side() {
    let nodes = json!({
        "who": {"kind": "owner", "exits": {"found": "line", "unknown": "line", "unavailable": "line"}},
        "line": {"kind": "queue", "ring": [{"owner": true}], "seconds": 20.0, "exits": {"timeout": "mail"}},
    });
    let mut desk = Doc::crew(2).scheme("main", "who", nodes).desk();
    let come = |desk: &mut Desk, call: &str, caller: &str, owner: &str| {
        desk.engine.owner_is(caller, Some(owner)).unwrap();
        desk.engine.arrive(call, DID, Some(caller), desk.now).unwrap()
    };
    desk.line(0, Line::Busy);
    assert_eq!(position(&come(&mut desk, "busy", "+79161230001", "e0")), Some(1));
    assert_eq!(rung(&come(&mut desk, "free", "+79161230002", "e1")), ["PJSIP/101"]);
}

#[test]
fn what_another_router_holds_does_not_ring_here() {
    let mut desk = queue(2, json!({"seconds": 20.0})).desk();
    let turn = desk.arrive("call");
    let taken = |who: &[&str]| event(json!({"type": "taken", "employees": who}));
    let turn = desk.step(&turn, &taken(&["e0"]));
    assert_eq!(rung(&turn), ["PJSIP/101"]);
    let turn = desk.step(&turn, &taken(&["e1"]));
    assert_eq!(position(&turn), Some(1));
}

/// Steps counted in memory allocated would say nothing; time on a shared machine little: so the two are compared, and a
/// linear step would take a hundred times as long.
#[test]
fn ten_thousand_in_line_make_no_step_slower() {
    let parameters = json!({"strategy": "longest_idle", "seconds": 20.0, "max_length": 20_000, "max_wait": 3600.0});
    let doc = queue(1, parameters);
    let time = |callers: usize| {
        let mut desk = doc.desk();
        desk.line(0, Line::Busy);
        let mut turns: Vec<Turn> = (0..callers).map(|n| desk.arrive(&format!("call-{n:05}"))).collect();
        let mut best = std::time::Duration::MAX;
        for _ in 0..20 {
            let began = std::time::Instant::now();
            for turn in turns.iter_mut().take(100) {
                *turn = desk.step(turn, &plain(FREE));
                let left = desk.step(turn, &plain("caller_hung_up"));
                assert_eq!(short(&left), "abandoned/caller");
                *turn = desk.engine.resume(&turn.state, desk.now).unwrap();
            }
            best = best.min(began.elapsed());
        }
        best
    };
    let (short, long) = (time(100), time(10_000));
    assert!(long < short * 10, "{long:?} against {short:?}");
}

#[test]
fn the_state_of_a_call_at_a_long_queue_fits() {
    let doc = queue(1000, json!({"strategy": "random", "seconds": 1.0, "max_wait": 3600.0}));
    let mut engine = Engine::new(doc.company());
    let id = "c".repeat(64);
    let mut turn = engine.arrive(&id, DID, Some(CALLER), NOON).unwrap();
    for second in 1..1500 {
        assert!(turn.state.len() <= MAX_STATE, "{second}: {}", turn.state.len());
        turn = engine.handle(&turn.state, &plain("no_answer"), NOON + 1000 * second).unwrap();
    }
}

#[test]
fn faults_of_a_queue_are_named() {
    let doc = |parameters| queue(1, parameters).codes();
    assert_eq!(doc(json!({"seconds": 20.0, "max_length": 0})), ["out_of_range"]);
    assert_eq!(doc(json!({"seconds": 20.0, "max_wait": 0.0})), ["out_of_range"]);
    assert_eq!(doc(json!({"seconds": 20.0, "announce": "sorry", "announce_every": 0.5})), ["out_of_range"]);
    assert_eq!(doc(json!({"seconds": 20.0, "announce": "nowhere"})), ["unknown_reference"]);
    assert_eq!(doc(json!({"seconds": 20.0, "announce": ["sorry", "nowhere"]})), ["unknown_reference"]);
    assert_eq!(doc(json!({"seconds": 20.0, "max_wait": 15.0})), ["attempt_cut"]);
    assert_eq!(doc(json!({"seconds": 20.0, "exits": {"full": "mail"}})), ["missing_exit"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: no phone rings for two, whoever is first rung came before all who still wait,
    /// every state fits, and when all have gone nobody is claimed and no line is left.
    #[test]
    fn any_order_of_events_keeps_the_line(
        crew in 1_usize..4,
        strategy in prop::sample::select(vec!["all", "linear", "round_robin", "longest_idle", "fewest_calls", "random", "expanding"]),
        steps in prop::collection::vec((0_u8..10, any::<prop::sample::Index>(), 0_i64..30), 1..120),
    ) {
        let doc = queue(crew, json!({"strategy": strategy, "seconds": 15.0, "max_wait": 120.0, "max_length": 6}));
        let mut desk = doc.desk();
        let mut calls: BTreeMap<String, (i64, Turn)> = BTreeMap::new();
        for (n, (kind, which, seconds)) in steps.into_iter().enumerate() {
            desk.now += seconds * 1000;
            if kind < 3 || calls.is_empty() {
                let id = format!("call-{n:03}");
                let turn = desk.arrive(&id);
                calls.insert(id, (desk.now, turn));
            } else if kind == 3 {
                desk.line(which.index(crew), [Line::Idle, Line::Busy, Line::WrapUp][n % 3]);
            } else {
                let id = calls.keys().nth(which.index(calls.len())).unwrap().clone();
                let (came, turn) = calls[&id].clone();
                let event = any_event(&turn, kind, which);
                // Who says that a time is up says it then.
                match (&event, &turn.action) {
                    (Event::Waited {}, Action::Wait { ms, .. }) | (Event::NoAnswer { .. }, Action::Ring { ms, .. }) => {
                        desk.now += *ms as i64;
                    }
                    _ => {}
                }
                let next = desk.step(&turn, &event);
                if matches!(turn.action, Action::Wait { .. }) && matches!(next.action, Action::Ring { .. }) {
                    let older = calls.values().any(|(other, turn)| *other < came && stands(turn, desk.now));
                    prop_assert!(!older, "{id} was rung before one who came earlier and still waits");
                }
                calls.insert(id, (came, next));
            }
            for (_, turn) in calls.values() {
                prop_assert!(turn.state.len() <= MAX_STATE);
            }
            let rung = desk.claims().into_iter().filter(|claim| claim.ends_with("ringing"));
            let rung: Vec<String> = rung.map(|claim| claim.split(' ').next().unwrap().to_owned()).collect();
            let once: std::collections::BTreeSet<&String> = rung.iter().collect();
            prop_assert_eq!(once.len(), rung.len(), "somebody is rung for two calls: {:?}", rung);
            calls.retain(|_, (_, turn)| !matches!(turn.action, Action::End { .. }));
        }
        for (_, turn) in calls.values() {
            desk.step(turn, &plain("caller_hung_up"));
        }
        prop_assert!(desk.claims().is_empty());
        prop_assert!(desk.engine.queues(desk.now).is_empty());
    }
}

/// Whether the call waits, and what it waits for is not so long over that its client has vanished.
fn stands(turn: &Turn, now_ms: i64) -> bool {
    let state = CallState::decode(&turn.state).unwrap();
    let until_ms = state.hunt.map_or(0, |hunt| hunt.until_ms) + LINE_GRACE_MS;
    matches!(turn.action, Action::Wait { .. }) && now_ms < until_ms
}

fn any_event(turn: &Turn, kind: u8, which: prop::sample::Index) -> Event {
    match &turn.action {
        _ if kind == 9 => plain("caller_hung_up"),
        Action::Ring { endpoints, .. } if kind < 7 => answered(&endpoints[which.index(endpoints.len())].endpoint),
        Action::Ring { .. } => plain(["no_answer", "busy"][usize::from(kind % 2)]),
        Action::Wait { .. } => plain(if kind == 8 { "waited" } else { FREE }),
        Action::Talk { .. } => plain(OVER),
        Action::Record { .. } => event(json!({"type": "recorded", "seconds": 2.0})),
        Action::HangUp { .. } => plain("hung_up"),
        other => panic!("{other:?}"),
    }
}
