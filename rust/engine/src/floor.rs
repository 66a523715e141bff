//! The floor: presence and line of everybody, and who is claimed by which call.
//!
//! People are known by their ids, so that the floor outlives a change of version. A claim is made when a round begins to
//! ring somebody and released when it stops; it has a deadline, so that a client that vanishes cannot hold anybody.

mod groups;
mod hunters;
mod line;
mod roster;
mod shuffle;

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;
pub use groups::Unseated;
pub use groups::{Asking, Looking};
use groups::{Groups, Seat};
pub use hunters::WALKED;
use line::Lines;
pub use line::{Kin, LINE_GRACE_MS, LineId, Place, QueueView, Queuer, Stand};
use roster::People;
pub use roster::{Places, Roster};
use serde::{Deserialize, Serialize};
pub use shuffle::Shuffle;
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::company::version::Company;

/// How long after a round's end its claims still hold: the time a PBX has to report the end. Milliseconds.
pub const RING_GRACE_MS: i64 = 5_000;
/// How long the claim of a conversation holds without news of it. Milliseconds.
pub const TALK_CLAIM_MS: i64 = 4 * 3_600_000;
/// How long a consultation holds a manager without news of it. Milliseconds.
pub const RESERVE_MS: i64 = 60_000;

/// Is the person at the workplace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Presence {
    #[default]
    Present,
    Away,
    Offline,
}

/// Is the phone free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Line {
    #[default]
    Idle,
    Ringing,
    Busy,
    WrapUp,
    Unreachable,
}

/// What a claim is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimKind {
    /// His phone rings for the call.
    Ringing,
    /// He talks with the caller.
    Talking,
    /// A consultation is about to reach him.
    Reserved,
}

impl ClaimKind {
    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ringing => "ringing",
            Self::Talking => "talking",
            Self::Reserved => "reserved",
        }
    }
}

/// Whether a person can be rung for a call, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Can be rung.
    Free,
    /// Not at the workplace.
    Away,
    /// Not at work.
    Offline,
    /// The phone cannot be reached.
    Unreachable,
    /// In a conversation.
    OnThePhone,
    /// Being rung by another call, or promised to one.
    RungByAnother,
    /// Finishing the last call.
    WrapUp,
    /// Declined, or was found busy or unreachable, in this very hunt.
    OutOfThisHunt,
    /// The last `owner` node found nobody, or somebody without a phone.
    NobodyFound,
    /// The same phone is in the round already.
    SamePhone,
    /// Was rung in vain by a queue a moment ago.
    Resting,
}

impl Standing {
    /// True for who will be free again without doing anything: a round with nobody else waits for him.
    #[must_use]
    pub fn will_be_free(self) -> bool {
        matches!(self, Self::RungByAnother | Self::WrapUp | Self::Resting)
    }

    /// True for who is at work and can be reached: whoever is only busy is there, and a queue waits for him.
    #[must_use]
    pub fn is_there(self) -> bool {
        !matches!(self, Self::Away | Self::Offline | Self::Unreachable | Self::NobodyFound)
    }

    /// True when the hunt's outcome counts him as busy.
    #[must_use]
    pub fn is_busy(self) -> bool {
        matches!(self, Self::OnThePhone | Self::RungByAnother)
    }
}

/// The call that stands for all calls of other routers and processes: it holds whom one of these has refused us.
const ELSEWHERE: &str = "\u{0}elsewhere";

/// A person's place on the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u32);

/// Whom one call holds: few, as a rule.
type Slots = SmallVec<[Slot; 8]>;

#[derive(Debug)]
struct Claim {
    call: SmolStr,
    kind: ClaimKind,
    until_ms: i64,
}

#[derive(Debug)]
struct Person {
    id: SmolStr,
    presence: Presence,
    line: Line,
    /// One, but where a phone was answered while another call rang it: that call's claim stays beside the conversation's.
    claims: Vec<Claim>,
    talked_until_ms: i64,
    answered: u32,
    /// His places in groups of big hunts; and, where he has any, when the next of his claims ends.
    seats: Vec<Seat>,
    ends: Option<i64>,
}

impl Person {
    /// Somebody new: present and idle.
    fn new(id: SmolStr) -> Self {
        Self {
            id,
            presence: Presence::default(),
            line: Line::default(),
            claims: Vec::new(),
            talked_until_ms: i64::MIN,
            answered: 0,
            seats: Vec::new(),
            ends: None,
        }
    }

    /// What other calls hold him for at `now_ms`: a conversation before all else.
    fn held_by_others(&self, call: &str, now_ms: i64) -> Option<ClaimKind> {
        let others = self.claims.iter().filter(|claim| &*claim.call != call && claim.until_ms > now_ms);
        others.map(|claim| claim.kind).max_by_key(|&kind| kind == ClaimKind::Talking)
    }

    fn drop_claim(&mut self, call: &str) -> bool {
        let before = self.claims.len();
        self.claims.retain(|claim| &*claim.call != call);
        self.claims.len() < before
    }
}

/// The live picture of everybody.
#[derive(Debug, Default)]
pub struct Floor {
    roster: Roster,
    people: People,
    /// Of numbers that queues ring.
    numbers: HashMap<SmolStr, Slot, RandomState>,
    claims: HashMap<SmolStr, Slots, RandomState>,
    /// By scheme and node.
    rotation: HashMap<Box<str>, HashMap<Box<str>, u16>>,
    freed: u64,
    moves: u64,
    groups: Groups,
    lines: Lines,
    /// Whose phones are at other PBXs: no decision looks at it, and whoever performs them asks there first.
    elsewhere: HashSet<SmolStr, RandomState>,
}

impl Floor {
    /// Who has which place: for places to be found beside the floor.
    #[must_use]
    pub fn roster(&self) -> Roster {
        self.roster.with_taken(self.people.len())
    }

    /// The place of a number that is no employee's; made, present and idle, when new.
    pub fn number_slot(&mut self, id: &str) -> Slot {
        if let Some(&slot) = self.numbers.get(id) {
            return slot;
        }
        let slot = Slot(self.people.len() as u32);
        self.people.push(Person::new(id.into()));
        self.numbers.insert(id.into(), slot);
        slot
    }

    /// The place of such a number, if it has one.
    #[must_use]
    pub fn find_number(&self, id: &str) -> Option<Slot> {
        self.numbers.get(id).copied()
    }

    /// Finds the places of a version's employees on the roster, or beside it: see [`Floor::seat`].
    #[must_use]
    pub fn places(company: &Company, roster: &Roster) -> Places {
        Places::find(company, roster)
    }

    /// Seats a version: employees who are new, present and idle, and its big hunts. Answers everybody's place, by
    /// `EmployeeIx`. Linear in the new employees, where the places were found on this floor's roster.
    ///
    /// What is left in `places` takes long to let go, and no call shall wait for it.
    pub fn seat(&mut self, company: &Company, places: &mut Places) -> Vec<Slot> {
        let roster = self.roster();
        if !places.hold_on(&roster) {
            *places = Places::find(company, &roster);
        }
        places.bring(&mut self.people, &mut self.roster);
        self.seat_hunts(company.id, std::mem::take(&mut places.hunters));
        // A call claims employees: to make room for that when it does would hold it up.
        self.claims.reserve(self.people.len().saturating_sub(self.claims.len()));
        std::mem::take(&mut places.slots)
    }

    /// The person's place, if known.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Slot> {
        self.roster.find(id)
    }

    /// Counts every moment at which somebody may have come free, or the head of a line has another lot. A router compares
    /// it to know when to offer `employee_free` to calls that wait.
    #[must_use]
    pub fn freed(&self) -> u64 {
        self.freed
    }

    /// Counts every change of what a person's standing or a hunt's order depends on, time aside.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.moves
    }

    /// Sets presence.
    pub fn set_presence(&mut self, slot: Slot, presence: Presence) {
        self.person(slot).presence = presence;
        self.moved(slot);
        self.freed += u64::from(presence == Presence::Present);
        if presence != Presence::Present {
            self.somebody_left();
        }
    }

    /// Sets the line. A phone that comes to rest may have rung for whoever held the person elsewhere.
    pub fn set_line(&mut self, slot: Slot, line: Line) {
        let before = std::mem::replace(&mut self.person(slot).line, line);
        if line == Line::Idle && before != Line::Idle {
            self.freed_elsewhere(slot);
        }
        self.moved(slot);
        self.freed += u64::from(line == Line::Idle);
        if line == Line::Unreachable {
            self.somebody_left();
        }
    }

    /// Presence and line as last told.
    #[must_use]
    pub fn of(&self, slot: Slot) -> (Presence, Line) {
        let person = &self.people[slot];
        (person.presence, person.line)
    }

    /// Whether the person is present and idle, and no call holds him: he is free for any. It says so of nobody who is not,
    /// and not of everybody who is.
    #[must_use]
    pub fn is_at_rest(&self, slot: Slot) -> bool {
        let person = &self.people[slot];
        person.presence == Presence::Present && person.line == Line::Idle && person.claims.is_empty()
    }

    /// Whether the person can be rung for the call. A mobile rings people who are away from their desk, too.
    #[must_use]
    pub fn standing(&self, slot: Slot, call: &str, mobile: bool, now_ms: i64) -> Standing {
        let person = &self.people[slot];
        let others = person.held_by_others(call, now_ms);
        // Our own claim stays ours past its deadline, as long as nobody has taken it over: the phone may still ring for us.
        let ours = person.claims.iter().any(|claim| &*claim.call == call);
        match (person.presence, person.line) {
            (Presence::Away, _) if !mobile => Standing::Away,
            (Presence::Offline, _) if !mobile => Standing::Offline,
            (_, Line::Unreachable) if !mobile => Standing::Unreachable,
            (_, Line::Busy) => Standing::OnThePhone,
            _ => match others {
                Some(ClaimKind::Talking) => Standing::OnThePhone,
                Some(_) => Standing::RungByAnother,
                None if person.line == Line::Ringing && !ours => Standing::RungByAnother,
                None if person.line == Line::WrapUp => Standing::WrapUp,
                None => Standing::Free,
            },
        }
    }

    /// Whether a call has claimed the person, be it long ago.
    #[must_use]
    pub fn is_claimed(&self, slot: Slot) -> bool {
        !self.people[slot].claims.is_empty()
    }

    /// Claims a person for a call. False, and nothing changed, when another call holds him.
    pub fn claim(&mut self, slot: Slot, call: &str, kind: ClaimKind, until_ms: i64, now_ms: i64) -> bool {
        if self.person(slot).held_by_others(call, now_ms).is_some() {
            return false;
        }
        if self.person(slot).claims.iter().any(|claim| &*claim.call != call) {
            let expired: Vec<Claim> = self.person(slot).claims.extract_if(.., |claim| &*claim.call != call).collect();
            for claim in expired {
                self.forget(&claim.call, slot);
            }
        }
        self.take(slot, call, kind, until_ms);
        true
    }

    /// Claims a person whoever else holds him: his phone was answered, and that is a fact.
    pub fn take(&mut self, slot: Slot, call: &str, kind: ClaimKind, until_ms: i64) {
        match self.person(slot).claims.iter_mut().find(|claim| &*claim.call == call) {
            Some(claim) => (claim.kind, claim.until_ms) = (kind, until_ms),
            None => {
                let call = SmolStr::new(call);
                self.person(slot).claims.push(Claim { call: call.clone(), kind, until_ms });
                self.claims.entry(call).or_default().push(slot);
            }
        }
        self.moved(slot);
    }

    /// Releases what the call holds, except the people named.
    pub fn release_except(&mut self, call: &str, keep: &[Slot]) {
        let Some(mut kept) = self.claims.remove(call) else { return };
        let held = kept.len();
        kept.retain(|slot| {
            let keeps = keep.contains(slot);
            if !keeps {
                self.people[*slot].drop_claim(call);
                self.moved(*slot);
            }
            keeps
        });
        self.freed += u64::from(kept.len() < held);
        if !kept.is_empty() {
            self.claims.insert(call.into(), kept);
        }
    }

    /// Releases everybody the call holds.
    pub fn release_all(&mut self, call: &str) {
        self.release_except(call, &[]);
    }

    /// Releases everybody, whichever call holds them.
    pub fn release_everybody(&mut self) {
        let calls: Vec<SmolStr> = self.claims.keys().cloned().collect();
        for call in calls {
            self.release_all(&call);
        }
    }

    /// Promises a person to a call for a consultation. False, and nothing changed, when another call holds him; whom the
    /// call rings or talks with already stays so.
    pub fn reserve(&mut self, slot: Slot, call: &str, until_ms: i64, now_ms: i64) -> bool {
        let live = self.people[slot].claims.iter().filter(|claim| claim.until_ms > now_ms);
        if live.into_iter().any(|claim| &*claim.call == call && claim.kind != ClaimKind::Reserved) {
            return true;
        }
        self.claim(slot, call, ClaimKind::Reserved, until_ms, now_ms)
    }

    /// Takes a promise back. Whom the call rings or talks with is no promise, and stays claimed.
    pub fn unreserve(&mut self, slot: Slot, call: &str) {
        let claims = &self.people[slot].claims;
        if claims.iter().any(|claim| &*claim.call == call && claim.kind == ClaimKind::Reserved) {
            self.release(slot, call);
        }
    }

    /// Releases one person, if the call holds him.
    pub fn release(&mut self, slot: Slot, call: &str) {
        if self.person(slot).drop_claim(call) {
            self.moved(slot);
            self.forget(call, slot);
            self.freed += 1;
        }
    }

    /// A call of another router or process holds a person whom a call of ours would have rung: ours does without him, and so
    /// do others until `until_ms`, unless [`Floor::freed_elsewhere`] is told before. Who asks again is answered again.
    pub fn held_elsewhere(&mut self, slot: Slot, call: &str, until_ms: i64, now_ms: i64) {
        self.release(slot, call);
        self.claim(slot, ELSEWHERE, ClaimKind::Ringing, until_ms, now_ms);
    }

    /// Whoever held the person elsewhere may have let him go.
    pub fn freed_elsewhere(&mut self, slot: Slot) {
        self.release(slot, ELSEWHERE);
    }

    /// Who is claimed at `now_ms` by calls of ours, by which, and what for.
    pub fn claimed(&self, now_ms: i64) -> impl Iterator<Item = (&str, &str, ClaimKind)> {
        // A number that is no employee's stands here too, while a queue rings it.
        self.people.iter().filter(|person| !person.id.starts_with('\0')).flat_map(move |person| {
            let live = person.claims.iter().filter(move |claim| claim.until_ms > now_ms && claim.call != ELSEWHERE);
            live.map(|claim| (&*person.id, &*claim.call, claim.kind))
        })
    }

    /// Tells whose phones are at other PBXs.
    pub fn set_elsewhere(&mut self, employees: impl Iterator<Item = SmolStr>) {
        self.elsewhere = employees.collect();
    }

    /// Whether an employee's phone is at another PBX.
    #[must_use]
    pub fn is_elsewhere(&self, employee: &str) -> bool {
        !self.elsewhere.is_empty() && self.elsewhere.contains(employee)
    }

    /// Counts an answered call.
    pub fn answered(&mut self, slot: Slot) {
        let person = self.person(slot);
        person.answered = person.answered.saturating_add(1);
        self.moved(slot);
    }

    /// Remembers when the last conversation ended.
    pub fn talked_until(&mut self, slot: Slot, now_ms: i64) {
        self.person(slot).talked_until_ms = now_ms;
        self.moved(slot);
    }

    /// When the last conversation ended, and how many calls were answered.
    #[must_use]
    pub fn record(&self, slot: Slot) -> (i64, u32) {
        let person = &self.people[slot];
        (person.talked_until_ms, person.answered)
    }

    /// Where the next round-robin hunt of a node begins.
    #[must_use]
    pub fn rotation(&self, scheme: &str, node: &str) -> u16 {
        self.rotation.get(scheme).and_then(|nodes| nodes.get(node)).copied().unwrap_or(0)
    }

    /// Sets where the next round-robin hunt of a node begins.
    pub fn rotate(&mut self, scheme: &str, node: &str, next: u16) {
        self.moves += 1;
        match self.rotation.get_mut(scheme).and_then(|nodes| nodes.get_mut(node)) {
            Some(known) => *known = next,
            None => _ = self.rotation.entry(scheme.into()).or_default().insert(node.into(), next),
        }
    }

    fn person(&mut self, slot: Slot) -> &mut Person {
        &mut self.people[slot]
    }

    fn forget(&mut self, call: &str, slot: Slot) {
        if let Some(held) = self.claims.get_mut(call) {
            held.retain(|other| *other != slot);
            if held.is_empty() {
                self.claims.remove(call);
            }
        }
    }
}
