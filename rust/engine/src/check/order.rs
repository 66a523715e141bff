//! Things done in an order that is probably not meant.

use std::collections::HashSet;

use crate::company::version::{Company, ListIx, Message, NodeIx, Notice, Recipient, Step, exit};
use crate::finding::{Finding, PathStep, Severity};

use super::moves::waits;
use super::reach::Taken;
use super::say;
use super::space::{Space, Way};

/// Hunts after which a call comes to the first schedule of its way.
pub fn rung_before_hours(space: &Space<'_, '_>) -> Vec<Finding> {
    let rings = |at: usize| {
        matches!(space.step(at), Step::Ring(_) | Step::Queue(_)) && waits(space.world, &space.notes, space.state(at))
    };
    let mut findings = Vec::new();
    let mut seen: HashSet<NodeIx> = HashSet::new();
    let step = |at: usize, _, rung: bool| (!matches!(space.step(at), Step::Schedule { .. })).then(|| rung || rings(at));
    space.search(false, step, |at, rung, way| {
        if !rung || !matches!(space.step(at), Step::Schedule { .. }) {
            return;
        }
        let way = way();
        let Some(ring) = way.iter().map(|&(at, _)| at).find(|&at| rings(at)) else { return };
        if seen.insert(space.state(ring).node) {
            let steps = space.steps(&way, at);
            let message = format!("a person is rung before the hours are asked: {}", say::way(&steps));
            findings.push(warning("rung_before_hours", space, ring, message, steps));
        }
    });
    findings
}

/// SMS to callers whom a list turns away.
pub fn sms_to_blocked(space: &Space<'_, '_>) -> Vec<Finding> {
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    enum Asked {
        NotYet,
        OnIt,
    }
    let company = space.world.company;
    let mut findings: Vec<Finding> = Vec::new();
    let mut seen: HashSet<NodeIx> = HashSet::new();
    if !company.nodes.iter().any(|node| is_card(&node.step)) {
        return findings;
    }
    for (list, gates) in blocking(company) {
        let asks = |at: usize| matches!(space.step(at), Step::List { lists } if lists.contains(&list));
        let step = |at: usize, taken: u16, asked: Asked| match (asks(at), usize::from(taken) == exit::MATCH) {
            (true, false) if asked == Asked::NotYet => None,
            (true, true) if gates.contains(&space.state(at).node) => Some(Asked::OnIt),
            _ => Some(asked),
        };
        space.search(Asked::NotYet, step, |at, asked, way| {
            let node = space.state(at).node;
            if !is_card(space.step(at)) || seen.contains(&node) {
                return;
            }
            let list = &company.list_ids[list.at()];
            let (steps, words) = match asked {
                Asked::OnIt => (space.steps(&way(), at), format!("a caller who is on list `{list}`")),
                Asked::NotYet => {
                    let Some((onward, end)) = space.onward(at, |_| true, asks) else { return };
                    let way: Way = way().into_iter().chain(onward).collect();
                    (space.steps(&way, end), format!("a caller before list `{list}` is asked, which turns him away"))
                }
            };
            seen.insert(node);
            let message = format!("an SMS is sent to {words}: {}", say::way(&steps));
            findings.push(warning("sms_to_blocked", space, at, message, steps));
        });
    }
    findings
}

fn is_card(step: &Step) -> bool {
    matches!(step, Step::Notice(Notice::Sms(Message { to: Recipient::Caller, .. })))
}

/// Lists whose `match` leads, somewhere, to nothing but a hang-up, in order, with the nodes where it does.
fn blocking(company: &Company) -> Vec<(ListIx, HashSet<NodeIx>)> {
    let mut all: Vec<(ListIx, HashSet<NodeIx>)> = Vec::new();
    for (ix, node) in company.nodes.iter().enumerate() {
        let Step::List { lists } = &node.step else { continue };
        if !turns_away(company, node.exits[exit::MATCH].to) {
            continue;
        }
        for &list in lists {
            match all.iter_mut().find(|(known, _)| *known == list) {
                Some((_, gates)) => {
                    gates.insert(NodeIx(ix as u16));
                }
                None => all.push((list, HashSet::from([NodeIx(ix as u16)]))),
            }
        }
    }
    all
}

/// True when no call from this node on is rung through, given away or recorded.
fn turns_away(company: &Company, from: NodeIx) -> bool {
    let mut seen = HashSet::from([from]);
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if at == NodeIx::NOWHERE {
            return false;
        }
        let node = company.node(at);
        if matches!(
            node.step,
            Step::Ring(_) | Step::Queue(_) | Step::Transfer { .. } | Step::Voicemail { .. } | Step::Hole
        ) {
            return false;
        }
        open.extend(node.exits.iter().map(|exit| exit.to).filter(|&to| seen.insert(to)));
    }
    true
}

/// Announcements after which every call hears another at once.
pub fn greeting_twice(company: &Company, taken: &Taken) -> Vec<NodeIx> {
    let plays = |at: NodeIx| matches!(company.node(at).step, Step::Play { .. });
    let all = (0..company.nodes.len() as u16).map(NodeIx).filter(|&at| plays(at) && taken.reached(at));
    all.filter(|&from| {
        let mut seen = HashSet::from([from]);
        let mut open = vec![from];
        let mut another = false;
        while let Some(at) = open.pop() {
            let exits = company.node(at).exits.iter().enumerate();
            for (_, way) in exits.filter(|&(place, _)| taken.exit(at, place)) {
                match &company.node(way.to).step {
                    Step::Play { .. } if way.to != from => another = true,
                    step if passes_at_once(step) => {
                        if seen.insert(way.to) {
                            open.push(way.to);
                        }
                    }
                    _ => return false,
                }
            }
        }
        another
    })
    .collect()
}

/// The shortest way to an announcement and on to the next.
pub fn greeting_after(space: &Space<'_, '_>, greeting: NodeIx) -> Option<Finding> {
    let (at, _) = space.states().find(|(_, state)| state.node == greeting)?;
    let is_play = |at: usize| matches!(space.step(at), Step::Play { .. });
    let (onward, end) = space.onward(at, |at| passes_at_once(space.step(at)), is_play)?;
    let steps = space.steps(&space.way_to(at).into_iter().chain(onward).collect::<Way>(), end);
    let message = format!("a greeting plays to a caller who is about to hear another: {}", say::way(&steps));
    Some(warning("greeting_twice", space, at, message, steps))
}

fn passes_at_once(step: &Step) -> bool {
    matches!(
        step,
        Step::Schedule { .. }
            | Step::List { .. }
            | Step::Region { .. }
            | Step::Repeat { .. }
            | Step::Notice(_)
            | Step::Split { .. }
            | Step::Tag { .. }
            | Step::Jump
    )
}

fn warning(code: &'static str, space: &Space<'_, '_>, at: usize, message: String, steps: Vec<PathStep>) -> Finding {
    let company = space.world.company;
    let node = company.node(space.state(at).node);
    let scheme = &company.schemes[node.scheme.at()].id;
    Finding::new(code, Severity::Warning, &["schemes", scheme, "nodes", &node.id], message).along(steps)
}
