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
use smallvec::SmallVec;

use self::legs::Legs;
use crate::sip::Decided;

/// The entries of a call that was decided at once, and its line of the ledger: it began, had its turns and ended at one moment.
pub fn decided(call: &Decided, at_ms: i64, lines: &mut Vec<u8>, ledger: &mut Vec<u8>) {
    let [id, did, caller] = began(&call.call_id, &call.did, call.caller.as_deref(), at_ms, lines);
    let mut parts: SmallVec<[Parts; 2]> = SmallVec::new();
    let mut legs = Legs::default();
    for (event, turn) in &call.turns {
        parts.push(turned(Text::Again(&id), at_ms, event.as_ref(), turn, lines));
        legs.settle(event.as_ref(), &turn.action);
    }
    ended(Text::Again(&id), at_ms, call.disposition, call.fault, lines);
    let line = Line {
        began_ms: at_ms,
        ended_ms: at_ms,
        disposition: call.disposition,
        fault: call.fault,
        scheme: call.turns.iter().find_map(|(_, turn)| scheme(turn)),
        legs: &legs,
    };
    let who = [id, did, caller].map(|range| lines.get(range).unwrap_or_default());
    line.write(who, parts.iter().map(|parts| [parts.trace(lines), parts.rounds(lines), parts.effects(lines)]), ledger);
}

/// A string that is to be written.
#[derive(Clone, Copy)]
enum Text<'t> {
    New(&'t str),
    /// As JSON, it is in what was written already, there.
    Again(&'t Range<usize>),
}

impl Text<'_> {
    fn write(self, to: &mut Vec<u8>) {
        match self {
            Self::New(what) => text(what, to),
            Self::Again(range) if range.end <= to.len() => to.extend_from_within(range.clone()),
            Self::Again(_) => {}
        }
    }
}

/// The entry of a call's arrival; says where its id, what was dialled and who calls are in it, as JSON.
fn began(call: &str, did: &str, caller: Option<&str>, at: i64, to: &mut Vec<u8>) -> [Range<usize>; 3] {
    to.extend_from_slice(b"{\"kind\":\"began\",\"call\":");
    let call = written(to, |to| text(call, to));
    to.extend_from_slice(b",\"did\":");
    let did = written(to, |to| text(did, to));
    to.extend_from_slice(b",\"caller\":");
    let caller = written(to, |to| text_or_null(caller, to));
    to.extend_from_slice(b",\"at\":");
    put(&at, to);
    to.extend_from_slice(b"}\n");
    [call, did, caller]
}

/// The entry of a turn; says where what of the turn is.
fn turned(call: Text<'_>, at: i64, event: Option<&Event>, turn: &Turn, to: &mut Vec<u8>) -> Parts {
    entry(b"turned", call, at, to);
    field(to, "event", &event);
    to.extend_from_slice(b",\"turn\":");
    let parts = write_turn(turn, to);
    to.extend_from_slice(b"}\n");
    parts
}

/// The entry of a call's end.
fn ended(call: Text<'_>, at: i64, disposition: Disposition, fault: Fault, to: &mut Vec<u8>) {
    entry(b"ended", call, at, to);
    field(to, "disposition", &disposition);
    field(to, "fault", &fault);
    to.extend_from_slice(b"}\n");
}

/// The beginning of an entry of a call that has begun.
fn entry(kind: &[u8], call: Text<'_>, at: i64, to: &mut Vec<u8>) {
    to.extend_from_slice(b"{\"kind\":\"");
    to.extend_from_slice(kind);
    to.extend_from_slice(b"\",\"call\":");
    call.write(to);
    field(to, "at", &at);
}

/// Where what is written is.
fn written(to: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    let begins = to.len();
    write(to);
    begins..to.len()
}

/// The scheme in which a turn's first node is.
fn scheme(turn: &Turn) -> Option<&str> {
    turn.trace.iter().map(|passed| passed.scheme.as_str()).find(|id| !id.is_empty())
}

/// What a call's line of the ledger says besides its lists.
struct Line<'c> {
    began_ms: i64,
    ended_ms: i64,
    disposition: Disposition,
    fault: Fault,
    scheme: Option<&'c str>,
    legs: &'c Legs,
}

impl Line<'_> {
    /// Writes the line. Who it is of, that is the call's id, what was dialled and who calls, is given as JSON; and so are the parts
    /// from which the lists are put together: trace, rounds and effects, without their brackets.
    fn write<'p>(&self, who: [&[u8]; 3], parts: impl Iterator<Item = [&'p [u8]; 3]> + Clone, to: &mut Vec<u8>) {
        for (name, value) in [&b"{\"call_id\":"[..], b",\"did\":", b",\"caller\":"].into_iter().zip(who) {
            to.extend_from_slice(name);
            to.extend_from_slice(value);
        }
        let began = moment(self.began_ms);
        let ended = if self.ended_ms == self.began_ms { began } else { moment(self.ended_ms) };
        for (name, moment) in [(&b",\"began\":\""[..], began), (b",\"ended\":\"", ended)] {
            to.extend_from_slice(name);
            to.extend_from_slice(&moment);
            to.push(b'"');
        }
        to.extend_from_slice(b",\"disposition\":");
        put(&self.disposition, to);
        to.extend_from_slice(b",\"fault\":");
        put(&self.fault, to);
        to.extend_from_slice(b",\"scheme\":");
        text_or_null(self.scheme, to);
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

/// Writes a string. Most have nothing to escape, which is seen eight bytes at a time.
fn text(what: &str, to: &mut Vec<u8>) {
    let bytes = what.as_bytes();
    let special = match bytes.last_chunk() {
        Some(last) => {
            let chunks = bytes.chunks_exact(8).filter_map(|chunk| chunk.first_chunk());
            chunks.chain([last]).fold(0, |special, chunk| special | escaped(u64::from_ne_bytes(*chunk))) != 0
        }
        None => bytes.iter().any(|byte| matches!(byte, ..b' ' | b'"' | b'\\')),
    };
    if special {
        return put(what, to);
    }
    to.reserve(bytes.len() + 2);
    to.push(b'"');
    to.extend_from_slice(bytes);
    to.push(b'"');
}

/// Not zero if one of eight bytes is a control, a quotation mark or a backslash.
fn escaped(bytes: u64) -> u64 {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    // A byte's high bit where the byte is below another, for bytes below 128: the others are parts of longer characters.
    let below = |bytes: u64, limit: u8| bytes.wrapping_sub(EACH * u64::from(limit)) & !bytes;
    let is = |byte: u8| below(bytes ^ (EACH * u64::from(byte)), 1);
    (below(bytes, b' ') | is(b'"') | is(b'\\')) & (EACH << 7)
}

fn text_or_null(what: Option<&str>, to: &mut Vec<u8>) {
    match what {
        Some(what) => text(what, to),
        None => to.extend_from_slice(b"null"),
    }
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
    to.extend_from_slice(b",\"action\":");
    put(action, to);
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
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use kommutator_engine::Engine;
    use kommutator_engine::company::{Document, compile};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_turn_is_written_as_it_serializes_with_its_state_first() {
        let document: Document = serde_json::from_str(include_str!("../../../../tests/query/company.json")).unwrap();
        let mut engine = Engine::new(Arc::new(compile(&document).company));
        for (place, did) in ["+74951112201", "+74951112203", "+74951112204", "+74951112206", "0"].iter().enumerate() {
            let turn = engine.arrive(&format!("call-{place}"), did, Some("+79161234567"), 1_763_460_000_000).unwrap();
            let mut written = b"before".to_vec();
            let parts = write_turn(&turn, &mut written);
            let read: Value = serde_json::from_slice(parts.whole(&written)).unwrap();
            let mut expected = json!({"state": URL_SAFE_NO_PAD.encode(&turn.state)});
            let lists: Value = serde_json::to_value(&turn).unwrap();
            expected.as_object_mut().unwrap().extend(lists.as_object().unwrap().clone());
            assert_eq!(read.to_string(), expected.to_string());
            let alone = parts.alone();
            let text = parts.whole(&written);
            let lists = [alone.trace(text), alone.rounds(text), alone.effects(text)];
            for (list, name) in lists.into_iter().zip(["trace", "rounds", "effects"]) {
                assert_eq!(format!("[{}]", std::str::from_utf8(list).unwrap()), expected[name].to_string());
            }
        }
    }

    #[test]
    fn strings_are_written_as_json_has_them() {
        let all: String = (0..0x300).filter_map(char::from_u32).collect();
        let each = all.chars().flat_map(|one| (0..10).map(move |place| format!("{:place$}{one}tail and tail", "")));
        for given in each.chain([String::new(), all.clone(), "plain".to_owned()]) {
            let mut written = Vec::new();
            text(&given, &mut written);
            assert_eq!(String::from_utf8(written).unwrap(), serde_json::to_string(&given).unwrap());
        }
    }

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
