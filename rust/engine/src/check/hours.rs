//! What the schedules of a company answer together, over the time to come.
//!
//! Which answers several schedules can give at one instant is read off the calendar: from now until the dates with hours
//! of their own are over and the weeks repeat. Two schedules with the same hours, one within the other, or a night
//! schedule beside a day schedule are thereby known for what they are. Every combination found has an instant that shows it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::company::version::Company;
use crate::schedule::{HORIZON_MS, Schedule};

use super::mask::Mask;

/// How far the calendar is read at most: five years.
const FURTHEST_MS: i64 = 5 * 366 * 86_400_000;

/// The answers of all schedules at one instant, by their place in the document; a schedule that no node asks counts as
/// closed.
pub type Answers = Mask;

/// Everything the schedules can answer together.
#[derive(Debug)]
pub struct Timeline {
    /// Distinct combinations, in the order of their first instant. There is at least one.
    pub answers: Vec<Answers>,
    /// From which instant on which combination holds, in order; the first is now.
    pub stretches: Vec<(i64, usize)>,
    /// The end of what was read.
    pub until_ms: i64,
}

impl Timeline {
    /// Reads the calendar of the schedules that `asked` names, from `from_ms` until the weeks repeat, and in any case
    /// until `least_ms`. Costs one look-up for each change of each schedule.
    pub fn read(company: &Company, asked: &Mask, from_ms: i64, least_ms: i64) -> Self {
        let schedules = &company.schedules;
        let special = asked.iter().filter_map(|ix| schedules[ix].1.last_special_ms()).max().unwrap_or(from_ms);
        let until_ms = special
            .max(from_ms)
            .saturating_add(HORIZON_MS)
            .min(from_ms.saturating_add(FURTHEST_MS))
            .max(least_ms)
            .max(from_ms.saturating_add(HORIZON_MS));
        let mut now = Mask::of(schedules.len(), |ix| asked.has(ix) && schedules[ix].1.at(from_ms).open);
        let mut changes = BinaryHeap::new();
        for ix in asked.iter() {
            changes.extend(next(&schedules[ix].1, from_ms, until_ms).map(|at_ms| Reverse((at_ms, ix))));
        }
        let mut line = Self { answers: Vec::new(), stretches: Vec::new(), until_ms };
        let mut known = HashMap::new();
        line.note(from_ms, &now, &mut known);
        while let Some(&Reverse((at_ms, _))) = changes.peek() {
            while let Some(&Reverse((change, ix))) = changes.peek()
                && change == at_ms
            {
                changes.pop();
                let schedule = &schedules[ix].1;
                if schedule.at(at_ms).open {
                    now.insert(ix)
                } else {
                    now.remove(ix)
                }
                changes.extend(next(schedule, at_ms, until_ms).map(|at_ms| Reverse((at_ms, ix))));
            }
            line.note(at_ms, &now, &mut known);
        }
        line
    }

    fn note(&mut self, at_ms: i64, now: &Answers, known: &mut HashMap<Answers, usize>) {
        let answers = &mut self.answers;
        let place = *known.entry(now.clone()).or_insert_with(|| {
            answers.push(now.clone());
            answers.len() - 1
        });
        self.stretches.push((at_ms, place));
    }
}

/// The schedule's next change before `until_ms`, however far that is.
fn next(schedule: &Schedule, mut from_ms: i64, until_ms: i64) -> Option<i64> {
    while from_ms < until_ms {
        if let Some(change) = schedule.next_change(from_ms) {
            return Some(change).filter(|&change| change < until_ms);
        }
        from_ms = from_ms.saturating_add(HORIZON_MS);
    }
    None
}
