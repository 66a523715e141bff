//! The same calls through Kommutator and through wavekat-flow, an interpreter of call flows.
//!
//! Two flows, as far as the peer's language can express them: scheme 1 whole, and scheme 2 for a caller who is on no list.
//! Before anything is timed, both answer a call at every quarter of an hour of 2026, for every outcome that the flow has,
//! and must say the same to the caller from the greeting to the end.
//!
//! Three things are timed, and both are spared all I/O:
//!
//! - A walk is the same work, scheme 2 without the list that it begins with: once through from the greeting to the conversation or the message, what happens being asked of
//!   a value on the way, to which everything is said that the caller meets, and the nodes passed. Nothing is kept.
//! - A decision is the same way to the first thing that somebody must answer, where the peer's future is left.
//! - A whole call is not the same work. Kommutator answers turn by turn with a state that survives the process, claims whom
//!   it rings, and gives its reasons; the peer runs once through, its position kept in a future.
#![allow(clippy::expect_used, clippy::panic, missing_docs)] // a benchmark that cannot go on must say so and stop

#[path = "../../../rust/engine/benches/calls/mod.rs"]
#[allow(dead_code)] // the companies are wanted here, the calls are not
mod calls;

use std::future::pending;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use criterion::Criterion;
use jiff::Timestamp;
use kommutator_engine::call::{Ask, At, Disposition, Happened, Said};
use kommutator_engine::company::compile;
use kommutator_engine::company::version::{Company, NodeIx};
use kommutator_engine::number::{Country, Number};
use kommutator_engine::{Action, Engine, Event};
use time::OffsetDateTime;
use wavekat_flow::engine::{BookOutcome, Digit, FlowEffects, RingOutcome, Slot, SlotOffer, SlotQuery, run};
use wavekat_flow::trace::{FlowOutcome, Trace};
use wavekat_flow::{Flow, MessageTone, Node, Prompt, hours, validate};

const OFFICE: &str = include_str!("../flows/office.yaml");
const MENU: &str = include_str!("../flows/menu.yaml");

const MINUTE_MS: i64 = 60_000;
const RECORDED_S: u32 = 5;

/// What the world does during one call.
#[derive(Clone, Copy, Debug)]
struct World {
    now_ms: i64,
    digit: Option<Digit>,
    answers: bool,
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let noon = instant("2026-11-18T12:00:00+03:00");
    let night = instant("2026-11-18T23:00:00+03:00");

    let office = Pair::new("1-office-hours", OFFICE);
    office.agree(&[World { now_ms: 0, digit: None, answers: true }, World { now_ms: 0, digit: None, answers: false }]);
    office.time_walk(&mut criterion, "office/walk/answered", World { now_ms: noon, digit: None, answers: true });
    office.time_walk(&mut criterion, "office/walk/voicemail", World { now_ms: night, digit: None, answers: true });
    office.time(&mut criterion, "office/answered", World { now_ms: noon, digit: None, answers: true });
    office.time(&mut criterion, "office/voicemail", World { now_ms: night, digit: None, answers: true });
    office.time_hours(&mut criterion, noon);
    office.time_decision(&mut criterion, "office/decision", noon);

    let menu = Pair::new("2-list-and-menu", MENU);
    let pressed = [Digit::D1, Digit::D2, Digit::D3, Digit::D9].map(Some);
    menu.agree(&pressed.map(|digit| World { now_ms: 0, digit, answers: true }));
    menu.time(&mut criterion, "menu/answered", World { now_ms: noon, digit: Some(Digit::D1), answers: true });
    menu.time_decision(&mut criterion, "menu/decision", noon);
    let unlisted = menu.without_list();
    unlisted.agree(&pressed.map(|digit| World { now_ms: 0, digit, answers: true }));
    unlisted.time_walk(
        &mut criterion,
        "menu/walk/answered",
        World { now_ms: noon, digit: Some(Digit::D1), answers: true },
    );
    criterion.final_summary();
}

fn instant(text: &str) -> i64 {
    text.parse::<Timestamp>().expect("an ISO 8601 moment").as_millisecond()
}

/// One flow in both languages.
struct Pair {
    scheme: &'static str,
    company: Arc<Company>,
    flow: Flow,
}

impl Pair {
    fn new(scheme: &'static str, yaml: &str) -> Self {
        let flow = Flow::from_yaml(yaml).expect("a flow");
        validate::validate(&flow).expect("a sound flow");
        Self { scheme, company: calls::company(scheme), flow }
    }

    /// The same flow in both languages: scheme 2 begins with a list, of which the peer knows nothing.
    fn without_list(self) -> Self {
        let mut document: serde_json::Value = serde_json::from_str(calls::document(self.scheme)).expect("a document");
        let main = &mut document["schemes"]["main"];
        main["start"] = "hello".into();
        main["nodes"].as_object_mut().expect("nodes").retain(|id, _| id != "known" && id != "delivery");
        let compiled = compile(&serde_json::from_value(document).expect("an engine document"));
        Self { company: Arc::new(compiled.company), ..self }
    }

    fn engine(&self) -> Engine {
        Engine::new(Arc::clone(&self.company))
    }

    /// Shows that both say the same to the caller, at every quarter of an hour of 2026 in each of these worlds.
    fn agree(&self, worlds: &[World]) {
        let (mut engine, mut walker) = (self.engine(), self.engine());
        let (from, until) = (instant("2026-01-01T00:00:00+03:00"), instant("2027-01-01T00:00:00+03:00"));
        for now_ms in (from..until).step_by(15 * MINUTE_MS as usize) {
            for world in worlds {
                let world = World { now_ms, ..*world };
                let (mut ours, mut walked, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
                ours_call(&mut engine, world, &mut |words| ours.push(format!("{words:?}")));
                their_call(&self.flow, world, &mut |words| theirs.push(format!("{words:?}")));
                assert_eq!(ours, theirs, "{}: {world:?}", self.scheme);
                our_walk(&mut walker, &mut Happens::of(world), &mut |words| walked.push(format!("{words:?}")));
                assert_eq!(walked, theirs, "{}: {world:?}", self.scheme);
            }
        }
    }

    /// Times the whole call: to the end of the conversation here, to its beginning there.
    fn time(&self, criterion: &mut Criterion, name: &str, world: World) {
        let mut engine = self.engine();
        let mut group = criterion.benchmark_group(name);
        group.bench_function("kommutator", |bencher| bencher.iter(|| ours_call(&mut engine, world, &mut |_| {})));
        group.bench_function("wavekat-flow", |bencher| bencher.iter(|| their_call(&self.flow, world, &mut |_| {})));
        group.finish();
    }

    /// Times the same flow run through once, by both.
    fn time_walk(&self, criterion: &mut Criterion, name: &str, world: World) {
        let (mut engine, mut happens) = (self.engine(), Happens::of(world));
        let mut group = criterion.benchmark_group(name);
        group.bench_function("kommutator", |bencher| {
            bencher.iter(|| our_walk(&mut engine, black_box(&mut happens), &mut |_| {}));
        });
        group.bench_function("wavekat-flow", |bencher| {
            bencher.iter(|| their_call(&self.flow, black_box(world), &mut |_| {}));
        });
        group.finish();
    }

    /// Times the way to the first thing that somebody must answer, after it was the same at every quarter of an hour of 2026.
    fn time_decision(&self, criterion: &mut Criterion, name: &str, now_ms: i64) {
        let mut engine = self.engine();
        let mut table = engine.decisions();
        let number = |text| Number::parse(text, Country::Ru);
        let ask = Ask { did: number("+74951112233"), caller: number("89161230099"), call_id: "", at_ms: now_ms };
        let (from, until) = (instant("2026-01-01T00:00:00+03:00"), instant("2027-01-01T00:00:00+03:00"));
        for at_ms in (from..until).step_by(15 * MINUTE_MS as usize) {
            let place = engine.decide_in(&mut table, &Ask { at_ms, ..ask }).expect("a decision");
            let ours = format!("{:?}", stop(&table.get(place).expect("a decision").action));
            let mut theirs = String::new();
            their_decision(&self.flow, at_ms, &mut |words| theirs = format!("{words:?}"));
            assert_eq!(ours, theirs, "{}: {at_ms}", self.scheme);
        }
        let mut group = criterion.benchmark_group(name);
        group.bench_function("kommutator", |bencher| {
            bencher.iter(|| engine.decide_in(&mut table, black_box(&ask)).expect("a decision"));
        });
        group.bench_function("wavekat-flow", |bencher| {
            bencher.iter(|| their_decision(&self.flow, black_box(now_ms), &mut |_| {}));
        });
        group.finish();
    }

    /// Times the question alone: is the office open at this moment?
    fn time_hours(&self, criterion: &mut Criterion, now_ms: i64) {
        let (_, schedule) = &self.company.schedules[0];
        let node = self.flow.nodes.values().find(|node| matches!(node, Node::Hours { .. })).expect("an hours node");
        let moment = moment(now_ms);
        assert!(schedule.at(now_ms).open);
        assert_eq!(hours::evaluate(node, moment), Ok(hours::HoursResult::Open));
        let mut group = criterion.benchmark_group("office/hours");
        group.bench_function("kommutator", |bencher| bencher.iter(|| schedule.at(black_box(now_ms)).open));
        group.bench_function("wavekat-flow", |bencher| bencher.iter(|| hours::evaluate(node, black_box(moment))));
        group.finish();
    }
}

/// A call through Kommutator, told in words as it goes.
fn ours_call(engine: &mut Engine, world: World, tell: &mut dyn FnMut(Words<'_>)) {
    let mut turn = engine.arrive("bench", "+74951112233", Some("89161230099"), world.now_ms).expect("a call");
    let mut ending = Words::Ended("informed");
    loop {
        let event = match turn.action {
            Action::Play { prompt } => {
                tell(Words::Heard(&prompt));
                Event::Played {}
            }
            Action::Menu { prompt, .. } => {
                tell(Words::Heard(&prompt));
                let digit = world.digit.expect("a digit for the menu");
                Event::Digits { digits: digit.as_key().to_owned() }
            }
            Action::Ring { endpoints, ms, .. } => {
                tell(Words::Rang { seconds: ms / 1000 });
                if world.answers {
                    Event::Answered { endpoint: endpoints[0].endpoint.to_string() }
                } else {
                    Event::NoAnswer { ended: Vec::new() }
                }
            }
            Action::Talk { .. } => {
                ending = Words::Ended("answered");
                Event::ConversationEnded {}
            }
            Action::Record { prompt, ms, .. } => {
                tell(Words::Heard(&prompt));
                tell(Words::Recorded { seconds: ms / 1000 });
                ending = Words::Ended("voicemail");
                Event::Recorded { seconds: f64::from(RECORDED_S) }
            }
            Action::HangUp { .. } => Event::HungUp {},
            Action::End { .. } => break tell(ending),
            other => panic!("{other:?} is not of these flows"),
        };
        turn = engine.handle(&turn.state, &event, world.now_ms).expect("the event answers the action");
    }
}

/// A call walked through, told in words as it goes.
fn our_walk(engine: &mut Engine, happens: &mut Happens, tell: &mut dyn FnMut(Words<'_>)) {
    happens.path.clear();
    let ask = Ask { did: happens.did, caller: happens.caller, call_id: "", at_ms: happens.now_ms };
    let ending = engine.walk(&ask, &mut Walked { happens, tell }).expect("every event answers its action");
    let (disposition, _) = ending.expect("the world answers everything");
    tell(Words::Ended(match disposition {
        Disposition::Answered => "answered",
        Disposition::Voicemail => "voicemail",
        Disposition::Informed => "informed",
        other => panic!("{other:?} is not of these flows"),
    }));
}

/// What happens during a walk, and memory for the nodes passed.
struct Happens {
    did: Option<Number>,
    caller: Option<Number>,
    now_ms: i64,
    answers: bool,
    pressed: Event,
    answered: Event,
    path: Vec<(NodeIx, usize)>,
}

impl Happens {
    fn of(world: World) -> Self {
        let endpoint = match world.digit {
            Some(Digit::D2) => "PJSIP/103",
            Some(Digit::D3) => "PJSIP/105",
            _ => "PJSIP/101",
        };
        Self {
            did: Number::from_e164(74_951_112_233),
            caller: Number::from_e164(79_161_230_099),
            now_ms: world.now_ms,
            answers: world.answers,
            pressed: Event::Digits { digits: world.digit.map_or("", Digit::as_key).to_owned() },
            answered: Event::Answered { endpoint: endpoint.to_owned() },
            path: Vec::new(),
        }
    }
}

static PLAYED: Event = Event::Played {};
static RECORDED: Event = Event::Recorded { seconds: RECORDED_S as f64 };
static NO_ANSWER: Event = Event::NoAnswer { ended: Vec::new() };
static CONVERSATION_ENDED: Event = Event::ConversationEnded {};
static HUNG_UP: Event = Event::HungUp {};

/// A walk's world, as [`Effects`] is the peer's.
struct Walked<'a> {
    happens: &'a mut Happens,
    tell: &'a mut dyn FnMut(Words<'_>),
}

impl kommutator_engine::call::World for Walked<'_> {
    #[inline(always)] // each place that asks is compiled for what it says
    fn answer(&mut self, at: &At, said: &Said<'_>) -> Option<Happened<'_>> {
        let event = match *said {
            Said::Play { prompt } => {
                (self.tell)(Words::Heard(&prompt.id));
                &PLAYED
            }
            Said::Menu { prompt, .. } => {
                (self.tell)(Words::Heard(&prompt.id));
                &self.happens.pressed
            }
            Said::Ring { ms, .. } => {
                (self.tell)(Words::Rang { seconds: ms / 1000 });
                if self.happens.answers { &self.happens.answered } else { &NO_ANSWER }
            }
            Said::Talk { .. } => &CONVERSATION_ENDED,
            Said::Record { prompt, ms } => {
                (self.tell)(Words::Heard(&prompt.id));
                (self.tell)(Words::Recorded { seconds: ms / 1000 });
                &RECORDED
            }
            Said::HangUp { .. } | Said::End { .. } => &HUNG_UP,
            ref other => panic!("{other:?} is not of these flows"),
        };
        Some(Happened { at_ms: at.ms, event })
    }

    fn passed(&mut self, node: NodeIx, exit: usize) {
        self.happens.path.push((node, exit));
    }
}

/// A call through the peer, told in words as it goes.
fn their_call(flow: &Flow, world: World, tell: &mut (dyn FnMut(Words<'_>) + Send)) {
    let mut trace = Trace::new(&flow.id, 1);
    let mut effects = Effects { world, tell, answered: true };
    let poll = pin!(run(flow, &mut effects, &mut trace)).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(poll, Poll::Ready(())), "no effect here ever waits");
    tell(Words::Ended(match trace.outcome {
        FlowOutcome::Answered => "answered",
        FlowOutcome::MessageLeft => "voicemail",
        FlowOutcome::HungUp => "informed",
        other => panic!("{other:?} is not of these flows: {:?}", trace.error),
    }));
}

/// A call through the peer, to the first thing that somebody must answer.
fn their_decision(flow: &Flow, now_ms: i64, tell: &mut (dyn FnMut(Words<'_>) + Send)) {
    let mut trace = Trace::new(&flow.id, 1);
    let mut effects = Effects { world: World { now_ms, digit: None, answers: false }, tell, answered: false };
    let poll = pin!(run(flow, &mut effects, &mut trace)).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(poll, Poll::Pending), "it waits for somebody");
}

/// What a call waits for, in words common to both.
fn stop(action: &Action) -> Words<'_> {
    match action {
        Action::Menu { .. } => Words::Asked,
        Action::Ring { ms, .. } => Words::Rang { seconds: ms / 1000 },
        Action::Record { ms, .. } => Words::Recorded { seconds: ms / 1000 },
        other => panic!("{other:?} is not of these flows"),
    }
}

/// What happens to the caller, in words common to both; compared as they are printed.
#[allow(dead_code)]
#[derive(Debug)]
enum Words<'a> {
    Heard(&'a str),
    Asked,
    Rang { seconds: u64 },
    Recorded { seconds: u64 },
    Ended(&'static str),
}

/// The peer's effects, each at once; or, of those that somebody must answer, never.
struct Effects<'a> {
    world: World,
    answered: bool,
    tell: &'a mut (dyn FnMut(Words<'_>) + Send),
}

#[async_trait]
impl FlowEffects for Effects<'_> {
    async fn speak(&mut self, prompt: &Prompt) -> anyhow::Result<()> {
        let Prompt::Text(text) = prompt else { panic!("these flows only say texts") };
        (self.tell)(Words::Heard(text));
        Ok(())
    }

    async fn collect_digit(&mut self, _timeout: Duration) -> anyhow::Result<Option<Digit>> {
        if !self.answered {
            (self.tell)(Words::Asked);
            pending::<()>().await;
        }
        Ok(self.world.digit)
    }

    async fn ring_human(&mut self, timeout: Duration) -> anyhow::Result<RingOutcome> {
        (self.tell)(Words::Rang { seconds: timeout.as_secs() });
        if !self.answered {
            pending::<()>().await;
        }
        Ok(if self.world.answers { RingOutcome::Answered } else { RingOutcome::NoAnswer })
    }

    async fn record_message(&mut self, _tone: MessageTone, max: Duration) -> anyhow::Result<u32> {
        (self.tell)(Words::Recorded { seconds: max.as_secs() });
        if !self.answered {
            pending::<()>().await;
        }
        Ok(RECORDED_S)
    }

    async fn transfer(&mut self, target: &str) -> anyhow::Result<()> {
        panic!("no transfer to {target} in these flows")
    }

    async fn hangup(&mut self, _prompt: Option<&Prompt>) -> anyhow::Result<()> {
        Ok(())
    }

    async fn fetch_slots(&mut self, _query: &SlotQuery<'_>) -> anyhow::Result<SlotOffer> {
        panic!("no booking in these flows")
    }

    async fn book_slot(&mut self, _slot: &Slot) -> anyhow::Result<BookOutcome> {
        panic!("no booking in these flows")
    }

    fn now(&self) -> OffsetDateTime {
        moment(self.world.now_ms)
    }
}

fn moment(now_ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(now_ms) * 1_000_000).expect("a moment of this century")
}
