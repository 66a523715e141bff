//! What a line promises, looked for after each deed of a day.

use std::collections::{BTreeMap, BTreeSet};

use kommutator_engine::call::state::CallState;
use kommutator_engine::company::document::Kind;
use kommutator_engine::floor::Place;
use kommutator_engine::{Action, Event};

use super::{Day, InLine, LineId, Live};

impl Day<'_> {
    /// A full line is full.
    pub(super) fn leaves(&mut self, id: &str, call: &Live, scheme: &str, node: &str, exit: &str) -> Result<(), String> {
        let Kind::Queue { max_length, .. } = self.versions[call.version].document.schemes[scheme].nodes[node].kind
        else {
            return Ok(());
        };
        if let Some(place) = ["timeout", "full", "nobody"].iter().position(|name| *name == exit) {
            self.happened.left[place] += 1;
        }
        let others = self.callers(scheme, node).into_iter().filter(|other| other != id).count();
        if exit == "full" && others < max_length as usize {
            return Err(format!("{id} is turned away from a line of {others}"));
        }
        Ok(())
    }

    pub(super) fn joins(&mut self, id: &str, in_line: &InLine) -> Result<(), String> {
        let Kind::Queue { max_length, .. } = self.queue(in_line) else { return Ok(()) };
        let callers = self.callers(&in_line.line.0, &in_line.line.1).len();
        if callers > max_length as usize {
            return Err(format!("{id} has joined a line of {callers}"));
        }
        if in_line.waits { Ok(()) } else { self.overtakes(id, in_line) }
    }

    /// Nobody whom the same people serve, who has come before and for whom no phone rings, is passed.
    pub(super) fn overtakes(&self, id: &str, in_line: &InLine) -> Result<(), String> {
        let mut known = self.calls.iter().filter(|(other, _)| !self.unheard.contains(*other));
        let passed = known.find(|(_, other)| {
            self.in_line(other).is_some_and(|other| {
                other.waits && (&other.line, other.kin) == (&in_line.line, in_line.kin) && other.place < in_line.place
            })
        });
        passed.map_or(Ok(()), |(other, _)| Err(format!("{id} is rung for, and {other}, who came before, waits")))
    }

    /// What holds whenever everybody has heard everything.
    pub(super) fn look(&mut self) -> Result<(), String> {
        self.nobody_is_rung_twice()?;
        self.lines_are_whole()?;
        let quiet = self.calls.values().all(|call| call.due_ms > self.now_ms) && self.elsewhere_ms == 0;
        for id in if quiet { self.engine.queue_heads(self.now_ms) } else { vec![] } {
            let until_ms =
                CallState::decode(&self.calls[id.as_str()].state).unwrap().hunt.map_or(0, |hunt| hunt.until_ms);
            if !self.waits_at_queue(&id) || until_ms <= self.now_ms {
                continue;
            }
            self.step(&id, &Event::EmployeeFree {})?;
            if !self.waits_at_queue(&id) {
                return Err(format!("{id} waited, and nothing had told that he need not"));
            }
        }
        Ok(())
    }

    fn nobody_is_rung_twice(&self) -> Result<(), String> {
        let mut held: BTreeMap<String, &String> = BTreeMap::new();
        for (id, call) in &self.calls {
            let of_queue = matches!(
                self.versions[call.version].document.schemes[&call.place.0].nodes[&call.place.1].kind,
                Kind::Queue { .. }
            );
            let rung: BTreeSet<String> = match &call.action {
                Action::Ring { endpoints, .. } => endpoints.iter().map(|rung| rung.endpoint.to_string()).collect(),
                Action::Talk { endpoint } => BTreeSet::from([endpoint.to_string()]),
                _ => BTreeSet::new(),
            };
            // A number of nobody's may be rung for several calls, but for queues.
            for phone in rung.into_iter().filter(|phone| of_queue || !phone.starts_with("+7495")) {
                if let Some(other) = held.insert(phone.clone(), id) {
                    return Err(format!("{phone} is with {other} and {id}"));
                }
            }
        }
        Ok(())
    }

    /// Everybody who waits stands in his line once, in the order of coming, and nobody else does.
    fn lines_are_whole(&mut self) -> Result<(), String> {
        let mut wanted: BTreeMap<LineId, Vec<(Place, String, bool)>> = BTreeMap::new();
        for (id, call) in &self.calls {
            if let Some(InLine { line, place, waits, .. }) = self.in_line(call) {
                wanted.entry(line).or_default().push((place, id.clone(), !waits));
            }
        }
        wanted.values_mut().for_each(|callers| callers.sort());
        let wanted: Vec<_> = wanted
            .into_iter()
            .map(|(line, callers)| {
                (line, callers.into_iter().map(|(_, id, ringing)| (id, ringing)).collect::<Vec<_>>())
            })
            .collect();
        let seen: Vec<_> = self
            .engine
            .queues(self.now_ms)
            .into_iter()
            .map(|view| {
                let callers = view.callers.into_iter().map(|caller| (caller.call.to_string(), caller.ringing));
                ((view.scheme.to_string(), view.node.to_string()), callers.collect::<Vec<_>>())
            })
            .collect();
        if wanted == seen { Ok(()) } else { Err(format!("lines are {seen:?}, and should be {wanted:?}")) }
    }
}
