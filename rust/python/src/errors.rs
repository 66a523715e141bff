//! The one error map: what the engine refuses becomes the exception of `kommutator.errors` with the same code.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kommutator_engine::EngineError;
use pyo3::prelude::*;
use pyo3::types::PyAnyMethods;

fn raise(py: Python<'_>, class: &str, message: &str) -> PyErr {
    let made = py
        .import("kommutator.errors")
        .and_then(|errors| errors.getattr(class))
        .and_then(|class| class.call1((message,)));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(missing) => missing,
    }
}

/// The exception of a refusal.
pub fn refused(py: Python<'_>, error: &EngineError) -> PyErr {
    let class = match error {
        EngineError::BadState(_) => "BadState",
        EngineError::UnexpectedEvent { .. } => "UnexpectedEvent",
        EngineError::BadCallId { .. } => "BadCallId",
        EngineError::UnknownEmployee(_) => "UnknownEmployee",
        EngineError::BadNumber(_) => "BadNumber",
        EngineError::BadEvent { .. } => "BadEvent",
        EngineError::TooManyListChanges => "TooManyListChanges",
        _ => "EngineFault",
    };
    raise(py, class, &error.to_string())
}

/// A defect of ours, for this call alone.
pub fn fault(py: Python<'_>, message: &str) -> PyErr {
    raise(py, "EngineFault", message)
}

/// An event that cannot be read.
pub fn bad_event(py: Python<'_>, message: &str) -> PyErr {
    raise(py, "BadEvent", message)
}

/// A state that cannot be read.
pub fn bad_state(py: Python<'_>, message: &str) -> PyErr {
    raise(py, "BadState", message)
}

/// Bytes that are no engine document.
pub fn bad_document(py: Python<'_>, message: &str) -> PyErr {
    raise(py, "BadDocument", message)
}

/// What is no telephone number.
pub fn bad_number(py: Python<'_>, message: &str) -> PyErr {
    raise(py, "BadNumber", message)
}

/// A country whose numbers cannot be read.
pub fn unknown_country(py: Python<'_>, country: &str) -> PyErr {
    raise(py, "BadNumber", &format!("numbers of country `{country}` cannot be read"))
}

/// A company with errors; the exception carries the findings.
pub fn invalid(py: Python<'_>, findings: Bound<'_, PyAny>) -> PyErr {
    let made = py
        .import("kommutator.errors")
        .and_then(|errors| errors.getattr("CompanyInvalid"))
        .and_then(|class| class.call1((findings,)));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(missing) => missing,
    }
}

/// What became of a step: an answer, a refusal, or a panic.
pub type Caught<T> = Result<Result<T, EngineError>, Panicked>;

/// A step that failed.
pub struct Panicked;

/// Runs the engine, without Python.
pub fn caught<T>(run: impl FnOnce() -> Result<T, EngineError>) -> Caught<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| Panicked)
}

/// The answer, or its exception; a panic is `EngineFault`, for this call alone.
pub fn answer<T>(py: Python<'_>, caught: Caught<T>) -> PyResult<T> {
    match caught {
        Ok(answer) => answer.map_err(|error| refused(py, &error)),
        Err(Panicked) => Err(fault(py, "the engine failed on this call")),
    }
}

/// Runs the engine, and raises what it refuses.
pub fn guarded<T>(py: Python<'_>, run: impl FnOnce() -> Result<T, EngineError>) -> PyResult<T> {
    answer(py, caught(run))
}
