//! The JSON of the contract: what is asked, and how a turn is told.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kommutator_engine::Event;
use serde::Deserialize as Derive;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::error::Category;

use super::reply::Refusal;

/// The last moment that is taken for one: the end of the year 9998.
const LAST_MS: i64 = 253_370_764_799_999;

/// Text that is borrowed where nothing in it is escaped.
#[derive(Debug, Derive)]
pub(super) struct Text<'b>(#[serde(borrow)] pub Cow<'b, str>);

/// `POST /v1/calls`.
#[derive(Debug, Derive)]
#[serde(deny_unknown_fields)]
pub(super) struct Arrival<'b> {
    #[serde(borrow)]
    pub did: Text<'b>,
    #[serde(borrow, default)]
    pub caller: Option<Text<'b>>,
    #[serde(borrow, default)]
    pub call_id: Option<Text<'b>>,
    #[serde(default)]
    pub at: Option<Moment>,
}

/// `POST /v1/calls/step`.
#[derive(Debug, Derive)]
#[serde(deny_unknown_fields)]
pub(super) struct Step<'b> {
    #[serde(borrow)]
    pub state: Text<'b>,
    pub event: Event,
    #[serde(default)]
    pub at: Option<Moment>,
}

/// Whether an item of a batch is a step: it has a state or an event.
#[derive(Debug, Derive)]
pub(super) struct Kind<'b> {
    #[serde(borrow, default)]
    state: Option<&'b serde_json::value::RawValue>,
    #[serde(borrow, default)]
    event: Option<&'b serde_json::value::RawValue>,
}

impl Kind<'_> {
    pub fn is_step(&self) -> bool {
        self.state.is_some() || self.event.is_some()
    }
}

/// Milliseconds of UTC since the epoch; written so, or as RFC 3339 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub i64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Moment;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a time with its offset, such as 2026-11-22T09:30:00+03:00, or milliseconds since 1970")
            }

            fn visit_i64<E: de::Error>(self, ms: i64) -> Result<Moment, E> {
                if (0..=LAST_MS).contains(&ms) {
                    Ok(Moment(ms))
                } else {
                    Err(E::invalid_value(de::Unexpected::Signed(ms), &self))
                }
            }

            fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Moment, E> {
                self.visit_i64(i64::try_from(ms).unwrap_or(i64::MAX))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
                let read: Option<jiff::Timestamp> = text.parse().ok();
                match read {
                    Some(moment) => self.visit_i64(moment.as_millisecond()),
                    None => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        from.deserialize_any(Reader)
    }
}

/// Reads a form. The refusal names the place, and line and column where it is no JSON at all.
pub(super) fn read<'b, T: Deserialize<'b>>(json: &'b [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(json).map_err(|error| explain::<T>(json, &error))
}

#[cold]
fn explain<'b, T: Deserialize<'b>>(json: &'b [u8], error: &serde_json::Error) -> Refusal {
    if matches!(error.classify(), Category::Syntax | Category::Eof | Category::Io) {
        let mut refusal = Refusal::new(400, "bad_json", format!("the body is no JSON: {}", words(error)));
        refusal.position = Some((error.line(), error.column()));
        return refusal;
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let place = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(found) if found.path().iter().len() > 0 => found.path().to_string(),
        _ => String::new(),
    };
    let mut refusal = Refusal::new(422, "form_invalid", words(error)).at(place);
    refusal.position = Some((error.line(), error.column()));
    refusal
}

/// What the reader says, without the position that it ends with.
fn words(error: &serde_json::Error) -> String {
    let told = error.to_string();
    let end = format!(" at line {} column {}", error.line(), error.column());
    told.strip_suffix(&end).unwrap_or(&told).to_owned()
}

/// A state from its text.
pub(super) fn state_of(text: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| Refusal::new(422, "bad_state", "the state cannot be used: not base64url").at("state"))
}
