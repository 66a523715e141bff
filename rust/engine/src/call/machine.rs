//! The machine of one call: an event against the pending action, then on through the nodes to the next action.
//!
//! | pending | events that answer it |
//! |---|---|
//! | `play` | `played` |
//! | `menu` | `digits`, `no_input` |
//! | `ring` | `answered`, `no_answer`, `busy`, `unavailable`, `taken` |
//! | `wait` | `employee_free`, `waited` |
//! | `record` | `recorded` |
//! | `find_owner` | `owner`, `no_owner`, `failed` |
//! | `find_history` | `called_before`, `never_called`, `failed` |
//! | `transfer` | `transferred`, `failed` |
//! | `talk` | `conversation_ended`, `passed` |
//! | `hang_up` | `hung_up` |
//! | `end` | – |
//!
//! and at any time before `end`: `caller_hung_up`, `fault`.

use std::mem::take;

use arrayvec::ArrayString;
use siphasher::sip::SipHasher13;
use smol_str::SmolStr;

use crate::company::document::Cause;
use crate::company::version::{Company, EmployeeIx, Menu, Node, NodeIx, PromptIx, Step, exit};
use crate::facts::Facts;
use crate::floor::{ClaimKind, Floor, Slot, TALK_CLAIM_MS};
use crate::number::Number;
use crate::trace::{Passed, Reason};

use super::event::Event;
use super::state::{CallState, MAX_CALL_ID, MAX_ENDPOINT, Pending};
use super::turn::{Action, Disposition, Effect, Fault, RoundNote, Turn};
use super::{EngineError, notices};

/// More nodes than this between two actions, and the scheme is going round: no checked company does.
pub(crate) const MAX_NODES_A_TURN: usize = 10_000;

/// So many nodes are passed between two actions, as a rule.
const NODES_PASSED: usize = 4;

/// A company version with everybody's place on the floor.
#[derive(Clone, Copy)]
pub struct Ground<'e> {
    /// The version the call began on.
    pub company: &'e Company,
    /// Places of its employees, by index.
    pub slots: &'e [Slot],
}

/// One step of one call.
pub struct Run<'e> {
    pub(super) company: &'e Company,
    pub(super) slots: &'e [Slot],
    pub(super) floor: &'e mut Floor,
    pub(super) facts: &'e mut Facts,
    pub(super) now_ms: i64,
    pub(super) state: CallState,
    pub(super) effects: Vec<Effect>,
    pub(super) trace: Vec<Passed>,
    pub(super) rounds: Vec<RoundNote>,
    /// The call may hold people.
    pub(super) holds: bool,
    /// Nobody is claimed, released or turned to, and nothing is told: where the call would go is asked.
    pub(super) trial: bool,
}

/// Where the machine goes after a step: to the next node, or to an action.
pub(super) enum Next {
    Node(NodeIx),
    Action(Action),
}

impl<'e> Run<'e> {
    /// A step of the call in `state`, on the version it began on.
    #[inline]
    pub fn new(ground: Ground<'e>, floor: &'e mut Floor, facts: &'e mut Facts, state: CallState, now_ms: i64) -> Self {
        Self {
            company: ground.company,
            slots: ground.slots,
            floor,
            facts,
            now_ms,
            state,
            effects: Vec::new(),
            trace: Vec::new(),
            rounds: Vec::new(),
            holds: true,
            trial: false,
        }
    }

    /// The first turn of a call.
    pub fn arrive(&mut self) -> Result<Turn, EngineError> {
        self.floor.release_all(&self.state.call_id);
        self.holds = false;
        self.floor.leave_line(&self.state.call_id);
        let next = match self.company.scheme_for(self.state.did) {
            Some(scheme) => Next::Node(self.company.schemes[scheme.at()].start),
            None => {
                self.state.pending = Pending::HangUp;
                Next::Action(self.hang_up_action())
            }
        };
        self.go_on(next)
    }

    /// The turn that answers an event.
    pub fn handle(&mut self, event: &Event) -> Result<Turn, EngineError> {
        if matches!(self.state.pending, Pending::End(..)) {
            return Err(self.unexpected(event));
        }
        self.state.sequence = self.state.sequence.saturating_add(1);
        let next = match (event, self.state.pending.clone()) {
            (Event::CallerHungUp { seconds }, pending) => self.caller_hung_up(*seconds, &pending)?,
            (Event::Fault { whose }, pending) => self.failed(*whose, &pending),
            (Event::Played {}, Pending::Play) => self.played(),
            (Event::Digits { digits }, Pending::Menu { failed, .. }) => self.digits(digits, failed)?,
            (Event::NoInput {}, Pending::Menu { failed, .. }) => self.silence(failed)?,
            (Event::Recorded { seconds }, Pending::Record) => {
                self.recorded(*seconds)?;
                self.leave_done()
            }
            (Event::Owner { employee }, Pending::FindOwner) => self.owner_found(employee),
            (Event::NoOwner {}, Pending::FindOwner) => self.owner_unknown(),
            (Event::Failed {}, Pending::FindOwner) => self.leave(exit::OWNER_UNAVAILABLE, Reason::OwnerSilent {}),
            (Event::CalledBefore {}, Pending::FindHistory) => self.history_answered(true),
            (Event::NeverCalled {}, Pending::FindHistory) => self.history_answered(false),
            (Event::Failed {}, Pending::FindHistory) => self.leave(exit::REPEAT, Reason::HistoryUnknown {}),
            (Event::Transferred {}, Pending::Transfer) => self.end(Disposition::Transferred, Fault::None),
            (Event::Failed {}, Pending::Transfer) => {
                let to = self.transfer_to();
                self.leave(exit::FAILED, Reason::TransferFailed { to })
            }
            (Event::ConversationEnded {}, Pending::Talk { .. }) => self.finish(),
            (Event::Passed { employee, endpoint }, Pending::Talk { .. }) => {
                self.passed(employee.as_deref(), endpoint)?
            }
            (Event::HungUp {}, Pending::HangUp) => self.finish(),
            (_, Pending::Ring | Pending::Wait) if self.is_queued() => self.queue_event(event)?,
            (_, Pending::Ring) => self.ring_event(event)?,
            (_, Pending::Wait) => self.wait_event(event)?,
            _ => return Err(self.unexpected(event)),
        };
        self.go_on(next)
    }

    /// The pending action again, with its claims: for a router that took the call over.
    pub fn resume(&mut self) -> Result<Turn, EngineError> {
        if self.is_queued() {
            self.back_in_line()?;
        } else {
            // A state before this one may have been resumed first.
            self.floor.leave_line(&self.state.call_id);
        }
        let action = match self.state.pending.clone() {
            Pending::Play => match &self.node().step {
                Step::Play { prompt } => Action::Play { prompt: self.prompt(*prompt) },
                _ => return Err(EngineError::BadState("its node is of another kind")),
            },
            Pending::Menu { failed, silent } => self.menu_action(failed, silent)?,
            Pending::Ring => self.ring_again()?,
            Pending::Wait => self.wait_action()?,
            Pending::Record => match &self.node().step {
                Step::Voicemail { prompt, ms, .. } => self.record_action(*prompt, *ms),
                _ => return Err(EngineError::BadState("its node is of another kind")),
            },
            Pending::FindOwner => match &self.node().step {
                Step::Owner { timeout_ms } => self.find_owner_action(*timeout_ms),
                _ => return Err(EngineError::BadState("its node is of another kind")),
            },
            Pending::FindHistory => match &self.node().step {
                Step::History { days, timeout_ms } => self.find_history_action(*days, *timeout_ms),
                _ => return Err(EngineError::BadState("its node is of another kind")),
            },
            Pending::Transfer => match &self.node().step {
                Step::Transfer { ms, .. } => Action::Transfer { to: self.transfer_to(), ms: *ms },
                _ => return Err(EngineError::BadState("its node is of another kind")),
            },
            Pending::Talk { endpoint, employee } => {
                self.claim_talk(employee);
                if employee.is_none() {
                    self.claim_number(&endpoint);
                }
                Action::Talk { endpoint }
            }
            Pending::HangUp => self.hang_up_action(),
            Pending::End(disposition, fault) => Action::End { disposition, fault },
        };
        self.turn(action)
    }

    fn go_on(&mut self, mut next: Next) -> Result<Turn, EngineError> {
        for _ in 0..MAX_NODES_A_TURN {
            match next {
                Next::Node(ix) => next = self.enter(ix)?,
                Next::Action(action) => return self.turn(action),
            }
        }
        Err(EngineError::Runaway(self.node().id.to_string()))
    }

    fn turn(&mut self, action: Action) -> Result<Turn, EngineError> {
        Ok(Turn {
            state: self.state.encode()?,
            sequence: self.state.sequence,
            action,
            effects: take(&mut self.effects),
            trace: take(&mut self.trace),
            rounds: take(&mut self.rounds),
        })
    }

    fn enter(&mut self, ix: NodeIx) -> Result<Next, EngineError> {
        self.state.node = ix;
        let company = self.company;
        let node = company.node(ix);
        let (pending, action) = match &node.step {
            Step::Play { prompt } => (Pending::Play, Action::Play { prompt: self.prompt(*prompt) }),
            Step::Schedule { schedule } => {
                let (id, schedule) = &company.schedules[schedule.at()];
                let (open, why) = crate::trace::hours(id, schedule, self.now_ms);
                return Ok(self.leave(if open { exit::OPEN } else { exit::CLOSED }, why));
            }
            Step::List { lists } => {
                let (place, why) = self.list(lists);
                return Ok(self.leave(place, why));
            }
            Step::Region { regions } => {
                let (place, why) = self.region(regions);
                return Ok(self.leave(place, why));
            }
            Step::History { days, timeout_ms } => match self.history(*days) {
                Some((place, why)) => return Ok(self.leave(place, why)),
                None => (Pending::FindHistory, self.find_history_action(*days, *timeout_ms)),
            },
            Step::Owner { timeout_ms } => match self.owner() {
                Some((place, why)) => return Ok(self.leave(place, why)),
                None => (Pending::FindOwner, self.find_owner_action(*timeout_ms)),
            },
            Step::Menu(_) => {
                self.state.pending = Pending::Menu { failed: 0, silent: false };
                return Ok(Next::Action(self.menu_action(0, false)?));
            }
            Step::Ring(hunt) => return self.begin_hunt(node, hunt),
            Step::Queue(queue) => return self.join_queue(node, queue),
            Step::Repeat { times, counter } => {
                let passes = self.state.passes_of(*counter);
                if passes >= *times {
                    return Ok(self.leave(exit::REPEAT_DONE, Reason::Enough { passes }));
                }
                self.state.pass(*counter);
                return Ok(self.leave(exit::AGAIN, Reason::Again { pass: passes + 1, of: *times }));
            }
            Step::Notice(notice) => {
                let why = notices::perform(self, notice);
                return Ok(self.leave(exit::DONE, why));
            }
            Step::Voicemail { prompt, ms, .. } => {
                self.state.recorded = None;
                (Pending::Record, self.record_action(*prompt, *ms))
            }
            Step::Split { upto } => {
                let (place, why) = self.split(upto);
                return Ok(self.leave(place, why));
            }
            Step::Tag { set } => {
                let why = self.tag(ix, set);
                return Ok(self.leave(exit::DONE, why));
            }
            Step::Transfer { ms, .. } => (Pending::Transfer, Action::Transfer { to: self.transfer_to(), ms: *ms }),
            Step::Jump => {
                let to = node.exits[0].to;
                let scheme = company.schemes[company.node(to).scheme.at()].id.clone();
                return Ok(self.leave(0, Reason::Jumped { scheme }));
            }
            Step::Hangup { .. } => {
                self.state.informed |= node.allow_lost;
                (Pending::HangUp, self.hang_up_action())
            }
            Step::Hole => return Err(EngineError::Runaway(node.id.to_string())),
        };
        self.state.pending = pending;
        Ok(Next::Action(action))
    }

    /// Takes an exit of the pending node.
    pub(super) fn leave(&mut self, place: usize, why: Reason) -> Next {
        let node = self.node();
        let taken = &node.exits[place];
        if self.trace.is_empty() {
            self.trace = Vec::with_capacity(NODES_PASSED);
        }
        self.trace.push(Passed {
            scheme: self.company.schemes[node.scheme.at()].id.clone(),
            node: node.id.clone(),
            exit: taken.name.clone(),
            why,
        });
        Next::Node(taken.to)
    }

    fn leave_done(&mut self) -> Next {
        let why = match self.state.recorded {
            Some((seconds, _)) if self.state.message && seconds > 0 => {
                Reason::Recorded { recording: self.recording(), seconds: f64::from(seconds) }
            }
            recorded => Reason::TooShort { seconds: recorded.map_or(0.0, |(seconds, _)| f64::from(seconds)) },
        };
        self.leave(exit::DONE, why)
    }

    fn played(&mut self) -> Next {
        let node = self.node();
        self.state.informed = node.allow_lost;
        let prompt = match &node.step {
            Step::Play { prompt } => self.prompt(*prompt),
            _ => SmolStr::default(),
        };
        self.leave(exit::DONE, Reason::Played { prompt })
    }

    fn tag(&mut self, ix: NodeIx, set: &[(SmolStr, SmolStr)]) -> Reason {
        self.state.tags.retain(|tag| *tag != ix);
        self.state.tags.push(ix);
        let id = self.effect_id();
        let set = set.iter().cloned().collect();
        self.effects.push(Effect::Tag { id: id.clone(), set });
        Reason::Tagged { effect: id }
    }

    fn menu(&self) -> Result<(&'e Node, &'e Menu), EngineError> {
        let node = self.node();
        match &node.step {
            Step::Menu(menu) => Ok((node, menu)),
            _ => Err(EngineError::BadState("its node is of another kind")),
        }
    }

    fn menu_action(&self, failed: u8, silent: bool) -> Result<Action, EngineError> {
        let (_, menu) = self.menu()?;
        let notice = if silent { menu.silence_prompt } else { menu.invalid_prompt };
        Ok(Action::Menu {
            prompt: self.prompt(menu.prompt),
            notice: notice.filter(|_| failed > 0).map(|prompt| self.prompt(prompt)),
            digits: menu.options.iter().map(|(digits, _)| digits.clone()).collect(),
            ms: menu.ms,
        })
    }

    fn digits(&mut self, digits: &str, failed: u8) -> Result<Next, EngineError> {
        let (node, menu) = self.menu()?;
        if let Some((pressed, place)) = menu.options.iter().find(|(option, _)| option == digits) {
            return Ok(self.leave(*place, Reason::Pressed { digits: pressed.clone() }));
        }
        let attempts = failed.saturating_add(1);
        if attempts >= menu.attempts {
            let digits = digits.chars().take(16).collect();
            return Ok(self.leave(menu.invalid(node), Reason::WrongDigits { digits, attempts }));
        }
        self.offer_again(attempts, false)
    }

    fn silence(&mut self, failed: u8) -> Result<Next, EngineError> {
        let (node, menu) = self.menu()?;
        let attempts = failed.saturating_add(1);
        if attempts >= menu.attempts {
            return Ok(self.leave(menu.no_input(node), Reason::Silence { attempts }));
        }
        self.offer_again(attempts, true)
    }

    fn offer_again(&mut self, failed: u8, silent: bool) -> Result<Next, EngineError> {
        self.state.pending = Pending::Menu { failed, silent };
        self.menu_action(failed, silent).map(Next::Action)
    }

    fn passed(&mut self, employee: Option<&str>, endpoint: &str) -> Result<Next, EngineError> {
        if endpoint.is_empty() || endpoint.len() > MAX_ENDPOINT {
            return Err(EngineError::BadEvent { field: "endpoint", problem: "has no length an address can have" });
        }
        let employee = match employee {
            Some(id) => {
                Some(*self.company.employee_index.get(id).ok_or_else(|| EngineError::UnknownEmployee(id.to_owned()))?)
            }
            None => None,
        };
        self.begin_talk(endpoint, employee);
        Ok(Next::Action(Action::Talk { endpoint: endpoint.into() }))
    }

    /// The conversation begins: everybody else is released.
    pub(super) fn begin_talk(&mut self, endpoint: &str, employee: Option<EmployeeIx>) {
        self.state.answered = true;
        self.state.hunt = None;
        self.floor.leave_line(&self.state.call_id);
        if let Pending::Talk { employee: Some(before), .. } = self.state.pending {
            self.floor.talked_until(self.slots[before.at()], self.now_ms);
        }
        self.state.pending = Pending::Talk { endpoint: endpoint.into(), employee };
        let keep = employee.map(|ix| self.slots[ix.at()]);
        self.floor.release_except(&self.state.call_id, keep.as_slice());
        self.claim_talk(employee);
        if let Some(slot) = keep {
            self.floor.answered(slot);
        }
    }

    fn claim_talk(&mut self, employee: Option<EmployeeIx>) {
        if let Some(ix) = employee {
            let until = self.now_ms.saturating_add(TALK_CLAIM_MS);
            self.floor.take(self.slots[ix.at()], &self.state.call_id, ClaimKind::Talking, until);
        }
    }

    fn find_owner_action(&self, timeout_ms: u32) -> Action {
        Action::FindOwner { caller: self.caller_text(), timeout_ms }
    }

    fn find_history_action(&self, days: Option<u32>, timeout_ms: u32) -> Action {
        Action::FindHistory { caller: self.caller_text(), timeout_ms, days }
    }

    fn record_action(&self, prompt: PromptIx, ms: u64) -> Action {
        Action::Record { prompt: self.prompt(prompt), ms, recording: self.recording() }
    }

    /// The name of the recording at hand: unique to the call and the step, the same when the step is resumed.
    pub(super) fn recording(&self) -> SmolStr {
        let sequence = self.state.recorded.map_or(self.state.sequence, |(_, sequence)| sequence);
        self.named('-', sequence)
    }

    fn hang_up_action(&self) -> Action {
        if self.state.node == NodeIx::NOWHERE {
            return Action::HangUp { prompt: None, cause: Cause::Unallocated };
        }
        match &self.node().step {
            Step::Hangup { prompt, cause } => {
                Action::HangUp { prompt: prompt.map(|prompt| self.prompt(prompt)), cause: *cause }
            }
            _ => Action::HangUp { prompt: None, cause: Cause::Normal },
        }
    }

    fn transfer_to(&self) -> SmolStr {
        match &self.node().step {
            Step::Transfer { to: crate::company::version::Destination::Phone(number), .. } => number.text(),
            Step::Transfer { to: crate::company::version::Destination::Endpoint(address), .. } => address.clone(),
            _ => SmolStr::default(),
        }
    }

    fn caller_text(&self) -> SmolStr {
        self.state.caller.map_or_else(SmolStr::default, Number::text)
    }

    pub(super) fn prompt(&self, prompt: PromptIx) -> SmolStr {
        self.company.prompts[prompt.at()].id.clone()
    }

    pub(super) fn node(&self) -> &'e Node {
        self.company.node(self.state.node)
    }

    /// The identity of the next effect.
    pub(super) fn effect_id(&mut self) -> SmolStr {
        self.state.effects = self.state.effects.saturating_add(1);
        self.named(':', self.state.effects.into())
    }

    /// The call's id and a number that tells it from others of the call.
    fn named(&self, mark: char, number: u32) -> SmolStr {
        let mut name = ArrayString::<{ MAX_CALL_ID + 11 }>::new();
        name.push_str(&self.state.call_id);
        name.push(mark);
        name.push_str(itoa::Buffer::new().format(number));
        SmolStr::new(name)
    }

    pub(super) fn unexpected(&self, event: &Event) -> EngineError {
        EngineError::UnexpectedEvent { event: event.name(), pending: self.state.pending.name() }
    }
}

impl Pending {
    /// The action's type in the contract.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Play => "play",
            Self::Menu { .. } => "menu",
            Self::Ring => "ring",
            Self::Wait => "wait",
            Self::Record => "record",
            Self::FindOwner => "find_owner",
            Self::FindHistory => "find_history",
            Self::Transfer => "transfer",
            Self::Talk { .. } => "talk",
            Self::HangUp => "hang_up",
            Self::End(..) => "end",
        }
    }
}

/// A number that depends on the call id and the purpose alone.
pub(super) fn seed(call_id: &str, purpose: u64) -> u64 {
    SipHasher13::new_with_keys(0x6b6f_6d6d_7574_6174, purpose).hash(call_id.as_bytes())
}
