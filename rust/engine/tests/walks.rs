//! A walk is the whole of a call: the machine's actions, one by one, with the same events at the same times, on the floor as
//! it is. And walking changes nothing.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use kommutator_engine::call::{Ask, At, EndCause, Ended, Happened, Phones, Said, Taken, Whose, World};
use kommutator_engine::company::Company;
use kommutator_engine::company::version::NodeIx;
use kommutator_engine::number::Number;
use kommutator_engine::{Action, Engine, Event, Turn};
use support::worlds::*;
use support::*;

/// Anything that may happen, by dice; and what did, for the machine to be told the same.
struct Chance<'e> {
    company: &'e Company,
    dice: Dice,
    actions: Vec<Action>,
    /// At queues.
    queued: Vec<bool>,
    events: Vec<(i64, Event)>,
    path: Vec<Taken>,
}

impl Chance<'_> {
    fn event(&mut self, said: &Said<'_>) -> Event {
        let dice = &mut self.dice;
        if dice.percent(3) {
            let seconds = dice.percent(50).then(|| dice.below(3) as f64);
            return Event::CallerHungUp { seconds };
        }
        if dice.percent(1) {
            return Event::Fault { whose: *dice.pick(&[Whose::Pbx, Whose::Ours]) };
        }
        match said {
            Said::Play { .. } => Event::Played {},
            Said::Menu { menu, .. } => match dice.below(6) {
                0 => Event::NoInput {},
                1 => Event::Digits { digits: "77".into() },
                _ => Event::Digits { digits: dice.pick(&menu.options).0.to_string() },
            },
            Said::Ring { phones, .. } => {
                let all: Vec<String> = phones.iter().map(|phone| phone.text().into()).collect();
                let ended = Self::ended(dice, phones);
                match dice.below(7) {
                    0 | 1 => Event::Answered { endpoint: dice.pick(&all).clone() },
                    2 => Event::Busy { ended },
                    3 => Event::Unavailable { ended },
                    4 => Event::NoAnswer { ended },
                    _ => Event::NoAnswer { ended: Vec::new() },
                }
            }
            Said::Wait { .. } => {
                if dice.percent(30) {
                    Event::EmployeeFree {}
                } else {
                    Event::Waited {}
                }
            }
            // What becomes of a line is told of another way.
            Said::Queue { .. } => Event::CallerHungUp { seconds: None },
            Said::Record { .. } => Event::Recorded { seconds: dice.below(4) as f64 / 2.0 },
            Said::FindOwner { .. } => match dice.below(4) {
                0 => Event::NoOwner {},
                1 => Event::Failed {},
                2 => Event::Owner { employee: "somebody else".into() },
                _ => Event::Owner { employee: dice.pick(&self.company.employees).id.to_string() },
            },
            Said::FindHistory { .. } => match dice.below(3) {
                0 => Event::CalledBefore {},
                1 => Event::NeverCalled {},
                _ => Event::Failed {},
            },
            Said::Transfer { .. } => {
                if dice.percent(50) {
                    Event::Transferred {}
                } else {
                    Event::Failed {}
                }
            }
            Said::Talk { .. } if dice.percent(20) => {
                let employee = dice.percent(50).then(|| dice.pick(&self.company.employees).id.to_string());
                Event::Passed { employee, endpoint: "PJSIP/a-very-long-address-of-somebody".into() }
            }
            Said::Talk { .. } => Event::ConversationEnded {},
            Said::HangUp { .. } | Said::End { .. } => Event::HungUp {},
        }
    }

    /// How some of the phones ended.
    fn ended(dice: &mut Dice, phones: &Phones<'_>) -> Vec<Ended> {
        let causes = [EndCause::Busy, EndCause::Declined, EndCause::Unavailable, EndCause::NoAnswer];
        let some: Vec<_> = phones.iter().filter(|_| dice.percent(60)).map(|phone| phone.text().into()).collect();
        some.into_iter().map(|endpoint| Ended { endpoint, cause: *dice.pick(&causes) }).collect()
    }
}

impl World for Chance<'_> {
    fn answer(&mut self, at: &At, said: &Said<'_>) -> Option<Happened<'_>> {
        self.actions.push(said.action());
        self.queued.push(matches!(said, Said::Queue { .. }));
        let event = self.event(said);
        let after = *self.dice.pick(&[0, 0, 1, 700, 4_000, 25_000, 3_600_000]);
        // A round may be over early, and not late: an event that comes after its time is another story.
        let longest = match said {
            Said::Ring { ms, .. } | Said::Wait { ms, .. } => *ms as i64,
            _ => after,
        };
        self.events.push((at.ms + after.min(longest), event));
        let (at_ms, event) = self.events.last()?;
        Some(Happened { at_ms: *at_ms, event })
    }

    fn passed(&mut self, node: NodeIx, exit: usize) {
        let node = self.company.node(node);
        let (scheme, exit) = (self.company.schemes[node.scheme.at()].id.clone(), node.exits[exit].name.clone());
        self.path.push(Taken { scheme, node: node.id.clone(), exit });
    }
}

/// The call of these events, as the machine decides it: its actions without what only a call has, and its path.
fn machine(
    engine: &mut Engine,
    ask: (&str, &str, Option<&str>, i64),
    events: &[(i64, Event)],
) -> (Vec<Action>, Vec<Taken>) {
    let (call, did, caller, now) = ask;
    let (mut actions, mut path) = (Vec::new(), Vec::new());
    let mut take = |turn: &Turn| {
        actions.push(anonymous(turn.action.clone()));
        path.extend(taken(turn));
    };
    let mut turn = engine.arrive(call, did, caller, now).unwrap();
    take(&turn);
    for (at_ms, event) in events {
        if matches!(turn.action, Action::End { .. }) {
            break;
        }
        turn = engine.handle(&turn.state, event, *at_ms).unwrap();
        take(&turn);
    }
    assert!(matches!(turn.action, Action::End { .. }), "{actions:?}");
    (actions, path)
}

fn number(company: &Company, text: &str) -> Option<Number> {
    Number::parse(text, company.country)
}

#[test]
fn a_walk_is_the_whole_call() {
    let companies = SCHEMES.into_iter().map(of_scenarios).chain([invented()]);
    let (mut walked, mut said, mut ends) = (0, BTreeMap::<String, u32>::new(), BTreeMap::<String, u32>::new());
    for (nth, company) in companies.enumerate() {
        let mut dice = Dice::new(70 + nth as u64);
        for round in 0..60 {
            let mut engine = Engine::new(Arc::clone(&company));
            crowd(&mut engine, &mut dice, &company);
            remember(&mut engine, &mut dice, &company, NOON);
            for live in 0..dice.below(4) {
                engine
                    .arrive(&format!("live-{live}"), dice.pick::<String>(&dialled(&company)), Some(CALLER), NOON)
                    .unwrap();
            }
            for did in dialled(&company) {
                for caller in CALLERS {
                    let hours = if dice.percent(40) { 0 } else { dice.below(8_000) };
                    let (call, now) = (format!("call-{round}-{walked}"), NOON + hours as i64 * 3_600_000);
                    let ask = Ask {
                        did: number(&company, &did),
                        caller: caller.and_then(|caller| number(&company, caller)),
                        call_id: &call,
                        at_ms: now,
                    };
                    let mut world = Chance {
                        company: &company,
                        dice: Dice::new(dice.roll()),
                        actions: Vec::new(),
                        queued: Vec::new(),
                        events: Vec::new(),
                        path: Vec::new(),
                    };
                    let before = seen(&engine, now);
                    let ending = engine.walk(&ask, &mut world).unwrap().unwrap();
                    assert_eq!(seen(&engine, now), before);
                    let Chance { actions, queued, events, path, .. } = world;
                    let (expected, expected_path) = machine(&mut engine, (&call, &did, caller, now), &events);
                    let told = format!("{nth} {did} {caller:?} {now} {events:?}");
                    assert_eq!(path, expected_path, "{told}");
                    assert_eq!(actions.len(), expected.len(), "{told}");
                    for ((action, expected), queued) in actions.iter().zip(&expected).zip(&queued) {
                        if *queued {
                            assert!(matches!(expected, Action::Ring { .. } | Action::Wait { .. }), "{told}");
                        } else {
                            assert_eq!(action, expected, "{told}");
                        }
                        *said.entry(kind(action)).or_default() += 1;
                    }
                    let (disposition, fault) = ending;
                    assert_eq!(actions.last(), Some(&Action::End { disposition, fault }), "{told}");
                    *ends.entry(ended(disposition, fault)).or_default() += 1;
                    walked += 1;
                }
            }
        }
    }
    // Whatever can be said and can end a call has been.
    assert_eq!(said.len(), 11, "{said:?}");
    assert!(said.values().all(|&times| times > 50), "{said:?}");
    assert!(ends.len() >= 11, "{ends:?}");
    assert!(walked > 5_000, "{walked}");
}
