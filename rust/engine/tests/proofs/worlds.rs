//! What surrounds a call at one instant: the clock, lists, caches and the floor; and one step of the engine in it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use kommutator_engine::company::{Company, Document};
use kommutator_engine::floor::{Line, Presence};
use kommutator_engine::schedule::Schedule;
use kommutator_engine::{Engine, EngineError, Event, Turn};

use super::documents::LISTS;

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
    Busy,
    WrapUp,
}

/// A moment not before `now_ms` at which the week's clock shows `hour_ms`.
pub fn next_moment(now_ms: i64, hour_ms: i64) -> i64 {
    let first = FROM_MS + hour_ms;
    first
        + (now_ms - first).max(0).div_euclid(WEEK_MS) * WEEK_MS
        + if (now_ms - first).max(0).rem_euclid(WEEK_MS) > 0 { WEEK_MS } else { 0 }
}

/// A call as its router holds it: every step may be taken by another process, which knows nothing but the state.
#[derive(Clone, Debug)]
pub struct Call {
    pub caller: Option<&'static str>,
    pub state: Vec<u8>,
    pub now_ms: i64,
}

pub fn engine(company: &Arc<Company>, caller: Option<&str>, world: World, now_ms: i64) -> Engine {
    let mut engine = Engine::new(Arc::clone(company));
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
    for employee in &company.employees {
        match world.floor {
            Floor::Present => {}
            Floor::Away => engine.presence(&employee.id, Presence::Away).unwrap(),
            Floor::Busy => engine.line(&employee.id, Line::Busy).unwrap(),
            Floor::WrapUp => engine.line(&employee.id, Line::WrapUp).unwrap(),
        }
    }
    engine
}

/// The call arrives in a world.
pub fn arrive(
    company: &Arc<Company>,
    id: &str,
    did: &str,
    caller: Option<&'static str>,
    world: World,
) -> Result<(Call, Turn), EngineError> {
    let now_ms = next_moment(FROM_MS, world.hour_ms);
    let turn = engine(company, caller, world, now_ms).arrive(id, did, caller, now_ms)?;
    Ok((Call { caller, state: turn.state.clone(), now_ms }, turn))
}

/// An event reaches the call in a world, at the world's next hour.
pub fn handle(company: &Arc<Company>, call: &Call, event: &Event, world: World) -> Result<(Call, Turn), EngineError> {
    let now_ms = next_moment(call.now_ms, world.hour_ms);
    let turn = engine(company, call.caller, world, now_ms).handle(&call.state, event, now_ms)?;
    Ok((Call { state: turn.state.clone(), now_ms, ..call.clone() }, turn))
}
