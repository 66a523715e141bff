//! Waiting at a queue: who is head of the line is offered whoever is free, attempt after attempt, until somebody answers, the
//! longest wait is over, or nobody is at work any more.
//!
//! An attempt is one ringing of those whom the strategy chooses among the free: all of them, one, or rank after rank
//! (`expanding`). A phone that was rung in vain rests for the queue's `pause`: no call of any queue rings it meanwhile. Of
//! strategies that ring one phone an attempt, a caller's next attempt rings one of those that he has not tried yet, as
//! long as any of them is free.
//!
//! An event that says a time is up is believed: the call's clock is then at that time at least, and it never goes back.

use smol_str::SmolStr;

use crate::company::document::Strategy;
use crate::company::version::{Hunt, Leg, Node, Queue, Step, exit};
use crate::floor::{ClaimKind, Kin, LINE_GRACE_MS, LineId, Place, RING_GRACE_MS, Slot, Stand, Standing, TALK_CLAIM_MS};
use crate::trace::Reason;

use super::EngineError;
use super::event::{EndCause, Ended, Event};
use super::hunting::Few;
use super::machine::{Next, Run};
use super::rounds::Formed;
use super::state::{HuntState, InLine, Outcome, Pending};
use super::turn::{Action, Candidate};

/// The longest single `wait`: a client that has vanished is out of the line soon after. Milliseconds.
const LONGEST_WAIT_MS: i64 = 60_000;

impl<'e> Run<'e> {
    /// The call comes to a queue.
    pub(super) fn join_queue(&mut self, node: &'e Node, queue: &'e Queue) -> Result<Next, EngineError> {
        self.floor.expire_lines(self.now_ms);
        self.state.informed = false;
        self.state.outcome = Outcome::None;
        self.state.hunt = None;
        if !self.anybody_there(&queue.hunt) {
            return Ok(self.leave_queue(Outcome::Unavailable, exit::NOBODY, Reason::NobodyAtWork {}));
        }
        let line = self.line_id(node);
        let callers = self.floor.line_length(&line);
        if callers >= queue.max_length as usize {
            let why = Reason::QueueFull { callers: callers as u32 };
            return Ok(self.leave_queue(Outcome::Busy, exit::FULL, why));
        }
        let place = self.floor.last_place(&line, self.now_ms);
        let in_line = InLine { place, clock_ms: self.now_ms, announce_ms: self.now_ms, attempts: 0 };
        self.state.hunt = Some(HuntState { line: Some(in_line), ..HuntState::default() });
        self.stand(true, self.now_ms)?;
        self.look()
    }

    /// The exit that a queue has at once for a call that comes to it, on trial: nobody is at work, or the line is full.
    pub(super) fn turned_away(&mut self, node: &Node, queue: &'e Queue) -> Option<usize> {
        if !self.anybody_there(&queue.hunt) {
            return Some(exit::NOBODY);
        }
        let callers = self.floor.line_length_at(&self.line_id(node), self.now_ms);
        (callers >= queue.max_length as usize).then_some(exit::FULL)
    }

    /// True while the pending action belongs to a queue.
    pub(super) fn is_queued(&self) -> bool {
        self.state.hunt.as_ref().is_some_and(|hunt| hunt.line.is_some())
    }

    pub(super) fn queue_event(&mut self, event: &Event) -> Result<Next, EngineError> {
        self.floor.expire_lines(self.now_ms);
        if !self.floor.stands_in_line(&self.state.call_id) {
            // Another process has led the call until now, or nobody has for too long: its place is its own all the same.
            self.back_in_line()?;
        }
        let waits = self.state.pending == Pending::Wait;
        let (until_ms, clock_ms) = (self.hunt_state()?.until_ms, self.in_line()?.clock_ms);
        self.now_ms = self.now_ms.max(clock_ms);
        match event {
            Event::EmployeeFree {} if waits => self.look(),
            Event::Waited {} if waits => {
                self.now_ms = self.now_ms.max(until_ms);
                self.look()
            }
            Event::Answered { endpoint } if !waits => self.answered(event, endpoint),
            Event::NoAnswer { ended } if !waits => self.attempt_over(ended, EndCause::NoAnswer),
            Event::Busy { ended } if !waits => self.attempt_over(ended, EndCause::Busy),
            Event::Unavailable { ended } if !waits => self.attempt_over(ended, EndCause::Unavailable),
            Event::Taken { employees } if !waits => self.taken_meanwhile(employees),
            _ => Err(self.unexpected(event)),
        }
    }

    /// The pending action again: the call has its old place.
    pub(super) fn back_in_line(&mut self) -> Result<(), EngineError> {
        let until_ms = self.hunt_state()?.until_ms.max(self.now_ms);
        self.stand(self.state.pending == Pending::Wait, until_ms)
    }

    /// Rings whom the caller may have now, or waits on.
    fn look(&mut self) -> Result<Next, EngineError> {
        let (node, queue) = self.queue()?;
        self.in_line()?.clock_ms = self.now_ms;
        if self.now_ms >= self.deadline(queue)? {
            return self.waited_too_long();
        }
        if !self.anybody_there(&queue.hunt) {
            return Ok(self.leave_queue(Outcome::Unavailable, exit::NOBODY, Reason::NobodyAtWork {}));
        }
        if self.floor.is_head(&self.state.call_id) {
            let mut formed = self.form_attempt(node, &queue.hunt)?;
            let before = self.in_line()?.attempts;
            self.in_line()?.attempts = before.saturating_add(1);
            self.note(node, &mut formed, false)?;
            if !formed.rung.is_empty() {
                return self.attempt(node, queue, formed.rung);
            }
            self.in_line()?.attempts = before;
        }
        self.wait_in_line(queue)
    }

    /// Whom an attempt that begins now rings. Those not tried yet come before those tried.
    fn form_attempt(&mut self, node: &Node, hunt: &'e Hunt) -> Result<Formed, EngineError> {
        let mut formed = Formed::default();
        if hunt.strategy == Strategy::RoundRobin {
            self.hunt_state()?.start = self.rotation(node);
        }
        let rounds = if hunt.one_by_one() { 1 } else { hunt.rounds.len() };
        for round in 0..rounds {
            self.hunt_state()?.round = round as u16;
            formed = self.form(hunt)?;
            if !formed.rung.is_empty() {
                return Ok(formed);
            }
        }
        if hunt.one_by_one() && self.hunt_state()?.out.iter().next().is_some() {
            self.hunt_state()?.out.clear();
            formed = self.form(hunt)?;
        }
        Ok(formed)
    }

    fn attempt(&mut self, node: &Node, queue: &Queue, rung: Few<Candidate>) -> Result<Next, EngineError> {
        let hunt = &queue.hunt;
        let (round, deadline_ms) = (usize::from(self.hunt_state()?.round), self.deadline(queue)?);
        let ms = hunt.rounds.get(round).or(hunt.rounds.last()).map_or(0, |round| round.ms);
        let until_ms = self.now_ms.saturating_add_unsigned(ms).min(deadline_ms);
        let keep: Few<Slot> = rung.iter().filter_map(|leg| self.claimed_for(hunt, leg)).collect();
        self.floor.release_except(&self.state.call_id, &keep);
        for &slot in &keep {
            let until = until_ms.saturating_add(RING_GRACE_MS);
            self.floor.claim(slot, &self.state.call_id, ClaimKind::Ringing, until, self.now_ms);
        }
        if let Some(last) = rung.iter().rev().find_map(|leg| leg.employee) {
            self.state.last_rung = Some(last);
        }
        if let Some(leg) = rung.first().filter(|_| hunt.strategy == Strategy::RoundRobin) {
            let (scheme, node) = self.line_id(node);
            self.floor.rotate(&scheme, &node, (leg.leg + 1) as u16 % hunt.legs.len().max(1) as u16);
        }
        self.hunt_state()?.until_ms = until_ms;
        self.ring_only(&rung)?;
        self.state.pending = Pending::Ring;
        self.stand(false, until_ms)?;
        self.ring_action(rung).map(Next::Action)
    }

    fn wait_in_line(&mut self, queue: &Queue) -> Result<Next, EngineError> {
        self.floor.release_all(&self.state.call_id);
        let deadline_ms = self.deadline(queue)?;
        let head = self.floor.is_head(&self.state.call_id);
        let mut until_ms = deadline_ms.min(self.now_ms.saturating_add(LONGEST_WAIT_MS));
        if !queue.announce.is_empty() {
            let next_ms = self.next_announcement(queue, self.now_ms);
            let line = self.in_line()?;
            if line.announce_ms <= line.clock_ms {
                line.announce_ms = next_ms;
            }
            until_ms = until_ms.min(line.announce_ms);
        }
        if let Some(rested_ms) = self.floor.next_rested(self.now_ms).filter(|_| head) {
            until_ms = until_ms.min(rested_ms);
        }
        let state = self.hunt_state()?;
        state.until_ms = until_ms;
        state.ringing.clear();
        self.state.pending = Pending::Wait;
        self.stand(true, until_ms)?;
        self.queue_wait_action().map(Next::Action)
    }

    pub(super) fn queue_wait_action(&mut self) -> Result<Action, EngineError> {
        let (_, queue) = self.queue()?;
        let line = *self.in_line()?;
        // This wait begins with the announcement if the next is due a whole interval after its beginning.
        let announces = line.announce_ms == self.next_announcement(queue, line.clock_ms);
        let position = self.floor.position(&self.state.call_id);
        let announce = queue.announcement(position.unwrap_or(1)).filter(|_| announces);
        Ok(Action::Wait {
            music: queue.hunt.music.clone(),
            announce: announce.map(|prompt| self.prompt(prompt)),
            ms: self.left_of_round()?,
            position,
        })
    }

    /// When the next announcement is due after one that begins at `now_ms`. The longest of them counts, so that it does not
    /// depend on a place that changes meanwhile.
    fn next_announcement(&self, queue: &Queue, now_ms: i64) -> i64 {
        let longest_ms = queue.longest_announcement_ms(|prompt| self.company.prompt_ms(prompt));
        now_ms.saturating_add_unsigned(longest_ms + queue.announce_every_ms)
    }

    fn answered(&mut self, event: &Event, endpoint: &str) -> Result<Next, EngineError> {
        let (_, queue) = self.queue()?;
        let winner = self.ringing()?.into_iter().find(|leg| leg.endpoint == *endpoint);
        let winner = winner.ok_or_else(|| self.unexpected(event))?;
        let phone = self.claimed_for(&queue.hunt, &winner).filter(|_| winner.employee.is_none());
        self.begin_talk(&winner.endpoint, winner.employee);
        if let Some(phone) = phone {
            let until = self.now_ms.saturating_add(TALK_CLAIM_MS);
            self.floor.take(phone, &self.state.call_id, ClaimKind::Talking, until);
        }
        Ok(Next::Action(Action::Talk { endpoint: winner.endpoint }))
    }

    /// An attempt has ended, or one of its ranks.
    fn attempt_over(&mut self, ended: &[Ended], rest: EndCause) -> Result<Next, EngineError> {
        let (node, queue) = self.queue()?;
        let ringing = self.ringing()?;
        let cause_of = |leg: &Candidate| {
            ended.iter().find(|ended| ended.endpoint == leg.endpoint).map_or(rest, |ended| ended.cause)
        };
        let until_ms = self.hunt_state()?.until_ms;
        // A phone of which no end is told has rung until the time was up.
        let told = |leg: &Candidate| ended.iter().any(|ended| ended.endpoint == leg.endpoint);
        if rest == EndCause::NoAnswer && !ringing.iter().all(told) {
            self.now_ms = self.now_ms.max(until_ms);
        }
        self.in_line()?.clock_ms = self.now_ms;
        let one_by_one = queue.hunt.one_by_one();
        let round = usize::from(self.hunt_state()?.round) + 1;
        let widens = !one_by_one && round < queue.hunt.rounds.len() && self.now_ms < self.deadline(queue)?;
        let rested_ms = self.now_ms.saturating_add_unsigned(queue.pause_ms);
        for leg in ringing {
            let cause = cause_of(&leg);
            let state = self.hunt_state()?;
            state.rang_out |= cause == EndCause::NoAnswer;
            state.busy |= cause == EndCause::Busy;
            if one_by_one {
                state.out.insert(leg.leg);
            }
            if !(widens && cause == EndCause::NoAnswer) {
                self.floor.rest(&leg.endpoint, rested_ms, self.now_ms);
            }
        }
        if widens {
            self.hunt_state()?.round = round as u16;
            let mut formed = self.form(&queue.hunt)?;
            self.note(node, &mut formed, false)?;
            if !formed.rung.is_empty() {
                return self.attempt(node, queue, formed.rung);
            }
        }
        self.floor.release_all(&self.state.call_id);
        self.hunt_state()?.ringing.clear();
        self.stand(true, self.now_ms)?;
        self.look()
    }

    /// Calls elsewhere hold these people: they do not ring here until the attempt would have been over, or until they are let go
    /// there.
    fn taken_meanwhile(&mut self, employees: &[String]) -> Result<Next, EngineError> {
        let until_ms = self.hunt_state()?.until_ms;
        for id in employees {
            let Some(slot) = self.floor.find(id) else { continue };
            self.floor.held_elsewhere(slot, &self.state.call_id, until_ms, self.now_ms);
        }
        self.look()
    }

    fn waited_too_long(&mut self) -> Result<Next, EngineError> {
        let since_ms = self.in_line()?.place.since_ms;
        let rang_out = self.hunt_state()?.rang_out;
        let ms = self.now_ms.saturating_sub(since_ms).max(0);
        let outcome = if rang_out { Outcome::NoAnswer } else { Outcome::Busy };
        Ok(self.leave_queue(outcome, exit::TIMEOUT, Reason::WaitedTooLong { seconds: ms as f64 / 1000.0 }))
    }

    fn leave_queue(&mut self, outcome: Outcome, place: usize, why: Reason) -> Next {
        self.floor.release_all(&self.state.call_id);
        self.floor.leave_line(&self.state.call_id);
        self.state.hunt = None;
        self.state.outcome = outcome;
        self.leave(place, why)
    }

    fn stand(&mut self, waits: bool, until_ms: i64) -> Result<(), EngineError> {
        let (node, queue) = self.queue()?;
        let place: Place = self.in_line()?.place;
        let owner = self.state.owner.filter(|_| queue.hunt.legs.contains(&Leg::Owner));
        let stand = Stand {
            line: self.line_id(node),
            place,
            kin: Kin(self.state.version, owner),
            waits,
            until_ms: until_ms.saturating_add(LINE_GRACE_MS),
        };
        self.floor.stand_in_line(&SmolStr::new(self.state.call_id), stand);
        Ok(())
    }

    /// Somebody whom the queue rings is at work: whoever is only busy counts.
    fn anybody_there(&mut self, hunt: &'e Hunt) -> bool {
        if let Some(group) = self.group(hunt) {
            return self.floor.anybody_there(group);
        }
        let out = super::bits::Bits::default();
        (0..hunt.legs.len()).any(|leg| self.standing(hunt, &out, leg).is_there())
    }

    /// Whom the attempt claims for a phone: its employee, or the number itself, which one call at a time rings.
    pub(super) fn claimed_for(&mut self, hunt: &Hunt, leg: &Candidate) -> Option<Slot> {
        match leg.employee {
            Some(ix) => Some(self.slots[ix.at()]),
            None => {
                matches!(hunt.legs[leg.leg], Leg::Phone(_)).then(|| self.floor.number_slot(&nobodys(&leg.endpoint)))
            }
        }
    }

    /// The phone that a call resumed talks with, where a queue has rung it and it is no employee's: no other call rings it.
    pub(super) fn claim_number(&mut self, endpoint: &str) {
        let Step::Queue(queue) = &self.node().step else { return };
        if queue.hunt.legs.iter().any(|leg| matches!(leg, Leg::Phone(number) if number.text() == endpoint)) {
            let slot = self.floor.number_slot(&nobodys(endpoint));
            let until = self.now_ms.saturating_add(TALK_CLAIM_MS);
            self.floor.take(slot, &self.state.call_id, ClaimKind::Talking, until);
        }
    }

    /// What other calls of queues do with a number that is no employee's.
    pub(super) fn phone_standing(&self, endpoint: &str) -> Standing {
        let slot = self.floor.find_number(&nobodys(endpoint));
        slot.map_or(Standing::Free, |slot| self.floor.standing(slot, &self.state.call_id, true, self.now_ms))
    }

    fn deadline(&mut self, queue: &Queue) -> Result<i64, EngineError> {
        Ok(self.in_line()?.place.since_ms.saturating_add_unsigned(queue.max_wait_ms))
    }

    fn line_id(&self, node: &Node) -> LineId {
        (self.company.schemes[node.scheme.at()].id.clone(), node.id.clone())
    }

    fn queue(&self) -> Result<(&'e Node, &'e Queue), EngineError> {
        let node = self.node();
        match &node.step {
            Step::Queue(queue) => Ok((node, queue)),
            _ => Err(EngineError::BadState("its node is of another kind")),
        }
    }

    fn in_line(&mut self) -> Result<&mut InLine, EngineError> {
        self.hunt_state()?.line.as_mut().ok_or(EngineError::BadState("it stands in no line"))
    }
}

/// The floor's name of a number that is no employee's.
fn nobodys(endpoint: &str) -> SmolStr {
    SmolStr::from(format!("\u{0}{endpoint}"))
}
