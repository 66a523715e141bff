//! The check of a company document: faults of shape and reference, and proofs about every call there can be.
//!
//! A proof walks the whole finite space of what a call can be at a node (see `state`): exactly the calls that the engine
//! can be brought to, by the caller, the phones, the clock, changes of lists and what is remembered of callers. Each scheme
//! is walked from its own start, also one that no number leads to, on through other schemes.

mod callers;
mod coverage;
mod cycles;
mod hours;
mod lost;
mod mask;
mod matter;
mod moves;
mod order;
mod reach;
mod say;
mod space;
mod state;

use std::collections::HashMap;

use indexmap::{IndexMap, IndexSet};
use serde::{Serialize, Serializer};

use crate::call::MAX_NODES_A_TURN;
use crate::company::version::{Company, NodeIx, SchemeIx};
use crate::company::{Compiled, Document, compile};
use crate::finding::{Finding, PathStep, Severity};

use cycles::Course;
use reach::Taken;
use space::{MOST_STATES, Space};
use state::World;

/// The most states of all schemes' calls together. With them one check takes seconds.
const MOST_STATES_IN_ALL: usize = 5_000_000;

/// What the check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Findings in the document's order.
    pub findings: Vec<Finding>,
    /// The schemes by id.
    pub schemes: IndexMap<String, SchemeReport>,
}

/// What is proven of a scheme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SchemeReport {
    /// The longest possible time until a call ends or is answered, seconds; `None` when it is unbounded or the scheme has
    /// faults that keep it from being proven.
    #[serde(serialize_with = "whole")]
    pub longest_seconds: Option<f64>,
}

/// Writes a whole number of seconds as an integer.
fn whole<S: Serializer>(seconds: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    match seconds {
        Some(seconds) if seconds.fract() == 0.0 => to.serialize_some(&(*seconds as u64)),
        seconds => seconds.serialize(to),
    }
}

impl Report {
    /// True when nothing keeps the company from being run.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}

/// Checks a document for calls that come at `from_ms` or later, in milliseconds of UTC since the epoch.
///
/// Time and memory are bounded: a scheme with more states than can be walked is refused as `too_complex`.
#[must_use]
pub fn check(document: &Document, from_ms: i64) -> Report {
    check_compiled(document, &compile(document), from_ms)
}

/// The same for a document that is compiled already.
#[must_use]
pub fn check_compiled(document: &Document, compiled: &Compiled, from_ms: i64) -> Report {
    let Compiled { company, findings } = compiled;
    let findings = findings.clone();
    let until_ms = coverage::twelve_months(company, from_ms);
    let world = World::new(document, company, from_ms, until_ms);
    let (taken, proven, cycles) = (Taken::new(company), Vec::new(), Vec::new());
    let mut proof = Proof { document, world: &world, taken, proven, cycles, findings };
    let mut schemes = IndexMap::new();
    let mut left = MOST_STATES_IN_ALL;
    let mut losses = Losses::new();
    for (ix, id) in document.schemes.keys().enumerate() {
        let longest_ms = proof.scheme(ix, id, &mut left, &mut losses);
        schemes.insert(id.clone(), SchemeReport { longest_seconds: longest_ms.map(|ms| ms as f64 / 1000.0) });
    }
    proof.allowed_losses(&losses);
    if proof.proven.iter().zip(&company.schemes).all(|(proven, scheme)| *proven || !scheme.sound) {
        proof.everything((from_ms, until_ms));
    }
    Report { findings: ordered(document, proof.findings), schemes }
}

/// The shortest way of a call that ends with the loss that a node allows, by node.
type Losses = HashMap<NodeIx, Vec<PathStep>>;

/// A check at work.
struct Proof<'a, 'c> {
    document: &'a Document,
    world: &'a World<'c>,
    taken: Taken,
    /// By scheme: every call of it was followed.
    proven: Vec<bool>,
    /// Cycles reported, each once round.
    cycles: Vec<Vec<PathStep>>,
    findings: Vec<Finding>,
}

impl<'c> Proof<'_, 'c> {
    /// Proves a scheme. The longest time of its calls, milliseconds.
    fn scheme(&mut self, ix: usize, id: &str, left: &mut usize, losses: &mut Losses) -> Option<u64> {
        self.proven.push(false);
        let scheme = self.company().schemes.get(ix).filter(|scheme| scheme.sound)?;
        let most = MOST_STATES.min(*left);
        let explored = Space::explore(self.world, scheme.start, most);
        *left -= explored.as_ref().map_or(most, |space| space.len().min(most));
        let Some(space) = explored else {
            let message = if most < MOST_STATES {
                format!(
                    "calls of this scheme and those before it can be in more than {MOST_STATES_IN_ALL} different states"
                )
            } else {
                format!("calls of this scheme can be in more than {MOST_STATES} different states")
            };
            let remedy = "that cannot be proven; fewer or smaller `repeat`s on one way help most";
            self.findings.push(Finding::error("too_complex", &["schemes", id], format!("{message}: {remedy}")));
            return None;
        };
        self.proven[ix] = true;
        self.taken.add(&space);
        let course = Course::of(&space);
        self.endless(&space, &course);
        self.runaway(&space, &course);
        for finding in lost::lost(&space) {
            self.shortest(finding);
        }
        for (node, steps) in lost::allowed(&space) {
            if losses.get(&node).is_none_or(|known| steps.len() < known.len()) {
                losses.insert(node, steps);
            }
        }
        for finding in order::rung_before_hours(&space).into_iter().chain(order::sms_to_blocked(&space)) {
            self.shortest(finding);
        }
        course.longest_ms
    }

    fn company(&self) -> &'c Company {
        self.world.company
    }

    /// Reports cycles of which no node is on a cycle reported already.
    fn endless(&mut self, space: &Space<'_, '_>, course: &Course) {
        for round in &course.rounds {
            let way: Vec<_> = round.into.iter().chain(&round.cycle).copied().collect();
            let steps = space.steps(&way, round.cycle[0].0);
            let Some(last) = steps.last() else { continue };
            let cycle = &steps[round.into.len()..];
            if self.cycles.iter().flatten().any(|known| cycle.iter().any(|step| same_node(step, known))) {
                continue;
            }
            self.cycles.push(cycle.to_vec());
            let message = format!("a call can go round for ever: {}; no `repeat` ends it", say::way(&steps));
            let at = ["schemes", &*last.scheme, "nodes", &*last.node];
            self.findings.push(Finding::error("unbounded_cycle", &at, message).along(steps));
        }
    }

    /// Refuses more nodes between two actions than the engine passes in one turn.
    fn runaway(&mut self, space: &Space<'_, '_>, course: &Course) {
        // The last of a turn's rounds is the action itself.
        let Some((nodes, at)) = course.longest_run.filter(|&(nodes, _)| nodes >= MAX_NODES_A_TURN) else { return };
        let node = self.company().node(space.state(at).node);
        let scheme = &self.company().schemes[node.scheme.at()].id;
        let message = format!(
            "a call can pass {nodes} nodes from here on without anything happening; the most in one turn is {}",
            MAX_NODES_A_TURN - 1
        );
        self.shortest(Finding::error("too_complex", &["schemes", scheme, "nodes", &node.id], message));
    }

    /// Adds a finding, or shortens the way of the same one.
    fn shortest(&mut self, finding: Finding) {
        let same = |known: &&mut Finding| {
            (known.code, &known.scheme, &known.node) == (finding.code, &finding.scheme, &finding.node)
        };
        match self.findings.iter_mut().find(same) {
            Some(known) if finding.steps.len() < known.steps.len() => *known = finding,
            Some(_) => {}
            None => self.findings.push(finding),
        }
    }

    /// Lists what the document allows to be lost, sound or not.
    fn allowed_losses(&mut self, losses: &Losses) {
        for scheme in &self.company().schemes {
            for ix in scheme.nodes.clone() {
                let node = &self.company().nodes[usize::from(ix)];
                let written = self.document.schemes.get(&*scheme.id).and_then(|scheme| scheme.nodes.get(&*node.id));
                let Some(reason) = written.and_then(|node| node.allow_lost.as_ref()).filter(|_| scheme.sound) else {
                    continue;
                };
                let steps = losses.get(&NodeIx(ix)).cloned().unwrap_or_default();
                self.findings.push(lost::allowed_loss(&scheme.id, &node.id, reason).along(steps));
            }
        }
    }

    /// Reports announcements that another follows at once.
    fn greetings(&mut self) {
        let mut left = order::greeting_twice(self.company(), &self.taken);
        // Seldom are there any: the spaces are walked again rather than kept. A scheme's own calls come to its nodes first.
        let own = |node: &NodeIx| self.company().node(*node).scheme.at();
        let mut schemes: Vec<usize> = left.iter().map(own).collect();
        schemes.extend(0..self.company().schemes.len());
        for ix in schemes.into_iter().collect::<IndexSet<_>>() {
            if left.is_empty() {
                return;
            }
            let start = self.company().schemes[ix].start;
            let Some(space) = Space::explore(self.world, start, MOST_STATES).filter(|_| self.proven[ix]) else {
                continue;
            };
            left.retain(|&node| match order::greeting_after(&space, node) {
                Some(finding) => {
                    self.findings.push(finding);
                    false
                }
                None => true,
            });
        }
    }

    /// What can be said only once every scheme is known.
    fn everything(&mut self, months: (i64, i64)) {
        let company = self.company();
        for (ix, written) in self.document.schemes.values().enumerate().filter(|&(ix, _)| self.proven[ix]) {
            self.findings.extend(reach::unused(company, written, ix, &self.taken));
        }
        self.greetings();
        let proven = |scheme: SchemeIx| self.proven[scheme.at()];
        let warnings = coverage::nobody_reachable(self.world, self.document, &self.taken, proven, months);
        self.findings.extend(warnings);
    }
}

fn same_node(one: &PathStep, other: &PathStep) -> bool {
    (&one.scheme, &one.node) == (&other.scheme, &other.node)
}

/// Findings by their place in the document; those of one place as they were found.
fn ordered(document: &Document, mut findings: Vec<Finding>) -> Vec<Finding> {
    const SECTIONS: [&str; 11] = [
        "company",
        "employees",
        "departments",
        "service_types",
        "groups",
        "schedules",
        "lists",
        "regions",
        "prompts",
        "templates",
        "numbers",
    ];
    let place = |finding: &Finding| {
        let at: Vec<&str> = finding.at.iter().map(String::as_str).collect();
        let section = at
            .first()
            .map_or(0, |first| SECTIONS.iter().position(|section| section == first).unwrap_or(SECTIONS.len()));
        let item = match at.as_slice() {
            ["employees", id, ..] => document.employees.get_index_of(*id),
            ["departments", id, ..] => document.departments.get_index_of(*id),
            ["service_types", id, ..] => document.service_types.get_index_of(*id),
            ["groups", id, ..] => document.groups.get_index_of(*id),
            ["schedules", id, ..] => document.schedules.get_index_of(*id),
            ["lists", id, ..] => document.lists.get_index_of(*id),
            ["regions", id, ..] => document.regions.get_index_of(*id),
            ["prompts", id, ..] => document.prompts.get_index_of(*id),
            ["templates", id, ..] => document.templates.get_index_of(*id),
            ["numbers", id, ..] => document.numbers.get_index_of(*id),
            ["schemes", id, ..] => document.schemes.get_index_of(*id),
            _ => None,
        };
        let node = match at.as_slice() {
            ["schemes", id, "nodes", node, ..] => {
                document.schemes.get(*id).and_then(|scheme| scheme.nodes.get_index_of(*node)).map(|ix| ix + 1)
            }
            _ => None,
        };
        (section, item, node)
    };
    findings.sort_by_cached_key(place);
    findings
}
