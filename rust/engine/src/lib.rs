//! Kommutator's engine: decides the next step of every call.
//!
//! A pure function of (state, event, now) over the company version, the floor and facts. It has no clock, no I/O, no
//! threads and no randomness that the call does not seed, so equal inputs give equal outputs, byte for byte.
#![forbid(unsafe_code)]

pub mod call;
pub mod check;
pub mod company;
pub mod directory;
pub mod engine;
pub mod facts;
pub mod finding;
pub mod floor;
pub mod number;
pub mod schedule;
pub mod trace;

pub use call::{Action, EngineError, Event, Turn};
pub use engine::{Engine, Prepared, Taken};
