//! Pure decisions, as Python sees them: one, or a column of them.

use std::sync::{Mutex, PoisonError};

use kommutator_engine as core;
use kommutator_engine::call::{self, Ask, Decisions};
use kommutator_engine::number::{Country, Number};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyList, PyMemoryView, PyString};

use crate::errors;
use crate::turn::to_python;

/// So many calls are decided before a live one gets its turn: some 0.1 ms.
const AT_ONCE: usize = 1_000;

/// Where a call would go.
#[pyclass(frozen, module = "kommutator._engine")]
pub struct Decision(pub call::Decision);

#[pymethods]
impl Decision {
    /// The nodes passed: scheme, node and exit of each.
    #[getter]
    fn path(&self) -> Vec<(&str, &str, &str)> {
        self.0.path.iter().map(|taken| (&*taken.scheme, &*taken.node, &*taken.exit)).collect()
    }

    /// The scheme in which it stops; empty for a number that serves none.
    #[getter]
    fn scheme(&self) -> &str {
        &self.0.scheme
    }

    /// The node at which it stops.
    #[getter]
    fn node(&self) -> &str {
        &self.0.node
    }

    /// Whom an `owner` node has found.
    #[getter]
    fn owner(&self) -> Option<&str> {
        self.0.owner.as_deref()
    }

    /// What the PBX would do, in the contract's JSON form.
    #[getter]
    fn action<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.0.action)
    }

    fn __repr__(&self) -> String {
        format!("Decision({}/{}, {:?})", self.0.scheme, self.0.node, self.0.action)
    }
}

/// Calls by columns, all of one length.
pub struct Columns<'a, 'py> {
    pub dids: &'a Bound<'py, PyList>,
    pub callers: &'a Bound<'py, PyList>,
    pub moments_ms: &'a Bound<'py, PyList>,
    pub call_ids: Option<&'a Bound<'py, PyList>>,
}

/// A call, read.
struct Given {
    did: Option<Number>,
    caller: Option<Number>,
    at_ms: i64,
    call_id: Option<PyBackedStr>,
}

impl<'py> Columns<'_, 'py> {
    fn lengths_agree(&self) -> bool {
        let calls = self.dids.len();
        let ids = self.call_ids.is_none_or(|ids| ids.len() == calls);
        self.callers.len() == calls && self.moments_ms.len() == calls && ids
    }

    fn read(&self, nth: usize, dialled: &mut Dialled<'py>, country: Country) -> PyResult<Given> {
        let call_id = self.call_ids.map(|ids| ids.get_item(nth)?.extract()).transpose()?;
        let caller = self.callers.get_item(nth)?;
        let caller = if caller.is_none() { None } else { number(&caller, country)? };
        let did = dialled.read(self.dids.get_item(nth)?, country)?;
        Ok(Given { did, caller, at_ms: self.moments_ms.get_item(nth)?.extract()?, call_id })
    }
}

fn number(given: &Bound<'_, PyAny>, country: Country) -> PyResult<Option<Number>> {
    Ok(Number::parse(given.cast::<PyString>()?.to_str()?, country))
}

/// The number dialled last: many calls in a row dial the same.
#[derive(Default)]
struct Dialled<'py>(Option<(Bound<'py, PyAny>, Option<Number>)>);

impl<'py> Dialled<'py> {
    fn read(&mut self, given: Bound<'py, PyAny>, country: Country) -> PyResult<Option<Number>> {
        match &self.0 {
            Some((last, did)) if last.is(&given) => Ok(*did),
            _ => {
                let did = number(&given, country)?;
                self.0 = Some((given, did));
                Ok(did)
            }
        }
    }
}

/// Decides all calls on the table's version: the different decisions, and of each call the place of its own, as a
/// memory view of unsigned 32-bit integers. Python goes on while they are decided; so do live calls, every [`AT_ONCE`].
pub fn many<'py>(
    py: Python<'py>,
    engine: &Mutex<core::Engine>,
    mut table: Decisions,
    columns: &Columns<'_, 'py>,
) -> PyResult<(Vec<Decision>, Bound<'py, PyAny>)> {
    if !columns.lengths_agree() {
        return Err(PyValueError::new_err("the columns have different lengths"));
    }
    let (country, calls) = (table.company().country, columns.dids.len());
    let mut places = Vec::with_capacity(calls * size_of::<u32>());
    let mut given = Vec::with_capacity(AT_ONCE.min(calls));
    let mut dialled = Dialled::default();
    for first in (0..calls).step_by(AT_ONCE) {
        given.clear();
        for nth in first..calls.min(first + AT_ONCE) {
            given.push(columns.read(nth, &mut dialled, country)?);
        }
        let decided = py.detach(|| {
            let mut engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
            errors::caught(|| {
                given.iter().try_for_each(|call| {
                    let call_id = call.call_id.as_deref().unwrap_or_default();
                    let ask = Ask { did: call.did, caller: call.caller, call_id, at_ms: call.at_ms };
                    places.extend(engine.decide_in(&mut table, &ask)?.to_ne_bytes());
                    Ok(())
                })
            })
        });
        errors::answer(py, decided)?;
    }
    let all = (0..table.len() as u32).map_while(|place| table.get(place).map(Decision)).collect();
    let places = PyMemoryView::from(&PyBytes::new(py, &places))?.call_method1("cast", ("I",))?;
    Ok((all, places))
}
