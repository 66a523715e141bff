//! A company's document: read, compiled, checked; and one without an error in its check runs.

use std::sync::Arc;

use kommutator_engine::check::check_compiled;
use kommutator_engine::company::{Document, compile};
use kommutator_engine::{Action, Engine, Event, Turn};

use crate::NOON_MS;

/// More steps than any call of a document of this size can have within its bounds of repetition.
const MOST_STEPS: usize = 2_000;

/// The engine document as JSON.
pub fn run(bytes: &[u8]) {
    let Ok(document) = serde_json::from_slice::<Document>(bytes) else { return };
    let compiled = compile(&document);
    let report = check_compiled(&document, &compiled, NOON_MS);
    assert_eq!(check_compiled(&document, &compiled, NOON_MS), report, "equal documents have equal checks");
    serde_json::to_string(&report).expect("a report can be told");
    if !report.ok() || repeats_much(bytes) {
        return;
    }
    let mut engine = Engine::new(Arc::new(compiled.company));
    for did in document.numbers.keys().map(String::as_str).chain(["+74951112233"]) {
        for caller in [Some("+79161230099"), None] {
            let turn = engine.arrive("call", did, caller, NOON_MS).expect("an arrival is answered");
            ends(&mut engine, turn);
        }
    }
}

/// Whether a bound of repetitions may be so high that a call takes longer than is worth waiting for here.
fn repeats_much(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"times").is_some()
        && bytes.split(|byte| !byte.is_ascii_digit()).any(|digits| digits.len() > 2 && digits < b"999")
}

/// Nobody ever answers or says a word: the call ends all the same.
fn ends(engine: &mut Engine, mut turn: Turn) {
    let mut now_ms = NOON_MS;
    for _ in 0..MOST_STEPS {
        let (event, ms) = match &turn.action {
            Action::Play { .. } => (Event::Played {}, 1_000),
            Action::Menu { ms, .. } => (Event::NoInput {}, *ms),
            Action::Ring { ms, .. } => (Event::NoAnswer { ended: Vec::new() }, *ms),
            Action::Wait { ms, .. } => (Event::Waited {}, *ms),
            Action::Record { ms, .. } => (Event::Recorded { seconds: *ms as f64 / 1_000.0 }, *ms),
            Action::FindOwner { .. } | Action::FindHistory { .. } | Action::Transfer { .. } => (Event::Failed {}, 0),
            Action::Talk { .. } => (Event::ConversationEnded {}, 0),
            Action::HangUp { .. } => (Event::HungUp {}, 0),
            Action::End { .. } => return,
        };
        now_ms = now_ms.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
        turn = engine.handle(&turn.state, &event, now_ms).expect("the event answers the action");
    }
    panic!("a call of a checked document does not end");
}
