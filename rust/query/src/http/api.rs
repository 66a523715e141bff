//! The operations of the contract: arrivals, steps, and batches of both.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kommutator_engine::call::state::CallState;
use kommutator_engine::call::{Disposition, Fault};
use kommutator_engine::{Action, Engine, EngineError, Event, Turn};
use serde_json::value::RawValue;
use subtle::ConstantTimeEq;

use super::connection::{Answer, Service};
use super::forms::{self, Arrival, Kind, Step};
use super::head::{Head, Method};
use super::reply::{Refusal, Reply};
use crate::holders::{Holding, wanted};
use crate::journal::{Arrived, Calls, write_turn};

/// What holds for all connections of a server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who may ask: anybody with one of these. None: everybody who reaches the server, but no page of a browser.
    pub tokens: Vec<Box<[u8]>>,
    /// Whether look-ups are asked here ([`Pending`]); otherwise they are the client's.
    pub looks_up: bool,
    /// Ids of calls that come without one begin so; never the same for two servers.
    pub ids: String,
    /// So many arrivals and steps a batch may have.
    pub most_items: usize,
}

/// What was done since the server began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests of the contract that were understood from their heads.
    pub requests: u64,
    /// Turns of arrivals.
    pub arrivals: u64,
    /// Turns of steps.
    pub steps: u64,
    /// Arrivals and steps that got a problem instead of a turn.
    pub refused: u64,
    /// Ids that were made.
    pub ids: u64,
}

/// The contract over one engine, for the time of one crossing.
#[derive(Debug)]
pub struct Api<'a> {
    /// What holds for all connections.
    pub settings: &'a Settings,
    /// The engine; none before there is a company version.
    pub engine: Option<&'a mut Engine>,
    /// Counted.
    pub figures: &'a mut Figures,
    /// Takes each turn, where there is a journal.
    pub journal: Option<&'a mut Calls>,
    /// Whether the journal has no place for more: then nothing is decided.
    pub full: bool,
    /// Where other engines ring the same employees.
    pub holding: Option<&'a mut Holding>,
}

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Whether calls are routed.
    Health,
    /// Which methods there are.
    Methods(&'static str),
    /// `POST /v1/calls`.
    Arrive,
    /// `POST /v1/calls/step`.
    Step,
    /// `POST /v1/calls/batch`.
    Batch,
}

/// A question that the router answers, not its client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // fields are named in the text
pub enum Question {
    /// Who is responsible for a caller? The scheme waits so long.
    Owner { caller: String, timeout_ms: u32 },
    /// Has a caller called before, within so many days?
    History { caller: String, days: Option<u32>, timeout_ms: u32 },
    /// Can these be had for a call, whose phones are at other PBXs? The answer is `taken`, with those that cannot.
    Claims { call_id: String, employees: Vec<String> },
}

/// A request that waits for answers to questions.
#[derive(Debug)]
pub struct Pending {
    batch: bool,
    made: Option<String>,
    places: Vec<Result<Made, Refusal>>,
    asked_ms: i64,
    /// Each of a place.
    asked: Vec<(usize, Question)>,
    answers: Vec<Event>,
}

impl Pending {
    /// What is asked, in the order in which it is to be answered.
    pub fn questions(&self) -> impl Iterator<Item = &Question> {
        self.asked.iter().map(|(_, question)| question)
    }

    /// Takes the answers, one for each question.
    pub fn answer(&mut self, answers: Vec<Event>) {
        self.answers = answers;
    }
}

/// A turn, and for when it was decided: by the client's clock, if he has said what it shows.
#[derive(Debug)]
struct Made {
    turn: Turn,
    at: i64,
}

/// So many calls are ended at once for which nobody comes back.
const MOST_FORGOTTEN: usize = 1_000;
const ABANDONED: (Disposition, Fault) = (Disposition::Abandoned, Fault::Caller);

const POST: &str = "POST, OPTIONS";
const GET: &str = "GET, HEAD, OPTIONS";

impl Service for Api<'_> {
    type Operation = Operation;
    type Pending = Pending;

    fn plan(&mut self, head: &Head<'_>) -> Result<Operation, Refusal> {
        let (operation, methods) = match head.path {
            "/healthz" => (Operation::Health, GET),
            "/v1/calls" => (Operation::Arrive, POST),
            "/v1/calls/step" => (Operation::Step, POST),
            "/v1/calls/batch" => (Operation::Batch, POST),
            "*" => return Ok(Operation::Methods("GET, HEAD, POST, OPTIONS")),
            _ => return Err(Refusal::new(404, "not_found", "there is nothing at this address")),
        };
        let open = operation == Operation::Health;
        if !open {
            self.admit(head)?;
        }
        match head.method {
            Method::Options => return Ok(Operation::Methods(methods)),
            Method::Get | Method::Head if open => return Ok(operation),
            Method::Post if !open => {}
            _ => {
                let refusal = Refusal::new(405, "method_not_allowed", "this address does not know this method");
                return Err(refusal.allowing(methods));
            }
        }
        if !head.content_type.is_some_and(is_json) {
            return Err(Refusal::new(415, "unsupported_media_type", "the Content-Type is to be application/json"));
        }
        self.figures.requests += 1;
        Ok(operation)
    }

    fn perform(&mut self, operation: Operation, body: &[u8], now_ms: i64, to: &mut Vec<u8>) -> Answer<Pending> {
        self.forget_written();
        match operation {
            Operation::Health => Answer::Done(match self.engine {
                Some(_) => {
                    to.extend_from_slice(b"{\"ok\":true}");
                    Reply::json(200)
                }
                None => refused(&no_version(), to),
            }),
            Operation::Methods(methods) => Answer::Done(Reply { status: 204, allow: Some(methods), call_id: None }),
            Operation::Arrive => {
                let made = &mut None;
                let turn = forms::read(body).and_then(|arrival| self.arrive(&arrival, now_ms, made));
                self.single(turn, made.take(), now_ms, to)
            }
            Operation::Step => {
                let turn = forms::read(body).and_then(|step| self.step(&step, now_ms));
                self.single(turn, None, now_ms, to)
            }
            Operation::Batch => match self.batch(body, now_ms) {
                Ok(places) => {
                    let every = 0..places.len();
                    self.told(true, None, places, every, now_ms, to)
                }
                Err(refusal) => self.refuse(&refusal, to),
            },
        }
    }

    fn resume(&mut self, pending: Pending, now_ms: i64, to: &mut Vec<u8>) -> Answer<Pending> {
        self.forget_written();
        let Pending { batch, made, mut places, asked_ms, asked, answers } = pending;
        let mut answers = answers.into_iter();
        let mut moved = Vec::new();
        for (at, question) in asked {
            let (answer, Some(Ok(asking))) = (answers.next(), places.get_mut(at)) else { continue };
            let event = match (question, answer) {
                (Question::Claims { .. }, Some(Event::Taken { employees })) if employees.is_empty() => continue,
                (Question::Claims { .. }, Some(taken @ Event::Taken { .. })) => taken,
                (Question::Claims { employees, .. }, _) => Event::Taken { employees },
                (_, answer) => answer.unwrap_or(Event::Failed {}),
            };
            // An answer that does not fit, such as an owner whom this version does not know, is none.
            let answered = asking.at.saturating_add(now_ms - asked_ms);
            let next = self.handle(&asking.turn.state, &event, answered, now_ms);
            let next = next.or_else(|_| self.handle(&asking.turn.state, &Event::Failed {}, answered, now_ms));
            let next = next.map(|next| Made { turn: joined(&mut asking.turn, next.turn), at: next.at });
            places[at] = next;
            moved.push(at);
            self.forget_written();
        }
        self.told(batch, made, places, moved, now_ms, to)
    }
}

impl Api<'_> {
    /// Ends calls for which nobody has come back for too long: their callers have hung up. Some at a time; tells whether all.
    pub fn forget(&mut self, now_ms: i64) -> bool {
        self.forget_some(MOST_FORGOTTEN, now_ms)
    }

    fn forget_some(&mut self, most: usize, now_ms: i64) -> bool {
        let Some(journal) = self.journal.as_deref_mut() else { return true };
        for _ in 0..if self.full { 0 } else { most } {
            let Some((call, state)) = journal.late(now_ms) else { return true };
            let gone = Event::CallerHungUp { seconds: None };
            let decided = match (&state, self.engine.as_deref_mut()) {
                (Some(state), Some(engine)) => Some(guarded(|| engine.handle(state, &gone, now_ms))),
                _ => None,
            };
            match decided {
                Some(Ok(turn)) => journal.abandon(&call, Some((&gone, &turn)), ABANDONED, now_ms),
                Some(Err(_)) => journal.abandon(&call, None, ABANDONED, now_ms),
                None => journal.abandon(&call, None, (Disposition::Failed, Fault::Ours), now_ms),
            }
        }
        false
    }

    /// Everybody who has a token, where there are tokens; otherwise whoever is no page of a browser.
    fn admit(&self, head: &Head<'_>) -> Result<(), Refusal> {
        if self.settings.tokens.is_empty() {
            return if head.has_origin {
                Err(Refusal::new(403, "origin_refused", "pages of browsers are answered only with a token"))
            } else {
                Ok(())
            };
        }
        let given = head.authorization.and_then(bearer).unwrap_or_default();
        let mut known = subtle::Choice::from(0);
        for token in &self.settings.tokens {
            known |= token.ct_eq(given);
        }
        if known.into() { Ok(()) } else { Err(Refusal::new(401, "token_refused", "a token of this router is needed")) }
    }

    fn arrive(&mut self, arrival: &Arrival<'_>, now_ms: i64, made: &mut Option<String>) -> Result<Made, Refusal> {
        let at = arrival.at.map_or(now_ms, |at| at.0);
        let call_id: &str = match &arrival.call_id {
            Some(given) => &given.0,
            None => {
                self.figures.ids += 1;
                made.insert(format!("{}{:x}", self.settings.ids, self.figures.ids))
            }
        };
        let caller = arrival.caller.as_ref().map(|caller| &*caller.0);
        let engine = self.ready()?;
        let turn = guarded(|| engine.arrive(call_id, &arrival.did.0, caller, at))?;
        self.figures.arrivals += 1;
        if let Some(journal) = &mut self.journal {
            let told = Arrived { call: call_id, did: &arrival.did.0, caller, at };
            journal.turned(told, None, &turn, now_ms);
            if journal.crowded() {
                self.forget_some(1, now_ms);
            }
        }
        self.held(turn, at, now_ms)
    }

    /// What comes of a turn when everybody whom it rings is held against other engines.
    fn held(&mut self, turn: Turn, at: i64, now_ms: i64) -> Result<Made, Refusal> {
        let (Some(holding), Some(engine)) = (self.holding.as_deref_mut(), self.engine.as_deref_mut()) else {
            return Ok(Made { turn, at });
        };
        let followed = guarded(|| holding.settle(engine, &turn, at))?;
        let mut last = turn;
        for (event, next) in followed {
            self.tell(&next, &event, at, now_ms);
            last = joined(&mut last, next);
            self.forget_written();
        }
        Ok(Made { turn: last, at })
    }

    fn step(&mut self, step: &Step<'_>, now_ms: i64) -> Result<Made, Refusal> {
        let state = forms::state_of(&step.state.0)?;
        self.handle(&state, &step.event, step.at.map_or(now_ms, |at| at.0), now_ms)
    }

    fn handle(&mut self, state: &[u8], event: &Event, at: i64, now_ms: i64) -> Result<Made, Refusal> {
        let engine = self.ready()?;
        let turn = guarded(|| engine.handle(state, event, at))?;
        self.figures.steps += 1;
        self.tell(&turn, event, at, now_ms);
        self.held(turn, at, now_ms)
    }

    /// Tells the journal of a step, and the engine of a caller whose call has ended.
    fn tell(&mut self, turn: &Turn, event: &Event, at: i64, now_ms: i64) {
        let ends = matches!(turn.action, Action::End { .. });
        if (ends || self.journal.is_some())
            && let Ok(call) = CallState::decode(&turn.state)
        {
            let did = call.did.map(|did| did.to_string()).unwrap_or_default();
            let caller = call.caller.map(|caller| caller.to_string());
            if ends
                && let Some(caller) = &caller
                && let Some(engine) = self.engine.as_deref_mut()
            {
                // From now on this number has called before.
                let _ = guarded(|| engine.called(caller, at));
            }
            if let Some(journal) = &mut self.journal {
                let told = Arrived { call: &call.call_id, did: &did, caller: caller.as_deref(), at };
                journal.turned(told, Some(event), turn, now_ms);
            }
        }
    }

    /// The engine, when calls can be decided.
    fn ready(&mut self) -> Result<&mut Engine, Refusal> {
        if self.full {
            return Err(Refusal::new(503, "journal_full", "the disk takes no calls: none is decided until it does"));
        }
        self.engine.as_deref_mut().ok_or_else(no_version)
    }

    /// What is told is not the turn that the journal took last.
    fn forget_written(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.take_written();
        }
    }

    fn batch(&mut self, body: &[u8], now_ms: i64) -> Result<Vec<Result<Made, Refusal>>, Refusal> {
        let items: Vec<&RawValue> = forms::read(body)?;
        let most = self.settings.most_items;
        if items.len() > most {
            return Err(Refusal::new(422, "batch_too_large", format!("a batch has at most {most} items")));
        }
        Ok(items.iter().enumerate().map(|(at, item)| self.item(at, item.get().as_bytes(), now_ms)).collect())
    }

    fn item(&mut self, at: usize, json: &[u8], now_ms: i64) -> Result<Made, Refusal> {
        let done = forms::read::<Kind<'_>>(json).and_then(|kind| {
            if kind.is_step() {
                forms::read(json).and_then(|step| self.step(&step, now_ms))
            } else {
                forms::read(json).and_then(|arrival| self.arrive(&arrival, now_ms, &mut None))
            }
        });
        done.map_err(|mut refusal| {
            refusal.place = if refusal.place.is_empty() { at.to_string() } else { format!("{at}.{}", refusal.place) };
            refusal.position = None;
            refusal
        })
    }

    fn single(
        &mut self,
        done: Result<Made, Refusal>,
        made: Option<String>,
        now_ms: i64,
        to: &mut Vec<u8>,
    ) -> Answer<Pending> {
        match done {
            Ok(done) => match self.question(&done.turn) {
                None => {
                    match self.journal.as_deref_mut().and_then(Calls::take_written) {
                        Some(written) => to.extend_from_slice(written),
                        None => drop(write_turn(&done.turn, to)),
                    }
                    Answer::Done(Reply { status: 200, allow: None, call_id: made })
                }
                Some(question) => Answer::Waiting(Pending {
                    batch: false,
                    made,
                    places: vec![Ok(done)],
                    asked_ms: now_ms,
                    asked: vec![(0, question)],
                    answers: Vec::new(),
                }),
            },
            Err(refusal) => self.refuse(&refusal, to),
        }
    }

    /// The reply, unless one of the turns that are new asks something.
    fn told(
        &mut self,
        batch: bool,
        made: Option<String>,
        places: Vec<Result<Made, Refusal>>,
        new: impl IntoIterator<Item = usize>,
        now_ms: i64,
        to: &mut Vec<u8>,
    ) -> Answer<Pending> {
        let asks = |at: usize| self.question(&places.get(at)?.as_ref().ok()?.turn).map(|question| (at, question));
        let asked: Vec<_> = new.into_iter().filter_map(asks).collect();
        if !asked.is_empty() {
            return Answer::Waiting(Pending { batch, made, places, asked_ms: now_ms, asked, answers: Vec::new() });
        }
        if !batch {
            return match places.into_iter().next() {
                Some(Ok(last)) => done(&last.turn, made, to),
                Some(Err(refusal)) => self.refuse(&refusal, to),
                None => Answer::Done(Reply::json(500)),
            };
        }
        to.push(b'[');
        for (at, place) in places.iter().enumerate() {
            if at > 0 {
                to.push(b',');
            }
            match place {
                Ok(last) => drop(write_turn(&last.turn, to)),
                Err(refusal) => {
                    self.figures.refused += 1;
                    refusal.write(to);
                }
            }
        }
        to.push(b']');
        Answer::Done(Reply::json(200))
    }

    /// What a turn asks that is answered here.
    fn question(&self, turn: &Turn) -> Option<Question> {
        match &turn.action {
            Action::FindOwner { caller, timeout_ms } if self.settings.looks_up => {
                Some(Question::Owner { caller: caller.to_string(), timeout_ms: *timeout_ms })
            }
            Action::FindHistory { caller, timeout_ms, days } if self.settings.looks_up => {
                Some(Question::History { caller: caller.to_string(), days: *days, timeout_ms: *timeout_ms })
            }
            Action::Ring { .. } => {
                let employees = wanted(self.engine.as_deref()?, turn);
                let call = (!employees.is_empty()).then(|| CallState::decode(&turn.state).ok()).flatten()?;
                Some(Question::Claims { call_id: call.call_id.to_string(), employees })
            }
            _ => None,
        }
    }

    fn refuse(&mut self, refusal: &Refusal, to: &mut Vec<u8>) -> Answer<Pending> {
        self.figures.refused += 1;
        Answer::Done(refused(refusal, to))
    }
}

fn refused(refusal: &Refusal, to: &mut Vec<u8>) -> Reply {
    refusal.write(to);
    Reply { status: refusal.status, allow: refusal.allow, call_id: None }
}

fn no_version() -> Refusal {
    Refusal::new(503, "no_version", "there is no company version yet")
}

fn is_json(value: &[u8]) -> bool {
    let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    kind.eq_ignore_ascii_case(b"application/json")
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii_start())
}

fn done(turn: &Turn, made: Option<String>, to: &mut Vec<u8>) -> Answer<Pending> {
    let _parts = write_turn(turn, to);
    Answer::Done(Reply { status: 200, allow: None, call_id: made })
}

/// The later of two turns that the client sees as one, with what the earlier left and passed.
fn joined(earlier: &mut Turn, mut later: Turn) -> Turn {
    fn before<T>(earlier: &mut Vec<T>, later: &mut Vec<T>) {
        earlier.append(later);
        std::mem::swap(earlier, later);
    }
    before(&mut earlier.effects, &mut later.effects);
    before(&mut earlier.trace, &mut later.trace);
    before(&mut earlier.rounds, &mut later.rounds);
    later
}

/// Runs the engine; a panic is a fault of this call alone.
fn guarded<T>(run: impl FnOnce() -> Result<T, EngineError>) -> Result<T, Refusal> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(answer) => answer.map_err(|error| of_engine(&error)),
        Err(_) => Err(Refusal::new(500, "engine_fault", "the engine failed on this call")),
    }
}

fn of_engine(error: &EngineError) -> Refusal {
    let (status, place) = match error {
        EngineError::BadState(_) => (422, "state".to_owned()),
        EngineError::UnexpectedEvent { .. } => (409, "event".to_owned()),
        EngineError::BadCallId { .. } => (422, "call_id".to_owned()),
        EngineError::BadEvent { field, .. } => (422, format!("event.{field}")),
        EngineError::UnknownEmployee(_) => (422, "event.employee".to_owned()),
        _ => (500, String::new()),
    };
    Refusal::new(status, error.code(), error.to_string()).at(place)
}
