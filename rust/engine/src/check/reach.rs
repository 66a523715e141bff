//! Nodes that no call can reach, and exits that no call can take.
//!
//! A node to which no exit leads, or only exits of such nodes, is unreachable: an error. A node that exits lead to which
//! can never be taken is no finding of its own; the exit is.

use crate::company::version::{Company, NodeIx, Step};
use crate::finding::{Finding, Severity};

use super::moves::always_there;
use super::space::Space;

/// Which exits calls can take, whatever scheme they began in.
pub struct Taken {
    exits: Vec<Vec<bool>>,
    reached: Vec<bool>,
}

impl Taken {
    /// Nothing is known to be taken yet.
    pub fn new(company: &Company) -> Self {
        let exits = company.nodes.iter().map(|node| vec![false; node.exits.len()]).collect();
        Self { exits, reached: vec![false; company.nodes.len()] }
    }

    /// Adds what the calls of a scheme can do.
    pub fn add(&mut self, space: &Space<'_, '_>) {
        for (at, state) in space.states() {
            self.reached[state.node.at()] = true;
            for edge in space.edges(at) {
                self.exits[state.node.at()][usize::from(edge.exit)] = true;
            }
        }
    }

    /// Can the exit be taken.
    pub fn exit(&self, node: NodeIx, place: usize) -> bool {
        self.exits[node.at()][place]
    }

    /// Can a call come to the node.
    pub fn reached(&self, node: NodeIx) -> bool {
        self.reached[node.at()]
    }
}

/// What of a scheme no call can reach or take. The scheme is one of those explored to the end.
pub fn unused(
    company: &Company,
    written: &crate::company::document::Scheme,
    scheme: usize,
    taken: &Taken,
) -> Vec<Finding> {
    let scheme = &company.schemes[scheme];
    let wired = wired(company, scheme.start);
    let mut findings = Vec::new();
    for (ix, node) in scheme.nodes.clone().map(|ix| (NodeIx(ix), &company.nodes[usize::from(ix)])) {
        let at = ["schemes", &*scheme.id, "nodes", &*node.id];
        if !wired[ix.at()] {
            findings.push(Finding::error(
                "unreachable_node",
                &at,
                "no call can reach this node: no exit leads here".into(),
            ));
            continue;
        }
        if !taken.reached(ix) {
            continue;
        }
        let is_written = |name: &str| written.nodes.get(&*node.id).is_some_and(|node| node.exits.contains_key(name));
        // Exits left out follow the first one: a call that takes them takes that.
        let follows = |place: usize| place > 0 && !is_written(&node.exits[place].name);
        for (place, exit) in node.exits.iter().enumerate().filter(|(_, exit)| is_written(&exit.name)) {
            let by_another = place == 0 && (1..node.exits.len()).any(|other| follows(other) && taken.exit(ix, other));
            let twin =
                node.exits.iter().enumerate().any(|(other, twin)| twin.name == exit.name && taken.exit(ix, other));
            if !twin && !by_another {
                let at = ["schemes", &*scheme.id, "nodes", &*node.id, "exits", &*exit.name];
                findings.push(Finding::new("exit_never_taken", Severity::Warning, &at, never(node, &exit.name)));
            }
        }
    }
    findings
}

fn never(node: &crate::company::version::Node, exit: &str) -> String {
    let why = match &node.step {
        Step::Schedule { .. } => "whenever a call comes here, the hours say otherwise",
        Step::List { .. } => "whether the caller is listed is known before a call comes here",
        Step::Region { .. } => "no caller of this region can come here",
        Step::Split { .. } => "the choice was made by the `split` before: all of a call choose alike",
        Step::Repeat { .. } => "no call passes here so often",
        Step::Queue(queue) if always_there(&queue.hunt) => "a telephone outside of the company is always there",
        Step::Ring(_) | Step::Queue(_) => "no owner can have been found when a call comes here",
        Step::Owner { .. } => "the owner is known before a call comes here, or there is nobody to be one",
        Step::History { .. } => "whether the caller called before is known before a call comes here",
        _ => "no call can leave the node this way",
    };
    format!("exit `{exit}` is never taken: {why}")
}

/// Nodes to which exits lead from a start, taken or not.
fn wired(company: &Company, start: NodeIx) -> Vec<bool> {
    let mut wired = vec![false; company.nodes.len()];
    wired[start.at()] = true;
    let mut open = vec![start];
    while let Some(at) = open.pop() {
        for exit in company.node(at).exits.iter().filter(|exit| exit.to != NodeIx::NOWHERE) {
            if !std::mem::replace(&mut wired[exit.to.at()], true) {
                open.push(exit.to);
            }
        }
    }
    wired
}
