//! The calls that are measured: one of each scheme, answered in the end, with everything it must say on the way.
//!
//! `bench/calls.json` is read by the Python benchmarks too, so both measure the same calls.

use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;
use kommutator_engine::call::{Ask, At, Decisions, Ending, Happened, Said, World};
use kommutator_engine::company::{Company, Document, compile};
use kommutator_engine::number::Number;
use kommutator_engine::{Action, Engine, Event, Turn};
use serde::Deserialize;

const CALLS: &str = include_str!("../../../../bench/calls.json");

macro_rules! companies {
    ($($scheme:literal),*) => {
        [$(($scheme, include_str!(concat!("../../../../tests/scenarios/", $scheme, "/company.json")))),*]
    };
}

const COMPANIES: [(&str, &str); 8] = companies![
    "1-office-hours",
    "2-list-and-menu",
    "3-first-or-repeat",
    "4-regions",
    "5-card-and-vip",
    "6-hold-and-repeat",
    "7-owner-first",
    "8-expanding"
];

/// One call. It always has the same id: an arrival that finds the call before it unfinished replaces it, and so measures
/// the release of whom that one had claimed as well.
#[derive(Debug, Deserialize)]
pub struct BenchCall {
    did: String,
    caller: String,
    at: Moment,
    /// When the caller called before, told to the engine first.
    called: Option<Moment>,
    /// Who owns the caller, told to the engine first.
    owner: Option<String>,
    /// Seconds since the turn before, and the event.
    events: Vec<(i64, Event)>,
    answer: Vec<String>,
}

/// Milliseconds of UTC since the epoch, written as ISO 8601.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Moment(i64);

impl TryFrom<String> for Moment {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse::<Timestamp>().map(|moment| Self(moment.as_millisecond()))
    }
}

/// The calls by the names of their schemes.
pub fn all() -> IndexMap<String, BenchCall> {
    serde_json::from_str(CALLS).expect("bench/calls.json has the form of this module")
}

/// The engine document of a scheme's company.
pub fn document(scheme: &str) -> &'static str {
    COMPANIES.iter().find(|(name, _)| *name == scheme).expect("every call has a company").1
}

/// The company of a scheme, compiled without a fault.
pub fn company(scheme: &str) -> Arc<Company> {
    let document: Document = serde_json::from_str(document(scheme)).expect("an engine document");
    let compiled = compile(&document);
    assert!(compiled.findings.is_empty(), "{:?}", compiled.findings);
    Arc::new(compiled.company)
}

impl BenchCall {
    /// An engine on the scheme's company that knows of the caller what the call needs, and has shown that it answers the
    /// call as expected, twice: what is measured later is the same each time.
    pub fn proven_engine(&self, scheme: &str) -> Engine {
        let mut engine = Engine::new(company(scheme));
        if let Some(called) = &self.called {
            engine.called(&self.caller, called.0).expect("a number");
        }
        self.tell_owner(&mut engine);
        for _ in 0..2 {
            assert_eq!(self.told(&mut engine), self.answer, "{scheme}");
        }
        engine
    }

    /// Tells who owns the caller, where somebody does.
    pub fn tell_owner(&self, engine: &mut Engine) {
        if let Some(owner) = &self.owner {
            engine.owner_is(&self.caller, Some(owner)).expect("a number");
        }
    }

    /// The arrival.
    pub fn arrive(&self, engine: &mut Engine) -> Turn {
        self.arrive_from(engine, &self.caller)
    }

    /// The same of another caller.
    pub fn arrive_from(&self, engine: &mut Engine, caller: &str) -> Turn {
        engine.arrive("bench", &self.did, Some(caller), self.at.0).expect("a call")
    }

    /// Where the call would go, by its place in a table.
    pub fn decide(&self, engine: &mut Engine, table: &mut Decisions) -> u32 {
        self.decide_from(engine, table, &self.caller)
    }

    /// The same of another caller.
    pub fn decide_from(&self, engine: &mut Engine, table: &mut Decisions, caller: &str) -> u32 {
        engine.decide_in(table, &self.ask(engine, caller)).expect("a decision")
    }

    /// The call walked through to its end, without being one.
    pub fn walk(&self, engine: &mut Engine) -> Ending {
        let ask = self.ask(engine, &self.caller);
        let ending = engine.walk(&ask, &mut Script(self.events.iter())).expect("each event answers its action");
        ending.expect("it comes to an end")
    }

    fn ask(&self, engine: &Engine, caller: &str) -> Ask<'static> {
        let country = engine.active().country;
        let (did, caller) = (Number::parse(&self.did, country), Number::parse(caller, country));
        Ask { did, caller, call_id: "bench", at_ms: self.at.0 }
    }

    /// What a decision of the call must say: its first action that is no announcement.
    pub fn decided_answer(&self) -> &str {
        self.answer.iter().find(|answer| !answer.starts_with("play ")).expect("it comes to something")
    }

    /// The whole call; its last turn.
    pub fn whole(&self, engine: &mut Engine) -> Turn {
        self.each_turn(engine, |_| {})
    }

    /// What the first turn must say.
    pub fn first_answer(&self) -> &str {
        &self.answer[0]
    }

    /// What the last turn must say.
    pub fn last_answer(&self) -> &str {
        &self.answer[self.answer.len() - 1]
    }

    fn told(&self, engine: &mut Engine) -> Vec<String> {
        let mut told = Vec::new();
        let last = self.each_turn(engine, |turn| told.push(words(turn)));
        told.push(words(&last));
        told
    }

    fn each_turn(&self, engine: &mut Engine, mut passed: impl FnMut(&Turn)) -> Turn {
        let mut turn = self.arrive(engine);
        let mut now_ms = self.at.0;
        for (after_s, event) in &self.events {
            passed(&turn);
            now_ms += after_s * 1000;
            turn = engine.handle(&turn.state, event, now_ms).expect("the event answers the action");
        }
        turn
    }
}

/// The events of a call, one after another.
struct Script<'c>(std::slice::Iter<'c, (i64, Event)>);

impl World for Script<'_> {
    fn answer(&mut self, at: &At, _: &Said<'_>) -> Option<Happened<'_>> {
        self.0.next().map(|(after_s, event)| Happened { at_ms: at.ms + after_s * 1000, event })
    }
}

/// A turn's action in short: its type, and what it is about.
pub fn words(turn: &Turn) -> String {
    told(&turn.action)
}

/// An action in short.
pub fn told(action: &Action) -> String {
    match action {
        Action::Play { prompt } => format!("play {prompt}"),
        Action::Menu { prompt, .. } => format!("menu {prompt}"),
        Action::Ring { endpoints, .. } => {
            let phones: Vec<&str> = endpoints.iter().map(|rung| rung.endpoint.as_str()).collect();
            format!("ring {}", phones.join(" "))
        }
        Action::Talk { endpoint } => format!("talk {endpoint}"),
        Action::End { .. } => {
            let json = serde_json::to_value(action).expect("an action has a JSON form");
            format!("end {}", json["disposition"].as_str().expect("a disposition"))
        }
        other => format!("{other:?}"),
    }
}
