//! Calls as a router's journal has them on disk: entries of its spool, and lines of its ledger.
//!
//! The forms are those of `kommutator.routing.entries` and `kommutator.routing.record`: a test holds them together.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use kommutator_engine::call::{Action, Disposition, Event, Fault, Turn};
use serde::Serialize;

use crate::sip::Decided;

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Entry<'c> {
    Began { call: &'c str, did: &'c str, caller: Option<&'c str>, at: i64 },
    Turned { call: &'c str, at: i64, event: Option<&'c Event> },
    Ended { call: &'c str, at: i64, disposition: Disposition, fault: Fault },
}

/// The entries of a call that was decided at once: it began, had its turns and ended at one moment.
pub fn entries(call: &Decided, at_ms: i64, to: &mut Vec<u8>) {
    let id = &*call.call_id;
    put(&Entry::Began { call: id, did: &call.did, caller: call.caller.as_deref(), at: at_ms }, to);
    to.push(b'\n');
    for (event, turn) in &call.turns {
        put(&Entry::Turned { call: id, at: at_ms, event: event.as_ref() }, to);
        with_turn(turn, to);
        to.push(b'\n');
    }
    put(&Entry::Ended { call: id, at: at_ms, disposition: call.disposition, fault: call.fault }, to);
    to.push(b'\n');
}

/// Its line of the ledger, with the same moment as [`moment`] writes it.
pub fn line(call: &Decided, moment: &str, to: &mut Vec<u8>) {
    to.extend_from_slice(b"{\"call_id\":");
    put(&call.call_id, to);
    field(to, "did", &call.did);
    field(to, "caller", &call.caller);
    field(to, "began", moment);
    field(to, "ended", moment);
    field(to, "disposition", &call.disposition);
    field(to, "fault", &call.fault);
    let turns = call.turns.iter().map(|(_, turn)| turn);
    field(
        to,
        "scheme",
        &turns.clone().flat_map(|turn| &turn.trace).map(|passed| &passed.scheme).find(|id| !id.is_empty()),
    );
    list(to, "trace", turns.clone().flat_map(|turn| &turn.trace));
    list(to, "rounds", turns.clone().flat_map(|turn| &turn.rounds));
    list(to, "effects", turns.flat_map(|turn| &turn.effects));
    list(to, "legs", legs(call).iter());
    to.extend_from_slice(b"}\n");
}

/// Every ringing of every phone. Nothing is heard of any: those named last are another's, and whoever was named before and no
/// more had been taken.
fn legs(call: &Decided) -> Vec<Leg<'_>> {
    let mut legs: Vec<Leg<'_>> = Vec::new();
    let mut ringing: Vec<&str> = Vec::new();
    for (_, turn) in &call.turns {
        let wanted: Vec<Leg<'_>> = match &turn.action {
            Action::Ring { endpoints, round, .. } => {
                endpoints.iter().map(|rung| Leg::new(&rung.endpoint, rung.employee.as_deref(), Some(*round))).collect()
            }
            Action::Transfer { to: endpoint, .. } => vec![Leg::new(endpoint, None, None)],
            _ => Vec::new(),
        };
        let rings = wanted.iter().map(|leg| leg.endpoint).collect();
        legs.extend(wanted.into_iter().filter(|leg| !ringing.contains(&leg.endpoint)));
        ringing = rings;
    }
    legs
}

#[derive(Serialize)]
struct Leg<'c> {
    endpoint: &'c str,
    employee: Option<&'c str>,
    round: Option<u32>,
    outcome: &'static str,
}

impl<'c> Leg<'c> {
    fn new(endpoint: &'c str, employee: Option<&'c str>, round: Option<u32>) -> Self {
        Self { endpoint, employee, round, outcome: "cancelled" }
    }
}

/// A moment in ISO 8601, in UTC, to the millisecond.
#[must_use]
pub fn moment(at_ms: i64) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
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

fn list(to: &mut Vec<u8>, name: &str, items: impl Iterator<Item = impl Serialize>) {
    to.extend_from_slice(b",\"");
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(b"\":[");
    for (place, item) in items.enumerate() {
        if place > 0 {
            to.push(b',');
        }
        put(&item, to);
    }
    to.push(b']');
}

/// Gives the object that was just written a turn besides.
pub(crate) fn with_turn(turn: &Turn, to: &mut Vec<u8>) {
    to.pop();
    to.extend_from_slice(b",\"turn\":");
    write_turn(turn, to);
    to.push(b'}');
}

/// Writes a turn: the same bytes as `Turn.to_dict()` of Python gives as JSON.
pub(crate) fn write_turn(turn: &Turn, to: &mut Vec<u8>) {
    to.extend_from_slice(b"{\"state\":\"");
    let text = to.len();
    to.resize(text + turn.state.len().div_ceil(3) * 4, 0);
    let written = URL_SAFE_NO_PAD.encode_slice(&turn.state, &mut to[text..]).unwrap_or(0);
    to.truncate(text + written);
    to.extend_from_slice(b"\",");
    let opened = to.len();
    // Writing to memory cannot fail. The turn's own object goes on with ours: its brace goes.
    let _ = serde_json::to_writer(&mut *to, turn);
    if opened < to.len() {
        to.remove(opened);
    }
}
