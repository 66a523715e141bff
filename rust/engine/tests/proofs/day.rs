//! A day of many callers on one floor: people come and go, versions change, and the router dies, while calls wait in line.
//!
//! It goes from event to event, each at the moment at which it is due at the latest, as a router would hear of it: whoever
//! has come free is offered to the heads of lines, and to nobody else. After each event everything that a line promises is
//! looked for.

mod promises;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;
use std::sync::Arc;

use kommutator_engine::call::state::CallState;
use kommutator_engine::call::{Disposition, EndCause, Ended};
use kommutator_engine::check::{Report, check};
use kommutator_engine::company::document::{Kind, Target};
use kommutator_engine::company::{Company, Document, compile};
use kommutator_engine::floor::{Line, Place, Presence};
use kommutator_engine::{Action, Engine, Event, Turn};

use super::documents::{CALLERS, did};
use super::walker::{Claims, Dice, answers, seconds, standing, tells};
use super::worlds::FROM_MS;

const DEEDS: usize = 150;
/// Most callers at once.
const CALLERS_AT_ONCE: usize = 9;
/// More events than a day can have until the last caller has gone.
const ENDLESS: usize = 3_000;

/// What a day was like, so that it is known that something happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Happened {
    /// Callers who came into a line.
    pub joined: usize,
    /// Callers who stood in line when the router died.
    pub taken_over: usize,
    /// Calls that left a queue by each of its exits: `timeout`, `full`, `nobody`.
    pub left: [usize; 3],
    /// Callers who were answered after they had waited.
    pub served: usize,
}

impl AddAssign for Happened {
    fn add_assign(&mut self, other: Self) {
        self.joined += other.joined;
        self.taken_over += other.taken_over;
        self.served += other.served;
        self.left.iter_mut().zip(other.left).for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// A version of the document: the same schemes with other people in other order, and longer lines and waits.
pub fn changed(document: &Document) -> Document {
    let mut changed = document.clone();
    changed.company.name = "Changed".into();
    for node in changed.schemes.values_mut().flat_map(|scheme| scheme.nodes.values_mut()) {
        if let Kind::Queue { ring, max_wait, max_length, .. } = &mut node.kind {
            ring.reverse();
            *max_wait += 7.0;
            *max_length += 1;
        }
    }
    changed
}

/// A document that calls run on, and what is claimed of it.
struct Version {
    document: Document,
    company: Arc<Company>,
    report: Report,
}

struct Live {
    version: usize,
    scheme: usize,
    place: (String, String),
    state: Vec<u8>,
    action: Action,
    /// When the action was begun, and when it is over.
    began_ms: i64,
    due_ms: i64,
    came_ms: i64,
    /// By how much its time was prolonged, because actions were begun anew.
    more_ms: i64,
    told: bool,
    caller: Option<&'static str>,
}

/// A line: scheme and node.
type LineId = (String, String);

/// Where a call stands in line: the line; its place; with whom it waits; which attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
struct InLine {
    line: LineId,
    place: Place,
    kin: (usize, Option<usize>),
    attempts: u16,
    waits: bool,
}

struct Day<'d> {
    versions: &'d [Version],
    claims: &'d [Claims<'d>],
    dice: &'d mut Dice,
    engine: Engine,
    active: usize,
    now_ms: i64,
    people: BTreeMap<String, (Presence, Line)>,
    calls: BTreeMap<String, Live>,
    names: usize,
    /// Calls of which a router that has just begun has not heard yet.
    unheard: BTreeSet<String>,
    freed: u64,
    /// Until then somebody may be held by another router, which does not tell when it lets go.
    elsewhere_ms: i64,
    happened: Happened,
    log: Vec<String>,
}

/// Spends a day with the callers of a document that goes round nowhere; what was promised and not kept, in words.
pub fn spend(document: &Document, dice: &mut Dice) -> Result<Happened, String> {
    let versions: Vec<Version> = [document.clone(), changed(document)]
        .into_iter()
        .map(|document| Version {
            company: Arc::new(compile(&document).company),
            report: check(&document, FROM_MS),
            document,
        })
        .collect();
    let claims: Vec<Claims<'_>> = versions.iter().map(|version| Claims::new(&version.report)).collect();
    if claims.iter().any(|claims| claims.has("unbounded_cycle")) {
        return Ok(Happened::default());
    }
    let people = versions[0].company.employees.iter();
    let people = people.map(|employee| (employee.id.to_string(), (Presence::Present, Line::Idle))).collect();
    let engine = Engine::new(Arc::clone(&versions[0].company));
    let mut day = Day {
        versions: &versions,
        claims: &claims,
        dice,
        engine,
        active: 0,
        now_ms: FROM_MS,
        people,
        calls: BTreeMap::new(),
        names: 0,
        unheard: BTreeSet::new(),
        freed: 0,
        elsewhere_ms: 0,
        happened: Happened::default(),
        log: vec![],
    };
    day.engine = day.router();
    match day.spend() {
        Ok(()) => Ok(day.happened),
        Err(what) => {
            let from = day.log.len().saturating_sub(60);
            Err(format!("{what}\n  {}", day.log[from..].join("\n  ")))
        }
    }
}

impl Day<'_> {
    fn spend(&mut self) -> Result<(), String> {
        for _ in 0..DEEDS {
            self.deed()?;
            self.offer()?;
            self.look()?;
        }
        for _ in 0..ENDLESS {
            if self.calls.is_empty() {
                break;
            }
            self.next_due()?;
            self.offer()?;
            self.look()?;
        }
        if let Some(id) = self.calls.keys().next() {
            return Err(format!("{id} never ends"));
        }
        let claimed = self.engine.floor().claimed(self.now_ms).map(|(who, call, _)| format!("{who} by {call}"));
        let claimed: Vec<String> = claimed.filter(|claim| !claim.contains('\u{0}')).collect();
        if !claimed.is_empty() || !self.engine.queues(self.now_ms).is_empty() {
            return Err(format!("all are gone, and there is left: {claimed:?} {:?}", self.engine.queues(self.now_ms)));
        }
        Ok(())
    }

    // --- what happens

    fn deed(&mut self) -> Result<(), String> {
        match self.dice.below(22) {
            0..=3 if self.calls.len() < CALLERS_AT_ONCE => self.arrive(),
            0..=8 => self.next_due(),
            9..=10 => {
                self.time_passes();
                self.somebody_goes_or_comes();
                Ok(())
            }
            11..=15 => self.a_phone_acts(),
            16 => self.caller_leaves(),
            17 => self.other_version(),
            18 => self.router_dies(),
            _ => {
                self.time_passes();
                Ok(())
            }
        }
    }

    /// Some of the time until something is due.
    fn time_passes(&mut self) {
        let next_ms = self.calls.values().map(|call| call.due_ms).min().unwrap_or(self.now_ms + 20_000);
        let left_ms = (next_ms - self.now_ms).min(600_000);
        if left_ms > 0 {
            self.now_ms += self.dice.below(left_ms as usize) as i64;
        }
    }

    fn arrive(&mut self) -> Result<(), String> {
        self.names += 1;
        let (id, caller) = (format!("call-{:03}", self.names), self.dice.one(&CALLERS));
        let scheme = self.dice.below(self.versions[0].document.schemes.len());
        let version = &self.versions[self.active];
        let place = (format!("scheme{scheme}"), version.document.schemes[scheme].start.clone());
        self.log.push(format!("{} {id} comes from {caller:?} by {}", self.clock(), place.0));
        let turn = self.engine.arrive(&id, &did(scheme), caller, self.now_ms).map_err(|error| error.to_string())?;
        let call = Live {
            version: self.active,
            scheme,
            place,
            state: vec![],
            action: Action::Wait { music: None, announce: None, ms: 0, position: None },
            began_ms: self.now_ms,
            due_ms: self.now_ms,
            came_ms: self.now_ms,
            more_ms: 0,
            told: false,
            caller,
        };
        self.takes(&id, call, None, turn)
    }

    /// What is due next happens, at its time.
    fn next_due(&mut self) -> Result<(), String> {
        let next = self.calls.iter().min_by_key(|(_, call)| call.due_ms);
        let Some((id, due_ms)) = next.map(|(id, call)| (id.clone(), call.due_ms)) else { return self.arrive() };
        self.now_ms = self.now_ms.max(due_ms);
        let event = match &self.calls[&id].action {
            Action::Ring { .. } => Event::NoAnswer { ended: vec![] },
            Action::Wait { .. } => Event::Waited {},
            action => self.dice.one(&answers(action)),
        };
        self.step(&id, &event)
    }

    /// Somebody picks up or refuses, or another router has him already.
    fn a_phone_acts(&mut self) -> Result<(), String> {
        self.time_passes();
        let ringing = self.calls.iter().filter_map(|(id, call)| match &call.action {
            Action::Ring { endpoints, .. } => Some((id.clone(), endpoints.clone())),
            _ => None,
        });
        let ringing: Vec<_> = ringing.collect();
        if ringing.is_empty() {
            return self.arrive_if_there_is_room();
        }
        let (id, endpoints) = self.dice.one(&ringing);
        let endpoint = self.dice.one(&endpoints).endpoint.to_string();
        let all = |cause| endpoints.iter().map(|rung| Ended { endpoint: rung.endpoint.to_string(), cause }).collect();
        let event = match self.dice.below(8) {
            0..=3 => Event::Answered { endpoint },
            4 => Event::Busy { ended: all(EndCause::Busy) },
            5 => Event::Unavailable { ended: all(EndCause::Declined) },
            6 => Event::NoAnswer { ended: vec![Ended { endpoint, cause: EndCause::Declined }] },
            _ => {
                let employees: Vec<String> =
                    endpoints.iter().filter_map(|rung| rung.employee.as_ref().map(ToString::to_string)).collect();
                if employees.is_empty() {
                    return Ok(());
                }
                self.elsewhere_ms = self.elsewhere_ms.max(self.calls[&id].due_ms);
                Event::Taken { employees }
            }
        };
        // Of a phone of which no end is told the time is up.
        if matches!(&event, Event::NoAnswer { ended } if ended.len() < endpoints.len()) {
            return self.next_due();
        }
        self.step(&id, &event)
    }

    fn arrive_if_there_is_room(&mut self) -> Result<(), String> {
        if self.calls.len() < CALLERS_AT_ONCE { self.arrive() } else { Ok(()) }
    }

    fn caller_leaves(&mut self) -> Result<(), String> {
        self.time_passes();
        let ids: Vec<String> = self.calls.keys().cloned().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let id = self.dice.one(&ids);
        self.step(&id, &Event::CallerHungUp { seconds: None })
    }

    fn somebody_goes_or_comes(&mut self) {
        let ids: Vec<String> = self.people.keys().cloned().collect();
        if ids.is_empty() {
            return;
        }
        let id = self.dice.one(&ids);
        let presence = [Presence::Present, Presence::Present, Presence::Away, Presence::Offline];
        let line = [Line::Idle, Line::Idle, Line::Busy, Line::WrapUp, Line::Unreachable];
        let now = (self.dice.one(&presence), self.dice.one(&line));
        self.log.push(format!("{} {id} is {now:?}", self.clock()));
        self.engine.presence(&id, now.0).unwrap();
        self.engine.line(&id, now.1).unwrap();
        self.people.insert(id, now);
    }

    fn other_version(&mut self) -> Result<(), String> {
        self.active = 1 - self.active;
        self.log.push(format!("{} version {} is active", self.clock(), self.active));
        let id = self.engine.hold(Arc::clone(&self.versions[self.active].company));
        if self.engine.activate(id) { Ok(()) } else { Err("a version held is not active".into()) }
    }

    /// Another router has the calls: of conversations it hears first, of the others in any order, and of new ones between.
    fn router_dies(&mut self) -> Result<(), String> {
        self.time_passes();
        self.log.push(format!("{} the router dies", self.clock()));
        self.engine = self.router();
        self.freed = u64::MAX;
        let talks = |call: &Live| matches!(call.action, Action::Talk { .. });
        let mut ids: Vec<String> = self.calls.keys().cloned().collect();
        for at in (1..ids.len()).rev() {
            let other = self.dice.below(at + 1);
            ids.swap(at, other);
        }
        ids.sort_by_key(|id| !talks(&self.calls[id]));
        self.unheard = ids.iter().cloned().collect();
        for id in ids {
            self.unheard.remove(&id);
            let mut call = self.calls.remove(&id).unwrap_or_else(|| panic!("{id} is nowhere"));
            let turn = self.engine.resume(&call.state, self.now_ms).map_err(|error| error.to_string())?;
            let hunts = matches!(turn.action, Action::Ring { .. } | Action::Wait { .. });
            if !hunts {
                call.more_ms += self.now_ms - call.began_ms;
            }
            let before = self.in_line(&call);
            self.happened.taken_over += usize::from(before.is_some());
            self.log.push(format!("{} {id} goes on: {:?}", self.clock(), turn.action));
            call.began_ms = self.now_ms;
            call.due_ms = self.due_ms(&call, &turn.action);
            (call.state, call.action) = (turn.state, turn.action);
            self.calls.insert(id.clone(), call);
            let after = self.in_line(&self.calls[&id]);
            let place = |in_line: &InLine| (in_line.line.clone(), in_line.place, in_line.kin);
            if before.as_ref().map(place) != after.as_ref().map(place) {
                return Err(format!("{id} had {before:?} and has {after:?}"));
            }
            if self.dice.below(6) == 0 && hunts {
                self.arrive_if_there_is_room()?;
            }
        }
        Ok(())
    }

    /// A router that has just begun: it knows versions, people and owners.
    fn router(&self) -> Engine {
        let mut engine = Engine::new(Arc::clone(&self.versions[1 - self.active].company));
        let id = engine.hold(Arc::clone(&self.versions[self.active].company));
        assert!(engine.activate(id));
        for (id, &(presence, line)) in &self.people {
            engine.presence(id, presence).unwrap();
            engine.line(id, line).unwrap();
        }
        if self.people.contains_key("anna") {
            engine.owner_is(CALLERS[1].unwrap(), Some("anna")).unwrap();
            engine.owner_is(CALLERS[2].unwrap(), Some("boris")).unwrap();
        }
        engine
    }

    /// Heads of lines are asked, as often as somebody has come free.
    fn offer(&mut self) -> Result<(), String> {
        while self.freed != self.engine.floor().freed() {
            self.freed = self.engine.floor().freed();
            for id in self.engine.queue_heads(self.now_ms) {
                if self.waits_at_queue(&id) {
                    self.step(&id, &Event::EmployeeFree {})?;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, id: &str, event: &Event) -> Result<(), String> {
        let call = self.calls.remove(id).unwrap_or_else(|| panic!("{id} is nowhere"));
        self.log.push(format!("{} {id} {event:?}", self.clock()));
        let turn = self.engine.handle(&call.state, event, self.now_ms).map_err(|error| format!("{id}: {error}"))?;
        self.takes(id, call, Some(event), turn)
    }

    // --- what is promised

    /// A call's next turn: it goes where it may, in time, and overtakes nobody.
    fn takes(&mut self, id: &str, mut call: Live, event: Option<&Event>, turn: Turn) -> Result<(), String> {
        let (versions, claims) = (self.versions, self.claims);
        let (version, claims) = (&versions[call.version], &claims[call.version]);
        let before = event.and_then(|_| self.in_line(&call));
        let waited = matches!(call.action, Action::Wait { .. }) && before.is_some();
        let ending = matches!(call.action, Action::HangUp { .. }) && event.is_some();
        self.log.push(format!(
            "  {:?} {:?}",
            turn.trace.iter().map(|p| (&p.node, &p.exit)).collect::<Vec<_>>(),
            turn.action
        ));
        for passed in &turn.trace {
            if claims.denies(&version.document, &passed.scheme, &passed.node, &passed.exit) {
                return Err(format!("{id} takes `{}` of `{}`, which is never taken", passed.exit, passed.node));
            }
            self.leaves(id, &call, &passed.scheme, &passed.node, &passed.exit)?;
        }
        standing(&version.document, &mut call.place, &turn);
        call.told |= tells(&turn, call.caller) || matches!(event, Some(Event::Recorded { .. }));
        let longest_ms = claims.longest_seconds(call.scheme).map(|seconds| (seconds * 1000.0).round() as i64);
        let talked = matches!(call.action, Action::Talk { .. });
        let took_ms = self.now_ms - call.came_ms - call.more_ms;
        if !talked && longest_ms.is_some_and(|longest_ms| took_ms > longest_ms) {
            return Err(format!("{id} has taken {took_ms} ms, more than {longest_ms:?}"));
        }
        if let Action::End { disposition, .. } = turn.action {
            let spared =
                matches!(disposition, Disposition::Answered | Disposition::Transferred | Disposition::Informed);
            let said = if ending {
                claims.blames("lost_call", &call.place.0, Some(&call.place.1))
            } else {
                claims.blames("lost_on_hangup", &call.place.0, None)
            };
            return if call.told || spared || said { Ok(()) } else { Err(format!("{id} is lost: {disposition:?}")) };
        }
        self.happened.served += usize::from(waited && matches!(turn.action, Action::Ring { .. }));
        call.state = turn.state;
        call.began_ms = self.now_ms;
        call.due_ms = self.due_ms(&call, &turn.action);
        call.action = turn.action;
        let after = self.in_line(&call);
        self.calls.insert(id.to_owned(), call);
        match (before, after) {
            (before, Some(after)) if before.as_ref().is_none_or(|before| before.place != after.place) => {
                self.happened.joined += 1;
                self.joins(id, &after)
            }
            (Some(before), Some(after)) if after.attempts > before.attempts && !after.waits => {
                self.overtakes(id, &after)
            }
            _ => Ok(()),
        }
    }

    // --- what is known

    fn in_line(&self, call: &Live) -> Option<InLine> {
        let state = CallState::decode(&call.state).ok()?;
        let line = state.hunt?.line?;
        let version = &self.versions[call.version];
        let node = version.company.node(state.node);
        let scheme = version.company.schemes[node.scheme.at()].id.to_string();
        let Kind::Queue { ring, .. } = &version.document.schemes[&scheme].nodes[node.id.as_str()].kind else {
            return None;
        };
        let owners = ring.iter().any(|target| matches!(target, Target::Owner(_)));
        let owner = state.owner.filter(|_| owners).map(|ix| ix.at());
        let waits = matches!(call.action, Action::Wait { .. });
        let line_id = (scheme, node.id.to_string());
        Some(InLine { line: line_id, place: line.place, kin: (call.version, owner), attempts: line.attempts, waits })
    }

    fn queue(&self, in_line: &InLine) -> Kind {
        self.versions[in_line.kin.0].document.schemes[&in_line.line.0].nodes[&in_line.line.1].kind.clone()
    }

    fn callers(&mut self, scheme: &str, node: &str) -> Vec<String> {
        let views =
            self.engine.queues(self.now_ms).into_iter().filter(|view| view.scheme == scheme && view.node == node);
        views.flat_map(|view| view.callers).map(|caller| caller.call.to_string()).collect()
    }

    fn waits_at_queue(&self, id: &str) -> bool {
        let call = self.calls.get(id);
        call.is_some_and(|call| matches!(call.action, Action::Wait { .. }) && Engine::is_queued(&call.state).unwrap())
    }

    fn due_ms(&mut self, call: &Live, action: &Action) -> i64 {
        let document = &self.versions[call.version].document;
        match action {
            Action::Talk { .. } => self.now_ms + 1_000 * (1 + self.dice.below(60) as i64),
            action => self.now_ms + (seconds(document, action) * 1000.0).round() as i64,
        }
    }

    fn clock(&self) -> String {
        format!("{:.3}", (self.now_ms - FROM_MS) as f64 / 1000.0)
    }
}
