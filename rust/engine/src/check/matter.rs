//! What of a call's past can still matter at a node. States that differ in nothing else are one state: that keeps the
//! space small and every answer exact.

use crate::company::version::{Company, Hunt, Leg, Node, NodeIx, Queue, Step};

use super::mask::Mask;

/// What can still matter once a call stands at a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Matter {
    /// Counters of `repeat` nodes that can be passed yet.
    pub counters: Mask,
    /// Schedules that can be asked before time passes.
    pub schedules: Mask,
    /// Lists that can be asked before time passes.
    pub lists: Mask,
    /// An `owner` node can be come to before time passes.
    pub owners: bool,
    /// A `history` node can be come to before time passes.
    pub histories: bool,
    /// A `split` can be come to.
    pub splits: bool,
    /// A `region` node can be come to.
    pub regions: bool,
    /// A node can be come to that asks who calls.
    pub callers: bool,
    /// A hunt for whom the last `owner` node found can be come to.
    pub found: bool,
}

impl Matter {
    fn own(company: &Company, node: &Node) -> Self {
        let (schedules, lists) = (company.schedules.len(), company.list_ids.len());
        let mut own = Self {
            counters: Mask::none(usize::from(company.counters)),
            schedules: Mask::none(schedules),
            lists: Mask::none(lists),
            owners: false,
            histories: false,
            splits: false,
            regions: false,
            callers: false,
            found: false,
        };
        match &node.step {
            Step::Repeat { counter, .. } => own.counters.insert(counter.at()),
            Step::Schedule { schedule } => own.schedules.insert(schedule.at()),
            Step::List { lists } => {
                lists.iter().for_each(|list| own.lists.insert(list.at()));
                own.callers = true;
            }
            Step::Region { .. } => (own.regions, own.callers) = (true, true),
            Step::Owner { .. } => (own.owners, own.callers) = (true, true),
            Step::History { .. } => (own.histories, own.callers) = (true, true),
            Step::Split { .. } => own.splits = true,
            Step::Ring(hunt) | Step::Queue(Queue { hunt, .. }) => own.found = hunt.legs.contains(&Leg::Owner),
            _ => {}
        }
        own
    }

    /// Adds what matters at a node to which this one leads. True when that made a difference.
    fn add(&mut self, node: &Node, next: &Self) -> bool {
        let mut grown = self.counters.join(&next.counters);
        let mut flag = |own: &mut bool, next: bool| {
            grown |= next && !*own;
            *own |= next;
        };
        flag(&mut self.splits, next.splits);
        flag(&mut self.regions, next.regions);
        flag(&mut self.callers, next.callers);
        // An `owner` node forgets whom the last one found.
        flag(&mut self.found, next.found && !matches!(node.step, Step::Owner { .. }));
        if !always_takes_time(node) {
            flag(&mut self.owners, next.owners);
            flag(&mut self.histories, next.histories);
            grown |= self.schedules.join(&next.schedules);
            grown |= self.lists.join(&next.lists);
        }
        grown
    }
}

/// True for a node at which a call cannot pass from an instant to its successor within the same instant.
fn always_takes_time(node: &Node) -> bool {
    match &node.step {
        Step::Play { .. } | Step::Menu(_) | Step::Voicemail { .. } | Step::Transfer { .. } => true,
        Step::Ring(hunt) => !only_owner(hunt),
        // Whom a full line turns away passes in the same instant.
        _ => false,
    }
}

/// True for a hunt that rings whom an `owner` node found, and nobody else.
pub fn only_owner(hunt: &Hunt) -> bool {
    hunt.legs.iter().all(|leg| *leg == Leg::Owner)
}

/// What matters at each node of the company.
pub fn at_nodes(company: &Company) -> Vec<Matter> {
    let nodes = &company.nodes;
    let mut all: Vec<Matter> = nodes.iter().map(|node| Matter::own(company, node)).collect();
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (ix, node) in nodes.iter().enumerate() {
        for exit in node.exits.iter().filter(|exit| exit.to != NodeIx::NOWHERE) {
            before[exit.to.at()].push(ix);
        }
    }
    let mut open: Vec<usize> = (0..nodes.len()).collect();
    let mut waiting = vec![true; nodes.len()];
    while let Some(ix) = open.pop() {
        waiting[ix] = false;
        let matter = all[ix].clone();
        for &from in &before[ix] {
            if all[from].add(&nodes[from], &matter) && !waiting[from] {
                waiting[from] = true;
                open.push(from);
            }
        }
    }
    all
}
