//! Files of lists: read from their bytes, and shared between versions.

use kommutator_engine as core;
use kommutator_engine::number::Country;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors;

/// The list files of the versions that an engine holds.
#[pyclass(frozen, module = "kommutator._engine")]
pub struct ListFiles(pub core::directory::ListFiles);

/// Numbers packed, bad rows by line and cell, and how many bad rows there are.
type Read = (String, Vec<(u64, String)>, usize);

/// Reads the CSV file of a list.
#[pyfunction]
pub fn read_list(py: Python<'_>, text: &[u8], country: &str) -> PyResult<Read> {
    let known = Country::parse(country).ok_or_else(|| errors::unknown_country(py, country))?;
    let read = || {
        let text = str::from_utf8(text).map_err(|error| error.to_string())?;
        let mut file = core::directory::ListFile::read(text, known).map_err(|error| error.to_string())?;
        let bad = std::mem::take(&mut file.bad);
        let count = file.bad_count;
        Ok((file.packed(), bad, count))
    };
    errors::guarded(py, || Ok(py.detach(read)))?.map_err(PyValueError::new_err::<String>)
}
