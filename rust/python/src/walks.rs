//! Walks, as Python sees them.

use kommutator_engine::call;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::turn::to_python;

/// A call followed to its end.
#[pyclass(frozen, eq, hash, module = "kommutator._engine")]
#[derive(PartialEq, Eq, Hash)]
pub struct Walk(pub call::Walked);

#[pymethods]
impl Walk {
    /// The nodes passed: scheme, node and exit of each.
    #[getter]
    fn path(&self) -> Vec<(&str, &str, &str)> {
        self.0.path.iter().map(|taken| (&*taken.scheme, &*taken.node, &*taken.exit)).collect()
    }

    /// What the PBX would do, in the contract's JSON form.
    #[getter]
    fn actions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.0.actions)
    }

    fn __repr__(&self) -> String {
        format!("Walk({:?})", self.0.actions)
    }
}

/// What is known of a call's people.
pub fn outcomes(given: &Bound<'_, PyAny>) -> PyResult<call::Outcomes> {
    pythonize::depythonize(given).map_err(|error| PyValueError::new_err(format!("no outcomes: {error}")))
}
