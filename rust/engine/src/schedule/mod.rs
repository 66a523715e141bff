//! Schedules: is this company at work at this instant, why, and until when.
//!
//! Hours are read off the wall clock of the schedule's zone. An instant is open exactly when its civil minute lies in an
//! interval `[from, to)` that began on its own civil date, or in what an interval of the date before it left after
//! midnight. So a civil minute that the clock shows twice is treated alike both times, and one that the clock skips does
//! not exist.
//!
//! Which intervals *begin* on a date is decided by the first of these that knows the date:
//!
//! 1. `exceptions`: the date's own hours, none meaning closed;
//! 2. the calendar's closed dates: no hours;
//! 3. the calendar's moved workdays: `moved_workday`, or else Monday's hours;
//! 4. `weekly`.
//!
//! An interval belongs to the date on which it begins. A night shift that began on the eve of a holiday is therefore
//! worked to its end on the holiday's morning, and an exception of `[]` closes the evening of its date with all that would
//! have followed it after midnight. Where such a remainder meets other hours of the next date, both hold.

mod answer;
mod clock;
mod compile;
mod days;

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use smol_str::SmolStr;

use crate::company::document;

use clock::Clock;
use days::Days;

pub use answer::{Answer, CivilMinute, DayRule, HoursReason, Interval};
pub use compile::{HoursError, HoursFault};

/// How far `next_change` looks ahead: every weekday, and a whole year of exceptions and clock changes.
pub const HORIZON_MS: i64 = 400 * DAY_MINUTES as i64 * MINUTE_MS;

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: u16 = 24 * 60;
const DAY_SECONDS: i64 = DAY_MINUTES as i64 * 60;

/// The zone of that IANA name in the bundled database, which is the only one the engine reads.
///
/// Case does not matter. `Etc/Unknown`, which says that a zone is not known, is no zone.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok().filter(|zone| !zone.is_unknown())
}

/// The compiled form of [`document::Hours`].
#[derive(Clone, Debug)]
pub struct Schedule {
    clock: Clock,
    /// By weekday, from Monday; the intervals of a day are in order and disjoint, so only the last can cross midnight.
    week: [Box<[Interval]>; 7],
    /// Dates that do not follow the week, in order.
    dates: Box<[SpecialDate]>,
    /// All days of the years in which calls come, minute by minute.
    days: Days,
    /// In the order of the document.
    holiday_names: Box<[SmolStr]>,
}

#[derive(Clone, Debug)]
struct SpecialDate {
    date: Date,
    rule: DayRule,
    intervals: Box<[Interval]>,
}

impl Schedule {
    /// Reads a schedule as written; `company_zone` is the zone of a schedule that names none.
    ///
    /// Refuses with every fault found, part by part, what overlaps after what cannot be read. A company zone that does
    /// not exist is reported with an empty path. `broken` is not looked at: a hole compiles to what is left of it.
    pub fn compile(hours: &document::Hours, company_zone: &str) -> Result<Self, Vec<HoursError>> {
        compile::compile(hours, company_zone)
    }

    /// A schedule that is never open: what stands in for one that cannot be read.
    #[must_use]
    pub fn never() -> Self {
        Self {
            clock: Clock::new(TimeZone::UTC),
            week: Default::default(),
            dates: Box::default(),
            days: Days::default(),
            holiday_names: Box::default(),
        }
    }

    /// Open or closed at an instant, in milliseconds of UTC since the epoch, and why.
    ///
    /// Does not allocate; costs one look-up of the clock and at most two binary searches in the special dates. An instant that
    /// no civil calendar of the years −9999 to 9999 holds is closed as [`HoursReason::OutOfRange`].
    pub fn at(&self, now_ms: i64) -> Answer {
        let Some(local) = self.civil(now_ms) else {
            return Answer { open: false, why: HoursReason::OutOfRange };
        };
        let date = local.date();
        let minute = minute_of_day(local);
        let civil = CivilMinute { date, minute };
        let (rule, own) = self.day(date);
        if let Some(&interval) = own.iter().find(|interval| interval.from <= minute && minute < interval.to) {
            return Answer { open: true, why: HoursReason::Within { civil, rule, interval, since_yesterday: false } };
        }
        if let Some((rule, interval)) = self.remainder(date)
            && minute < interval.to - DAY_MINUTES
        {
            return Answer { open: true, why: HoursReason::Within { civil, rule, interval, since_yesterday: true } };
        }
        Answer { open: false, why: HoursReason::Outside { civil, rule } }
    }

    /// Whether it is open at an instant: [`Schedule::at`] without the reason, in one look at a bit.
    #[must_use]
    pub fn is_open(&self, now_ms: i64) -> bool {
        // Moments before 1970 are none of the years laid out, and without them the division is a multiplication.
        let second = u64::try_from(now_ms).map_or(i64::MIN, |now_ms| (now_ms / 1000) as i64);
        match self.clock.local_second(second) {
            Some(local) => self.days.is_open(local),
            None => self.at(now_ms).open,
        }
    }

    /// The next instant after `now_ms` at which open becomes closed or the reverse, in milliseconds of UTC.
    ///
    /// `None` when nothing changes within [`HORIZON_MS`] or before the end of the calendar. Costs one `at` for every
    /// boundary passed in between: interval ends, midnights and changes of the zone's clock.
    pub fn next_change(&self, now_ms: i64) -> Option<i64> {
        let open = self.at(now_ms).open;
        let limit = now_ms.saturating_add(HORIZON_MS);
        let mut cursor = now_ms;
        let mut clock_change = now_ms;
        while cursor < limit {
            if cursor >= clock_change {
                clock_change = self.clock_change_after(cursor).unwrap_or(i64::MAX);
            }
            cursor = self.boundary_after(cursor)?.min(clock_change);
            // Between two boundaries of the same offset no civil minute begins or ends an interval.
            self.civil(cursor)?;
            if self.at(cursor).open != open {
                return (cursor <= limit).then_some(cursor);
            }
        }
        None
    }

    /// An instant after which only the weekly hours and the zone's clock decide, in milliseconds of UTC; `None` when no
    /// date has hours of its own.
    #[must_use]
    pub fn last_special_ms(&self) -> Option<i64> {
        // Two days on, the hours of the last date and what they left after midnight are over in every zone.
        let over = self.dates.last()?.date.saturating_add(jiff::Span::new().days(3));
        over.to_zoned(TimeZone::UTC).ok().map(|over| over.timestamp().as_millisecond())
    }

    /// Whether both are open at the same instants.
    ///
    /// True only if they are. False for schedules of different zones, even if the zones never differ.
    pub fn same_hours(&self, other: &Self) -> bool {
        self.covers(other) && other.covers(self)
    }

    /// Whether this is open whenever `other` is; conservative as [`Schedule::same_hours`] is.
    pub fn covers(&self, other: &Self) -> bool {
        if self.clock.zone() != other.clock.zone() {
            return false;
        }
        let mut dates = BTreeSet::new();
        for special in self.dates.iter().chain(&other.dates) {
            dates.insert(special.date);
            dates.extend(special.date.tomorrow());
        }
        (0..7).all(|day| within(&other.open_on_weekday(day), &self.open_on_weekday(day)))
            && dates.into_iter().all(|date| within(&other.open_on(date), &self.open_on(date)))
    }

    /// The name of a holiday, by the index that [`DayRule::Holiday`] carries; empty for an index of another schedule.
    pub fn holiday_name(&self, index: usize) -> &SmolStr {
        const NONE: &SmolStr = &SmolStr::new_static("");
        self.holiday_names.get(index).unwrap_or(NONE)
    }

    /// The wall clock, to the second.
    fn civil(&self, now_ms: i64) -> Option<DateTime> {
        whole_second(now_ms).map(|second| self.clock.at(second))
    }

    /// What begins on a date, and by which rule.
    fn day(&self, date: Date) -> (DayRule, &[Interval]) {
        match self.dates.binary_search_by_key(&date, |special| special.date) {
            Ok(index) => (self.dates[index].rule, &self.dates[index].intervals),
            Err(_) => (DayRule::Weekly, &self.week[weekday_index(date.weekday())]),
        }
    }

    /// The interval of the date before that runs into this one.
    fn remainder(&self, date: Date) -> Option<(DayRule, Interval)> {
        let (rule, intervals) = self.day(date.yesterday().ok()?);
        crossing(intervals).map(|interval| (rule, interval))
    }

    /// The first instant at which the clock shows another boundary, if it goes on as it does now.
    fn boundary_after(&self, now_ms: i64) -> Option<i64> {
        let local = self.civil(now_ms)?;
        let date = local.date();
        let minute = minute_of_day(local);
        let mut boundary = DAY_MINUTES;
        for interval in self.day(date).1 {
            for edge in [interval.from, interval.to] {
                if minute < edge {
                    boundary = boundary.min(edge);
                }
            }
        }
        if let Some((_, interval)) = self.remainder(date)
            && minute < interval.to - DAY_MINUTES
        {
            boundary = boundary.min(interval.to - DAY_MINUTES);
        }
        let into_minute_ms = i64::from(local.second()) * 1000 + now_ms.rem_euclid(1000);
        Some(now_ms - into_minute_ms + i64::from(boundary - minute) * MINUTE_MS)
    }

    fn clock_change_after(&self, now_ms: i64) -> Option<i64> {
        let transition = self.clock.zone().following(whole_second(now_ms)?).next()?;
        Some(transition.timestamp().as_millisecond()).filter(|&at_ms| at_ms > now_ms)
    }

    fn open_on(&self, date: Date) -> Vec<(u16, u16)> {
        open_minutes(self.day(date).1, self.remainder(date).map(|(_, interval)| interval))
    }

    fn open_on_weekday(&self, day: usize) -> Vec<(u16, u16)> {
        open_minutes(&self.week[day], crossing(&self.week[(day + 6) % 7]))
    }
}

/// Offsets change on whole seconds, and only rounding down keeps an instant on its side of a change.
fn whole_second(now_ms: i64) -> Option<Timestamp> {
    Timestamp::from_second(now_ms.div_euclid(1000)).ok()
}

fn minute_of_day(local: DateTime) -> u16 {
    u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs())
}

fn weekday_index(weekday: Weekday) -> usize {
    usize::from(weekday.to_monday_zero_offset().unsigned_abs())
}

fn crossing(intervals: &[Interval]) -> Option<Interval> {
    intervals.last().copied().filter(|interval| interval.to > DAY_MINUTES)
}

/// The open stretches of one date in order, none touching the next.
fn open_minutes(own: &[Interval], remainder: Option<Interval>) -> Vec<(u16, u16)> {
    let mut merged: Vec<(u16, u16)> = Vec::with_capacity(own.len() + 1);
    let early = remainder.map(|interval| (0, interval.to - DAY_MINUTES));
    for (from, to) in early.into_iter().chain(own.iter().map(|own| (own.from, own.to.min(DAY_MINUTES)))) {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

fn within(inner: &[(u16, u16)], outer: &[(u16, u16)]) -> bool {
    inner.iter().all(|inner| outer.iter().any(|outer| outer.0 <= inner.0 && inner.1 <= outer.1))
}
