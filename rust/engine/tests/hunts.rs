//! Rounds exactly as the contract says: who is rung, for how long, who is left out and why, and how a hunt ends.
#![allow(clippy::unwrap_used)]

mod support;

use kommutator_engine::floor::{Line, Presence};
use serde_json::{Value, json};
use support::*;

/// The call goes through the rounds with each phone ringing out; the turns in short.
fn ring_out(desk: &mut Desk, call: &str) -> Vec<String> {
    let mut turn = desk.arrive(call);
    let mut seen = Vec::new();
    while !rung(&turn).is_empty() {
        seen.push(short(&turn));
        turn = desk.after(20, &turn, &plain("no_answer"));
    }
    seen.push(passed(&turn));
    seen
}

fn crew_hunt(strategy: &str) -> Doc {
    Doc::crew(4).hunt(json!({"ring": desks(0..4), "strategy": strategy, "seconds": 20.0}))
}

fn declined(endpoint: &str, cause: &str) -> kommutator_engine::Event {
    event(json!({"type": "no_answer", "ended": [{"endpoint": endpoint, "cause": cause}]}))
}

#[test]
fn all_ring_at_once_in_one_round() {
    let mut desk = crew_hunt("all").desk();
    let expected = ["ring PJSIP/100 PJSIP/101 PJSIP/102 PJSIP/103 20000 #1", "hunt:no_answer"];
    assert_eq!(ring_out(&mut desk, "a"), expected);
    assert!(desk.claims().is_empty());
}

#[test]
fn linear_rings_one_after_another_as_written_and_counts_rounds_passed_over() {
    let mut desk = crew_hunt("linear").desk();
    desk.presence(1, Presence::Away);
    let expected = ["ring PJSIP/100 20000 #1", "ring PJSIP/102 20000 #3", "ring PJSIP/103 20000 #4", "hunt:no_answer"];
    assert_eq!(ring_out(&mut desk, "a"), expected);
}

#[test]
fn round_robin_begins_after_whom_the_last_call_began_with() {
    let mut desk = crew_hunt("round_robin").desk();
    let order = |first: usize| -> Vec<String> {
        (0..4)
            .map(|ix| format!("ring PJSIP/{} 20000 #{}", 100 + (first + ix) % 4, ix + 1))
            .chain(["hunt:no_answer".to_owned()])
            .collect()
    };
    for first in [0, 1, 2, 3, 0] {
        assert_eq!(ring_out(&mut desk, "a"), order(first));
    }
}

#[test]
fn round_robin_goes_on_after_whom_it_really_rang_first() {
    let mut desk = crew_hunt("round_robin").desk();
    desk.line(0, Line::Busy);
    desk.line(1, Line::Busy);
    let turn = desk.arrive("a");
    assert_eq!(rung(&turn), ["PJSIP/102"]);
    desk.line(0, Line::Idle);
    let turn = desk.arrive("b");
    assert_eq!(rung(&turn), ["PJSIP/103"]);
}

#[test]
fn round_robin_moves_on_though_its_first_ring_came_after_a_wait() {
    let mut desk = crew_hunt("round_robin").desk();
    (0..4).for_each(|ix| desk.line(ix, Line::WrapUp));
    let turn = desk.arrive("a");
    assert_eq!(short(&turn), "wait 20000");
    // His coming free reaches us together with the end of the wait.
    desk.line(0, Line::Idle);
    let turn = desk.after(20, &turn, &plain("waited"));
    assert_eq!(short(&turn), "ring PJSIP/100 20000 #2");
    (1..4).for_each(|ix| desk.line(ix, Line::Idle));
    desk.step(&turn, &plain("caller_hung_up"));
    assert_eq!(rung(&desk.arrive("b")), ["PJSIP/101"]);
}

#[test]
fn longest_idle_rings_whose_conversation_ended_longest_ago() {
    let mut desk = crew_hunt("longest_idle")
        .scheme(
            "direct",
            "hunt",
            json!({"hunt": hunt(
        json!({"ring": desks(0..4), "seconds": 20.0}))}),
        )
        .desk();
    for ix in [2, 0, 3, 1] {
        let talk = desk.talk("t", &did(1), ix);
        desk.after(30, &talk, &plain("conversation_ended"));
    }
    let turns = ring_out(&mut desk, "a");
    let order: Vec<&str> = turns.iter().filter_map(|turn| turn.split(' ').nth(1)).collect();
    assert_eq!(order, ["PJSIP/102", "PJSIP/100", "PJSIP/103", "PJSIP/101"]);
}

#[test]
fn longest_idle_begins_with_who_never_talked_in_the_order_written() {
    let mut desk = crew_hunt("longest_idle").desk();
    let turn = desk.arrive("t");
    let talk = desk.step(&turn, &answered("PJSIP/100"));
    desk.after(30, &talk, &plain("caller_hung_up"));
    assert_eq!(rung(&desk.arrive("a")), ["PJSIP/101"]);
}

#[test]
fn fewest_calls_rings_who_has_answered_fewest() {
    let mut desk = crew_hunt("fewest_calls")
        .scheme(
            "direct",
            "hunt",
            json!({"hunt": hunt(
        json!({"ring": desks(0..4), "seconds": 20.0}))}),
        )
        .desk();
    for ix in [0, 0, 0, 1, 2, 2] {
        let talk = desk.talk("t", &did(1), ix);
        desk.after(30, &talk, &plain("conversation_ended"));
    }
    let turns = ring_out(&mut desk, "a");
    let order: Vec<&str> = turns.iter().filter_map(|turn| turn.split(' ').nth(1)).collect();
    assert_eq!(order, ["PJSIP/103", "PJSIP/101", "PJSIP/102", "PJSIP/100"]);
}

#[test]
fn random_depends_on_the_call_alone_and_rings_each_once() {
    let orders: Vec<Vec<String>> =
        (0..12).map(|ix| ring_out(&mut crew_hunt("random").desk(), &format!("c{ix}"))).collect();
    for (ix, order) in orders.iter().enumerate() {
        assert_eq!(*order, ring_out(&mut crew_hunt("random").desk(), &format!("c{ix}")));
        let mut phones: Vec<&str> = order.iter().filter_map(|turn| turn.split(' ').nth(1)).collect();
        phones.sort_unstable();
        assert_eq!(phones, ["PJSIP/100", "PJSIP/101", "PJSIP/102", "PJSIP/103"]);
    }
    assert!(orders.iter().any(|order| order != &orders[0]), "twelve calls have one order");
}

#[test]
fn expanding_by_steps_adds_each_step_to_those_who_ring() {
    let steps = json!([
        {"ring": desks([0]), "seconds": 15.0},
        {"ring": [{"employee": "e2"}, {"phone": "8 495 222-33-44"}], "seconds": 10.0},
        {"ring": desks([0, 1]), "seconds": 5.5},
    ]);
    let mut desk = Doc::crew(3).hunt(json!({"strategy": "expanding", "steps": steps})).desk();
    let turn = desk.arrive("a");
    assert_eq!(short(&turn), "ring PJSIP/100 15000 #1");
    let turn = desk.after(15, &turn, &plain("no_answer"));
    assert_eq!(short(&turn), "ring PJSIP/100 PJSIP/102 +74952223344 10000 #2");
    let turn = desk.after(10, &turn, &plain("no_answer"));
    assert_eq!(short(&turn), "ring PJSIP/100 PJSIP/102 +74952223344 PJSIP/101 5500 #3");
    let turn = desk.after(5, &turn, &plain("no_answer"));
    assert_eq!(passed(&turn), "hunt:no_answer");
}

#[test]
fn expanding_by_rank_begins_with_the_lowest_and_ends_with_who_has_none() {
    let ranks = [Some(2), None, Some(1), Some(2), Some(-1)];
    let doc = (0..5)
        .fold(Doc::new(), |doc, ix| doc.employee(&format!("e{ix}"), json!({"endpoint": desk(ix), "rank": ranks[ix]})));
    let mut desk = doc.hunt(json!({"ring": desks(0..5), "strategy": "expanding", "seconds": 20.0})).desk();
    let expected = [
        "ring PJSIP/104 20000 #1",
        "ring PJSIP/104 PJSIP/102 20000 #2",
        "ring PJSIP/104 PJSIP/102 PJSIP/100 PJSIP/103 20000 #3",
        "ring PJSIP/104 PJSIP/102 PJSIP/100 PJSIP/103 PJSIP/101 20000 #4",
        "hunt:no_answer",
    ];
    assert_eq!(ring_out(&mut desk, "a"), expected);
}

#[test]
fn an_expanding_round_without_anybody_is_passed_over() {
    let steps = json!([{"ring": desks([0]), "seconds": 15.0}, {"ring": desks([1]), "seconds": 10.0}]);
    let mut desk = Doc::crew(2).hunt(json!({"strategy": "expanding", "steps": steps})).desk();
    desk.presence(0, Presence::Offline);
    let turn = desk.arrive("a");
    assert_eq!(short(&turn), "ring PJSIP/101 10000 #2");
    assert!(turn.rounds[0].passed_over && !turn.rounds[1].passed_over);
    assert_eq!(left_out(&turn), [("e0".to_owned(), "offline".to_owned())]);
}

/// What keeps somebody out of a round, the reason told, and what becomes of a hunt for him alone.
#[test]
fn who_is_left_out_and_why() {
    type Set = fn(&mut Desk);
    let cases: [(Set, &str, &str); 9] = [
        (|desk| desk.presence(0, Presence::Away), "away", "hunt:unavailable note:done"),
        (|desk| desk.presence(0, Presence::Offline), "offline", "hunt:unavailable note:done"),
        (|desk| desk.line(0, Line::Unreachable), "unreachable", "hunt:unavailable note:done"),
        (|desk| desk.line(0, Line::Busy), "on_the_phone", "hunt:busy note:done"),
        (|desk| drop(desk.talk("other", DID, 0)), "on_the_phone", "hunt:busy note:done"),
        (|desk| desk.line(0, Line::WrapUp), "wrap_up", "wait"),
        (|desk| desk.line(0, Line::Ringing), "rung_by_another", "wait"),
        (|desk| drop(desk.arrive("other")), "rung_by_another", "wait"),
        (|desk| assert!(desk.engine.reserve("e0", "other", NOON).unwrap()), "rung_by_another", "wait"),
    ];
    for (ix, (set, why, then)) in cases.into_iter().enumerate() {
        for strategy in ["all", "linear", "round_robin", "longest_idle", "fewest_calls", "random", "expanding"] {
            let mut desk = Doc::crew(1).hunt(json!({"ring": desks([0]), "strategy": strategy, "seconds": 20.0})).desk();
            set(&mut desk);
            let turn = desk.arrive("a");
            assert_eq!(left_out(&turn), [("e0".to_owned(), why.to_owned())], "case {ix}, {strategy}");
            let seen = if passed(&turn).is_empty() { short(&turn) } else { passed(&turn) };
            assert!(seen.starts_with(then), "case {ix}, {strategy}: {seen}");
            assert_eq!(turn.rounds[0].passed_over, then != "wait");
        }
    }
}

#[test]
fn the_rest_of_the_round_rings_without_who_is_left_out() {
    let mut desk = crew_hunt("all").desk();
    desk.line(0, Line::Busy);
    desk.presence(2, Presence::Away);
    let turn = desk.arrive("a");
    assert_eq!(rung(&turn), ["PJSIP/101", "PJSIP/103"]);
    let pairs = [("e0", "on_the_phone"), ("e2", "away")].map(|(who, why)| (who.to_owned(), why.to_owned()));
    assert_eq!(left_out(&turn), pairs);
    assert_eq!(desk.claims(), ["e1 a ringing", "e3 a ringing"]);
}

#[test]
fn a_claim_elsewhere_makes_the_caller_wait_and_who_comes_free_rings_for_the_rest() {
    for strategy in ["all", "linear", "round_robin", "longest_idle", "fewest_calls", "random", "expanding"] {
        let mut desk = Doc::crew(1).hunt(json!({"ring": desks([0]), "strategy": strategy, "seconds": 20.0})).desk();
        let other = desk.arrive("other");
        desk.now += 5_000;
        let turn = desk.arrive("a");
        assert_eq!(short(&turn), "wait 20000");
        assert_eq!(desk.claims(), ["e0 other ringing"]);
        // Nobody came free: the same wait, with what is left of it.
        let turn = desk.after(4, &turn, &plain("employee_free"));
        assert_eq!(short(&turn), "wait 16000");
        desk.step(&other, &plain("caller_hung_up"));
        let turn = desk.after(3, &turn, &plain("employee_free"));
        assert_eq!(short(&turn), "ring PJSIP/100 13000 #1");
        assert_eq!(desk.claims(), ["e0 a ringing"]);
        let turn = desk.after(13, &turn, &plain("no_answer"));
        assert_eq!(passed(&turn), "hunt:no_answer", "{strategy}");
    }
}

#[test]
fn a_wait_in_vain_ends_busy_for_the_claimed_and_unavailable_for_wrap_up() {
    for strategy in ["all", "linear", "round_robin", "longest_idle", "fewest_calls", "random", "expanding"] {
        let doc = Doc::crew(1).hunt(json!({"ring": desks([0]), "strategy": strategy, "seconds": 20.0}));
        for (line, exit) in [(Line::Ringing, "hunt:busy note:done"), (Line::WrapUp, "hunt:unavailable note:done")] {
            let mut desk = doc.desk();
            desk.line(0, line);
            let turn = desk.arrive("a");
            let turn = desk.after(20, &turn, &plain("waited"));
            assert_eq!(passed(&turn), exit, "{strategy}");
        }
    }
}

#[test]
fn a_wait_ends_at_once_when_who_was_waited_for_goes_away() {
    let mut desk = Doc::crew(1).hunt(json!({"ring": desks([0]), "seconds": 20.0})).desk();
    desk.line(0, Line::WrapUp);
    let turn = desk.arrive("a");
    desk.presence(0, Presence::Away);
    let turn = desk.after(4, &turn, &plain("employee_free"));
    assert_eq!(passed(&turn), "hunt:unavailable note:done");
}

#[test]
fn nobody_is_waited_for_while_somebody_else_of_the_round_can_ring() {
    let mut desk = crew_hunt("all").desk();
    desk.line(1, Line::WrapUp);
    assert_eq!(rung(&desk.arrive("a")), ["PJSIP/100", "PJSIP/102", "PJSIP/103"]);
}

#[test]
fn linear_waits_for_the_one_of_its_round_and_then_rings_the_next() {
    let mut desk = crew_hunt("linear").desk();
    desk.line(0, Line::WrapUp);
    let turn = desk.arrive("a");
    assert_eq!(short(&turn), "wait 20000");
    let turn = desk.after(20, &turn, &plain("waited"));
    assert_eq!(short(&turn), "ring PJSIP/101 20000 #2");
}

#[test]
fn choosing_strategies_ring_who_is_free_and_come_back_to_who_was_not() {
    let mut desk = Doc::crew(2).hunt(json!({"ring": desks(0..2), "strategy": "round_robin", "seconds": 20.0})).desk();
    desk.line(0, Line::WrapUp);
    let turn = desk.arrive("a");
    assert_eq!(short(&turn), "ring PJSIP/101 20000 #1");
    let turn = desk.after(20, &turn, &plain("no_answer"));
    assert_eq!(short(&turn), "wait 20000");
    desk.line(0, Line::Idle);
    let turn = desk.after(5, &turn, &plain("employee_free"));
    assert_eq!(short(&turn), "ring PJSIP/100 15000 #2");
}

#[test]
fn being_rung_by_this_same_call_is_no_reason_to_leave_out() {
    let steps = json!([{"ring": desks([0]), "seconds": 15.0}, {"ring": desks([1]), "seconds": 10.0}]);
    let mut desk = Doc::crew(2).hunt(json!({"strategy": "expanding", "steps": steps})).desk();
    let turn = desk.arrive("a");
    desk.line(0, Line::Ringing);
    let turn = desk.after(15, &turn, &plain("no_answer"));
    assert_eq!(short(&turn), "ring PJSIP/100 PJSIP/101 10000 #2");
}

#[test]
fn nor_when_the_end_of_the_round_is_reported_after_the_claim_has_run_out() {
    let steps = json!([{"ring": desks([0]), "seconds": 15.0}, {"ring": desks([1]), "seconds": 10.0}]);
    let mut desk = Doc::crew(2).hunt(json!({"strategy": "expanding", "steps": steps})).desk();
    let turn = desk.arrive("a");
    desk.line(0, Line::Ringing);
    let turn = desk.after(25, &turn, &plain("no_answer"));
    assert_eq!(short(&turn), "ring PJSIP/100 PJSIP/101 10000 #2");
}

#[test]
fn who_declined_or_was_busy_or_unreachable_is_out_of_the_rest_of_the_hunt() {
    let steps = json!([{"ring": desks(0..2), "seconds": 15.0}, {"ring": desks([2]), "seconds": 10.0}]);
    for cause in ["declined", "busy", "unavailable"] {
        let mut desk = Doc::crew(3).hunt(json!({"strategy": "expanding", "steps": steps.clone()})).desk();
        let turn = desk.arrive("a");
        let turn = desk.after(15, &turn, &declined("PJSIP/100", cause));
        assert_eq!(short(&turn), "ring PJSIP/101 PJSIP/102 10000 #2");
        assert_eq!(left_out(&turn), [("e0".to_owned(), "out_of_this_hunt".to_owned())]);
        assert_eq!(desk.claims(), ["e1 a ringing", "e2 a ringing"]);
        // Another call may ring him.
        assert!(rung(&desk.arrive("b")).contains(&"PJSIP/100"));
    }
}

#[test]
fn a_new_hunt_of_the_same_call_begins_with_everybody() {
    let nodes = json!({
        "hunt": {"kind": "ring", "ring": desks([0]), "seconds": 20.0,
                 "exits": {"no_answer": "mail", "busy": "twice", "unavailable": "note"}},
        "twice": {"kind": "repeat", "times": 1, "exits": {"again": "hunt", "done": "note"}},
    });
    let mut desk = Doc::crew(1).scheme("main", "hunt", nodes).desk();
    let turn = desk.arrive("a");
    let turn = desk.step(&turn, &plain("busy"));
    assert_eq!(passed(&turn), "hunt:busy twice:again");
    assert_eq!(short(&turn), "ring PJSIP/100 20000 #1");
    let turn = desk.step(&turn, &plain("busy"));
    assert_eq!(passed(&turn), "hunt:busy twice:done note:done");
}

/// How the phones of a round of two end, and the exit of the hunt.
#[test]
fn the_exit_is_no_answer_if_any_phone_rang_out_else_busy_else_unavailable() {
    let cases = [
        ("no_answer", "no_answer", "no_answer"),
        ("no_answer", "busy", "no_answer"),
        ("no_answer", "declined", "no_answer"),
        ("no_answer", "unavailable", "no_answer"),
        ("busy", "busy", "busy"),
        ("busy", "declined", "busy"),
        ("busy", "unavailable", "busy"),
        ("declined", "declined", "unavailable"),
        ("declined", "unavailable", "unavailable"),
        ("unavailable", "unavailable", "unavailable"),
    ];
    let mut desk = Doc::crew(2).hunt(json!({"ring": desks(0..2), "seconds": 20.0})).desk();
    for (first, second, exit) in cases {
        for (one, other) in [(first, second), (second, first)] {
            for event_type in ["no_answer", "busy", "unavailable"] {
                let turn = desk.arrive("a");
                let ended: Value = [("PJSIP/100", one), ("PJSIP/101", other)]
                    .map(|(endpoint, cause)| json!({"endpoint": endpoint, "cause": cause}))
                    .into_iter()
                    .collect();
                let turn = desk.step(&turn, &event(json!({"type": event_type, "ended": ended})));
                assert_eq!(turn.trace[0].exit, exit, "{one}, {other}");
            }
        }
    }
    for event_type in ["no_answer", "busy", "unavailable"] {
        let turn = desk.arrive("a");
        let turn = desk.step(&turn, &plain(event_type));
        assert_eq!(turn.trace[0].exit, event_type);
    }
}

#[test]
fn an_earlier_round_that_rang_out_outweighs_a_busy_one() {
    let mut desk = Doc::crew(2).hunt(json!({"ring": desks(0..2), "strategy": "linear", "seconds": 20.0})).desk();
    let turn = desk.arrive("a");
    let turn = desk.after(20, &turn, &plain("no_answer"));
    let turn = desk.after(2, &turn, &plain("busy"));
    assert_eq!(passed(&turn), "hunt:no_answer");
}

#[test]
fn busy_and_unavailable_follow_no_answer_where_they_are_not_wired() {
    let ring = json!({"kind": "ring", "ring": desks([0]), "seconds": 20.0, "exits": {"no_answer": "mail"}});
    let mut desk = Doc::crew(1).scheme("main", "hunt", json!({"hunt": ring})).desk();
    for event_type in ["no_answer", "busy", "unavailable"] {
        let turn = desk.arrive("a");
        let turn = desk.step(&turn, &plain(event_type));
        assert_eq!(short(&turn), "record");
    }
}

#[test]
fn a_mobile_rings_who_is_away_but_not_who_is_taken() {
    let doc = Doc::crew(2).hunt(json!({"ring": [{"mobile": "e0"}, {"mobile": "e1"}], "seconds": 20.0}));
    for presence in [Presence::Present, Presence::Away, Presence::Offline] {
        let mut desk = doc.desk();
        desk.presence(0, presence);
        desk.line(1, Line::Unreachable);
        assert_eq!(rung(&desk.arrive("a")), [mobile(0), mobile(1)]);
        assert_eq!(desk.claims(), ["e0 a ringing", "e1 a ringing"]);
    }
    let mut desk = doc.desk();
    desk.presence(0, Presence::Away);
    desk.line(0, Line::Busy);
    desk.engine.reserve("e1", "other", NOON).unwrap();
    let turn = desk.arrive("a");
    assert_eq!(short(&turn), "wait 20000");
    let pairs = [("e0", "on_the_phone"), ("e1", "rung_by_another")].map(|(who, why)| (who.to_owned(), why.to_owned()));
    assert_eq!(left_out(&turn), pairs);
}

#[test]
fn a_desk_and_a_mobile_of_one_person_ring_together_and_either_wins() {
    let doc = Doc::crew(1).hunt(json!({"ring": [{"employee": "e0"}, {"mobile": "e0"}], "seconds": 20.0}));
    for endpoint in [desk(0), mobile(0)] {
        let mut desk = doc.desk();
        let turn = desk.arrive("a");
        assert_eq!(rung(&turn), ["PJSIP/100", &mobile(0)]);
        let turn = desk.step(&turn, &answered(&endpoint));
        assert_eq!(short(&turn), format!("talk {endpoint}"));
        assert_eq!(desk.claims(), ["e0 a talking"]);
    }
}

#[test]
fn the_owner_is_rung_where_one_was_found() {
    let nodes = json!({
        "who": {"kind": "owner", "exits": {"found": "hunt", "unknown": "hunt", "unavailable": "hunt"}},
        "hunt": hunt(json!({"ring": [{"owner": true}], "seconds": 20.0})),
    });
    let doc = Doc::crew(2).scheme("main", "who", nodes);
    let mut desk = doc.desk();
    let turn = desk.arrive("a");
    assert_eq!(short(&turn), "find_owner");
    let turn = desk.step(&turn, &event(json!({"type": "owner", "employee": "e1"})));
    assert_eq!(short(&turn), "ring PJSIP/101 20000 #1");
    // The answer is remembered.
    desk.step(&turn, &plain("caller_hung_up"));
    assert_eq!(short(&desk.arrive("b")), "ring PJSIP/101 20000 #1");

    for answer in [plain("no_owner"), plain("failed")] {
        let mut desk = doc.desk();
        let turn = desk.arrive("a");
        let turn = desk.step(&turn, &answer);
        assert_eq!(turn.trace[1].exit, "unavailable");
        assert_eq!(left_out(&turn), [(String::new(), "nobody_found".to_owned())]);
    }
    let mut desk = doc.desk();
    desk.engine.owner_is(CALLER, Some("e0")).unwrap();
    desk.presence(0, Presence::Away);
    let turn = desk.arrive("a");
    assert_eq!(turn.trace[1].exit, "unavailable");
    assert_eq!(left_out(&turn), [("e0".to_owned(), "away".to_owned())]);
}

#[test]
fn a_phone_that_stands_for_two_rings_once_in_a_round() {
    let doc = Doc::new()
        .employee("e0", json!({"endpoint": "PJSIP/1"}))
        .employee("e1", json!({"endpoint": "PJSIP/1", "mobile": "89160000001"}))
        .hunt(json!({
            "ring": [{"employee": "e0"}, {"employee": "e1"}, {"mobile": "e1"}, {"phone": "+7 916 000-00-01"}],
            "seconds": 20.0,
        }));
    let mut desk = doc.desk();
    let turn = desk.arrive("a");
    assert_eq!(rung(&turn), ["PJSIP/1", "+79160000001"]);
    let pairs = [("e1", "same_phone"), ("", "same_phone")].map(|(who, why)| (who.to_owned(), why.to_owned()));
    assert_eq!(left_out(&turn), pairs);
}

#[test]
fn a_phone_that_declined_is_out_whoever_it_stands_for() {
    for strategy in ["linear", "round_robin", "longest_idle", "fewest_calls"] {
        let mut desk = Doc::new()
            .employee("e0", json!({"endpoint": "PJSIP/1"}))
            .employee("e1", json!({"endpoint": "PJSIP/1"}))
            .hunt(json!({"ring": desks(0..2), "strategy": strategy, "seconds": 20.0}))
            .desk();
        let turn = desk.arrive("a");
        let turn = desk.step(&turn, &declined("PJSIP/1", "declined"));
        assert_eq!(passed(&turn), "hunt:unavailable note:done", "{strategy}");
    }
}
