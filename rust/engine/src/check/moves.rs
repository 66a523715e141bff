//! The moves of a call: from a state through each exit that it can take there, and how long that lasts at most.

use crate::company::document::Strategy;
use crate::company::version::{Hunt, Leg, NodeIx, PromptIx, Queue, Step, exit};

use super::callers::{WITHHELD, of_region};
use super::matter::only_owner;
use super::state::{Notes, State, World, days};

/// One way on.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// Place of the exit taken.
    pub exit: u16,
    /// The state it leads to.
    pub to: State,
    /// The longest it can take, milliseconds.
    pub ms: u64,
}

/// The moves from one state.
pub struct Moves<'a, 'c> {
    world: &'a World<'c>,
    notes: &'a mut Notes,
    from: State,
    to: &'a mut Vec<Move>,
}

/// Every move from a state, in the order of the exits as far as a node decides; none from a `hangup`.
///
/// Where an `owner` or `history` node can be answered by a cache or by asking, only asking stands here: it forgets more,
/// so that every call a cache could make possible is among its own.
pub fn moves(world: &World<'_>, notes: &mut Notes, from: State, to: &mut Vec<Move>) {
    to.clear();
    Moves { world, notes, from, to }.all();
}

/// True when the call waits at this state for an event, so that the caller can hang up before the scheme has ended.
pub fn waits(world: &World<'_>, notes: &Notes, state: &State) -> bool {
    match &world.company.node(state.node).step {
        Step::Play { .. } | Step::Menu(_) | Step::Voicemail { .. } | Step::Transfer { .. } => true,
        Step::Ring(hunt) | Step::Queue(Queue { hunt, .. }) => can_ring(world, hunt, state.found),
        Step::Owner { .. } => state.owner.is_none() && notes.has_number(state),
        Step::History { days: asked, .. } => state.first < days(*asked) && notes.has_number(state),
        _ => false,
    }
}

/// What lasts after the last node was come to, milliseconds.
pub fn farewell_ms(world: &World<'_>, state: &State) -> u64 {
    match world.company.node(state.node).step {
        Step::Hangup { prompt: Some(prompt), .. } => world.company.prompt_ms(prompt),
        _ => 0,
    }
}

fn can_ring(world: &World<'_>, hunt: &Hunt, found: bool) -> bool {
    !only_owner(hunt) || found && world.owners_ring
}

/// True for a hunt that rings a telephone outside of the company, a mobile among them: it is there whoever is at work.
pub fn always_there(hunt: &Hunt) -> bool {
    hunt.legs.iter().any(|leg| matches!(leg, Leg::Phone(_) | Leg::Mobile(_)))
}

/// The longest a hunt can last before it takes an exit, milliseconds. Rounds in which nobody can be rung or waited for are
/// passed over.
fn hunt_ms(hunt: &Hunt, owner_rings: bool, rang_out: bool) -> u64 {
    let rings = |leg: &Leg| owner_rings || *leg != Leg::Owner;
    // Who has just come free from another call, say; a phone of no employee is always there.
    let can_be_waited_for = |leg: &Leg| rings(leg) && !matches!(leg, Leg::Phone(_));
    if hunt.one_by_one() {
        // Who chooses may wait out the round of a leg that cannot be rung, and ring another in the next.
        let waits = hunt.strategy != Strategy::Linear && hunt.legs.iter().any(can_be_waited_for);
        let rounds = hunt.legs.iter().filter(|leg| waits || rings(leg)).count();
        return hunt.rounds.first().map_or(0, |round| round.ms * rounds as u64);
    }
    let mut before = 0;
    let mut longest_ms = 0;
    for round in &hunt.rounds {
        let (legs, new) = (&hunt.legs[..usize::from(round.legs)], &hunt.legs[before..usize::from(round.legs)]);
        // A phone that does not ring out is out of the hunt when its first round ends.
        if if rang_out { legs.iter().any(rings) } else { legs.iter().any(can_be_waited_for) || new.iter().any(rings) } {
            longest_ms += round.ms;
        }
        before = usize::from(round.legs);
    }
    longest_ms
}

/// The stretch of seeds that leads to exit `place` of a split, both ends included.
fn seeds(upto: &[u64], place: usize) -> (u64, u64) {
    let of = u128::from(upto.last().copied().unwrap_or(1).max(1));
    // The least seed whose weight, `seed * of >> 64`, is at least the bound.
    let least = |bound: u64| (u128::from(bound) << 64).div_ceil(of);
    let from = if place == 0 { 0 } else { least(upto[place - 1]) };
    (from as u64, (least(upto[place]) - 1) as u64)
}

impl Moves<'_, '_> {
    fn all(&mut self) {
        let company = self.world.company;
        let node = company.node(self.from.node);
        match &node.step {
            Step::Play { prompt } => {
                let mut after = self.later();
                after.informed = node.allow_lost;
                self.go(exit::DONE, after, self.prompt_ms(*prompt));
            }
            Step::Schedule { schedule } => {
                for (place, open) in [(exit::OPEN, true), (exit::CLOSED, false)] {
                    let asked = self.notes.asked_hours(self.world, self.from, schedule.at(), open);
                    self.maybe(place, asked);
                }
            }
            Step::List { lists } => self.list(&lists.iter().map(|list| list.0).collect::<Vec<_>>()),
            Step::Region { regions } => {
                for (place, region) in regions.iter().enumerate() {
                    if !regions[..place].contains(region) {
                        let narrow = self.notes.narrow(self.from, |class| class == of_region(region.at()));
                        self.maybe(place, narrow);
                    }
                }
                let known = |class| regions.iter().any(|region| of_region(region.at()) == class);
                let narrow = self.notes.narrow(self.from, |class| !known(class));
                self.maybe(regions.len(), narrow);
            }
            Step::History { days: asked, timeout_ms } => self.history(days(*asked), u64::from(*timeout_ms)),
            Step::Owner { timeout_ms } => self.owner(u64::from(*timeout_ms)),
            Step::Menu(menu) => {
                let ms = menu.longest_ms(|prompt| company.prompt_ms(prompt));
                let after = self.later();
                (0..node.exits.len()).for_each(|place| self.go(place, after, ms));
            }
            Step::Ring(hunt) => {
                let rings = can_ring(self.world, hunt, self.from.found);
                let mut after = if rings { self.later() } else { self.from };
                after.informed = false;
                let owner_rings = self.from.found && self.world.owners_ring;
                let ms = hunt_ms(hunt, owner_rings, false);
                if rings {
                    self.go(exit::NO_ANSWER, after, hunt_ms(hunt, owner_rings, true));
                    self.go(exit::BUSY, after, ms);
                }
                self.go(exit::UNAVAILABLE, after, ms);
            }
            Step::Queue(queue) => {
                let rings = can_ring(self.world, &queue.hunt, self.from.found);
                let mut after = if rings { self.later() } else { self.from };
                after.informed = false;
                // A PBX may play an announcement that has begun to its end.
                let ms = queue.max_wait_ms + queue.longest_announcement_ms(|prompt| self.prompt_ms(prompt));
                if rings {
                    self.go(exit::TIMEOUT, after, ms);
                    // A caller is turned away in the moment in which he comes.
                    self.go(exit::FULL, State { informed: false, ..self.from }, 0);
                }
                if !always_there(&queue.hunt) {
                    self.go(exit::NOBODY, after, if rings { ms } else { 0 });
                }
            }
            Step::Repeat { times, counter } => {
                if self.notes.passes(&self.from, counter.0) >= *times {
                    self.go(exit::REPEAT_DONE, self.from, 0);
                } else {
                    let after = self.notes.pass(self.from, counter.0);
                    self.go(exit::AGAIN, after, 0);
                }
            }
            Step::Notice(notice) => {
                let told = self.from.told || notice.tells_somebody();
                self.go(exit::DONE, State { told, ..self.from }, 0);
            }
            Step::Voicemail { prompt, ms, .. } => {
                let after = self.later();
                self.go(exit::DONE, State { told: true, ..after }, self.prompt_ms(*prompt) + ms);
            }
            Step::Split { upto } => {
                for place in 0..upto.len() {
                    let (from, to) = seeds(upto, place);
                    let seed = (from.max(self.from.seed.0), to.min(self.from.seed.1));
                    self.maybe(place, Some(State { seed, ..self.from }).filter(|_| seed.0 <= seed.1));
                }
            }
            Step::Tag { .. } | Step::Jump => self.go(exit::DONE, self.from, 0),
            Step::Transfer { ms, .. } => {
                let after = self.later();
                self.go(exit::FAILED, after, *ms);
            }
            Step::Hangup { .. } | Step::Hole => {}
        }
    }

    /// Lists are asked in order, and the first that has the caller decides.
    fn list(&mut self, lists: &[u32]) {
        let mut on_none = Some(self.from);
        for &list in lists {
            let Some(state) = on_none else { break };
            if let Some(numbered) = self.notes.narrow(state, |class| class != WITHHELD) {
                let on_it = self.notes.asked_list(numbered, list, true);
                self.maybe(exit::MATCH, on_it);
            }
            on_none = self.notes.asked_list(state, list, false);
        }
        self.maybe(exit::ELSE, on_none);
    }

    fn history(&mut self, asked: u64, ms: u64) {
        if self.from.first >= asked {
            self.go(exit::FIRST, self.from, 0);
            return;
        }
        let withheld = self.notes.narrow(self.from, |class| class == WITHHELD);
        self.maybe(exit::FIRST, withheld);
        if let Some(numbered) = self.notes.narrow(self.from, |class| class != WITHHELD) {
            let after = self.notes.forget(self.world, numbered);
            self.go(exit::FIRST, State { first: asked, ..after }, ms);
            // Also when nobody could say: so nothing is known after it.
            self.go(exit::REPEAT, after, ms);
        }
    }

    fn owner(&mut self, ms: u64) {
        let from = State { found: false, ..self.from };
        let withheld = self.notes.narrow(from, |class| class == WITHHELD);
        self.maybe(exit::UNKNOWN, withheld);
        let Some(numbered) = self.notes.narrow(from, |class| class != WITHHELD) else { return };
        match self.from.owner {
            Some(true) => self.go(exit::FOUND, State { found: true, ..numbered }, 0),
            Some(false) => self.go(exit::UNKNOWN, numbered, 0),
            None => {
                let after = self.notes.forget(self.world, numbered);
                if self.world.owners {
                    self.go(exit::FOUND, State { found: true, owner: Some(true), ..after }, ms);
                }
                self.go(exit::UNKNOWN, State { owner: Some(false), ..after }, ms);
                self.go(exit::OWNER_UNAVAILABLE, after, ms);
            }
        }
    }

    fn maybe(&mut self, place: usize, state: Option<State>) {
        if let Some(state) = state {
            self.go(place, state, 0);
        }
    }

    fn go(&mut self, place: usize, state: State, ms: u64) {
        let node = self.world.company.node(self.from.node);
        let Some(taken) = node.exits.get(place).filter(|exit| exit.to != NodeIx::NOWHERE) else { return };
        let to = self.notes.essential(self.world, State { node: taken.to, ..state });
        self.to.push(Move { exit: place as u16, to, ms });
    }

    fn later(&mut self) -> State {
        self.notes.forget(self.world, self.from)
    }

    fn prompt_ms(&self, prompt: PromptIx) -> u64 {
        self.world.company.prompt_ms(prompt)
    }
}
