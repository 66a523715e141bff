//! Thousands of interleavings of many calls against a slow and obvious model: nobody is rung twice, nobody stays claimed,
//! and every call ends once.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/model.rs"]
mod model;
mod support;

use std::collections::{BTreeMap, BTreeSet};

use kommutator_engine::floor::{Line, Presence};
use kommutator_engine::{Action, Engine, Event, Turn};
use model::{Call, Doing, Ended, Input, Model, Order, Plan, Seen, Target};
use serde_json::{Value, json};
use support::*;

const PEOPLE: usize = 8;
const MOST_CALLS: usize = 24;
/// An action is in force until its client has had the time to report its end, milliseconds.
const GRACE_MS: i64 = 5_000;

fn plans() -> Vec<(&'static str, Plan)> {
    use Target::{Desk, Mobile, Owner, Phone};
    let desks = |range: std::ops::Range<usize>| range.map(Desk).collect::<Vec<_>>();
    let one = |order, targets: Vec<Target>, seconds: i64| {
        let rounds = vec![(targets.len(), seconds * 1000)];
        Plan { order, targets, rounds }
    };
    let steps = Plan {
        order: Order::Expanding,
        targets: vec![Desk(0), Desk(3), Mobile(7), Desk(5), Phone("+79990001122".into()), Desk(1)],
        rounds: vec![(2, 10_000), (4, 15_000), (6, 10_000)],
    };
    // Ranks as the document of `company` gives them: e0, e1 first, e2, e3 next, the rest last.
    let ranks =
        Plan { order: Order::Expanding, targets: desks(0..8), rounds: vec![(2, 12_000), (4, 12_000), (8, 12_000)] };
    vec![
        ("all", one(Order::All, desks(0..3), 20)),
        ("linear", one(Order::Linear, vec![Desk(1), Desk(2), Mobile(6), Desk(3), Desk(4)], 10)),
        ("round_robin", one(Order::RoundRobin, desks(0..6), 10)),
        ("longest_idle", one(Order::LongestIdle, desks(2..8), 10)),
        ("fewest_calls", one(Order::FewestCalls, desks(0..8), 10)),
        ("random", one(Order::Random, desks(0..8), 10)),
        ("expanding", steps),
        ("expanding", ranks),
        ("all", one(Order::All, vec![Owner, Desk(4), Desk(5)], 15)),
        ("linear", one(Order::Linear, vec![Owner, Mobile(0), Desk(6)], 15)),
    ]
}

fn written(target: &Target) -> Value {
    match target {
        Target::Desk(ix) => json!({"employee": format!("e{ix}")}),
        Target::Mobile(ix) => json!({"mobile": format!("e{ix}")}),
        Target::Phone(number) => json!({"phone": number}),
        Target::Owner => json!({"owner": true}),
    }
}

fn company() -> Doc {
    let mut doc = Doc::crew(PEOPLE);
    for (ix, rank) in [(0, 1), (1, 1), (2, 2), (3, 2)] {
        doc = doc.set(&["employees", &format!("e{ix}"), "rank"], json!(rank));
    }
    for (ix, (strategy, plan)) in plans().into_iter().enumerate() {
        let mut ring = json!({"kind": "ring", "strategy": strategy,
            "exits": {"no_answer": "mail", "busy": "twice", "unavailable": "note"}});
        let mut from = 0;
        // The seventh plan is the one by steps.
        if ix == 6 {
            let steps = plan.rounds.iter().map(|&(upto, ms)| {
                let ring: Value = plan.targets[std::mem::replace(&mut from, upto)..upto].iter().map(written).collect();
                json!({"ring": ring, "seconds": ms / 1000})
            });
            ring["steps"] = steps.collect();
        } else {
            ring["ring"] = plan.targets.iter().map(written).collect();
            ring["seconds"] = json!(plan.rounds[0].1 / 1000);
        }
        let nodes = json!({
            "who": {"kind": "owner", "exits": {"found": "hunt", "unknown": "hunt", "unavailable": "hunt"}},
            "hunt": ring,
            "twice": {"kind": "repeat", "times": 1, "exits": {"again": "hunt", "done": "note"}},
        });
        doc = doc.scheme(&format!("s{ix}"), "who", nodes);
    }
    doc
}

/// Callers 0–7 are owned by the employee of that number, 8 is known to have no owner, 9 withholds his number.
fn caller(ix: usize) -> Option<String> {
    (ix < 9).then(|| format!("+7495333000{ix}"))
}

fn engine(doc: &Doc) -> Engine {
    let mut engine = doc.engine();
    for ix in 0..9 {
        let owner = (ix < PEOPLE).then(|| format!("e{ix}"));
        engine.owner_is(&caller(ix).unwrap(), owner.as_deref()).unwrap();
    }
    engine
}

fn seen(turn: &Turn) -> Seen<'_> {
    let hunts = turn.trace.iter().filter(|passed| passed.node == "hunt");
    Seen { rung: rung(turn), exits: hunts.map(|passed| passed.exit.as_str()).collect() }
}

fn event_of(input: &Input) -> Event {
    let all = |ended: &Ended| -> Value {
        ended.iter().map(|(endpoint, cause)| json!({"endpoint": endpoint, "cause": cause})).collect()
    };
    event(match input {
        Input::Answered(endpoint) => json!({"type": "answered", "endpoint": endpoint}),
        Input::Over(kind, ended) => json!({"type": kind, "ended": all(ended)}),
        Input::Taken(who) => {
            json!({"type": "taken", "employees": who.iter().map(|ix| format!("e{ix}")).collect::<Vec<_>>()})
        }
        Input::EmployeeFree => json!({"type": "employee_free"}),
        Input::Waited => json!({"type": "waited"}),
        Input::Recorded(seconds) => json!({"type": "recorded", "seconds": seconds}),
        Input::HungUp => json!({"type": "hung_up"}),
        Input::ConversationEnded => json!({"type": "conversation_ended"}),
        Input::Passed(who, endpoint) => {
            json!({"type": "passed", "employee": who.map(|ix| format!("e{ix}")), "endpoint": endpoint})
        }
        Input::CallerHungUp(seconds) => json!({"type": "caller_hung_up", "seconds": seconds}),
        Input::Fault(whose) => json!({"type": "fault", "whose": whose}),
    })
}

/// A call in progress: what the model knows of it, and the engine's last turn.
struct Live {
    model: Call,
    turn: Turn,
    answers: u32,
}

/// One random session: two engines, one of which is never told what was refused, and the model.
struct Session {
    dice: Dice,
    engine: Engine,
    twin: Engine,
    model: Model,
    now: i64,
    live: Vec<Live>,
    /// Calls whose client has vanished with the action in force: no more is heard of them.
    vanished: Vec<Live>,
    arrived: usize,
    ends: BTreeMap<String, u32>,
    seen: BTreeSet<String>,
    log: Vec<String>,
}

impl Session {
    fn new(seed: u64, doc: &Doc) -> Self {
        let plans = plans().into_iter().map(|(_, plan)| plan).collect();
        Self {
            dice: Dice::new(seed),
            engine: engine(doc),
            twin: engine(doc),
            model: Model::new(PEOPLE, plans, desk, mobile),
            now: NOON,
            live: Vec::new(),
            vanished: Vec::new(),
            arrived: 0,
            ends: BTreeMap::new(),
            seen: BTreeSet::new(),
            log: Vec::new(),
        }
    }

    fn step(&mut self) {
        self.pass_time();
        match self.dice.below(100) {
            0..20 => self.arrive(),
            20..25 => {
                let (ix, presence) = (self.dice.below(PEOPLE), self.presence());
                self.model.people[ix].presence = presence;
                for engine in [&mut self.engine, &mut self.twin] {
                    engine.presence(&format!("e{ix}"), presence).unwrap();
                }
                self.log.push(format!("e{ix} {presence:?}"));
            }
            25..35 => {
                let (ix, line) = (self.dice.below(PEOPLE), self.line());
                self.model.line(ix, line);
                for engine in [&mut self.engine, &mut self.twin] {
                    engine.line(&format!("e{ix}"), line).unwrap();
                }
                self.log.push(format!("e{ix} {line:?}"));
            }
            35 => {
                let ix = self.dice.below(PEOPLE);
                self.model.free_elsewhere(ix);
                for engine in [&mut self.engine, &mut self.twin] {
                    engine.freed_elsewhere(&format!("e{ix}")).unwrap();
                }
                self.log.push(format!("e{ix} is let go elsewhere"));
            }
            36..40 => self.consult(),
            40..42 if !self.live.is_empty() => {
                let ix = self.dice.below(self.live.len());
                let gone = self.live.swap_remove(ix);
                self.log.push(format!("{} vanishes", gone.model.id));
                self.vanished.push(gone);
            }
            42..50 => self.wrong_event(),
            _ => self.fitting_event(),
        }
        self.check();
    }

    fn presence(&mut self) -> Presence {
        *self.dice.pick(&[Presence::Present, Presence::Present, Presence::Present, Presence::Away, Presence::Offline])
    }

    fn line(&mut self) -> Line {
        use Line::{Busy, Idle, Ringing, Unreachable, WrapUp};
        *self.dice.pick(&[Idle, Idle, Idle, Idle, Ringing, Busy, WrapUp, Unreachable])
    }

    /// Mostly no further than the next round's end is due; now and then far beyond it.
    fn pass_time(&mut self) {
        let due = self.live.iter().filter(|live| matches!(live.model.doing, Doing::Ring(_) | Doing::Wait));
        let due = due.map(|live| live.model.until + GRACE_MS - 1).min().unwrap_or(i64::MAX);
        let ms = self.dice.below(3_000) as i64;
        let late = self.dice.percent(2);
        let until = if late { self.now + 20 * ms } else { (self.now + ms).min(due.max(self.now)) };
        self.now = until;
    }

    fn arrive(&mut self) {
        let replaced = (!self.live.is_empty() && self.dice.percent(10)).then(|| self.dice.below(self.live.len()));
        let id = match replaced {
            Some(ix) => self.live.swap_remove(ix).model.id,
            None if self.live.len() >= MOST_CALLS => return,
            None => {
                self.arrived += 1;
                format!("call-{}-{}", self.arrived, self.dice.below(1000))
            }
        };
        let (plan, from) = (self.dice.below(self.model.plans.len()), self.dice.below(10));
        let caller = caller(from);
        let turn = self.engine.arrive(&id, &did(plan), caller.as_deref(), self.now).unwrap();
        let other = self.twin.arrive(&id, &did(plan), caller.as_deref(), self.now).unwrap();
        assert_eq!(bytes(&turn), bytes(&other));
        let owner = Some(from).filter(|&from| from < PEOPLE);
        let (model, expected) = self.model.arrive(&id, plan, owner, self.now, &seen(&turn));
        self.log.push(format!("{} {id} arrives at s{plan} from {from}: {}", self.now - NOON, short(&turn)));
        assert_eq!(short(&turn), expected);
        self.note(&turn);
        self.live.push(Live { model, turn, answers: 0 });
    }

    fn consult(&mut self) {
        if self.live.is_empty() {
            return;
        }
        let call = self.live[self.dice.below(self.live.len())].model.id.clone();
        let ix = self.dice.below(PEOPLE);
        let employee = format!("e{ix}");
        if self.dice.percent(50) {
            let got = self.engine.reserve(&employee, &call, self.now).unwrap();
            assert_eq!(got, self.twin.reserve(&employee, &call, self.now).unwrap());
            self.log.push(format!("{} {call} reserves {employee}: {got}", self.now - NOON));
            assert_eq!(got, self.model.reserve(ix, &call, self.now));
        } else {
            self.engine.release(&employee, &call).unwrap();
            self.twin.release(&employee, &call).unwrap();
            self.log.push(format!("{} {call} releases {employee}", self.now - NOON));
            self.model.release(ix, &call);
        }
    }

    /// An event that does not fit is refused, and the twin, which never hears of it, goes on answering alike.
    fn wrong_event(&mut self) {
        if self.live.is_empty() {
            return;
        }
        let at = self.dice.below(self.live.len());
        let wrong = self.misfit(at);
        let live = &self.live[at];
        let claims: Vec<String> = claims(&self.engine, self.now);
        let refused = self.engine.handle(&live.turn.state, &wrong, self.now);
        let code = refused.map(|turn| short(&turn)).map_err(|error| error.code());
        assert_eq!(code, Err("unexpected_event"), "{} was {:?}, {wrong:?}", live.model.id, live.model.doing);
        assert_eq!(claims, self::claims(&self.engine, self.now));
        self.seen.insert(format!("refused in {}", short(&live.turn).split(' ').next().unwrap_or_default()));
    }

    fn misfit(&mut self, at: usize) -> Event {
        let doing = self.live[at].model.doing.clone();
        let fits: &[&str] = match doing {
            Doing::Ring(_) => &["answered", "no_answer", "busy", "unavailable", "taken"],
            Doing::Wait => &["employee_free", "waited"],
            Doing::Record => &["recorded"],
            Doing::HangUp => &["hung_up"],
            Doing::Talk(_) => &["conversation_ended", "passed"],
            Doing::End => &[],
        };
        let all = [
            json!({"type": "played"}),
            json!({"type": "digits", "digits": "1"}),
            json!({"type": "no_input"}),
            json!({"type": "answered", "endpoint": desk(self.dice.below(PEOPLE))}),
            json!({"type": "no_answer"}),
            json!({"type": "busy"}),
            json!({"type": "unavailable"}),
            json!({"type": "taken", "employees": ["e0", "e1"]}),
            json!({"type": "employee_free"}),
            json!({"type": "waited"}),
            json!({"type": "recorded", "seconds": 3}),
            json!({"type": "owner", "employee": "e0"}),
            json!({"type": "no_owner"}),
            json!({"type": "called_before"}),
            json!({"type": "never_called"}),
            json!({"type": "transferred"}),
            json!({"type": "failed"}),
            json!({"type": "conversation_ended"}),
            json!({"type": "passed", "employee": "e1", "endpoint": "PJSIP/101"}),
            json!({"type": "hung_up"}),
        ];
        // Answered by a phone that does not ring is wrong even while others do.
        if matches!(doing, Doing::Ring(_)) && self.dice.percent(30) {
            let ringing = rung(&self.live[at].turn);
            if let Some(silent) = (0..PEOPLE).map(desk).find(|phone| !ringing.contains(&phone.as_str())) {
                return answered(&silent);
            }
        }
        let wrong: Vec<&Value> = all.iter().filter(|event| !fits.contains(&event["type"].as_str().unwrap())).collect();
        event((*self.dice.pick(&wrong)).clone())
    }

    fn fitting_event(&mut self) {
        if self.live.is_empty() {
            return;
        }
        // Whose time is up comes first.
        let up = |live: &Live| matches!(live.model.doing, Doing::Ring(_) | Doing::Wait) && live.model.until <= self.now;
        let at = self.live.iter().position(up).unwrap_or_else(|| self.dice.below(self.live.len()));
        let input = self.input(at);
        self.handle(at, &input);
    }

    fn input(&mut self, at: usize) -> Input {
        let live = &self.live[at];
        let (doing, up) = (live.model.doing.clone(), live.model.until <= self.now);
        let phones: Vec<String> = rung(&live.turn).into_iter().map(str::to_owned).collect();
        match (self.dice.below(100), &doing) {
            (0..6, _) => Input::CallerHungUp(self.dice.percent(50).then_some(2.5)),
            (6..8, _) => Input::Fault(["pbx", "ours"][self.dice.below(2)]),
            (8..30, Doing::Ring(_)) => Input::Answered(self.dice.pick(&phones).clone()),
            (30..40, Doing::Ring(rung)) => {
                let who: Vec<usize> = rung.iter().filter_map(|&leg| self.model.who(&live.model, leg)).collect();
                Input::Taken(who.into_iter().filter(|_| self.dice.percent(50)).collect())
            }
            (_, Doing::Ring(_)) => {
                let causes = ["no_answer", "busy", "declined", "unavailable"];
                let told = phones.into_iter().filter(|_| self.dice.percent(60)).collect::<Vec<_>>();
                let ended = told.into_iter().map(|phone| (phone, *self.dice.pick(&causes))).collect();
                let kind = if up { "no_answer" } else { *self.dice.pick(&["no_answer", "busy", "unavailable"]) };
                Input::Over(kind, ended)
            }
            (_, Doing::Wait) if up => self.dice.pick(&[Input::Waited, Input::EmployeeFree]).clone(),
            (_, Doing::Wait) => {
                if self.dice.percent(80) {
                    Input::EmployeeFree
                } else {
                    Input::Waited
                }
            }
            (_, Doing::Record) => Input::Recorded(*self.dice.pick(&[0.0, 0.9, 1.0, 33.3])),
            (_, Doing::HangUp) => Input::HungUp,
            (0..80, Doing::Talk(_)) => Input::ConversationEnded,
            (80..90, Doing::Talk(_)) => Input::Passed(None, "PJSIP/900".into()),
            (_, Doing::Talk(_)) => {
                let ix = self.dice.below(PEOPLE);
                Input::Passed(Some(ix), desk(ix))
            }
            (_, Doing::End) => unreachable!("calls that ended are not alive"),
        }
    }

    fn handle(&mut self, at: usize, input: &Input) {
        let live = &mut self.live[at];
        let event = event_of(input);
        let turn = self.engine.handle(&live.turn.state, &event, self.now);
        let turn = turn.unwrap_or_else(|error| panic!("{} {:?}, {input:?}: {error}", live.model.id, live.model.doing));
        let other = self.twin.handle(&live.turn.state, &event, self.now).unwrap();
        assert_eq!(bytes(&turn), bytes(&other), "a refused event changed the engine");
        self.log.push(format!("{} {} {input:?}: {}", self.now - NOON, live.model.id, short(&turn)));
        let expected = self.model.step(&mut live.model, input, self.now, &seen(&turn));
        assert_eq!(Some(short(&turn)), expected);
        assert_eq!(turn.sequence, live.turn.sequence + 1);
        live.answers += u32::from(matches!(input, Input::Answered(_)));
        assert!(live.answers <= 1, "two winners");
        live.turn = turn;
        let turn = live.turn.clone();
        self.note(&turn);
        if matches!(turn.action, Action::End { .. }) {
            let gone = self.live.swap_remove(at);
            self.ended(&gone);
        }
    }

    /// After its end nothing is accepted of a call, and nobody is claimed for it.
    fn ended(&mut self, gone: &Live) {
        *self.ends.entry(gone.model.id.clone()).or_default() += 1;
        for event in [plain("hung_up"), plain("caller_hung_up"), plain("no_answer"), self.misfit_of_end()] {
            let refused = self.engine.handle(&gone.turn.state, &event, self.now).map_err(|error| error.code());
            assert_eq!(refused.map(|turn| short(&turn)), Err("unexpected_event"));
        }
        assert!(claims(&self.engine, self.now).iter().all(|claim| !claim.contains(&format!(" {} ", gone.model.id))));
    }

    fn misfit_of_end(&mut self) -> Event {
        event(json!({"type": "fault", "whose": *self.dice.pick(&["pbx", "ours"])}))
    }

    fn note(&mut self, turn: &Turn) {
        assert!(turn.state.len() <= 512);
        let what = short(turn);
        let (first, _) = what.split_once(' ').unwrap_or((&what, ""));
        self.seen.insert(first.to_owned());
        self.seen.extend(turn.rounds.iter().flat_map(|round| &round.left_out).map(|left| format!("{:?}", left.why)));
    }

    /// The invariants, from the actions in force and from the engine's own account of claims.
    fn check(&self) {
        assert_eq!(claims(&self.engine, self.now), self.model.claims(self.now));
        let mut ringing: BTreeMap<&str, &str> = BTreeMap::new();
        for live in self.live.iter().chain(&self.vanished).filter(|live| live.model.until + GRACE_MS > self.now) {
            let Action::Ring { endpoints, .. } = &live.turn.action else { continue };
            let who: BTreeSet<&str> = endpoints.iter().filter_map(|rung| rung.employee.as_deref()).collect();
            for employee in who {
                let other = ringing.insert(employee, &live.model.id);
                assert_eq!(other, None, "{employee} is rung for two calls: also {}", live.model.id);
            }
        }
        let alive: BTreeSet<&str> = self.live.iter().chain(&self.vanished).map(|live| live.model.id.as_str()).collect();
        for (employee, call, _) in self.engine.floor().claimed(self.now) {
            assert!(alive.contains(call), "{employee} is claimed for {call}, which has gone");
        }
    }

    /// Every call gets only fitting events from now on, and ends.
    fn drain(&mut self) {
        for steps in 0.. {
            if self.live.is_empty() {
                break;
            }
            assert!(steps < 100 * MOST_CALLS, "calls that do not end: {:?}", self.live[0].model);
            self.now += 1_000;
            self.fitting_event();
            self.check();
        }
        assert!(self.ends.values().all(|&ends| ends == 1));
        // Clients that vanished hold nobody for ever.
        self.now += 5 * 3_600_000;
        assert_eq!(claims(&self.engine, self.now), Vec::<String>::new());
    }
}

fn claims(engine: &Engine, now: i64) -> Vec<String> {
    let kind = |kind| format!("{kind:?}").to_lowercase();
    let claimed = engine.floor().claimed(now).map(|(who, call, what)| format!("{who} {call} {}", kind(what)));
    let mut all: Vec<String> = claimed.collect();
    all.sort_unstable();
    all
}

#[test]
fn any_interleaving_of_many_calls_keeps_the_floor_in_order() {
    let doc = company();
    let mut seen = BTreeSet::new();
    let mut crowded = 0;
    for seed in 0..250 {
        let mut session = Session::new(seed, &doc);
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..400 {
                session.step();
                crowded += usize::from(session.live.len() >= 20);
            }
            session.drain();
        }));
        if let Err(panic) = played {
            let last = session.log.len().saturating_sub(40);
            eprintln!("session {seed}:\n{}", session.log[last..].join("\n"));
            std::panic::resume_unwind(panic);
        }
        seen.append(&mut session.seen);
    }
    assert!(crowded > 1_000, "only {crowded} steps with twenty calls at once");
    for what in [
        "ring",
        "wait",
        "record",
        "talk",
        "hang_up",
        "answered/none",
        "voicemail/none",
        "abandoned/caller",
        "failed/pbx",
        "failed/ours",
        "no_answer/callee",
        "busy/callee",
        "unavailable/callee",
        "Away",
        "Offline",
        "Unreachable",
        "OnThePhone",
        "RungByAnother",
        "WrapUp",
        "OutOfThisHunt",
        "NobodyFound",
        "SamePhone",
        "refused in ring",
        "refused in wait",
        "refused in record",
        "refused in talk",
        "refused in hang_up",
    ] {
        assert!(seen.remove(what), "no session has shown `{what}`: {seen:?}");
    }
}
