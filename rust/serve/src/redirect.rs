//! The SIP redirect server as a thread: it waits at a socket, and answers what has come.
//!
//! While it answers one batch, the next gathers in the kernel: the more comes, the fewer wake-ups a call costs, and nobody waits
//! for a batch to fill.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kommutator_engine::call::{Event, Turn};
use kommutator_engine::Engine;
use kommutator_query::journal;
use kommutator_query::sip::{Counts, Outgoing, Redirect};
use nix::errno::Errno;

use crate::datagrams::{self, Room};
use crate::spool::{Collected, Spool};

const LET_GO_EVERY_MS: i64 = 500;
/// So long what has come waits in the kernel when nothing more can be taken to the journal.
const FULL: Duration = Duration::from_millis(20);

/// A call's id, the turn that asks, and the socket at which the call came.
pub type Question = (String, Turn, RawFd);

/// A redirect server with its journal.
pub struct Server {
    redirect: Mutex<Redirect>,
    questions: Mutex<Vec<Question>>,
    spool: Option<Spool>,
    longest: usize,
    waker: RawFd,
    asked: AtomicBool,
    told: AtomicBool,
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
    /// Around the codec; `longest` is a request's bytes. The other end of the socket `waker` becomes readable when there are
    /// questions, or calls for the journal.
    #[must_use]
    pub fn new(redirect: Redirect, spool: Option<Spool>, longest: usize, waker: RawFd) -> Self {
        Self {
            redirect: Mutex::new(redirect),
            questions: Mutex::default(),
            spool,
            longest,
            waker,
            asked: AtomicBool::new(false),
            told: AtomicBool::new(false),
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
        let mut answers = Vec::new();
        while !self.stopping.load(Ordering::Relaxed) {
            if self.spool.as_ref().is_some_and(Spool::full) {
                self.wake(&self.told);
                thread::sleep(FULL);
                continue;
            }
            room.receive(socket)?;
            let now_ms = now_ms();
            let mut came = room.came().peekable();
            let is_due = (now_ms - let_go_ms).abs() >= LET_GO_EVERY_MS;
            if came.peek().is_none() && !is_due {
                continue;
            }
            self.run(engine, socket, &mut answers, |redirect, engine, answers| {
                for (datagram, from) in came {
                    take(redirect, engine, datagram, from, now_ms, answers);
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
        self.run(engine, socket, &mut Vec::new(), |redirect, engine, answers| {
            let mut out = Vec::new();
            // What failed was answered, and is counted.
            let _counted = catch_unwind(AssertUnwindSafe(|| redirect.go_on(engine, call_id, event, now_ms(), &mut out)));
            answers.extend(out.into_iter().map(|outgoing| (outgoing.to, outgoing.bytes)));
        });
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

    /// What the journal has collected since this was asked last. From now on the next call wakes again.
    pub fn collected(&self) -> Option<Collected> {
        self.told.store(false, Ordering::Release);
        self.spool.as_ref().map(Spool::collected)
    }

    /// The journal.
    pub fn spool(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    /// What has come, and how many answers the network did not take.
    pub fn counts(&self) -> (Counts, u64) {
        (lock(&self.redirect).counts(), self.unsent.load(Ordering::Relaxed))
    }

    /// Decides, puts on disk what was decided, and only then sends.
    fn run(
        &self,
        engine: &Mutex<Engine>,
        socket: RawFd,
        answers: &mut Vec<(SocketAddr, Vec<u8>)>,
        decide: impl FnOnce(&mut Redirect, &mut Engine, &mut Vec<(SocketAddr, Vec<u8>)>),
    ) {
        let (decided, questions) = {
            let (mut redirect, mut engine) = (lock(&self.redirect), lock(engine));
            decide(&mut redirect, &mut engine, answers);
            let decided = redirect.decided();
            for caller in decided.iter().filter_map(|call| call.caller.as_deref()) {
                // From now on this number has called before; what is no number has not.
                let _unless = engine.called(caller, now_ms());
            }
            (decided, redirect.questions())
        };
        if let Some(spool) = &self.spool
            && !decided.is_empty()
        {
            let at_ms = now_ms();
            let (mut lines, mut ledger) = (Vec::with_capacity(2_048), Vec::with_capacity(1_024));
            for call in &decided {
                journal::entries(call, at_ms, &mut lines);
                journal::line(call, at_ms, &mut ledger);
            }
            spool.append(&lines, &ledger);
        }
        let unsent = datagrams::send_all(socket, answers.iter().map(|(to, bytes)| (&**bytes, *to)));
        answers.clear();
        if unsent > 0 {
            self.unsent.fetch_add(unsent as u64, Ordering::Relaxed);
        }
        if !questions.is_empty() {
            lock(&self.questions).extend(questions.into_iter().map(|(call_id, turn)| (call_id, turn, socket)));
            self.wake(&self.asked);
        }
        if self.spool.is_some() && !decided.is_empty() {
            self.wake(&self.told);
        }
    }

    /// Wakes the owner, unless he was woken for this already.
    fn wake(&self, reason: &AtomicBool) {
        if !reason.swap(true, Ordering::AcqRel) {
            datagrams::wake(self.waker);
        }
    }
}

/// Takes a datagram. A defect of ours costs it its answer, and no other.
fn take(
    redirect: &mut Redirect,
    engine: &mut Engine,
    datagram: &[u8],
    from: SocketAddr,
    now_ms: i64,
    answers: &mut Vec<(SocketAddr, Vec<u8>)>,
) {
    let mut out: Vec<Outgoing> = Vec::new();
    let _counted = catch_unwind(AssertUnwindSafe(|| redirect.take(engine, datagram, from, now_ms, &mut out)));
    answers.extend(out.into_iter().map(|Outgoing { bytes, to }| {
        // The address as it came has the interface of a local network of IPv6, too.
        let mut back = from;
        back.set_port(to.port());
        (if to.ip() == from.ip().to_canonical() { back } else { to }, bytes)
    }));
}
