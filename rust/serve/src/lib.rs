//! Sockets and files around the codecs of `kommutator-query`, without Python: a batch of datagrams is read, decided, put on
//! disk and answered in one go, by a thread that shares only the engine with everybody else.
//!
//! | subject | module |
//! |---|---|
//! | the system calls of a socket of UDP | `datagrams` |
//! | who holds whom among processes | `holders` |
//! | the files that calls are in before their answers leave | `spool`, on `lines` |
//! | the thread around the codec | `redirect` |

pub mod datagrams;
pub mod holders;
pub mod lines;
pub mod redirect;
pub mod spool;
