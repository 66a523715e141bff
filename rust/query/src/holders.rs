//! Who holds whom, where several engines ring the same employees: processes of one router, each with a floor of its own.
//!
//! An engine's claim keeps others of its own calls away. Before a turn that rings is told to anybody, whoever it rings is
//! held against the other engines, too; who cannot be is `taken`, as the contract calls it, and the engine thinks again.
//!
//! Whoever holds him says nothing when it lets him go. So it is looked now and then, and the engine told: who was refused is free
//! to its calls soon after he came free, not when the round is over in which he was refused.
//!
//! Whose phone is at another PBX is asked for at its router besides ([`wanted`]). That takes a while, and so it is a question:
//! its answer is `taken`, with nobody in it when all of them were had.

use std::collections::HashSet;
use std::fmt::Debug;

use kommutator_engine::Engine;
use kommutator_engine::call::{Action, EngineError, Event, Turn, Whose};

/// So often a call is told that somebody is taken before it is ended.
const MOST_TAKEN: usize = 256;
/// So often it is looked who is held for nothing, and who has come free elsewhere, milliseconds.
const LOOK_EVERY_MS: i64 = 50;

/// Holds employees against other engines.
pub trait Holders: Debug + Send + Sync {
    /// Holds somebody, who may be held here already; false when another engine holds him.
    fn hold(&mut self, employee: &str) -> bool;
    /// Whether another engine holds somebody.
    fn is_held_elsewhere(&self, employee: &str) -> bool;
    /// Whether anybody is held.
    fn any(&self) -> bool;
    /// Lets go everybody but these.
    fn keep_only(&mut self, employees: &mut dyn Iterator<Item = &str>);
}

/// Whom a turn rings whose phones are at other PBXs, of the roster that the engine was told.
#[must_use]
pub fn wanted(engine: &Engine, turn: &Turn) -> Vec<String> {
    rung(turn).filter(|employee| engine.floor().is_elsewhere(employee)).map(str::to_owned).collect()
}

/// Whether there is anybody of these.
#[must_use]
pub fn rings_elsewhere(engine: &Engine, turn: &Turn) -> bool {
    rung(turn).any(|employee| engine.floor().is_elsewhere(employee))
}

/// Whom a turn rings.
fn rung(turn: &Turn) -> impl Iterator<Item = &str> {
    let endpoints = match &turn.action {
        Action::Ring { endpoints, .. } => endpoints.as_slice(),
        _ => &[],
    };
    endpoints.iter().filter_map(|endpoint| endpoint.employee.as_deref())
}

/// The holders of one engine.
#[derive(Debug)]
pub struct Holding {
    holders: Box<dyn Holders>,
    /// Who could not be held, and has not come free since.
    refused: HashSet<String>,
    looked_ms: i64,
}

impl Holding {
    /// Of an engine that claims nobody yet.
    #[must_use]
    pub fn new(holders: Box<dyn Holders>) -> Self {
        Self { holders, refused: HashSet::new(), looked_ms: 0 }
    }

    /// The events that follow a turn until everybody whom it rings is held, each with its turn; none where that is so.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn settle(&mut self, engine: &mut Engine, turn: &Turn, now_ms: i64) -> Result<Vec<(Event, Turn)>, EngineError> {
        let mut followed: Vec<(Event, Turn)> = Vec::new();
        loop {
            let turn = followed.last().map_or(turn, |(_, turn)| turn);
            let employees: Vec<String> =
                rung(turn).filter(|employee| !self.holders.hold(employee)).map(str::to_owned).collect();
            if employees.is_empty() {
                return Ok(followed);
            }
            self.refused.extend(employees.iter().cloned());
            let event = if followed.len() < MOST_TAKEN {
                Event::Taken { employees }
            } else {
                Event::Fault { whose: Whose::Ours }
            };
            let next = engine.handle(&turn.state, &event, now_ms)?;
            followed.push((event, next));
        }
    }

    /// Lets go now and then whom the engine claims no more, and tells it who has come free elsewhere: both as soon as this is
    /// called, and no more often than every 50 ms.
    pub fn look(&mut self, engine: &mut Engine, now_ms: i64) {
        if (now_ms - self.looked_ms).abs() >= LOOK_EVERY_MS {
            self.looked_ms = now_ms;
            if self.holders.any() {
                self.holders.keep_only(&mut engine.floor().claimed(now_ms).map(|(employee, _, _)| employee));
            }
            for employee in self.refused.extract_if(|employee| !self.holders.is_held_elsewhere(employee)) {
                // Whom the version has no more is nobody's.
                let _gone = engine.freed_elsewhere(&employee);
            }
        }
    }
}
