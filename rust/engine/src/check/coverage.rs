//! Minutes at which a call to a number can neither reach anybody nor be recorded.

use std::collections::HashMap;

use jiff::{Span, Timestamp};

use crate::company::document::Document;
use crate::company::version::{Company, NodeIx, SchemeIx, Step, exit};
use crate::finding::{Finding, Severity};

use super::hours::Answers;
use super::reach::Taken;
use super::say;
use super::state::World;

/// Intervals written out in a message.
const WRITTEN: usize = 3;

const YEAR_MS: i64 = 365 * 86_400_000;

/// The end of the twelve months from an instant, in the company's zone.
pub fn twelve_months(company: &Company, from_ms: i64) -> i64 {
    let zoned = Timestamp::from_millisecond(from_ms).map(|from| from.to_zoned(company.zone.clone()));
    let end = zoned.and_then(|from| from.checked_add(Span::new().years(1)));
    end.map_or(from_ms.saturating_add(YEAR_MS), |end| end.timestamp().as_millisecond())
}

/// A warning for each number at which there are such minutes from `from_ms` to `until_ms`.
pub fn nobody_reachable(
    world: &World<'_>,
    document: &Document,
    taken: &Taken,
    proven: impl Fn(SchemeIx) -> bool,
    (from_ms, until_ms): (i64, i64),
) -> Vec<Finding> {
    let company = world.company;
    let mut known: HashMap<usize, Vec<(i64, i64)>> = HashMap::new();
    let mut findings = Vec::new();
    for (number, line) in &document.numbers {
        let Some(scheme) = document.schemes.get_index_of(&line.scheme) else { continue };
        if !proven(SchemeIx(scheme as u16)) {
            continue;
        }
        let start = company.schemes[scheme].start;
        let intervals = known.entry(scheme).or_insert_with(|| deaf(world, taken, start, until_ms));
        if intervals.is_empty() {
            continue;
        }
        let shown = intervals
            .iter()
            .take(WRITTEN)
            .map(|&(from, to)| format!("{} to {}", say::moment(from, &company.zone), say::moment(to, &company.zone)));
        let shown = shown.collect::<Vec<_>>().join(", ");
        let more = intervals.len().saturating_sub(WRITTEN);
        let message = if intervals.as_slice() == [(from_ms, until_ms)] {
            "a call to this number can never ring anybody nor leave a message".to_owned()
        } else if more == 0 {
            format!("nobody can be rung and nothing recorded: {shown}")
        } else {
            format!("nobody can be rung and nothing recorded: {shown} and {more} more in the coming twelve months")
        };
        let mut finding = Finding::new("nobody_reachable", Severity::Warning, &["numbers", number], message);
        finding.intervals.clone_from(intervals);
        findings.push(finding);
    }
    findings
}

/// The stretches of time, those that touch joined, at which calls from a node neither ring nor record.
fn deaf(world: &World<'_>, taken: &Taken, start: NodeIx, until_ms: i64) -> Vec<(i64, i64)> {
    let line = &world.timeline;
    let mut hears: Vec<Option<bool>> = vec![None; line.answers.len()];
    let mut intervals: Vec<(i64, i64)> = Vec::new();
    for (place, &(from, answers)) in line.stretches.iter().enumerate() {
        let to = line.stretches.get(place + 1).map_or(line.until_ms, |next| next.0).min(until_ms);
        if from >= to {
            continue;
        }
        if *hears[answers].get_or_insert_with(|| hears_at(world, taken, start, &line.answers[answers])) {
            continue;
        }
        match intervals.last_mut() {
            Some(last) if last.1 == from => last.1 = to,
            _ => intervals.push((from, to)),
        }
    }
    intervals
}

/// True when a call can ring somebody, be given away or leave a message while the schedules answer so.
fn hears_at(world: &World<'_>, taken: &Taken, start: NodeIx, answers: &Answers) -> bool {
    let company = world.company;
    let mut seen = vec![false; company.nodes.len()];
    seen[start.at()] = true;
    let mut open = vec![start];
    while let Some(at) = open.pop() {
        let node = company.node(at);
        let hears = match &node.step {
            Step::Voicemail { .. } | Step::Transfer { .. } => true,
            Step::Ring(_) => taken.exit(at, exit::NO_ANSWER),
            Step::Queue(_) => taken.exit(at, exit::TIMEOUT),
            _ => false,
        };
        if hears {
            return true;
        }
        for (place, way) in node.exits.iter().enumerate() {
            let now = match node.step {
                Step::Schedule { schedule } => (place == exit::OPEN) == answers.has(schedule.at()),
                _ => taken.exit(at, place),
            };
            if now && !std::mem::replace(&mut seen[way.to.at()], true) {
                open.push(way.to);
            }
        }
    }
    false
}
