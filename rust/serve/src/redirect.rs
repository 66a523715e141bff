//! The SIP redirect server as a thread: it waits at a socket, and answers what has come.
//!
//! While it answers one batch, the next gathers in the kernel: the more comes, the fewer wake-ups a call costs, and nobody waits
//! for a batch to fill.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use kommutator_engine::Engine;
use kommutator_engine::call::{Event, Turn};
use kommutator_query::journal;
use kommutator_query::sip::{Counts, Outgoing, Redirect};
use nix::errno::Errno;

use crate::datagrams::{self, Room};
use crate::spool::Spool;

const LET_GO_EVERY_MS: i64 = 50;

/// No socket.
const NOWHERE: RawFd = -1;

/// A call's id, the turn that asks, and the socket at which the call came.
pub type Question = (String, Turn, RawFd);

/// A redirect server with its journal.
pub struct Server {
    redirect: Mutex<Redirect>,
    questions: Mutex<Vec<Question>>,
    spool: Option<Arc<Spool>>,
    known: HashSet<String>,
    longest: usize,
    waker: RawFd,
    asked: AtomicBool,
    stopping: AtomicBool,
    unsent: AtomicU64,
}

/// One of the locks here: whoever panicked holding it lost a call, not the server.
fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Server {
    /// Around the codec; `longest` is a request's bytes; calls of the ids `known` are in the journal already. The other end of the socket `waker` becomes readable when there are
    /// questions.
    #[must_use]
    pub fn new(
        redirect: Redirect,
        spool: Option<Arc<Spool>>,
        known: HashSet<String>,
        longest: usize,
        waker: RawFd,
    ) -> Self {
        Self {
            redirect: Mutex::new(redirect),
            questions: Mutex::default(),
            spool,
            known,
            longest,
            waker,
            asked: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            unsent: AtomicU64::new(0),
        }
    }

    /// Answers what comes by a socket until `stop`, in this thread. The socket blocks, for some tenths of a second at most.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn serve(&self, engine: &Mutex<Engine>, socket: RawFd) -> Result<(), Errno> {
        let mut room = Room::new(self.longest + 1);
        let mut let_go_ms = 0;
        let mut batch = Batch::default();
        while !self.stopping.load(Ordering::Relaxed) {
            room.receive(socket)?;
            let now_ms = now_ms();
            let mut came = room.came().peekable();
            let is_due = (now_ms - let_go_ms).abs() >= LET_GO_EVERY_MS;
            if came.peek().is_none() && !is_due {
                continue;
            }
            let is_full = self.spool.as_ref().is_some_and(|spool| spool.full());
            self.run(engine, socket, &mut batch, |redirect, engine, batch| {
                redirect.close(is_full);
                for (datagram, from) in came {
                    take(redirect, engine, datagram, from, now_ms, batch);
                    self.note(redirect, engine, now_ms, batch);
                }
                if is_due {
                    let_go_ms = now_ms;
                    redirect.let_go(engine, now_ms);
                }
            });
        }
        Ok(())
    }

    /// Goes on with a call whose question was answered.
    pub fn go_on(&self, engine: &Mutex<Engine>, socket: RawFd, call_id: &str, event: Event) {
        self.run(engine, socket, &mut Batch::default(), |redirect, engine, batch| {
            let now_ms = now_ms();
            go_on(redirect, engine, call_id, event, now_ms, &mut batch.out);
            self.note(redirect, engine, now_ms, batch);
        });
    }

    /// The answers to a datagram at a given moment, which are not sent: for who has no socket here, and no journal.
    pub fn take(&self, engine: &Mutex<Engine>, datagram: &[u8], from: SocketAddr, now_ms: i64) -> Vec<Outgoing> {
        let mut batch = Batch::default();
        let (mut redirect, mut engine) = (lock(&self.redirect), lock(engine));
        take(&mut redirect, &mut engine, datagram, from, now_ms, &mut batch);
        let questions = redirect.questions();
        lock(&self.questions).extend(questions.into_iter().map(|(call_id, turn)| (call_id, turn, NOWHERE)));
        batch.out
    }

    /// The same of a call whose question was answered.
    pub fn take_answer(&self, engine: &Mutex<Engine>, call_id: &str, event: Event, now_ms: i64) -> Vec<Outgoing> {
        let mut out = Vec::new();
        let (mut redirect, mut engine) = (lock(&self.redirect), lock(engine));
        go_on(&mut redirect, &mut engine, call_id, event, now_ms, &mut out);
        let questions = redirect.questions();
        lock(&self.questions).extend(questions.into_iter().map(|(call_id, turn)| (call_id, turn, NOWHERE)));
        out
    }

    /// Has `serve` return.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Questions since this was asked last. From now on the next wakes again.
    pub fn questions(&self) -> Vec<Question> {
        self.asked.store(false, Ordering::Release);
        std::mem::take(&mut *lock(&self.questions))
    }

    /// What has come, and how many answers the network did not take.
    pub fn counts(&self) -> (Counts, u64) {
        (lock(&self.redirect).counts(), self.unsent.load(Ordering::Relaxed))
    }

    /// Makes of calls that were decided what the journal has of them.
    fn note(&self, redirect: &mut Redirect, engine: &mut Engine, now_ms: i64, batch: &mut Batch) {
        for call in redirect.decided() {
            if self.known.contains(&call.call_id) {
                // Whoever asks again what another process answered, which has died since, is one call all the same.
                continue;
            }
            if let Some(caller) = &call.caller {
                // From now on this number has called before; what is no number has not.
                let _unless = engine.called(caller, now_ms);
            }
            journal::decided(&call, now_ms, &mut batch.lines, &mut batch.ledger);
        }
    }

    /// Decides, puts on disk what was decided, and only then sends.
    fn run(
        &self,
        engine: &Mutex<Engine>,
        socket: RawFd,
        batch: &mut Batch,
        decide: impl FnOnce(&mut Redirect, &mut Engine, &mut Batch),
    ) {
        let questions = {
            let (mut redirect, mut engine) = (lock(&self.redirect), lock(engine));
            decide(&mut redirect, &mut engine, batch);
            redirect.questions()
        };
        if let Some(spool) = &self.spool
            && !batch.lines.is_empty()
        {
            spool.append(&batch.lines, &batch.ledger);
            batch.lines.clear();
            batch.ledger.clear();
        }
        let unsent = datagrams::send_all(socket, batch.out.iter().map(|one| (&*one.bytes, one.to)));
        batch.out.clear();
        if unsent > 0 {
            self.unsent.fetch_add(unsent as u64, Ordering::Relaxed);
        }
        if !questions.is_empty() {
            lock(&self.questions).extend(questions.into_iter().map(|(call_id, turn)| (call_id, turn, socket)));
            if !self.asked.swap(true, Ordering::AcqRel) {
                datagrams::wake(self.waker);
            }
        }
    }
}

/// What comes of datagrams that are taken together.
#[derive(Default)]
struct Batch {
    out: Vec<Outgoing>,
    lines: Vec<u8>,
    ledger: Vec<u8>,
}

/// Takes a datagram. A defect of ours costs it its answer, and no other.
fn take(
    redirect: &mut Redirect,
    engine: &mut Engine,
    datagram: &[u8],
    from: SocketAddr,
    now_ms: i64,
    batch: &mut Batch,
) {
    let (before, out) = (batch.out.len(), &mut batch.out);
    if catch_unwind(AssertUnwindSafe(|| redirect.take(engine, datagram, from, now_ms, out))).is_err() {
        redirect.count_failed();
    }
    for outgoing in &mut batch.out[before..] {
        if outgoing.to.ip() == from.ip().to_canonical() {
            // The address as it came has the interface of a local network of IPv6, too.
            let port = outgoing.to.port();
            outgoing.to = from;
            outgoing.to.set_port(port);
        }
    }
}

/// Goes on with a call; a defect of ours costs it its answer, and no other.
fn go_on(
    redirect: &mut Redirect,
    engine: &mut Engine,
    call_id: &str,
    event: Event,
    now_ms: i64,
    out: &mut Vec<Outgoing>,
) {
    if catch_unwind(AssertUnwindSafe(|| redirect.go_on(engine, call_id, event, now_ms, out))).is_err() {
        redirect.count_failed();
    }
}
