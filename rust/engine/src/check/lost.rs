//! Calls that end with nobody having spoken with the caller, nothing recorded and nobody told.

use std::collections::HashMap;

use crate::company::version::{NodeIx, SchemeIx, Step};
use crate::finding::{Finding, PathStep, Severity};

use super::moves::waits;
use super::say;
use super::space::Space;

/// Every `hangup` to which a call can come with nothing left behind, and every scheme whose `abandoned` tells nobody of a
/// caller who hangs up.
pub fn lost(space: &Space<'_, '_>) -> Vec<Finding> {
    let company = space.world.company;
    let mut findings = Vec::new();
    let mut ends: Vec<NodeIx> = Vec::new();
    let mut silent: Vec<SchemeIx> = Vec::new();
    for (at, state) in space.states().filter(|(_, state)| !state.told) {
        let node = company.node(state.node);
        let scheme = &company.schemes[node.scheme.at()];
        if is_loss(space, at) && !node.allow_lost && !state.informed && !ends.contains(&state.node) {
            ends.push(state.node);
            let steps = space.steps(&space.way_to(at), at);
            let message = format!(
                "a call can be lost: it ends here with nobody having answered, nothing recorded and nobody told, by {}",
                say::way(&steps)
            );
            findings
                .push(Finding::error("lost_call", &["schemes", &scheme.id, "nodes", &node.id], message).along(steps));
        }
        let deaf = scheme.abandoned.as_ref().is_some_and(|all| !all.iter().any(|notice| notice.tells_somebody()));
        if deaf && !silent.contains(&node.scheme) && waits(space.world, &space.notes, state) {
            silent.push(node.scheme);
            let steps = space.steps(&space.way_to(at), at);
            let message = format!(
                "a caller who hangs up at `{}` is lost: `abandoned` tells nobody of the company; come there by {}",
                node.id,
                say::way(&steps)
            );
            findings
                .push(Finding::error("lost_on_hangup", &["schemes", &scheme.id, "abandoned"], message).along(steps));
        }
    }
    findings
}

/// The shortest way of a call that ends with the loss that a node allows, by node.
pub fn allowed(space: &Space<'_, '_>) -> HashMap<NodeIx, Vec<PathStep>> {
    let company = space.world.company;
    let mut ways: HashMap<NodeIx, Vec<PathStep>> = HashMap::new();
    if !company.nodes.iter().any(|node| node.allow_lost) {
        return ways;
    }
    // What was heard last stands until the next announcement or hunt.
    let heard = |at: usize, _, last: Option<NodeIx>| {
        let node = space.state(at).node;
        Some(match space.step(at) {
            Step::Play { .. } => Some(node).filter(|&node| company.node(node).allow_lost),
            Step::Ring(_) | Step::Queue(_) => None,
            _ => last,
        })
    };
    space.search(None, heard, |at, last, way| {
        if is_loss(space, at) {
            let own = Some(space.state(at).node).filter(|&node| company.node(node).allow_lost);
            for node in last.into_iter().chain(own) {
                ways.entry(node).or_insert_with(|| space.steps(&way(), at));
            }
        }
    });
    ways
}

/// The note of an allowed loss.
pub fn allowed_loss(scheme: &str, node: &str, reason: &str) -> Finding {
    let message = format!("a call may end with this announcement and nobody told: {reason}");
    Finding::new("allowed_loss", Severity::Note, &["schemes", scheme, "nodes", node, "allow_lost"], message)
}

/// True where a call ends that has left nothing behind, allowed or not.
fn is_loss(space: &Space<'_, '_>, at: usize) -> bool {
    !space.state(at).told && matches!(space.step(at), Step::Hangup { .. })
}
