//! A pure decision: where a call would go, and nothing else.
//!
//! From its arrival a call is followed over announcements, which have one answer only, to the first action whose answer
//! decides: a menu, phones that ring or are waited for, a message, a look-up, a transfer, the end. Time stands still
//! meanwhile. A queue that takes the call is where it stops: whether its head rings at once or waits, the line decides, of which
//! it is no part. Nobody is claimed, nothing is remembered, no state is sealed and no reason is given; what is passed is the
//! machine's path, node by node. `tests/decisions.rs` holds both to the same.
//!
//! Decisions of many calls are few: a table keeps each once, and a call is a number in it.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use indexmap::IndexSet;
use rustc_hash::FxHasher;
use serde::Serialize;
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::company::document::{Cause, Strategy};
use crate::company::version::{
    Company, CounterIx, Destination, EmployeeIx, Hunt, Leg, ListIx, Node, NodeIx, RegionIx, Step, VersionId, exit,
};
use crate::facts::{Called, Facts, Owner};
use crate::floor::{Floor, Standing};
use crate::number::Number;

use super::EngineError;
use super::branching::side;
use super::hunting::FEW;
use super::machine::{Ground, MAX_NODES_A_TURN, Run};
use super::state::{CallId, CallState, Pending};
use super::turn::{Action, RungEndpoint};

/// The most decisions that one table keeps: far more than a company has, and a bound for one whose phones are in every
/// order of busy and free.
pub const MOST_DECISIONS: usize = 1 << 24;

/// What is asked: a call, as far as a decision depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Our number that was dialled, if it is one.
    pub did: Option<Number>,
    /// The calling party, unless withheld.
    pub caller: Option<Number>,
    /// What chance is seeded by: the splits and random hunts of the call of this id.
    pub call_id: &'a str,
    /// Milliseconds of UTC.
    pub at_ms: i64,
}

/// Where a call would go, by name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// The nodes passed, from the first.
    pub path: Vec<Taken>,
    /// The scheme in which it stops; empty for a number that serves none.
    pub scheme: SmolStr,
    /// The node at which it stops.
    pub node: SmolStr,
    /// Whom an `owner` node has found.
    pub owner: Option<SmolStr>,
    /// What the PBX would do then. What only a call has is empty: a recording's name, the number of a look-up.
    pub action: Action,
}

/// A node passed, and the exit taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Scheme id.
    pub scheme: SmolStr,
    /// Node id.
    pub node: SmolStr,
    /// The exit's name; empty for a jump to another scheme.
    pub exit: SmolStr,
}

/// A decision by places in its version: equal for calls that go the same way to the same phones.
#[derive(Clone, Debug)]
struct Route {
    /// A hash of the path, kept up as it grows.
    mark: u64,
    /// Node and exit by their places, sixteen bits each.
    path: Vec<u32>,
    stop: NodeIx,
    owner: Option<EmployeeIx>,
    /// The hunt's round, and the legs that ring in it: with none it waits.
    round: u16,
    rung: SmallVec<[u16; 8]>,
}

impl Route {
    fn new() -> Self {
        let (path, rung) = (Vec::new(), SmallVec::new());
        Self { mark: 0, path, stop: NodeIx::NOWHERE, owner: None, round: 0, rung }
    }

    fn clear(&mut self) {
        self.path.clear();
        self.rung.clear();
        (self.mark, self.stop, self.owner, self.round) = (0, NodeIx::NOWHERE, None, 0);
    }

    fn pass(&mut self, node: NodeIx, place: usize) {
        let step = u32::from(node.0) << 16 | place as u32 & 0xffff;
        self.path.push(step);
        self.mix(step.into());
    }

    fn ring(&mut self, leg: usize) {
        self.rung.push(leg as u16);
        self.mix(1 << 32 | leg as u64);
    }

    fn mix(&mut self, what: u64) {
        self.mark = (self.mark.rotate_left(7) ^ what).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        let ends = |route: &Self| (route.mark, route.stop, route.owner, route.round);
        ends(self) == ends(other) && self.path == other.path && self.rung == other.rung
    }
}

impl Eq for Route {}

impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.mark ^ u64::from(self.stop.0) << 48 ^ self.owner.map_or(0, |ix| u64::from(ix.0) + 1));
    }
}

/// Decisions of one version, each once, in the order in which they first came.
#[derive(Debug)]
pub struct Decisions {
    company: Arc<Company>,
    routes: IndexSet<Route, BuildHasherDefault<FxHasher>>,
    /// The decision at hand: its memory serves the next.
    at_hand: Route,
}

impl Decisions {
    /// An empty table of a version.
    #[must_use]
    pub fn new(company: Arc<Company>) -> Self {
        Self { company, routes: IndexSet::default(), at_hand: Route::new() }
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> VersionId {
        self.company.id
    }

    /// The version's own.
    #[must_use]
    pub fn company(&self) -> &Company {
        &self.company
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// A decision, by the number that asking gave.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<Decision> {
        self.routes.get_index(number as usize).map(|route| named(&self.company, route))
    }

    /// The nodes that a decision passes, and that at which it stops.
    pub(super) fn way(&self, number: u32) -> (impl Iterator<Item = NodeIx>, Option<NodeIx>) {
        let route = self.routes.get_index(number as usize);
        let passed = route.into_iter().flat_map(|route| &route.path).map(|step| NodeIx((step >> 16) as u16));
        (passed, route.map(|route| route.stop).filter(|&stop| stop != NodeIx::NOWHERE))
    }

    /// Decides where a call goes: the decision's number. Allocates for a decision that the table did not have, and where
    /// a hunt is not at once all free.
    pub(crate) fn ask(
        &mut self,
        ground: Ground<'_>,
        floor: &mut Floor,
        facts: &mut Facts,
        ask: &Ask<'_>,
    ) -> Result<u32, EngineError> {
        self.at_hand.clear();
        Asked { ground, floor, facts, ask, passes: SmallVec::new(), route: &mut self.at_hand }.go()?;
        let number = match self.routes.get_index_of(&self.at_hand) {
            Some(number) => number,
            None if self.routes.len() < MOST_DECISIONS => self.routes.insert_full(self.at_hand.clone()).0,
            None => return Err(EngineError::TooManyDecisions),
        };
        Ok(number as u32)
    }
}

/// One question on its way.
struct Asked<'e, 'a> {
    ground: Ground<'e>,
    floor: &'a mut Floor,
    facts: &'a mut Facts,
    ask: &'a Ask<'a>,
    passes: SmallVec<[(CounterIx, u16); 4]>,
    route: &'a mut Route,
}

impl<'e> Asked<'e, '_> {
    fn go(&mut self) -> Result<(), EngineError> {
        let company = self.ground.company;
        let Some(scheme) = company.scheme_for(self.ask.did) else { return Ok(()) };
        let mut ix = company.schemes[scheme.at()].start;
        for _ in 0..MAX_NODES_A_TURN {
            let node = company.node(ix);
            let Some(place) = self.exit(ix, node)? else {
                self.route.stop = ix;
                return Ok(());
            };
            self.route.pass(ix, place);
            ix = node.exits[place].to;
        }
        Err(EngineError::Runaway(company.node(ix).id.to_string()))
    }

    /// The exit by which the call leaves a node; none where it must be answered first.
    fn exit(&mut self, ix: NodeIx, node: &'e Node) -> Result<Option<usize>, EngineError> {
        let company = self.ground.company;
        Ok(match &node.step {
            Step::Play { .. } | Step::Notice(_) | Step::Tag { .. } => Some(exit::DONE),
            Step::Jump => Some(0),
            Step::Schedule { schedule } => {
                let open = company.schedules[schedule.at()].1.is_open(self.ask.at_ms);
                Some(if open { exit::OPEN } else { exit::CLOSED })
            }
            Step::List { lists } => Some(self.list(lists)),
            Step::Region { regions } => Some(self.region(regions)),
            Step::History { days, .. } => self.history(*days),
            Step::Owner { .. } => self.owner(),
            Step::Split { upto } => Some(side(self.ask.call_id, upto).0),
            Step::Repeat { times, counter } => Some(self.repeat(*counter, *times)),
            Step::Ring(hunt) if self.all_free(hunt) => None,
            Step::Ring(hunt) => self.hunt(ix, node, hunt)?,
            Step::Queue(queue) => self.trial(ix).turned_away(node, queue),
            Step::Hole => return Err(EngineError::Runaway(node.id.to_string())),
            Step::Menu(_) | Step::Voicemail { .. } | Step::Transfer { .. } | Step::Hangup { .. } => None,
        })
    }

    fn list(&self, lists: &[ListIx]) -> usize {
        let company = self.ground.company;
        let has = |caller, list: &ListIx| {
            let changed = || self.facts.listed(&company.list_ids[list.at()], caller);
            let changed = if self.facts.lists_unchanged() { None } else { changed() };
            changed.unwrap_or_else(|| company.lists.find(list.at(), caller).is_some())
        };
        match self.ask.caller {
            Some(caller) if lists.iter().any(|list| has(caller, list)) => exit::MATCH,
            _ => exit::ELSE,
        }
    }

    fn region(&self, regions: &[RegionIx]) -> usize {
        let found = self.ask.caller.and_then(|caller| self.ground.company.regions.find(caller));
        let place = found.and_then(|found| regions.iter().position(|known| known.at() == found.region));
        place.unwrap_or(regions.len())
    }

    fn history(&self, days: Option<u32>) -> Option<usize> {
        let Some(caller) = self.ask.caller else { return Some(exit::FIRST) };
        match self.facts.peek_history(caller, days, self.ask.at_ms) {
            Called::Before => Some(exit::REPEAT),
            Called::Never => Some(exit::FIRST),
            Called::Unknown => None,
        }
    }

    fn owner(&mut self) -> Option<usize> {
        self.route.owner = None;
        let Some(caller) = self.ask.caller else { return Some(exit::UNKNOWN) };
        let Owner::Employee(id) = self.facts.owner(caller)? else { return Some(exit::UNKNOWN) };
        self.route.owner = self.ground.company.employee_index.get(id).copied();
        Some(if self.route.owner.is_some() { exit::FOUND } else { exit::UNKNOWN })
    }

    fn repeat(&mut self, counter: CounterIx, times: u16) -> usize {
        let known = self.passes.iter().position(|(known, _)| *known == counter);
        let at = known.unwrap_or_else(|| {
            self.passes.push((counter, 0));
            self.passes.len() - 1
        });
        if self.passes[at].1 >= times {
            return exit::REPEAT_DONE;
        }
        self.passes[at].1 += 1;
        exit::AGAIN
    }

    /// Rings the first round where it is a few employees' phones, all different and free: most hunts at most times.
    fn all_free(&mut self, hunt: &Hunt) -> bool {
        let company = self.ground.company;
        let legs = match (hunt.strategy, hunt.rounds.first()) {
            (Strategy::All | Strategy::Expanding, Some(round)) => &hunt.legs[..usize::from(round.legs)],
            (Strategy::Linear, Some(_)) => &hunt.legs[..1],
            _ => return false,
        };
        let mut phones: SmallVec<[Phone<'_>; FEW]> = SmallVec::new();
        for leg in legs {
            let (ix, mobile) = match *leg {
                Leg::Desk(ix) => (ix, false),
                Leg::Mobile(ix) => (ix, true),
                Leg::Owner => match self.route.owner {
                    Some(ix) => (ix, false),
                    None => return false,
                },
                Leg::Phone(_) => return false,
            };
            let (employee, slot) = (&company.employees[ix.at()], self.ground.slots[ix.at()]);
            let phone = match (&employee.endpoint, employee.mobile) {
                (_, Some(number)) if mobile => Phone::Mobile(number),
                // A desk phone that is written as a number might be somebody's mobile.
                (Some(endpoint), _) if !mobile && endpoint.starts_with(|first: char| first.is_ascii_alphabetic()) => {
                    Phone::Desk(endpoint)
                }
                _ => return false,
            };
            let free = self.floor.standing(slot, self.ask.call_id, mobile, self.ask.at_ms) == Standing::Free;
            if !free || phones.len() == FEW || phones.contains(&phone) {
                return false;
            }
            phones.push(phone);
        }
        (0..legs.len()).for_each(|leg| self.route.ring(leg));
        true
    }

    /// Tries a hunt as the machine would hold it: the exit by which it is over at once, or none where it rings or waits.
    fn hunt(&mut self, ix: NodeIx, node: &'e Node, hunt: &'e Hunt) -> Result<Option<usize>, EngineError> {
        let mut run = self.trial(ix);
        let left = run.try_hunt(node, hunt)?;
        if left.is_none() {
            let (hunted, rings) = (run.state.hunt.take().unwrap_or_default(), run.state.pending == Pending::Ring);
            self.route.round = hunted.round;
            hunted.ringing.iter().filter(|_| rings).for_each(|leg| self.route.ring(leg));
        }
        Ok(left)
    }

    /// A call on trial at a node.
    fn trial(&mut self, ix: NodeIx) -> Run<'_> {
        let call_id = CallId::from(self.ask.call_id).unwrap_or_default();
        let mut state = CallState::new(self.ground.company.id, call_id, self.ask.did, self.ask.caller);
        (state.node, state.owner) = (ix, self.route.owner);
        let mut run = Run::new(self.ground, self.floor, self.facts, state, self.ask.at_ms);
        run.trial = true;
        run
    }
}

/// What rings.
#[derive(PartialEq)]
enum Phone<'e> {
    Desk(&'e str),
    Mobile(Number),
}

fn named(company: &Company, route: &Route) -> Decision {
    let names = |ix: NodeIx| (company.schemes[company.node(ix).scheme.at()].id.clone(), company.node(ix).id.clone());
    let taken = |&step: &u32| {
        let (ix, place) = (NodeIx((step >> 16) as u16), step as usize & 0xffff);
        let (scheme, node) = names(ix);
        Taken { scheme, node, exit: company.node(ix).exits[place].name.clone() }
    };
    let (scheme, node) = if route.stop == NodeIx::NOWHERE { <_>::default() } else { names(route.stop) };
    let owner = route.owner.map(|ix| company.employees[ix.at()].id.clone());
    Decision { path: route.path.iter().map(taken).collect(), scheme, node, owner, action: action(company, route) }
}

fn action(company: &Company, route: &Route) -> Action {
    let prompt = |ix: crate::company::version::PromptIx| company.prompts[ix.at()].id.clone();
    if route.stop == NodeIx::NOWHERE {
        return Action::HangUp { prompt: None, cause: Cause::Unallocated };
    }
    match &company.node(route.stop).step {
        Step::Menu(menu) => Action::Menu {
            prompt: prompt(menu.prompt),
            notice: None,
            digits: menu.options.iter().map(|(digits, _)| digits.clone()).collect(),
            ms: menu.ms,
        },
        Step::Ring(hunt) => {
            let round = if hunt.one_by_one() { hunt.rounds.first() } else { hunt.rounds.get(usize::from(route.round)) };
            let (ms, music) = (round.map_or(0, |round| round.ms), hunt.music.clone());
            if route.rung.is_empty() {
                return Action::Wait { music, announce: None, ms, position: None };
            }
            let endpoints = route.rung.iter().filter_map(|&leg| rung(company, route, hunt.legs[usize::from(leg)]));
            Action::Ring { endpoints: endpoints.collect(), ms, music, round: u32::from(route.round) + 1 }
        }
        Step::Queue(queue) => Action::Wait {
            music: queue.hunt.music.clone(),
            announce: queue.announcement(1).map(prompt),
            ms: queue.max_wait_ms,
            position: None,
        },
        Step::Voicemail { prompt: spoken, ms, .. } => {
            Action::Record { prompt: prompt(*spoken), ms: *ms, recording: SmolStr::default() }
        }
        Step::Owner { timeout_ms } => Action::FindOwner { caller: SmolStr::default(), timeout_ms: *timeout_ms },
        Step::History { days, timeout_ms } => {
            Action::FindHistory { caller: SmolStr::default(), timeout_ms: *timeout_ms, days: *days }
        }
        Step::Transfer { to: Destination::Phone(number), ms } => Action::Transfer { to: number.text(), ms: *ms },
        Step::Transfer { to: Destination::Endpoint(address), ms } => Action::Transfer { to: address.clone(), ms: *ms },
        Step::Hangup { prompt: spoken, cause } => Action::HangUp { prompt: spoken.map(prompt), cause: *cause },
        // No call stops at the others.
        _ => Action::HangUp { prompt: None, cause: Cause::Normal },
    }
}

fn rung(company: &Company, route: &Route, leg: Leg) -> Option<RungEndpoint> {
    let (whose, endpoint) = match leg {
        Leg::Phone(number) => (None, number.text()),
        Leg::Mobile(ix) => (Some(ix), company.employees[ix.at()].mobile?.text()),
        Leg::Desk(ix) => (Some(ix), company.employees[ix.at()].endpoint.clone()?),
        Leg::Owner => (route.owner, company.employees[route.owner?.at()].endpoint.clone()?),
    };
    Some(RungEndpoint { employee: whose.map(|ix| company.employees[ix.at()].id.clone()), endpoint })
}
