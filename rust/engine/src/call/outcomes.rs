//! What is known of a call that was, as the world of a walk: so that another version can be asked what it would have made
//! of the same caller, the same people and the same luck.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::company::version::{Company, NodeIx};

use super::decision::Taken;
use super::event::{EndCause, Ended, Event};
use super::said::{Phones, Said};
use super::turn::Action;
use super::walk::{At, Happened, World};

/// After so many actions a call is not followed any further: its scheme asks again and again what has one answer.
pub const MOST_ACTIONS: usize = 1_000;

/// How a phone dealt with the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Fate {
    Answered,
    Busy,
    Declined,
    Unavailable,
    NoAnswer,
}

/// What the people of a call did, whatever they were asked.
///
/// - The caller presses `digits`, one input a menu's offer, the empty one being silence, and nothing after the last.
/// - A phone does what it did: it answers whenever it rings, or does not. One that is not named does not answer, and a
///   transfer to one fails.
/// - A message is `message_s` long.
/// - Look-ups answer what they did, and fail where they were not asked: `owner` is empty for nobody's client.
/// - A caller with `patience_ms` hangs up after that time.
///
/// Announcements, rounds that nobody answers, silence, messages and waits take the time that they are long; pressing, looking
/// up and answering take none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outcomes {
    /// See above.
    pub digits: Vec<String>,
    /// By address.
    pub phones: HashMap<SmolStr, Fate>,
    /// Seconds.
    pub message_s: f64,
    /// An employee's id.
    pub owner: Option<String>,
    /// Whether the number had called before.
    pub called_before: Option<bool>,
    /// Milliseconds from the arrival.
    pub patience_ms: Option<u64>,
}

/// A call walked through, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Walked {
    /// The nodes passed, from the first.
    pub path: Vec<Taken>,
    /// What the PBX would do, from the first to the `end`, which is missing where the call was not followed so far. What only
    /// a call has is empty: a recording's name, the number of a look-up.
    pub actions: Vec<Action>,
}

/// The world of these outcomes, which writes the walk down.
pub(crate) struct Outcome<'o> {
    company: &'o Company,
    outcomes: &'o Outcomes,
    over_ms: i64,
    pressed: usize,
    event: Event,
    walked: Walked,
}

impl<'o> Outcome<'o> {
    /// Of a call that arrives at `at_ms`.
    pub fn new(company: &'o Company, outcomes: &'o Outcomes, at_ms: i64) -> Self {
        let over_ms = outcomes.patience_ms.map_or(i64::MAX, |patience| at_ms.saturating_add_unsigned(patience));
        Self { company, outcomes, over_ms, pressed: 0, event: Event::HungUp {}, walked: Walked::default() }
    }

    /// What was written down.
    pub fn walked(self) -> Walked {
        self.walked
    }

    /// What happens then, and how long it takes.
    fn next(&mut self, said: &Said<'_>) -> (Event, u64) {
        let known = self.outcomes;
        match *said {
            Said::Play { prompt } => (Event::Played {}, prompt.ms),
            Said::Menu { menu, prompt, notice } => {
                let spoken = prompt.ms + notice.map_or(0, |notice| notice.ms);
                self.pressed += 1;
                match known.digits.get(self.pressed - 1).filter(|digits| !digits.is_empty()) {
                    Some(digits) => (Event::Digits { digits: digits.clone() }, spoken),
                    None => (Event::NoInput {}, spoken + menu.ms),
                }
            }
            Said::Ring { phones, ms, .. } => self.rung(&phones, ms),
            Said::Wait { ms, .. } => (Event::Waited {}, ms),
            Said::Queue { phones, ms, .. } => match self.answered(&phones) {
                Some(endpoint) => (Event::Answered { endpoint }, 0),
                None => (Event::NoAnswer { ended: Vec::new() }, ms),
            },
            Said::Record { prompt, .. } => {
                (Event::Recorded { seconds: known.message_s }, prompt.ms + (known.message_s * 1000.0) as u64)
            }
            Said::FindOwner { .. } => match known.owner.as_deref() {
                Some("") => (Event::NoOwner {}, 0),
                Some(owner) => (Event::Owner { employee: owner.to_owned() }, 0),
                None => (Event::Failed {}, 0),
            },
            Said::FindHistory { .. } => match known.called_before {
                Some(true) => (Event::CalledBefore {}, 0),
                Some(false) => (Event::NeverCalled {}, 0),
                None => (Event::Failed {}, 0),
            },
            Said::Transfer { to, ms } => match self.fate(&to.address()) {
                Fate::Answered => (Event::Transferred {}, 0),
                _ => (Event::Failed {}, ms),
            },
            Said::Talk { .. } => (Event::ConversationEnded {}, 0),
            // However long it is: the scheme has ended.
            Said::HangUp { .. } | Said::End { .. } => (Event::HungUp {}, 0),
        }
    }

    /// A round is over when somebody answers, or when nobody rings any more.
    fn rung(&self, phones: &Phones<'_>, ms: u64) -> (Event, u64) {
        if let Some(endpoint) = self.answered(phones) {
            return (Event::Answered { endpoint }, 0);
        }
        let (mut ended, mut ring_out) = (Vec::new(), false);
        for phone in phones.iter() {
            let endpoint = phone.text();
            let cause = match self.fate(&endpoint) {
                Fate::Busy => EndCause::Busy,
                Fate::Declined => EndCause::Declined,
                Fate::Unavailable => EndCause::Unavailable,
                Fate::NoAnswer | Fate::Answered => {
                    ring_out = true;
                    continue;
                }
            };
            ended.push(Ended { endpoint: endpoint.into(), cause });
        }
        (Event::NoAnswer { ended }, if ring_out { ms } else { 0 })
    }

    fn answered(&self, phones: &Phones<'_>) -> Option<String> {
        let all = phones.iter().map(|phone| phone.text());
        all.into_iter().find(|phone| self.fate(phone) == Fate::Answered).map(String::from)
    }

    fn fate(&self, phone: &str) -> Fate {
        self.outcomes.phones.get(phone).copied().unwrap_or(Fate::NoAnswer)
    }
}

impl World for Outcome<'_> {
    fn answer(&mut self, at: &At, said: &Said<'_>) -> Option<Happened<'_>> {
        if self.walked.actions.len() == MOST_ACTIONS {
            return None;
        }
        self.walked.actions.push(said.action());
        let (event, takes_ms) = self.next(said);
        let then_ms = at.ms.saturating_add_unsigned(takes_ms);
        self.event = if then_ms > self.over_ms { Event::CallerHungUp { seconds: None } } else { event };
        Some(Happened { at_ms: then_ms.min(self.over_ms), event: &self.event })
    }

    fn passed(&mut self, node: NodeIx, exit: usize) {
        self.walked.path.push(Taken::new(self.company, node, exit));
    }
}
