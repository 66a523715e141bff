//! What surrounds a call at one instant: the clock, lists, caches and the floor; and one step of the engine in it.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use kommutator_engine::call::state::CallState;
use kommutator_engine::company::document::{Exits, Kind, Node};
use kommutator_engine::company::{Company, Document, compile};
use kommutator_engine::floor::{Line, Presence};
use kommutator_engine::schedule::Schedule;
use kommutator_engine::{Engine, EngineError, Event, Turn};

use super::documents::{LISTS, did};

/// When the checks are made: 2026-11-18, a Wednesday, 12:00 in Moscow.
pub const FROM_MS: i64 = 1_794_992_400_000;
pub const HOUR_MS: i64 = 3_600_000;
pub const WEEK_MS: i64 = 168 * HOUR_MS;

/// Hours of the week, from `FROM_MS`, that show every combination of what the schedules answer.
///
/// The schedules of random documents are all alike, change on whole hours and repeat every week.
pub fn telling_hours(document: &Document) -> Vec<i64> {
    static HOURS: LazyLock<std::sync::Mutex<Option<Vec<i64>>>> = LazyLock::new(Default::default);
    let mut known = HOURS.lock().unwrap();
    known
        .get_or_insert_with(|| {
            let compile = |hours| Schedule::compile(hours, "Europe/Moscow").unwrap();
            let schedules: Vec<Schedule> = document.schedules.values().map(compile).collect();
            let mut first = BTreeMap::new();
            for hour in 0..168 {
                let at_ms = FROM_MS + hour * HOUR_MS;
                let answers: Vec<bool> = schedules.iter().map(|schedule| schedule.at(at_ms).open).collect();
                first.entry(answers).or_insert(hour * HOUR_MS);
            }
            first.into_values().collect()
        })
        .clone()
}

/// One world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// Milliseconds from the beginning of a week.
    pub hour_ms: i64,
    /// Bit `i`: the caller is on list `i`.
    pub lists: u8,
    pub owner: Cache,
    pub called_before: bool,
    pub floor: Floor,
    /// Bit `i`: the line of the document's `i`-th queue is full.
    pub crowded: u32,
}

/// What is remembered of the caller's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cache {
    Unknown,
    Anna,
    Nobody,
}

/// Where everybody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Floor {
    Present,
    Away,
    Offline,
    Busy,
    WrapUp,
}

/// A document's version, and those of the same schemes in which callers come straight to one of its queues.
#[derive(Debug)]
pub struct House {
    company: Arc<Company>,
    crowds: Vec<Crowd>,
}

/// Callers who fill one line.
#[derive(Debug)]
struct Crowd {
    company: Arc<Company>,
    did: String,
    callers: u32,
}

/// How long before the call the crowd comes, so that it stands before him; short enough to be there still.
const CROWD_BEFORE_MS: i64 = 10_000;
const CROWD: &str = "+79990000001";

impl House {
    pub fn new(document: &Document, company: Arc<Company>) -> Self {
        let mut crowds = Vec::new();
        for (ix, scheme) in document.schemes.values().enumerate() {
            for (id, node) in &scheme.nodes {
                let Kind::Queue { max_length, .. } = node.kind else { continue };
                let mut crowded = document.clone();
                let scheme = &mut crowded.schemes[ix];
                let exits = ["found", "unknown", "unavailable"].map(|exit| (exit.to_owned(), id.clone()));
                let kind = Kind::Owner { timeout_ms: 1 };
                scheme.nodes.insert("crowd".into(), Node { kind, exits: Exits::from(exits), allow_lost: None });
                scheme.start = "crowd".into();
                let company = Arc::new(compile(&crowded).company);
                crowds.push(Crowd { company, did: did(ix), callers: max_length });
            }
        }
        Self { company, crowds }
    }

    /// How many queues the document has.
    pub fn queues(&self) -> usize {
        self.crowds.len()
    }
}

impl Deref for House {
    type Target = Arc<Company>;

    fn deref(&self) -> &Arc<Company> {
        &self.company
    }
}

/// A moment not before `now_ms` at which the week's clock shows `hour_ms`.
pub fn next_moment(now_ms: i64, hour_ms: i64) -> i64 {
    let first = FROM_MS + hour_ms;
    first
        + (now_ms - first).max(0).div_euclid(WEEK_MS) * WEEK_MS
        + if (now_ms - first).max(0).rem_euclid(WEEK_MS) > 0 { WEEK_MS } else { 0 }
}

/// Combinations of full lines: all of few queues; of many none, each, and all.
pub fn crowds(queues: usize) -> Vec<u32> {
    let all = (1 << queues) - 1;
    if queues <= 3 { (0..=all).collect() } else { (0..queues).map(|ix| 1 << ix).chain([0, all]).collect() }
}

/// A call as its router holds it: every step may be taken by another process, which knows nothing but the state.
#[derive(Clone, Debug)]
pub struct Call {
    pub caller: Option<&'static str>,
    pub state: Vec<u8>,
    pub now_ms: i64,
}

fn engine(house: &House, caller: Option<&str>, world: World, now_ms: i64) -> Engine {
    let mut engine = Engine::new(Arc::clone(house));
    if let Some(caller) = caller {
        for (bit, list) in LISTS.iter().enumerate() {
            engine.listed(list, caller, world.lists >> bit & 1 == 1).unwrap();
        }
        match world.owner {
            Cache::Unknown => {}
            Cache::Anna => engine.owner_is(caller, Some("anna")).unwrap(),
            Cache::Nobody => engine.owner_is(caller, None).unwrap(),
        }
        if world.called_before {
            engine.called(caller, now_ms).unwrap();
        }
    }
    for employee in &house.employees {
        match world.floor {
            Floor::Present => {}
            Floor::Away => engine.presence(&employee.id, Presence::Away).unwrap(),
            Floor::Offline => engine.presence(&employee.id, Presence::Offline).unwrap(),
            Floor::Busy => engine.line(&employee.id, Line::Busy).unwrap(),
            Floor::WrapUp => engine.line(&employee.id, Line::WrapUp).unwrap(),
        }
    }
    if world.crowded > 0 {
        gather(&mut engine, house, world.crowded, now_ms - CROWD_BEFORE_MS);
    }
    engine
}

/// Fills these lines. Where nobody is at work, or the queue's exits go round and round, nobody stays.
fn gather(engine: &mut Engine, house: &House, lines: u32, at_ms: i64) {
    engine.owner_is(CROWD, Some("anna")).unwrap();
    for (ix, crowd) in house.crowds.iter().enumerate().filter(|(ix, _)| lines >> ix & 1 == 1) {
        let version = engine.hold(Arc::clone(&crowd.company));
        assert!(engine.activate(version));
        for caller in 0..crowd.callers {
            let _ = engine.arrive(&format!("crowd-{ix}-{caller}"), &crowd.did, Some(CROWD), at_ms);
        }
    }
    assert!(engine.activate(house.id));
}

/// The call arrives in a world.
pub fn arrive(
    house: &House,
    id: &str,
    did: &str,
    caller: Option<&'static str>,
    world: World,
) -> Result<(Call, Turn), EngineError> {
    let now_ms = next_moment(FROM_MS, world.hour_ms);
    let turn = engine(house, caller, world, now_ms).arrive(id, did, caller, now_ms)?;
    Ok((Call { caller, state: turn.state.clone(), now_ms }, turn))
}

/// An event reaches the call in a world, at the world's next hour, when what it waits for has `left_ms` to go. Hunts of
/// queues go by the clock: it is moved, with all that they remember of it, so that this is so.
pub fn handle(
    house: &House,
    call: &Call,
    event: &Event,
    world: World,
    left_ms: i64,
) -> Result<(Call, Turn), EngineError> {
    let now_ms = next_moment(call.now_ms, world.hour_ms);
    let state = moved(&call.state, now_ms + left_ms);
    let turn = engine(house, call.caller, world, now_ms).handle(&state, event, now_ms)?;
    Ok((Call { state: turn.state.clone(), now_ms, ..call.clone() }, turn))
}

/// The state of a call at a queue as if it had come so much later that what it waits for is over at `until_ms`.
fn moved(state: &[u8], until_ms: i64) -> Vec<u8> {
    let mut call = CallState::decode(state).unwrap();
    if let Some(hunt) = &mut call.hunt
        && let Some(line) = &mut hunt.line
    {
        let by_ms = until_ms - hunt.until_ms;
        hunt.until_ms += by_ms;
        line.place.since_ms += by_ms;
        line.clock_ms += by_ms;
        line.announce_ms += by_ms;
        return call.encode().unwrap();
    }
    state.to_vec()
}
