//! Pure decisions, as Python sees them: one, or a column of them.

use std::sync::{Mutex, PoisonError};

use kommutator_engine as core;
use kommutator_engine::call::{self, Calls, Column, Decisions, Dids};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};

use crate::columns::{Columns, Part};
use crate::errors;
use crate::turn::to_python;

/// So many calls are decided before a live one gets its turn. What is at hand of them stays next to the processor.
const AT_ONCE: usize = 500;

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

/// Decides all calls of the columns on the table's version: the different decisions, and of each call the place of its own, as
/// a memory view of unsigned 32-bit integers. Python goes on while they are decided; so do live calls, every [`AT_ONCE`].
pub fn many<'py>(
    py: Python<'py>,
    engine: &Mutex<core::Engine>,
    table: Decisions,
    columns: &Columns<'py>,
) -> PyResult<(Vec<Decision>, Bound<'py, PyAny>)> {
    let calls = columns.len()?;
    let (country, mut column) = (table.company().country, Column::new(table));
    let (mut part, mut numbers) = (Part::default(), Vec::with_capacity(calls));
    for first in (0..calls).step_by(AT_ONCE) {
        let nths = first..calls.min(first + AT_ONCE);
        columns.read(py, nths, country, &mut part)?;
        let decided = py.detach(|| {
            let ids: Option<Vec<&str>> = part.call_ids.as_ref().map(|ids| ids.iter().map(|id| &**id).collect());
            let calls = Calls {
                dids: part.did.map_or(Dids::Each(&part.dids), Dids::One),
                callers: &part.callers,
                moments_ms: &part.moments_ms,
                call_ids: ids.as_deref(),
            };
            let mut engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
            errors::caught(|| engine.decide_column(&mut column, &calls, &mut numbers))
        });
        errors::answer(py, decided)?;
    }
    let table = column.decisions();
    let all = (0..table.len() as u32).map_while(|place| table.get(place).map(Decision)).collect();
    let places = PyBytes::new_with(py, numbers.len() * size_of::<u32>(), |bytes| {
        let (places, _) = bytes.as_chunks_mut();
        places.iter_mut().zip(&numbers).for_each(|(place, number)| *place = number.to_ne_bytes());
        Ok(())
    })?;
    Ok((all, PyMemoryView::from(&places)?.call_method1("cast", ("I",))?))
}
