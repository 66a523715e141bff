//! What is said of a call on its way, borrowed from its version: the actions of the contract before they have a state, a
//! recording's name, or memory of their own.

use smol_str::SmolStr;

use crate::company::document::Cause;
use crate::company::version::{Company, Destination, EmployeeIx, Hunt, Leg, Menu, Node, Prompt, PromptIx, Step};
use crate::number::Number;

use super::turn::{Action, Disposition, Fault, RungEndpoint};

/// An action on a call's way.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Said<'s> {
    Play {
        prompt: &'s Prompt,
    },
    Menu {
        menu: &'s Menu,
        prompt: &'s Prompt,
        /// Played before the prompt after a failed attempt.
        notice: Option<&'s Prompt>,
    },
    Ring {
        phones: Phones<'s>,
        ms: u64,
        music: Option<&'s SmolStr>,
        /// Counted from 1.
        round: u32,
    },
    /// Nobody of a hunt can be rung, but somebody will be free.
    Wait {
        music: Option<&'s SmolStr>,
        ms: u64,
        /// Counted from 1.
        round: u32,
    },
    /// A place in a queue's line, until it is left: however often its phones ring meanwhile.
    Queue {
        /// Whom the queue can ring.
        phones: Phones<'s>,
        music: Option<&'s SmolStr>,
        announce: Option<&'s Prompt>,
        /// The longest wait.
        ms: u64,
    },
    Record {
        prompt: &'s Prompt,
        ms: u64,
    },
    FindOwner {
        timeout_ms: u32,
    },
    FindHistory {
        days: Option<u32>,
        timeout_ms: u32,
    },
    Transfer {
        to: &'s Destination,
        ms: u64,
    },
    Talk {
        phone: Phone<'s>,
    },
    HangUp {
        prompt: Option<&'s Prompt>,
        cause: Cause,
    },
    End {
        disposition: Disposition,
        fault: Fault,
    },
}

impl<'s> Said<'s> {
    /// What a number that serves no scheme hears.
    pub(super) const UNALLOCATED: Self = Self::HangUp { prompt: None, cause: Cause::Unallocated };

    /// What a node says that says the same of every call; a hunt's phones come from outside.
    pub(super) fn of(company: &'s Company, node: &'s Node, hunted: Hunted<'s>) -> Self {
        let prompt = |ix: PromptIx| &company.prompts[ix.at()];
        match &node.step {
            Step::Play { prompt: spoken } => Self::Play { prompt: prompt(*spoken) },
            Step::Menu(menu) => Self::Menu { menu, prompt: prompt(menu.prompt), notice: None },
            Step::Ring(hunt) => {
                let round = if hunt.one_by_one() { hunt.rounds.first() } else { hunt.rounds.get(hunted.round) };
                let (ms, music) = (round.map_or(0, |round| round.ms), hunt.music.as_ref());
                let phones = Phones { company, hunt, rung: hunted.rung, owner: hunted.owner };
                let round = hunted.round as u32 + 1;
                if phones.is_empty() {
                    Self::Wait { music, ms, round }
                } else {
                    Self::Ring { phones, ms, music, round }
                }
            }
            Step::Queue(queue) => Self::Queue {
                phones: Phones::all(company, &queue.hunt, hunted.owner),
                music: queue.hunt.music.as_ref(),
                announce: queue.announcement(1).map(prompt),
                ms: queue.max_wait_ms,
            },
            Step::Voicemail { prompt: spoken, ms, .. } => Self::Record { prompt: prompt(*spoken), ms: *ms },
            Step::Owner { timeout_ms } => Self::FindOwner { timeout_ms: *timeout_ms },
            Step::History { days, timeout_ms } => Self::FindHistory { days: *days, timeout_ms: *timeout_ms },
            Step::Transfer { to, ms } => Self::Transfer { to, ms: *ms },
            Step::Hangup { prompt: spoken, cause } => Self::HangUp { prompt: spoken.map(prompt), cause: *cause },
            // No call stops at the others.
            _ => Self::HangUp { prompt: None, cause: Cause::Normal },
        }
    }

    /// The same in the contract's form. What only a call has is empty: a recording's name, the number of a look-up.
    #[must_use]
    pub fn action(&self) -> Action {
        let id = |prompt: &Prompt| prompt.id.clone();
        match *self {
            Self::Play { prompt } => Action::Play { prompt: id(prompt) },
            Self::Menu { menu, prompt, notice } => Action::Menu {
                prompt: id(prompt),
                notice: notice.map(id),
                digits: menu.options.iter().map(|(digits, _)| digits.clone()).collect(),
                ms: menu.ms,
            },
            Self::Ring { phones, ms, music, round } => {
                Action::Ring { endpoints: phones.endpoints(), ms, music: music.cloned(), round }
            }
            Self::Wait { music, ms, .. } => Action::Wait { music: music.cloned(), announce: None, ms, position: None },
            Self::Queue { music, announce, ms, .. } => {
                Action::Wait { music: music.cloned(), announce: announce.map(id), ms, position: None }
            }
            Self::Record { prompt, ms } => Action::Record { prompt: id(prompt), ms, recording: SmolStr::default() },
            Self::FindOwner { timeout_ms } => Action::FindOwner { caller: SmolStr::default(), timeout_ms },
            Self::FindHistory { days, timeout_ms } => {
                Action::FindHistory { caller: SmolStr::default(), timeout_ms, days }
            }
            Self::Transfer { to, ms } => Action::Transfer { to: to.address(), ms },
            Self::Talk { phone } => Action::Talk { endpoint: phone.text() },
            Self::HangUp { prompt, cause } => Action::HangUp { prompt: prompt.map(id), cause },
            Self::End { disposition, fault } => Action::End { disposition, fault },
        }
    }

    /// Its type in the contract.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Play { .. } => "play",
            Self::Menu { .. } => "menu",
            Self::Ring { .. } => "ring",
            Self::Wait { .. } | Self::Queue { .. } => "wait",
            Self::Record { .. } => "record",
            Self::FindOwner { .. } => "find_owner",
            Self::FindHistory { .. } => "find_history",
            Self::Transfer { .. } => "transfer",
            Self::Talk { .. } => "talk",
            Self::HangUp { .. } => "hang_up",
            Self::End { .. } => "end",
        }
    }
}

/// What a node that hunts says besides: which of its legs ring, and in which round, counted from 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hunted<'s> {
    pub round: usize,
    pub rung: Rung<'s>,
    pub owner: Option<EmployeeIx>,
}

impl Hunted<'_> {
    /// Of nodes that do not hunt.
    pub const NOT: Self = Self { round: 0, rung: Rung::First(0), owner: None };
}

/// Which legs of a hunt ring.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rung<'s> {
    /// So many, from the first.
    First(usize),
    /// These, in order.
    These(&'s [u16]),
}

impl Rung<'_> {
    pub fn legs(self) -> impl Iterator<Item = usize> {
        let (first, these) = match self {
            Self::First(legs) => (legs, &[][..]),
            Self::These(legs) => (0, legs),
        };
        (0..first).chain(these.iter().map(|&leg| usize::from(leg)))
    }

    fn is_empty(self) -> bool {
        match self {
            Self::First(legs) => legs == 0,
            Self::These(legs) => legs.is_empty(),
        }
    }
}

/// Phones of a hunt that ring.
#[derive(Clone, Copy, Debug)]
pub struct Phones<'s> {
    company: &'s Company,
    hunt: &'s Hunt,
    rung: Rung<'s>,
    owner: Option<EmployeeIx>,
}

impl<'s> Phones<'s> {
    pub(super) fn new(company: &'s Company, hunt: &'s Hunt, rung: Rung<'s>, owner: Option<EmployeeIx>) -> Self {
        Self { company, hunt, rung, owner }
    }

    pub(super) fn all(company: &'s Company, hunt: &'s Hunt, owner: Option<EmployeeIx>) -> Self {
        Self::new(company, hunt, Rung::First(hunt.legs.len()), owner)
    }

    pub(super) fn rung(&self) -> Rung<'s> {
        self.rung
    }

    /// Whether none rings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rung.is_empty()
    }

    /// The phones in order.
    pub fn iter(&self) -> impl Iterator<Item = Phone<'s>> {
        let Self { company, hunt, rung, owner } = *self;
        rung.legs().filter_map(move |leg| Some(phone(company, *hunt.legs.get(leg)?, owner)?.1))
    }

    /// The phone of this address.
    #[must_use]
    pub fn find(&self, address: &str) -> Option<Phone<'s>> {
        let Self { company, hunt, rung, owner } = *self;
        let of = |leg: &Leg| match leg {
            Leg::Desk(ix) => {
                let own = company.employees[ix.at()].endpoint.as_ref()?;
                (own.as_str() == address).then_some(Phone::Address(own))
            }
            leg => phone(company, *leg, owner).map(|(_, phone)| phone).filter(|phone| phone.is(address)),
        };
        match rung {
            Rung::First(legs) => hunt.legs.iter().take(legs).find_map(of),
            Rung::These(legs) => legs.iter().find_map(|&leg| of(hunt.legs.get(usize::from(leg))?)),
        }
    }

    fn endpoints(&self) -> Vec<RungEndpoint> {
        let id = |ix: EmployeeIx| self.company.employees[ix.at()].id.clone();
        let rung = |leg| phone(self.company, *self.hunt.legs.get(leg)?, self.owner);
        let named =
            |(whose, phone): (Option<_>, Phone<'_>)| RungEndpoint { employee: whose.map(id), endpoint: phone.text() };
        self.rung.legs().filter_map(rung).map(named).collect()
    }
}

/// The leg's phone, and whose it is.
fn phone(company: &Company, leg: Leg, owner: Option<EmployeeIx>) -> Option<(Option<EmployeeIx>, Phone<'_>)> {
    let desk = |ix: EmployeeIx| Some((Some(ix), Phone::Address(company.employees[ix.at()].endpoint.as_ref()?)));
    match leg {
        Leg::Desk(ix) => desk(ix),
        Leg::Mobile(ix) => Some((Some(ix), Phone::Number(company.employees[ix.at()].mobile?))),
        Leg::Phone(number) => Some((None, Phone::Number(number))),
        Leg::Owner => desk(owner?),
    }
}

/// One phone.
#[derive(Clone, Copy, Debug)]
pub enum Phone<'s> {
    /// By the PBX's address of it.
    Address(&'s SmolStr),
    /// By its number.
    Number(Number),
}

impl Phone<'_> {
    /// Its address as the contract writes it.
    #[must_use]
    pub fn text(self) -> SmolStr {
        match self {
            Self::Address(address) => address.clone(),
            Self::Number(number) => number.text(),
        }
    }

    /// Whether this is its address.
    #[must_use]
    pub fn is(self, address: &str) -> bool {
        match self {
            Self::Address(own) => own == address,
            Self::Number(number) => number.text() == address,
        }
    }
}
