//! Forming a round: who of a hunt can be rung now, who cannot, and why.
//!
//! Whom a strategy looks at first is walked in its order, and whoever cannot be rung is named in the trace. After
//! [`WALKED`] of them the floor's groups say who is next, and the trace names no more: however many people a hunt has, a
//! round costs no more than that.

use std::collections::HashSet;

use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::company::document::Strategy;
use crate::company::version::{EmployeeIx, Hunt, Leg};
use crate::floor::{Asking, Looking, Shuffle, Standing, WALKED};
use crate::number::Number;

use super::EngineError;
use super::bits::Bits;
use super::hunting::{Few, NO_HUNT, chooses};
use super::machine::{Run, seed};
use super::turn::{Candidate, LeftOut};

/// A round as the floor allows it now.
#[derive(Default)]
pub(super) struct Formed {
    pub rung: Few<Candidate>,
    pub left_out: Vec<LeftOut>,
    /// More were left out than are named.
    pub more: bool,
    pub waits: bool,
    /// Somebody of those left out is on the phone, or another call's.
    busy: bool,
}

impl<'e> Run<'e> {
    /// Who of the round can be rung now, and who cannot, and why. Marks the hunt busy where somebody is.
    #[inline]
    pub(super) fn form(&mut self, hunt: &'e Hunt) -> Result<Formed, EngineError> {
        let mut formed = Formed::default();
        if chooses(hunt) || self.is_queued() && hunt.one_by_one() {
            self.choose(hunt, &mut formed)?;
        } else {
            self.all_of_round(hunt, &mut formed)?;
        }
        self.hunt_state()?.busy |= formed.busy;
        Ok(formed)
    }

    /// The round of a strategy that says beforehand whom each rings.
    fn all_of_round(&self, hunt: &'e Hunt, formed: &mut Formed) -> Result<(), EngineError> {
        let state = self.state.hunt.as_ref().ok_or(NO_HUNT)?;
        let round = usize::from(state.round);
        let legs = match hunt.strategy {
            Strategy::Linear => round..hunt.legs.len().min(round + 1),
            _ => 0..hunt.rounds.get(round).map_or(0, |round| usize::from(round.legs)),
        };
        // The phones that ring already: the few of most hunts are looked through, those of a big one are found.
        let mut many = (legs.len() > WALKED).then(HashSet::new);
        for leg in legs {
            let (endpoint, mut standing) = (self.endpoint(hunt, leg), self.standing(hunt, &state.out, leg));
            if let Some(endpoint) = endpoint.as_ref().filter(|_| standing == Standing::Free) {
                let rings = match &mut many {
                    Some(many) => !many.insert(endpoint.clone()),
                    None => formed.rung.iter().any(|rung| rung.endpoint == *endpoint),
                };
                if rings {
                    standing = Standing::SamePhone;
                }
            }
            formed.busy |= standing.is_busy();
            match endpoint {
                Some(endpoint) if standing == Standing::Free => {
                    formed.rung.push(self.candidate(hunt, leg, endpoint));
                }
                endpoint => {
                    formed.waits |= standing.will_be_free();
                    formed.left_out.push(self.left_out(hunt, leg, endpoint, standing));
                }
            }
        }
        Ok(())
    }

    /// The first of those not tried yet who can be rung, in the order of a strategy that chooses.
    fn choose(&mut self, hunt: &'e Hunt, formed: &mut Formed) -> Result<(), EngineError> {
        let group = self.group(hunt);
        let state = self.hunt_state()?;
        let (legs, out) = (hunt.legs.len(), state.out.clone());
        let start = usize::from(state.start) % legs.max(1);
        let shuffle = Shuffle::new(legs, seed(&self.state.call_id, 1));
        let (order, looking) = self.order(hunt, group, start, &shuffle);
        let named = if group.is_some() { WALKED } else { legs };
        for leg in order.filter(|&leg| !out.contains(leg)).take(named) {
            let (endpoint, standing) = (self.endpoint(hunt, leg), self.standing(hunt, &out, leg));
            formed.busy |= standing.is_busy();
            match endpoint {
                Some(endpoint) if standing == Standing::Free => {
                    formed.rung.push(self.candidate(hunt, leg, endpoint));
                    break;
                }
                endpoint => {
                    formed.waits |= standing.will_be_free();
                    formed.left_out.push(self.left_out(hunt, leg, endpoint, standing));
                }
            }
        }
        if let Some(group) = group
            && formed.left_out.len() == WALKED
        {
            let ask = |leg| out.contains(leg) || self.rests(hunt, leg);
            let asking = self.asking(group, &ask);
            let found = self.floor.first_free(asking, looking);
            formed.busy = formed.busy || self.floor.busy_before(asking, looking, found);
            formed.waits = formed.waits || self.floor.soon_free(asking).next().is_some();
            formed.more = true;
            if let Some((leg, endpoint)) = found.and_then(|leg| Some((leg, self.endpoint(hunt, leg)?))) {
                formed.rung.push(self.candidate(hunt, leg, endpoint));
            }
        }
        Ok(())
    }

    /// The order of a strategy that chooses, leg by leg; and the same for a group.
    fn order<'s>(
        &'s self,
        hunt: &'s Hunt,
        group: Option<u32>,
        start: usize,
        shuffle: &'s Shuffle,
    ) -> (Box<dyn Iterator<Item = usize> + 's>, Looking<'s>) {
        let legs = hunt.legs.len();
        match (hunt.strategy, group) {
            // A ring node's linear rounds are not chosen; a queue's attempts are.
            (Strategy::RoundRobin | Strategy::Linear, _) => {
                (Box::new((start..legs).chain(0..start)), Looking::From(start))
            }
            (Strategy::LongestIdle | Strategy::FewestCalls, Some(group)) => {
                (Box::new(self.floor.by_record(group)), Looking::ByRecord)
            }
            (Strategy::LongestIdle, None) => (sorted(legs, |leg| self.record(hunt, leg).0), Looking::ByRecord),
            (Strategy::FewestCalls, None) => (sorted(legs, |leg| self.record(hunt, leg).1), Looking::ByRecord),
            // The order of few is drawn by sorting, that of many by a permutation which need not be drawn to its end.
            _ if legs <= WALKED => {
                (sorted(legs, |leg| seed(&self.state.call_id, leg as u64 + 1)), Looking::Shuffled(shuffle))
            }
            _ => (Box::new((0..legs).map(|rank| shuffle.leg(rank))), Looking::Shuffled(shuffle)),
        }
    }

    /// Where the floor keeps the hunt's people in order, if it does.
    pub(super) fn group(&mut self, hunt: &Hunt) -> Option<u32> {
        // Groups know no time before the latest they were asked about: a trial at another moment leaves them alone.
        if hunt.legs.len() <= WALKED || self.trial {
            return None;
        }
        self.floor.group(self.company.id, self.state.node, self.now_ms)
    }

    pub(super) fn asking<'a>(&'a self, group: u32, out: &'a dyn Fn(usize) -> bool) -> Asking<'a> {
        Asking { group, call: &self.state.call_id, now_ms: self.now_ms, out }
    }

    fn left_out(&self, hunt: &Hunt, leg: usize, endpoint: Option<SmolStr>, why: Standing) -> LeftOut {
        let employee = self.employee(hunt, leg).map(|ix| self.company.employees[ix.at()].id.clone());
        LeftOut { employee, endpoint, why }
    }

    fn record(&self, hunt: &Hunt, leg: usize) -> (i64, u32) {
        self.employee(hunt, leg).map_or((i64::MIN, 0), |ix| self.floor.record(self.slots[ix.at()]))
    }

    /// Whose phone the leg is.
    fn employee(&self, hunt: &Hunt, leg: usize) -> Option<EmployeeIx> {
        match hunt.legs[leg] {
            Leg::Desk(ix) | Leg::Mobile(ix) => Some(ix),
            Leg::Owner => self.state.owner,
            Leg::Phone(_) => None,
        }
    }

    /// The leg's phone.
    pub(super) fn endpoint(&self, hunt: &Hunt, leg: usize) -> Option<SmolStr> {
        let company = self.company;
        let desk = |ix: EmployeeIx| company.employees[ix.at()].endpoint.clone();
        match hunt.legs[leg] {
            Leg::Phone(number) => Some(number.text()),
            Leg::Mobile(ix) => company.employees[ix.at()].mobile.map(Number::text),
            Leg::Desk(ix) => desk(ix),
            Leg::Owner => self.state.owner.and_then(desk),
        }
    }

    pub(super) fn candidate(&self, hunt: &Hunt, leg: usize, endpoint: SmolStr) -> Candidate {
        Candidate { leg, employee: self.employee(hunt, leg), endpoint }
    }

    /// Whether the leg's phone can be rung.
    pub(super) fn standing(&self, hunt: &Hunt, out: &Bits, leg: usize) -> Standing {
        let company = self.company;
        let has_desk = |ix: EmployeeIx| company.employees[ix.at()].endpoint.is_some();
        let (has_phone, mobile) = match hunt.legs[leg] {
            Leg::Phone(_) => (true, false),
            Leg::Mobile(ix) => (company.employees[ix.at()].mobile.is_some(), true),
            Leg::Desk(ix) => (has_desk(ix), false),
            Leg::Owner => (self.state.owner.is_some_and(has_desk), false),
        };
        match self.employee(hunt, leg) {
            _ if !has_phone => Standing::NobodyFound,
            _ if out.contains(leg) => Standing::OutOfThisHunt,
            employee => {
                let standing = match employee {
                    Some(ix) => self.floor.standing(self.slots[ix.at()], &self.state.call_id, mobile, self.now_ms),
                    None if self.is_queued() => {
                        self.endpoint(hunt, leg).map_or(Standing::Free, |at| self.phone_standing(&at))
                    }
                    None => Standing::Free,
                };
                if standing == Standing::Free && self.rests(hunt, leg) { Standing::Resting } else { standing }
            }
        }
    }

    /// Whether a queue passes the leg's phone over for now.
    fn rests(&self, hunt: &Hunt, leg: usize) -> bool {
        self.is_queued() && self.endpoint(hunt, leg).is_some_and(|phone| self.floor.rests(&phone, self.now_ms))
    }
}

/// Legs by a key, those of the same in the order of the document.
fn sorted<'s, K: Ord + 's>(legs: usize, key: impl Fn(usize) -> K + 's) -> Box<dyn Iterator<Item = usize> + 's> {
    let mut order: SmallVec<[(K, usize); 8]> = (0..legs).map(|leg| (key(leg), leg)).collect();
    order.sort();
    Box::new(order.into_iter().map(|(_, leg)| leg))
}
