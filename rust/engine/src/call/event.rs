//! What the PBX reports.

use serde::{Deserialize, Serialize};

/// An event: the answer to an action, or the caller's hanging up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Event {
    Played {},
    Digits {
        digits: String,
    },
    NoInput {},
    Answered {
        endpoint: String,
    },
    NoAnswer {
        #[serde(default)]
        ended: Vec<Ended>,
    },
    Busy {
        #[serde(default)]
        ended: Vec<Ended>,
    },
    Unavailable {
        #[serde(default)]
        ended: Vec<Ended>,
    },
    Taken {
        employees: Vec<String>,
    },
    EmployeeFree {},
    Waited {},
    Recorded {
        seconds: f64,
    },
    Owner {
        employee: String,
    },
    NoOwner {},
    CalledBefore {},
    NeverCalled {},
    Transferred {},
    /// A lookup or a transfer failed.
    Failed {},
    ConversationEnded {},
    Passed {
        #[serde(default)]
        employee: Option<String>,
        endpoint: String,
    },
    HungUp {},
    /// The caller has gone. While recording, with the length of what is recorded.
    CallerHungUp {
        #[serde(default)]
        seconds: Option<f64>,
    },
    /// The call cannot go on, and it is nobody's choice.
    Fault {
        whose: Whose,
    },
}

/// How one phone of a round ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its address, as in the action.
    pub endpoint: String,
    /// How it ended.
    pub cause: EndCause,
}

/// How a phone that rang ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// In a conversation.
    Busy,
    /// Refused by the person.
    Declined,
    /// Could not be reached.
    Unavailable,
    /// Rang out.
    NoAnswer,
}

/// Whose failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// The PBX's.
    Pbx,
    /// Ours.
    Ours,
}

impl Event {
    /// Its type in the contract.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Played {} => "played",
            Self::Digits { .. } => "digits",
            Self::NoInput {} => "no_input",
            Self::Answered { .. } => "answered",
            Self::NoAnswer { .. } => "no_answer",
            Self::Busy { .. } => "busy",
            Self::Unavailable { .. } => "unavailable",
            Self::Taken { .. } => "taken",
            Self::EmployeeFree {} => "employee_free",
            Self::Waited {} => "waited",
            Self::Recorded { .. } => "recorded",
            Self::Owner { .. } => "owner",
            Self::NoOwner {} => "no_owner",
            Self::CalledBefore {} => "called_before",
            Self::NeverCalled {} => "never_called",
            Self::Transferred {} => "transferred",
            Self::Failed {} => "failed",
            Self::ConversationEnded {} => "conversation_ended",
            Self::Passed { .. } => "passed",
            Self::HungUp {} => "hung_up",
            Self::CallerHungUp { .. } => "caller_hung_up",
            Self::Fault { .. } => "fault",
        }
    }
}
