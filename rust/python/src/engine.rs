//! The engine, as Python sees it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use kommutator_engine as core;
use kommutator_engine::call::state::MAX_CALL_ID;
use kommutator_engine::company::Company;
use kommutator_engine::company::version::VersionId;
use kommutator_engine::floor::{Line, Presence};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::sync::MutexExt;
use pyo3::types::PyList;

use crate::columns::Columns;
use crate::decisions::{self, Decision};
use crate::lists::ListFiles;
use crate::tables::{CallerTable, OwnerTable};
use crate::turn::{Turn, to_python};
use crate::walks::{self, Walk};
use crate::{convert, errors};

/// One arrival of a batch: call id, DID, caller, milliseconds of UTC. The texts stand where Python has them.
type Arrival = (PyBackedStr, PyBackedStr, Option<PyBackedStr>, i64);

/// One step of a batch, as far as it could be read: state, event, milliseconds of UTC.
type Read = PyResult<(convert::State, convert::GivenEvent, i64)>;

/// Decides what a call does next.
#[pyclass(subclass, frozen, module = "kommutator._engine")]
pub struct Engine {
    core: Mutex<core::Engine>,
    /// The active version, made ready for another engine.
    ready: Mutex<Option<core::Prepared>>,
}

impl Engine {
    /// The engine, for one thread at a time; one that has to wait lets Python go on.
    pub fn lock(&self, py: Python<'_>) -> MutexGuard<'_, core::Engine> {
        // A panic is one call's `EngineFault`: the engine goes on after it.
        self.core.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(&self, py: Python<'_>) -> MutexGuard<'_, Option<core::Prepared>> {
        self.ready.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine, for threads without Python.
    pub fn shared(&self) -> &Mutex<core::Engine> {
        &self.core
    }

    /// Takes steps one after another without holding Python up.
    fn many<T: Sync, R: Send>(
        &self,
        py: Python<'_>,
        steps: &[T],
        mut step: impl FnMut(&mut core::Engine, &T) -> R + Send,
    ) -> Vec<R> {
        py.detach(|| {
            let mut engine = self.core.lock().unwrap_or_else(PoisonError::into_inner);
            steps.iter().map(|given| step(&mut engine, given)).collect()
        })
    }
}

/// Compiles a document that has no errors; `CompanyInvalid` carries them otherwise.
fn compile(py: Python<'_>, document: &[u8], files: &core::directory::ListFiles) -> PyResult<Arc<Company>> {
    let document = py.detach(|| convert::document(document)).map_err(|error| errors::bad_document(py, &error))?;
    let (company, report) = errors::guarded(py, || {
        Ok(py.detach(|| {
            let compiled = core::company::compile_beside(&document, files);
            let report = core::check::check_compiled(&document, &compiled, 0);
            drop(document);
            (compiled.company, report)
        }))
    })?;
    if report.ok() {
        return Ok(Arc::new(company));
    }
    let mut errors = report.findings;
    errors.retain(|finding| finding.severity == core::finding::Severity::Error);
    let findings = pythonize::pythonize(py, &errors).map_err(|error| errors::fault(py, &error.to_string()))?;
    Err(errors::invalid(py, findings))
}

fn presence_of(word: &str) -> PyResult<Presence> {
    match word {
        "present" => Ok(Presence::Present),
        "away" => Ok(Presence::Away),
        "offline" => Ok(Presence::Offline),
        _ => Err(PyValueError::new_err(format!("presence is present, away or offline, not `{word}`"))),
    }
}

fn line_of(word: &str) -> PyResult<Line> {
    match word {
        "idle" => Ok(Line::Idle),
        "ringing" => Ok(Line::Ringing),
        "busy" => Ok(Line::Busy),
        "wrap_up" => Ok(Line::WrapUp),
        "unreachable" => Ok(Line::Unreachable),
        _ => Err(PyValueError::new_err(format!("a line is idle, ringing, busy, wrap_up or unreachable, not `{word}`"))),
    }
}

#[pymethods]
impl Engine {
    /// An engine on an engine document. Raises `BadDocument` and `CompanyInvalid`.
    #[new]
    #[pyo3(signature = (document, files=None))]
    fn new(py: Python<'_>, document: &[u8], files: Option<Py<ListFiles>>) -> PyResult<Self> {
        let files = files.map(|files| files.get().0.clone()).unwrap_or_default();
        let company = compile(py, document, &files)?;
        let engine = py.detach(|| core::Engine::new(company));
        Ok(Self { core: Mutex::new(engine), ready: Mutex::default() })
    }

    /// The list files of the versions held.
    #[getter]
    fn list_files(&self, py: Python<'_>) -> ListFiles {
        ListFiles(self.lock(py).list_files())
    }

    #[pyo3(signature = (call_id, did, caller, now_ms))]
    fn arrive(&self, py: Python<'_>, call_id: &str, did: &str, caller: Option<&str>, now_ms: i64) -> PyResult<Turn> {
        let mut engine = self.lock(py);
        errors::guarded(py, || engine.arrive(call_id, did, caller, now_ms)).map(Turn)
    }

    #[pyo3(signature = (did, caller, now_ms, call_id=""))]
    fn decide(
        &self,
        py: Python<'_>,
        did: &str,
        caller: Option<&str>,
        now_ms: i64,
        call_id: &str,
    ) -> PyResult<Decision> {
        let mut engine = self.lock(py);
        errors::guarded(py, || engine.decide(did, caller, now_ms, call_id)).map(Decision)
    }

    #[pyo3(signature = (dids, callers, moments_ms, call_ids=None))]
    fn decide_many<'py>(
        &self,
        py: Python<'py>,
        dids: &Bound<'py, PyAny>,
        callers: &Bound<'py, PyAny>,
        moments_ms: &Bound<'py, PyAny>,
        call_ids: Option<&Bound<'py, PyList>>,
    ) -> PyResult<(Vec<Decision>, Bound<'py, PyAny>)> {
        let table = self.lock(py).decisions();
        let columns = Columns::new(dids, callers, moments_ms, call_ids)?;
        decisions::many(py, &self.core, table, &columns)
    }

    #[pyo3(signature = (did, caller, now_ms, outcomes, call_id=""))]
    fn walk(
        &self,
        did: &str,
        caller: Option<&str>,
        now_ms: i64,
        outcomes: &Bound<'_, PyAny>,
        call_id: &str,
    ) -> PyResult<Walk> {
        let (py, outcomes) = (outcomes.py(), walks::outcomes(outcomes)?);
        let mut engine = self.lock(py);
        errors::guarded(py, || engine.walk_with(did, caller, now_ms, &outcomes, call_id)).map(Walk)
    }

    fn handle(&self, state: &Bound<'_, PyAny>, event: &Bound<'_, PyAny>, now_ms: i64) -> PyResult<Turn> {
        let py = state.py();
        let (state, event) = (convert::state(state)?, convert::event(event)?);
        let mut engine = self.lock(py);
        errors::guarded(py, || engine.handle(&state, &event, now_ms)).map(Turn)
    }

    fn resume(&self, state: &Bound<'_, PyAny>, now_ms: i64) -> PyResult<Turn> {
        let py = state.py();
        let state = convert::state(state)?;
        let mut engine = self.lock(py);
        errors::guarded(py, || engine.resume(&state, now_ms)).map(Turn)
    }

    fn arrive_many(&self, py: Python<'_>, arrivals: Vec<Arrival>) -> PyResult<Vec<Turn>> {
        // Before anything has changed: a batch is taken whole, or refused whole.
        for (call_id, ..) in &arrivals {
            if call_id.is_empty() || call_id.len() > MAX_CALL_ID {
                let refusal = core::EngineError::BadCallId { bytes: call_id.len(), max: MAX_CALL_ID };
                return Err(errors::refused(py, &refusal));
            }
        }
        let turns = self.many(py, &arrivals, |engine, (call_id, did, caller, now_ms)| {
            errors::caught(|| engine.arrive(call_id, did, caller.as_deref(), *now_ms))
        });
        turns.into_iter().map(|turn| errors::answer(py, turn).map(Turn)).collect()
    }

    fn handle_many<'py>(
        &self,
        py: Python<'py>,
        events: Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>, i64)>,
    ) -> PyResult<Vec<Py<PyAny>>> {
        let read = |(state, event, now_ms): &(_, _, i64)| -> Read {
            Ok((convert::state(state)?, convert::event(event)?, *now_ms))
        };
        let given: Vec<Read> = events.iter().map(read).collect();
        let turns = self.many(py, &given, |engine, given| {
            let (state, event, now_ms) = given.as_ref().ok()?;
            Some(errors::caught(|| engine.handle(state, event, *now_ms)))
        });
        let answers = given.into_iter().zip(turns).map(|(given, turn)| {
            match given.and_then(|_| errors::answer(py, turn.unwrap_or(Err(errors::Panicked)))) {
                Ok(turn) => Turn(turn).into_py_any(py),
                Err(refusal) => refusal.into_py_any(py),
            }
        });
        answers.collect()
    }

    fn presence(&self, py: Python<'_>, employee: &str, presence: &str) -> PyResult<()> {
        let presence = presence_of(presence)?;
        errors::guarded(py, || self.lock(py).presence(employee, presence))
    }

    fn line(&self, py: Python<'_>, employee: &str, line: &str) -> PyResult<()> {
        let line = line_of(line)?;
        errors::guarded(py, || self.lock(py).line(employee, line))
    }

    #[pyo3(signature = (number, employee))]
    fn owner_is(&self, py: Python<'_>, number: &str, employee: Option<&str>) -> PyResult<()> {
        errors::guarded(py, || self.lock(py).owner_is(number, employee))
    }

    fn forget_owner(&self, py: Python<'_>, number: &str) -> PyResult<()> {
        errors::guarded(py, || self.lock(py).forget_owner(number))
    }

    fn called(&self, py: Python<'_>, number: &str, now_ms: i64) -> PyResult<()> {
        errors::guarded(py, || self.lock(py).called(number, now_ms))
    }

    fn swap_owners(&self, py: Python<'_>, mut table: PyRefMut<'_, OwnerTable>) {
        let held = self.lock(py).swap_owners(std::mem::take(&mut table.0));
        table.0 = held;
    }

    fn swap_callers(&self, py: Python<'_>, mut table: PyRefMut<'_, CallerTable>) {
        let held = self.lock(py).swap_callers(std::mem::take(&mut table.0));
        table.0 = held;
    }

    fn missed_calls(&self, py: Python<'_>, until_ms: i64) {
        self.lock(py).missed_calls(until_ms);
    }

    fn listed(&self, py: Python<'_>, list: &str, number: &str, listed: bool) -> PyResult<()> {
        errors::guarded(py, || self.lock(py).listed(list, number, listed))
    }

    fn reserve(&self, py: Python<'_>, employee: &str, call_id: &str, now_ms: i64) -> PyResult<bool> {
        errors::guarded(py, || self.lock(py).reserve(employee, call_id, now_ms))
    }

    fn release(&self, py: Python<'_>, employee: &str, call_id: &str) -> PyResult<()> {
        errors::guarded(py, || self.lock(py).release(employee, call_id))
    }

    fn freed_elsewhere(&self, py: Python<'_>, employee: &str) -> PyResult<()> {
        errors::guarded(py, || self.lock(py).freed_elsewhere(employee))
    }

    fn forget_calls(&self, py: Python<'_>) {
        self.lock(py).forget_calls();
    }

    fn elsewhere(&self, py: Python<'_>, employees: Vec<String>) {
        self.lock(py).elsewhere(employees.into_iter().map(Into::into));
    }

    fn region_of(&self, py: Python<'_>, number: &str) -> Option<String> {
        self.lock(py).region_of(number).map(str::to_owned)
    }

    /// Who is claimed at a moment: employee, call id, and `ringing`, `talking` or `reserved`.
    fn claims(&self, py: Python<'_>, now_ms: i64) -> Vec<(String, String, &'static str)> {
        let engine = self.lock(py);
        engine.floor().claimed(now_ms).map(|(who, call, kind)| (who.to_owned(), call.to_owned(), kind.word())).collect()
    }

    /// The calls at queues to which a moment of coming free is offered.
    fn queue_heads(&self, py: Python<'_>, now_ms: i64) -> Vec<String> {
        self.lock(py).queue_heads(now_ms).into_iter().map(Into::into).collect()
    }

    /// Who waits at queues.
    fn queues<'py>(&self, py: Python<'py>, now_ms: i64) -> PyResult<Bound<'py, PyAny>> {
        let queues = self.lock(py).queues(now_ms);
        to_python(py, &queues)
    }

    /// Counts the moments at which somebody may have come free.
    #[getter]
    fn freed(&self, py: Python<'_>) -> u64 {
        self.lock(py).floor().freed()
    }

    /// The active version's identity.
    #[getter]
    fn version(&self, py: Python<'_>) -> u64 {
        self.lock(py).active().id.0
    }

    /// Holds another version and answers its identity.
    fn hold(&self, py: Python<'_>, document: &[u8]) -> PyResult<u64> {
        // Compiling takes long: the engine is not held meanwhile.
        let files = self.lock(py).list_files();
        let company = compile(py, document, &files)?;
        let roster = self.lock(py).roster();
        let mut ready = py.detach(|| core::Prepared::new(company, &roster));
        Ok(self.lock(py).hold_prepared(&mut ready).0)
    }

    /// Makes the active version ready to be held by another engine. It takes milliseconds where there are many employees, in
    /// which that engine goes on.
    fn prepare_for(&self, py: Python<'_>, other: &Self) {
        let company = self.lock(py).active_shared();
        let roster = other.lock(py).roster();
        let prepared = py.detach(|| core::Prepared::new(company, &roster));
        *self.ready(py) = Some(prepared);
    }

    /// Holds the active version of another engine, which may have been compiled in another thread, and answers its
    /// identity.
    fn hold_of(&self, other: &Bound<'_, Self>) -> u64 {
        let (py, other) = (other.py(), other.get());
        let mut ready = other.ready(py);
        let prepared = ready.get_or_insert_with(|| {
            let company = other.lock(py).active_shared();
            core::Prepared::new(company, &self.lock(py).roster())
        });
        self.lock(py).hold_prepared(prepared).0
    }

    /// The version that a call began on, held or not.
    #[staticmethod]
    fn version_of(state: &Bound<'_, PyAny>) -> PyResult<u64> {
        let bytes = convert::state(state)?;
        errors::guarded(state.py(), || core::Engine::version_of(&bytes)).map(|version| version.0)
    }

    /// Makes a held version the one that new calls begin on.
    fn activate(&self, py: Python<'_>, version: u64) -> bool {
        self.lock(py).activate(VersionId(version))
    }

    /// Stops holding a version.
    fn drop_version(&self, py: Python<'_>, version: u64) -> bool {
        let taken = self.lock(py).take_version(VersionId(version));
        let there = taken.is_some();
        // Millions of numbers are let go in milliseconds; calls wait in this thread.
        if let Some(taken) = taken {
            thread::spawn(move || drop(taken));
        }
        there
    }
}
