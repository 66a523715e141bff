//! Everything calls of a small scheme can do: every event in every world, from every state the engine comes to.

use std::collections::{BTreeSet, HashMap};

use kommutator_engine::call::state::CallState;
use kommutator_engine::company::Document;
use kommutator_engine::company::document::Kind;
use kommutator_engine::trace::Passed;
use kommutator_engine::{Action, Engine, EngineError, Event, Turn};

use super::documents::{CALLERS, LISTS, did};
use super::walker::{answers, length_ms, seconds};
use super::worlds::{Cache, Call, Floor, House, World, arrive, crowds, handle, telling_hours};

/// What calls of a scheme did.
#[derive(Debug, Default)]
pub struct Atlas {
    /// Exits taken: scheme, node, exit.
    pub exits: BTreeSet<(String, String, String)>,
    /// The longest until the call ended or was answered, milliseconds; `None` when it can go round for ever.
    pub longest_ms: Option<u64>,
    /// A turn never ended, and what it passed is not known: the exits are not all there.
    pub ran_away: bool,
}

/// The last moment of a wait, milliseconds: by so much the longest call of an atlas is shorter, at each queue, than any can be.
pub const LAST_MS: i64 = 1;

/// States by what decides about their future, with the longest time from there; `None` while on the way.
type Known = HashMap<Vec<u8>, Option<u64>>;

struct Explorer<'d> {
    document: &'d Document,
    house: &'d House,
    worlds: Vec<World>,
    exits: BTreeSet<(String, String, String)>,
    known: Known,
    left: usize,
    endless: bool,
    ran_away: bool,
}

/// Follows every call of scheme `scheme`, with as many engine steps as `left`; `None` when they do not suffice.
///
/// `ids` are call ids, one at least of each way in which the scheme's splits can fall.
pub fn explore(document: &Document, house: &House, scheme: usize, ids: &[String], left: usize) -> Option<Atlas> {
    let mut explorer = Explorer {
        document,
        house,
        worlds: worlds(document),
        exits: BTreeSet::new(),
        known: HashMap::new(),
        left,
        endless: false,
        ran_away: false,
    };
    let mut longest_ms = 0;
    for caller in CALLERS {
        for id in ids {
            for world in explorer.worlds.clone() {
                let step = arrive(house, id, &did(scheme), caller, world);
                longest_ms = longest_ms.max(explorer.after(step)?);
            }
        }
    }
    let longest_ms = (!explorer.endless).then_some(longest_ms);
    Some(Atlas { exits: explorer.exits, longest_ms, ran_away: explorer.ran_away })
}

impl Explorer<'_> {
    /// The longest time from the turn on.
    fn after(&mut self, step: Result<(Call, Turn), EngineError>) -> Option<u64> {
        if self.ran_away {
            return Some(0);
        }
        self.left = self.left.checked_sub(1)?;
        let (call, turn) = match step {
            Ok(done) => done,
            Err(EngineError::Runaway(_)) => {
                (self.endless, self.ran_away) = (true, true);
                return Some(0);
            }
            Err(error) => panic!("the engine fails: {error}"),
        };
        for Passed { scheme, node, exit, .. } in turn.trace {
            self.exits.insert((scheme.into(), node.into(), exit.into()));
        }
        let ms = (seconds(self.document, &turn.action) * 1000.0).round() as u64;
        match turn.action {
            Action::End { .. } | Action::Talk { .. } => return Some(0),
            Action::HangUp { .. } => return Some(ms),
            _ => {}
        }
        let key = key(&call);
        match self.known.get(&key) {
            Some(Some(known)) => return Some(*known),
            Some(None) => {
                self.endless = true;
                return Some(0);
            }
            None => {}
        }
        self.known.insert(key.clone(), None);
        let mut longest = ms;
        for event in answers(&turn.action) {
            // What comes in the middle of a round is followed by the rest of it: see the walker. At a queue somebody may
            // also come free, or go, in the last moment.
            let whole_ms = length_ms(&turn.action);
            let took_ms = match event {
                Event::EmployeeFree {} if is_queued(&call) && whole_ms > LAST_MS => (whole_ms - LAST_MS) as u64,
                Event::Taken { .. } | Event::EmployeeFree {} => continue,
                _ => ms,
            };
            for world in self.worlds.clone() {
                let next = handle(self.house, &call, &event, world, whole_ms - took_ms as i64);
                longest = longest.max(took_ms + self.after(next)?);
            }
        }
        self.known.insert(key, Some(longest));
        Some(longest)
    }
}

/// What of a call's state decides about its future; its own clock stands still meanwhile.
fn key(call: &Call) -> Vec<u8> {
    let mut state = CallState::decode(&call.state).unwrap();
    state.sequence = 0;
    state.effects = 0;
    state.recorded = None;
    state.last_rung = None;
    state.tags.clear();
    state.passes.sort();
    if let Some(hunt) = &mut state.hunt {
        if let Some(line) = &mut hunt.line {
            line.place.since_ms -= hunt.until_ms;
            line.clock_ms -= hunt.until_ms;
            line.announce_ms -= hunt.until_ms;
            line.attempts = 0;
        }
        hunt.until_ms = 0;
        hunt.start = 0;
    }
    state.encode().unwrap()
}

fn is_queued(call: &Call) -> bool {
    Engine::is_queued(&call.state).unwrap()
}

/// Every world that differs in what the document asks.
fn worlds(document: &Document) -> Vec<World> {
    let kinds = || document.schemes.values().flat_map(|scheme| scheme.nodes.values()).map(|node| &node.kind);
    let asks = |list: &str| {
        kinds().any(|kind| matches!(kind, Kind::List { list: asked } if asked.iter().any(|id| id == list)))
    };
    let asked: Vec<bool> = LISTS.iter().map(|list| asks(list)).collect();
    let lists: Vec<u8> = (0..8).filter(|bits| (0..3).all(|bit| bits >> bit & 1 == 0 || asked[bit])).collect();
    let hours =
        if kinds().any(|kind| matches!(kind, Kind::Schedule { .. })) { telling_hours(document) } else { vec![0] };
    let owners = kinds().any(|kind| matches!(kind, Kind::Owner { .. }));
    let owners = if owners { vec![Cache::Unknown, Cache::Anna, Cache::Nobody] } else { vec![Cache::Unknown] };
    let histories = kinds().any(|kind| matches!(kind, Kind::History { .. }));
    let queues = kinds().filter(|kind| matches!(kind, Kind::Queue { .. })).count();
    let rings = queues > 0 || kinds().any(|kind| matches!(kind, Kind::Ring { .. }));
    let floors = if rings { vec![Floor::Present, Floor::Offline, Floor::WrapUp] } else { vec![Floor::Present] };
    let mut worlds = Vec::new();
    for &hour_ms in &hours {
        for &lists in &lists {
            for &owner in &owners {
                for called_before in if histories { vec![false, true] } else { vec![false] } {
                    for &floor in &floors {
                        // Lines are full where somebody is at work.
                        let full = if floor != Floor::Offline { crowds(queues) } else { vec![0] };
                        let world = |crowded| World { hour_ms, lists, owner, called_before, floor, crowded };
                        worlds.extend(full.into_iter().map(world));
                    }
                }
            }
        }
    }
    worlds
}
