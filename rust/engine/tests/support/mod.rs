//! Builders of engine documents and a desk to play calls at, for the tests of the engine's promises.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod worlds;

use std::sync::Arc;

use kommutator_engine::call::{Disposition, Fault};
use kommutator_engine::company::{Company, Document, compile};
use kommutator_engine::floor::{Line, Presence};
use kommutator_engine::{Action, Engine, EngineError, Event, Turn};
use serde_json::{Map, Value, json};

/// A Wednesday noon in Moscow, 2026-11-18T09:00:00Z.
pub const NOON: i64 = 1_795_165_200_000;
/// The number that [`Doc::scheme`] serves first; the next has the next last digit.
pub const DID: &str = "+74951110000";
/// A caller with a number.
pub const CALLER: &str = "+79161230099";

/// An engine document being written.
#[derive(Clone)]
pub struct Doc(Value);

impl Doc {
    /// A Moscow company with nobody in it, three prompts and a template.
    pub fn new() -> Self {
        Self(json!({
            "company": {"name": "Ромашка", "timezone": "Europe/Moscow", "country": "RU", "language": "ru"},
            "employees": {},
            "departments": {"sales": {"name": "Продажи"}},
            "prompts": {"hello": {"seconds": 3.0}, "sorry": {"seconds": 4.0}, "speak": {"seconds": 2.0}},
            "templates": {"missed": {"text": "Звонок от {caller}"}},
            "numbers": {},
            "schemes": {},
        }))
    }

    /// The same with employees `e0`, `e1`, … at `PJSIP/100`, `PJSIP/101`, …, each with a mobile.
    pub fn crew(count: usize) -> Self {
        (0..count).fold(Self::new(), |doc, ix| {
            doc.employee(&format!("e{ix}"), json!({"endpoint": desk(ix), "mobile": mobile(ix)}))
        })
    }

    /// Sets the value at a place, making what lies on the way.
    pub fn set(mut self, place: &[&str], value: Value) -> Self {
        let mut at = &mut self.0;
        for key in place {
            at = at.as_object_mut().unwrap().entry(*key).or_insert_with(|| Value::Object(Map::new()));
        }
        *at = value;
        self
    }

    /// Adds an employee of the sales department.
    pub fn employee(self, id: &str, mut employee: Value) -> Self {
        let card = employee.as_object_mut().unwrap();
        card.entry("name").or_insert_with(|| json!(id.to_uppercase()));
        card.entry("department").or_insert_with(|| json!("sales"));
        self.set(&["employees", id], employee)
    }

    /// Adds a scheme that starts at `start`, served by the next number. What the nodes lack of `mail` (a voicemail), `note`
    /// (a task) and `bye` (a hang-up) is added.
    pub fn scheme(self, id: &str, start: &str, nodes: Value) -> Self {
        let mut nodes = nodes;
        let all = nodes.as_object_mut().unwrap();
        for (name, node) in [
            ("mail", json!({"kind": "voicemail", "prompt": "speak", "seconds": 60.0, "exits": {"done": "bye"}})),
            ("note", json!({"kind": "task", "assign": "sales", "title": "Перезвонить", "exits": {"done": "bye"}})),
            ("bye", json!({"kind": "hangup"})),
        ] {
            all.entry(name).or_insert(node);
        }
        let did = did(self.0["schemes"].as_object().unwrap().len());
        self.set(&["schemes", id], json!({"start": start, "responsible": "sales", "nodes": nodes}))
            .set(&["numbers", &did], json!({"scheme": id}))
    }

    /// A scheme `main` of one hunt whose exits go: `no_answer` to voicemail, `busy` and `unavailable` to a task.
    pub fn hunt(self, parameters: Value) -> Self {
        self.scheme("main", "hunt", json!({"hunt": hunt(parameters)}))
    }

    /// The document, which must compile without a fault.
    pub fn company(&self) -> Arc<Company> {
        let compiled = compile(&self.document());
        assert!(compiled.findings.is_empty(), "{:#?}", compiled.findings);
        Arc::new(compiled.company)
    }

    /// The codes of what is wrong with the document.
    pub fn codes(&self) -> Vec<&'static str> {
        compile(&self.document()).findings.iter().map(|finding| finding.code).collect()
    }

    /// A new engine on it.
    pub fn engine(&self) -> Engine {
        Engine::new(self.company())
    }

    /// A desk with a new engine on it.
    pub fn desk(&self) -> Desk {
        Desk { engine: self.engine(), now: NOON }
    }

    fn document(&self) -> Document {
        serde_json::from_value(self.0.clone()).unwrap()
    }
}

/// A `ring` node whose exits go: `no_answer` to `mail`, `busy` and `unavailable` to `note`.
pub fn hunt(mut parameters: Value) -> Value {
    let node = parameters.as_object_mut().unwrap();
    node.insert("kind".into(), json!("ring"));
    node.entry("exits").or_insert_with(|| json!({"no_answer": "mail", "busy": "note", "unavailable": "note"}));
    parameters
}

/// Targets: the desk phones of the employees.
pub fn desks(who: impl IntoIterator<Item = usize>) -> Value {
    who.into_iter().map(|ix| json!({"employee": format!("e{ix}")})).collect()
}

/// The desk phone of an employee of [`Doc::crew`].
pub fn desk(ix: usize) -> String {
    format!("PJSIP/{}", 100 + ix)
}

/// The mobile of an employee of [`Doc::crew`].
pub fn mobile(ix: usize) -> String {
    format!("+7916000{ix:04}")
}

/// The number that serves the scheme added as `ix`-th.
pub fn did(ix: usize) -> String {
    format!("+7495111{ix:04}")
}

/// An event from its JSON form.
pub fn event(written: Value) -> Event {
    serde_json::from_value(written).unwrap()
}

/// An event without fields.
pub fn plain(name: &str) -> Event {
    event(json!({"type": name}))
}

/// Somebody answered.
pub fn answered(endpoint: &str) -> Event {
    event(json!({"type": "answered", "endpoint": endpoint}))
}

/// Everything a turn says, as one text: equal texts are equal turns.
pub fn bytes(turn: &Turn) -> String {
    format!("{:02x?} {}", turn.state, serde_json::to_string(turn).unwrap())
}

/// The phones of a `ring`, in order; empty for any other action.
pub fn rung(turn: &Turn) -> Vec<&str> {
    match &turn.action {
        Action::Ring { endpoints, .. } => endpoints.iter().map(|rung| rung.endpoint.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// Who was left out of the last round formed, and why, as words of the contract.
pub fn left_out(turn: &Turn) -> Vec<(String, String)> {
    let Some(round) = turn.rounds.last() else { return Vec::new() };
    let why = |why| serde_json::to_value(why).unwrap().as_str().unwrap().to_owned();
    round.left_out.iter().map(|left| (left.employee.clone().unwrap_or_default().into(), why(left.why))).collect()
}

/// The nodes passed and the exits taken, `hunt:busy note:done`.
pub fn passed(turn: &Turn) -> String {
    turn.trace.iter().map(|passed| format!("{}:{}", passed.node, passed.exit)).collect::<Vec<_>>().join(" ")
}

/// The action in short: `ring PJSIP/100 PJSIP/101 20000 #1`, `wait 20000`, else its type.
pub fn short(turn: &Turn) -> String {
    match &turn.action {
        Action::Ring { ms, round, .. } => format!("ring {} {ms} #{round}", rung(turn).join(" ")),
        Action::Wait { ms, .. } => format!("wait {ms}"),
        Action::Talk { endpoint } => format!("talk {endpoint}"),
        Action::End { disposition, fault } => ended(*disposition, *fault),
        other => serde_json::to_value(other).unwrap()["type"].as_str().unwrap().to_owned(),
    }
}

/// A disposition and a fault in words: `answered/none`.
pub fn ended(disposition: Disposition, fault: Fault) -> String {
    let word = |value: Value| value.as_str().unwrap().to_owned();
    format!("{}/{}", word(json!(disposition)), word(json!(fault)))
}

/// An engine and a clock.
pub struct Desk {
    /// The engine.
    pub engine: Engine,
    /// The time of the next step, milliseconds.
    pub now: i64,
}

impl Desk {
    /// A call to the first scheme.
    pub fn arrive(&mut self, call: &str) -> Turn {
        self.arrive_at(call, DID)
    }

    /// A call to a number.
    pub fn arrive_at(&mut self, call: &str, did: &str) -> Turn {
        self.engine.arrive(call, did, Some(CALLER), self.now).unwrap()
    }

    /// The turn after an event.
    pub fn step(&mut self, turn: &Turn, event: &Event) -> Turn {
        self.engine.handle(&turn.state, event, self.now).unwrap()
    }

    /// The turn after an event that comes `seconds` later.
    pub fn after(&mut self, seconds: i64, turn: &Turn, event: &Event) -> Turn {
        self.now += seconds * 1000;
        self.step(turn, event)
    }

    /// What an event is refused with.
    pub fn refused(&mut self, turn: &Turn, event: &Event) -> &'static str {
        self.engine.handle(&turn.state, event, self.now).map_err(|error: EngineError| error.code()).unwrap_err()
    }

    /// Sets the line of an employee of [`Doc::crew`].
    pub fn line(&mut self, ix: usize, line: Line) {
        self.engine.line(&format!("e{ix}"), line).unwrap();
    }

    /// Sets the presence of an employee of [`Doc::crew`].
    pub fn presence(&mut self, ix: usize, presence: Presence) {
        self.engine.presence(&format!("e{ix}"), presence).unwrap();
    }

    /// Who is claimed, by which call, and what for: `e0 call-1 ringing`.
    pub fn claims(&self) -> Vec<String> {
        let claimed = self.engine.floor().claimed(self.now);
        claimed.map(|(who, call, kind)| format!("{who} {call} {}", format!("{kind:?}").to_lowercase())).collect()
    }

    /// A call on which the employee talks, so that he is taken.
    pub fn talk(&mut self, call: &str, did: &str, ix: usize) -> Turn {
        let turn = self.arrive_at(call, did);
        self.step(&turn, &answered(&desk(ix)))
    }
}

/// A generator of choices: equal seeds choose alike.
pub struct Dice(u64);

impl Dice {
    /// A generator begun at a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (splitmix64, as published by Vigna).
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    /// True in so many cases of a hundred.
    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
