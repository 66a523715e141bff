//! HTTP/1.1 as a server speaks it (RFC 9110, RFC 9112), for routing queries.
//!
//! [`Connection`] takes what was received and answers what is to be sent; whatever is complete in the buffer is answered
//! in the same call, in order. It knows requests and replies, and a [`Service`] knows what they mean. [`Api`] is the
//! service of the contract. Replies do not depend on how the bytes were cut on their way.

mod api;
mod body;
mod connection;
mod forms;
mod head;
mod reply;

pub use api::{Api, Figures, Operation, Pending, Question, Settings};
pub use connection::{Answer, Connection, Limits, Service, Stage};
pub use head::{Head, Method};
pub use reply::{Refusal, Reply};
