//! The calls of queries that go on, folded from their turns: what the ledger will say of each.
//!
//! A client may ask again what was answered already, may send a call's steps to several routers, and may never come back. So a
//! step of a call that this router has not seen takes the call over, an answer repeated after the end is not told again, and a
//! call without steps for too long is over: its caller has hung up, for all that is known.

use std::num::NonZeroUsize;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hashlink::LinkedHashMap;
use kommutator_engine::call::{Action, Disposition, Event, Fault, Turn};
use lru::LruCache;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::legs::{Leg, Legs};
use super::{Line, Parts, Text, began, ended, field, joined, put, scheme, text, text_or_null, turned, written};

/// So many calls that ended last are remembered: a repeated step of theirs is nothing new.
const MOST_OVER: NonZeroUsize = NonZeroUsize::MIN.saturating_add(99_999);

/// What is told of a call with a turn of it.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'c> {
    /// Its id.
    pub call: &'c str,
    /// As it was dialled.
    pub did: &'c str,
    /// Who calls; none where it is withheld.
    pub caller: Option<&'c str>,
    /// When, by the client's clock.
    pub at: i64,
}

/// Calls, and what is to be written of them.
///
/// For a spool that begins anew all that go on are kept again, some at a time and whichever has a turn meanwhile: with a
/// million of them nobody waits for all.
#[derive(Debug)]
pub struct Calls {
    live: Table,
    /// Those not yet kept again. They are kept from the back to the front of `live`: in both, and from one to the other, whoever
    /// was heard of longer ago stands before the others.
    older: Table,
    over: LruCache<Box<str>, ()>,
    forget_ms: i64,
    most_live: usize,
    /// Entries of the spool that are to be written, whole lines.
    pub lines: Vec<u8>,
    /// Lines of calls that are kept again, to be written to the spool before those, and told nobody.
    pub kept: Vec<u8>,
    /// Lines of the ledger that are to be written.
    pub ledger: Vec<u8>,
    /// How many calls had the id of one that had ended: they are in no ledger.
    pub reused: u64,
    written: Range<usize>,
}

/// Those that were heard of last are at its back.
type Table = LinkedHashMap<Box<str>, Box<Call>>;

/// A table without calls, to be dropped where nobody waits for it.
#[derive(Debug)]
pub struct Emptied {
    _table: Table,
}

/// A call that goes on.
#[derive(Debug)]
struct Call {
    heard_ms: i64,
    did: Box<str>,
    caller: Option<Box<str>>,
    began_ms: i64,
    scheme: Option<Box<str>>,
    /// JSON of the turns before the last: trace, rounds and effects.
    before: [Vec<u8>; 3],
    legs: Legs,
    last: Option<Last>,
}

/// A call's last turn.
#[derive(Debug)]
struct Last {
    sequence: u32,
    text: Box<[u8]>,
    parts: Parts,
}

/// A call as a spool that was compacted has it: `kommutator.routing.record.CallRecord`.
#[derive(Deserialize)]
struct Kept<'r> {
    call_id: Box<str>,
    did: Box<str>,
    caller: Option<Box<str>>,
    began_ms: i64,
    #[serde(borrow)]
    turn: Option<&'r RawValue>,
    scheme: Option<Box<str>>,
    #[serde(borrow)]
    trace: &'r RawValue,
    #[serde(borrow)]
    rounds: &'r RawValue,
    #[serde(borrow)]
    effects: &'r RawValue,
    legs: Vec<Leg>,
}

#[derive(Deserialize)]
struct KeptTurn<'r> {
    state: &'r str,
    sequence: u32,
}

impl Calls {
    /// None yet. A call without steps for `forget_ms` is over; and so is, where more than `most_live` go on, the one that has been
    /// without for longest.
    #[must_use]
    pub fn new(forget_ms: i64, most_live: usize) -> Self {
        Self {
            live: Table::new(),
            older: Table::new(),
            over: LruCache::new(MOST_OVER),
            forget_ms,
            most_live,
            lines: Vec::new(),
            kept: Vec::new(),
            ledger: Vec::new(),
            reused: 0,
            written: 0..0,
        }
    }

    /// Takes a call that began in an earlier process; the record is `CallRecord` as JSON.
    ///
    /// # Errors
    /// A record that is none.
    pub fn restore(&mut self, record: &[u8], now_ms: i64) -> Result<(), serde_json::Error> {
        let kept: Kept<'_> = serde_json::from_slice(record)?;
        let last = kept.turn.map(Last::restored).transpose()?;
        let call = Call {
            heard_ms: now_ms,
            did: kept.did,
            caller: kept.caller,
            began_ms: kept.began_ms,
            scheme: kept.scheme,
            before: [kept.trace, kept.rounds, kept.effects].map(inside),
            legs: Legs::restored(kept.legs),
            last,
        };
        self.live.insert(kept.call_id, Box::new(call));
        Ok(())
    }

    /// Remembers a call that ended in an earlier process.
    pub fn ended_before(&mut self, call: &str) {
        self.over.put(call.into(), ());
    }

    /// Takes a turn; `event` is none for an arrival.
    pub fn turned(&mut self, told: Arrived<'_>, event: Option<&Event>, turn: &Turn, now_ms: i64) {
        let Arrived { call: id, did, caller, at } = told;
        self.written = 0..0;
        if self.over.contains(id) {
            self.reused += u64::from(event.is_none());
            return;
        }
        self.take_older(id);
        if !self.live.contains_key(id) {
            began(id, did, caller, at, &mut self.lines);
            self.live.insert(id.into(), Box::new(Call::new(did, caller, at)));
        }
        let parts = turned(Text::New(id), at, event, turn, &mut self.lines);
        self.written = parts.whole.clone();
        let Some(call) = self.live.to_back(id) else { return };
        call.heard_ms = now_ms;
        call.take(event, turn, &self.lines, &parts);
        if let Action::End { disposition, fault } = turn.action {
            self.end(id, at, disposition, fault);
        }
    }

    /// Where the JSON of the turn that was taken last is in `lines`, if it is there.
    pub(crate) fn take_written(&mut self) -> Option<&[u8]> {
        let written = std::mem::replace(&mut self.written, 0..0);
        self.lines.get(written).filter(|text| !text.is_empty())
    }

    /// A call that has had no step for too long, or for longest of too many, with its last state, if it has one that can be read.
    #[must_use]
    pub fn late(&self, now_ms: i64) -> Option<(Box<str>, Option<Vec<u8>>)> {
        let (id, call) = self.older.front().or_else(|| self.live.front())?;
        let is_late = now_ms - call.heard_ms >= self.forget_ms || self.crowded();
        is_late.then(|| (id.clone(), call.last.as_ref().and_then(Last::state)))
    }

    /// Ends a call for which nobody came back, by the turn that the engine decided, if it did.
    pub fn abandon(&mut self, id: &str, last: Option<(&Event, &Turn)>, end: (Disposition, Fault), now_ms: i64) {
        self.take_older(id);
        if let Some((event, turn)) = last {
            let parts = turned(Text::New(id), now_ms, Some(event), turn, &mut self.lines);
            if let Some(call) = self.live.get_mut(id) {
                call.take(Some(event), turn, &self.lines, &parts);
            }
        }
        let (disposition, fault) = match last {
            Some((_, Turn { action: Action::End { disposition, fault }, .. })) => (*disposition, *fault),
            _ => end,
        };
        self.end(id, now_ms, disposition, fault);
    }

    /// Whether more go on than may.
    #[must_use]
    pub fn crowded(&self) -> bool {
        self.len() > self.most_live
    }

    /// How many calls go on.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live.len() + self.older.len()
    }

    /// Whether none goes on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last states of the calls that go on, as text.
    pub fn states(&self) -> impl Iterator<Item = &str> {
        self.live.iter().chain(&self.older).filter_map(|(_, call)| call.last.as_ref().and_then(Last::state_text))
    }

    /// Begins to keep all calls that go on again, for a spool that needs none before: [`keep_some`](Self::keep_some) goes on.
    pub fn keep_again(&mut self) {
        debug_assert!(self.older.is_empty(), "those before are kept");
        // Room for all at once: to double it later would hold up the call that comes then.
        let room = Table::with_capacity(self.live.len());
        self.older = std::mem::replace(&mut self.live, room);
    }

    /// Keeps so many calls more. Answers the table in which they were once all are kept.
    pub fn keep_some(&mut self, most: usize) -> Option<Emptied> {
        for _ in 0..most {
            let Some((id, call)) = self.older.pop_back() else { break };
            call.keep(&id, &mut self.kept);
            self.live.insert_front(id, call);
        }
        let is_done = self.older.is_empty();
        is_done.then(|| Emptied { _table: std::mem::take(&mut self.older) })
    }

    /// Keeps a call again that is not yet, before it has another turn.
    fn take_older(&mut self, id: &str) {
        if self.older.is_empty() {
            return;
        }
        if let Some((id, call)) = self.older.remove_entry(id) {
            call.keep(&id, &mut self.kept);
            self.live.insert(id, call);
        }
    }

    fn end(&mut self, id: &str, at: i64, disposition: Disposition, fault: Fault) {
        ended(Text::New(id), at, disposition, fault, &mut self.lines);
        if let Some((id, call)) = self.live.remove_entry(id) {
            let line = Line {
                began_ms: call.began_ms,
                ended_ms: at,
                disposition,
                fault,
                scheme: call.scheme.as_deref(),
                legs: &call.legs,
            };
            let mut who = Vec::with_capacity(128);
            let places = [
                written(&mut who, |to| text(&id, to)),
                written(&mut who, |to| text(&call.did, to)),
                written(&mut who, |to| text_or_null(call.caller.as_deref(), to)),
            ];
            let who = places.map(|place| who.get(place).unwrap_or_default());
            line.write(who, [call.earlier(), call.last()].into_iter(), &mut self.ledger);
            self.over.put(id, ());
        }
    }
}

impl Call {
    fn new(did: &str, caller: Option<&str>, began_ms: i64) -> Self {
        let (legs, before) = (Legs::default(), [const { Vec::new() }; 3]);
        let (did, caller) = (did.into(), caller.map(Into::into));
        Self { heard_ms: began_ms, did, caller, began_ms, scheme: None, before, legs, last: None }
    }

    /// Adds a turn, which is in `text`. A resumption repeats the last sequence, and adds nothing; an older turn is passed over.
    fn take(&mut self, event: Option<&Event>, turn: &Turn, text: &[u8], parts: &Parts) {
        let last = self.last.as_ref().map(|last| last.sequence);
        if last.is_some_and(|last| turn.sequence < last) {
            return;
        }
        self.legs.settle(event, &turn.action);
        if self.scheme.is_none() {
            self.scheme = scheme(turn).map(Into::into);
        }
        if let Some(Last { text, parts, .. }) = self.last.take() {
            let lists = [parts.trace(&text), parts.rounds(&text), parts.effects(&text)];
            for (before, list) in self.before.iter_mut().zip(lists) {
                if !before.is_empty() && !list.is_empty() {
                    before.push(b',');
                }
                before.extend_from_slice(list);
            }
        }
        let mut said = parts.alone();
        if last == Some(turn.sequence) {
            // What a repeated turn says besides its state is said already.
            said = Parts { whole: said.whole, state: said.state, ..Parts::default() };
        }
        self.last = Some(Last { sequence: turn.sequence, text: parts.whole(text).into(), parts: said });
    }

    fn earlier(&self) -> [&[u8]; 3] {
        [&self.before[0], &self.before[1], &self.before[2]]
    }

    /// The lists of the last turn.
    fn last(&self) -> [&[u8]; 3] {
        self.last
            .as_ref()
            .map_or([&[]; 3], |Last { text, parts, .. }| [parts.trace(text), parts.rounds(text), parts.effects(text)])
    }

    fn keep(&self, id: &str, to: &mut Vec<u8>) {
        to.extend_from_slice(b"{\"kind\":\"kept\",\"record\":{\"call_id\":");
        put(id, to);
        field(to, "did", &self.did);
        field(to, "caller", &self.caller);
        field(to, "began_ms", &self.began_ms);
        to.extend_from_slice(b",\"turn\":");
        to.extend_from_slice(self.last.as_ref().map_or(b"null", |last| &last.text));
        field(to, "scheme", &self.scheme);
        let (earlier, last) = (self.earlier(), self.last());
        for (place, name) in [&b",\"trace\":["[..], b",\"rounds\":[", b",\"effects\":["].into_iter().enumerate() {
            to.extend_from_slice(name);
            joined([earlier[place], last[place]].into_iter(), to);
            to.push(b']');
        }
        to.extend_from_slice(b",\"legs\":[");
        self.legs.write(false, to);
        to.extend_from_slice(b"]}}\n");
    }
}

impl Last {
    /// Of a turn whose lists are remembered apart.
    fn restored(turn: &RawValue) -> Result<Self, serde_json::Error> {
        let text: Box<[u8]> = turn.get().as_bytes().into();
        let KeptTurn { state, sequence } = serde_json::from_str(turn.get())?;
        let begins = state.as_ptr() as usize - turn.get().as_ptr() as usize;
        let parts = Parts { whole: 0..text.len(), state: begins..begins + state.len(), ..Parts::default() };
        Ok(Self { sequence, text, parts })
    }

    fn state_text(&self) -> Option<&str> {
        std::str::from_utf8(self.text.get(self.parts.state.clone())?).ok()
    }

    fn state(&self) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(self.state_text()?).ok()
    }
}

/// A list's JSON without its brackets.
fn inside(list: &RawValue) -> Vec<u8> {
    let text = list.get().trim();
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or_default();
    text.trim().as_bytes().to_vec()
}
