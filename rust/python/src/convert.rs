//! Python's values to the engine's.

use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kommutator_engine::call::Event as EngineEvent;
use kommutator_engine::company::Document;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyString};

use crate::errors;
use crate::turn::Event;

/// Reads an engine document.
pub fn document(json: &[u8]) -> Result<Document, String> {
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

/// The text form of a state.
pub fn state_text(state: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(state)
}

/// A state as it was given: bytes stand where Python has them.
pub enum State {
    Bytes(PyBackedBytes),
    Text(Vec<u8>),
}

impl Deref for State {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Text(bytes) => bytes,
        }
    }
}

/// A state from bytes, or from its text.
pub fn state(given: &Bound<'_, PyAny>) -> PyResult<State> {
    let py = given.py();
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return Ok(State::Bytes(bytes.clone().into()));
    }
    match given.cast::<PyString>() {
        Ok(text) => URL_SAFE_NO_PAD
            .decode(text.to_cow()?.trim_end_matches('='))
            .map(State::Text)
            .map_err(|_| errors::bad_state(py, "the state cannot be used: not base64url")),
        Err(_) => Err(errors::bad_state(py, "the state cannot be used: neither bytes nor text")),
    }
}

/// An event as it was given: a typed one stands where Python has it.
pub enum GivenEvent {
    Typed(Py<Event>),
    Read(EngineEvent),
}

impl Deref for GivenEvent {
    type Target = EngineEvent;

    fn deref(&self) -> &EngineEvent {
        match self {
            Self::Typed(event) => &event.get().0,
            Self::Read(event) => event,
        }
    }
}

/// An event from its typed form, or from a mapping.
pub fn event(given: &Bound<'_, PyAny>) -> PyResult<GivenEvent> {
    match given.cast::<Event>() {
        Ok(typed) => Ok(GivenEvent::Typed(typed.clone().unbind())),
        Err(_) => read_event(given).map(GivenEvent::Read),
    }
}

/// An event of the engine's own, from its typed form or from a mapping.
pub fn owned_event(given: &Bound<'_, PyAny>) -> PyResult<EngineEvent> {
    event(given).map(|event| match event {
        GivenEvent::Typed(event) => event.get().0.clone(),
        GivenEvent::Read(event) => event,
    })
}

/// An event from its mapping.
pub fn read_event(given: &Bound<'_, PyAny>) -> PyResult<EngineEvent> {
    pythonize::depythonize(given).map_err(|error| errors::bad_event(given.py(), &format!("no event: {error}")))
}
