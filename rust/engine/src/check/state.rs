//! What a call is to the prover: where it stands, what it has left behind, and what is known of its surroundings.

use std::collections::HashMap;

use crate::company::Document;
use crate::company::version::{Company, NodeIx, Step};

use super::callers::{self, ELSEWHERE, WITHHELD};
use super::hours::Timeline;
use super::mask::{Mask, Numbered};
use super::matter::{self, Matter};

/// The company as the prover sees it.
pub struct World<'c> {
    /// The version.
    pub company: &'c Company,
    /// What the schedules can answer together.
    pub timeline: Timeline,
    /// Classes of callers that exist.
    pub callers: Mask,
    /// What matters at each node.
    pub matter: Vec<Matter>,
    /// There is an employee, so that a caller can have an owner.
    pub owners: bool,
    /// There is an employee with a desk phone, so that an owner can be rung.
    pub owners_ring: bool,
}

impl<'c> World<'c> {
    /// The company in the time from `from_ms` to `least_ms` and beyond.
    pub fn new(document: &Document, company: &'c Company, from_ms: i64, least_ms: i64) -> Self {
        let mut asked = Mask::none(company.schedules.len());
        for node in &company.nodes {
            if let Step::Schedule { schedule } = node.step {
                asked.insert(schedule.at());
            }
        }
        Self {
            company,
            timeline: Timeline::read(company, &asked, from_ms, least_ms),
            callers: callers::existing(document, company),
            matter: matter::at_nodes(company),
            owners: !company.employees.is_empty(),
            owners_ring: company.employees.iter().any(|employee| employee.endpoint.is_some()),
        }
    }
}

/// The state of a call, as far as it matters to what comes. Sets are numbers in [`Notes`].
///
/// What is known of lists, hours, the owner and the history holds for this instant: a step that takes time forgets it,
/// for lists, clocks and caches move on meanwhile. Counters, the seed, the caller and what was found stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Where it stands.
    pub node: NodeIx,
    /// A message is recorded or somebody was told.
    pub told: bool,
    /// The last thing heard was an announcement after which a call may end.
    pub informed: bool,
    /// The last `owner` node found somebody.
    pub found: bool,
    /// Passes of `repeat` nodes.
    pub counters: u32,
    /// Classes of callers it can be.
    pub callers: u32,
    /// Where the seed of its splits lies, both ends included.
    pub seed: (u64, u64),
    /// Which of the timeline's answers can hold now.
    pub hours: u32,
    /// Lists asked at this instant, and whether the caller is on them.
    pub lists: u32,
    /// The owner asked for at this instant is known: somebody, or nobody.
    pub owner: Option<bool>,
    /// At this instant it is known that the caller did not call within so many days, 0 for nothing known.
    pub first: u64,
}

/// Days of a `history` node as the state counts them.
pub fn days(days: Option<u32>) -> u64 {
    days.map_or(u64::MAX, |days| u64::from(days) + 1)
}

/// The sets that states name by number.
#[derive(Debug, Default)]
pub struct Notes {
    counters: Numbered<Vec<(u16, u16)>>,
    callers: Numbered<Mask>,
    hours: Numbered<Mask>,
    lists: Numbered<Vec<(u32, bool)>>,
    schedules: Numbered<Mask>,
    widened: HashMap<(u32, u32), u32>,
}

impl Notes {
    /// A call that comes to a node, and nothing is known.
    pub fn arrival(&mut self, world: &World<'_>, node: NodeIx) -> State {
        let state = State {
            node,
            told: false,
            informed: false,
            found: false,
            counters: self.counters.number(Vec::new()),
            callers: self.callers.number(world.callers.clone()),
            seed: (0, u64::MAX),
            hours: 0,
            lists: 0,
            owner: None,
            first: 0,
        };
        let state = self.forget(world, state);
        self.essential(world, state)
    }

    /// Passes of a `repeat` node.
    pub fn passes(&self, state: &State, counter: u16) -> u16 {
        let counters = self.counters.value(state.counters);
        counters.iter().find(|(known, _)| *known == counter).map_or(0, |&(_, passes)| passes)
    }

    /// The state after one more pass.
    pub fn pass(&mut self, mut state: State, counter: u16) -> State {
        let mut counters = self.counters.value(state.counters).clone();
        match counters.binary_search_by_key(&counter, |&(known, _)| known) {
            Ok(at) => counters[at].1 += 1,
            Err(at) => counters.insert(at, (counter, 1)),
        }
        state.counters = self.counters.number(counters);
        state
    }

    /// Who calls.
    pub fn callers(&self, state: &State) -> &Mask {
        self.callers.value(state.callers)
    }

    /// True when the caller can have a number.
    pub fn has_number(&self, state: &State) -> bool {
        self.callers(state).iter().any(|class| class != WITHHELD)
    }

    /// The state where the caller is one of those that `stays` names; `None` when nobody is.
    pub fn narrow(&mut self, mut state: State, stays: impl Fn(usize) -> bool) -> Option<State> {
        let mut callers = self.callers(&state).clone();
        let leave: Vec<usize> = callers.iter().filter(|&class| !stays(class)).collect();
        leave.into_iter().for_each(|class| callers.remove(class));
        if callers.is_empty() {
            return None;
        }
        state.callers = self.callers.number(callers);
        Some(state)
    }

    /// The state where a schedule is open, or closed; `None` when it cannot be.
    pub fn asked_hours(&mut self, world: &World<'_>, mut state: State, schedule: usize, open: bool) -> Option<State> {
        let answers = &world.timeline.answers;
        let possible = self.hours.value(state.hours);
        let hours = Mask::of(answers.len(), |ix| possible.has(ix) && answers[ix].has(schedule) == open);
        if hours.is_empty() {
            return None;
        }
        state.hours = self.hours.number(hours);
        Some(state)
    }

    /// The state where the caller is on a list, or not; `None` when the opposite is known.
    pub fn asked_list(&mut self, mut state: State, list: u32, listed: bool) -> Option<State> {
        let lists = self.lists.value(state.lists);
        match lists.binary_search_by_key(&list, |&(known, _)| known) {
            Ok(at) => (lists[at].1 == listed).then_some(state),
            Err(at) => {
                let mut lists = lists.clone();
                lists.insert(at, (list, listed));
                state.lists = self.lists.number(lists);
                Some(state)
            }
        }
    }

    /// The state after some time: only what cannot change meanwhile is known.
    pub fn forget(&mut self, world: &World<'_>, mut state: State) -> State {
        state.hours = self.hours.number(Mask::of(world.timeline.answers.len(), |_| true));
        state.lists = self.lists.number(Vec::new());
        state.owner = None;
        state.first = 0;
        state
    }

    /// The state without what cannot matter any more.
    pub fn essential(&mut self, world: &World<'_>, mut state: State) -> State {
        let matter = &world.matter[state.node.at()];
        state.informed &= !state.told;
        state.found &= matter.found;
        let counters = self.counters.value(state.counters);
        if counters.iter().any(|&(counter, _)| !matter.counters.has(usize::from(counter))) {
            let mut counters = counters.clone();
            counters.retain(|&(counter, _)| matter.counters.has(usize::from(counter)));
            state.counters = self.counters.number(counters);
        }
        if !matter.splits {
            state.seed = (0, u64::MAX);
        }
        if !matter.regions {
            let known = self.callers(&state);
            let (withheld, numbered) = (known.has(WITHHELD), known.iter().any(|class| class >= ELSEWHERE));
            let anybody = !matter.callers;
            let callers = Mask::of(world.callers.size(), |class| {
                world.callers.has(class) && (anybody || if class == WITHHELD { withheld } else { numbered })
            });
            state.callers = self.callers.number(callers);
        }
        let lists = self.lists.value(state.lists);
        if !self.has_number(&state) {
            state.lists = self.lists.number(Vec::new());
        } else if lists.iter().any(|&(list, _)| !matter.lists.has(list as usize)) {
            let mut lists = lists.clone();
            lists.retain(|&(list, _)| matter.lists.has(list as usize));
            state.lists = self.lists.number(lists);
        }
        state.hours = self.widen(world, state.hours, &matter.schedules);
        state.owner = state.owner.filter(|_| matter.owners);
        state.first = if matter.histories { state.first } else { 0 };
        state
    }

    /// Adds the answers that differ from those possible only in schedules that do not matter.
    fn widen(&mut self, world: &World<'_>, hours: u32, schedules: &Mask) -> u32 {
        let key = (hours, self.schedules.number(schedules.clone()));
        if let Some(&known) = self.widened.get(&key) {
            return known;
        }
        let answers = &world.timeline.answers;
        let seen = |ix: usize| schedules.iter().map(|at| answers[ix].has(at)).collect::<Vec<bool>>();
        let possible: std::collections::HashSet<Vec<bool>> = self.hours.value(hours).iter().map(seen).collect();
        let widened = self.hours.number(Mask::of(answers.len(), |ix| possible.contains(&seen(ix))));
        self.widened.insert(key, widened);
        widened
    }
}
