//! Why a call went where it went: for each node passed, the exit taken and a structured reason.

mod render;

pub use render::{Language, render, render_round};

use serde::{Deserialize, Serialize};

use crate::schedule::{DayRule, HoursReason, Schedule};

/// A node passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passed {
    /// Scheme id.
    pub scheme: String,
    /// Node id.
    pub node: String,
    /// Exit taken; empty for a jump to another scheme.
    pub exit: String,
    /// Why.
    pub why: Reason,
}

/// Why an exit was taken. Dates and times are civil, in the schedule's own zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Reason {
    Played {
        prompt: String,
    },
    /// The schedule is open: which rule gave the interval, and the interval.
    Open {
        schedule: String,
        date: String,
        time: String,
        rule: String,
        from: String,
        to: String,
    },
    /// The schedule is closed: by a date's own hours, a holiday, or outside the hours of the rule.
    Closed {
        schedule: String,
        date: String,
        time: String,
        rule: String,
        holiday: Option<String>,
    },
    /// The caller is on a list: by a whole number, a prefix, or a change made since the version.
    Listed {
        list: String,
        entry: String,
        by: String,
        generation: u64,
    },
    NotListed {
        lists: Vec<String>,
        generation: u64,
    },
    InRegion {
        region: String,
        by: String,
    },
    /// The caller's region, if any, is none of the node's.
    NotInRegions {
        region: Option<String>,
    },
    /// The number is withheld or unusable.
    Withheld {},
    FirstCall {
        cached: bool,
    },
    CalledBefore {
        cached: bool,
    },
    HistoryUnknown {},
    OwnerFound {
        employee: String,
        cached: bool,
    },
    OwnerUnknown {
        cached: bool,
    },
    /// The owner is nobody of this company version.
    OwnerNotHere {
        employee: String,
    },
    OwnerSilent {},
    Pressed {
        digits: String,
    },
    WrongDigits {
        digits: String,
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
    Again {
        pass: u16,
        of: u16,
    },
    Enough {
        passes: u16,
    },
    Sent {
        effect: String,
        to: String,
    },
    /// An SMS to a caller without a number is not sent.
    NobodyToSend {},
    Assigned {
        effect: String,
        assign: String,
    },
    Recorded {
        recording: String,
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
        effect: String,
    },
    TransferFailed {
        to: String,
    },
    Jumped {
        scheme: String,
    },
}

/// Asks a schedule, and puts its answer into words that last.
pub(crate) fn hours(id: &str, schedule: &Schedule, now_ms: i64) -> (bool, Reason) {
    let answer = schedule.at(now_ms);
    let holiday = |rule: DayRule| match rule {
        DayRule::Holiday(name) => Some(schedule.holiday_name(name).to_owned()),
        _ => None,
    };
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
    let (id, rule) = (id.to_owned(), answer.why.code().to_owned());
    let why = match answer.why {
        HoursReason::Within { civil, interval, .. } => Reason::Open {
            schedule: id,
            date: civil.date.to_string(),
            time: clock(civil.minute),
            rule,
            from: clock(interval.from),
            to: if interval.to == 1440 { "24:00".to_owned() } else { clock(interval.to) },
        },
        HoursReason::Outside { civil, rule: day } => Reason::Closed {
            schedule: id,
            date: civil.date.to_string(),
            time: clock(civil.minute),
            rule,
            holiday: holiday(day),
        },
        HoursReason::OutOfRange => {
            Reason::Closed { schedule: id, date: String::new(), time: String::new(), rule, holiday: None }
        }
    };
    (answer.open, why)
}
