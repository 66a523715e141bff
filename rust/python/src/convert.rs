//! Python's values to the engine's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kommutator_engine::call::Event as EngineEvent;
use kommutator_engine::company::Document;
use pyo3::prelude::*;
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

/// A state from bytes, or from its text.
pub fn state(given: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let py = given.py();
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    match given.cast::<PyString>() {
        Ok(text) => URL_SAFE_NO_PAD
            .decode(text.to_cow()?.trim_end_matches('='))
            .map_err(|_| errors::bad_state(py, "the state cannot be used: not base64url")),
        Err(_) => Err(errors::bad_state(py, "the state cannot be used: neither bytes nor text")),
    }
}

/// An event from its typed form, or from a mapping.
pub fn event(given: &Bound<'_, PyAny>) -> PyResult<EngineEvent> {
    if let Ok(typed) = given.cast::<Event>() {
        return Ok(typed.get().0.clone());
    }
    pythonize::depythonize(given).map_err(|error| errors::bad_event(given.py(), &format!("no event: {error}")))
}
