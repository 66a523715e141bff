//! What whoever reaches a router could send it: bytes of sockets, states that travelled with calls, documents, lists.
//!
//! A target takes any bytes, and panics where something does not hold that must, whatever they are. `make fuzz` searches for
//! such bytes, guided by the code that they reach; what it finds is kept in `corpus/`, and every run of the tests takes the
//! whole corpus and thousands of its neighbours again.

mod document;
mod http;
mod list;
mod machine;
mod sip;

/// One way in.
pub struct Target {
    /// The name of its folder in `corpus/`.
    pub name: &'static str,
    /// Takes any bytes; panics where something does not hold.
    pub run: fn(&[u8]),
    /// The longest that is worth trying, bytes.
    pub longest: usize,
}

/// All ways in.
pub const TARGETS: [Target; 5] = [
    Target { name: "http", run: http::run, longest: 2048 },
    Target { name: "sip", run: sip::run, longest: 4096 },
    Target { name: "state", run: machine::run, longest: 1024 },
    Target { name: "document", run: document::run, longest: 8192 },
    Target { name: "list", run: list::run, longest: 4096 },
];

/// A Wednesday noon in Moscow, 2026-11-18T09:00:00Z, milliseconds.
const NOON_MS: i64 = 1_795_165_200_000;
