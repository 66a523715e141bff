//! Hunts and queues on a walk, and the conversation that they may end in.

use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::call::EngineError;
use crate::call::event::Event;
use crate::call::machine::{Next, Run, check_endpoint};
use crate::call::said::{Hunted, Phone, Phones, Rung, Said};
use crate::call::state::{CallId, CallState, Outcome, Pending};
use crate::call::turn::Action;
use crate::company::document::Strategy;
use crate::company::version::{Company, EmployeeIx, Hunt, Leg, Node, NodeIx, Queue, exit};
use crate::floor::Standing;

use super::{Ask, At, Onward, Walk, World, unexpected};

impl<'e> Walk<'e, '_> {
    pub(super) fn hunt<W: World>(&mut self, world: &mut W, node: &'e Node, hunt: &'e Hunt) -> Onward {
        (self.earned.informed, self.earned.outcome) = (false, Outcome::None);
        let Some(round) = hunt.rounds.first().filter(|_| self.all_free(hunt)) else {
            return self.hunt_on(world, node, hunt, None);
        };
        let phones = Phones::new(self.ground.company, hunt, Rung::First(hunt.surely), self.at.owner);
        let said = Said::Ring { phones, ms: round.ms, music: hunt.music.as_ref(), round: 1 };
        let Some(happened) = world.answer(&self.at, &said) else { return Onward::Stopped };
        match happened.event {
            Event::Answered { endpoint } => {
                self.at.ms = happened.at_ms;
                match phones.find(endpoint) {
                    Some(phone) => self.talk(world, phone),
                    None => self.refuse(unexpected(happened.event, &said)),
                }
            }
            Event::NoAnswer { ended } if ended.is_empty() && hunt.has_one_round() => {
                self.at.ms = happened.at_ms;
                self.earned.outcome = Outcome::NoAnswer;
                Onward::by(exit::NO_ANSWER)
            }
            event => {
                let (event, at_ms) = (event.clone(), happened.at_ms);
                self.hunt_on(world, node, hunt, Some((&event, at_ms)))
            }
        }
    }

    /// Whether the first round rings all whom it names for certain, and they are all free: most hunts at most times.
    fn all_free(&self, hunt: &Hunt) -> bool {
        let employees = &self.ground.company.employees;
        let free = |leg: &Leg| {
            let (ix, mobile) = match *leg {
                Leg::Desk(ix) => (ix, false),
                Leg::Mobile(ix) => (ix, true),
                Leg::Phone(_) => return true,
                Leg::Owner => match self.at.owner.filter(|ix| employees[ix.at()].endpoint.is_some()) {
                    Some(ix) => (ix, false),
                    None => return false,
                },
            };
            let slot = self.ground.slots[ix.at()];
            self.floor.is_at_rest(slot)
                || self.floor.standing(slot, self.ask.call_id, mobile, self.at.ms) == Standing::Free
        };
        hunt.surely > 0 && hunt.legs.iter().take(hunt.surely).all(free)
    }

    /// A hunt as the machine would hold it, on trial: from its beginning, or after an event of its first round.
    #[inline(never)]
    fn hunt_on(
        &mut self,
        world: &mut dyn World,
        node: &'e Node,
        hunt: &'e Hunt,
        after: Option<(&Event, i64)>,
    ) -> Onward {
        self.try_hunt(world, node, hunt, after).unwrap_or_else(|error| self.refuse(error))
    }

    fn try_hunt(
        &mut self,
        world: &mut dyn World,
        node: &'e Node,
        hunt: &'e Hunt,
        after: Option<(&Event, i64)>,
    ) -> Result<Onward, EngineError> {
        let (company, At { node: ix, owner, .. }) = (self.ground.company, self.at);
        let state = on_trial(company, self.ask, ix, owner);
        let mut run = Run::new(self.ground, &mut *self.floor, &mut *self.facts, state, self.at.ms);
        run.trial = true;
        run.rotated = self.rotated.iter().find(|(known, _)| *known == ix).map(|&(_, start)| start);
        let mut next = run.begin_hunt(node, hunt)?;
        let mut given = after;
        while let Next::Action(action) = next {
            let hunted = run.hunt_state()?;
            let (begun, round) = (hunted.begun, hunted.round);
            let rung: SmallVec<[u16; 8]> = hunted.ringing.iter().map(|leg| leg as u16).collect();
            if let Some(&leg) = rung.first().filter(|_| !begun && hunt.strategy == Strategy::RoundRobin) {
                self.rotated.retain(|(known, _)| *known != ix);
                self.rotated.push((ix, (leg + 1) % hunt.legs.len() as u16));
            }
            let phones = Phones::new(company, hunt, Rung::These(&rung), owner);
            let music = hunt.music.as_ref();
            let rings = run.state.pending == Pending::Ring;
            let said = match action {
                Action::Ring { ms, round, .. } => Said::Ring { phones, ms, music, round },
                Action::Wait { ms, .. } => Said::Wait { music, ms, round: u32::from(round) + 1 },
                _ => return Err(EngineError::BadState("a hunt rings or waits")),
            };
            let (event, at_ms) = match given.take() {
                Some(given) => given,
                None => match world.answer(&self.at, &said) {
                    Some(happened) => (happened.event, happened.at_ms),
                    None => return Ok(Onward::Stopped),
                },
            };
            run.now_ms = at_ms;
            self.at.ms = at_ms;
            next = match event {
                Event::Answered { endpoint } if rings => {
                    let phone = phones.find(endpoint).ok_or_else(|| unexpected(event, &said))?;
                    return Ok(self.talk(world, phone));
                }
                Event::CallerHungUp { .. } | Event::Fault { .. } => return Ok(self.broken_off(event, &said)),
                Event::Taken { .. } => return Err(unexpected(event, &said)),
                event if rings => run.ring_event(event)?,
                event => run.wait_event(event)?,
            };
        }
        self.earned.outcome = run.state.outcome;
        Ok(Onward::by(match run.state.outcome {
            Outcome::None | Outcome::NoAnswer => exit::NO_ANSWER,
            Outcome::Busy => exit::BUSY,
            Outcome::Unavailable => exit::UNAVAILABLE,
        }))
    }

    pub(super) fn queue<W: World>(&mut self, world: &mut W, node: &'e Node, queue: &'e Queue) -> Onward {
        (self.earned.informed, self.earned.outcome) = (false, Outcome::None);
        let state = on_trial(self.ground.company, self.ask, self.at.node, self.at.owner);
        let mut run = Run::new(self.ground, &mut *self.floor, &mut *self.facts, state, self.at.ms);
        run.trial = true;
        if let Some(place) = run.turned_away(node, queue) {
            self.earned.outcome = if place == exit::FULL { Outcome::Busy } else { Outcome::Unavailable };
            return Onward::by(place);
        }
        let said = Said::of(self.ground.company, node, Hunted { owner: self.at.owner, ..Hunted::NOT });
        let Some(happened) = world.answer(&self.at, &said) else { return Onward::Stopped };
        self.at.ms = happened.at_ms;
        let (outcome, place) = match happened.event {
            Event::Answered { endpoint } => {
                let phones = Phones::all(self.ground.company, &queue.hunt, self.at.owner);
                return match phones.find(endpoint) {
                    Some(phone) => self.talk(world, phone),
                    None => self.refuse(unexpected(happened.event, &said)),
                };
            }
            Event::Waited {} => (Outcome::Busy, exit::TIMEOUT),
            Event::NoAnswer { .. } => (Outcome::NoAnswer, exit::TIMEOUT),
            Event::Unavailable { .. } => (Outcome::Unavailable, exit::NOBODY),
            event => return self.broken_off(event, &said),
        };
        self.earned.outcome = outcome;
        Onward::by(place)
    }

    fn talk<W: World + ?Sized>(&mut self, world: &mut W, phone: Phone<'_>) -> Onward {
        self.earned.answered = true;
        let mut passed_to: SmolStr;
        let mut phone = phone;
        loop {
            let said = Said::Talk { phone };
            let Some(happened) = world.answer(&self.at, &said) else { return Onward::Stopped };
            self.at.ms = happened.at_ms;
            match happened.event {
                Event::ConversationEnded {} => return Onward::Over(self.earned.ending()),
                Event::Passed { employee, endpoint } => {
                    if let Err(error) = self.check_passed(employee.as_deref(), endpoint) {
                        return self.refuse(error);
                    }
                    passed_to = endpoint.into();
                    phone = Phone::Address(&passed_to);
                }
                event => return self.broken_off(event, &said),
            }
        }
    }

    fn check_passed(&self, employee: Option<&str>, endpoint: &str) -> Result<(), EngineError> {
        check_endpoint(endpoint)?;
        let known = |id: &&str| self.ground.company.employee_index.contains_key(*id);
        match employee.filter(|id| !known(id)) {
            Some(id) => Err(EngineError::UnknownEmployee(id.to_owned())),
            None => Ok(()),
        }
    }
}

/// The state of a call on trial at a node.
fn on_trial(company: &Company, ask: &Ask<'_>, node: NodeIx, owner: Option<EmployeeIx>) -> CallState {
    let call_id = CallId::from(ask.call_id).unwrap_or_default();
    let mut state = CallState::new(company.id, call_id, ask.did, ask.caller);
    (state.node, state.owner) = (node, owner);
    state
}
