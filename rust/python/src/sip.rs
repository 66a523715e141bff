//! The SIP redirect server, as Python sees it: datagrams in, datagrams out, and calls for the journal.

use std::net::{IpAddr, SocketAddr};

use kommutator_engine::call;
use kommutator_query::sip::{Decided, Network, Outgoing, Redirect, Settings, Sources, Targets, Template};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::engine::Engine;
use crate::turn::Turn;
use crate::{convert, errors};

/// A datagram and its address.
type Datagram<'py> = (Bound<'py, PyBytes>, Bound<'py, PyTuple>);
/// A decided call: its id, DID, caller, turns with the events that led to them, disposition and fault.
type Call<'py> = (String, String, Option<String>, Vec<(Bound<'py, PyAny>, Turn)>, Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Answers requests of SIP by the engine.
#[pyclass(module = "kommutator._engine")]
pub struct SipRedirect(Redirect);

fn networks(texts: &[String]) -> PyResult<Vec<Network>> {
    texts.iter().map(|text| Network::read(text).map_err(PyValueError::new_err)).collect()
}

fn template(text: &str, place: &str) -> PyResult<Template> {
    Template::read(text, place).map_err(PyValueError::new_err)
}

/// Where a socket says that a datagram came from: host and port, and more with IPv6.
fn source(address: &Bound<'_, PyTuple>) -> PyResult<SocketAddr> {
    let (host, port) = (address.get_item(0)?, address.get_item(1)?);
    let host = host.extract::<&str>()?;
    let ip: IpAddr = host.split('%').next().unwrap_or(host).parse().map_err(PyValueError::new_err)?;
    Ok(SocketAddr::new(ip, port.extract()?))
}

/// The address of an answer: the one given where it goes back to where the request came from.
fn target<'py>(to: SocketAddr, from: &Bound<'py, PyTuple>, port: u16) -> PyResult<Bound<'py, PyTuple>> {
    if to.port() == port {
        return Ok(from.clone());
    }
    let mut parts: Vec<Bound<'py, PyAny>> = from.iter().collect();
    parts[1] = to.port().into_pyobject(from.py())?.into_any();
    PyTuple::new(from.py(), parts)
}

fn decided<'py>(py: Python<'py>, call: Decided) -> PyResult<Call<'py>> {
    let word = |error: pythonize::PythonizeError| errors::fault(py, &error.to_string());
    let mut turns = Vec::with_capacity(call.turns.len());
    for (event, turn) in call.turns {
        turns.push((pythonize::pythonize(py, &event).map_err(word)?, Turn(turn)));
    }
    let disposition = pythonize::pythonize(py, &call.disposition).map_err(word)?;
    let fault = pythonize::pythonize(py, &call.fault).map_err(word)?;
    Ok((call.call_id, call.did, call.caller, turns, disposition, fault))
}

#[pymethods]
impl SipRedirect {
    #[new]
    #[pyo3(signature = (*, sources, identity_from, phone, number, media, calls_per_second, hold_ms, longest, key, journal))]
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
        journal: bool,
    ) -> PyResult<Self> {
        let targets = Targets {
            phone: template(phone, "name")?,
            number: template(number, "number")?,
            media: media.map(|media| template(media, "did")).transpose()?,
        };
        let sources = Sources::new(networks(&sources)?, networks(&identity_from)?, calls_per_second);
        Ok(Self(Redirect::new(Settings { sources, targets, longest, hold_ms, key, journal })))
    }

    /// Takes datagrams and answers those to send, in order.
    fn take<'py>(
        &mut self,
        py: Python<'py>,
        engine: &Engine,
        datagrams: Vec<Datagram<'py>>,
        now_ms: i64,
    ) -> PyResult<Vec<Datagram<'py>>> {
        let mut answers = Vec::with_capacity(datagrams.len());
        let mut out: Vec<Outgoing> = Vec::with_capacity(2);
        let mut engine = engine.lock(py);
        for (datagram, from) in &datagrams {
            let source = source(from)?;
            let (redirect, engine) = (&mut self.0, &mut *engine);
            // A defect of ours costs this datagram its answer, and no other.
            let _counted = errors::guarded(py, || {
                redirect.take(engine, datagram.as_bytes(), source, now_ms, &mut out);
                Ok(())
            });
            for outgoing in out.drain(..) {
                let to = if outgoing.to.ip() == source.ip().to_canonical() {
                    target(outgoing.to, from, source.port())?
                } else {
                    own(py, outgoing.to)?
                };
                answers.push((PyBytes::new(py, &outgoing.bytes), to));
            }
        }
        Ok(answers)
    }

    /// Goes on with a call whose question was answered.
    fn go_on<'py>(
        &mut self,
        py: Python<'py>,
        engine: &Engine,
        call_id: &str,
        event: &Bound<'py, PyAny>,
        now_ms: i64,
    ) -> PyResult<Vec<Datagram<'py>>> {
        let event = convert::owned_event(event)?;
        let mut out = Vec::new();
        errors::guarded(py, || {
            // The error has been answered, and is counted.
            let _answered = self.0.go_on(&mut engine.lock(py), call_id, event, now_ms, &mut out);
            Ok(())
        })?;
        out.iter().map(|outgoing| Ok((PyBytes::new(py, &outgoing.bytes), own(py, outgoing.to)?))).collect()
    }

    /// Lets go those who were held for long enough; answers whether there are others.
    fn let_go(&mut self, py: Python<'_>, engine: &Engine, now_ms: i64) -> PyResult<bool> {
        errors::guarded(py, || Ok(self.0.let_go(&mut engine.lock(py), now_ms)))
    }

    /// Calls decided since this was asked last.
    fn decided<'py>(&mut self, py: Python<'py>) -> PyResult<Vec<Call<'py>>> {
        self.0.decided().into_iter().map(|call| decided(py, call)).collect()
    }

    /// Questions that have come up since this was asked last: call id, and the turn that asks.
    fn questions(&mut self) -> Vec<(String, Turn)> {
        let asked: Vec<(String, call::Turn)> = self.0.questions();
        asked.into_iter().map(|(call_id, turn)| (call_id, Turn(turn))).collect()
    }

    /// What has come, counted by kind since the beginning.
    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = self.0.counts();
        let dict = PyDict::new(py);
        dict.set_item("calls", counts.calls)?;
        dict.set_item("again", counts.again)?;
        dict.set_item("refused", counts.refused)?;
        dict.set_item("too_many", counts.too_many)?;
        dict.set_item("strangers", counts.strangers)?;
        dict.set_item("unreadable", counts.unreadable)?;
        dict.set_item("failed", counts.failed)?;
        Ok(dict)
    }
}

fn own(py: Python<'_>, to: SocketAddr) -> PyResult<Bound<'_, PyTuple>> {
    (to.ip().to_string(), to.port()).into_pyobject(py)
}
