//! What a schedule answers: plain values, small enough to copy into a trace.

use std::fmt;

use jiff::civil::Date;

/// Open or closed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the schedule is open.
    pub open: bool,
    /// What decided.
    pub why: HoursReason,
}

/// What decided about an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoursReason {
    /// Open: an interval holds the civil minute.
    Within {
        /// What the wall clock shows.
        civil: CivilMinute,
        /// What gave the interval its date: the date before `civil`'s if `since_yesterday`.
        rule: DayRule,
        /// The interval as written.
        interval: Interval,
        /// Whether it began on the civil date before.
        since_yesterday: bool,
    },
    /// Closed: no interval holds the civil minute.
    Outside {
        /// What the wall clock shows.
        civil: CivilMinute,
        /// What governs the civil date.
        rule: DayRule,
    },
    /// Closed: the instant lies outside the civil calendar.
    OutOfRange,
}

impl HoursReason {
    /// The deciding rule as a stable word.
    ///
    /// Open: `weekly`, `exception`, `moved_workday`. Closed: `holiday`, `exception` (not within the date's own hours),
    /// `outside_hours` (not within those of the week or of a moved workday), `out_of_range`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Within { rule, .. }
            | Self::Outside { rule: rule @ (DayRule::Exception | DayRule::Holiday(_)), .. } => rule.code(),
            Self::Outside { .. } => "outside_hours",
            Self::OutOfRange => "out_of_range",
        }
    }
}

/// What gives a date its hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayRule {
    /// The weekly plan.
    Weekly,
    /// The date's own hours.
    Exception,
    /// The calendar closes the date; [`Schedule::holiday_name`](super::Schedule::holiday_name) knows the name by this
    /// index.
    Holiday(usize),
    /// The calendar made the date a workday.
    MovedWorkday,
}

impl DayRule {
    /// The rule as a stable word: `weekly`, `exception`, `holiday`, `moved_workday`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Weekly => "weekly",
            Self::Exception => "exception",
            Self::Holiday(_) => "holiday",
            Self::MovedWorkday => "moved_workday",
        }
    }
}

/// A minute of the wall clock. Displays as `2026-12-31 09:05`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CivilMinute {
    /// The civil date.
    pub date: Date,
    /// Minute of the day, 0 to 1439.
    pub minute: u16,
}

impl fmt::Display for CivilMinute {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {:02}:{:02}", self.date, self.minute / 60, self.minute % 60)
    }
}

/// Minutes `[from, to)`, counted from the midnight with which the interval's date begins. Displays as `22:00-02:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interval {
    /// First minute, 0 to 1439.
    pub from: u16,
    /// The minute after the last; above 1440 when the interval crosses midnight, and always below `from` + 1440.
    pub to: u16,
}

impl fmt::Display for Interval {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = if self.to > super::DAY_MINUTES { self.to - super::DAY_MINUTES } else { self.to };
        write!(out, "{:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, to / 60, to % 60)
    }
}
