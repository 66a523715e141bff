//! The engine: company versions, the floor and facts, and every call's next step.

use std::sync::Arc;

use crate::call::state::{CallId, CallState, MAX_CALL_ID, Pending};
use crate::call::{
    Ask, Calls, Column, Decision, Decisions, Ending, EngineError, Event, Ground, Outcome, Outcomes, Run, Stage, Turn,
    Walk, Walked, World,
};
use crate::company::version::{Company, NodeIx, Step, VersionId};
use crate::directory::ListFiles;
use crate::facts::{Callers, Facts, Owners};
use crate::floor::{Floor, Line, Places, Presence, QueueView, RESERVE_MS, Roster, Slot, Unseated};
use crate::number::Number;
use smol_str::SmolStr;

/// A version made ready to be held by an engine: what takes time for each employee is done, in which no call has to wait.
#[derive(Debug)]
pub struct Prepared {
    company: Arc<Company>,
    places: Places,
}

impl Prepared {
    /// Makes a version ready for the engine whose roster this is. Milliseconds for fifty thousand employees.
    #[must_use]
    pub fn new(company: Arc<Company>, roster: &Roster) -> Self {
        let places = Floor::places(&company, roster);
        Self { company, places }
    }
}

/// A version that is held no more, and what was held with it. With millions of numbers it takes milliseconds to let go:
/// whoever has calls waiting lets it go elsewhere.
#[derive(Debug)]
pub struct Taken {
    company: Arc<Company>,
    _slots: Vec<Slot>,
    _unseated: Unseated,
}

impl Taken {
    /// The version.
    #[must_use]
    pub fn company(&self) -> &Arc<Company> {
        &self.company
    }
}

/// A version that calls can run on.
#[derive(Debug)]
struct Held {
    company: Arc<Company>,
    slots: Vec<Slot>,
}

/// Decides calls. Equal inputs in equal order give equal outputs.
#[derive(Debug)]
pub struct Engine {
    /// A handful at most: a call searches them from the last held.
    versions: Vec<Held>,
    active: Arc<Company>,
    floor: Floor,
    facts: Facts,
}

impl Engine {
    /// An engine on a company that was checked without errors.
    #[must_use]
    pub fn new(company: Arc<Company>) -> Self {
        let mut engine = Self {
            versions: Vec::new(),
            active: Arc::clone(&company),
            floor: Floor::default(),
            facts: Facts::default(),
        };
        engine.hold(company);
        engine
    }

    /// The files of the lists of all versions held, to be shared with a version that is compiled beside them.
    #[must_use]
    pub fn list_files(&self) -> ListFiles {
        let mut files = ListFiles::default();
        self.versions.iter().for_each(|held| files.add(&held.company.lists));
        files
    }

    /// Who has which place on the floor: for a version that is prepared beside the engine. Costs nothing.
    #[must_use]
    pub fn roster(&self) -> Roster {
        self.floor.roster()
    }

    /// Holds a version, so that calls that began on it go on. Linear in its employees: see [`Engine::hold_prepared`].
    pub fn hold(&mut self, company: Arc<Company>) -> VersionId {
        let mut prepared = Prepared::new(company, &self.roster());
        self.hold_prepared(&mut prepared)
    }

    /// Holds a version that was prepared for this engine: linear in its new employees alone, whatever else it has. One
    /// prepared before others came, or for another engine, is prepared again, and that takes its time.
    ///
    /// What is left in `prepared` is to be let go where no call waits.
    pub fn hold_prepared(&mut self, prepared: &mut Prepared) -> VersionId {
        let company = Arc::clone(&prepared.company);
        let id = company.id;
        // An equal one that is held already stays: to let it go here would take long.
        let held = match self.versions.iter().position(|held| held.company.id == id) {
            Some(at) => self.versions.remove(at),
            None => Held { slots: self.floor.seat(&company, &mut prepared.places), company },
        };
        self.versions.push(held);
        id
    }

    /// Makes a held version the one that new calls begin on. False when it is not held.
    pub fn activate(&mut self, version: VersionId) -> bool {
        let Some(held) = held(&self.versions, version) else { return false };
        self.active = Arc::clone(&held.company);
        true
    }

    /// Stops holding a version. False, and nothing changed, for the active one and for one not held.
    pub fn drop_version(&mut self, version: VersionId) -> bool {
        self.take_version(version).is_some()
    }

    /// The same, but the version is handed over, to be let go elsewhere. Linear in its big hunts.
    pub fn take_version(&mut self, version: VersionId) -> Option<Taken> {
        if self.active.id == version {
            return None;
        }
        let at = self.versions.iter().position(|held| held.company.id == version)?;
        let unseated = self.floor.unseat_hunts(version);
        let Held { company, slots } = self.versions.remove(at);
        Some(Taken { company, _slots: slots, _unseated: unseated })
    }

    /// The version that new calls begin on.
    #[must_use]
    pub fn active(&self) -> &Company {
        &self.active
    }

    /// The same, to be held by another engine too: compiling takes long, and holding does not.
    #[must_use]
    pub fn active_shared(&self) -> Arc<Company> {
        Arc::clone(&self.active)
    }

    /// The version that a call began on, held or not.
    pub fn version_of(state: &[u8]) -> Result<VersionId, EngineError> {
        Ok(CallState::decode(state)?.version)
    }

    /// A call has come. A live call of the same id is replaced: whom it claimed is free again.
    pub fn arrive(&mut self, call_id: &str, did: &str, caller: Option<&str>, now_ms: i64) -> Result<Turn, EngineError> {
        let Some(call_id) = CallId::from(call_id).ok().filter(|call_id| !call_id.is_empty()) else {
            return Err(EngineError::BadCallId { bytes: call_id.len(), max: MAX_CALL_ID });
        };
        let country = self.active.country;
        let did = Number::parse(did, country);
        let caller = caller.and_then(|caller| Number::parse(caller, country));
        let state = CallState::new(self.active.id, call_id, did, caller);
        let ground = ground(&self.versions, &state)?;
        Run::new(ground, &mut self.floor, &mut self.facts, state, now_ms).arrive()
    }

    /// An event of a call. An event that does not answer the pending action is refused and changes nothing.
    pub fn handle(&mut self, state: &[u8], event: &Event, now_ms: i64) -> Result<Turn, EngineError> {
        let state = CallState::decode(state)?;
        let ground = ground(&self.versions, &state)?;
        Run::new(ground, &mut self.floor, &mut self.facts, state, now_ms).handle(event)
    }

    /// The pending action of a call again, with its claims: for a router that took the call over.
    pub fn resume(&mut self, state: &[u8], now_ms: i64) -> Result<Turn, EngineError> {
        let state = CallState::decode(state)?;
        let ground = ground(&self.versions, &state)?;
        Run::new(ground, &mut self.floor, &mut self.facts, state, now_ms).resume()
    }

    /// Where a call would go that arrives now, on the floor as it is: see [`Decisions`]. Nothing changes.
    pub fn decide(
        &mut self,
        did: &str,
        caller: Option<&str>,
        at_ms: i64,
        call_id: &str,
    ) -> Result<Decision, EngineError> {
        let mut table = self.decisions();
        let country = self.active.country;
        let (did, caller) = (Number::parse(did, country), caller.and_then(|caller| Number::parse(caller, country)));
        let number = self.decide_in(&mut table, &Ask { did, caller, call_id, at_ms })?;
        table.get(number).ok_or(EngineError::TooManyDecisions)
    }

    /// An empty table of decisions on the active version.
    #[must_use]
    pub fn decisions(&self) -> Decisions {
        Decisions::new(Arc::clone(&self.active))
    }

    /// Where a call would go on the table's version: a number in the table. Nothing else changes, and equal decisions have
    /// equal numbers. A version no longer held is `bad_state`.
    pub fn decide_in(&mut self, table: &mut Decisions, ask: &Ask<'_>) -> Result<u32, EngineError> {
        let held =
            held(&self.versions, table.version()).ok_or(EngineError::BadState("its company version is not held"))?;
        let ground = Ground { company: &held.company, slots: &held.slots };
        table.ask(ground, &mut self.floor, &mut self.facts, ask)
    }

    /// Where the calls of a column, or of a part of one, would go on its version: adds of each the number that
    /// [`Engine::decide_in`] gives it in the column's table. Between the parts anything may change.
    pub fn decide_column(
        &mut self,
        column: &mut Column,
        calls: &Calls<'_>,
        numbers: &mut Vec<u32>,
    ) -> Result<(), EngineError> {
        let version = column.decisions().version();
        let held = held(&self.versions, version).ok_or(EngineError::BadState("its company version is not held"))?;
        let ground = Ground { company: &held.company, slots: &held.slots };
        column.ask(&mut Stage { ground, floor: &mut self.floor, facts: &mut self.facts }, calls, numbers)
    }

    /// Follows a call that would arrive now through the active version, as far as the world answers: how it ends, if it
    /// does. Nothing changes. See [`World`].
    pub fn walk<W: World>(&mut self, ask: &Ask<'_>, world: &mut W) -> Result<Option<Ending>, EngineError> {
        let held =
            held(&self.versions, self.active.id).ok_or(EngineError::BadState("its company version is not held"))?;
        let ground = Ground { company: &held.company, slots: &held.slots };
        Walk::new(ground, &mut self.floor, &mut self.facts, ask).go(world)
    }

    /// The same for people who do what they did: see [`Outcomes`].
    pub fn walk_with(
        &mut self,
        did: &str,
        caller: Option<&str>,
        at_ms: i64,
        outcomes: &Outcomes,
        call_id: &str,
    ) -> Result<Walked, EngineError> {
        let company = Arc::clone(&self.active);
        let (did, caller) =
            (Number::parse(did, company.country), caller.and_then(|caller| Number::parse(caller, company.country)));
        let mut world = Outcome::new(&company, outcomes, at_ms);
        self.walk(&Ask { did, caller, call_id, at_ms }, &mut world)?;
        Ok(world.walked())
    }

    /// Sets an employee's presence.
    pub fn presence(&mut self, employee: &str, presence: Presence) -> Result<(), EngineError> {
        let slot = self.slot(employee)?;
        self.floor.set_presence(slot, presence);
        Ok(())
    }

    /// Sets an employee's line.
    pub fn line(&mut self, employee: &str, line: Line) -> Result<(), EngineError> {
        let slot = self.slot(employee)?;
        self.floor.set_line(slot, line);
        Ok(())
    }

    /// Tells who owns a number; `None` is nobody. An id that this version does not have is remembered all the same: it
    /// may be another version's.
    pub fn owner_is(&mut self, number: &str, employee: Option<&str>) -> Result<(), EngineError> {
        let number = self.number(number)?;
        self.facts.set_owner(number, employee);
        Ok(())
    }

    /// Forgets who owns a number: the next call asks.
    pub fn forget_owner(&mut self, number: &str) -> Result<(), EngineError> {
        let number = self.number(number)?;
        self.facts.forget_owner(number);
        Ok(())
    }

    /// Tells that a number called.
    pub fn called(&mut self, number: &str, at_ms: i64) -> Result<(), EngineError> {
        let number = self.number(number)?;
        self.facts.set_called(number, at_ms);
        Ok(())
    }

    /// Takes a table of owners made aside, and gives the one before, to be let go where no call waits. What was told since
    /// the table was made is told again by whoever made it. Microseconds, however many numbers there are.
    pub fn swap_owners(&mut self, owners: Owners) -> Owners {
        self.facts.swap_owners(owners)
    }

    /// Takes a table of callers made aside, as [`Engine::swap_owners`] does.
    pub fn swap_callers(&mut self, callers: Callers) -> Callers {
        self.facts.swap_callers(callers)
    }

    /// Tells that calls until `until_ms` may not have been told: whom they could concern is asked for.
    pub fn missed_calls(&mut self, until_ms: i64) {
        self.facts.missed_calls(until_ms);
    }

    /// Puts a number on a list, or takes it off, from now on and in every version.
    pub fn listed(&mut self, list: &str, number: &str, listed: bool) -> Result<(), EngineError> {
        let number = self.number(number)?;
        if self.facts.set_listed(list, number, listed) { Ok(()) } else { Err(EngineError::TooManyListChanges) }
    }

    /// Claims a manager for a consultation of the call. False when another call holds him. Whom the call itself rings or
    /// talks with stays claimed as he is.
    pub fn reserve(&mut self, employee: &str, call_id: &str, now_ms: i64) -> Result<bool, EngineError> {
        let slot = self.slot(employee)?;
        Ok(self.floor.reserve(slot, call_id, now_ms.saturating_add(RESERVE_MS), now_ms))
    }

    /// Releases a manager reserved for the call. One who rings or talks is the call's own to release: a late `release`
    /// cannot free him under it.
    pub fn release(&mut self, employee: &str, call_id: &str) -> Result<(), EngineError> {
        let slot = self.slot(employee)?;
        self.floor.unreserve(slot, call_id);
        Ok(())
    }

    /// Tells that a call of another router or process may have let an employee go, for whom it was `taken`: calls that wait for
    /// him ask again.
    pub fn freed_elsewhere(&mut self, employee: &str) -> Result<(), EngineError> {
        let slot = self.slot(employee)?;
        self.floor.freed_elsewhere(slot);
        Ok(())
    }

    /// Forgets all calls: nobody is claimed, nobody stands in line, and no phone rests. For who looks at what could be, call
    /// after call; one that goes on afterwards has lost whom it held.
    pub fn forget_calls(&mut self) {
        self.floor.release_everybody();
        self.floor.close_lines();
    }

    /// Tells whose phones are at PBXs of other routers: these are asked before any of them rings, by whoever performs that.
    pub fn elsewhere(&mut self, employees: impl Iterator<Item = SmolStr>) {
        self.floor.set_elsewhere(employees);
    }

    /// The region of a number in the active version.
    #[must_use]
    pub fn region_of(&self, number: &str) -> Option<&str> {
        let number = Number::parse(number, self.active.country)?;
        self.active.regions.find(number).map(|found| &*self.active.region_ids[found.region])
    }

    /// The calls to which a moment of coming free is offered by `employee_free`, of those who wait at queues: the head of
    /// each line, those who wait longest first.
    pub fn queue_heads(&mut self, now_ms: i64) -> Vec<SmolStr> {
        self.floor.heads(now_ms)
    }

    /// Who waits at queues.
    pub fn queues(&mut self, now_ms: i64) -> Vec<QueueView> {
        self.floor.queues(now_ms)
    }

    /// Whether the call of this state waits at a queue, or a phone rings for it there.
    pub fn is_queued(state: &[u8]) -> Result<bool, EngineError> {
        Ok(CallState::decode(state)?.hunt.is_some_and(|hunt| hunt.line.is_some()))
    }

    /// Facts, to read.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The floor, to read.
    #[must_use]
    pub fn floor(&self) -> &Floor {
        &self.floor
    }

    fn slot(&self, employee: &str) -> Result<Slot, EngineError> {
        self.floor.find(employee).ok_or_else(|| EngineError::UnknownEmployee(employee.to_owned()))
    }

    fn number(&self, written: &str) -> Result<Number, EngineError> {
        Number::parse(written, self.active.country).ok_or_else(|| EngineError::BadNumber(written.to_owned()))
    }
}

fn held(versions: &[Held], version: VersionId) -> Option<&Held> {
    versions.iter().rev().find(|held| held.company.id == version)
}

/// What a call of this state stands on.
fn ground<'e>(versions: &'e [Held], state: &CallState) -> Result<Ground<'e>, EngineError> {
    let held = held(versions, state.version).ok_or(EngineError::BadState("its company version is not held"))?;
    fits(state, &held.company)?;
    Ok(Ground { company: &held.company, slots: &held.slots })
}

/// Refuses a state whose places do not exist in the version it names.
fn fits(state: &CallState, company: &Company) -> Result<(), EngineError> {
    let placed = match company.nodes.get(state.node.at()) {
        Some(node) => is_of(&state.pending, &node.step),
        None => state.node == NodeIx::NOWHERE && matches!(state.pending, Pending::HangUp | Pending::End(..)),
    };
    let talking = match state.pending {
        Pending::Talk { employee, .. } => employee,
        _ => None,
    };
    let people =
        [state.owner, state.last_rung, talking].into_iter().flatten().all(|ix| ix.at() < company.employees.len());
    if placed && people { Ok(()) } else { Err(EngineError::BadState("it does not fit its company version")) }
}

/// Whether a node's step can have this action pending. Of hunts, menus and their waiting the machine asks at each event.
fn is_of(pending: &Pending, step: &Step) -> bool {
    match pending {
        Pending::Play => matches!(step, Step::Play { .. }),
        Pending::Record => matches!(step, Step::Voicemail { .. }),
        Pending::FindOwner => matches!(step, Step::Owner { .. }),
        Pending::FindHistory => matches!(step, Step::History { .. }),
        Pending::Transfer => matches!(step, Step::Transfer { .. }),
        _ => true,
    }
}
