//! The forms in which others ask where a call should go. Bytes in, bytes out: no sockets, no clock, no threads.
#![forbid(unsafe_code)]

pub mod holders;
pub mod http;
pub mod journal;
pub mod sip;
