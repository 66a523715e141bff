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

mod hunting;

use smallvec::SmallVec;

use crate::company::version::{CounterIx, EmployeeIx, ListIx, Menu, Node, NodeIx, PromptIx, RegionIx, Step, exit};
use crate::facts::{Called, Facts, Learned, Owner};
use crate::floor::Floor;
use crate::number::Number;

use super::EngineError;
use super::branching::{is_listed, side};
use super::ending::{Earned, SHORTEST_MESSAGE_S, check_length, failure, is_over};
use super::event::{Event, Whose};
use super::machine::{Ground, MAX_NODES_A_TURN};
use super::said::{Hunted, Said};
use super::turn::{Disposition, Fault};

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
    fn answer(&mut self, at: &At, said: &Said<'_>) -> Option<Happened<'_>>;

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
    ask: &'a Ask<'a>,
    at: At,
    earned: Earned,
    passes: SmallVec<[(CounterIx, u16); 4]>,
    /// What this call was answered about its owner and its history, as facts would have kept it.
    owned: Option<Option<EmployeeIx>>,
    learned: Option<Learned>,
    /// Where round-robin hunts begin that this call has moved on.
    rotated: SmallVec<[(NodeIx, u16); 2]>,
    refused: Option<EngineError>,
}

/// What comes after a node, in one register: why the call was refused stands aside.
enum Onward {
    Exit(u16),
    Over(Ending),
    /// The world has no answer.
    Stopped,
    Refused,
}

impl Onward {
    fn by(place: usize) -> Self {
        Self::Exit(place as u16)
    }
}

impl<'e, 'a> Walk<'e, 'a> {
    pub fn new(ground: Ground<'e>, floor: &'a mut Floor, facts: &'a mut Facts, ask: &'a Ask<'a>) -> Self {
        Self {
            ground,
            floor,
            facts,
            ask,
            at: At { node: NodeIx::NOWHERE, owner: None, ms: ask.at_ms },
            earned: Earned::default(),
            passes: SmallVec::new(),
            owned: None,
            learned: None,
            rotated: SmallVec::new(),
            refused: None,
        }
    }

    /// Follows the call to its end, or to the action that the world does not answer.
    ///
    /// Allocates only in hunts that are not at once all free or have a second round, and where an address is longer than 23
    /// bytes. Errors: an event that does not answer its action; a way of more than [`MAX_NODES_A_TURN`] nodes.
    pub fn go<W: World>(&mut self, world: &mut W) -> Result<Option<Ending>, EngineError> {
        let company = self.ground.company;
        let onward = match company.scheme_for(self.ask.did) {
            Some(scheme) => self.follow(world, company.schemes[scheme.at()].start),
            None => {
                self.earned.nowhere = true;
                self.hang_up(world, &Said::UNALLOCATED, false)
            }
        };
        match onward {
            Onward::Over((disposition, fault)) => {
                world.answer(&self.at, &Said::End { disposition, fault });
                Ok(Some((disposition, fault)))
            }
            Onward::Stopped => Ok(None),
            Onward::Exit(_) | Onward::Refused => Err(self
                .refused
                .take()
                .unwrap_or_else(|| EngineError::Runaway(company.node(self.at.node).id.to_string()))),
        }
    }

    /// From a node on, to the node where the call stays.
    fn follow<W: World>(&mut self, world: &mut W, start: NodeIx) -> Onward {
        let company = self.ground.company;
        let mut ix = start;
        for _ in 0..MAX_NODES_A_TURN {
            let node = company.node(ix);
            self.at.node = ix;
            match self.enter(world, node) {
                Onward::Exit(place) => {
                    world.passed(ix, place.into());
                    ix = node.exits[usize::from(place)].to;
                }
                onward => return onward,
            }
        }
        Onward::Refused
    }

    #[cold]
    fn refuse(&mut self, error: EngineError) -> Onward {
        self.refused = Some(error);
        Onward::Refused
    }

    fn enter<W: World>(&mut self, world: &mut W, node: &'e Node) -> Onward {
        let company = self.ground.company;
        Onward::by(match &node.step {
            Step::Play { prompt } => return self.play(world, node, *prompt),
            Step::Schedule { schedule } => {
                let open = company.schedules[schedule.at()].1.is_open(self.at.ms);
                if open { exit::OPEN } else { exit::CLOSED }
            }
            Step::Menu(menu) => return self.menu(world, node, menu),
            Step::Ring(hunt) => return self.hunt(world, node, hunt),
            Step::List { lists } => self.list(lists),
            Step::Region { regions } => self.region(regions),
            Step::History { days, .. } => return self.history(world, node, *days),
            Step::Owner { .. } => return self.owner(world, node),
            Step::Queue(queue) => return self.queue(world, node, queue),
            Step::Voicemail { prompt, ms, .. } => {
                let said = Said::Record { prompt: &company.prompts[prompt.at()], ms: *ms };
                return self.record(world, &said);
            }
            Step::Transfer { .. } => return self.transfer(world, node),
            Step::Hangup { prompt, cause } => {
                self.earned.informed |= node.allow_lost;
                let spoken = prompt.map(|prompt| &company.prompts[prompt.at()]);
                let said = Said::HangUp { prompt: spoken, cause: *cause };
                return self.hang_up(world, &said, node.allow_lost && prompt.is_some());
            }
            Step::Notice(_) | Step::Tag { .. } => exit::DONE,
            Step::Jump => 0,
            Step::Split { upto } => side(self.ask.call_id, upto).0,
            Step::Repeat { times, counter } => self.repeat(*counter, *times),
            Step::Hole => return self.refuse(EngineError::Runaway(node.id.to_string())),
        })
    }

    fn play<W: World>(&mut self, world: &mut W, node: &Node, prompt: PromptIx) -> Onward {
        let said = Said::Play { prompt: &self.ground.company.prompts[prompt.at()] };
        let Some(happened) = world.answer(&self.at, &said) else { return Onward::Stopped };
        self.at.ms = happened.at_ms;
        match happened.event {
            Event::Played {} => {
                self.earned.informed = node.allow_lost;
                Onward::by(exit::DONE)
            }
            event => self.broken_off(event, &said),
        }
    }

    fn menu<W: World>(&mut self, world: &mut W, node: &Node, menu: &Menu) -> Onward {
        let company = self.ground.company;
        let prompt = |ix: PromptIx| &company.prompts[ix.at()];
        let mut notice = None;
        for attempt in 1_u8.. {
            let said = Said::Menu { menu, prompt: prompt(menu.prompt), notice };
            let Some(happened) = world.answer(&self.at, &said) else { return Onward::Stopped };
            self.at.ms = happened.at_ms;
            let (last, again) = match happened.event {
                Event::Digits { digits } => {
                    if let Some((_, place)) = menu.options.iter().find(|(option, _)| option == digits) {
                        return Onward::by(*place);
                    }
                    (menu.invalid(node), menu.invalid_prompt)
                }
                Event::NoInput {} => (menu.no_input(node), menu.silence_prompt),
                event => return self.broken_off(event, &said),
            };
            if attempt >= menu.attempts {
                return Onward::by(last);
            }
            notice = again.map(prompt);
        }
        Onward::by(menu.invalid(node))
    }

    fn record<W: World>(&mut self, world: &mut W, said: &Said<'_>) -> Onward {
        let Some(happened) = world.answer(&self.at, said) else { return Onward::Stopped };
        self.at.ms = happened.at_ms;
        match happened.event {
            Event::Recorded { seconds } => {
                if let Err(error) = self.recorded(*seconds) {
                    return self.refuse(error);
                }
                Onward::by(exit::DONE)
            }
            event => {
                if let Event::CallerHungUp { seconds: Some(seconds) } = event
                    && let Err(error) = self.recorded(*seconds)
                {
                    return self.refuse(error);
                }
                self.broken_off(event, said)
            }
        }
    }

    fn recorded(&mut self, seconds: f64) -> Result<(), EngineError> {
        check_length(seconds)?;
        self.earned.message |= seconds >= SHORTEST_MESSAGE_S;
        Ok(())
    }

    fn transfer<W: World>(&mut self, world: &mut W, node: &Node) -> Onward {
        let said = Said::of(self.ground.company, node, Hunted::NOT);
        let Some(happened) = world.answer(&self.at, &said) else { return Onward::Stopped };
        self.at.ms = happened.at_ms;
        match happened.event {
            Event::Transferred {} => Onward::Over((Disposition::Transferred, Fault::None)),
            Event::Failed {} => Onward::by(exit::FAILED),
            event => self.broken_off(event, &said),
        }
    }

    /// `tells`: what the call ends by is an announcement that it may end by.
    fn hang_up<W: World>(&mut self, world: &mut W, said: &Said<'_>, tells: bool) -> Onward {
        let Some(happened) = world.answer(&self.at, said) else { return Onward::Stopped };
        self.at.ms = happened.at_ms;
        Onward::Over(match happened.event {
            Event::HungUp {} | Event::CallerHungUp { .. } => self.earned.ending(),
            Event::Fault { whose } => self.failed(*whose, !tells),
            event => return self.refuse(unexpected(event, said)),
        })
    }

    /// The call ends by what can happen at any time.
    #[cold]
    fn broken_off(&mut self, event: &Event, said: &Said<'_>) -> Onward {
        Onward::Over(match event {
            Event::CallerHungUp { .. } if is_over(self.earned, false) => self.earned.ending(),
            Event::CallerHungUp { .. } => (Disposition::Abandoned, Fault::Caller),
            Event::Fault { whose } => self.failed(*whose, false),
            event => return self.refuse(unexpected(event, said)),
        })
    }

    fn failed(&self, whose: Whose, ended: bool) -> Ending {
        if is_over(self.earned, ended) { self.earned.ending() } else { failure(whose) }
    }

    fn list(&self, lists: &[ListIx]) -> usize {
        let company = self.ground.company;
        match self.ask.caller {
            Some(caller) if lists.iter().any(|&list| is_listed(company, self.facts, list, caller)) => exit::MATCH,
            _ => exit::ELSE,
        }
    }

    fn region(&self, regions: &[RegionIx]) -> usize {
        let found = self.ask.caller.and_then(|caller| self.ground.company.regions.find(caller));
        let place = found.and_then(|found| regions.iter().position(|known| known.at() == found.region));
        place.unwrap_or(regions.len())
    }

    fn history<W: World>(&mut self, world: &mut W, node: &Node, days: Option<u32>) -> Onward {
        let Some(caller) = self.ask.caller else { return Onward::by(exit::FIRST) };
        match self.facts.peek_history_after(self.learned, caller, days, self.at.ms) {
            Called::Before => return Onward::by(exit::REPEAT),
            Called::Never => return Onward::by(exit::FIRST),
            Called::Unknown => {}
        }
        let said = Said::of(self.ground.company, node, Hunted::NOT);
        let Some(happened) = world.answer(&self.at, &said) else { return Onward::Stopped };
        self.at.ms = happened.at_ms;
        let before = match happened.event {
            Event::CalledBefore {} => true,
            Event::NeverCalled {} => false,
            Event::Failed {} => return Onward::by(exit::REPEAT),
            event => return self.broken_off(event, &said),
        };
        self.learned = Some(self.facts.learn_history(caller, self.learned, days, before, self.at.ms));
        Onward::by(if before { exit::REPEAT } else { exit::FIRST })
    }

    fn owner<W: World>(&mut self, world: &mut W, node: &Node) -> Onward {
        self.at.owner = None;
        let Some(caller) = self.ask.caller else { return Onward::by(exit::UNKNOWN) };
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
                let Some(happened) = world.answer(&self.at, &said) else { return Onward::Stopped };
                self.at.ms = happened.at_ms;
                let told = match happened.event {
                    Event::Owner { employee } => of(employee),
                    Event::NoOwner {} => None,
                    Event::Failed {} => return Onward::by(exit::OWNER_UNAVAILABLE),
                    event => return self.broken_off(event, &said),
                };
                self.owned = Some(told);
                told
            }
        };
        self.at.owner = found;
        Onward::by(if found.is_some() { exit::FOUND } else { exit::UNKNOWN })
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
}

#[cold]
fn unexpected(event: &Event, said: &Said<'_>) -> EngineError {
    EngineError::UnexpectedEvent { event: event.name(), pending: said.name() }
}
