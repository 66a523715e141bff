//! What the engine answers, as Python sees it, and the typed form of events.

use kommutator_engine::call::{self, Action as Do, Event as EngineEvent};
use pyo3::IntoPyObjectExt;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::{convert, errors};

/// The answer to an arrival or an event.
#[pyclass(frozen, module = "kommutator._engine")]
pub struct Turn(pub call::Turn);

pub fn to_python<'py, T: serde::Serialize + ?Sized>(py: Python<'py>, value: &T) -> PyResult<Bound<'py, PyAny>> {
    pythonize::pythonize(py, value).map_err(|error| errors::fault(py, &error.to_string()))
}

#[pymethods]
impl Turn {
    /// The call's new state: opaque bytes, at most 512.
    #[getter]
    fn state<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.state)
    }

    /// The state as base64url text, as JSON and channel variables carry it.
    #[getter]
    fn state_text(&self) -> String {
        convert::state_text(&self.0.state)
    }

    /// Events handled so far.
    #[getter]
    fn sequence(&self) -> u32 {
        self.0.sequence
    }

    /// What to do now.
    #[getter]
    fn action(slf: Bound<'_, Self>) -> Action {
        Action(slf.unbind())
    }

    /// What to do besides.
    #[getter]
    fn effects<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.0.effects)
    }

    /// The nodes just passed, and why.
    #[getter]
    fn trace<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.0.trace)
    }

    /// The rounds formed, with who was left out.
    #[getter]
    fn rounds<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.0.rounds)
    }

    /// The JSON form.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("state", self.state_text())?;
        dict.update(to_python(py, &self.0)?.cast::<PyDict>()?.as_mapping())?;
        Ok(dict)
    }

    fn __repr__(&self) -> String {
        format!("Turn(sequence={}, action={:?})", self.0.sequence, self.0.action)
    }
}

/// What the PBX is to do now. Fields that an action of this type does not have are `None`.
#[pyclass(frozen, module = "kommutator._engine")]
pub struct Action(Py<Turn>);

impl Action {
    fn of(&self) -> &call::Action {
        &self.0.get().0.action
    }
}

#[pymethods]
impl Action {
    /// The action's type in the contract.
    #[getter]
    fn r#type<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        match self.of() {
            Do::Play { .. } => intern!(py, "play"),
            Do::Menu { .. } => intern!(py, "menu"),
            Do::Ring { .. } => intern!(py, "ring"),
            Do::Wait { .. } => intern!(py, "wait"),
            Do::Record { .. } => intern!(py, "record"),
            Do::FindOwner { .. } => intern!(py, "find_owner"),
            Do::FindHistory { .. } => intern!(py, "find_history"),
            Do::Transfer { .. } => intern!(py, "transfer"),
            Do::Talk { .. } => intern!(py, "talk"),
            Do::HangUp { .. } => intern!(py, "hang_up"),
            Do::End { .. } => intern!(py, "end"),
        }
    }

    #[getter]
    fn prompt(&self) -> Option<&str> {
        match self.of() {
            Do::Play { prompt } | Do::Menu { prompt, .. } | Do::Record { prompt, .. } => Some(prompt),
            Do::HangUp { prompt, .. } => prompt.as_deref(),
            _ => None,
        }
    }

    #[getter]
    fn notice(&self) -> Option<&str> {
        if let Do::Menu { notice, .. } = self.of() { notice.as_deref() } else { None }
    }

    #[getter]
    fn digits(&self) -> Option<Vec<&str>> {
        if let Do::Menu { digits, .. } = self.of() {
            Some(digits.iter().map(|input| input.as_str()).collect())
        } else {
            None
        }
    }

    #[getter]
    fn seconds<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match *self.of() {
            Do::Menu { ms, .. }
            | Do::Ring { ms, .. }
            | Do::Wait { ms, .. }
            | Do::Record { ms, .. }
            | Do::Transfer { ms, .. } => {
                // As in the JSON form: a whole number where it is one.
                let whole = ms.is_multiple_of(1000);
                if whole { (ms / 1000).into_bound_py_any(py) } else { (ms as f64 / 1000.0).into_bound_py_any(py) }
                    .map(Some)
            }
            _ => Ok(None),
        }
    }

    #[getter]
    fn endpoints<'py>(&self, py: Python<'py>) -> PyResult<Option<Vec<Bound<'py, PyDict>>>> {
        let Do::Ring { endpoints, .. } = self.of() else { return Ok(None) };
        let rung = endpoints.iter().map(|rung| {
            let dict = PyDict::new(py);
            dict.set_item(intern!(py, "employee"), rung.employee.as_deref())?;
            dict.set_item(intern!(py, "endpoint"), rung.endpoint.as_str())?;
            Ok(dict)
        });
        rung.collect::<PyResult<_>>().map(Some)
    }

    #[getter]
    fn music(&self) -> Option<&str> {
        if let Do::Ring { music, .. } | Do::Wait { music, .. } = self.of() { music.as_deref() } else { None }
    }

    #[getter]
    fn round(&self) -> Option<u32> {
        if let Do::Ring { round, .. } = self.of() { Some(*round) } else { None }
    }

    #[getter]
    fn announce(&self) -> Option<&str> {
        if let Do::Wait { announce, .. } = self.of() { announce.as_deref() } else { None }
    }

    #[getter]
    fn position(&self) -> Option<u32> {
        if let Do::Wait { position, .. } = self.of() { *position } else { None }
    }

    #[getter]
    fn recording(&self) -> Option<&str> {
        if let Do::Record { recording, .. } = self.of() { Some(recording) } else { None }
    }

    #[getter]
    fn caller(&self) -> Option<&str> {
        if let Do::FindOwner { caller, .. } | Do::FindHistory { caller, .. } = self.of() { Some(caller) } else { None }
    }

    #[getter]
    fn timeout_ms(&self) -> Option<u32> {
        match self.of() {
            Do::FindOwner { timeout_ms, .. } | Do::FindHistory { timeout_ms, .. } => Some(*timeout_ms),
            _ => None,
        }
    }

    #[getter]
    fn days(&self) -> Option<u32> {
        if let Do::FindHistory { days, .. } = self.of() { *days } else { None }
    }

    #[getter]
    fn to(&self) -> Option<&str> {
        if let Do::Transfer { to, .. } = self.of() { Some(to) } else { None }
    }

    #[getter]
    fn endpoint(&self) -> Option<&str> {
        if let Do::Talk { endpoint } = self.of() { Some(endpoint) } else { None }
    }

    #[getter]
    fn cause<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Do::HangUp { cause, .. } = self.of() { to_python(py, cause).map(Some) } else { Ok(None) }
    }

    #[getter]
    fn disposition<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Do::End { disposition, .. } = self.of() { to_python(py, disposition).map(Some) } else { Ok(None) }
    }

    #[getter]
    fn fault<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Do::End { fault, .. } = self.of() { to_python(py, fault).map(Some) } else { Ok(None) }
    }

    /// The JSON form.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, self.of())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Action({})", self.to_dict(py)?.repr()?))
    }
}

/// An event in its typed form: read once, used as often as needed.
#[pyclass(frozen, module = "kommutator._engine")]
pub struct Event(pub EngineEvent);

#[pymethods]
impl Event {
    /// Reads an event's mapping. Raises `BadEvent`.
    #[new]
    fn new(event: &Bound<'_, PyAny>) -> PyResult<Self> {
        convert::read_event(event).map(Self)
    }

    /// The event's type in the contract.
    #[getter]
    fn r#type(&self) -> &'static str {
        self.0.name()
    }

    fn __repr__(&self) -> String {
        format!("Event({:?})", self.0)
    }
}
