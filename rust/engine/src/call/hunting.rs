//! Hunts: forming rounds, and what the phones' answers make of them.
//!
//! `all` and `expanding` have fixed rounds; `linear` has one leg a round, in order. The other strategies choose: the next
//! round rings the first leg of their order that can be rung now, waits when nobody can but somebody will be free, and
//! the hunt is over when neither is left. Each round, waited out or rung, uses up at least one leg, so that a hunt of n
//! legs has at most n rounds.

use std::collections::HashSet;

use crate::company::document::Strategy;
use crate::company::version::{Hunt, Node, Queue, Step, exit};
use crate::floor::{ClaimKind, RING_GRACE_MS, Slot, WALKED};
use crate::trace::Reason;

use smallvec::SmallVec;
use smol_str::SmolStr;

use super::EngineError;
use super::event::{EndCause, Ended, Event};
use super::machine::{Next, Run};
use super::rounds::Formed;
use super::state::{HuntState, Outcome, Pending};
use super::turn::{Action, Candidate, RoundNote, RungEndpoint};

pub(super) const NO_HUNT: EngineError = EngineError::BadState("it has no hunt");

/// Rounds of so many phones are formed without memory of their own.
pub(super) const FEW: usize = 4;

pub(super) type Few<T> = SmallVec<[T; FEW]>;

impl<'e> Run<'e> {
    pub(super) fn begin_hunt(&mut self, node: &'e Node, hunt: &'e Hunt) -> Result<Next, EngineError> {
        self.state.informed = false;
        self.state.outcome = Outcome::None;
        let start = match hunt.strategy {
            Strategy::RoundRobin => self.rotation(node) % hunt.legs.len().max(1) as u16,
            _ => 0,
        };
        self.state.hunt = Some(HuntState { start, ..HuntState::default() });
        self.next_round()
    }

    /// Forms rounds until one rings or waits, or the hunt is over.
    fn next_round(&mut self) -> Result<Next, EngineError> {
        loop {
            let (node, hunt) = self.hunt()?;
            let Some(ms) = round_ms(hunt, self.hunt_state()?) else { return self.hunt_over() };
            self.hunt_state()?.until_ms = self.now_ms.saturating_add_unsigned(ms);
            let mut formed = self.form(hunt)?;
            let passed_over = formed.rung.is_empty() && !formed.waits;
            self.note(node, &mut formed, passed_over)?;
            if !passed_over {
                return self.perform(&mut formed);
            }
            let chooses = chooses(hunt);
            let state = self.hunt_state()?;
            state.round = state.round.saturating_add(1);
            if chooses {
                return self.hunt_over();
            }
            if hunt.strategy == Strategy::Linear && self.rounds.len() >= WALKED {
                self.pass_over(hunt)?;
            }
        }
    }

    /// Passes over the rounds of a linear hunt that have nobody, without naming them.
    fn pass_over(&mut self, hunt: &Hunt) -> Result<(), EngineError> {
        let Some(group) = self.group(hunt) else { return Ok(()) };
        let state = self.hunt_state()?;
        let (round, out) = (usize::from(state.round), state.out.clone());
        let (found, busy) = self.floor.first_worth_a_round(self.asking(group, &|leg| out.contains(leg)), round);
        let state = self.hunt_state()?;
        state.round = found.unwrap_or(hunt.legs.len()) as u16;
        state.busy |= busy;
        let passed = usize::from(state.round) > round;
        if let Some(last) = self.rounds.last_mut() {
            last.more |= passed;
        }
        Ok(())
    }

    /// Rings or waits for what is left of the round.
    fn perform(&mut self, formed: &mut Formed) -> Result<Next, EngineError> {
        let (node, hunt) = self.hunt()?;
        let until_ms = self.hunt_state()?.until_ms;
        if formed.rung.is_empty() {
            self.release_all();
            self.hunt_state()?.ringing.clear();
            self.state.pending = Pending::Wait;
            return self.wait_action().map(Next::Action);
        }
        let keep: Few<Slot> = formed.rung.iter().filter_map(|leg| leg.employee).map(|ix| self.slots[ix.at()]).collect();
        if !self.trial {
            if self.holds {
                self.floor.release_except(&self.state.call_id, &keep);
            }
            self.holds = true;
            for &slot in &keep {
                let until = until_ms.saturating_add(RING_GRACE_MS);
                self.floor.claim(slot, &self.state.call_id, ClaimKind::Ringing, until, self.now_ms);
            }
        }
        if let Some(last) = formed.rung.iter().rev().find_map(|leg| leg.employee) {
            self.state.last_rung = Some(last);
        }
        let legs = hunt.legs.len() as u16;
        self.ring_only(&formed.rung)?;
        let first = !self.trial && !self.hunt_state()?.begun && hunt.strategy == Strategy::RoundRobin;
        if first && let Some(leg) = formed.rung.first() {
            let scheme = self.company.schemes[node.scheme.at()].id.clone();
            self.floor.rotate(&scheme, &node.id, (leg.leg as u16 + 1) % legs);
        }
        self.state.pending = Pending::Ring;
        self.ring_action(std::mem::take(&mut formed.rung)).map(Next::Action)
    }

    pub(super) fn ring_event(&mut self, event: &Event) -> Result<Next, EngineError> {
        match event {
            Event::Answered { endpoint } => {
                let winner = self.ringing()?.into_iter().find(|leg| leg.endpoint == *endpoint);
                let winner = winner.ok_or_else(|| self.unexpected(event))?;
                self.begin_talk(&winner.endpoint, winner.employee);
                Ok(Next::Action(Action::Talk { endpoint: winner.endpoint }))
            }
            Event::NoAnswer { ended } => self.round_over(ended, EndCause::NoAnswer),
            Event::Busy { ended } => self.round_over(ended, EndCause::Busy),
            Event::Unavailable { ended } => self.round_over(ended, EndCause::Unavailable),
            Event::Taken { employees } => self.taken(employees),
            _ => Err(self.unexpected(event)),
        }
    }

    /// Calls elsewhere hold these people: they do not ring here until the round is over, or until they are let go there.
    fn taken(&mut self, employees: &[String]) -> Result<Next, EngineError> {
        let until_ms = self.hunt_state()?.until_ms;
        let mut taken = Vec::with_capacity(employees.len());
        for id in employees {
            let Some(slot) = self.floor.find(id) else { continue };
            self.floor.held_elsewhere(slot, &self.state.call_id, until_ms, self.now_ms);
            taken.push(slot);
        }
        self.hunt_state()?.busy |= !taken.is_empty();
        let mut ringing = self.ringing()?;
        ringing.retain(|leg| leg.employee.is_none_or(|ix| !taken.contains(&self.slots[ix.at()])));
        self.ring_only(&ringing)?;
        if until_ms <= self.now_ms && !ringing.is_empty() {
            return self.round_over(&[], EndCause::NoAnswer);
        }
        self.same_round()
    }

    pub(super) fn wait_event(&mut self, event: &Event) -> Result<Next, EngineError> {
        match event {
            Event::EmployeeFree {} => self.same_round(),
            Event::Waited {} => self.waited_out(),
            _ => Err(self.unexpected(event)),
        }
    }

    /// The same round, formed anew, for what is left of it.
    fn same_round(&mut self) -> Result<Next, EngineError> {
        if self.hunt_state()?.until_ms <= self.now_ms {
            return self.waited_out();
        }
        let (node, hunt) = self.hunt()?;
        let mut formed = self.form(hunt)?;
        if formed.rung.is_empty() && !formed.waits {
            self.note(node, &mut formed, true)?;
            return self.round_done();
        }
        self.note(node, &mut formed, false)?;
        self.perform(&mut formed)
    }

    fn waited_out(&mut self) -> Result<Next, EngineError> {
        let (_, hunt) = self.hunt()?;
        if chooses(hunt) {
            // Those waited for have had their round.
            let group = self.group(hunt);
            let out = self.hunt_state()?.out.clone();
            let waited_for: Vec<usize> = match group {
                Some(group) => self.floor.soon_free(self.asking(group, &|leg| out.contains(leg))).collect(),
                None => (0..hunt.legs.len()).filter(|&leg| self.standing(hunt, &out, leg).will_be_free()).collect(),
            };
            let state = self.hunt_state()?;
            waited_for.into_iter().for_each(|leg| state.out.insert(leg));
        }
        self.round_done()
    }

    fn round_over(&mut self, ended: &[Ended], rest: EndCause) -> Result<Next, EngineError> {
        let (_, hunt) = self.hunt()?;
        let one_by_one = hunt.one_by_one();
        self.hunt_state()?.begun = true;
        let mut gone = HashSet::new();
        for leg in self.ringing()? {
            let cause = ended.iter().find(|ended| ended.endpoint == leg.endpoint).map_or(rest, |ended| ended.cause);
            let state = self.hunt_state()?;
            match cause {
                EndCause::NoAnswer => state.rang_out = true,
                EndCause::Busy => state.busy = true,
                // Whoever declines is neither on the phone nor claimed: he is not to be had.
                EndCause::Declined | EndCause::Unavailable => {}
            }
            if one_by_one {
                state.out.insert(leg.leg);
            }
            if cause != EndCause::NoAnswer {
                gone.insert(leg.endpoint);
            }
        }
        if !gone.is_empty() {
            self.leave_out(hunt, &gone)?;
        }
        self.round_done()
    }

    /// It is the phone that declined or was busy: it is out of the hunt whomever else it stands for.
    fn leave_out(&mut self, hunt: &Hunt, phones: &HashSet<SmolStr>) -> Result<(), EngineError> {
        for leg in 0..hunt.legs.len() {
            if self.endpoint(hunt, leg).is_some_and(|endpoint| phones.contains(&*endpoint)) {
                self.hunt_state()?.out.insert(leg);
            }
        }
        Ok(())
    }

    fn round_done(&mut self) -> Result<Next, EngineError> {
        let state = self.hunt_state()?;
        state.ringing.clear();
        state.round = state.round.saturating_add(1);
        self.next_round()
    }

    fn hunt_over(&mut self) -> Result<Next, EngineError> {
        self.release_all();
        let state = self.state.hunt.take().unwrap_or_default();
        let rounds = u32::from(state.round);
        let (outcome, place, why) = if state.rang_out {
            (Outcome::NoAnswer, exit::NO_ANSWER, Reason::NobodyAnswered { rounds })
        } else if state.busy {
            (Outcome::Busy, exit::BUSY, Reason::AllBusy { rounds })
        } else {
            (Outcome::Unavailable, exit::UNAVAILABLE, Reason::NobodyAvailable { rounds })
        };
        self.state.outcome = outcome;
        Ok(self.leave(place, why))
    }

    fn release_all(&mut self) {
        if !self.trial {
            self.floor.release_all(&self.state.call_id);
        }
    }

    /// The phones that ring.
    pub(super) fn ringing(&mut self) -> Result<Few<Candidate>, EngineError> {
        let (_, hunt) = self.hunt()?;
        let legs: Few<usize> = self.hunt_state()?.ringing.iter().filter(|&leg| leg < hunt.legs.len()).collect();
        let phone = |leg| Some(self.candidate(hunt, leg, self.endpoint(hunt, leg)?));
        Ok(legs.into_iter().filter_map(phone).collect())
    }

    /// The pending `ring` again: the phones that rang, less those that another call has claimed meanwhile. With none left
    /// it has become a `wait` for what is left of the round.
    pub(super) fn ring_again(&mut self) -> Result<Action, EngineError> {
        let until = self.hunt_state()?.until_ms.saturating_add(RING_GRACE_MS);
        let (_, hunt) = self.hunt()?;
        let queued = self.is_queued();
        let mut ringing = self.ringing()?;
        ringing.retain(|leg| {
            let slot = match leg.employee {
                Some(ix) => Some(self.slots[ix.at()]),
                None if queued => self.claimed_for(hunt, leg),
                None => None,
            };
            slot.is_none_or(|slot| self.floor.claim(slot, &self.state.call_id, ClaimKind::Ringing, until, self.now_ms))
        });
        self.ring_only(&ringing)?;
        if ringing.is_empty() {
            self.state.pending = Pending::Wait;
            if self.is_queued() {
                self.back_in_line()?;
            }
            return self.wait_action();
        }
        self.ring_action(ringing)
    }

    pub(super) fn ring_only(&mut self, legs: &[Candidate]) -> Result<(), EngineError> {
        let ringing = &mut self.hunt_state()?.ringing;
        ringing.clear();
        legs.iter().for_each(|leg| ringing.insert(leg.leg));
        Ok(())
    }

    pub(super) fn ring_action(&mut self, rung: Few<Candidate>) -> Result<Action, EngineError> {
        let (_, hunt) = self.hunt()?;
        let ms = self.left_of_round()?;
        let round = self.round_number()?;
        let company = self.company;
        let mut endpoints = Vec::with_capacity(rung.len());
        for leg in rung {
            let employee = leg.employee.map(|ix| company.employees[ix.at()].id.clone());
            endpoints.push(RungEndpoint { employee, endpoint: leg.endpoint });
        }
        Ok(Action::Ring { endpoints, ms, music: hunt.music.clone(), round })
    }

    pub(super) fn wait_action(&mut self) -> Result<Action, EngineError> {
        if self.is_queued() {
            return self.queue_wait_action();
        }
        let (_, hunt) = self.hunt()?;
        let music = hunt.music.clone();
        Ok(Action::Wait { music, announce: None, ms: self.left_of_round()?, position: None })
    }

    pub(super) fn left_of_round(&mut self) -> Result<u64, EngineError> {
        let until_ms = self.hunt_state()?.until_ms;
        Ok(u64::try_from(until_ms.saturating_sub(self.now_ms)).unwrap_or(0))
    }

    /// Tells of a round, and of whom it leaves out.
    pub(super) fn note(&mut self, node: &Node, formed: &mut Formed, passed_over: bool) -> Result<(), EngineError> {
        if self.trial {
            return Ok(());
        }
        let round = self.round_number()?;
        let scheme = self.company.schemes[node.scheme.at()].id.clone();
        let (left_out, more) = (std::mem::take(&mut formed.left_out), formed.more);
        if self.rounds.is_empty() {
            self.rounds = Vec::with_capacity(1);
        }
        self.rounds.push(RoundNote { scheme, node: node.id.clone(), round, left_out, more, passed_over });
        Ok(())
    }

    /// The round at hand, counted from 1; of a queue the attempt.
    fn round_number(&mut self) -> Result<u32, EngineError> {
        let hunt = self.hunt_state()?;
        Ok(u32::from(hunt.line.map_or(hunt.round.saturating_add(1), |line| line.attempts)))
    }

    pub(super) fn rotation(&self, node: &Node) -> u16 {
        self.rotated.unwrap_or_else(|| self.floor.rotation(&self.company.schemes[node.scheme.at()].id, &node.id))
    }

    fn hunt(&self) -> Result<(&'e Node, &'e Hunt), EngineError> {
        let node = self.node();
        match &node.step {
            Step::Ring(hunt) | Step::Queue(Queue { hunt, .. }) => Ok((node, hunt)),
            _ => Err(EngineError::BadState("its node is of another kind")),
        }
    }

    pub(super) fn hunt_state(&mut self) -> Result<&mut HuntState, EngineError> {
        self.state.hunt.as_mut().ok_or(NO_HUNT)
    }
}

/// True for strategies that choose whom a round rings when it begins.
pub(super) fn chooses(hunt: &Hunt) -> bool {
    hunt.one_by_one() && hunt.strategy != Strategy::Linear
}

/// The length of the round at hand; `None` when the hunt has no more.
fn round_ms(hunt: &Hunt, state: &HuntState) -> Option<u64> {
    let round = usize::from(state.round);
    if hunt.one_by_one() {
        hunt.rounds.first().filter(|_| round < hunt.legs.len()).map(|round| round.ms)
    } else {
        hunt.rounds.get(round).map(|round| round.ms)
    }
}
