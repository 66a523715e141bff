//! The routing queries of HTTP, as Python sees them: bytes in, bytes out.

use std::path::PathBuf;
use std::sync::Arc;

use kommutator_query::holders::Holding;
use kommutator_query::http::{self, Api, Connection, Figures, Limits, Operation, Pending, Settings};
use kommutator_serve::holders::LockedBytes;
use kommutator_serve::spool;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyBytes, PyDict};

use crate::convert;
use crate::engine::Engine;
use crate::spool::Spool;

/// `owner` or `history`, of whom, within so many days, so many milliseconds; or `claims`, of which call, and whom it rings.
type Question = (&'static str, String, Option<u32>, u32, Vec<String>);

/// What all connections of a server have in common.
#[pyclass(module = "kommutator._engine")]
pub struct HttpService {
    settings: Settings,
    limits: Limits,
    figures: Figures,
    journal: Option<Arc<spool::Spool>>,
    holding: Option<Holding>,
    /// The engine; None before there is a company version.
    #[pyo3(get, set)]
    engine: Option<Py<Engine>>,
}

#[pymethods]
impl HttpService {
    #[new]
    #[allow(clippy::too_many_arguments)] // they are keywords
    #[pyo3(signature = (*, ids, tokens, looks_up, most_items, head_limit, body_limit, journal=None, claims=None))]
    fn new(
        ids: String,
        tokens: Vec<String>,
        looks_up: bool,
        most_items: usize,
        head_limit: usize,
        body_limit: usize,
        journal: Option<&Spool>,
        claims: Option<PathBuf>,
    ) -> PyResult<Self> {
        let tokens = tokens.into_iter().map(|token| token.into_bytes().into_boxed_slice()).collect();
        Ok(Self {
            settings: Settings { tokens, looks_up, ids, most_items },
            limits: Limits { head: head_limit, body: body_limit },
            figures: Figures::default(),
            journal: journal.map(|journal| Arc::clone(&journal.0)),
            holding: claims.map(|path| LockedBytes::holding(&path)).transpose()?,
            engine: None,
        })
    }

    /// Lets go whom the engine claims no more, of those who are held against other processes, and ends calls for which nobody
    /// comes back.
    fn look(&mut self, py: Python<'_>, now_ms: i64) {
        if let (Some(holding), Some(engine)) = (&mut self.holding, &self.engine) {
            holding.look(&mut engine.get().lock(py), now_ms);
        }
        self.run(py, |api| api.forget(now_ms));
        if let Some(journal) = &self.journal {
            journal.commit();
        }
    }

    /// What was counted.
    fn figures<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Figures { requests, arrivals, steps, refused, .. } = self.figures;
        [("requests", requests), ("arrivals", arrivals), ("steps", steps), ("refused", refused)].into_py_dict(py)
    }
}

impl HttpService {
    /// Runs the contract over the engine. What is to be written of calls is written by `Spool::commit`.
    fn run<T>(&mut self, py: Python<'_>, run: impl FnOnce(&mut Api<'_>) -> T) -> T {
        let journal = self.journal.as_deref();
        let mut engine = self.engine.as_ref().map(|engine| engine.get().lock(py));
        let mut calls = journal.map(spool::Spool::calls);
        run(&mut Api {
            settings: &self.settings,
            engine: engine.as_deref_mut(),
            figures: &mut self.figures,
            journal: calls.as_deref_mut(),
            full: journal.is_some_and(spool::Spool::full),
            holding: self.holding.as_mut(),
        })
    }
}

/// A server's side of one connection.
#[pyclass(module = "kommutator._engine")]
pub struct HttpConnection {
    connection: Connection<Operation, Pending>,
    service: Py<HttpService>,
    out: Vec<u8>,
}

impl HttpConnection {
    /// Runs the connection over the service's engine, and returns what is to be sent.
    fn crossing<'py>(
        &mut self,
        py: Python<'py>,
        run: impl FnOnce(&mut Connection<Operation, Pending>, &mut Api<'_>, &mut Vec<u8>),
    ) -> Bound<'py, PyBytes> {
        let Self { connection, service, out } = self;
        out.clear();
        let journal = {
            let mut service = service.borrow_mut(py);
            service.run(py, |api| run(connection, api, out));
            service.journal.clone()
        };
        if let Some(journal) = journal {
            // Calls are on disk before their answers leave. The service is not borrowed meanwhile: others may want its figures.
            py.detach(|| journal.commit());
        }
        let told = PyBytes::new(py, &self.out);
        if self.out.capacity() > 64 * 1024 {
            self.out = Vec::new();
        }
        told
    }
}

#[pymethods]
impl HttpConnection {
    #[new]
    fn new(py: Python<'_>, service: Py<HttpService>) -> Self {
        let limits = service.borrow(py).limits;
        Self { connection: Connection::new(limits), service, out: Vec::new() }
    }

    /// Takes what was received, and returns what is to be sent.
    fn receive<'py>(&mut self, py: Python<'py>, data: &[u8], now_ms: i64) -> Bound<'py, PyBytes> {
        self.crossing(py, |connection, api, out| connection.receive(api, data, now_ms, out))
    }

    /// What the next request waits for.
    fn questions(&mut self) -> Vec<Question> {
        let told = |question: &http::Question| match question.clone() {
            http::Question::Owner { caller, timeout_ms } => ("owner", caller, None, timeout_ms, Vec::new()),
            http::Question::History { caller, days, timeout_ms } => ("history", caller, days, timeout_ms, Vec::new()),
            http::Question::Claims { call_id, employees } => ("claims", call_id, None, 0, employees),
            _ => ("", String::new(), None, 0, Vec::new()),
        };
        self.connection.waiting().map(|pending| pending.questions().map(told).collect()).unwrap_or_default()
    }

    /// Takes the events that answer the questions, in their order, and returns what is to be sent.
    fn answer<'py>(
        &mut self,
        py: Python<'py>,
        events: Vec<Bound<'py, PyAny>>,
        now_ms: i64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let events = events.iter().map(convert::owned_event).collect::<PyResult<Vec<_>>>()?;
        if let Some(pending) = self.connection.waiting() {
            pending.answer(events);
        }
        Ok(self.crossing(py, |connection, api, out| connection.resume(api, now_ms, out)))
    }

    /// The next reply is the last.
    fn drain(&mut self) {
        self.connection.drain();
    }

    /// Its time is over; returns what is to be sent before it is closed.
    fn time_out<'py>(&mut self, py: Python<'py>, now_ms: i64) -> Bound<'py, PyBytes> {
        self.crossing(py, |connection, _, out| connection.time_out(now_ms, out))
    }

    /// There is no place for it; returns what is to be sent before it is closed.
    fn turn_away<'py>(&mut self, py: Python<'py>, now_ms: i64) -> Bound<'py, PyBytes> {
        self.crossing(py, |connection, _, out| connection.turn_away(now_ms, out))
    }

    /// 0 idle, 1 a head is on its way, 2 a body, 3 it waits for answers, 4 closed.
    #[getter]
    fn stage(&self) -> u8 {
        self.connection.stage() as u8
    }

    /// How many requests were answered.
    #[getter]
    fn requests(&self) -> u64 {
        self.connection.requests()
    }
}
