//! Hunts: targets flattened to distinct legs in ringing order, and cut into rounds.

use std::collections::HashSet;

use super::compile::{milliseconds, number};
use super::document as doc;
use super::document::Strategy;
use super::names::Place;
use super::nodes::Site;
use super::version::{Employee, EmployeeIx, Hunt, Leg, MAX_LEGS, Round};
use crate::number::Number;

/// Compiles the hunt of a `ring` or `queue` node, or says what is wrong with it.
pub fn compile(site: &mut Site<'_, '_>) -> Option<Hunt> {
    let (ring, strategy, seconds, music, steps) = match site.kind() {
        doc::Kind::Ring { ring, strategy, seconds, music, steps } => (ring, strategy, *seconds, music, steps.clone()),
        doc::Kind::Queue { ring, strategy, seconds, music, .. } => (ring, strategy, Some(*seconds), music, Vec::new()),
        _ => return None,
    };
    let (ring, strategy, music) = (ring.clone(), *strategy, music.clone());
    if !steps.is_empty() && strategy != Strategy::Expanding {
        site.error("unexpected_key", &["steps"], "`steps` belong to the strategy `expanding`".into());
        return None;
    }
    if !steps.is_empty() && !ring.is_empty() {
        site.error(
            "unexpected_key",
            &["ring"],
            "with `steps`, each step names whom it adds: `ring` has no place".into(),
        );
        return None;
    }
    if steps.is_empty() && seconds.is_none() {
        site.error("missing_key", &["seconds"], "`seconds` of a round are missing".into());
        return None;
    }
    let mut legs = Legs::default();
    let mut rounds = Vec::new();
    if steps.is_empty() {
        let round_ms = round_ms(site, seconds.unwrap_or_default(), &["seconds"]);
        legs.add(site, &ring, &["ring"]);
        if strategy == Strategy::Expanding {
            rounds = by_rank(site, &mut legs.all, round_ms);
        } else {
            rounds.push(Round { legs: legs.all.len() as u16, ms: round_ms });
        }
    } else {
        for (ix, step) in steps.iter().enumerate() {
            let ix = ix.to_string();
            let ms = round_ms(site, step.seconds, &["steps", &ix, "seconds"]);
            legs.add(site, &step.ring, &["steps", &ix, "ring"]);
            rounds.push(Round { legs: legs.all.len() as u16, ms });
        }
    }
    if !legs.sound {
        return None;
    }
    if legs.all.is_empty() {
        let key = if steps.is_empty() { "ring" } else { "steps" };
        site.error("empty_ring", &[key], "nobody would be rung".into());
        return None;
    }
    if legs.all.len() > MAX_LEGS {
        let message = format!("{} phones; one hunt can ring at most {MAX_LEGS}", legs.all.len());
        site.error("too_many_targets", &["ring"], message);
        return None;
    }
    let first = match strategy {
        Strategy::All | Strategy::Expanding => rounds.first().map_or(0, |round| usize::from(round.legs)),
        Strategy::Linear => 1,
        _ => 0,
    };
    let surely = if are_different_phones(site.frame.employees, &legs.all[..first]) { first } else { 0 };
    Some(Hunt { legs: legs.all, strategy, rounds, music: music.map(Into::into), surely })
}

/// Whether each leg rings a phone of its own, whatever the call. Whoever the client's owner is, alone he is.
fn are_different_phones(employees: &[Employee], legs: &[Leg]) -> bool {
    if legs == [Leg::Owner] {
        return true;
    }
    let mut seen = HashSet::new();
    let phone = |leg: &Leg| match *leg {
        Leg::Desk(ix) => employees[ix.at()].endpoint.clone(),
        Leg::Mobile(ix) => employees[ix.at()].mobile.map(Number::text),
        Leg::Phone(number) => Some(number.text()),
        Leg::Owner => None,
    };
    legs.iter().all(|leg| phone(leg).is_some_and(|phone| seen.insert(phone)))
}

fn round_ms(site: &mut Site<'_, '_>, seconds: f64, at: Place<'_>) -> u64 {
    if !(seconds.is_finite() && (1.0..=3600.0).contains(&seconds)) {
        site.error("out_of_range", at, "a round lasts from 1 to 3600 seconds".into());
    }
    milliseconds(seconds)
}

/// Orders the legs by rank, lowest first, and makes a round of each rank. Whoever has no rank comes last.
fn by_rank(site: &Site<'_, '_>, legs: &mut [Leg], ms: u64) -> Vec<Round> {
    let rank = |leg: &Leg| match leg {
        Leg::Desk(ix) | Leg::Mobile(ix) => site.frame.employees[ix.at()].rank.unwrap_or(i64::MAX),
        Leg::Phone(_) | Leg::Owner => i64::MAX,
    };
    legs.sort_by_key(rank);
    let mut rounds = Vec::new();
    for (ix, leg) in legs.iter().enumerate() {
        if legs.get(ix + 1).is_none_or(|next| rank(next) != rank(leg)) {
            rounds.push(Round { legs: ix as u16 + 1, ms });
        }
    }
    rounds
}

/// Legs so far, each once.
struct Legs {
    all: Vec<Leg>,
    seen: HashSet<Leg>,
    sound: bool,
}

impl Default for Legs {
    fn default() -> Self {
        Self { all: Vec::new(), seen: HashSet::new(), sound: true }
    }
}

impl Legs {
    fn add(&mut self, site: &mut Site<'_, '_>, targets: &[doc::Target], at: Place<'_>) {
        for target in targets {
            self.add_target(site, target, at);
        }
    }

    fn add_target(&mut self, site: &mut Site<'_, '_>, target: &doc::Target, at: Place<'_>) {
        match target {
            doc::Target::Employee(id) => match site.look(at, |names, at| names.employee(id, at)) {
                Some(ix) => self.desk(site, ix, at),
                None => self.sound = false,
            },
            doc::Target::Mobile(id) => match site.look(at, |names, at| names.employee(id, at)) {
                Some(ix) => self.mobile(site, ix, at),
                None => self.sound = false,
            },
            doc::Target::Group(id) => {
                if site.names.document.groups.contains_key(id) {
                    match site.names.group_members(id) {
                        Some(members) => self.desks(site, &members, &format!("group `{id}`"), at),
                        None => self.sound = false,
                    }
                } else {
                    site.error("unknown_reference", at, format!("there is no group `{id}`"));
                    self.sound = false;
                }
            }
            doc::Target::Department(id) => match site.look(at, |names, at| names.department(id, at)) {
                Some(_) => {
                    let members = site.names.department_members(id);
                    self.desks(site, &members, &format!("department `{id}`"), at);
                }
                None => self.sound = false,
            },
            doc::Target::Phone(written) => {
                let country = site.frame.country;
                match site.look(at, |names, at| number(names, country, written, at)) {
                    Some(number) => self.push(Leg::Phone(number)),
                    None => self.sound = false,
                }
            }
            doc::Target::Owner(true) => self.push(Leg::Owner),
            doc::Target::Owner(false) => {
                site.error("wrong_value", at, "`owner` can only be `true` here".into());
                self.sound = false;
            }
        }
    }

    fn desks(&mut self, site: &mut Site<'_, '_>, members: &[EmployeeIx], what: &str, at: Place<'_>) {
        if members.is_empty() && site.names.document.employees.values().any(|employee| employee.broken) {
            // A hole may have belonged here.
            self.sound = false;
        } else if members.is_empty() {
            site.error("empty_ring", at, format!("{what} has nobody in it"));
            self.sound = false;
        }
        for &member in members {
            self.desk(site, member, at);
        }
    }

    fn desk(&mut self, site: &mut Site<'_, '_>, ix: EmployeeIx, at: Place<'_>) {
        let employee = &site.frame.employees[ix.at()];
        if employee.endpoint.is_none() {
            if !site.names.document.employees[ix.at()].broken {
                site.error("no_endpoint", at, format!("employee `{}` has no endpoint to ring", employee.id));
            }
            self.sound = false;
            return;
        }
        self.push(Leg::Desk(ix));
    }

    fn mobile(&mut self, site: &mut Site<'_, '_>, ix: EmployeeIx, at: Place<'_>) {
        let employee = &site.frame.employees[ix.at()];
        if employee.mobile.is_none() {
            if !site.names.document.employees[ix.at()].broken {
                site.error("no_mobile", at, format!("employee `{}` has no mobile to ring", employee.id));
            }
            self.sound = false;
            return;
        }
        self.push(Leg::Mobile(ix));
    }

    fn push(&mut self, leg: Leg) {
        if self.seen.insert(leg) {
            self.all.push(leg);
        }
    }
}
