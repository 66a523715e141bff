//! What a new version with ten million numbers does to the steps of calls that go on meanwhile.
//!
//! One thread takes steps, one after the other, and times each; another compiles versions, each with a list of its own, and
//! hands them over; the first holds each, activates it, and hands the version before back to be let go. The same steps are taken first
//! with a second thread that is as busy and swaps nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use kommutator_engine::company::version::{Company, VersionId};
use kommutator_engine::company::{Document, compile};
use kommutator_engine::directory::pack;
use kommutator_engine::{Engine, Event, Taken};

use super::{mobiles, number, processor_time};

const LISTED: usize = 10_000_000;
const SWAPS: usize = 4;

/// Prints how long steps took, without and with swaps.
pub fn told() {
    let packed: Vec<String> =
        (0..2).map(|seed| pack(mobiles(LISTED, seed + 10).into_iter().map(number).collect())).collect();
    let documents: Arc<Vec<Document>> = Arc::new(packed.into_iter().map(document).collect());

    for (name, swapping) in [("a busy neighbour", false), ("swaps", true)] {
        let (mut clock, mut processor): (Vec<_>, Vec<_>) = stepped(&documents, swapping).into_iter().unzip();
        percentiles(name, "the clock", &mut clock);
        percentiles(name, "processor time", &mut processor);
    }
}

fn percentiles(name: &str, what: &str, taken: &mut [Duration]) {
    taken.sort_unstable();
    let at = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize];
    println!(
        "steps beside {name}, by {what}: {} steps, p50 {:?}, p99.9 {:?}, p99.99 {:?}, worst {:?}",
        taken.len(),
        at(0.5),
        at(0.999),
        at(0.9999),
        at(1.0)
    );
}

/// The time of every step that was taken while [`SWAPS`] versions were compiled: by the clock, and of the processor. The step
/// that finds a new version swaps it in, and that is part of its time.
fn stepped(documents: &Arc<Vec<Document>>, swapping: bool) -> Vec<(Duration, Duration)> {
    let mut engine = Engine::new(Arc::new(compile(&documents[1]).company));
    let (made, to_hold) = channel();
    let (to_drop, dropping) = channel();
    let done = Arc::new(AtomicBool::new(false));
    let neighbour = thread::spawn({
        let (documents, done) = (Arc::clone(documents), Arc::clone(&done));
        move || neighbour(&documents, swapping, &made, &dropping, &done)
    });
    let mut taken = Vec::with_capacity(8_000_000);
    let mut call = 0_u64;
    while !done.load(Ordering::Relaxed) {
        call += 1;
        let id = format!("call-{call}");
        let (began, began_processor) = (Instant::now(), processor_time());
        if let Ok(company) = to_hold.try_recv() {
            swap(&mut engine, company, &to_drop);
        }
        let turn = engine.arrive(&id, "+74951112233", Some("+79161230001"), call as i64).expect("a turn");
        engine.handle(&turn.state, &Event::CallerHungUp { seconds: None }, call as i64).expect("a turn");
        taken.push((began.elapsed(), processor_time() - began_processor));
    }
    neighbour.join().expect("the neighbour ends");
    taken
}

fn swap(engine: &mut Engine, company: Arc<Company>, to_drop: &Sender<Taken>) {
    let before: VersionId = engine.active().id;
    let next = engine.hold(company);
    assert!(engine.activate(next));
    to_drop.send(engine.take_version(before).expect("held until now")).expect("somebody takes it");
}

fn neighbour(
    documents: &[Document],
    swapping: bool,
    made: &Sender<Arc<Company>>,
    dropping: &Receiver<Taken>,
    done: &AtomicBool,
) {
    for nth in 0..SWAPS {
        let company = Arc::new(compile(&documents[nth % documents.len()]).company);
        if swapping {
            made.send(company).expect("somebody steps");
            drop(dropping.recv().expect("the version before"));
        }
    }
    done.store(true, Ordering::Relaxed);
}

fn document(packed: String) -> Document {
    let document = serde_json::json!({
        "company": {"name": "Bench", "timezone": "Europe/Moscow", "country": "RU"},
        "employees": {"anna": {"name": "Anna", "endpoint": "PJSIP/101"}},
        "lists": {"vip": {"packed": packed}},
        "prompts": {"sorry": {"seconds": 1.0}},
        "numbers": {"default": {"scheme": "main"}},
        "schemes": {"main": {"start": "vip", "responsible": "anna", "nodes": {
            "vip": {"kind": "list", "list": ["vip"], "exits": {"match": "anna", "else": "anna"}},
            "anna": {"kind": "ring", "ring": [{"employee": "anna"}], "seconds": 20.0, "exits": {"no_answer": "bye"}},
            "bye": {"kind": "hangup", "prompt": "sorry"},
        }}},
    });
    serde_json::from_value(document).expect("a document")
}
