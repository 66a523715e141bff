//! The state that travels with a call, as somebody else could give it back: sealed as ours, and anything in it.

use std::sync::{Arc, LazyLock};

use kommutator_engine::call::EngineError;
use kommutator_engine::call::state::{CallState, MAX_STATE};
use kommutator_engine::company::{Company, Document, compile};
use kommutator_engine::{Engine, Event, Turn};
use siphasher::sip::SipHasher24;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::NOON_MS;

macro_rules! companies {
    ($($scheme:literal),*) => {
        [$(include_str!(concat!("../../../tests/scenarios/", $scheme, "/company.json"))),*]
    };
}

static COMPANIES: LazyLock<Vec<Arc<Company>>> = LazyLock::new(|| {
    let documents = companies![
        "1-office-hours",
        "2-list-and-menu",
        "3-first-or-repeat",
        "4-regions",
        "5-card-and-vip",
        "6-hold-and-repeat",
        "7-owner-first",
        "8-expanding",
        "9-queue"
    ];
    let company = |json| {
        let document: Document = serde_json::from_str(json).expect("a document");
        Arc::new(compile(&document).company)
    };
    documents.into_iter().map(company).collect()
});

/// An engine on each company of the scenarios.
pub fn engines() -> impl Iterator<Item = Engine> {
    COMPANIES.iter().map(|company| Engine::new(Arc::clone(company)))
}

/// The company by its place, the length of the state (little-endian), the state without its check, and events as JSON, one
/// behind the other.
pub fn run(bytes: &[u8]) {
    let Some((&[which, low, high], rest)) = bytes.split_first_chunk() else { return };
    let Some((body, events)) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high]))) else { return };
    let company = &COMPANIES[usize::from(which) % COMPANIES.len()];
    let (mut one, mut other) = (Engine::new(Arc::clone(company)), Engine::new(Arc::clone(company)));
    let arrived = one.arrive("a call", "+74951112201", Some("+79161230099"), NOON_MS).expect("an arrival is answered");
    other.arrive("a call", "+74951112201", Some("+79161230099"), NOON_MS).expect("an arrival is answered");
    let _refused = one.handle(body, &Event::Played {}, NOON_MS);
    let mut state = seal(body);
    let mut now_ms = NOON_MS;
    for event in serde_json::Deserializer::from_slice(events).into_iter::<Option<Event>>().take(16) {
        let Ok(event) = event else { break };
        // A `null` among the events is a router that takes the call over.
        let step = |engine: &mut Engine| match &event {
            Some(event) => engine.handle(&state, event, now_ms),
            None => engine.resume(&state, now_ms),
        };
        let answers = (step(&mut one), step(&mut other));
        assert_eq!(answers.0, answers.1, "equal inputs, equal outputs");
        if let Some(next) = sound(answers.0) {
            state = next;
        }
        now_ms = now_ms.saturating_add(1_000);
    }
    one.resume(&arrived.state, now_ms).expect("a call beside it goes on");
}

/// What must hold of any answer; its state, where there is one.
fn sound(answer: Result<Turn, EngineError>) -> Option<Vec<u8>> {
    let turn = answer.ok()?;
    assert!(turn.state.len() <= MAX_STATE);
    let state = CallState::decode(&turn.state).expect("the state of a turn can be read");
    assert_eq!(state.encode().expect("it fits"), turn.state);
    serde_json::to_string(&turn).expect("a turn can be told");
    Some(turn.state)
}

/// A state's bytes with the check that the engine asks for: it finds damage, and keeps nobody out.
pub fn seal(body: &[u8]) -> Vec<u8> {
    let keys = (u64::from_le_bytes(*b"kommutat"), u64::from_le_bytes(*b"or state"));
    let check = match body.first() {
        Some(1) => SipHasher24::new_with_keys(keys.0, keys.1).hash(body),
        _ => xxh3_64_with_seed(body, keys.0),
    };
    [body, &check.to_le_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_sealed_as_the_engine_seals_them() {
        for mut engine in engines() {
            let turn = engine.arrive("call", "+74951112201", None, NOON_MS).expect("an arrival is answered");
            let (body, _) = turn.state.split_at(turn.state.len() - 8);
            assert_eq!(seal(body), turn.state);
        }
    }
}
