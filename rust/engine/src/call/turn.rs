//! What the engine answers: one action, its effects, and why.

use serde::{Deserialize, Serialize, Serializer};
use smol_str::SmolStr;

use crate::company::document::Cause;
use crate::company::version::EmployeeIx;
use crate::floor::Standing;
use crate::trace::Passed;

/// The answer to an arrival or an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Turn {
    /// The call's new state.
    #[serde(skip)]
    pub state: Vec<u8>,
    /// Events handled so far. Names of playbacks, recordings and legs derive from the call id and this.
    pub sequence: u32,
    /// What to do now.
    pub action: Action,
    /// What to do besides, at least once each.
    pub effects: Vec<Effect>,
    /// The nodes just passed, and why each exit was taken.
    pub trace: Vec<Passed>,
    /// The rounds formed, with who was left out of each.
    pub rounds: Vec<RoundNote>,
}

/// Seconds of a whole number of milliseconds, written as JSON's shortest number.
fn seconds<S: Serializer>(ms: &u64, to: S) -> Result<S::Ok, S::Error> {
    if ms.is_multiple_of(1000) { to.serialize_u64(ms / 1000) } else { to.serialize_f64(*ms as f64 / 1000.0) }
}

/// What the PBX is to do now. Prompts and music are ids that the adapter resolves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Action {
    Play {
        prompt: SmolStr,
    },
    Menu {
        prompt: SmolStr,
        /// Played before the prompt after a failed attempt.
        notice: Option<SmolStr>,
        digits: Vec<SmolStr>,
        #[serde(rename = "seconds", serialize_with = "seconds")]
        ms: u64,
    },
    Ring {
        endpoints: Vec<RungEndpoint>,
        #[serde(rename = "seconds", serialize_with = "seconds")]
        ms: u64,
        music: Option<SmolStr>,
        round: u32,
    },
    Wait {
        music: Option<SmolStr>,
        announce: Option<SmolStr>,
        #[serde(rename = "seconds", serialize_with = "seconds")]
        ms: u64,
        /// At a queue: how many stand before the caller, and himself.
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<u32>,
    },
    Record {
        prompt: SmolStr,
        #[serde(rename = "seconds", serialize_with = "seconds")]
        ms: u64,
        recording: SmolStr,
    },
    FindOwner {
        caller: SmolStr,
        timeout_ms: u32,
    },
    FindHistory {
        caller: SmolStr,
        timeout_ms: u32,
        days: Option<u32>,
    },
    Transfer {
        to: SmolStr,
        #[serde(rename = "seconds", serialize_with = "seconds")]
        ms: u64,
    },
    Talk {
        endpoint: SmolStr,
    },
    HangUp {
        prompt: Option<SmolStr>,
        cause: Cause,
    },
    End {
        disposition: Disposition,
        fault: Fault,
    },
}

/// One phone that must ring.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct RungEndpoint {
    /// Whose it is, where it is an employee's.
    pub employee: Option<SmolStr>,
    /// The PBX's address of it, or an E.164 number.
    pub endpoint: SmolStr,
}

/// How a call ended. The order is the contract's: the first that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Disposition {
    Answered,
    Transferred,
    Voicemail,
    Abandoned,
    Informed,
    NoAnswer,
    Busy,
    Unavailable,
    Failed,
}

impl Disposition {
    const ALL: [Self; 9] = [
        Self::Answered,
        Self::Transferred,
        Self::Voicemail,
        Self::Abandoned,
        Self::Informed,
        Self::NoAnswer,
        Self::Busy,
        Self::Unavailable,
        Self::Failed,
    ];

    pub(super) fn from_u8(value: u8) -> Option<Self> {
        Self::ALL.get(usize::from(value)).copied()
    }

    /// True when nobody of the company spoke with the caller or has his message: the call is a missed one.
    #[must_use]
    pub fn is_missed(self) -> bool {
        matches!(self, Self::Abandoned | Self::NoAnswer | Self::Busy | Self::Unavailable | Self::Failed)
    }
}

/// Whose doing the end was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Fault {
    Caller,
    Callee,
    Pbx,
    Ours,
    None,
}

impl Fault {
    pub(super) fn from_u8(value: u8) -> Option<Self> {
        [Self::Caller, Self::Callee, Self::Pbx, Self::Ours, Self::None].get(usize::from(value)).copied()
    }
}

/// Something to be done besides the action, recognised by its id when it comes twice.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Effect {
    Sms { id: SmolStr, to: SmolStr, template: SmolStr, text: String },
    Email { id: SmolStr, to: SmolStr, template: SmolStr, subject: Option<String>, text: String },
    Task { id: SmolStr, assign: SmolStr, title: String },
    MissedCall { id: SmolStr, caller: Option<SmolStr>, did: Option<SmolStr>, owner: SmolStr },
    Voicemail { id: SmolStr, recording: SmolStr, seconds: f64, email: Vec<SmolStr>, assign: Option<SmolStr> },
    Tag { id: SmolStr, set: indexmap::IndexMap<SmolStr, SmolStr> },
}

/// One round as it was formed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundNote {
    /// Scheme id.
    pub scheme: SmolStr,
    /// Node id.
    pub node: SmolStr,
    /// Counted from 1.
    pub round: u32,
    /// Who of the round is not rung, and why.
    pub left_out: Vec<LeftOut>,
    /// In a hunt of very many phones more may have been left out, or rounds passed over, than are named.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Nobody was left, so the round was passed over.
    pub passed_over: bool,
}

/// Somebody left out of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The employee, where it is one.
    pub employee: Option<SmolStr>,
    /// The phone, where there is one.
    pub endpoint: Option<SmolStr>,
    /// Why.
    pub why: Standing,
}

/// Which leg of the hunt a rung phone is, for the machine's own use.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub leg: usize,
    pub employee: Option<EmployeeIx>,
    pub endpoint: SmolStr,
}
