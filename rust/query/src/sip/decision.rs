//! What the engine's turn means to who asks, and what the ledger is told of it.
//!
//! | the action | the answer |
//! |---|---|
//! | `ring`, `transfer` | 302 with those whom the scheme would try one after the other if nobody answered; the call is given away: `transferred` |
//! | `play`, `menu`, `record`, `wait`, `hang_up` with a prompt | 302 to who has a voice, where the call begins anew as his; without one 480, and the call has `failed` |
//! | `ring` at a queue | as `play`: a redirect cannot hold a place in line. Without a voice, those whom the first attempt rings |
//! | `find_owner`, `find_history` | none yet: the question is asked first |
//! | `ring` of phones at other PBXs | none yet: their routers are asked for them first |
//! | `hang_up` | the status of its cause; the call ends as the engine says |

use std::panic::{AssertUnwindSafe, catch_unwind};

use kommutator_engine::Engine;
use kommutator_engine::call::{Action, Disposition, EngineError, Event, Fault, Turn, Whose};
use kommutator_engine::company::document::Cause;

use crate::holders::{Holding, rings_elsewhere};

use super::Flaw;
use super::contact::{MOST_CONTACTS, MOST_RANKS, Targets};

const MOVED: Flaw = Flaw { status: 302, phrase: "Moved Temporarily" };

/// A call decided here, for the journal: its turns, each with the event that led to it, and how it ended.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The call's id: `sip-` and the tag of To in the answer.
    pub call_id: String,
    /// As it was dialled.
    pub did: String,
    /// As it was given; none where it is withheld.
    pub caller: Option<String>,
    /// What was decided, in order.
    pub turns: Vec<(Option<Event>, Turn)>,
    /// How the call ended.
    pub disposition: Disposition,
    /// By whose doing.
    pub fault: Fault,
}

/// A call that is being decided.
#[derive(Debug, Default)]
pub struct Begun {
    pub call_id: String,
    pub did: String,
    pub caller: Option<String>,
    pub turns: Vec<(Option<Event>, Turn)>,
}

/// What comes of a turn.
pub enum Outcome {
    /// It is answered.
    Answer {
        status: Flaw,
        /// Whole header lines.
        lines: Vec<u8>,
        /// What the journal is told; nothing where another begins the call anew.
        decided: Option<Box<Decided>>,
        /// The state of the call whose employees are to be released later.
        held: Option<Vec<u8>>,
    },
    /// A question must be answered first.
    Asks,
}

impl Begun {
    /// Goes on from the call's last turn.
    ///
    /// Whom the answer rings stays claimed for the call where `hold` is set, until [`release_held`] lets them go. `had` says
    /// that those were had whose phones are at other PBXs.
    pub fn decide(
        &mut self,
        engine: &mut Engine,
        targets: &Targets,
        hold: bool,
        had: bool,
        now_ms: i64,
    ) -> Result<Outcome, EngineError> {
        let Some((_, turn)) = self.turns.last() else { return Err(EngineError::BadState("the call has not begun")) };
        let mut lines = Vec::with_capacity(256);
        match &turn.action {
            Action::FindOwner { .. } | Action::FindHistory { .. } => Ok(Outcome::Asks),
            Action::Ring { .. } if Engine::is_queued(&turn.state)? && targets.media(&self.did, &mut lines) => {
                release_held(engine, &turn.state, now_ms)?;
                Ok(Outcome::Answer { status: MOVED, lines, decided: None, held: None })
            }
            Action::Ring { .. } if !had && rings_elsewhere(engine, turn) => Ok(Outcome::Asks),
            Action::Ring { .. } | Action::Transfer { .. } => {
                let ranked = who_is_tried(engine, turn, hold, now_ms)?;
                targets.contacts(&ranked, &mut lines);
                let held = (hold && matches!(turn.action, Action::Ring { .. })).then(|| turn.state.clone());
                let decided = Some(Box::new(self.over(Disposition::Transferred, Fault::None)));
                Ok(Outcome::Answer { status: MOVED, lines, decided, held })
            }
            Action::HangUp { prompt, cause } if prompt.is_none() || targets.media.is_none() => {
                let status = refusal(*cause, &mut lines);
                let state = turn.state.clone();
                let (disposition, fault) = self.step(engine, &state, Event::HungUp {}, now_ms)?;
                Ok(self.refused(status, lines, disposition, fault))
            }
            Action::End { disposition, fault } => {
                let (disposition, fault) = (*disposition, *fault);
                let status = refusal(Cause::Normal, &mut lines);
                Ok(self.refused(status, lines, disposition, fault))
            }
            _ if targets.media(&self.did, &mut lines) => {
                if Engine::is_queued(&turn.state)? {
                    release_held(engine, &turn.state, now_ms)?;
                }
                Ok(Outcome::Answer { status: MOVED, lines, decided: None, held: None })
            }
            _ => {
                let status = Flaw { status: 480, phrase: "Temporarily Unavailable" };
                lines.extend_from_slice(
                    b"Warning: 399 kommutator \"the call needs a voice, and no media is configured\"\r\n",
                );
                let state = turn.state.clone();
                let fault = Event::Fault { whose: Whose::Ours };
                let (disposition, fault) = self.step(engine, &state, fault, now_ms)?;
                Ok(self.refused(status, lines, disposition, fault))
            }
        }
    }

    /// Goes on to the first turn whose employees can be had, where other engines ring them, too.
    pub fn settle(
        &mut self,
        engine: &mut Engine,
        holding: Option<&mut Holding>,
        now_ms: i64,
    ) -> Result<(), EngineError> {
        if let Some(holding) = holding
            && let Some((_, turn)) = self.turns.last()
        {
            let followed = holding.settle(engine, turn, now_ms)?;
            self.turns.extend(followed.into_iter().map(|(event, turn)| (Some(event), turn)));
        }
        Ok(())
    }

    /// The caller has gone while a question was asked.
    pub fn cancelled(&mut self, engine: &mut Engine, now_ms: i64) -> Result<Decided, EngineError> {
        let Some((_, turn)) = self.turns.last() else { return Ok(self.over(Disposition::Abandoned, Fault::Caller)) };
        let state = turn.state.clone();
        let gone = Event::CallerHungUp { seconds: None };
        let (disposition, fault) = self.step(engine, &state, gone, now_ms)?;
        Ok(self.over(disposition, fault))
    }

    /// The engine has failed on the call: nobody is held for it, and it is told of with the turns that it had.
    pub fn failed(&mut self, engine: &mut Engine, now_ms: i64) -> Decided {
        if let Some((_, turn)) = self.turns.last() {
            let _failed_again = guarded(|| release_held(engine, &turn.state, now_ms));
        }
        self.over(Disposition::Failed, Fault::Ours)
    }

    fn step(
        &mut self,
        engine: &mut Engine,
        state: &[u8],
        event: Event,
        now_ms: i64,
    ) -> Result<(Disposition, Fault), EngineError> {
        let turn = engine.handle(state, &event, now_ms)?;
        let ended = match &turn.action {
            Action::End { disposition, fault } => (*disposition, *fault),
            _ => (Disposition::Failed, Fault::Ours),
        };
        self.turns.push((Some(event), turn));
        Ok(ended)
    }

    fn refused(&mut self, status: Flaw, lines: Vec<u8>, disposition: Disposition, fault: Fault) -> Outcome {
        Outcome::Answer { status, lines, decided: Some(Box::new(self.over(disposition, fault))), held: None }
    }

    fn over(&mut self, disposition: Disposition, fault: Fault) -> Decided {
        let Self { call_id, did, caller, turns } = std::mem::take(self);
        Decided { call_id, did, caller, turns, disposition, fault }
    }
}

/// What the engine answers; none where it fails, be it by a panic, which is a fault of one call alone.
pub fn guarded<T>(run: impl FnOnce() -> Result<T, EngineError>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()?.ok()
}

/// Whom the scheme tries, with ranks from 0, as long as nobody answers and nothing else is to be done.
///
/// The engine is asked as if each round ended without answer; after that it holds what the first turn claimed, or nobody.
/// Whom it would wait for, and what comes after a notice, is no part of it.
fn who_is_tried(
    engine: &mut Engine,
    first: &Turn,
    hold: bool,
    now_ms: i64,
) -> Result<Vec<(usize, String)>, EngineError> {
    let mut ranked: Vec<(usize, String)> = Vec::with_capacity(4);
    let mut following: Option<Turn> = None;
    for rank in 0..MOST_RANKS {
        let turn = following.as_ref().unwrap_or(first);
        let event = match &turn.action {
            Action::Ring { endpoints, .. } => {
                for endpoint in endpoints {
                    add(&mut ranked, rank, &endpoint.endpoint);
                }
                // What follows an attempt in vain is a wait; and whom it rang would be passed over meanwhile.
                if Engine::is_queued(&turn.state)? {
                    break;
                }
                Event::NoAnswer { ended: Vec::new() }
            }
            Action::Transfer { to, .. } => {
                add(&mut ranked, rank, to);
                Event::Failed {}
            }
            _ => break,
        };
        let next = engine.handle(&turn.state, &event, now_ms)?;
        if !next.effects.is_empty() {
            break;
        }
        following = Some(next);
    }
    if hold && matches!(first.action, Action::Ring { .. }) {
        engine.resume(&first.state, now_ms)?;
    } else {
        release(engine, following.as_ref().unwrap_or(first), now_ms)?;
    }
    Ok(ranked)
}

/// Lets go whom a call holds: only one that rings holds anybody. What the engine says of its end is not so: it went on
/// elsewhere.
fn release(engine: &mut Engine, turn: &Turn, now_ms: i64) -> Result<(), EngineError> {
    if matches!(turn.action, Action::Ring { .. }) {
        release_held(engine, &turn.state, now_ms)?;
    }
    Ok(())
}

/// The same, from the state of a call that was held.
pub fn release_held(engine: &mut Engine, state: &[u8], now_ms: i64) -> Result<(), EngineError> {
    engine.handle(state, &Event::CallerHungUp { seconds: None }, now_ms).map(drop)
}

fn add(ranked: &mut Vec<(usize, String)>, rank: usize, address: &str) {
    if ranked.len() < MOST_CONTACTS && !ranked.iter().any(|(_, other)| other == address) {
        ranked.push((rank, address.to_owned()));
    }
}

/// The status of a cause, and a Reason with that of ISDN (ITU-T Q.850; RFC 3398, 7.2.4.1; RFC 6432).
///
/// Congestion is no 503: that would be about this server, and whoever asks would ask it no more.
fn refusal(cause: Cause, lines: &mut Vec<u8>) -> Flaw {
    let (status, phrase, q850, text) = match cause {
        Cause::Normal => (603, "Decline", 16, "Normal call clearing"),
        Cause::Busy => (486, "Busy Here", 17, "User busy"),
        Cause::NoAnswer => (480, "Temporarily Unavailable", 19, "No answer"),
        Cause::Congestion => (480, "Temporarily Unavailable", 34, "No circuit available"),
        Cause::Rejected => (603, "Decline", 21, "Call rejected"),
        Cause::Unallocated => (404, "Not Found", 1, "Unallocated number"),
    };
    lines.extend_from_slice(format!("Reason: Q.850;cause={q850};text=\"{text}\"\r\n").as_bytes());
    Flaw { status, phrase }
}
