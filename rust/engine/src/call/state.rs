//! The state of one call: everything the next step needs, in at most 512 bytes that travel with the call.
//!
//! Layout, format 2: the format's number; the fields in the order of [`CallState::encode`], little-endian; eight bytes of
//! XXH3 over all before them. The hash finds damage and states that are not ours; it is no secret. Format 1 has SipHash-2-4
//! instead: it is read, for calls that began before an upgrade.

use arrayvec::ArrayString;
use siphasher::sip::SipHasher24;
use smallvec::SmallVec;
use smol_str::SmolStr;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::company::version::{CounterIx, EmployeeIx, NodeIx, VersionId};
use crate::floor::Place;
use crate::number::Number;

use super::bits::Bits;
use super::wire::{Reader, Writer};
use super::{Disposition, EngineError, Fault};

/// The most bytes a state has.
pub const MAX_STATE: usize = 512;
/// The most bytes a call id has.
pub const MAX_CALL_ID: usize = 64;
/// The most bytes an endpoint's address has: the phone that answers travels with the call.
pub const MAX_ENDPOINT: usize = 128;
/// What is left of a state for `repeat` counters (4 bytes each) and tags (2 bytes each) of the schemes one call can see.
pub const MAX_MEMORY: usize = 112;

/// A call's id, in the state itself.
pub type CallId = ArrayString<MAX_CALL_ID>;

const FORMAT: u8 = 2;
const FORMAT_WITH_SIPHASH: u8 = 1;
const CHECK: usize = 8;
const CHECK_SEED: u64 = u64::from_le_bytes(*b"kommutat");

/// The action that waits for its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    /// `play`.
    Play,
    /// `menu`, with the attempts used and how the last one failed.
    Menu {
        /// Attempts that failed.
        failed: u8,
        /// The last failed attempt was silence.
        silent: bool,
    },
    /// `ring`.
    Ring,
    /// `wait`.
    Wait,
    /// `record`.
    Record,
    /// `find_owner`.
    FindOwner,
    /// `find_history`.
    FindHistory,
    /// `transfer`.
    Transfer,
    /// `talk`, with whom.
    Talk {
        /// The phone.
        endpoint: SmolStr,
        /// Whose it is.
        employee: Option<EmployeeIx>,
    },
    /// `hang_up`.
    HangUp,
    /// `end`.
    End(Disposition, Fault),
}

/// Where a hunt stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HuntState {
    /// Rounds begun before this one.
    pub round: u16,
    /// Where a round-robin order begins.
    pub start: u16,
    /// Legs that are out of this hunt.
    pub out: Bits,
    /// Legs that ring.
    pub ringing: Bits,
    /// When the round is over.
    pub until_ms: i64,
    /// A phone rang out.
    pub rang_out: bool,
    /// Somebody was on the phone or claimed.
    pub busy: bool,
    /// A round has rung to its end: whom the hunt began with is settled.
    pub begun: bool,
    /// Where it stands in line, if the hunt is a queue's.
    pub line: Option<InLine>,
}

/// Where a call stands in a queue's line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InLine {
    /// Its place, kept for whoever takes the call over.
    pub place: Place,
    /// The latest moment that the call knows of.
    pub clock_ms: i64,
    /// When the announcement is due.
    pub announce_ms: i64,
    /// Attempts begun.
    pub attempts: u16,
}

/// How the last hunt ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Outcome {
    #[default]
    None,
    NoAnswer,
    Busy,
    Unavailable,
}

/// Everything the next step of a call needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallState {
    /// The company version it began on.
    pub version: VersionId,
    /// Chosen by the adapter; at most [`MAX_CALL_ID`] bytes.
    pub call_id: CallId,
    /// Our number that was dialled, if it is one.
    pub did: Option<Number>,
    /// The calling party, unless withheld.
    pub caller: Option<Number>,
    /// Events handled so far.
    pub sequence: u32,
    /// Effects made so far: the next one's identity.
    pub effects: u16,
    /// The node whose action is pending.
    pub node: NodeIx,
    /// The pending action.
    pub pending: Pending,
    /// The hunt, while one is on.
    pub hunt: Option<HuntState>,
    /// How the last hunt ended.
    pub outcome: Outcome,
    /// Whom the last `owner` node found.
    pub owner: Option<EmployeeIx>,
    /// Who was rung last.
    pub last_rung: Option<EmployeeIx>,
    /// A conversation began.
    pub answered: bool,
    /// A message of at least a second was recorded.
    pub message: bool,
    /// The last thing heard was an announcement after which a call may end.
    pub informed: bool,
    /// Seconds of the last recording, rounded down, and the sequence that names it.
    pub recorded: Option<(u32, u32)>,
    /// Passes of `repeat` nodes, those with any.
    pub passes: SmallVec<[(CounterIx, u16); 4]>,
    /// `tag` nodes passed, in the order of their last passing.
    pub tags: SmallVec<[NodeIx; 4]>,
}

impl CallState {
    /// A call that has just arrived.
    #[must_use]
    #[inline]
    pub fn new(version: VersionId, call_id: CallId, did: Option<Number>, caller: Option<Number>) -> Self {
        Self {
            version,
            call_id,
            did,
            caller,
            sequence: 0,
            effects: 0,
            node: NodeIx::NOWHERE,
            pending: Pending::HangUp,
            hunt: None,
            outcome: Outcome::None,
            owner: None,
            last_rung: None,
            answered: false,
            message: false,
            informed: false,
            recorded: None,
            passes: SmallVec::new(),
            tags: SmallVec::new(),
        }
    }

    /// Its bytes. `state_too_large` cannot happen for a checked company; it is an error all the same, not a promise.
    pub fn encode(&self) -> Result<Vec<u8>, EngineError> {
        let mut to = Writer::<MAX_STATE>::default();
        to.u8(FORMAT);
        to.u64(self.version.0);
        to.text(&self.call_id);
        to.u64(self.did.map_or(0, Number::as_u64));
        to.u64(self.caller.map_or(0, Number::as_u64));
        to.u32(self.sequence);
        to.u16(self.effects);
        to.u16(self.node.0);
        self.encode_pending(&mut to);
        to.u8(match self.outcome {
            Outcome::None => 0,
            Outcome::NoAnswer => 1,
            Outcome::Busy => 2,
            Outcome::Unavailable => 3,
        });
        to.maybe_u32(self.owner.map(|ix| ix.0));
        to.maybe_u32(self.last_rung.map(|ix| ix.0));
        to.u8(u8::from(self.answered) | u8::from(self.message) << 1 | u8::from(self.informed) << 2);
        to.maybe_u32(self.recorded.map(|(seconds, _)| seconds));
        to.u32(self.recorded.map_or(0, |(_, sequence)| sequence));
        to.u8(self.passes.len() as u8);
        for (counter, passes) in &self.passes {
            to.u16(counter.0);
            to.u16(*passes);
        }
        to.u8(self.tags.len() as u8);
        for tag in &self.tags {
            to.u16(tag.0);
        }
        to.u8(u8::from(self.hunt.is_some()));
        if let Some(hunt) = &self.hunt {
            to.u16(hunt.round);
            to.u16(hunt.start);
            to.i64(hunt.until_ms);
            let queued = u8::from(hunt.line.is_some());
            to.u8(u8::from(hunt.rang_out) | u8::from(hunt.busy) << 1 | u8::from(hunt.begun) << 2 | queued << 3);
            hunt.out.write(&mut to);
            hunt.ringing.write(&mut to);
            if let Some(line) = &hunt.line {
                to.i64(line.place.since_ms);
                to.u16(line.place.ticket);
                to.i64(line.clock_ms);
                to.i64(line.announce_ms);
                to.u16(line.attempts);
            }
        }
        let large = |bytes| EngineError::StateTooLarge { bytes };
        let check = xxh3_64_with_seed(to.written().map_err(|bytes| large(bytes + CHECK))?, CHECK_SEED);
        to.u64(check);
        to.written().map(<[u8]>::to_vec).map_err(large)
    }

    fn encode_pending(&self, to: &mut Writer<MAX_STATE>) {
        match &self.pending {
            Pending::Play => to.u8(0),
            Pending::Menu { failed, silent } => {
                to.u8(1);
                to.u8(*failed);
                to.u8(u8::from(*silent));
            }
            Pending::Ring => to.u8(2),
            Pending::Wait => to.u8(3),
            Pending::Record => to.u8(4),
            Pending::FindOwner => to.u8(5),
            Pending::FindHistory => to.u8(6),
            Pending::Transfer => to.u8(7),
            Pending::Talk { endpoint, employee } => {
                to.u8(8);
                to.text(endpoint);
                to.maybe_u32(employee.map(|ix| ix.0));
            }
            Pending::HangUp => to.u8(9),
            Pending::End(disposition, fault) => {
                to.u8(10);
                to.u8(*disposition as u8);
                to.u8(*fault as u8);
            }
        }
    }

    /// Reads a state. Anything that [`CallState::encode`] did not write is `bad_state`.
    pub fn decode(bytes: &[u8]) -> Result<Self, EngineError> {
        let (body, hash) = bytes
            .split_last_chunk::<CHECK>()
            .filter(|_| bytes.len() <= MAX_STATE)
            .ok_or(EngineError::BadState("not the length of a state"))?;
        let check = match body.first() {
            Some(&FORMAT) => xxh3_64_with_seed(body, CHECK_SEED),
            Some(&FORMAT_WITH_SIPHASH) => siphash(body),
            _ => return Err(EngineError::BadState("of a format this release does not read")),
        };
        if check != u64::from_le_bytes(*hash) {
            return Err(EngineError::BadState("damaged, or not a state of ours"));
        }
        let mut state = Self::new(VersionId(0), CallId::new_const(), None, None);
        let mut from = Reader(&body[1..]);
        match state.read(&mut from) {
            Some(()) if from.0.is_empty() => Ok(state),
            _ => Err(EngineError::BadState("its fields make no sense")),
        }
    }

    fn read(&mut self, from: &mut Reader<'_>) -> Option<()> {
        let state = self;
        state.version = VersionId(from.u64()?);
        state.call_id = CallId::from(from.text()?).ok()?;
        state.did = read_number(from)?;
        state.caller = read_number(from)?;
        state.sequence = from.u32()?;
        state.effects = from.u16()?;
        state.node = NodeIx(from.u16()?);
        state.pending = read_pending(from)?;
        state.outcome = match from.u8()? {
            0 => Outcome::None,
            1 => Outcome::NoAnswer,
            2 => Outcome::Busy,
            3 => Outcome::Unavailable,
            _ => return None,
        };
        state.owner = from.maybe_u32()?.map(EmployeeIx);
        state.last_rung = from.maybe_u32()?.map(EmployeeIx);
        let flags = from.u8()?;
        (state.answered, state.message, state.informed) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
        let seconds = from.maybe_u32()?;
        let sequence = from.u32()?;
        state.recorded = seconds.map(|seconds| (seconds, sequence));
        for _ in 0..from.u8()? {
            state.passes.push((CounterIx(from.u16()?), from.u16()?));
        }
        for _ in 0..from.u8()? {
            state.tags.push(NodeIx(from.u16()?));
        }
        if from.u8()? == 1 {
            let (round, start, until_ms, flags) = (from.u16()?, from.u16()?, from.i64()?, from.u8()?);
            let (out, ringing) = (Bits::read(from)?, Bits::read(from)?);
            let (rang_out, busy, begun) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
            let line = if flags & 8 == 0 { None } else { Some(read_line(from)?) };
            state.hunt = Some(HuntState { round, start, out, ringing, until_ms, rang_out, busy, begun, line });
        }
        Some(())
    }

    /// How often the call has passed a `repeat`.
    #[must_use]
    pub fn passes_of(&self, counter: CounterIx) -> u16 {
        self.passes.iter().find(|(known, _)| *known == counter).map_or(0, |&(_, passes)| passes)
    }

    /// Counts a pass of a `repeat`.
    pub fn pass(&mut self, counter: CounterIx) {
        match self.passes.iter_mut().find(|(known, _)| *known == counter) {
            Some((_, passes)) => *passes = passes.saturating_add(1),
            None => self.passes.push((counter, 1)),
        }
    }
}

fn read_number(from: &mut Reader<'_>) -> Option<Option<Number>> {
    match from.u64()? {
        0 => Some(None),
        packed => Number::from_u64(packed).map(Some),
    }
}

fn read_line(from: &mut Reader<'_>) -> Option<InLine> {
    let place = Place { since_ms: from.i64()?, ticket: from.u16()? };
    Some(InLine { place, clock_ms: from.i64()?, announce_ms: from.i64()?, attempts: from.u16()? })
}

fn read_pending(from: &mut Reader<'_>) -> Option<Pending> {
    Some(match from.u8()? {
        0 => Pending::Play,
        1 => Pending::Menu { failed: from.u8()?, silent: from.u8()? == 1 },
        2 => Pending::Ring,
        3 => Pending::Wait,
        4 => Pending::Record,
        5 => Pending::FindOwner,
        6 => Pending::FindHistory,
        7 => Pending::Transfer,
        8 => Pending::Talk { endpoint: from.text()?.into(), employee: from.maybe_u32()?.map(EmployeeIx) },
        9 => Pending::HangUp,
        10 => Pending::End(Disposition::from_u8(from.u8()?)?, Fault::from_u8(from.u8()?)?),
        _ => return None,
    })
}

fn siphash(body: &[u8]) -> u64 {
    SipHasher24::new_with_keys(u64::from_le_bytes(*b"kommutat"), u64::from_le_bytes(*b"or state")).hash(body)
}
