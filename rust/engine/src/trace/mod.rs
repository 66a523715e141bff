//! Why a call went where it went: for each node passed, the exit taken and a structured reason.

mod render;

pub use render::{Language, render, render_round};

use arrayvec::ArrayString;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::schedule::{DayRule, HoursReason, Schedule};

/// A node passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passed {
    /// Scheme id.
    pub scheme: SmolStr,
    /// Node id.
    pub node: SmolStr,
    /// Exit taken; empty for a jump to another scheme.
    pub exit: SmolStr,
    /// Why.
    pub why: Reason,
}

/// Why an exit was taken. Dates and times are civil, in the schedule's own zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Reason {
    Played {
        prompt: SmolStr,
    },
    /// The schedule is open: which rule gave the interval, and the interval.
    Open {
        schedule: SmolStr,
        date: SmolStr,
        time: SmolStr,
        rule: SmolStr,
        from: SmolStr,
        to: SmolStr,
    },
    /// The schedule is closed: by a date's own hours, a holiday, or outside the hours of the rule.
    Closed {
        schedule: SmolStr,
        date: SmolStr,
        time: SmolStr,
        rule: SmolStr,
        holiday: Option<SmolStr>,
    },
    /// The caller is on a list: by a whole number, a prefix, or a change made since the version.
    Listed {
        list: SmolStr,
        entry: SmolStr,
        by: SmolStr,
        generation: u64,
    },
    NotListed {
        lists: Vec<SmolStr>,
        generation: u64,
    },
    InRegion {
        region: SmolStr,
        by: SmolStr,
    },
    /// The caller's region, if any, is none of the node's.
    NotInRegions {
        region: Option<SmolStr>,
    },
    /// The number is withheld or unusable.
    Withheld {},
    FirstCall {
        cached: bool,
        generation: u64,
    },
    CalledBefore {
        cached: bool,
        generation: u64,
    },
    HistoryUnknown {},
    OwnerFound {
        employee: SmolStr,
        cached: bool,
        generation: u64,
    },
    OwnerUnknown {
        cached: bool,
        generation: u64,
    },
    /// The owner is nobody of this company version.
    OwnerNotHere {
        employee: SmolStr,
        generation: u64,
    },
    OwnerSilent {},
    Pressed {
        digits: SmolStr,
    },
    WrongDigits {
        digits: SmolStr,
        attempts: u8,
    },
    Silence {
        attempts: u8,
    },
    NobodyAnswered {
        rounds: u32,
    },
    AllBusy {
        rounds: u32,
    },
    NobodyAvailable {
        rounds: u32,
    },
    /// The longest wait at a queue is over.
    WaitedTooLong {
        seconds: f64,
    },
    /// So many callers wait already.
    QueueFull {
        callers: u32,
    },
    /// Nobody of the queue is at work, or can be reached.
    NobodyAtWork {},
    Again {
        pass: u16,
        of: u16,
    },
    Enough {
        passes: u16,
    },
    Sent {
        effect: SmolStr,
        to: SmolStr,
    },
    /// An SMS to a caller without a number is not sent.
    NobodyToSend {},
    Assigned {
        effect: SmolStr,
        assign: SmolStr,
    },
    Recorded {
        recording: SmolStr,
        seconds: f64,
    },
    /// Shorter than a second: no message.
    TooShort {
        seconds: f64,
    },
    Chance {
        weight: u64,
        of: u64,
    },
    Tagged {
        effect: SmolStr,
    },
    TransferFailed {
        to: SmolStr,
    },
    Jumped {
        scheme: SmolStr,
    },
}

/// Asks a schedule, and puts its answer into words that last.
pub(crate) fn hours(id: &SmolStr, schedule: &Schedule, now_ms: i64) -> (bool, Reason) {
    let answer = schedule.at(now_ms);
    let holiday = |rule: DayRule| match rule {
        DayRule::Holiday(name) => Some(schedule.holiday_name(name).clone()),
        _ => None,
    };
    let (id, rule) = (id.clone(), SmolStr::new_static(answer.why.code()));
    let why = match answer.why {
        HoursReason::Within { civil, interval, .. } => Reason::Open {
            schedule: id,
            date: date(civil.date),
            time: clock(civil.minute),
            rule,
            from: clock(interval.from),
            to: if interval.to == 1440 { SmolStr::new_static("24:00") } else { clock(interval.to) },
        },
        HoursReason::Outside { civil, rule: day } => Reason::Closed {
            schedule: id,
            date: date(civil.date),
            time: clock(civil.minute),
            rule,
            holiday: holiday(day),
        },
        HoursReason::OutOfRange => {
            Reason::Closed { schedule: id, date: SmolStr::default(), time: SmolStr::default(), rule, holiday: None }
        }
    };
    (answer.open, why)
}

/// `09:05`, of a minute of this day or the next.
fn clock(minute: u16) -> SmolStr {
    let mut text = ArrayString::<5>::new();
    push_two(&mut text, minute / 60 % 24);
    text.push(':');
    push_two(&mut text, minute % 60);
    SmolStr::new(text)
}

/// `2026-12-31`.
fn date(date: Date) -> SmolStr {
    let Ok(year @ 0..=9999) = u16::try_from(date.year()) else { return SmolStr::from(date.to_string()) };
    let mut text = ArrayString::<10>::new();
    push_two(&mut text, year / 100);
    push_two(&mut text, year % 100);
    for part in [date.month(), date.day()] {
        text.push('-');
        push_two(&mut text, u16::from(part.unsigned_abs()));
    }
    SmolStr::new(text)
}

/// Appends two digits.
fn push_two<const ROOM: usize>(text: &mut ArrayString<ROOM>, number: u16) {
    for digit in [number / 10, number % 10] {
        text.push(char::from(b'0' + digit as u8));
    }
}
