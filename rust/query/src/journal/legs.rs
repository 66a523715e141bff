//! Every ringing of every phone of a call, and how it ended: the fold of its turns, as `kommutator.routing.record` has it.

use kommutator_engine::call::{Action, EndCause, Event};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::put;

#[derive(Clone, Debug, Default)]
pub(super) struct Legs(Vec<Leg>);

/// One ringing of one phone, by a hunt; or whoever the client was passed on to, then without a round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Leg {
    endpoint: SmolStr,
    employee: Option<SmolStr>,
    round: Option<u32>,
    /// None while it rings.
    outcome: Option<LegOutcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LegOutcome {
    Answered,
    Busy,
    Declined,
    Unavailable,
    NoAnswer,
    Cancelled,
}

impl From<EndCause> for LegOutcome {
    fn from(cause: EndCause) -> Self {
        match cause {
            EndCause::Busy => Self::Busy,
            EndCause::Declined => Self::Declined,
            EndCause::Unavailable => Self::Unavailable,
            EndCause::NoAnswer => Self::NoAnswer,
        }
    }
}

impl Legs {
    /// Those of a call that began earlier.
    pub fn restored(legs: Vec<Leg>) -> Self {
        Self(legs)
    }

    /// Notes how legs ended by an event, and which the action adds.
    pub fn settle(&mut self, event: Option<&Event>, action: &Action) {
        let mut wanted: Vec<Leg> = match action {
            Action::Ring { endpoints, round, .. } => endpoints
                .iter()
                .map(|rung| Leg::new(rung.endpoint.clone(), rung.employee.clone(), Some(*round)))
                .collect(),
            Action::Transfer { to, .. } => vec![Leg::new(to.clone(), None, None)],
            _ => Vec::new(),
        };
        let rang_out = matches!(event, Some(Event::NoAnswer { .. } | Event::Failed {}));
        let unheard = if rang_out { LegOutcome::NoAnswer } else { LegOutcome::Cancelled };
        for leg in self.0.iter_mut().filter(|leg| leg.outcome.is_none()) {
            leg.outcome = event.and_then(|event| told(event, &leg.endpoint));
            if leg.outcome.is_none() {
                match wanted.iter().position(|one| one.endpoint == leg.endpoint) {
                    Some(rings_on) => drop(wanted.remove(rings_on)),
                    None => leg.outcome = Some(unheard),
                }
            }
        }
        self.0.append(&mut wanted);
        if let Some(Event::Passed { employee, endpoint }) = event {
            let mut leg = Leg::new(endpoint.into(), employee.as_ref().map(SmolStr::from), None);
            leg.outcome = Some(LegOutcome::Answered);
            self.0.push(leg);
        }
    }

    /// Writes them as items of a list; whoever still rings at the `end` of the call is cancelled.
    pub fn write(&self, end: bool, to: &mut Vec<u8>) {
        for (place, leg) in self.0.iter().enumerate() {
            if place > 0 {
                to.push(b',');
            }
            if end && leg.outcome.is_none() {
                put(&Leg { outcome: Some(LegOutcome::Cancelled), ..leg.clone() }, to);
            } else {
                put(leg, to);
            }
        }
    }
}

impl Leg {
    fn new(endpoint: SmolStr, employee: Option<SmolStr>, round: Option<u32>) -> Self {
        Self { endpoint, employee, round, outcome: None }
    }
}

/// What an event says of a phone that rings.
fn told(event: &Event, phone: &str) -> Option<LegOutcome> {
    match event {
        Event::Transferred {} => Some(LegOutcome::Answered),
        Event::Answered { endpoint } => (endpoint == phone).then_some(LegOutcome::Answered),
        Event::NoAnswer { ended } | Event::Busy { ended } | Event::Unavailable { ended } => {
            ended.iter().rfind(|each| each.endpoint == phone).map(|each| each.cause.into())
        }
        _ => None,
    }
}
