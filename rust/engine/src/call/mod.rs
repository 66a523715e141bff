//! One call: its state, the actions and events of the contract, and the machine that leads from one to the next.

pub mod bits;
mod branching;
mod column;
mod decision;
mod ending;
mod event;
mod hunting;
mod machine;
mod notices;
mod queueing;
mod rounds;
pub mod state;
mod turn;
pub mod wire;

pub(crate) use column::Stage;
pub use column::{Calls, Column, Dids};
pub use decision::{Ask, Decision, Decisions, MOST_DECISIONS, Taken};
pub use event::{EndCause, Ended, Event, Whose};
pub(crate) use machine::MAX_NODES_A_TURN;
pub use machine::{Ground, Run};
pub use turn::{Action, Disposition, Effect, Fault, LeftOut, RoundNote, RungEndpoint, Turn};

use thiserror::Error;

/// What the engine refuses. Nothing changes when it does.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The state is damaged, foreign, or of a version not held.
    #[error("the state cannot be used: {0}")]
    BadState(&'static str),
    /// The event does not answer the pending action.
    #[error("`{event}` does not answer the pending `{pending}`")]
    UnexpectedEvent {
        /// The event's type.
        event: &'static str,
        /// The pending action's type.
        pending: &'static str,
    },
    /// The call id is empty or too long.
    #[error("a call id has 1 to {max} bytes, not {bytes}")]
    BadCallId {
        /// Its length.
        bytes: usize,
        /// The most it can have.
        max: usize,
    },
    /// No such employee in any version held.
    #[error("there is no employee `{0}`")]
    UnknownEmployee(String),
    /// Not a telephone number where one is needed.
    #[error("`{0}` is not a telephone number")]
    BadNumber(String),
    /// An event carries a value out of its range.
    #[error("the event's `{field}` {problem}")]
    BadEvent {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The state does not fit: the company was not checked.
    #[error("the call's state has {bytes} bytes, more than may travel with it")]
    StateTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The scheme went round without ever asking for an action: the company was not checked.
    #[error("the scheme never comes to an action at node `{0}`")]
    Runaway(String),
    /// A table of decisions is full.
    #[error("more than {MOST_DECISIONS} different decisions")]
    TooManyDecisions,
    /// Columns of calls have different lengths.
    #[error("the columns have different lengths")]
    UnevenColumns,
    /// Too many changes of lists are kept already.
    #[error("too many changes of lists; make a new version of the company")]
    TooManyListChanges,
}

impl EngineError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadState(_) => "bad_state",
            Self::UnexpectedEvent { .. } => "unexpected_event",
            Self::BadCallId { .. } => "bad_call_id",
            Self::UnknownEmployee(_) => "unknown_employee",
            Self::BadNumber(_) => "bad_number",
            Self::BadEvent { .. } => "bad_event",
            Self::StateTooLarge { .. } => "state_too_large",
            Self::Runaway(_) => "runaway",
            Self::TooManyDecisions => "too_many_decisions",
            Self::UnevenColumns => "uneven_columns",
            Self::TooManyListChanges => "too_many_list_changes",
        }
    }
}
