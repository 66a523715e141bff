//! What the engine answers, as Python sees it, and the typed form of events.

use kommutator_engine::call::{self, Event as EngineEvent};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::{convert, errors};

/// The answer to an arrival or an event.
#[pyclass(frozen, module = "kommutator._engine")]
pub struct Turn(pub call::Turn);

fn to_python<'py, T: serde::Serialize + ?Sized>(py: Python<'py>, value: &T) -> PyResult<Bound<'py, PyAny>> {
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
    fn action(&self, py: Python<'_>) -> PyResult<Action> {
        Ok(Action(to_python(py, &self.0.action)?.cast_into::<PyDict>()?.unbind()))
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
pub struct Action(Py<PyDict>);

impl Action {
    fn field(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        match self.0.bind(py).get_item(name)? {
            Some(value) => Ok(value.unbind()),
            None => py.None().into_py_any(py),
        }
    }
}

macro_rules! fields {
    ($($name:ident),*) => {
        #[pymethods]
        impl Action {
            /// The action's type in the contract.
            #[getter]
            fn r#type(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
                self.field(py, "type")
            }

            $(#[getter]
            fn $name(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
                self.field(py, stringify!($name))
            })*

            /// The JSON form.
            fn to_dict(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
                Ok(self.0.bind(py).copy()?.unbind())
            }

            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                Ok(format!("Action({})", self.0.bind(py).repr()?))
            }
        }
    };
}

fields!(
    prompt,
    notice,
    digits,
    seconds,
    endpoints,
    music,
    round,
    announce,
    recording,
    caller,
    timeout_ms,
    days,
    to,
    endpoint,
    cause,
    disposition,
    fault
);

/// An event in its typed form: read once, used as often as needed.
#[pyclass(frozen, module = "kommutator._engine")]
pub struct Event(pub EngineEvent);

#[pymethods]
impl Event {
    /// Reads an event's mapping. Raises `BadEvent`.
    #[new]
    fn new(event: &Bound<'_, PyAny>) -> PyResult<Self> {
        convert::event(event).map(Self)
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
