//! Calls as a router's journal has them on disk: entries of its spool, and lines of its ledger.
//!
//! The forms are those of `kommutator.routing.entries` and `kommutator.routing.record`: a test holds them together. A turn is
//! written once; what else repeats it, the line of the ledger and the reply, copies the bytes.

mod calls;
mod legs;

pub use calls::{Arrived, Calls};

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jiff::tz::Offset;
use kommutator_engine::call::{Disposition, Event, Fault, Turn};
use serde::Serialize;

use self::legs::Legs;
use crate::sip::Decided;

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Entry<'c> {
    Began { call: &'c str, did: &'c str, caller: Option<&'c str>, at: i64 },
    Turned { call: &'c str, at: i64, event: Option<&'c Event> },
    Ended { call: &'c str, at: i64, disposition: Disposition, fault: Fault },
}

/// The entries of a call that was decided at once, and its line of the ledger: it began, had its turns and ended at one moment.
pub fn decided(call: &Decided, at_ms: i64, lines: &mut Vec<u8>, ledger: &mut Vec<u8>) {
    let id = &*call.call_id;
    let began = Entry::Began { call: id, did: &call.did, caller: call.caller.as_deref(), at: at_ms };
    entry(&began, None, lines);
    let mut parts: Vec<Parts> = Vec::with_capacity(call.turns.len());
    let mut legs = Legs::default();
    for (event, turn) in &call.turns {
        let turned = Entry::Turned { call: id, at: at_ms, event: event.as_ref() };
        parts.extend(entry(&turned, Some(turn), lines));
        legs.settle(event.as_ref(), &turn.action);
    }
    entry(&Entry::Ended { call: id, at: at_ms, disposition: call.disposition, fault: call.fault }, None, lines);
    let line = Line {
        call_id: id,
        did: &call.did,
        caller: call.caller.as_deref(),
        began_ms: at_ms,
        ended_ms: at_ms,
        disposition: call.disposition,
        fault: call.fault,
        scheme: call.turns.iter().find_map(|(_, turn)| scheme(turn)),
        legs: &legs,
    };
    line.write(parts.iter().map(|parts| [parts.trace(lines), parts.rounds(lines), parts.effects(lines)]), ledger);
}

/// Writes an entry, with its turn if it has one, and says where what of the turn is.
fn entry(entry: &Entry<'_>, turn: Option<&Turn>, to: &mut Vec<u8>) -> Option<Parts> {
    put(entry, to);
    let parts = turn.map(|turn| {
        to.pop();
        to.extend_from_slice(b",\"turn\":");
        let parts = write_turn(turn, to);
        to.push(b'}');
        parts
    });
    to.push(b'\n');
    parts
}

/// The scheme in which a turn's first node is.
fn scheme(turn: &Turn) -> Option<&str> {
    turn.trace.iter().map(|passed| passed.scheme.as_str()).find(|id| !id.is_empty())
}

/// What a call's line of the ledger says besides its lists.
struct Line<'c> {
    call_id: &'c str,
    did: &'c str,
    caller: Option<&'c str>,
    began_ms: i64,
    ended_ms: i64,
    disposition: Disposition,
    fault: Fault,
    scheme: Option<&'c str>,
    legs: &'c Legs,
}

impl Line<'_> {
    /// Writes the line. The lists are put together from parts of JSON: trace, rounds and effects, without their brackets.
    fn write<'p>(&self, parts: impl Iterator<Item = [&'p [u8]; 3]> + Clone, to: &mut Vec<u8>) {
        to.extend_from_slice(b"{\"call_id\":");
        put(self.call_id, to);
        field(to, "did", self.did);
        field(to, "caller", &self.caller);
        let began = moment(self.began_ms);
        let ended = if self.ended_ms == self.began_ms { began } else { moment(self.ended_ms) };
        for (name, moment) in [(&b",\"began\":\""[..], began), (b",\"ended\":\"", ended)] {
            to.extend_from_slice(name);
            to.extend_from_slice(&moment);
            to.push(b'"');
        }
        field(to, "disposition", &self.disposition);
        field(to, "fault", &self.fault);
        field(to, "scheme", &self.scheme);
        for (place, name) in [&b",\"trace\":["[..], b",\"rounds\":[", b",\"effects\":["].into_iter().enumerate() {
            to.extend_from_slice(name);
            joined(parts.clone().map(|part| part[place]), to);
            to.push(b']');
        }
        to.extend_from_slice(b",\"legs\":[");
        self.legs.write(true, to);
        to.extend_from_slice(b"]}\n");
    }
}

/// Lists of JSON as one, with commas between those that are not empty.
fn joined<'p>(parts: impl Iterator<Item = &'p [u8]>, to: &mut Vec<u8>) {
    let mut is_first = true;
    for part in parts.filter(|part| !part.is_empty()) {
        if !std::mem::take(&mut is_first) {
            to.push(b',');
        }
        to.extend_from_slice(part);
    }
}

/// A moment in ISO 8601, in UTC, to the millisecond.
fn moment(at_ms: i64) -> [u8; 24] {
    let at = Offset::UTC.to_datetime(Timestamp::from_millisecond(at_ms).unwrap_or_default());
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let numbers = [
        (0..4, i32::from(at.year())),
        (5..7, at.month().into()),
        (8..10, at.day().into()),
        (11..13, at.hour().into()),
        (14..16, at.minute().into()),
        (17..19, at.second().into()),
        (20..23, at.millisecond().into()),
    ];
    for (place, number) in numbers {
        let mut rest = number.unsigned_abs();
        for digit in text[place].iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
    }
    text
}

/// Writing to memory cannot fail.
fn put(what: &(impl Serialize + ?Sized), to: &mut Vec<u8>) {
    let _written = serde_json::to_writer(to, what);
}

fn field(to: &mut Vec<u8>, name: &str, what: &(impl Serialize + ?Sized)) {
    to.extend_from_slice(b",\"");
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(b"\":");
    put(what, to);
}

/// Where a turn is in a text, and where its lists are, without their brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    whole: Range<usize>,
    state: Range<usize>,
    effects: Range<usize>,
    trace: Range<usize>,
    rounds: Range<usize>,
}

impl Parts {
    fn whole<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.whole.clone()).unwrap_or_default()
    }

    fn effects<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.effects.clone()).unwrap_or_default()
    }

    fn trace<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.trace.clone()).unwrap_or_default()
    }

    fn rounds<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.rounds.clone()).unwrap_or_default()
    }

    /// The same, in a text that begins with the turn.
    fn alone(&self) -> Self {
        let shift = |range: &Range<usize>| range.start - self.whole.start..range.end - self.whole.start;
        Self {
            whole: shift(&self.whole),
            state: shift(&self.state),
            effects: shift(&self.effects),
            trace: shift(&self.trace),
            rounds: shift(&self.rounds),
        }
    }
}

/// Writes a turn: the same bytes as `Turn.to_dict()` of Python gives as JSON.
pub(crate) fn write_turn(turn: &Turn, to: &mut Vec<u8>) -> Parts {
    let Turn { state, sequence, action, effects, trace, rounds } = turn;
    let begins = to.len();
    to.extend_from_slice(b"{\"state\":\"");
    let text = to.len();
    to.resize(text + state.len().div_ceil(3) * 4, 0);
    let written = URL_SAFE_NO_PAD.encode_slice(state, &mut to[text..]).unwrap_or(0);
    to.truncate(text + written);
    let state = text..to.len();
    to.extend_from_slice(b"\",\"sequence\":");
    put(sequence, to);
    field(to, "action", action);
    let effects = list(",\"effects\":[", effects, to);
    let trace = list(",\"trace\":[", trace, to);
    let rounds = list(",\"rounds\":[", rounds, to);
    to.push(b'}');
    Parts { whole: begins..to.len(), state, effects, trace, rounds }
}

/// Writes a list, and says where what is in it is.
fn list(name: &str, items: &[impl Serialize], to: &mut Vec<u8>) -> Range<usize> {
    to.extend_from_slice(name.as_bytes());
    let begins = to.len();
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            to.push(b',');
        }
        put(item, to);
    }
    let inside = begins..to.len();
    to.push(b']');
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_iso_8601() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_794_992_400_007, "2026-11-18T09:00:00.007Z"),
            (951_827_696_789, "2000-02-29T12:34:56.789Z"),
            (253_370_764_799_999, "9998-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(std::str::from_utf8(&moment(ms)), Ok(text));
        }
    }
}
