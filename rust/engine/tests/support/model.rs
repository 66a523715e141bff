//! A slow and obvious model of the floor and of hunts: plain lists, walked from end to end at every question.
//!
//! It is written from the contract and shares no code with the engine. What only the engine can know, the order of a
//! `random` hunt, it takes from the engine's own answer after checking that the answer is one of those allowed.
#![allow(clippy::unwrap_used)]

use kommutator_engine::floor::{Line, Presence};

/// Where hunts lead: `no_answer` to a voicemail, `busy` once to the same hunt and then to a task, `unavailable` to a task,
/// all to a hang-up.
const REPEATS: u32 = 1;
const GRACE_MS: i64 = 5_000;
const TALK_MS: i64 = 4 * 3_600_000;
const RESERVE_MS: i64 = 60_000;
/// The call that holds whom another router refused.
const ELSEWHERE: &str = "\u{0}elsewhere";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    All,
    Linear,
    RoundRobin,
    LongestIdle,
    FewestCalls,
    Random,
    Expanding,
}

#[derive(Clone, Debug)]
pub enum Target {
    Desk(usize),
    Mobile(usize),
    Phone(String),
    Owner,
}

/// A hunt as the document says it: rounds are (how many of the targets, milliseconds); strategies that ring one by one
/// have one.
#[derive(Clone, Debug)]
pub struct Plan {
    pub order: Order,
    pub targets: Vec<Target>,
    pub rounds: Vec<(usize, i64)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    pub call: String,
    pub kind: &'static str,
    pub until: i64,
}

#[derive(Clone, Debug)]
pub struct Person {
    pub presence: Presence,
    pub line: Line,
    pub claims: Vec<Claim>,
    pub talked_until: i64,
    pub answered: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Doing {
    Ring(Vec<usize>),
    Wait,
    Record,
    HangUp,
    Talk(Option<usize>),
    End,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub id: String,
    pub plan: usize,
    pub owner: Option<usize>,
    pub doing: Doing,
    pub until: i64,
    round: usize,
    start: usize,
    begun: bool,
    out: Vec<usize>,
    rang_out: bool,
    busy: bool,
    perhaps_busy: bool,
    repeats: u32,
    outcome: &'static str,
    answered: bool,
    message: bool,
}

/// What a phone of a round did, or the round as a whole.
pub type Ended = Vec<(String, &'static str)>;

#[derive(Clone, Debug)]
pub enum Input {
    Answered(String),
    Over(&'static str, Ended),
    Taken(Vec<usize>),
    EmployeeFree,
    Waited,
    Recorded(f64),
    HungUp,
    ConversationEnded,
    Passed(Option<usize>, String),
    CallerHungUp(Option<f64>),
    Fault(&'static str),
}

/// What the engine answered, for the choices that are its own.
pub struct Seen<'t> {
    pub rung: Vec<&'t str>,
    pub exits: Vec<&'t str>,
}

#[derive(PartialEq)]
enum How {
    Free,
    Soon { busy: bool },
    OnThePhone,
    Gone,
}

pub struct Model {
    pub people: Vec<Person>,
    pub plans: Vec<Plan>,
    next: Vec<usize>,
    desk: fn(usize) -> String,
    mobile: fn(usize) -> String,
}

impl Model {
    pub fn new(people: usize, plans: Vec<Plan>, desk: fn(usize) -> String, mobile: fn(usize) -> String) -> Self {
        let person = Person {
            presence: Presence::Present,
            line: Line::Idle,
            claims: Vec::new(),
            talked_until: i64::MIN,
            answered: 0,
        };
        let next = vec![0; plans.len()];
        Self { people: vec![person; people], plans, next, desk, mobile }
    }

    /// A call arrives; the action expected, in short.
    pub fn arrive(&mut self, id: &str, plan: usize, owner: Option<usize>, now: i64, seen: &Seen<'_>) -> (Call, String) {
        self.free(id);
        let mut call = Call {
            id: id.to_owned(),
            plan,
            owner,
            doing: Doing::Wait,
            until: 0,
            round: 0,
            start: 0,
            begun: false,
            out: Vec::new(),
            rang_out: false,
            busy: false,
            perhaps_busy: false,
            repeats: 0,
            outcome: "unavailable",
            answered: false,
            message: false,
        };
        let expected = self.begin(&mut call, now, seen);
        (call, expected)
    }

    /// A fitting event; the action expected, in short. `None` where the event does not fit.
    pub fn step(&mut self, call: &mut Call, input: &Input, now: i64, seen: &Seen<'_>) -> Option<String> {
        let doing = call.doing.clone();
        Some(match (input, &doing) {
            (_, Doing::End) => return None,
            (Input::CallerHungUp(seconds), _) => {
                let kept = matches!(doing, Doing::Record) && seconds.is_some_and(|seconds| seconds >= 1.0);
                call.message |= kept;
                let over = matches!(doing, Doing::HangUp) || call.answered || call.message;
                if over { self.finish(call, now) } else { self.end(call, now, "abandoned/caller".into()) }
            }
            (Input::Fault(whose), _) => {
                let over = matches!(doing, Doing::HangUp) || call.answered || call.message;
                if over { self.finish(call, now) } else { self.end(call, now, format!("failed/{whose}")) }
            }
            (Input::Answered(phone), Doing::Ring(rung)) => {
                let leg = *rung.iter().find(|&&leg| self.phone(call, leg).as_deref() == Some(phone))?;
                let who = self.who(call, leg);
                self.talk(call, who, phone, now)
            }
            (Input::Passed(who, phone), Doing::Talk(before)) => {
                if let Some(before) = before {
                    self.people[*before].talked_until = now;
                }
                self.talk(call, *who, phone, now)
            }
            (Input::Over(rest, ended), Doing::Ring(rung)) => {
                self.ended(call, rung, rest, ended);
                self.round(call, now, seen)
            }
            (Input::Taken(who), Doing::Ring(rung)) => {
                for &who in who {
                    self.people[who].claims.retain(|claim| claim.call != call.id);
                    if self.held_by_another(who, ELSEWHERE, now).is_none() {
                        self.claim(who, ELSEWHERE, "ringing", call.until, now);
                    }
                }
                call.busy |= !who.is_empty();
                let rest: Vec<usize> = rung
                    .iter()
                    .copied()
                    .filter(|&leg| self.who(call, leg).is_none_or(|ix| !who.contains(&ix)))
                    .collect();
                if call.until <= now && !rest.is_empty() {
                    self.ended(call, &rest, "no_answer", &Vec::new());
                    self.round(call, now, seen)
                } else {
                    self.same_round(call, now, seen)
                }
            }
            (Input::EmployeeFree, Doing::Wait) => self.same_round(call, now, seen),
            (Input::Waited, Doing::Wait) => self.waited(call, now, seen),
            (Input::Recorded(seconds), Doing::Record) => {
                call.message |= *seconds >= 1.0;
                call.doing = Doing::HangUp;
                "hang_up".into()
            }
            (Input::HungUp, Doing::HangUp) | (Input::ConversationEnded, Doing::Talk(_)) => self.finish(call, now),
            _ => return None,
        })
    }

    /// A consultation asks for somebody; whether it gets him.
    pub fn reserve(&mut self, who: usize, call: &str, now: i64) -> bool {
        if self.held_by_another(who, call, now).is_some() {
            return self.held(who, call, now).is_some_and(|kind| kind != "reserved");
        }
        if self.held(who, call, now).is_some_and(|kind| kind != "reserved") {
            return true;
        }
        self.claim(who, call, "reserved", now + RESERVE_MS, now);
        true
    }

    /// A consultation gives somebody back.
    pub fn release(&mut self, who: usize, call: &str) {
        self.people[who].claims.retain(|claim| claim.call != call || claim.kind != "reserved");
    }

    /// A phone's line changes.
    pub fn line(&mut self, who: usize, line: Line) {
        let before = std::mem::replace(&mut self.people[who].line, line);
        if line == Line::Idle && before != Line::Idle {
            self.free_elsewhere(who);
        }
    }

    /// Whoever holds somebody elsewhere lets him go.
    pub fn free_elsewhere(&mut self, who: usize) {
        self.people[who].claims.retain(|claim| claim.call != ELSEWHERE);
    }

    /// Who is claimed now, by which call, and what for.
    pub fn claims(&self, now: i64) -> Vec<String> {
        let mut all = Vec::new();
        for (ix, person) in self.people.iter().enumerate() {
            for claim in person.claims.iter().filter(|claim| claim.until > now && claim.call != ELSEWHERE) {
                all.push(format!("e{ix} {} {}", claim.call, claim.kind));
            }
        }
        all.sort_unstable();
        all
    }

    fn begin(&mut self, call: &mut Call, now: i64, seen: &Seen<'_>) -> String {
        (call.round, call.begun, call.out) = (0, false, Vec::new());
        (call.rang_out, call.busy, call.perhaps_busy) = (false, false, false);
        call.start = self.next[call.plan];
        self.round(call, now, seen)
    }

    fn round(&mut self, call: &mut Call, now: i64, seen: &Seen<'_>) -> String {
        loop {
            let plan = &self.plans[call.plan];
            let ms = match plan.order {
                Order::All | Order::Expanding => plan.rounds.get(call.round).map(|round| round.1),
                _ => Some(plan.rounds[0].1).filter(|_| call.round < plan.targets.len()),
            };
            let Some(ms) = ms else { return self.over(call, now, seen) };
            call.until = now + ms;
            if let Some(action) = self.ring_or_wait(call, now, seen) {
                return action;
            }
            call.round += 1;
            if self.chooses(call) {
                return self.over(call, now, seen);
            }
        }
    }

    fn same_round(&mut self, call: &mut Call, now: i64, seen: &Seen<'_>) -> String {
        if call.until <= now {
            return self.waited(call, now, seen);
        }
        self.ring_or_wait(call, now, seen).unwrap_or_else(|| {
            call.round += 1;
            self.round(call, now, seen)
        })
    }

    fn waited(&mut self, call: &mut Call, now: i64, seen: &Seen<'_>) -> String {
        if self.chooses(call) {
            for leg in 0..self.plans[call.plan].targets.len() {
                if matches!(self.how(call, leg, now), How::Soon { .. }) {
                    call.out.push(leg);
                }
            }
        }
        call.round += 1;
        self.round(call, now, seen)
    }

    fn chooses(&self, call: &Call) -> bool {
        !matches!(self.plans[call.plan].order, Order::All | Order::Expanding | Order::Linear)
    }

    /// The action of the round, or nothing where it is passed over.
    fn ring_or_wait(&mut self, call: &mut Call, now: i64, seen: &Seen<'_>) -> Option<String> {
        let chooses = self.chooses(call);
        let mut rung: Vec<usize> = Vec::new();
        let mut soon = false;
        let mut perhaps_busy = false;
        for leg in self.considered(call, now, seen) {
            let busy = match self.how(call, leg, now) {
                How::Free => {
                    let twice = rung.iter().any(|&other| self.phone(call, other) == self.phone(call, leg));
                    if !twice && (rung.is_empty() || !chooses) {
                        rung.push(leg);
                    }
                    false
                }
                How::Soon { busy } => {
                    soon = true;
                    busy
                }
                How::OnThePhone => true,
                How::Gone => false,
            };
            let after_the_chosen = chooses && !rung.is_empty();
            perhaps_busy |= busy;
            call.busy |= busy && !after_the_chosen;
        }
        // In what order a random hunt looks at people only the engine knows: it may have looked at a busy one.
        call.perhaps_busy |= perhaps_busy && self.plans[call.plan].order == Order::Random;
        if rung.is_empty() {
            if !soon {
                return None;
            }
            self.free(&call.id);
            call.doing = Doing::Wait;
            return Some(format!("wait {}", call.until - now));
        }
        let who: Vec<usize> = rung.iter().filter_map(|&leg| self.who(call, leg)).collect();
        self.free(&call.id);
        for &ix in &who {
            self.claim(ix, &call.id, "ringing", call.until + GRACE_MS, now);
        }
        if self.plans[call.plan].order == Order::RoundRobin && !call.begun {
            self.next[call.plan] = (rung[0] + 1) % self.plans[call.plan].targets.len();
        }
        let phones: Vec<String> = rung.iter().filter_map(|&leg| self.phone(call, leg)).collect();
        call.doing = Doing::Ring(rung);
        Some(format!("ring {} {} #{}", phones.join(" "), call.until - now, call.round + 1))
    }

    /// The targets of the round, in the order in which they are looked at.
    fn considered(&self, call: &Call, now: i64, seen: &Seen<'_>) -> Vec<usize> {
        let plan = &self.plans[call.plan];
        let all = plan.targets.len();
        let mut untried: Vec<usize> = (0..all).filter(|leg| !call.out.contains(leg)).collect();
        let record = |leg: &usize| self.who(call, *leg).map(|ix| &self.people[ix]);
        match plan.order {
            Order::All | Order::Expanding => (0..plan.rounds[call.round].0).collect(),
            Order::Linear => vec![call.round],
            Order::RoundRobin => {
                let rest = (call.start..all).chain(0..call.start);
                rest.filter(|leg| untried.contains(leg)).collect()
            }
            Order::LongestIdle => {
                untried.sort_by_key(|leg| record(leg).map_or(i64::MIN, |person| person.talked_until));
                untried
            }
            Order::FewestCalls => {
                untried.sort_by_key(|leg| record(leg).map_or(0, |person| person.answered));
                untried
            }
            Order::Random => {
                let chosen = untried.iter().copied().find(|&leg| {
                    self.how(call, leg, now) == How::Free
                        && self.phone(call, leg).as_deref() == seen.rung.first().copied()
                });
                let rest = untried.iter().copied().filter(|&leg| Some(leg) != chosen);
                chosen.into_iter().chain(rest).collect()
            }
        }
    }

    fn how(&self, call: &Call, leg: usize, now: i64) -> How {
        if call.out.contains(&leg) || self.phone(call, leg).is_none() {
            return How::Gone;
        }
        let Some(ix) = self.who(call, leg) else { return How::Free };
        let person = &self.people[ix];
        let mobile = matches!(self.plans[call.plan].targets[leg], Target::Mobile(_));
        if !mobile && (person.presence != Presence::Present || person.line == Line::Unreachable) {
            return How::Gone;
        }
        if person.line == Line::Busy {
            return How::OnThePhone;
        }
        match self.held_by_another(ix, &call.id, now) {
            Some("talking") => return How::OnThePhone,
            Some(_) => return How::Soon { busy: true },
            None => {}
        }
        let ours = person.claims.iter().any(|claim| claim.call == call.id);
        if person.line == Line::Ringing && !ours {
            return How::Soon { busy: true };
        }
        if person.line == Line::WrapUp { How::Soon { busy: false } } else { How::Free }
    }

    fn ended(&mut self, call: &mut Call, rung: &[usize], rest: &'static str, ended: &Ended) {
        let one_by_one = !matches!(self.plans[call.plan].order, Order::All | Order::Expanding);
        call.begun = true;
        for &leg in rung {
            let phone = self.phone(call, leg).unwrap();
            let cause = ended.iter().find(|(other, _)| *other == phone).map_or(rest, |(_, cause)| cause);
            call.rang_out |= cause == "no_answer";
            call.busy |= cause == "busy";
            if one_by_one {
                call.out.push(leg);
            }
            if cause != "no_answer" {
                for other in 0..self.plans[call.plan].targets.len() {
                    if self.phone(call, other).as_ref() == Some(&phone) {
                        call.out.push(other);
                    }
                }
            }
        }
        call.round += 1;
    }

    fn over(&mut self, call: &mut Call, now: i64, seen: &Seen<'_>) -> String {
        self.free(&call.id);
        let perhaps = call.perhaps_busy && seen.exits.first() == Some(&"busy");
        call.outcome = match () {
            () if call.rang_out => "no_answer",
            () if call.busy || perhaps => "busy",
            () => "unavailable",
        };
        match call.outcome {
            "no_answer" => {
                call.doing = Doing::Record;
                "record".into()
            }
            "busy" if call.repeats < REPEATS => {
                call.repeats += 1;
                self.begin(
                    call,
                    now,
                    &Seen { rung: seen.rung.clone(), exits: seen.exits.iter().skip(1).copied().collect() },
                )
            }
            _ => {
                call.doing = Doing::HangUp;
                "hang_up".into()
            }
        }
    }

    fn talk(&mut self, call: &mut Call, who: Option<usize>, phone: &str, now: i64) -> String {
        self.free(&call.id);
        if let Some(ix) = who {
            let claim = Claim { call: call.id.clone(), kind: "talking", until: now + TALK_MS };
            self.people[ix].claims.push(claim);
            self.people[ix].answered += 1;
        }
        call.answered = true;
        call.doing = Doing::Talk(who);
        format!("talk {phone}")
    }

    fn finish(&mut self, call: &mut Call, now: i64) -> String {
        let how = match () {
            () if call.answered => "answered/none".to_owned(),
            () if call.message => "voicemail/none".to_owned(),
            () => format!("{}/callee", call.outcome),
        };
        self.end(call, now, how)
    }

    fn end(&mut self, call: &mut Call, now: i64, how: String) -> String {
        if let Doing::Talk(Some(ix)) = call.doing {
            self.people[ix].talked_until = now;
        }
        self.free(&call.id);
        call.doing = Doing::End;
        how
    }

    fn claim(&mut self, who: usize, call: &str, kind: &'static str, until: i64, now: i64) {
        assert_eq!(self.held_by_another(who, call, now), None, "the model claims e{who}, who is held");
        self.people[who].claims = vec![Claim { call: call.to_owned(), kind, until }];
    }

    fn free(&mut self, call: &str) {
        for person in &mut self.people {
            person.claims.retain(|claim| claim.call != call);
        }
    }

    /// What the call holds him for.
    fn held(&self, who: usize, call: &str, now: i64) -> Option<&'static str> {
        let mut live = self.people[who].claims.iter().filter(|claim| claim.until > now);
        live.find(|claim| claim.call == call).map(|claim| claim.kind)
    }

    /// What another call holds him for: a conversation, if there is one.
    fn held_by_another(&self, who: usize, call: &str, now: i64) -> Option<&'static str> {
        let live = self.people[who].claims.iter().filter(|claim| claim.until > now);
        let kinds: Vec<&str> = live.filter(|claim| claim.call != call).map(|claim| claim.kind).collect();
        if kinds.contains(&"talking") { Some("talking") } else { kinds.first().copied() }
    }

    /// Whose phone a target is.
    pub fn who(&self, call: &Call, leg: usize) -> Option<usize> {
        match self.plans[call.plan].targets[leg] {
            Target::Desk(ix) | Target::Mobile(ix) => Some(ix),
            Target::Phone(_) => None,
            Target::Owner => call.owner,
        }
    }

    fn phone(&self, call: &Call, leg: usize) -> Option<String> {
        match &self.plans[call.plan].targets[leg] {
            Target::Desk(ix) => Some((self.desk)(*ix)),
            Target::Mobile(ix) => Some((self.mobile)(*ix)),
            Target::Phone(number) => Some(number.clone()),
            Target::Owner => call.owner.map(|ix| (self.desk)(ix)),
        }
    }
}
