//! How calls end: recordings, hang-ups, failures, and the one disposition.

use crate::company::version::{NodeIx, Notice, Step};

use crate::number::Number;

use super::EngineError;
use super::event::Whose;
use super::machine::{Next, Run};
use super::notices;
use super::state::{CallState, Outcome, Pending};
use super::turn::{Action, Disposition, Effect, Fault};

/// Shorter than this is no message, seconds.
pub(super) const SHORTEST_MESSAGE_S: f64 = 1.0;

/// What a call has earned so far, whatever ends it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Earned {
    pub answered: bool,
    pub message: bool,
    /// It serves no scheme.
    pub nowhere: bool,
    pub informed: bool,
    pub outcome: Outcome,
}

impl Earned {
    /// How it ends when the scheme has ended.
    pub fn ending(self) -> (Disposition, Fault) {
        match self.outcome {
            _ if self.answered => (Disposition::Answered, Fault::None),
            _ if self.message => (Disposition::Voicemail, Fault::None),
            _ if self.nowhere => (Disposition::Failed, Fault::Caller),
            _ if self.informed => (Disposition::Informed, Fault::None),
            Outcome::NoAnswer => (Disposition::NoAnswer, Fault::Callee),
            Outcome::Busy => (Disposition::Busy, Fault::Callee),
            Outcome::Unavailable | Outcome::None => (Disposition::Unavailable, Fault::Callee),
        }
    }
}

/// Whether a call that breaks off ends as it has earned: while we hang up, the scheme has `ended` already.
pub(super) fn is_over(earned: Earned, ended: bool) -> bool {
    ended || earned.answered || earned.message
}

/// How a call ends that cannot go on.
pub(super) fn failure(whose: Whose) -> (Disposition, Fault) {
    let fault = match whose {
        Whose::Pbx => Fault::Pbx,
        Whose::Ours => Fault::Ours,
    };
    (Disposition::Failed, fault)
}

/// Refuses what is no length of a recording.
pub(super) fn check_length(seconds: f64) -> Result<(), EngineError> {
    if seconds.is_finite() && (0.0..=86_400.0).contains(&seconds) {
        return Ok(());
    }
    Err(EngineError::BadEvent { field: "seconds", problem: "is not a length in seconds" })
}

impl Run<'_> {
    /// A recording is there. A message makes its effect at once: whatever the call does next, it is kept.
    pub(super) fn recorded(&mut self, seconds: f64) -> Result<(), EngineError> {
        check_length(seconds)?;
        let Step::Voicemail { email, assign, .. } = &self.node().step else {
            return Err(EngineError::BadState("its node is of another kind"));
        };
        self.state.recorded = Some((seconds as u32, self.state.sequence.saturating_sub(1)));
        if seconds >= SHORTEST_MESSAGE_S {
            self.state.message = true;
            let effect = Effect::Voicemail {
                id: self.effect_id(),
                recording: self.recording(),
                seconds,
                email: email.clone(),
                assign: assign.map(|assign| notices::assignee(self, assign)),
            };
            self.effects.push(effect);
        }
        Ok(())
    }

    /// The caller has gone, whatever was pending.
    pub(super) fn caller_hung_up(&mut self, seconds: Option<f64>, pending: &Pending) -> Result<Next, EngineError> {
        if let (Pending::Record, Some(seconds)) = (pending, seconds) {
            self.recorded(seconds)?;
        }
        // While we hang up, the scheme has ended already: the caller was only quicker.
        if is_over(self.earned(), *pending == Pending::HangUp) {
            return Ok(self.finish());
        }
        notices::abandoned(self);
        Ok(self.end(Disposition::Abandoned, Fault::Caller))
    }

    /// The PBX or we cannot go on with the call. What it has earned stands; while we hang up, the scheme has ended already,
    /// unless what it ends by design is the very announcement that could not be played.
    pub(super) fn failed(&mut self, whose: Whose, pending: &Pending) -> Next {
        let over = match pending {
            Pending::HangUp if self.state.node == NodeIx::NOWHERE => true,
            Pending::HangUp => {
                let node = self.node();
                !(node.allow_lost && matches!(node.step, Step::Hangup { prompt: Some(_), .. }))
            }
            _ => false,
        };
        if is_over(self.earned(), over) {
            return self.finish();
        }
        notices::abandoned(self);
        let (disposition, fault) = failure(whose);
        self.end(disposition, fault)
    }

    /// The scheme has ended.
    pub(super) fn finish(&mut self) -> Next {
        let (disposition, fault) = self.earned().ending();
        self.end(disposition, fault)
    }

    fn earned(&self) -> Earned {
        let CallState { answered, message, informed, outcome, node, .. } = self.state;
        Earned { answered, message, informed, outcome, nowhere: node == NodeIx::NOWHERE }
    }

    /// The call ends: nobody stays claimed, and a missed call leaves its record.
    pub(super) fn end(&mut self, disposition: Disposition, fault: Fault) -> Next {
        if let Pending::Talk { employee: Some(ix), .. } = self.state.pending {
            self.floor.talked_until(self.slots[ix.at()], self.now_ms);
        }
        self.floor.release_all(&self.state.call_id);
        self.floor.leave_line(&self.state.call_id);
        // A number that serves no scheme is nobody's missed call.
        if disposition.is_missed() && self.state.node != NodeIx::NOWHERE {
            let effect = Effect::MissedCall {
                id: self.effect_id(),
                caller: self.state.caller.map(Number::text),
                did: self.state.did.map(Number::text),
                owner: notices::liable(self),
            };
            self.effects.push(effect);
        }
        self.state.hunt = None;
        self.state.pending = Pending::End(disposition, fault);
        Next::Action(Action::End { disposition, fault })
    }
}

/// The default of `abandoned`: a task for whom the call concerns.
pub(super) fn default_notice(title: crate::company::version::Text) -> Notice {
    Notice::Task { assign: crate::company::version::Assignee::Owner, title }
}
