//! A call followed through its schemes without being one: from its arrival to its end in one go, on the floor as it is.
//!
//! At each action a [`World`] says what happens then, and when. Nobody is claimed, nothing is remembered, no state is
//! sealed and no reason is given: what the world hears is the machine's actions, one by one, borrowed from the version.
//! `tests/walks.rs` holds both to the same. Two things are said more briefly than the machine does, which has a line and
//! other routers to think of:
//!
//! - A queue is one action, [`Said::Queue`], from coming to leaving. `answered` ends it; `waited` and `no_answer` say that its
//!   longest wait is over, in which nobody or somebody was rung; `unavailable`, that nobody is at work any more.
//! - `taken` is another router's claim, and answers nothing here.
//!
//! A decision is the walk of a world that hears announcements out and answers nothing else: see [`super::decision`].

use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::company::document::Strategy;
use crate::company::version::{
    Company, CounterIx, EmployeeIx, Hunt, Leg, ListIx, Menu, Node, NodeIx, PromptIx, Queue, RegionIx, Step, exit,
};
use crate::facts::{Called, Facts, Learned, Owner};
use crate::floor::{Floor, Standing};
use crate::number::Number;

use super::EngineError;
use super::branching::side;
use super::ending::{Earned, SHORTEST_MESSAGE_S, check_length, failure, is_over};
use super::event::{Event, Whose};
use super::machine::{Ground, MAX_NODES_A_TURN, Next, Run, check_endpoint};
use super::said::{Hunted, Phone, Phones, Rung, Said};
use super::state::{CallId, CallState, Outcome, Pending};
use super::turn::{Action, Disposition, Fault};

/// What is asked: a call, as far as its way depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Our number that was dialled, if it is one.
    pub did: Option<Number>,
    /// The calling party, unless withheld.
    pub caller: Option<Number>,
    /// What chance is seeded by: the splits and random hunts of the call of this id.
    pub call_id: &'a str,
    /// Milliseconds of UTC.
    pub at_ms: i64,
}

/// What happens to a call on its way.
pub trait World {
    /// The event that answers an action; with none the walk stops there. What it says to an `end` is not asked.
    fn answer(&mut self, at: At, said: &Said<'_>) -> Option<Happened<'_>>;

    /// A node was left by the exit of this place.
    fn passed(&mut self, _node: NodeIx, _exit: usize) {}
}

/// Where a call is.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The node; [`NodeIx::NOWHERE`] for a number that serves no scheme.
    pub node: NodeIx,
    /// Whom an `owner` node has found.
    pub owner: Option<EmployeeIx>,
    /// Milliseconds of UTC.
    pub ms: i64,
}

/// An event, and when it came.
#[derive(Clone, Copy, Debug)]
pub struct Happened<'w> {
    /// Milliseconds of UTC.
    pub at_ms: i64,
    /// What.
    pub event: &'w Event,
}

/// How a call ended.
pub type Ending = (Disposition, Fault);

/// One call on its way.
pub(crate) struct Walk<'e, 'a> {
    ground: Ground<'e>,
    floor: &'a mut Floor,
    facts: &'a mut Facts,
    ask: Ask<'a>,
    owner: Option<EmployeeIx>,
    earned: Earned,
    passes: SmallVec<[(CounterIx, u16); 4]>,
    /// What this call was answered about its owner and its history, as facts would have kept it.
    owned: Option<Option<EmployeeIx>>,
    learned: Option<Learned>,
    /// Where round-robin hunts begin that this call has moved on.
    rotated: SmallVec<[(NodeIx, u16); 2]>,
}

/// What comes after a node.
enum Onward {
    Exit(usize),
    Over(Ending),
    /// The world has no answer.
    Stopped,
}

impl<'e, 'a> Walk<'e, 'a> {
    pub fn new(ground: Ground<'e>, floor: &'a mut Floor, facts: &'a mut Facts, ask: &Ask<'a>) -> Self {
        Self {
            ground,
            floor,
            facts,
            ask: *ask,
            owner: None,
            earned: Earned::default(),
            passes: SmallVec::new(),
            owned: None,
            learned: None,
            rotated: SmallVec::new(),
        }
    }

    /// Follows the call to its end, or to the action that the world does not answer.
    ///
    /// Allocates only in hunts that are not at once all free or have a second round, and where an address is longer than 23
    /// bytes. Errors: an event that does not answer its action; a way of more than [`MAX_NODES_A_TURN`] nodes.
    pub fn go<W: World>(mut self, world: &mut W) -> Result<Option<Ending>, EngineError> {
        let company = self.ground.company;
        let Some(scheme) = company.scheme_for(self.ask.did) else {
            self.earned.nowhere = true;
            let onward = self.hang_up(world, NodeIx::NOWHERE, &Said::UNALLOCATED, false)?;
            return Ok(self.over(world, NodeIx::NOWHERE, onward));
        };
        let mut ix = company.schemes[scheme.at()].start;
        for _ in 0..MAX_NODES_A_TURN {
            let node = company.node(ix);
            match self.enter(world, ix, node)? {
                Onward::Exit(place) => {
                    world.passed(ix, place);
                    ix = node.exits[place].to;
                }
                onward => return Ok(self.over(world, ix, onward)),
            }
        }
        Err(EngineError::Runaway(company.node(ix).id.to_string()))
    }

    fn over<W: World>(&self, world: &mut W, ix: NodeIx, onward: Onward) -> Option<Ending> {
        let Onward::Over((disposition, fault)) = onward else { return None };
        world.answer(self.at(ix), &Said::End { disposition, fault });
        Some((disposition, fault))
    }

    fn at(&self, node: NodeIx) -> At {
        At { node, owner: self.owner, ms: self.ask.at_ms }
    }

    fn enter<W: World>(&mut self, world: &mut W, ix: NodeIx, node: &'e Node) -> Result<Onward, EngineError> {
        let company = self.ground.company;
        Ok(Onward::Exit(match &node.step {
            Step::Play { prompt } => return self.play(world, ix, node, *prompt),
            Step::Schedule { schedule } => {
                let open = company.schedules[schedule.at()].1.is_open(self.ask.at_ms);
                if open { exit::OPEN } else { exit::CLOSED }
            }
            Step::Menu(menu) => return self.menu(world, ix, node, menu),
            Step::Ring(hunt) => return self.hunt(world, ix, node, hunt),
            Step::List { lists } => self.list(lists),
            Step::Region { regions } => self.region(regions),
            Step::History { days, .. } => return self.history(world, ix, node, *days),
            Step::Owner { .. } => return self.owner(world, ix, node),
            Step::Queue(queue) => return self.queue(world, ix, node, queue),
            Step::Voicemail { .. } => return self.record(world, ix, node),
            Step::Transfer { .. } => return self.transfer(world, ix, node),
            Step::Hangup { prompt, .. } => {
                self.earned.informed |= node.allow_lost;
                let said = Said::of(company, node, Hunted::NOT);
                return self.hang_up(world, ix, &said, node.allow_lost && prompt.is_some());
            }
            Step::Notice(_) | Step::Tag { .. } => exit::DONE,
            Step::Jump => 0,
            Step::Split { upto } => side(self.ask.call_id, upto).0,
            Step::Repeat { times, counter } => self.repeat(*counter, *times),
            Step::Hole => return Err(EngineError::Runaway(node.id.to_string())),
        }))
    }

    fn play<W: World>(
        &mut self,
        world: &mut W,
        ix: NodeIx,
        node: &Node,
        prompt: PromptIx,
    ) -> Result<Onward, EngineError> {
        let said = Said::Play { prompt: &self.ground.company.prompts[prompt.at()] };
        let Some(happened) = world.answer(self.at(ix), &said) else { return Ok(Onward::Stopped) };
        self.ask.at_ms = happened.at_ms;
        match happened.event {
            Event::Played {} => {
                self.earned.informed = node.allow_lost;
                Ok(Onward::Exit(exit::DONE))
            }
            event => self.broken_off(event, &said),
        }
    }

    fn menu<W: World>(&mut self, world: &mut W, ix: NodeIx, node: &Node, menu: &Menu) -> Result<Onward, EngineError> {
        let company = self.ground.company;
        let prompt = |ix: PromptIx| &company.prompts[ix.at()];
        let mut notice = None;
        for attempt in 1_u8.. {
            let said = Said::Menu { menu, prompt: prompt(menu.prompt), notice };
            let Some(happened) = world.answer(self.at(ix), &said) else { return Ok(Onward::Stopped) };
            self.ask.at_ms = happened.at_ms;
            let (last, again) = match happened.event {
                Event::Digits { digits } => {
                    if let Some((_, place)) = menu.options.iter().find(|(option, _)| option == digits) {
                        return Ok(Onward::Exit(*place));
                    }
                    (menu.invalid(node), menu.invalid_prompt)
                }
                Event::NoInput {} => (menu.no_input(node), menu.silence_prompt),
                event => return self.broken_off(event, &said),
            };
            if attempt >= menu.attempts {
                return Ok(Onward::Exit(last));
            }
            notice = again.map(prompt);
        }
        Ok(Onward::Exit(menu.invalid(node)))
    }

    fn record<W: World>(&mut self, world: &mut W, ix: NodeIx, node: &Node) -> Result<Onward, EngineError> {
        let said = Said::of(self.ground.company, node, Hunted::NOT);
        let Some(happened) = world.answer(self.at(ix), &said) else { return Ok(Onward::Stopped) };
        self.ask.at_ms = happened.at_ms;
        match happened.event {
            Event::Recorded { seconds } => {
                self.recorded(*seconds)?;
                Ok(Onward::Exit(exit::DONE))
            }
            event => {
                if let Event::CallerHungUp { seconds: Some(seconds) } = event {
                    self.recorded(*seconds)?;
                }
                self.broken_off(event, &said)
            }
        }
    }

    fn recorded(&mut self, seconds: f64) -> Result<(), EngineError> {
        check_length(seconds)?;
        self.earned.message |= seconds >= SHORTEST_MESSAGE_S;
        Ok(())
    }

    fn transfer<W: World>(&mut self, world: &mut W, ix: NodeIx, node: &Node) -> Result<Onward, EngineError> {
        let said = Said::of(self.ground.company, node, Hunted::NOT);
        let Some(happened) = world.answer(self.at(ix), &said) else { return Ok(Onward::Stopped) };
        self.ask.at_ms = happened.at_ms;
        match happened.event {
            Event::Transferred {} => Ok(Onward::Over((Disposition::Transferred, Fault::None))),
            Event::Failed {} => Ok(Onward::Exit(exit::FAILED)),
            event => self.broken_off(event, &said),
        }
    }

    /// `tells`: what the call ends by is an announcement that it may end by.
    fn hang_up<W: World>(
        &mut self,
        world: &mut W,
        ix: NodeIx,
        said: &Said<'_>,
        tells: bool,
    ) -> Result<Onward, EngineError> {
        let Some(happened) = world.answer(self.at(ix), said) else { return Ok(Onward::Stopped) };
        self.ask.at_ms = happened.at_ms;
        Ok(Onward::Over(match happened.event {
            Event::HungUp {} | Event::CallerHungUp { .. } => self.earned.ending(),
            Event::Fault { whose } => self.failed(*whose, !tells),
            event => return Err(unexpected(event, said)),
        }))
    }

    /// The call ends by what can happen at any time.
    #[cold]
    fn broken_off(&self, event: &Event, said: &Said<'_>) -> Result<Onward, EngineError> {
        Ok(Onward::Over(match event {
            Event::CallerHungUp { .. } if is_over(self.earned, false) => self.earned.ending(),
            Event::CallerHungUp { .. } => (Disposition::Abandoned, Fault::Caller),
            Event::Fault { whose } => self.failed(*whose, false),
            event => return Err(unexpected(event, said)),
        }))
    }

    fn failed(&self, whose: Whose, ended: bool) -> Ending {
        if is_over(self.earned, ended) { self.earned.ending() } else { failure(whose) }
    }

    fn list(&self, lists: &[ListIx]) -> usize {
        let company = self.ground.company;
        let has = |caller, list: &ListIx| {
            let changed = || self.facts.listed(&company.list_ids[list.at()], caller);
            let changed = if self.facts.lists_unchanged() { None } else { changed() };
            changed.unwrap_or_else(|| company.lists.find(list.at(), caller).is_some())
        };
        match self.ask.caller {
            Some(caller) if lists.iter().any(|list| has(caller, list)) => exit::MATCH,
            _ => exit::ELSE,
        }
    }

    fn region(&self, regions: &[RegionIx]) -> usize {
        let found = self.ask.caller.and_then(|caller| self.ground.company.regions.find(caller));
        let place = found.and_then(|found| regions.iter().position(|known| known.at() == found.region));
        place.unwrap_or(regions.len())
    }

    fn history<W: World>(
        &mut self,
        world: &mut W,
        ix: NodeIx,
        node: &Node,
        days: Option<u32>,
    ) -> Result<Onward, EngineError> {
        let Some(caller) = self.ask.caller else { return Ok(Onward::Exit(exit::FIRST)) };
        match self.facts.peek_history(caller, self.learned, days, self.ask.at_ms) {
            Called::Before => return Ok(Onward::Exit(exit::REPEAT)),
            Called::Never => return Ok(Onward::Exit(exit::FIRST)),
            Called::Unknown => {}
        }
        let said = Said::of(self.ground.company, node, Hunted::NOT);
        let Some(happened) = world.answer(self.at(ix), &said) else { return Ok(Onward::Stopped) };
        self.ask.at_ms = happened.at_ms;
        let before = match happened.event {
            Event::CalledBefore {} => true,
            Event::NeverCalled {} => false,
            Event::Failed {} => return Ok(Onward::Exit(exit::REPEAT)),
            event => return self.broken_off(event, &said),
        };
        self.learned = Some(self.facts.learn_history(caller, self.learned, days, before, self.ask.at_ms));
        Ok(Onward::Exit(if before { exit::REPEAT } else { exit::FIRST }))
    }

    fn owner<W: World>(&mut self, world: &mut W, ix: NodeIx, node: &Node) -> Result<Onward, EngineError> {
        self.owner = None;
        let Some(caller) = self.ask.caller else { return Ok(Onward::Exit(exit::UNKNOWN)) };
        let company = self.ground.company;
        let of = |id: &str| company.employee_index.get(id).copied();
        let known = self.owned.or_else(|| match self.facts.owner(caller)? {
            Owner::Nobody => Some(None),
            Owner::Employee(id) => Some(of(id)),
        });
        let found = match known {
            Some(known) => known,
            None => {
                let said = Said::of(company, node, Hunted::NOT);
                let Some(happened) = world.answer(self.at(ix), &said) else { return Ok(Onward::Stopped) };
                self.ask.at_ms = happened.at_ms;
                let told = match happened.event {
                    Event::Owner { employee } => of(employee),
                    Event::NoOwner {} => None,
                    Event::Failed {} => return Ok(Onward::Exit(exit::OWNER_UNAVAILABLE)),
                    event => return self.broken_off(event, &said),
                };
                self.owned = Some(told);
                told
            }
        };
        self.owner = found;
        Ok(Onward::Exit(if found.is_some() { exit::FOUND } else { exit::UNKNOWN }))
    }

    fn repeat(&mut self, counter: CounterIx, times: u16) -> usize {
        let known = self.passes.iter().position(|(known, _)| *known == counter);
        let at = known.unwrap_or_else(|| {
            self.passes.push((counter, 0));
            self.passes.len() - 1
        });
        if self.passes[at].1 >= times {
            return exit::REPEAT_DONE;
        }
        self.passes[at].1 += 1;
        exit::AGAIN
    }

    fn hunt<W: World>(
        &mut self,
        world: &mut W,
        ix: NodeIx,
        node: &'e Node,
        hunt: &'e Hunt,
    ) -> Result<Onward, EngineError> {
        (self.earned.informed, self.earned.outcome) = (false, Outcome::None);
        let Some(round) = hunt.rounds.first().filter(|_| self.all_free(hunt)) else {
            return self.hunt_on(world, ix, node, hunt, None);
        };
        let phones = Phones::new(self.ground.company, hunt, Rung::First(hunt.surely), self.owner);
        let said = Said::Ring { phones, ms: round.ms, music: hunt.music.as_ref(), round: 1 };
        let Some(happened) = world.answer(self.at(ix), &said) else { return Ok(Onward::Stopped) };
        match happened.event {
            Event::Answered { endpoint } => {
                self.ask.at_ms = happened.at_ms;
                let phone = phones.find(endpoint).ok_or_else(|| unexpected(happened.event, &said))?;
                self.talk(world, ix, phone)
            }
            Event::NoAnswer { ended } if ended.is_empty() && hunt.has_one_round() => {
                self.ask.at_ms = happened.at_ms;
                self.earned.outcome = Outcome::NoAnswer;
                Ok(Onward::Exit(exit::NO_ANSWER))
            }
            event => {
                let (event, at_ms) = (event.clone(), happened.at_ms);
                self.hunt_on(world, ix, node, hunt, Some((&event, at_ms)))
            }
        }
    }

    /// Whether the first round rings all whom it names for certain, and they are all free: most hunts at most times.
    fn all_free(&self, hunt: &Hunt) -> bool {
        let free = |leg: &Leg| {
            let (ix, mobile) = match *leg {
                Leg::Desk(ix) => (ix, false),
                Leg::Mobile(ix) => (ix, true),
                Leg::Phone(_) => return true,
                Leg::Owner => return false,
            };
            let slot = self.ground.slots[ix.at()];
            self.floor.is_at_rest(slot)
                || self.floor.standing(slot, self.ask.call_id, mobile, self.ask.at_ms) == Standing::Free
        };
        hunt.surely > 0 && hunt.legs.iter().take(hunt.surely).all(free)
    }

    /// A hunt as the machine would hold it, on trial: from its beginning, or after an event of its first round.
    #[inline(never)]
    fn hunt_on(
        &mut self,
        world: &mut dyn World,
        ix: NodeIx,
        node: &'e Node,
        hunt: &'e Hunt,
        after: Option<(&Event, i64)>,
    ) -> Result<Onward, EngineError> {
        let (company, owner) = (self.ground.company, self.owner);
        let state = on_trial(company, &self.ask, ix, owner);
        let mut run = Run::new(self.ground, &mut *self.floor, &mut *self.facts, state, self.ask.at_ms);
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
                None => match world.answer(At { node: ix, owner, ms: run.now_ms }, &said) {
                    Some(happened) => (happened.event, happened.at_ms),
                    None => return Ok(Onward::Stopped),
                },
            };
            run.now_ms = at_ms;
            self.ask.at_ms = at_ms;
            next = match event {
                Event::Answered { endpoint } if rings => {
                    let phone = phones.find(endpoint).ok_or_else(|| unexpected(event, &said))?;
                    return self.talk(world, ix, phone);
                }
                Event::CallerHungUp { .. } | Event::Fault { .. } => return self.broken_off(event, &said),
                Event::Taken { .. } => return Err(unexpected(event, &said)),
                event if rings => run.ring_event(event)?,
                event => run.wait_event(event)?,
            };
        }
        self.earned.outcome = run.state.outcome;
        Ok(Onward::Exit(match run.state.outcome {
            Outcome::None | Outcome::NoAnswer => exit::NO_ANSWER,
            Outcome::Busy => exit::BUSY,
            Outcome::Unavailable => exit::UNAVAILABLE,
        }))
    }

    fn queue<W: World>(
        &mut self,
        world: &mut W,
        ix: NodeIx,
        node: &'e Node,
        queue: &'e Queue,
    ) -> Result<Onward, EngineError> {
        (self.earned.informed, self.earned.outcome) = (false, Outcome::None);
        let state = on_trial(self.ground.company, &self.ask, ix, self.owner);
        let mut run = Run::new(self.ground, &mut *self.floor, &mut *self.facts, state, self.ask.at_ms);
        run.trial = true;
        if let Some(place) = run.turned_away(node, queue) {
            self.earned.outcome = if place == exit::FULL { Outcome::Busy } else { Outcome::Unavailable };
            return Ok(Onward::Exit(place));
        }
        let said = Said::of(self.ground.company, node, Hunted { owner: self.owner, ..Hunted::NOT });
        let Some(happened) = world.answer(self.at(ix), &said) else { return Ok(Onward::Stopped) };
        self.ask.at_ms = happened.at_ms;
        let (outcome, place) = match happened.event {
            Event::Answered { endpoint } => {
                let phones = Phones::all(self.ground.company, &queue.hunt, self.owner);
                let phone = phones.find(endpoint).ok_or_else(|| unexpected(happened.event, &said))?;
                return self.talk(world, ix, phone);
            }
            Event::Waited {} => (Outcome::Busy, exit::TIMEOUT),
            Event::NoAnswer { .. } => (Outcome::NoAnswer, exit::TIMEOUT),
            Event::Unavailable { .. } => (Outcome::Unavailable, exit::NOBODY),
            event => return self.broken_off(event, &said),
        };
        self.earned.outcome = outcome;
        Ok(Onward::Exit(place))
    }

    fn talk<W: World + ?Sized>(&mut self, world: &mut W, ix: NodeIx, phone: Phone<'_>) -> Result<Onward, EngineError> {
        self.earned.answered = true;
        let mut passed_to: SmolStr;
        let mut phone = phone;
        loop {
            let said = Said::Talk { phone };
            let Some(happened) = world.answer(self.at(ix), &said) else { return Ok(Onward::Stopped) };
            self.ask.at_ms = happened.at_ms;
            match happened.event {
                Event::ConversationEnded {} => return Ok(Onward::Over(self.earned.ending())),
                Event::Passed { employee, endpoint } => {
                    check_endpoint(endpoint)?;
                    if let Some(id) = employee.as_deref().filter(|id| !self.is_employee(id)) {
                        return Err(EngineError::UnknownEmployee(id.to_owned()));
                    }
                    passed_to = endpoint.into();
                    phone = Phone::Address(&passed_to);
                }
                event => return self.broken_off(event, &said),
            }
        }
    }

    fn is_employee(&self, id: &str) -> bool {
        self.ground.company.employee_index.contains_key(id)
    }
}

/// The state of a call on trial at a node.
fn on_trial(company: &Company, ask: &Ask<'_>, node: NodeIx, owner: Option<EmployeeIx>) -> CallState {
    let call_id = CallId::from(ask.call_id).unwrap_or_default();
    let mut state = CallState::new(company.id, call_id, ask.did, ask.caller);
    (state.node, state.owner) = (node, owner);
    state
}

#[cold]
fn unexpected(event: &Event, said: &Said<'_>) -> EngineError {
    EngineError::UnexpectedEvent { event: event.name(), pending: said.name() }
}
