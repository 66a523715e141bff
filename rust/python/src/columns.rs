//! Columns of calls as Python has them: lists, or the buffers of whoever has millions.

use std::ops::Range;

use kommutator_engine::number::{Country, Number};
use pyo3::buffer::{Element, PyBuffer};
use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyList, PyString, PyTuple};

/// Calls by columns.
pub struct Columns<'py> {
    dids: Dialled<'py>,
    callers: Callers<'py>,
    moments_ms: Moments<'py>,
    call_ids: Option<Bound<'py, PyList>>,
}

/// A part of the columns, read.
#[derive(Default)]
pub struct Part {
    /// The number that all have dialled, where there is one for all; else `dids` are.
    pub did: Option<Option<Number>>,
    pub dids: Vec<Option<Number>>,
    pub callers: Vec<Option<Number>>,
    pub moments_ms: Vec<i64>,
    pub call_ids: Option<Vec<PyBackedStr>>,
}

impl<'py> Columns<'py> {
    /// Takes columns as they are given.
    pub fn new(
        dids: &Bound<'py, PyAny>,
        callers: &Bound<'py, PyAny>,
        moments_ms: &Bound<'py, PyAny>,
        call_ids: Option<&Bound<'py, PyList>>,
    ) -> PyResult<Self> {
        let (dids, callers, moments_ms) = (Dialled::new(dids)?, Callers::new(callers)?, Moments::new(moments_ms)?);
        Ok(Self { dids, callers, moments_ms, call_ids: call_ids.cloned() })
    }

    /// How many calls there are. Raises `ValueError` where the columns disagree.
    pub fn len(&self) -> PyResult<usize> {
        let calls = self.callers.len();
        let dids = match &self.dids {
            Dialled::One(_) => calls,
            Dialled::Each(dids) => dids.len(),
        };
        let ids = self.call_ids.as_ref().map_or(calls, |ids| ids.len());
        if [dids, self.moments_ms.len(), ids] != [calls; 3] {
            return Err(PyValueError::new_err("the columns have different lengths"));
        }
        Ok(calls)
    }

    /// Reads the calls of these places.
    pub fn read(&self, py: Python<'py>, nths: Range<usize>, country: Country, part: &mut Part) -> PyResult<()> {
        self.dids.read(nths.clone(), country, part)?;
        part.callers.clear();
        self.callers.read(py, nths.clone(), country, &mut part.callers)?;
        part.moments_ms.clear();
        self.moments_ms.read(py, nths.clone(), &mut part.moments_ms)?;
        let read = |ids: &Bound<'py, PyList>| nths.map(|nth| ids.get_item(nth)?.extract()).collect();
        part.call_ids = self.call_ids.as_ref().map(read).transpose()?;
        Ok(())
    }
}

/// Our numbers that were dialled.
enum Dialled<'py> {
    One(Bound<'py, PyString>),
    Each(Bound<'py, PyList>),
}

impl<'py> Dialled<'py> {
    fn new(given: &Bound<'py, PyAny>) -> PyResult<Self> {
        Ok(match given.cast::<PyString>() {
            Ok(one) => Self::One(one.clone()),
            Err(_) => Self::Each(given.cast::<PyList>()?.clone()),
        })
    }

    fn read(&self, nths: Range<usize>, country: Country, part: &mut Part) -> PyResult<()> {
        let read = |given: &Bound<'py, PyAny>| Ok::<_, PyErr>(Number::parse(text(given)?, country));
        let each = match self {
            Self::One(did) => {
                part.did = Some(read(did)?);
                return Ok(());
            }
            Self::Each(each) => each,
        };
        part.dids.clear();
        // Many in a row dial the same.
        let mut last: Option<(Bound<'py, PyAny>, Option<Number>)> = None;
        for nth in nths {
            let given = each.get_item(nth)?;
            let did = match &last {
                Some((known, did)) if known.is(&given) => *did,
                _ => {
                    let did = read(&given)?;
                    last = Some((given, did));
                    did
                }
            };
            part.dids.push(did);
        }
        Ok(())
    }
}

/// The calling parties.
enum Callers<'py> {
    /// Texts; `None` is withheld.
    Texts(Bound<'py, PyList>),
    /// The digits of E.164 as integers; whatever is none, as 0, is withheld.
    Digits(PyBuffer<i64>),
    /// All texts, one after another, and where each begins and the last ends, as Arrow keeps strings. An empty one is withheld.
    Joined(String, Offsets),
}

enum Offsets {
    Narrow(PyBuffer<i32>),
    Wide(PyBuffer<i64>),
}

impl<'py> Callers<'py> {
    fn new(given: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(texts) = given.cast::<PyList>() {
            return Ok(Self::Texts(texts.clone()));
        }
        if is_empty(given) {
            return Ok(Self::Texts(PyList::empty(given.py())));
        }
        let Ok(joined) = given.cast::<PyTuple>() else { return Ok(Self::Digits(PyBuffer::get(given)?)) };
        let (texts, offsets): (Bound<'py, PyAny>, Bound<'py, PyAny>) = joined.extract()?;
        if is_empty(&offsets) {
            return Ok(Self::Texts(PyList::empty(given.py())));
        }
        let texts = if is_empty(&texts) { Vec::new() } else { PyBuffer::get(&texts)?.to_vec(given.py())? };
        let texts = String::from_utf8(texts).map_err(|_| PyValueError::new_err("the callers' texts are not UTF-8"))?;
        let offsets = match PyBuffer::get(&offsets) {
            Ok(narrow) => Offsets::Narrow(narrow),
            Err(_) => Offsets::Wide(PyBuffer::get(&offsets)?),
        };
        Ok(Self::Joined(texts, offsets))
    }

    fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Digits(digits) => digits.item_count(),
            Self::Joined(_, Offsets::Narrow(offsets)) => offsets.item_count().saturating_sub(1),
            Self::Joined(_, Offsets::Wide(offsets)) => offsets.item_count().saturating_sub(1),
        }
    }

    fn read(
        &self,
        py: Python<'py>,
        nths: Range<usize>,
        country: Country,
        callers: &mut Vec<Option<Number>>,
    ) -> PyResult<()> {
        match self {
            Self::Texts(texts) => {
                for nth in nths {
                    let given = texts.get_item(nth)?;
                    let text = if given.is_none() { "" } else { text(&given)? };
                    callers.push(Number::parse(text, country));
                }
            }
            Self::Digits(digits) => {
                let digits = items(py, digits, nths)?;
                callers.extend(digits.map(|digits| u64::try_from(digits).ok().and_then(Number::from_e164)));
            }
            Self::Joined(texts, offsets) => {
                let ends = nths.start..nths.end + 1;
                match offsets {
                    Offsets::Narrow(offsets) => pieces(texts, items(py, offsets, ends)?, country, callers)?,
                    Offsets::Wide(offsets) => pieces(texts, items(py, offsets, ends)?, country, callers)?,
                }
            }
        }
        Ok(())
    }
}

/// When the calls come, in milliseconds of UTC.
enum Moments<'py> {
    List(Bound<'py, PyList>),
    Buffer(PyBuffer<i64>),
}

impl<'py> Moments<'py> {
    fn new(given: &Bound<'py, PyAny>) -> PyResult<Self> {
        Ok(match given.cast::<PyList>() {
            Ok(list) => Self::List(list.clone()),
            Err(_) if is_empty(given) => Self::List(PyList::empty(given.py())),
            Err(_) => Self::Buffer(PyBuffer::get(given)?),
        })
    }

    fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Buffer(buffer) => buffer.item_count(),
        }
    }

    fn read(&self, py: Python<'py>, nths: Range<usize>, moments_ms: &mut Vec<i64>) -> PyResult<()> {
        match self {
            Self::List(list) => {
                for nth in nths {
                    moments_ms.push(list.get_item(nth)?.extract()?);
                }
            }
            Self::Buffer(buffer) => moments_ms.extend(items(py, buffer, nths)?),
        }
        Ok(())
    }
}

/// The characters of a text. What is of the very type is known without a call.
fn text<'a>(given: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    match given.cast_exact::<PyString>() {
        Ok(text) => text.to_str(),
        Err(_) => given.cast::<PyString>()?.to_str(),
    }
}

/// Whether there is nothing in it; a buffer of nothing has no address, and so no kind of items.
fn is_empty(given: &Bound<'_, PyAny>) -> bool {
    given.is_empty().unwrap_or(false)
}

/// Some items of a buffer.
fn items<'a, T: Element>(
    py: Python<'a>,
    buffer: &'a PyBuffer<T>,
    nths: Range<usize>,
) -> PyResult<impl Iterator<Item = T> + 'a> {
    let all = buffer.as_slice(py).ok_or_else(|| PyBufferError::new_err("a column's buffer has gaps"))?;
    let some = all.get(nths).ok_or_else(|| PyBufferError::new_err("a column's buffer has become shorter"))?;
    Ok(some.iter().map(|cell| cell.get()))
}

/// Reads the numbers between the offsets.
fn pieces(
    texts: &str,
    offsets: impl Iterator<Item = impl TryInto<usize>>,
    country: Country,
    callers: &mut Vec<Option<Number>>,
) -> PyResult<()> {
    let mut begin = None;
    for offset in offsets {
        let end = offset.try_into().ok();
        if let Some(begin) = begin {
            let piece = Option::zip(begin, end).and_then(|(begin, end)| texts.get(begin..end));
            let piece =
                piece.ok_or_else(|| PyValueError::new_err("the offsets are not where the callers' texts end"))?;
            callers.push(Number::parse(piece, country));
        }
        begin = Some(end);
    }
    Ok(())
}
