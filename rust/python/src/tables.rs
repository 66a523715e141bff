//! Tables of owners and of callers, made aside and swapped into an engine.

use kommutator_engine::facts::{Callers, Owners};
use pyo3::prelude::*;

use crate::errors;

/// Who owns which number.
#[pyclass(module = "kommutator._engine")]
#[derive(Default)]
pub struct OwnerTable(pub Owners);

/// Who has called, and when last.
#[pyclass(module = "kommutator._engine")]
#[derive(Default)]
pub struct CallerTable(pub Callers);

#[pymethods]
impl OwnerTable {
    #[new]
    #[pyo3(signature = (room = 0))]
    fn new(py: Python<'_>, room: usize) -> Self {
        Self(py.detach(|| Owners::with_room_for(room)))
    }

    fn read(&mut self, py: Python<'_>, page: &[u8]) -> PyResult<usize> {
        let read = errors::guarded(py, || Ok(py.detach(|| self.0.read(page))))?;
        read.map_err(|line| errors::bad_number(py, &line.to_string()))
    }

    fn complete(&mut self) -> bool {
        self.0.complete()
    }

    /// Lets all numbers go, without the interpreter's lock.
    fn clear(&mut self, py: Python<'_>) {
        py.detach(|| self.0 = Owners::default());
    }

    #[getter]
    fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    #[getter]
    fn size(&self) -> usize {
        self.0.bytes()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}

#[pymethods]
impl CallerTable {
    #[new]
    #[pyo3(signature = (room = 0))]
    fn new(py: Python<'_>, room: usize) -> Self {
        Self(py.detach(|| Callers::with_room_for(room)))
    }

    fn read(&mut self, py: Python<'_>, page: &[u8]) -> PyResult<usize> {
        let read = errors::guarded(py, || Ok(py.detach(|| self.0.read(page))))?;
        read.map_err(|line| errors::bad_number(py, &line.to_string()))
    }

    fn complete(&mut self) {
        self.0.complete();
    }

    /// Lets all numbers go, without the interpreter's lock.
    fn clear(&mut self, py: Python<'_>) {
        py.detach(|| self.0 = Callers::default());
    }

    #[getter]
    fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    #[getter]
    fn size(&self) -> usize {
        self.0.bytes()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}
