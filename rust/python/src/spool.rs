//! The files of calls, as Python sees them: what is written of calls is not, only what is made of it later.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kommutator_query::journal::Calls;
use kommutator_serve::spool;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The spool and the ledger of a folder.
#[pyclass(frozen, module = "kommutator._engine")]
pub struct Spool(pub Arc<spool::Spool>);

#[pymethods]
impl Spool {
    #[new]
    #[pyo3(signature = (folder, *, tells, put_aside_at, forget_ms, most_live))]
    #[allow(clippy::needless_pass_by_value)] // it comes from Python
    fn new(folder: PathBuf, tells: bool, put_aside_at: u64, forget_ms: i64, most_live: usize) -> Self {
        Self(Arc::new(spool::Spool::new(&folder, tells, put_aside_at, Calls::new(forget_ms, most_live))))
    }

    /// Takes calls of an earlier process that go on, and those that ended.
    fn restore(&self, live: Vec<Vec<u8>>, over: Vec<String>, now_ms: i64) -> PyResult<()> {
        let mut calls = self.0.calls();
        for record in live {
            calls.restore(&record, now_ms).map_err(|error| PyValueError::new_err(error.to_string()))?;
        }
        over.iter().for_each(|call| calls.ended_before(call));
        drop(calls);
        self.0.restored();
        Ok(())
    }

    /// Adds lines to the ledger.
    fn append_ledger(&self, lines: &[u8]) {
        self.0.append(&[], lines);
    }

    /// Keeps the disk up, and returns what is to be told: lines, why the disk takes nothing, whether a spool is spent.
    fn keep_up<'py>(
        &self,
        py: Python<'py>,
        longest_ms: u64,
        gather_ms: u64,
    ) -> (Bound<'py, PyBytes>, Option<String>, bool) {
        let (longest, gather) = (Duration::from_millis(longest_ms), Duration::from_millis(gather_ms));
        let spool::News { lines, trouble, spent } = py.detach(|| self.0.keep_up(longest, gather));
        (PyBytes::new(py, &lines), trouble, spent)
    }

    /// Has `keep_up` return soon.
    fn stop(&self) {
        self.0.stop();
    }

    /// Lets go the spool that was put aside.
    fn let_go(&self, py: Python<'_>) {
        py.detach(|| self.0.let_go());
    }

    /// Makes all that is left; returns the lines that are to be told.
    fn finish<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let lines = py.detach(|| self.0.finish());
        PyBytes::new(py, &lines)
    }

    /// Bytes of the spool's file, and bytes that wait for the disk.
    #[getter]
    fn size(&self) -> (u64, usize) {
        self.0.size()
    }

    /// Whether so much waits for the disk that no call is decided.
    #[getter]
    fn full(&self) -> bool {
        self.0.full()
    }

    /// How many calls of queries go on.
    #[getter]
    fn live(&self) -> usize {
        self.0.calls().len()
    }

    /// Their last states.
    fn states(&self) -> Vec<String> {
        self.0.calls().states().map(str::to_owned).collect()
    }

    /// How many calls had the id of one that had ended.
    #[getter]
    fn reused(&self) -> u64 {
        self.0.calls().reused
    }
}
