//! Plays the path of a finding through the engine: looks for a caller, a call id, worlds and events that lead along it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use kommutator_engine::call::Disposition;
use kommutator_engine::company::document::Kind;
use kommutator_engine::company::{Document, compile};
use kommutator_engine::finding::{Finding, PathStep, Severity};
use kommutator_engine::trace::Reason;
use kommutator_engine::{Action, Engine, EngineError, Event, Turn};
use serde_json::json;

use super::documents::{CALLERS, LISTS, did, is_hunt, passes_at_once, queues};
use super::walker::{answers, length_ms, tells};
use super::worlds::{Cache, Call, FROM_MS, Floor, House, World, arrive, crowds, handle, telling_hours};

/// How often a cycle is gone round.
const ROUNDS: usize = 4;
/// Call ids to choose from where a path passes a `split`.
const IDS: usize = 3_000;
/// More events than one node can want: a queue for three quarters of a minute rings again and again.
const PATIENCE: usize = 100;

/// A path of a document, and everything worth trying to get along it.
struct Player<'d> {
    document: &'d Document,
    house: &'d House,
    worlds: Vec<World>,
    steps: Vec<PathStep>,
    at: usize,
    caller: Option<&'static str>,
    told: bool,
    /// The path is a cycle, or ends where a call may go on without end in the same turn.
    may_run_away: bool,
    /// The path is a cycle.
    cycle: bool,
    /// The call waits at the last step.
    waits: bool,
}

/// How an attempt to get to the last step failed.
enum Failure {
    /// The engine went round and round in one turn.
    Runaway,
    /// No event and no world lead on from this step.
    Stuck(usize),
}

/// Plays a finding's path, and says how it does not end as claimed. A cycle is gone round several times.
pub fn play(document: &Document, house: &House, finding: &Finding) -> Result<(), String> {
    let steps = &finding.steps;
    if steps[0].node != document.schemes[&steps[0].scheme].start {
        return Err("the path does not begin at a start".into());
    }
    let played = play_path(document, house, finding);
    if steps_too_many(document, steps) { Ok(()) } else { played }
}

/// Whether people whom a path finds absent are rung in the same instant: the check does not follow who is at work.
fn steps_too_many(document: &Document, steps: &[PathStep]) -> bool {
    let mut absent = false;
    for step in steps {
        let kind = node(document, step);
        if absent && is_hunt(kind) {
            return true;
        }
        absent = match kind {
            Kind::Queue { .. } => step.exit.as_deref() == Some("nobody"),
            _ => absent && passes_at_once(kind),
        };
    }
    false
}

fn play_path(document: &Document, house: &House, finding: &Finding) -> Result<(), String> {
    let steps = &finding.steps;
    if finding.code != "unbounded_cycle" {
        return lead(document, house, finding, steps.clone());
    }
    let last = steps.last().unwrap();
    // The node may be passed before the cycle as well.
    let same = |&at: &usize| (&steps[at].scheme, &steps[at].node) == (&last.scheme, &last.node);
    let mut failed = "the cycle does not come back".to_owned();
    for entry in (0..steps.len() - 1).filter(same) {
        let mut around = steps[..steps.len() - 1].to_vec();
        (1..ROUNDS).for_each(|_| around.extend_from_slice(&steps[entry..steps.len() - 1]));
        around.push(last.clone());
        match lead(document, house, finding, around) {
            Ok(()) => return Ok(()),
            Err(what) => failed = what,
        }
    }
    Err(failed)
}

/// Leads a call along steps, and holds its end against what the finding says.
fn lead(document: &Document, house: &House, finding: &Finding, steps: Vec<PathStep>) -> Result<(), String> {
    let start: usize = steps[0].scheme.strip_prefix("scheme").unwrap().parse().unwrap();
    let id = id(document, &steps)?;
    let mut furthest = 0;
    for caller in CALLERS {
        let mut player = Player {
            document,
            house,
            worlds: worlds(document, &steps),
            steps: steps.clone(),
            at: 0,
            caller,
            told: false,
            may_run_away: finding.code == "unbounded_cycle" || finding.severity == Severity::Warning,
            cycle: finding.code == "unbounded_cycle",
            waits: finding.code == "lost_on_hangup",
        };
        match player.play(&id, start) {
            Ok((call, turn)) => return player.ends(finding, &call, &turn),
            Err(Failure::Runaway) if player.may_run_away => return Ok(()),
            Err(Failure::Runaway) => {}
            Err(Failure::Stuck(at)) => furthest = furthest.max(at),
        }
    }
    Err(format!("no call can be led further along the path than step {furthest}: {:?}", steps[furthest]))
}

/// A call id that takes the exits of all splits on the way.
fn id(document: &Document, steps: &[PathStep]) -> Result<String, String> {
    const WHOLE: u64 = 1 << 32;
    let (mut from, mut to) = (0, WHOLE);
    for step in steps {
        if let (Kind::Split { weights }, Some(exit)) = (node(document, step), &step.exit) {
            let of: u64 = weights.values().map(|&weight| u64::from(weight)).sum();
            let below: u64 =
                weights.iter().take_while(|(name, _)| *name != exit).map(|(_, &weight)| u64::from(weight)).sum();
            // A place on the boundary may fall to either side: it is not tried.
            from = from.max(below * WHOLE / of + 1);
            to = to.min((below + u64::from(weights[exit])) * WHOLE / of);
        }
    }
    let mut places = fall().range(from..to.max(from));
    places.next().map(|(_, id)| id.clone()).ok_or_else(|| format!("no call id falls between {from} and {to}"))
}

/// Call ids of which one at least falls to each combination of exits of the document's splits, if there is one such id.
pub fn ids_of_all_falls(document: &Document) -> Vec<String> {
    let nodes = document.schemes.values().flat_map(|scheme| scheme.nodes.values());
    let mut bounds = BTreeSet::from([0]);
    for node in nodes {
        if let Kind::Split { weights } = &node.kind {
            let of: u64 = weights.values().map(|&weight| u64::from(weight)).sum();
            let mut below = 0;
            for &weight in weights.values() {
                below += u64::from(weight);
                bounds.insert(below * (1 << 32) / of + 1);
            }
        }
    }
    let mut ids: Vec<String> =
        bounds.iter().filter_map(|&from| fall().range(from..).next()).map(|(_, id)| id.clone()).collect();
    ids.dedup();
    ids
}

/// Call ids by where they fall, of 2³²: what a split of two exits with that weight in all says of them.
fn fall() -> &'static BTreeMap<u64, String> {
    static FALL: LazyLock<BTreeMap<u64, String>> = LazyLock::new(|| {
        let document: Document = serde_json::from_value(json!({
            "company": {"name": "Test", "timezone": "Europe/Moscow", "country": "RU"},
            "departments": {"sales": {}},
            "numbers": {"default": {"scheme": "coin"}},
            "schemes": {"coin": {"start": "coin", "responsible": "sales", "nodes": {
                "coin": {"kind": "split", "weights": {"a": u32::MAX, "b": 1}, "exits": {"a": "bye", "b": "bye"}},
                "bye": {"kind": "hangup"},
            }}},
        }))
        .unwrap();
        let mut engine = Engine::new(Arc::new(compile(&document).company));
        let ids = (0..IDS).map(|id| format!("call-{id}"));
        ids.map(|id| {
            let turn = engine.arrive(&id, "+74951112233", None, FROM_MS).unwrap();
            match turn.trace[0].why {
                Reason::Chance { weight, .. } => (weight, id),
                ref why => panic!("{why:?}"),
            }
        })
        .collect()
    });
    &FALL
}

fn node<'d>(document: &'d Document, step: &PathStep) -> &'d Kind {
    &document.schemes[&step.scheme].nodes[&step.node].kind
}

impl<'d> Player<'d> {
    fn play(&mut self, id: &str, start: usize) -> Result<(Call, Turn), Failure> {
        let (house, caller) = (self.house, self.caller);
        let (mut call, mut turn) = self.try_worlds(false, &|world| arrive(house, id, &did(start), caller, world))?;
        self.take(&turn);
        let mut patience = PATIENCE;
        while self.at + 1 < self.steps.len() {
            let before = self.at;
            (call, turn) = self.on(&call, &turn)?;
            patience = if self.at == before { patience - 1 } else { PATIENCE };
            if patience == 0 {
                return Err(Failure::Stuck(self.at));
            }
        }
        Ok((call, turn))
    }

    /// One event on.
    fn on(&mut self, call: &Call, turn: &Turn) -> Result<(Call, Turn), Failure> {
        let mut failed = Failure::Stuck(self.at);
        // Who goes home does so before the longest wait is over.
        let left_ms = if self.waits_for("nobody") { length_ms(&turn.action) } else { 0 };
        for event in self.wanted(&turn.action) {
            let house = self.house;
            let freed = matches!(event, Event::EmployeeFree {});
            match self.try_worlds(freed, &|world| handle(house, call, &event, world, left_ms)) {
                Ok((next, answer)) => {
                    self.told |= matches!(event, Event::Recorded { .. });
                    self.take(&answer);
                    return Ok((next, answer));
                }
                Err(Failure::Stuck(at)) => {
                    if matches!(failed, Failure::Stuck(before) if before < at) {
                        failed = Failure::Stuck(at);
                    }
                }
                Err(failure) if self.may_run_away => return Err(failure),
                Err(failure) => failed = failure,
            }
        }
        Err(failed)
    }

    /// Takes a step in the first world in which it stays on the path, and tries that world first the next time. From a queue
    /// that is left because nobody is at work it goes on in the first world in which it can.
    fn try_worlds(
        &mut self,
        freed: bool,
        step: &dyn Fn(World) -> Result<(Call, Turn), EngineError>,
    ) -> Result<(Call, Turn), Failure> {
        let (mut furthest, mut runaway, mut stays) = (None, false, None);
        let may_stay = !self.waits_for("nobody");
        for place in 0..self.worlds.len() {
            match step(self.worlds[place]) {
                // Somebody came free, and it was nobody whom the call could have.
                Ok((_, turn)) if freed && matches!(turn.action, Action::Wait { .. }) => {
                    furthest = furthest.max(Some(self.at))
                }
                Ok((call, turn)) => match self.agrees(&turn) {
                    Ok(()) if may_stay || !turn.trace.is_empty() => {
                        self.worlds[..=place].rotate_right(1);
                        return Ok((call, turn));
                    }
                    Ok(()) => stays = stays.or(Some((call, turn))),
                    Err(at) => furthest = furthest.max(Some(at)),
                },
                // Where a path is a cycle, the turn must be caught in that one.
                Err(EngineError::Runaway(node)) => {
                    runaway |= !self.cycle || self.steps.iter().any(|step| step.node == node);
                }
                Err(error) => panic!("the engine fails: {error}"),
            }
        }
        if let Some(stays) = stays.filter(|_| !runaway) {
            return Ok(stays);
        }
        Err(match furthest {
            Some(at) if !runaway => Failure::Stuck(at),
            None if !runaway => Failure::Stuck(self.at),
            _ => Failure::Runaway,
        })
    }

    /// Events that may lead to the exit at hand, those most likely to first.
    fn wanted(&self, action: &Action) -> Vec<Event> {
        let exit = self.steps[self.at].exit.as_deref().unwrap_or_default();
        let mut events = answers(action);
        events.retain(|event| !matches!(event, Event::Answered { .. } | Event::Transferred {} | Event::Taken { .. }));
        events.sort_by_key(|event| match (event, exit) {
            (Event::Busy { .. }, "busy")
            | (Event::Unavailable { .. }, "unavailable")
            | (Event::NoInput {}, "no_input") => 0,
            (Event::Digits { digits }, "invalid") if digits == "**9" => 0,
            (Event::NoInput {}, "invalid") | (Event::Busy { .. } | Event::Unavailable { .. }, _) => 2,
            _ => 1,
        });
        events
    }

    /// Whether a turn stays on the path: else the step at which it leaves it.
    fn agrees(&self, turn: &Turn) -> Result<(), usize> {
        for (at, passed) in (self.at..).zip(&turn.trace) {
            let step = &self.steps[at];
            if step.scheme != passed.scheme || step.node != passed.node {
                return Err(at);
            }
            if at + 1 == self.steps.len() {
                // The path says no more, and the call may go on, unless it must wait here.
                return if self.waits { Err(at) } else { Ok(()) };
            }
            if step.exit.as_deref() != Some(passed.exit.as_str()) {
                return Err(at);
            }
        }
        // Whoever stands in a line has had a place.
        let at = self.at + turn.trace.len();
        if self.leaves_queue(at, "full") { Err(at) } else { Ok(()) }
    }

    /// Whether the call is at a queue that the path leaves by this exit.
    fn waits_for(&self, exit: &str) -> bool {
        self.leaves_queue(self.at, exit)
    }

    fn leaves_queue(&self, at: usize, exit: &str) -> bool {
        self.steps.get(at).is_some_and(|step| {
            matches!(node(self.document, step), Kind::Queue { .. }) && step.exit.as_deref() == Some(exit)
        })
    }

    fn take(&mut self, turn: &Turn) {
        self.at = (self.at + turn.trace.len()).min(self.steps.len() - 1);
        self.told |= tells(turn, self.caller);
    }

    /// Whether the call, standing at the path's last step, is what the finding says.
    fn ends(&self, finding: &Finding, call: &Call, turn: &Turn) -> Result<(), String> {
        let world = self.worlds[0];
        let end = |event: &Event| handle(self.house, call, event, world, 0).map(|(_, turn)| turn);
        match finding.code {
            "lost_call" | "allowed_loss" => {
                if !matches!(turn.action, Action::HangUp { .. }) || self.told {
                    return Err(format!("no loss: {:?}, told {}", turn.action, self.told));
                }
                let end = end(&Event::HungUp {}).map_err(|error| error.to_string())?;
                let Action::End { disposition, .. } = end.action else { return Err("no end".into()) };
                let informed = disposition == Disposition::Informed;
                let lost =
                    !matches!(disposition, Disposition::Answered | Disposition::Transferred | Disposition::Voicemail);
                let right = if finding.code == "lost_call" { lost && !informed } else { informed };
                if right && !tells(&end, self.caller) { Ok(()) } else { Err(format!("ends as {disposition:?}")) }
            }
            "lost_on_hangup" => {
                if matches!(turn.action, Action::HangUp { .. }) || self.told {
                    return Err(format!("no loss: {:?}, told {}", turn.action, self.told));
                }
                let end = end(&Event::CallerHungUp { seconds: None }).map_err(|error| error.to_string())?;
                if tells(&end, self.caller) { Err("the hang-up tells somebody".into()) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

/// Combinations of those lines that turn the call away on its path.
fn full_lines(document: &Document, steps: &[PathStep]) -> Vec<u32> {
    let full: Vec<u32> = queues(document)
        .enumerate()
        .filter(|(_, (scheme, node))| {
            let turns_away = |step: &PathStep| step.exit.as_deref() == Some("full") && step.node == *node;
            steps.iter().any(|step| turns_away(step) && step.scheme == *scheme)
        })
        .map(|(ix, _)| 1 << ix)
        .collect();
    let lines = |of: u32| full.iter().enumerate().filter(|(bit, _)| of >> bit & 1 == 1).map(|(_, line)| line).sum();
    crowds(full.len()).into_iter().map(lines).collect()
}

/// The worlds that differ in what the path asks.
fn worlds(document: &Document, steps: &[PathStep]) -> Vec<World> {
    let kinds: Vec<&Kind> = steps.iter().map(|step| node(document, step)).collect();
    let asked: BTreeSet<usize> = kinds
        .iter()
        .flat_map(|kind| match kind {
            Kind::List { list } => list.as_slice(),
            _ => &[],
        })
        .filter_map(|id| LISTS.iter().position(|list| list == id))
        .collect();
    let mut lists: Vec<u8> =
        (0..8).filter(|bits| (0..3).all(|bit| bits >> bit & 1 == 0 || asked.contains(&bit))).collect();
    lists.sort_by_key(|bits| bits.count_ones());
    let schedules = kinds.iter().any(|kind| matches!(kind, Kind::Schedule { .. }));
    let hours = if schedules { telling_hours(document) } else { vec![0] };
    // Whatever a cache answers, asking can answer too; but for it, no two answers in one instant differ.
    let mut worlds = Vec::new();
    // Whoever waits in a full line holds those who are free, and nobody where all have just talked.
    let lines = full_lines(document, steps).into_iter().filter(|&crowded| crowded > 0);
    let full = lines.flat_map(|crowded| [(Floor::WrapUp, crowded), (Floor::Present, crowded)]);
    for (floor, crowded) in [(Floor::Present, 0), (Floor::Offline, 0)].into_iter().chain(full) {
        for &hour_ms in &hours {
            for &lists in &lists {
                worlds.push(World { hour_ms, lists, owner: Cache::Unknown, called_before: false, floor, crowded });
            }
        }
    }
    if !kinds.iter().any(|kind| matches!(kind, Kind::Ring { .. } | Kind::Queue { .. })) {
        worlds.retain(|world| world.floor == Floor::Present);
    }
    if !kinds.iter().any(|kind| matches!(kind, Kind::Queue { .. })) {
        worlds.retain(|world| world.crowded == 0);
    }
    worlds
}
