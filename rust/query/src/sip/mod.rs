//! SIP as a stateless redirect server speaks it: an INVITE comes, and the answer says where the call should go.
//!
//! Of RFC 3261 it is the stateless user agent server of 8.2.7 in the role of 8.3: no provisional answers, no
//! retransmissions of its own, the same answer to the same request. Requests come as whole datagrams and so do answers;
//! `server` decides by the engine, and everything else translates.
//!
//! | subject | module |
//! |---|---|
//! | a datagram's start line and headers | `message` |
//! | addresses: `sip:`, `sips:`, `tel:`, name-addr | `uri` |
//! | the topmost Via, and where the answer goes | `via` |
//! | answers as bytes | `answer` |
//! | what the engine's turn means to who asks | `decision` |
//! | contacts of an answer, from templates | `contact` |
//! | what was answered to which transaction | `memory` |
//! | who may ask, and how often | `source` |
//! | the whole | `server` |

mod answer;
mod contact;
mod decision;
mod memory;
mod message;
mod server;
mod source;
mod uri;
mod via;

pub use contact::{Targets, Template};
pub use decision::Decided;
pub use server::{Counts, Outgoing, Redirect, Settings};
pub use source::{Network, Sources};

/// What is wrong with a request, as the answer says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The status of the answer.
    pub status: u16,
    /// Its reason phrase, which names the fault (RFC 3261, 21.4.1).
    pub phrase: &'static str,
}

impl Flaw {
    pub(crate) const fn bad(phrase: &'static str) -> Self {
        Self { status: 400, phrase }
    }
}
