//! Claims: made when a round rings somebody, kept through the conversation, released when the call lets go of him.
#![allow(clippy::unwrap_used)]

mod support;

use kommutator_engine::floor::Line;
use serde_json::json;
use support::*;

fn crew_hunt(strategy: &str) -> Doc {
    Doc::crew(4).hunt(json!({"ring": desks(0..4), "strategy": strategy, "seconds": 20.0}))
}

#[test]
fn taken_elsewhere_leaves_the_rest_ringing_and_rings_him_not() {
    let mut desk = Doc::crew(2).hunt(json!({"ring": desks(0..2), "seconds": 20.0})).desk();
    let turn = desk.arrive("a");
    let taken = event(json!({"type": "taken", "employees": ["e0"]}));
    let turn = desk.after(1, &turn, &taken);
    assert_eq!(short(&turn), "ring PJSIP/101 19000 #1");
    assert_eq!(left_out(&turn), [("e0".to_owned(), "rung_by_another".to_owned())]);
    let turn = desk.after(1, &turn, &event(json!({"type": "taken", "employees": ["e1"]})));
    assert_eq!(short(&turn), "wait 18000");
    let turn = desk.after(18, &turn, &plain("waited"));
    assert_eq!(passed(&turn), "hunt:busy note:done");
    desk.now += 20_000;
    assert!(desk.claims().is_empty(), "{:?}", desk.claims());
}

#[test]
fn who_was_taken_elsewhere_is_rung_when_he_may_have_been_let_go_there() {
    let let_go: [fn(&mut Desk); 2] = [
        |desk| desk.engine.freed_elsewhere("e0").unwrap(),
        |desk| {
            // His phone rang there, and does no more.
            desk.line(0, Line::Ringing);
            desk.line(0, Line::Idle);
        },
    ];
    for let_go in let_go {
        let mut desk = Doc::crew(1).hunt(json!({"ring": desks(0..1), "seconds": 20.0})).desk();
        let turn = desk.arrive("a");
        let waits = desk.after(1, &turn, &event(json!({"type": "taken", "employees": ["e0"]})));
        assert_eq!(short(&waits), "wait 19000");
        assert!(desk.claims().is_empty(), "no call of ours holds him: {:?}", desk.claims());
        let again = desk.after(1, &waits, &plain("employee_free"));
        assert_eq!(short(&again), "wait 18000", "he is not asked for again before");
        let freed = desk.engine.floor().freed();
        let_go(&mut desk);
        assert!(desk.engine.floor().freed() > freed, "calls that wait are to be offered him");
        let rings = desk.after(1, &again, &plain("employee_free"));
        assert_eq!(short(&rings), "ring PJSIP/100 17000 #1");
        assert_eq!(desk.claims(), ["e0 a ringing"]);
    }
}

#[test]
fn a_phone_that_comes_to_rest_frees_nobody_of_a_call_of_ours() {
    let mut desk = Doc::crew(1).hunt(json!({"ring": desks(0..1), "seconds": 20.0})).desk();
    desk.arrive("a");
    desk.line(0, Line::Ringing);
    desk.line(0, Line::Idle);
    desk.engine.freed_elsewhere("e0").unwrap();
    assert_eq!(desk.claims(), ["e0 a ringing"]);
    assert!(desk.engine.freed_elsewhere("nobody").is_err());
}

#[test]
fn taken_elsewhere_gives_the_rest_of_the_round_to_the_next_of_a_choosing_strategy() {
    let mut desk = crew_hunt("round_robin").desk();
    let turn = desk.arrive("a");
    let turn = desk.after(1, &turn, &event(json!({"type": "taken", "employees": ["e0"]})));
    assert_eq!(short(&turn), "ring PJSIP/101 19000 #1");
}

#[test]
fn a_refusal_that_comes_when_the_round_is_over_does_not_hide_who_rang_out() {
    for strategy in ["all", "linear", "round_robin"] {
        let mut desk = Doc::crew(2).hunt(json!({"ring": desks(0..2), "strategy": strategy, "seconds": 20.0})).desk();
        let turn = desk.arrive("a");
        let turn = desk.after(20, &turn, &event(json!({"type": "taken", "employees": ["e1"]})));
        let turn = if strategy == "all" { turn } else { desk.after(20, &turn, &plain("busy")) };
        assert_eq!(passed(&turn), "hunt:no_answer", "{strategy}");
    }
}

#[test]
fn the_first_who_answers_wins_and_the_rest_are_free() {
    let mut desk = crew_hunt("all").desk();
    let ring = desk.arrive("a");
    assert_eq!(desk.claims().len(), 4);
    let talk = desk.step(&ring, &answered("PJSIP/102"));
    assert_eq!(desk.claims(), ["e2 a talking"]);
    assert_eq!(desk.refused(&talk, &answered("PJSIP/100")), "unexpected_event");
    assert_eq!(rung(&desk.arrive("b")), ["PJSIP/100", "PJSIP/101", "PJSIP/103"]);
    assert_eq!(short(&desk.step(&talk, &plain("conversation_ended"))), "answered/none");
    assert!(desk.claims().iter().all(|claim| claim.contains(" b ")));
}

#[test]
fn a_phone_that_does_not_ring_cannot_answer() {
    let mut desk = crew_hunt("linear").desk();
    let turn = desk.arrive("a");
    for endpoint in ["PJSIP/101", "PJSIP/1000", "", "PJSIP/10"] {
        assert_eq!(desk.refused(&turn, &answered(endpoint)), "unexpected_event");
    }
    assert_eq!(desk.claims(), ["e0 a ringing"]);
}

#[test]
fn a_claim_runs_out_when_its_client_has_vanished() {
    let mut desk = Doc::crew(1).hunt(json!({"ring": desks([0]), "seconds": 20.0})).desk();
    desk.arrive("a");
    desk.now += 24_999;
    assert_eq!(short(&desk.arrive("b")), "wait 20000");
    desk.now += 1;
    assert_eq!(short(&desk.arrive("c")), "ring PJSIP/100 20000 #1");
    assert_eq!(desk.claims(), ["e0 c ringing"]);
}

#[test]
fn a_repeated_arrival_frees_whom_the_replaced_call_held() {
    let mut desk = crew_hunt("linear").desk();
    let turn = desk.arrive("a");
    desk.after(20, &turn, &plain("no_answer"));
    assert_eq!(desk.claims(), ["e1 a ringing"]);
    assert_eq!(short(&desk.arrive("a")), "ring PJSIP/100 20000 #1");
    assert_eq!(desk.claims(), ["e0 a ringing"]);
}

#[test]
fn a_consultation_holds_the_manager_and_only_its_end_frees_him() {
    let mut desk = crew_hunt("all").desk();
    let talk = desk.talk("a", DID, 0);
    assert!(desk.engine.reserve("e1", "a", desk.now).unwrap());
    assert!(!desk.engine.reserve("e1", "b", desk.now).unwrap());
    assert!(!desk.engine.reserve("e0", "b", desk.now).unwrap());
    assert_eq!(desk.claims(), ["e0 a talking", "e1 a reserved"]);
    let passed = event(json!({"type": "passed", "employee": "e1", "endpoint": "PJSIP/101"}));
    let talk = desk.step(&talk, &passed);
    assert_eq!(short(&talk), "talk PJSIP/101");
    assert_eq!(desk.claims(), ["e1 a talking"]);
    // The desk tidies up after the consultation: the conversation that came of it is none of that.
    desk.engine.release("e1", "a").unwrap();
    assert_eq!(desk.claims(), ["e1 a talking"]);
    assert_eq!(short(&desk.step(&talk, &plain("conversation_ended"))), "answered/none");
    assert!(desk.claims().is_empty());
}

#[test]
fn a_reservation_takes_nothing_from_what_the_call_holds_already() {
    let mut desk = crew_hunt("all").desk();
    desk.talk("a", DID, 0);
    assert!(desk.engine.reserve("e0", "a", desk.now).unwrap());
    desk.now += 3_600_000;
    assert_eq!(desk.claims(), ["e0 a talking"]);
    let mut desk = crew_hunt("all").desk();
    desk.arrive("a");
    assert!(desk.engine.reserve("e0", "a", desk.now).unwrap());
    assert_eq!(desk.claims()[0], "e0 a ringing");
}

#[test]
fn release_frees_a_reserved_manager_and_nobody_else() {
    let mut desk = crew_hunt("all").desk();
    assert!(desk.engine.reserve("e1", "a", desk.now).unwrap());
    desk.engine.release("e1", "b").unwrap();
    assert_eq!(desk.claims(), ["e1 a reserved"]);
    desk.engine.release("e1", "a").unwrap();
    assert!(desk.claims().is_empty());
    assert_eq!(desk.engine.release("nobody", "a").unwrap_err().code(), "unknown_employee");
}

#[test]
fn who_is_given_a_call_while_another_rings_him_is_rung_for_no_third() {
    let mut desk = Doc::crew(2)
        .hunt(json!({"ring": desks([0]), "seconds": 20.0}))
        .scheme("other", "hunt", json!({"hunt": hunt(json!({"ring": desks([1]), "seconds": 20.0}))}))
        .desk();
    let talk = desk.talk("a", DID, 0);
    let ring = desk.arrive_at("b", &did(1));
    let talk = desk.step(&talk, &event(json!({"type": "passed", "employee": "e1", "endpoint": "PJSIP/101"})));
    assert_eq!(desk.claims(), ["e1 b ringing", "e1 a talking"]);
    desk.after(3, &talk, &plain("conversation_ended"));
    assert_eq!(short(&desk.arrive_at("c", &did(1))), "wait 20000");
    desk.step(&ring, &plain("caller_hung_up"));
    assert!(desk.claims().is_empty());
}
