//! A pure decision: where a call would go, and nothing else.
//!
//! From its arrival a call is followed over announcements, which have one answer only, to the first action whose answer
//! decides: a menu, phones that ring or are waited for, a message, a look-up, a transfer, the end. Time stands still
//! meanwhile. A queue that takes the call is where it stops: whether its head rings at once or waits, the line decides, of which
//! it is no part. It is a [`super::walk`] that ends there; what is passed is the machine's path, node by node.
//! `tests/decisions.rs` holds both to the same.
//!
//! Decisions of many calls are few: a table keeps each once, and a call is a number in it.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use indexmap::IndexSet;
use rustc_hash::FxHasher;
use serde::Serialize;
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::company::version::{Company, EmployeeIx, NodeIx, VersionId};
use crate::facts::Facts;
use crate::floor::Floor;

use super::EngineError;
use super::event::Event;
use super::machine::Ground;
use super::said::{Hunted, Rung, Said};
use super::turn::Action;
pub(super) use super::walk::Ask;
use super::walk::{At, Happened, Walk, World};

/// The most decisions that one table keeps: far more than a company has, and a bound for one whose phones are in every
/// order of busy and free.
pub const MOST_DECISIONS: usize = 1 << 24;

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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Taken {
    /// Scheme id.
    pub scheme: SmolStr,
    /// Node id.
    pub node: SmolStr,
    /// The exit's name; empty for a jump to another scheme.
    pub exit: SmolStr,
}

impl Taken {
    pub(super) fn new(company: &Company, node: NodeIx, exit: usize) -> Self {
        let node = company.node(node);
        let scheme = company.schemes[node.scheme.at()].id.clone();
        Self { scheme, node: node.id.clone(), exit: node.exits[exit].name.clone() }
    }
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
        Walk::new(ground, floor, facts, ask).go(&mut Hearing(&mut self.at_hand))?;
        let number = match self.routes.get_index_of(&self.at_hand) {
            Some(number) => number,
            None if self.routes.len() < MOST_DECISIONS => self.routes.insert_full(self.at_hand.clone()).0,
            None => return Err(EngineError::TooManyDecisions),
        };
        Ok(number as u32)
    }
}

/// A world that hears announcements out and answers nothing else: where it stops is the decision.
struct Hearing<'r>(&'r mut Route);

static PLAYED: Event = Event::Played {};

impl World for Hearing<'_> {
    fn answer(&mut self, at: &At, said: &Said<'_>) -> Option<Happened<'_>> {
        if let Said::Play { .. } = said {
            return Some(Happened { at_ms: at.ms, event: &PLAYED });
        }
        let route = &mut *self.0;
        (route.stop, route.owner) = (at.node, at.owner);
        if let Said::Ring { round, .. } | Said::Wait { round, .. } = said {
            route.round = (round - 1) as u16;
        }
        if let Said::Ring { phones, .. } = said {
            phones.rung().legs().for_each(|leg| route.ring(leg));
        }
        None
    }

    fn passed(&mut self, node: NodeIx, exit: usize) {
        self.0.pass(node, exit);
    }
}

fn named(company: &Company, route: &Route) -> Decision {
    let names = |ix: NodeIx| (company.schemes[company.node(ix).scheme.at()].id.clone(), company.node(ix).id.clone());
    let taken = |&step: &u32| Taken::new(company, NodeIx((step >> 16) as u16), step as usize & 0xffff);
    let (scheme, node) = if route.stop == NodeIx::NOWHERE { <_>::default() } else { names(route.stop) };
    let owner = route.owner.map(|ix| company.employees[ix.at()].id.clone());
    Decision { path: route.path.iter().map(taken).collect(), scheme, node, owner, action: action(company, route) }
}

fn action(company: &Company, route: &Route) -> Action {
    if route.stop == NodeIx::NOWHERE {
        return Said::UNALLOCATED.action();
    }
    let hunted = Hunted { round: route.round.into(), rung: Rung::These(&route.rung), owner: route.owner };
    Said::of(company, company.node(route.stop), hunted).action()
}
