//! Every state that calls of one scheme can come to, in the order of the shortest way there.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use indexmap::IndexSet;

use crate::company::version::{NodeIx, Step};
use crate::finding::PathStep;

use super::moves::{Move, moves};
use super::state::{Notes, State, World};

/// The most states of one scheme's calls.
pub const MOST_STATES: usize = 1_000_000;

/// A way through a space: the moves, each by the state it leaves and its exit.
pub type Way = Vec<(usize, u16)>;

/// A move between two states of the space.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// The state it leads to.
    pub to: u32,
    /// Place of the exit taken.
    pub exit: u16,
    /// The longest it can take, milliseconds.
    pub ms: u64,
}

/// The states that calls can come to from one node, and the moves between them. State 0 is the first.
pub struct Space<'w, 'c> {
    /// The company.
    pub world: &'w World<'c>,
    /// What the states' numbers stand for.
    pub notes: Notes,
    states: IndexSet<State>,
    from: Vec<(u32, u16)>,
    edges: Vec<Edge>,
    first: Vec<usize>,
}

impl<'w, 'c> Space<'w, 'c> {
    /// Walks from a node to everything that can be come to. `None` when there are more states than `most`.
    pub fn explore(world: &'w World<'c>, start: NodeIx, most: usize) -> Option<Self> {
        let mut notes = Notes::default();
        let arrival = notes.arrival(world, start);
        let mut space = Self {
            world,
            notes,
            states: IndexSet::from([arrival]),
            from: vec![(0, 0)],
            edges: Vec::new(),
            first: vec![0],
        };
        let mut ways: Vec<Move> = Vec::new();
        let mut at = 0;
        while at < space.states.len() {
            moves(world, &mut space.notes, space.states[at], &mut ways);
            for way in &ways {
                let (to, new) = space.states.insert_full(way.to);
                if new {
                    space.from.push((at as u32, way.exit));
                }
                space.edges.push(Edge { to: to as u32, exit: way.exit, ms: way.ms });
            }
            space.first.push(space.edges.len());
            if space.states.len() > most {
                return None;
            }
            at += 1;
        }
        Some(space)
    }

    /// How many states there are.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// A state.
    pub fn state(&self, at: usize) -> &State {
        &self.states[at]
    }

    /// All states, those nearest to the start first.
    pub fn states(&self) -> impl Iterator<Item = (usize, &State)> {
        self.states.iter().enumerate()
    }

    /// The moves from a state.
    pub fn edges(&self, at: usize) -> &[Edge] {
        &self.edges[self.first[at]..self.first[at + 1]]
    }

    /// What the node of a state does.
    pub fn step(&self, at: usize) -> &'c Step {
        &self.world.company.node(self.state(at).node).step
    }

    /// The shortest way from the start to a state.
    pub fn way_to(&self, mut at: usize) -> Way {
        let mut way = Way::new();
        while at != 0 {
            let (before, exit) = self.from[at];
            at = before as usize;
            way.push((at, exit));
        }
        way.reverse();
        way
    }

    /// The shortest way from one state to one that `goal` names, through states that `through` names; the first state is
    /// asked neither. The way and the state it leads to.
    pub fn onward(
        &self,
        from: usize,
        through: impl Fn(usize) -> bool,
        goal: impl Fn(usize) -> bool,
    ) -> Option<(Way, usize)> {
        let mut before = HashMap::new();
        let mut open = VecDeque::from([from]);
        while let Some(at) = open.pop_front() {
            for edge in self.edges(at) {
                let to = edge.to as usize;
                if before.contains_key(&to) {
                    continue;
                }
                before.insert(to, (at, edge.exit));
                if goal(to) {
                    let mut way = vec![(at, edge.exit)];
                    let mut place = at;
                    while place != from {
                        let step = before[&place];
                        way.push(step);
                        place = step.0;
                    }
                    way.reverse();
                    return Some((way, to));
                }
                if to != from && through(to) {
                    open.push_back(to);
                }
            }
        }
        None
    }

    /// Walks all ways from the start with a memory that moves change, the shortest first. `step` is asked for every move,
    /// by its state, exit and the memory before it, and answers the memory after it, or `None` where that way is not to be
    /// followed. `found` sees each state with each memory once, and can have the way there.
    pub fn search<M: Copy + Eq + Hash>(
        &self,
        first: M,
        step: impl Fn(usize, u16, M) -> Option<M>,
        mut found: impl FnMut(usize, M, &dyn Fn() -> Way),
    ) {
        let mut before: HashMap<(usize, M), (usize, M, u16)> = HashMap::new();
        let mut open = VecDeque::from([(0, first)]);
        while let Some((at, memory)) = open.pop_front() {
            found(at, memory, &|| {
                let mut way = Way::new();
                let mut place = (at, memory);
                while let Some(&(from, memory, exit)) = before.get(&place).filter(|_| place != (0, first)) {
                    way.push((from, exit));
                    place = (from, memory);
                }
                way.reverse();
                way
            });
            for edge in self.edges(at) {
                let Some(after) = step(at, edge.exit, memory) else { continue };
                let to = (edge.to as usize, after);
                if to != (0, first)
                    && let Entry::Vacant(new) = before.entry(to)
                {
                    new.insert((at, memory, edge.exit));
                    open.push_back(to);
                }
            }
        }
    }

    /// A way in the words of findings; it ends at a state that no exit leaves.
    pub fn steps(&self, way: &[(usize, u16)], last: usize) -> Vec<PathStep> {
        let moves = way.iter().map(|&(at, exit)| self.path_step(at, Some(exit)));
        moves.chain([self.path_step(last, None)]).collect()
    }

    fn path_step(&self, at: usize, exit: Option<u16>) -> PathStep {
        let company = self.world.company;
        let node = company.node(self.state(at).node);
        PathStep {
            scheme: company.schemes[node.scheme.at()].id.to_string(),
            node: node.id.to_string(),
            exit: exit.map(|place| node.exits[usize::from(place)].name.to_string()),
        }
    }
}
