//! The thin binding: convert, call, convert; one error map; nothing else.

mod columns;
mod convert;
mod decisions;
mod engine;
mod errors;
mod http;
mod lists;
mod sip;
mod spool;
mod tables;
mod turn;

use kommutator_engine::company::document::NumberList;
use kommutator_engine::number::{Country, Number};
use kommutator_engine::trace::{Language, Reason, render, render_round};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Checks an engine document; the answer is JSON: findings, and the longest time of each scheme.
#[pyfunction]
fn check<'py>(py: Python<'py>, document: &[u8], from_ms: i64) -> PyResult<Bound<'py, PyBytes>> {
    let document = py.detach(|| convert::document(document)).map_err(|error| errors::bad_document(py, &error))?;
    let report = errors::guarded(py, || Ok(py.detach(|| kommutator_engine::check::check(&document, from_ms))))?;
    let json = serde_json::to_vec(&report).map_err(|error| errors::fault(py, &error.to_string()))?;
    Ok(PyBytes::new(py, &json))
}

/// An engine document without the contents of its lists and regions: what is left has the size of what people wrote.
#[pyfunction]
fn outline<'py>(py: Python<'py>, document: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let outlined = py.detach(|| {
        let mut document = convert::document(document)?;
        document.lists.values_mut().for_each(|list| *list = NumberList::default());
        document.regions.values_mut().for_each(|region| region.ranges = Vec::new());
        serde_json::to_vec(&document).map_err(|error| error.to_string())
    });
    Ok(PyBytes::new(py, &outlined.map_err(|error| errors::bad_document(py, &error))?))
}

/// A reason of a trace, in words of `language` (`ru`; anything else is English).
#[pyfunction]
fn explain(py: Python<'_>, why: &Bound<'_, PyAny>, language: &str) -> PyResult<String> {
    let why: Reason = pythonize::depythonize(why).map_err(|error| errors::bad_event(py, &error.to_string()))?;
    Ok(render(&why, Language::of(language)))
}

/// A round of a turn, in words of `language`.
#[pyfunction]
fn explain_round(py: Python<'_>, round: &Bound<'_, PyAny>, language: &str) -> PyResult<String> {
    let round = pythonize::depythonize(round).map_err(|error| errors::bad_event(py, &error.to_string()))?;
    Ok(render_round(&round, Language::of(language)))
}

/// A number in E.164, or a short extension, as a company of `country` reads it; `None` when it is neither.
#[pyfunction]
fn normalize(py: Python<'_>, raw: &str, country: &str) -> PyResult<Option<String>> {
    let known = Country::parse(country).ok_or_else(|| errors::unknown_country(py, country))?;
    Ok(Number::parse(raw, known).map(|number| number.to_string()))
}

#[pymodule]
mod _engine {
    #[pymodule_export]
    use super::decisions::Decision;
    #[pymodule_export]
    use super::engine::Engine;
    #[pymodule_export]
    use super::http::{HttpConnection, HttpService};
    #[pymodule_export]
    use super::lists::{ListFiles, read_list};
    #[pymodule_export]
    use super::sip::SipRedirect;
    #[pymodule_export]
    use super::spool::Spool;
    #[pymodule_export]
    use super::tables::{CallerTable, OwnerTable};
    #[pymodule_export]
    use super::turn::{Action, Event, Turn};
    #[pymodule_export]
    use super::{check, explain, explain_round, normalize, outline};
}
