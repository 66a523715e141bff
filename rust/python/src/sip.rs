//! The SIP redirect server, as Python sees it: a thread that answers at a socket, and what it leaves to Python.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kommutator_query::sip::{Counts, Network, Outgoing, Redirect, Settings, Sources, Targets, Template};
use kommutator_serve::holders::LockedBytes;
use kommutator_serve::redirect::Server;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyBytes, PyDict};

use crate::convert;
use crate::engine::Engine;
use crate::spool::Spool;
use crate::turn::Turn;

/// Answers requests of SIP by the engine.
#[pyclass(frozen, module = "kommutator._engine")]
pub struct SipRedirect(Server);

fn networks(texts: &[String]) -> PyResult<Vec<Network>> {
    texts.iter().map(|text| Network::read(text).map_err(PyValueError::new_err)).collect()
}

fn template(text: &str, place: &str) -> PyResult<Template> {
    Template::read(text, place).map_err(PyValueError::new_err)
}

fn bytes<'py>(py: Python<'py>, answers: &[Outgoing]) -> Vec<Bound<'py, PyBytes>> {
    answers.iter().map(|answer| PyBytes::new(py, &answer.bytes)).collect()
}

#[pymethods]
impl SipRedirect {
    #[new]
    #[pyo3(signature = (*, sources, identity_from, phone, number, media, calls_per_second, hold_ms, longest, key, waker=-1,
                        spool=None, claims=None, known=HashSet::new()))]
    #[allow(clippy::too_many_arguments)] // they are keywords
    fn new(
        sources: Vec<String>,
        identity_from: Vec<String>,
        phone: &str,
        number: &str,
        media: Option<&str>,
        calls_per_second: Option<u32>,
        hold_ms: u32,
        longest: usize,
        key: [u8; 16],
        waker: i32,
        spool: Option<&Spool>,
        claims: Option<PathBuf>,
        known: HashSet<String>,
    ) -> PyResult<Self> {
        let targets = Targets {
            phone: template(phone, "name")?,
            number: template(number, "number")?,
            media: media.map(|media| template(media, "did")).transpose()?,
        };
        let sources = Sources::new(networks(&sources)?, networks(&identity_from)?, calls_per_second);
        let redirect = Redirect::new(Settings { sources, targets, longest, hold_ms, key, journal: spool.is_some() })
            .holding(claims.map(|path| LockedBytes::holding(&path)).transpose()?);
        Ok(Self(Server::new(redirect, spool.map(|spool| Arc::clone(&spool.0)), known, longest, waker)))
    }

    /// Answers what comes by a socket, until `stop`.
    fn serve(&self, py: Python<'_>, engine: &Engine, socket: i32) -> PyResult<()> {
        py.detach(|| self.0.serve(engine.shared(), socket))
            .map_err(|error| PyOSError::new_err((error as i32, error.desc())))
    }

    /// The answers to a datagram, which are not sent.
    fn take<'py>(
        &self,
        py: Python<'py>,
        engine: &Engine,
        datagram: &[u8],
        host: &str,
        port: u16,
        now_ms: i64,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let from = SocketAddr::new(host.parse().map_err(PyValueError::new_err)?, port);
        Ok(bytes(py, &py.detach(|| self.0.take(engine.shared(), datagram, from, now_ms))))
    }

    /// The same of a call whose question was answered.
    fn take_answer<'py>(
        &self,
        py: Python<'py>,
        engine: &Engine,
        call_id: &str,
        event: &Bound<'py, PyAny>,
        now_ms: i64,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let event = convert::owned_event(event)?;
        Ok(bytes(py, &py.detach(|| self.0.take_answer(engine.shared(), call_id, event, now_ms))))
    }

    /// Has `serve` return soon.
    fn stop(&self) {
        self.0.stop();
    }

    /// Goes on with a call whose question was answered.
    fn go_on(
        &self,
        py: Python<'_>,
        engine: &Engine,
        socket: i32,
        call_id: &str,
        event: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let event = convert::owned_event(event)?;
        py.detach(|| self.0.go_on(engine.shared(), socket, call_id, event));
        Ok(())
    }

    /// Questions that have come up since this was asked last: call id, the turn that asks, and the socket.
    fn questions(&self) -> Vec<(String, Turn, i32)> {
        self.0.questions().into_iter().map(|(call_id, turn, socket)| (call_id, Turn(turn), socket)).collect()
    }

    /// What has come, counted by kind since the beginning.
    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (counts, unsent) = py.detach(|| self.0.counts());
        let Counts { calls, again, refused, too_many, strangers, unreadable, failed } = counts;
        let counted = [calls, again, refused, too_many, strangers, unreadable, failed, unsent];
        ["calls", "again", "refused", "too_many", "strangers", "unreadable", "failed", "unsent"]
            .into_iter()
            .zip(counted)
            .into_py_dict(py)
    }
}
