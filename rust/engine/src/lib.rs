//! Kommutator's engine: decides the next step of every call.
//!
//! A pure function of (state, event, now) over the company version, the floor and facts. It has no clock, no I/O, no
//! threads and no randomness that the call does not seed, so equal inputs give equal outputs, byte for byte.
#![forbid(unsafe_code)]

pub mod company;
pub mod directory;
pub mod number;
