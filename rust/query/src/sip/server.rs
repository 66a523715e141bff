//! The whole: a datagram in, answers out, and calls for the journal.

use std::collections::{HashMap, VecDeque};
use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

use kommutator_engine::Engine;
use kommutator_engine::call::{EngineError, Event, Turn};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::holders::Holding;

use super::Flaw;
use super::answer::{self, Content, write_tag};
use super::contact::Targets;
use super::decision::{Begun, Decided, Outcome, guarded, release_held};
use super::memory::{Entry, MOST_ENTRIES, Memory};
use super::message::{self, Method, Request, Silence};
use super::source::Sources;
use super::uri;
use super::via::Via;

/// Most calls for which a question is asked at the same time.
const MOST_ASKING: usize = 1_024;
/// Most calls that hold somebody; the oldest lets go.
const MOST_HELD: usize = 65_536;
/// After that many seconds, whoever was told to wait may ask again.
const RETRY_AFTER_S: u32 = 1;

const OK: Flaw = Flaw { status: 200, phrase: "OK" };
const DIALOG: Flaw = Flaw { status: 481, phrase: "Call/Transaction Does Not Exist" };
const CANCELLED: Flaw = Flaw { status: 487, phrase: "Request Terminated" };
const NOT_ALLOWED: Flaw = Flaw { status: 405, phrase: "Method Not Allowed" };
const NOT_IMPLEMENTED: Flaw = Flaw { status: 501, phrase: "Not Implemented" };
const BAD_EXTENSION: Flaw = Flaw { status: 420, phrase: "Bad Extension" };
const TOO_LARGE: Flaw = Flaw { status: 513, phrase: "Message Too Large" };
const UNAVAILABLE: Flaw = Flaw { status: 503, phrase: "Service Unavailable" };
const FAILED: Flaw = Flaw { status: 500, phrase: "Server Internal Error" };

/// What a redirect server is told when it is made.
#[derive(Debug)]
pub struct Settings {
    /// Who may ask.
    pub sources: Sources,
    /// How addresses become contacts.
    pub targets: Targets,
    /// The longest datagram that is read to its end, bytes.
    pub longest: usize,
    /// So long nobody else rings those whom an answer names, milliseconds: until their PBX says that they ring.
    pub hold_ms: u32,
    /// Makes ids of calls unlike those of every other process.
    pub key: [u8; 16],
    /// Whether calls are told to a journal.
    pub journal: bool,
}

/// A datagram to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where it goes.
    pub to: SocketAddr,
}

/// What has come, counted since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls decided.
    pub calls: u64,
    /// Requests that came again and got the answer they had got.
    pub again: u64,
    /// Answers that say what is wrong with the request.
    pub refused: u64,
    /// Calls beyond the rate of their source or the questions asked at once, and those that the journal had no place for.
    pub too_many: u64,
    /// Datagrams of addresses that may not ask.
    pub strangers: u64,
    /// Datagrams without any answer: neither request nor anything else that is meant for us.
    pub unreadable: u64,
    /// Calls and datagrams on which our code failed.
    pub failed: u64,
}

/// A request waiting for the answer to a question.
struct Asking {
    begun: Begun,
    datagram: Box<[u8]>,
    source: SocketAddr,
    transaction: u128,
}

/// Answers requests.
pub struct Redirect {
    settings: Settings,
    memory: Memory,
    asking: HashMap<String, Asking>,
    questions: VecDeque<(String, Turn)>,
    decided: Vec<Decided>,
    /// When to let go whom calls hold, with their states; in order.
    held: VecDeque<(i64, Vec<u8>)>,
    counts: Counts,
    holding: Option<Holding>,
    closed: bool,
}

/// A request on its way to its answer.
struct Asked<'r, 'm> {
    datagram: &'m [u8],
    request: &'r Request<'m>,
    via: &'r Via<'r>,
    source: SocketAddr,
    transaction: u128,
}

impl Asked<'_, '_> {
    fn answer(&self, status: Flaw, content: Content<'_>) -> Outgoing {
        Outgoing {
            bytes: answer::write(self.request, self.via, self.source, self.transaction, status, content),
            to: self.via.answer_to(self.source),
        }
    }
}

impl Redirect {
    /// A server that has answered nobody yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            memory: Memory::new(MOST_ENTRIES),
            asking: HashMap::new(),
            questions: VecDeque::new(),
            decided: Vec::new(),
            held: VecDeque::new(),
            counts: Counts::default(),
            holding: None,
            closed: false,
        }
    }

    /// Where other engines ring the same employees.
    #[must_use]
    pub fn holding(self, holding: Option<Holding>) -> Self {
        Self { holding, ..self }
    }

    /// Whether new calls are told to come later: the journal takes none.
    pub fn close(&mut self, closed: bool) {
        self.closed = closed;
    }

    /// Takes a datagram, and answers it where it is to be answered: at most once, but for a CANCEL, which answers its
    /// INVITE besides.
    pub fn take(
        &mut self,
        engine: &mut Engine,
        datagram: &[u8],
        source: SocketAddr,
        now_ms: i64,
        out: &mut Vec<Outgoing>,
    ) {
        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
        if !self.settings.sources.may_ask(source.ip()) {
            self.counts.strangers += 1;
            return;
        }
        let too_large = datagram.len() > self.settings.longest;
        let request = match message::read(&datagram[..datagram.len().min(self.settings.longest)]) {
            Ok(request) => request,
            Err(Silence::KeepAlive | Silence::Response) => return,
            Err(Silence::Unreadable) => return self.counts.unreadable += 1,
        };
        let Some(first) = request.vias.first() else { return self.counts.unreadable += 1 };
        let line = first.unfolded();
        let Some(via) = Via::read(&line) else { return self.counts.unreadable += 1 };
        let transaction = transaction(&self.settings.key, &request, &via, source.ip());
        let asked = Asked { datagram, request: &request, via: &via, source, transaction };
        if request.method == Method::Ack {
            return self.memory.acknowledge(transaction);
        }
        let refused = match check(&request, too_large) {
            Ok(did) if request.method == Method::Invite => {
                return self.invite(engine, &asked, did, now_ms, out);
            }
            Ok(_) if request.method == Method::Cancel => return self.cancel(engine, &asked, now_ms, out),
            Ok(_) => return out.push(asked.answer(OK, Content::Abilities)),
            Err(refused) => refused,
        };
        self.counts.refused += 1;
        out.push(match refused {
            NOT_ALLOWED => asked.answer(refused, Content::Allow),
            BAD_EXTENSION => asked.answer(refused, Content::Unsupported(&options(&request))),
            _ => asked.answer(refused, Content::Bare),
        });
    }

    /// Goes on with a call whose question was answered, or was not in time. `taken` with nobody in it says that all were had
    /// whose phones are at other PBXs.
    pub fn go_on(&mut self, engine: &mut Engine, call_id: &str, event: Event, now_ms: i64, out: &mut Vec<Outgoing>) {
        let Some(Asking { mut begun, datagram, source, transaction }) = self.asking.remove(call_id) else { return };
        let had = matches!(&event, Event::Taken { employees } if employees.is_empty());
        let outcome = self.decide(engine, &mut begun, had, now_ms, |engine, begun| match begun.turns.last() {
            Some((_, turn)) if !had => {
                let turn = engine.handle(&turn.state, &event, now_ms)?;
                begun.turns.push((Some(event), turn));
                Ok(())
            }
            _ => Ok(()),
        });
        let datagram = &*datagram;
        let Some((request, line)) = reread(datagram) else { return };
        let Some(via) = Via::read(&line) else { return };
        let asked = Asked { datagram, request: &request, via: &via, source, transaction };
        self.conclude(engine, &asked, begun, outcome, now_ms, out);
    }

    /// Counts a datagram on which our code failed, which nobody has answered.
    pub fn count_failed(&mut self) {
        self.counts.failed += 1;
    }

    /// Lets go those who were held for long enough; answers whether there are others.
    pub fn let_go(&mut self, engine: &mut Engine, now_ms: i64) -> bool {
        let others = self.let_go_calls(engine, now_ms);
        if let Some(holding) = &mut self.holding {
            holding.look(engine, now_ms);
        }
        others
    }

    fn let_go_calls(&mut self, engine: &mut Engine, now_ms: i64) -> bool {
        while let Some((until_ms, state)) = self.held.front() {
            if *until_ms > now_ms && self.held.len() <= MOST_HELD {
                return true;
            }
            // A version that is held no more has nobody to let go in.
            let _gone = release_held(engine, state, now_ms);
            self.held.pop_front();
        }
        false
    }

    /// Calls that have been decided since this was asked last, for the journal.
    pub fn decided(&mut self) -> impl Iterator<Item = Decided> {
        self.decided.drain(..)
    }

    /// Questions that have come up since this was asked last: a call's id, and the turn that asks.
    pub fn questions(&mut self) -> Vec<(String, Turn)> {
        self.questions.drain(..).collect()
    }

    /// What has come.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many transactions are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.memory.len()
    }

    fn invite(
        &mut self,
        engine: &mut Engine,
        asked: &Asked<'_, '_>,
        did: String,
        now_ms: i64,
        out: &mut Vec<Outgoing>,
    ) {
        match self.memory.get(asked.transaction) {
            None => {}
            Some(Entry::Answered(bytes, to)) => {
                self.counts.again += 1;
                return out.push(Outgoing { bytes: bytes.to_vec(), to: *to });
            }
            Some(Entry::Asking | Entry::Acknowledged) => return self.counts.again += 1,
        }
        let full = self.closed || self.asking.len() >= MOST_ASKING;
        if full || !self.settings.sources.take_call(asked.source.ip(), now_ms) {
            self.counts.too_many += 1;
            return out.push(asked.answer(UNAVAILABLE, Content::RetryAfter(RETRY_AFTER_S)));
        }
        let caller = caller(asked.request, self.settings.sources.is_trusted(asked.source.ip()));
        let turns = Vec::with_capacity(2);
        let mut begun = Begun { call_id: call_id(asked.transaction), did, caller, turns };
        let outcome = self.decide(engine, &mut begun, false, now_ms, |engine, begun| {
            let turn = engine.arrive(&begun.call_id, &begun.did, begun.caller.as_deref(), now_ms)?;
            begun.turns.push((None, turn));
            Ok(())
        });
        self.conclude(engine, asked, begun, outcome, now_ms, out);
    }

    /// Takes a call by `turn` to what is answered; none where the engine fails, which costs this call its way, and no other.
    fn decide(
        &mut self,
        engine: &mut Engine,
        begun: &mut Begun,
        had: bool,
        now_ms: i64,
        turn: impl FnOnce(&mut Engine, &mut Begun) -> Result<(), EngineError>,
    ) -> Option<Outcome> {
        let (settings, holding) = (&self.settings, self.holding.as_mut());
        guarded(|| {
            turn(engine, begun)?;
            if !had {
                begun.settle(engine, holding, now_ms)?;
            }
            begun.decide(engine, &settings.targets, settings.hold_ms > 0, had, now_ms)
        })
    }

    fn conclude(
        &mut self,
        engine: &mut Engine,
        asked: &Asked<'_, '_>,
        mut begun: Begun,
        outcome: Option<Outcome>,
        now_ms: i64,
        out: &mut Vec<Outgoing>,
    ) {
        let answer = match outcome {
            Some(Outcome::Asks) => {
                if let Some((_, turn)) = begun.turns.last() {
                    self.questions.push_back((begun.call_id.clone(), turn.clone()));
                }
                self.memory.put(asked.transaction, Entry::Asking, now_ms);
                let (source, transaction) = (asked.source, asked.transaction);
                let asking = Asking { datagram: asked.datagram.into(), source, transaction, begun };
                self.asking.insert(asking.begun.call_id.clone(), asking);
                return;
            }
            Some(Outcome::Answer { status, lines, decided, held }) => {
                self.counts.calls += 1;
                let until_ms = now_ms.saturating_add(i64::from(self.settings.hold_ms));
                self.held.extend(held.map(|state| (until_ms, state)));
                if let Some(decided) = decided {
                    self.tell(engine, *decided, now_ms);
                }
                asked.answer(status, Content::Lines(&lines))
            }
            None => {
                self.counts.failed += 1;
                let failed = begun.failed(engine, now_ms);
                self.tell(engine, failed, now_ms);
                asked.answer(FAILED, Content::Bare)
            }
        };
        self.memory.put(asked.transaction, Entry::Answered(answer.bytes.as_slice().into(), answer.to), now_ms);
        out.push(answer);
    }

    /// Tells of a call that is over. From then on its number has called before: whoever writes the journal says so to the
    /// engine, too.
    fn tell(&mut self, engine: &mut Engine, decided: Decided, now_ms: i64) {
        if self.settings.journal {
            self.decided.push(decided);
        } else if let Some(caller) = &decided.caller {
            let _what_is_no_number_has_not = engine.called(caller, now_ms);
        }
    }

    /// RFC 3261, 9.2: the CANCEL of an INVITE that is not answered ends it; of one that is, changes nothing.
    fn cancel(&mut self, engine: &mut Engine, asked: &Asked<'_, '_>, now_ms: i64, out: &mut Vec<Outgoing>) {
        let known = match self.memory.get(asked.transaction) {
            None => false,
            Some(Entry::Answered(..) | Entry::Acknowledged) => true,
            Some(Entry::Asking) => {
                self.abandon(engine, asked.transaction, now_ms, out);
                true
            }
        };
        out.push(asked.answer(if known { OK } else { DIALOG }, Content::Bare));
    }

    fn abandon(&mut self, engine: &mut Engine, transaction: u128, now_ms: i64, out: &mut Vec<Outgoing>) {
        let Some(mut asking) = self.asking.remove(&call_id(transaction)) else { return };
        let decided = guarded(|| asking.begun.cancelled(engine, now_ms)).unwrap_or_else(|| {
            self.counts.failed += 1;
            asking.begun.failed(engine, now_ms)
        });
        self.tell(engine, decided, now_ms);
        let Some((request, line)) = reread(&asking.datagram) else { return };
        let Some(via) = Via::read(&line) else { return };
        let (datagram, source) = (&*asking.datagram, asking.source);
        let asked = Asked { datagram, request: &request, via: &via, source, transaction };
        let answer = asked.answer(CANCELLED, Content::Bare);
        self.memory.put(transaction, Entry::Answered(answer.bytes.as_slice().into(), answer.to), now_ms);
        out.push(answer);
    }
}

/// A request that was read before.
fn reread(datagram: &[u8]) -> Option<(Request<'_>, std::borrow::Cow<'_, [u8]>)> {
    let request = message::read(datagram).ok()?;
    let line = request.vias.first()?.unfolded();
    Some((request, line))
}

/// What an INVITE, an OPTIONS or a CANCEL dials, or why the request is refused, in the order of RFC 3261, 8.2.
fn check(request: &Request<'_>, too_large: bool) -> Result<String, Flaw> {
    if too_large {
        return Err(TOO_LARGE);
    }
    if let Some(flaw) = request.flaw {
        return Err(flaw);
    }
    let to = request.to.map(message::Value::unfolded).unwrap_or_default();
    let to = uri::address(&to).ok_or(Flaw::bad("Bad To"))?;
    let from = request.from.map(message::Value::unfolded).unwrap_or_default();
    if uri::address(&from).is_none() {
        return Err(Flaw::bad("Bad From"));
    }
    match request.method {
        Method::Other => return Err(NOT_ALLOWED),
        Method::Unknown => return Err(NOT_IMPLEMENTED),
        _ => {}
    }
    let dialled = uri::dialled(request.uri)?;
    if request.method == Method::Cancel {
        return Ok(dialled);
    }
    if to.tag.is_some() {
        return Err(DIALOG);
    }
    if !request.require.is_empty() {
        return Err(BAD_EXTENSION);
    }
    if dialled.is_empty() { Ok(uri::subscriber(to.uri).unwrap_or_default()) } else { Ok(dialled) }
}

/// The options of all Require headers in one line: none is supported.
fn options(request: &Request<'_>) -> Vec<u8> {
    let lines: Vec<_> = request.require.iter().map(|value| value.unfolded()).collect();
    lines.join(&b", "[..])
}

/// Who calls: whom a trusted source asserts (RFC 3325), unless he wants to be private, else From.
fn caller(request: &Request<'_>, trusted: bool) -> Option<String> {
    if trusted && !request.asserted.is_empty() {
        let private = request.privacy.is_some_and(|privacy| {
            let privacy = privacy.unfolded();
            privacy.split(|&byte| byte == b';').any(|word| word.trim_ascii().eq_ignore_ascii_case(b"id"))
        });
        if private {
            return None;
        }
        let mut first = None;
        for value in &request.asserted {
            let line = value.unfolded();
            let mut rest = Some(&*line);
            while let Some(address) = rest.and_then(uri::address) {
                if let Some(user) = uri::subscriber(address.uri) {
                    let is_number = user.strip_prefix('+').unwrap_or(&user).bytes().all(|byte| byte.is_ascii_digit());
                    if is_number {
                        return Some(user);
                    }
                    first.get_or_insert(user);
                }
                rest = address.rest;
            }
        }
        if first.is_some() {
            return first;
        }
    }
    let from = request.from?.unfolded();
    uri::subscriber(uri::address(&from)?.uri)
}

/// A transaction's identity (RFC 3261, 17.2.3), that of its ACK and its CANCEL included. All that a retransmission has in
/// common is in it, so that clients without unique branches (RFC 2543) are told apart, too; and who asks, so that nobody
/// hears of another's call, nor ends it.
fn transaction(key: &[u8; 16], request: &Request<'_>, via: &Via<'_>, source: IpAddr) -> u128 {
    let mut hasher = SipHasher13::new_with_key(key);
    let from = request.from.map(message::Value::unfolded).unwrap_or_default();
    let tag = uri::address(&from).and_then(|from| from.tag).unwrap_or_default();
    let parts: [&[u8]; 5] = [via.branch, via.sent_by, request.call_id.map_or(b"", |id| id.0), tag, request.uri];
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    match source {
        IpAddr::V4(source) => hasher.write(&source.octets()),
        IpAddr::V6(source) => hasher.write(&source.octets()),
    }
    hasher.write_u32(request.number);
    let other = !matches!(request.method, Method::Invite | Method::Ack | Method::Cancel);
    hasher.write_u8(u8::from(other));
    hasher.finish128().as_u128()
}

/// `sip-` and the tag of To, so that the ledger's call is found from a trace of SIP.
fn call_id(transaction: u128) -> String {
    let mut id = Vec::with_capacity(28);
    id.extend_from_slice(b"sip-");
    write_tag(transaction, &mut id);
    String::from_utf8(id).unwrap_or_default()
}
