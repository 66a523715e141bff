//! The engine, as Python sees it.

use std::sync::Arc;

use kommutator_engine as core;
use kommutator_engine::company::version::VersionId;
use kommutator_engine::floor::{ClaimKind, Line, Presence};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::turn::Turn;
use crate::{convert, errors};

/// One arrival of a batch: call id, DID, caller, milliseconds of UTC.
type Arrival = (String, String, Option<String>, i64);

/// Decides what a call does next.
#[pyclass(subclass, module = "kommutator._engine")]
pub struct Engine(pub core::Engine);

/// Compiles a document that has no errors; `CompanyInvalid` carries them otherwise.
fn compile(py: Python<'_>, document: &[u8]) -> PyResult<Arc<core::company::Company>> {
    let document = py.detach(|| convert::document(document)).map_err(|error| errors::bad_document(py, &error))?;
    let (company, report) = errors::guarded(py, || {
        Ok(py.detach(|| (core::company::compile(&document).company, core::check::check(&document, 0))))
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
    fn new(py: Python<'_>, document: &[u8]) -> PyResult<Self> {
        Ok(Self(core::Engine::new(compile(py, document)?)))
    }

    #[pyo3(signature = (call_id, did, caller, now_ms))]
    fn arrive(
        &mut self,
        py: Python<'_>,
        call_id: &str,
        did: &str,
        caller: Option<&str>,
        now_ms: i64,
    ) -> PyResult<Turn> {
        errors::guarded(py, || self.0.arrive(call_id, did, caller, now_ms)).map(Turn)
    }

    fn handle(&mut self, state: &Bound<'_, PyAny>, event: &Bound<'_, PyAny>, now_ms: i64) -> PyResult<Turn> {
        let (bytes, event) = (convert::state(state)?, convert::event(event)?);
        errors::guarded(state.py(), || self.0.handle(&bytes, &event, now_ms)).map(Turn)
    }

    fn resume(&mut self, state: &Bound<'_, PyAny>, now_ms: i64) -> PyResult<Turn> {
        let bytes = convert::state(state)?;
        errors::guarded(state.py(), || self.0.resume(&bytes, now_ms)).map(Turn)
    }

    fn arrive_many(&mut self, py: Python<'_>, arrivals: Vec<Arrival>) -> PyResult<Vec<Turn>> {
        arrivals
            .iter()
            .map(|(call_id, did, caller, now_ms)| self.arrive(py, call_id, did, caller.as_deref(), *now_ms))
            .collect()
    }

    fn presence(&mut self, py: Python<'_>, employee: &str, presence: &str) -> PyResult<()> {
        let presence = presence_of(presence)?;
        errors::guarded(py, || self.0.presence(employee, presence))
    }

    fn line(&mut self, py: Python<'_>, employee: &str, line: &str) -> PyResult<()> {
        let line = line_of(line)?;
        errors::guarded(py, || self.0.line(employee, line))
    }

    #[pyo3(signature = (number, employee))]
    fn owner_is(&mut self, py: Python<'_>, number: &str, employee: Option<&str>) -> PyResult<()> {
        errors::guarded(py, || self.0.owner_is(number, employee))
    }

    fn forget_owner(&mut self, py: Python<'_>, number: &str) -> PyResult<()> {
        errors::guarded(py, || self.0.forget_owner(number))
    }

    fn called(&mut self, py: Python<'_>, number: &str, now_ms: i64) -> PyResult<()> {
        errors::guarded(py, || self.0.called(number, now_ms))
    }

    fn listed(&mut self, py: Python<'_>, list: &str, number: &str, listed: bool) -> PyResult<()> {
        errors::guarded(py, || self.0.listed(list, number, listed))
    }

    fn reserve(&mut self, py: Python<'_>, employee: &str, call_id: &str, now_ms: i64) -> PyResult<bool> {
        errors::guarded(py, || self.0.reserve(employee, call_id, now_ms))
    }

    fn release(&mut self, py: Python<'_>, employee: &str, call_id: &str) -> PyResult<()> {
        errors::guarded(py, || self.0.release(employee, call_id))
    }

    fn region_of(&self, number: &str) -> Option<String> {
        self.0.region_of(number).map(str::to_owned)
    }

    /// Who is claimed at a moment: employee, call id, and `ringing`, `talking` or `reserved`.
    fn claims(&self, now_ms: i64) -> Vec<(String, String, &'static str)> {
        let word = |kind| match kind {
            ClaimKind::Ringing => "ringing",
            ClaimKind::Talking => "talking",
            ClaimKind::Reserved => "reserved",
        };
        self.0
            .floor()
            .claimed(now_ms)
            .map(|(employee, call, kind)| (employee.to_owned(), call.to_owned(), word(kind)))
            .collect()
    }

    /// Counts the moments at which somebody may have come free.
    #[getter]
    fn freed(&self) -> u64 {
        self.0.floor().freed()
    }

    /// The active version's identity.
    #[getter]
    fn version(&self) -> u64 {
        self.0.active().id.0
    }

    /// Holds another version and answers its identity.
    fn hold(&mut self, py: Python<'_>, document: &[u8]) -> PyResult<u64> {
        Ok(self.0.hold(compile(py, document)?).0)
    }

    /// Holds the active version of another engine, which may have been compiled in another thread, and answers its
    /// identity.
    fn hold_of(&mut self, other: PyRef<'_, Self>) -> u64 {
        self.0.hold(other.0.active_shared()).0
    }

    /// The version that a call began on, held or not.
    #[staticmethod]
    fn version_of(state: &Bound<'_, PyAny>) -> PyResult<u64> {
        let bytes = convert::state(state)?;
        errors::guarded(state.py(), || core::Engine::version_of(&bytes)).map(|version| version.0)
    }

    /// Makes a held version the one that new calls begin on.
    fn activate(&mut self, version: u64) -> bool {
        self.0.activate(VersionId(version))
    }

    /// Stops holding a version.
    fn drop_version(&mut self, version: u64) -> bool {
        self.0.drop_version(VersionId(version))
    }
}
