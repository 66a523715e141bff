//! One connection: requests in the order in which they came, each answered before the next is looked at.

use std::mem;

use super::body::{self, Chunks};
use super::head::{self, End, Framing, Head, Method};
use super::reply::{self, Persistence, Refusal, Reply};

/// How large requests may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's head, its empty line included.
    pub head: usize,
    /// Bytes of a body.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 16 * 1024, body: 1024 * 1024 }
    }
}

/// What requests mean.
pub trait Service {
    /// What a request wants, known from its head.
    type Operation: Copy;
    /// A request whose answer waits for something from outside.
    type Pending;

    /// What the request with this head wants. A refused request that has a body ends the connection.
    fn plan(&mut self, head: &Head<'_>) -> Result<Self::Operation, Refusal>;

    /// Does it, and writes the body of its reply.
    fn perform(
        &mut self,
        operation: Self::Operation,
        body: &[u8],
        now_ms: i64,
        to: &mut Vec<u8>,
    ) -> Answer<Self::Pending>;

    /// Goes on with a request that waited.
    fn resume(&mut self, pending: Self::Pending, now_ms: i64, to: &mut Vec<u8>) -> Answer<Self::Pending>;
}

/// How a request was answered.
#[derive(Debug)]
pub enum Answer<P> {
    /// Its body is written, and this is its reply's head.
    Done(Reply),
    /// It waits, and with it everything that came behind it.
    Waiting(P),
}

/// Where a connection stands, for whoever keeps its time-outs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing of a request is here.
    Idle = 0,
    /// A head is on its way.
    Head = 1,
    /// A body is on its way.
    Body = 2,
    /// A request waits for something from outside.
    Waiting = 3,
    /// Nothing more is read; what was written is sent, and then it is closed.
    Closed = 4,
}

/// A server's side of one connection, for services of these operations and pending requests.
#[derive(Debug)]
pub struct Connection<O, P> {
    limits: Limits,
    at: At<O, P>,
    buffer: Vec<u8>,
    /// So much of the buffer is known to have no end of a head.
    scanned: usize,
    /// The empty line before a request was passed over already.
    passed_line: bool,
    draining: bool,
    requests: u64,
    body: Vec<u8>,
    date: (i64, String),
}

#[derive(Debug)]
enum At<O, P> {
    Head,
    Body(Plan<O>, usize),
    Chunks(Plan<O>, Chunks),
    Waiting(Plan<O>, P),
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct Plan<O> {
    operation: O,
    keep_alive: bool,
    old: bool,
    silent: bool,
}

impl<O: Copy, P> Connection<O, P> {
    /// A connection on which nothing has been received.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            at: At::Head,
            buffer: Vec::new(),
            scanned: 0,
            passed_line: false,
            draining: false,
            requests: 0,
            body: Vec::new(),
            date: (i64::MIN, String::new()),
        }
    }

    /// Takes what was received, answers every request that is complete, and adds the replies to `out`.
    pub fn receive(
        &mut self,
        service: &mut impl Service<Operation = O, Pending = P>,
        data: &[u8],
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        let mut kept = mem::take(&mut self.buffer);
        if kept.is_empty() {
            let taken = self.work(service, data, now_ms, out);
            kept.extend_from_slice(&data[taken..]);
        } else {
            kept.extend_from_slice(data);
            let taken = self.work(service, &kept, now_ms, out);
            kept.drain(..taken);
        }
        if matches!(self.at, At::Closed) || (kept.is_empty() && kept.capacity() > self.limits.head) {
            kept = Vec::new();
        }
        self.buffer = kept;
    }

    /// What the request waits for that is the next to be answered.
    #[must_use]
    pub fn waiting(&mut self) -> Option<&mut P> {
        match &mut self.at {
            At::Waiting(_, pending) => Some(pending),
            _ => None,
        }
    }

    /// Goes on with the request that waited, and with those behind it.
    pub fn resume(&mut self, service: &mut impl Service<Operation = O, Pending = P>, now_ms: i64, out: &mut Vec<u8>) {
        match mem::replace(&mut self.at, At::Head) {
            At::Waiting(plan, pending) => {
                self.body.clear();
                let answer = service.resume(pending, now_ms, &mut self.body);
                self.answered(plan, answer, now_ms, out);
                self.receive(service, b"", now_ms, out);
            }
            other => self.at = other,
        }
    }

    /// The next reply is the last.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Its time is over: what is on its way is refused, and nothing more is read.
    pub fn time_out(&mut self, now_ms: i64, out: &mut Vec<u8>) {
        if matches!(self.stage(), Stage::Head | Stage::Body) {
            let refusal = Refusal::new(408, "request_timeout", "the request did not come in time");
            self.refuse(&refusal, Persistence::Closed, false, now_ms, out);
        }
        self.at = At::Closed;
        self.buffer = Vec::new();
    }

    /// Refuses whatever comes, before anything is read.
    pub fn turn_away(&mut self, now_ms: i64, out: &mut Vec<u8>) {
        let refusal = Refusal::new(503, "too_many_connections", "there are too many connections");
        self.refuse(&refusal, Persistence::Closed, false, now_ms, out);
        self.at = At::Closed;
    }

    /// Where it stands.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.at {
            At::Head if self.buffer.is_empty() => Stage::Idle,
            At::Head => Stage::Head,
            At::Body(..) | At::Chunks(..) => Stage::Body,
            At::Waiting(..) => Stage::Waiting,
            At::Closed => Stage::Closed,
        }
    }

    /// How many requests were answered.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Answers what is complete in the input, and says how much of it was taken.
    fn work(
        &mut self,
        service: &mut impl Service<Operation = O, Pending = P>,
        input: &[u8],
        now_ms: i64,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut taken = 0;
        loop {
            let rest = &input[taken..];
            match &mut self.at {
                At::Head => match self.begin(service, rest, now_ms, out) {
                    Some(length) => taken += length,
                    None => return taken,
                },
                At::Body(plan, length) => {
                    let (plan, length) = (*plan, *length);
                    if rest.len() < length {
                        return taken;
                    }
                    taken += length;
                    self.perform(service, plan, &rest[..length], now_ms, out);
                }
                At::Chunks(plan, chunks) => {
                    let plan = *plan;
                    match chunks.take(rest, self.limits.body) {
                        Ok((length, false)) => return taken + length,
                        Ok((length, true)) => {
                            taken += length;
                            let body = mem::take(&mut chunks.body);
                            self.perform(service, plan, &body, now_ms, out);
                        }
                        Err(refusal) => self.refuse(&refusal, Persistence::Closed, plan.silent, now_ms, out),
                    }
                }
                At::Waiting(..) => return taken,
                At::Closed => return input.len(),
            }
        }
    }

    /// Takes the head of the next request; None while it is not complete.
    fn begin(
        &mut self,
        service: &mut impl Service<Operation = O, Pending = P>,
        input: &[u8],
        now_ms: i64,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        // RFC 9112, 2.2: one empty line before a request is an old client's, and more are none's.
        if !self.passed_line && input.first() == Some(&b'\r') {
            match input.get(1) {
                None => return None,
                Some(b'\n') => {
                    self.passed_line = true;
                    return Some(2);
                }
                Some(_) => {}
            }
        }
        let seen = &input[..input.len().min(self.limits.head)];
        let refusal = match head::end(seen, self.scanned) {
            End::At(length) => {
                self.scanned = 0;
                self.passed_line = false;
                self.plan(service, &seen[..length], now_ms, out);
                return Some(length);
            }
            End::BareLineFeed => head::bad("a line of the head does not end with CR and LF"),
            End::Unknown if input.len() < self.limits.head => {
                self.scanned = seen.len();
                return None;
            }
            End::Unknown if memchr::memchr(b'\n', seen).is_none() => {
                Refusal::new(414, "uri_too_long", format!("a head has at most {} bytes", self.limits.head))
            }
            End::Unknown => {
                Refusal::new(431, "head_too_large", format!("a head has at most {} bytes", self.limits.head))
            }
        };
        self.refuse(&refusal, Persistence::Closed, false, now_ms, out);
        Some(input.len())
    }

    fn plan(
        &mut self,
        service: &mut impl Service<Operation = O, Pending = P>,
        head: &[u8],
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        let head = match head::parse(head) {
            Ok(head) => head,
            Err(refusal) => return self.refuse(&refusal, Persistence::Closed, false, now_ms, out),
        };
        let silent = head.method == Method::Head;
        let most = self.limits.body;
        let planned = match head.framing {
            Framing::Length(length) if length > most as u64 => Err(body::too_large(most)),
            _ => service.plan(&head),
        };
        let operation = match planned {
            Ok(operation) => operation,
            Err(refusal) => {
                // The connection stays in step only where there is no body to pass over.
                let kept = head.keep_alive && head.framing == Framing::Length(0);
                let persistence = self.persistence(kept, head.old);
                return self.refuse(&refusal, persistence, silent, now_ms, out);
            }
        };
        let plan = Plan { operation, keep_alive: head.keep_alive, old: head.old, silent };
        if head.expects_continue && head.framing != Framing::Length(0) {
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.at = match head.framing {
            Framing::Length(length) => At::Body(plan, usize::try_from(length).unwrap_or(most)),
            Framing::Chunked => At::Chunks(plan, Chunks::default()),
        };
    }

    fn perform(
        &mut self,
        service: &mut impl Service<Operation = O, Pending = P>,
        plan: Plan<O>,
        body: &[u8],
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        self.body.clear();
        let answer = service.perform(plan.operation, body, now_ms, &mut self.body);
        self.answered(plan, answer, now_ms, out);
    }

    fn answered(&mut self, plan: Plan<O>, answer: Answer<P>, now_ms: i64, out: &mut Vec<u8>) {
        match answer {
            Answer::Waiting(pending) => self.at = At::Waiting(plan, pending),
            Answer::Done(reply) => {
                let persistence = self.persistence(plan.keep_alive, plan.old);
                self.reply(&reply, persistence, plan.silent, now_ms, out);
            }
        }
    }

    fn refuse(&mut self, refusal: &Refusal, persistence: Persistence, silent: bool, now_ms: i64, out: &mut Vec<u8>) {
        self.body.clear();
        refusal.write(&mut self.body);
        let reply = Reply { status: refusal.status, allow: refusal.allow, call_id: None };
        self.reply(&reply, persistence, silent, now_ms, out);
    }

    fn reply(&mut self, reply: &Reply, persistence: Persistence, silent: bool, now_ms: i64, out: &mut Vec<u8>) {
        let second = now_ms.div_euclid(1000);
        if self.date.0 != second {
            self.date = (second, date(second));
        }
        reply::write(out, reply, &self.body, &self.date.1, persistence, silent);
        if self.body.capacity() > 4 * self.limits.head {
            self.body = Vec::new();
        }
        self.requests += 1;
        self.at = if persistence == Persistence::Closed { At::Closed } else { At::Head };
    }

    fn persistence(&self, keep_alive: bool, old: bool) -> Persistence {
        match (keep_alive && !self.draining, old) {
            (false, _) => Persistence::Closed,
            (true, true) => Persistence::KeptOnRequest,
            (true, false) => Persistence::Kept,
        }
    }
}

/// A moment as `Date` has it (RFC 9110, 5.6.7).
fn date(second: i64) -> String {
    let moment = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&moment).unwrap_or_default()
}
