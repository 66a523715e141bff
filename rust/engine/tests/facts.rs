//! Facts are seen by the next call, whatever version it is on, and its trace says which generation of them it saw.
#![allow(clippy::unwrap_used)]

mod support;

use kommutator_engine::Engine;
use kommutator_engine::facts::{Callers, Owners};
use serde_json::{Value, json};
use support::*;

const STRANGER: &str = "+79160000009";

/// Asks a list, an owner and the history, one after another.
fn company() -> Doc {
    Doc::crew(2).set(&["lists", "vip"], json!({"numbers": [CALLER]})).scheme(
        "main",
        "list",
        json!({
            "list": {"kind": "list", "list": ["vip"], "exits": {"match": "owner", "else": "owner"}},
            "owner": {"kind": "owner", "timeout_ms": 1000,
                "exits": {"found": "history", "unknown": "history", "unavailable": "history"}},
            "history": {"kind": "history", "timeout_ms": 1000, "exits": {"first": "note", "repeat": "note"}},
        }),
    )
}

/// The reasons that the three nodes give for the stranger.
fn reasons(engine: &mut Engine) -> [Value; 3] {
    let turn = engine.arrive("a", DID, Some(STRANGER), NOON).unwrap();
    let why = |at: usize| serde_json::to_value(&turn.trace[at].why).unwrap();
    [why(0), why(1), why(2)]
}

#[test]
fn every_change_is_seen_by_the_next_call_with_its_generation() {
    let mut engine = company().engine();
    let (mut owners, mut callers) = (Owners::with_room_for(10), Callers::with_room_for(10));
    assert!(owners.complete());
    callers.complete();
    engine.swap_owners(owners);
    engine.swap_callers(callers);
    type Deed = fn(&mut Engine);
    let deeds: [(Deed, [&str; 3]); 7] = [
        (|_| {}, ["not_listed", "owner_unknown", "first_call"]),
        (|engine| engine.listed("vip", STRANGER, true).unwrap(), ["listed", "owner_unknown", "first_call"]),
        (|engine| engine.owner_is(STRANGER, Some("e1")).unwrap(), ["listed", "owner_found", "first_call"]),
        (|engine| engine.called(STRANGER, NOON - 1).unwrap(), ["listed", "owner_found", "called_before"]),
        (|engine| engine.owner_is(STRANGER, None).unwrap(), ["listed", "owner_unknown", "called_before"]),
        (|engine| engine.listed("vip", STRANGER, false).unwrap(), ["not_listed", "owner_unknown", "called_before"]),
        (|engine| engine.owner_is(STRANGER, Some("gone")).unwrap(), ["not_listed", "owner_not_here", "called_before"]),
    ];
    let before = engine.facts().generation();
    for (nth, (deed, expected)) in (0..).zip(deeds) {
        deed(&mut engine);
        for (why, expected) in reasons(&mut engine).iter().zip(expected) {
            assert_eq!(
                (why["code"].as_str(), why["generation"].as_u64()),
                (Some(expected), Some(before + nth)),
                "{why}"
            );
        }
    }
    engine.forget_owner(STRANGER).unwrap();
    assert_eq!(engine.facts().generation(), before + 7);
    let asks = engine.arrive("b", DID, Some(STRANGER), NOON).unwrap();
    assert_eq!(short(&asks), "find_owner");
}
