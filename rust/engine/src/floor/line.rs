//! Lines of callers who wait at queues: first come, first served.
//!
//! A line belongs to a node, by the ids of its scheme and itself, so that it outlives a change of version. Its order is that
//! of coming, which the call's own state keeps too: whoever is put back after a router's death has his old place. The
//! *head* is the first who waits while no phone rings for him; only a head is offered whoever comes free. Callers of one
//! line who cannot be served by the same people (of different versions, or each with an owner of his own) have a head
//! for each [`Kin`].
//!
//! Every entry has a deadline: a client that vanishes does not stand in others' way for longer. Joining, leaving and asking
//! for a place touch one chunk of the line and the lengths of the others, whatever its length.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::RandomState;
use serde::Serialize;
use smol_str::SmolStr;

use super::Floor;
use crate::company::version::{EmployeeIx, VersionId};

/// How long after its action's end a waiting call keeps its place without news of it: the time a client has to report.
/// Milliseconds.
pub const LINE_GRACE_MS: i64 = 15_000;

/// A place in a line: the moment of coming, and a number that tells those of one moment apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When the call came, milliseconds of UTC.
    pub since_ms: i64,
    /// How many had come in that very moment.
    pub ticket: u16,
}

/// Callers whom the same people serve: of one version, and of one owner where the queue rings owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kin(pub VersionId, pub Option<EmployeeIx>);

/// A node's line: the ids of its scheme and of itself.
pub type LineId = (SmolStr, SmolStr);

/// One call's stand in a line.
#[derive(Clone, Debug)]
pub struct Stand {
    /// Which line.
    pub line: LineId,
    /// Where in it.
    pub place: Place,
    /// Whom it waits with.
    pub kin: Kin,
    /// No phone rings for it.
    pub waits: bool,
    /// When it is out of the line, unless it is heard of.
    pub until_ms: i64,
}

/// A line as it is at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueView {
    /// Scheme id.
    pub scheme: SmolStr,
    /// Node id.
    pub node: SmolStr,
    /// Its callers, the first come first.
    pub callers: Vec<Queuer>,
}

/// A caller in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Queuer {
    /// The call.
    pub call: SmolStr,
    /// When it came, milliseconds of UTC.
    pub since_ms: i64,
    /// A phone rings for it.
    pub ringing: bool,
}

type Spot = (Place, SmolStr);

#[derive(Debug, Default)]
struct Line {
    spots: Ranked,
    waiting: BTreeMap<Kin, BTreeSet<Spot>>,
}

/// All lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: BTreeMap<LineId, Line>,
    calls: HashMap<SmolStr, Stand, RandomState>,
    deadlines: BTreeSet<(i64, SmolStr)>,
    /// Phones that were rung in vain, and until when they are passed over.
    rests: HashMap<SmolStr, i64, RandomState>,
    rested: BTreeSet<(i64, SmolStr)>,
}

impl Floor {
    /// The place of a call that comes to a line now: behind all.
    #[must_use]
    pub fn last_place(&self, line: &LineId, now_ms: i64) -> Place {
        let last = self.lines.lines.get(line).and_then(|line| line.spots.last());
        let alike = last.filter(|(place, _)| place.since_ms == now_ms);
        Place { since_ms: now_ms, ticket: alike.map_or(0, |(place, _)| place.ticket.saturating_add(1)) }
    }

    /// How many callers a line has.
    #[must_use]
    pub fn line_length(&self, line: &LineId) -> usize {
        self.lines.lines.get(line).map_or(0, |line| line.spots.len)
    }

    /// How many callers a line will have at a moment, if none comes and none leaves but those whose time is over.
    #[must_use]
    pub fn line_length_at(&self, line: &LineId, now_ms: i64) -> usize {
        let over = self.lines.deadlines.iter().take_while(|(until_ms, _)| *until_ms <= now_ms);
        let gone = over.filter(|(_, call)| self.lines.calls.get(call).is_some_and(|stand| stand.line == *line));
        self.line_length(line).saturating_sub(gone.count())
    }

    /// Puts a call into its line, or tells of its new stand there.
    pub fn stand_in_line(&mut self, call: &SmolStr, stand: Stand) {
        if let Some(before) = self.lines.calls.get(call) {
            if (&before.line, before.place, before.kin) != (&stand.line, stand.place, stand.kin) {
                self.leave_line(call);
            } else {
                self.lines.deadlines.remove(&(before.until_ms, call.clone()));
            }
        }
        let before = self.lines.head(&stand.line, stand.kin).cloned();
        let spot = (stand.place, call.clone());
        let line = self.lines.lines.entry(stand.line.clone()).or_default();
        line.spots.insert(&spot);
        let waiting = line.waiting.entry(stand.kin).or_default();
        if stand.waits {
            waiting.insert(spot);
        } else {
            waiting.remove(&spot);
        }
        self.lines.deadlines.insert((stand.until_ms, call.clone()));
        let (line, kin) = (stand.line.clone(), stand.kin);
        self.lines.calls.insert(call.clone(), stand);
        self.new_head(&line, kin, before.as_ref());
    }

    /// Whether the call stands in a line.
    #[must_use]
    pub fn stands_in_line(&self, call: &str) -> bool {
        self.lines.calls.contains_key(call)
    }

    /// Takes a call out of its line, if it stands in one.
    pub fn leave_line(&mut self, call: &str) {
        if self.lines.calls.is_empty() {
            return;
        }
        let Some((call, stand)) = self.lines.calls.remove_entry(call) else { return };
        let before = self.lines.head(&stand.line, stand.kin).cloned();
        self.lines.deadlines.remove(&(stand.until_ms, call.clone()));
        let spot = (stand.place, call);
        if let Some(line) = self.lines.lines.get_mut(&stand.line) {
            line.spots.remove(&spot);
            if let Some(waiting) = line.waiting.get_mut(&stand.kin) {
                waiting.remove(&spot);
                if waiting.is_empty() {
                    line.waiting.remove(&stand.kin);
                }
            }
            if line.spots.len == 0 {
                self.lines.lines.remove(&stand.line);
            }
        }
        self.new_head(&stand.line, stand.kin, before.as_ref());
    }

    /// Whether the call may be offered whoever is free: nobody of its kin waits before it.
    #[must_use]
    pub fn is_head(&self, call: &str) -> bool {
        let Some((call, stand)) = self.lines.calls.get_key_value(call) else { return false };
        self.lines.head(&stand.line, stand.kin).is_none_or(|head| (head.0, &head.1) >= (stand.place, call))
    }

    /// How many stand before the call in its line, and itself.
    #[must_use]
    pub fn position(&self, call: &str) -> Option<u32> {
        let (call, stand) = self.lines.calls.get_key_value(call)?;
        let rank = self.lines.lines.get(&stand.line)?.spots.rank(&(stand.place, call.clone()));
        Some(rank as u32 + 1)
    }

    /// The heads of all lines, those who wait longest first. A moment to offer `employee_free` is offered to them alone.
    pub fn heads(&mut self, now_ms: i64) -> Vec<SmolStr> {
        self.expire_lines(now_ms);
        let waiting = self.lines.lines.values().flat_map(|line| line.waiting.values());
        let mut heads: Vec<&Spot> = waiting.filter_map(|waiting| waiting.first()).collect();
        heads.sort();
        heads.into_iter().map(|(_, call)| call.clone()).collect()
    }

    /// All lines as they are at `now_ms`. Linear in their callers.
    pub fn queues(&mut self, now_ms: i64) -> Vec<QueueView> {
        self.expire_lines(now_ms);
        let calls = &self.lines.calls;
        let queuer = |(place, call): &Spot| Queuer {
            call: call.clone(),
            since_ms: place.since_ms,
            ringing: calls.get(call).is_some_and(|stand| !stand.waits),
        };
        let view = |((scheme, node), line): (&LineId, &Line)| QueueView {
            scheme: scheme.clone(),
            node: node.clone(),
            callers: line.spots.iter().map(queuer).collect(),
        };
        self.lines.lines.iter().map(view).collect()
    }

    /// Passes a phone over until `until_ms`: it was rung in vain.
    pub fn rest(&mut self, phone: &SmolStr, until_ms: i64, now_ms: i64) {
        let lines = &mut self.lines;
        while let Some((ends, phone)) = lines.rested.first().filter(|(ends, _)| *ends <= now_ms).cloned() {
            lines.rested.remove(&(ends, phone.clone()));
            lines.rests.remove(&phone);
        }
        if let Some(before) = lines.rests.insert(phone.clone(), until_ms) {
            lines.rested.remove(&(before, phone.clone()));
        }
        lines.rested.insert((until_ms, phone.clone()));
    }

    /// Nobody stands in line any more, and no phone is passed over.
    pub fn close_lines(&mut self) {
        self.lines = Lines::default();
    }

    /// Whether queues pass the phone over at `now_ms`.
    #[must_use]
    pub fn rests(&self, phone: &str, now_ms: i64) -> bool {
        !self.lines.rests.is_empty() && self.lines.rests.get(phone).is_some_and(|&until_ms| until_ms > now_ms)
    }

    /// When the next phone that is passed over has rested.
    #[must_use]
    pub fn next_rested(&self, now_ms: i64) -> Option<i64> {
        let after = (now_ms.saturating_add(1), SmolStr::default());
        self.lines.rested.range(after..).next().map(|(until_ms, _)| *until_ms)
    }

    /// Somebody has left the workplace: the heads of lines may have nobody to wait for any more.
    pub(super) fn somebody_left(&mut self) {
        self.freed += u64::from(!self.lines.calls.is_empty());
    }

    /// Takes those out of their lines who have not been heard of in time. `now_ms` is the time of the step, whatever the
    /// step's own call knows of: a client whose clock is ahead must not cost others their places.
    pub fn expire_lines(&mut self, now_ms: i64) {
        while let Some((until_ms, call)) = self.lines.deadlines.first()
            && *until_ms <= now_ms
        {
            let call = call.clone();
            self.leave_line(&call);
        }
    }

    /// Whoever is first in line now is to be asked: somebody may be free whom the one before could not have.
    fn new_head(&mut self, line: &LineId, kin: Kin, before: Option<&Spot>) {
        let head = self.lines.head(line, kin);
        self.freed += u64::from(before.is_some() && head.is_some() && head != before);
    }
}

impl Lines {
    fn head(&self, line: &LineId, kin: Kin) -> Option<&Spot> {
        self.lines.get(line)?.waiting.get(&kin)?.first()
    }
}

/// Spots in order, cut into chunks of a bounded size.
#[derive(Debug, Default)]
struct Ranked {
    chunks: Vec<Vec<Spot>>,
    len: usize,
}

/// The most spots of one chunk.
const CHUNK: usize = 128;

impl Ranked {
    /// The first chunk whose last spot is not before this one.
    fn chunk(&self, spot: &Spot) -> usize {
        self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| last < spot))
    }

    fn insert(&mut self, spot: &Spot) {
        if self.chunks.is_empty() {
            self.chunks.push(Vec::new());
        }
        let at = self.chunk(spot).min(self.chunks.len() - 1);
        let chunk = &mut self.chunks[at];
        let Err(place) = chunk.binary_search(spot) else { return };
        chunk.insert(place, spot.clone());
        self.len += 1;
        if chunk.len() > CHUNK {
            let half = chunk.split_off(CHUNK / 2);
            self.chunks.insert(at + 1, half);
        }
    }

    fn remove(&mut self, spot: &Spot) {
        let at = self.chunk(spot);
        let Some(chunk) = self.chunks.get_mut(at) else { return };
        let Ok(place) = chunk.binary_search(spot) else { return };
        chunk.remove(place);
        self.len -= 1;
        if chunk.is_empty() {
            self.chunks.remove(at);
        }
    }

    /// How many are before this one.
    fn rank(&self, spot: &Spot) -> usize {
        let at = self.chunk(spot);
        let before: usize = self.chunks[..at].iter().map(Vec::len).sum();
        before + self.chunks.get(at).map_or(0, |chunk| chunk.partition_point(|other| other < spot))
    }

    fn last(&self) -> Option<&Spot> {
        self.chunks.last()?.last()
    }

    fn iter(&self) -> impl Iterator<Item = &Spot> {
        self.chunks.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn spots_are_ranked_as_in_a_sorted_list(steps in proptest::collection::vec((any::<bool>(), 0..400_i64), 0..900)) {
            let (mut ranked, mut sorted) = (Ranked::default(), BTreeSet::new());
            for (comes, at) in steps {
                let spot = (Place { since_ms: at / 2, ticket: (at % 2) as u16 }, SmolStr::default());
                if comes {
                    ranked.insert(&spot);
                    sorted.insert(spot.clone());
                } else {
                    ranked.remove(&spot);
                    sorted.remove(&spot);
                }
                prop_assert_eq!(ranked.len, sorted.len());
                prop_assert_eq!(ranked.last(), sorted.last());
                prop_assert_eq!(ranked.rank(&spot), sorted.range(..&spot).count());
            }
            prop_assert!(ranked.iter().eq(&sorted));
        }
    }
}
