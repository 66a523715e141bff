//! Whether every call ends, and how long the longest lasts.

use std::collections::HashSet;

use crate::company::version::{NodeIx, Step};

use super::moves::farewell_ms;
use super::space::{Space, Way};

/// Sets of states that lead to one another, each after all that it leads to.
///
/// Tarjan's algorithm (R. Tarjan, Depth-first search and linear graph algorithms, 1972) without recursion.
struct Components {
    all: Vec<Vec<usize>>,
}

impl Components {
    fn of(space: &Space<'_, '_>) -> Self {
        const UNSEEN: u32 = u32::MAX;
        let mut index = vec![UNSEEN; space.len()];
        let mut low = vec![0_u32; space.len()];
        let mut on_stack = vec![false; space.len()];
        let mut stack = Vec::new();
        let mut all = Vec::new();
        let mut count = 0;
        // Every state can be come to from the first.
        let mut calls = vec![(0_usize, 0_usize)];
        while let Some((at, next)) = calls.pop() {
            if next == 0 {
                (index[at], low[at]) = (count, count);
                count += 1;
                stack.push(at);
                on_stack[at] = true;
            }
            let mut deeper = None;
            for (place, edge) in space.edges(at).iter().enumerate().skip(next) {
                let to = edge.to as usize;
                if index[to] == UNSEEN {
                    deeper = Some((place, to));
                    break;
                }
                if on_stack[to] {
                    low[at] = low[at].min(index[to]);
                }
            }
            if let Some((place, to)) = deeper {
                calls.push((at, place + 1));
                calls.push((to, 0));
                continue;
            }
            if low[at] == index[at] {
                let from = stack.iter().rposition(|&member| member == at).unwrap_or(0);
                let members = stack.split_off(from);
                members.iter().for_each(|&member| on_stack[member] = false);
                all.push(members);
            }
            if let Some(&(above, _)) = calls.last() {
                low[above] = low[above].min(low[at]);
            }
        }
        Self { all }
    }
}

/// A cycle and the way there.
pub struct Round {
    /// The moves before the cycle.
    pub into: Way,
    /// The moves once round; at least one.
    pub cycle: Way,
}

/// How calls of a scheme end.
pub struct Course {
    /// Cycles in which a call can go round for ever, those nearest to the start first. No two have a node in common.
    pub rounds: Vec<Round>,
    /// The longest until the call ends or is answered, milliseconds; `None` where it need not end.
    pub longest_ms: Option<u64>,
    /// The most nodes between two actions, the second one's node among them, and the state at which they begin; `None`
    /// where the call need not end.
    pub longest_run: Option<(usize, usize)>,
}

impl Course {
    /// Follows every call of a space to its end.
    pub fn of(space: &Space<'_, '_>) -> Self {
        let components = Components::of(space);
        let mut looping: Vec<&Vec<usize>> = components.all.iter().filter(|members| is_cycle(space, members)).collect();
        if looping.is_empty() {
            let (longest_ms, longest_run) = longest(space, &components);
            return Self { rounds: Vec::new(), longest_ms: Some(longest_ms), longest_run: Some(longest_run) };
        }
        looping.sort_by_key(|members| members.iter().min());
        let mut nodes: Vec<NodeIx> = Vec::new();
        let mut rounds = Vec::new();
        for members in looping {
            let Some(round) = round(space, members) else { continue };
            let own: Vec<NodeIx> = round.cycle.iter().map(|&(at, _)| space.state(at).node).collect();
            if !own.iter().any(|node| nodes.contains(node)) {
                nodes.extend(own);
                rounds.push(round);
            }
        }
        Self { rounds, longest_ms: None, longest_run: None }
    }
}

fn is_cycle(space: &Space<'_, '_>, members: &[usize]) -> bool {
    members.len() > 1 || space.edges(members[0]).iter().any(|edge| edge.to as usize == members[0])
}

/// The way into a cycle by its state nearest to the start, and the shortest way once round.
fn round(space: &Space<'_, '_>, members: &[usize]) -> Option<Round> {
    let inside: HashSet<usize> = members.iter().copied().collect();
    let entry = members.iter().copied().min()?;
    let (mut cycle, _) = space.onward(entry, |at| inside.contains(&at), |at| at == entry)?;
    let mut into = space.way_to(entry);
    // What was learnt on the first round makes its states others than those of all later ones. The round is the same.
    let alike = |&(one, exit): &(usize, u16), &(other, same): &(usize, u16)| {
        space.state(one).node == space.state(other).node && exit == same
    };
    while let (Some(last), Some(end)) = (into.last(), cycle.last())
        && alike(last, end)
    {
        into.pop();
        cycle.rotate_right(1);
    }
    Some(Round { into, cycle })
}

/// The longest time from the first state, and the longest run of nodes without an action.
fn longest(space: &Space<'_, '_>, components: &Components) -> (u64, (usize, usize)) {
    let mut ms = vec![0_u64; space.len()];
    let mut run = vec![0_usize; space.len()];
    let mut longest_run = (0, 0);
    for &at in components.all.iter().flatten() {
        let onward = space.edges(at).iter().map(|edge| edge.ms + ms[edge.to as usize]).max();
        ms[at] = onward.unwrap_or(0) + farewell_ms(space.world, space.state(at));
        run[at] = 1 + space
            .edges(at)
            .iter()
            .filter(|edge| edge.ms == 0 && !matches!(space.step(at), Step::Play { .. }))
            .map(|edge| run[edge.to as usize])
            .max()
            .unwrap_or(0);
        if run[at] > longest_run.0 {
            longest_run = (run[at], at);
        }
    }
    (ms[0], longest_run)
}
