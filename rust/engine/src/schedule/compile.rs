//! From hours as written to their compiled form, with every fault named at its place.

use std::collections::BTreeMap;

use indexmap::IndexSet;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use smol_str::SmolStr;

use super::clock::Clock;
use super::days::{Days, weekday};
use super::{DAY_MINUTES, DAY_SECONDS, DayRule, Interval, Schedule, SpecialDate, time_zone};
use crate::company::document::{Holidays, Hours, Ids};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const WEEK_MINUTES: i64 = 7 * DAY_MINUTES as i64;
const SUNDAY: i64 = 6 * DAY_MINUTES as i64;

/// A fault of hours as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{fault}")]
pub struct HoursError {
    /// Keys from the schedule down, such as `weekly`, `mon-thu`; empty when the company's own zone is at fault.
    pub path: Vec<String>,
    /// What is wrong there.
    pub fault: HoursFault,
}

/// What can be wrong with hours as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum HoursFault {
    /// No zone of the IANA database has this name.
    #[error("unknown time zone `{zone}`")]
    UnknownZone {
        /// As written.
        zone: String,
    },
    /// Not a day of the week, nor days joined by `-` and `,`.
    #[error(
        "unknown day `{day}`: write mon, tue, wed, thu, fri, sat, sun, a range such as mon-thu, or both joined by commas"
    )]
    UnknownDay {
        /// The part that is not understood.
        day: String,
    },
    /// A weekday has hours already.
    #[error("{day} is named twice")]
    DayTwice {
        /// The day's short name.
        day: &'static str,
    },
    /// Not `HH:MM-HH:MM`.
    #[error("`{interval}` is not an interval: write HH:MM-HH:MM, from 00:00 to at most 24:00")]
    BadInterval {
        /// As written.
        interval: String,
    },
    /// An interval that ends where it begins.
    #[error("`{interval}` has no length: write 00:00-24:00 for a whole day")]
    EmptyInterval {
        /// As written.
        interval: String,
    },
    /// Two intervals that share a minute, on one day or across midnight.
    #[error("hours overlap: {first} and {second}")]
    Overlap {
        /// The one that begins first.
        first: Interval,
        /// The other, at whose place this is reported.
        second: Interval,
    },
    /// Not a date `YYYY-MM-DD` of the calendar.
    #[error("`{date}` is not a date: write YYYY-MM-DD")]
    BadDate {
        /// As written.
        date: String,
    },
}

impl HoursFault {
    /// The fault as a stable word: `unknown_zone`, `unknown_day`, `day_twice`, `bad_interval`, `empty_interval`,
    /// `hours_overlap`, `bad_date`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownZone { .. } => "unknown_zone",
            Self::UnknownDay { .. } => "unknown_day",
            Self::DayTwice { .. } => "day_twice",
            Self::BadInterval { .. } => "bad_interval",
            Self::EmptyInterval { .. } => "empty_interval",
            Self::Overlap { .. } => "hours_overlap",
            Self::BadDate { .. } => "bad_date",
        }
    }
}

pub(super) fn compile(hours: &Hours, company_zone: &str) -> Result<Schedule, Vec<HoursError>> {
    let mut faults = Faults::default();
    let zone = read_zone(hours.timezone.as_deref(), company_zone, &mut faults);
    let week = read_week(&hours.weekly, &mut faults);
    let exceptions = read_exceptions(&hours.exceptions, &mut faults);
    let moved = hours.moved_workday.as_deref().map(|written| read_moved_workday(written, &mut faults));
    let moved = moved.unwrap_or_else(|| week[0].clone());

    // A later insertion overrides an earlier one: exceptions win over closed dates, and those over moved workdays.
    let mut dates = BTreeMap::new();
    let mut holiday_names = Vec::new();
    if let Some(calendar) = &hours.holidays {
        dates.extend(read_workdays(calendar, &mut faults).map(|date| (date, (DayRule::MovedWorkday, moved.clone()))));
        dates.extend(read_closed(calendar, &mut faults).map(|(date, rule)| (date, (rule, Box::default()))));
        holiday_names.extend(calendar.closed.values().map(SmolStr::new));
    }
    dates.extend(exceptions.into_iter().map(|(date, intervals)| (date, (DayRule::Exception, intervals))));

    match zone {
        Some(zone) if faults.0.is_empty() => {
            let special: Vec<i32> = dates.keys().map(|&date| days_since_epoch(date)).collect();
            let dates: Box<[SpecialDate]> =
                dates.into_iter().map(|(date, (rule, intervals))| SpecialDate { date, rule, intervals }).collect();
            let days = Days::new(&special, |day| match special.binary_search(&(day as i32)) {
                Ok(at) => &dates[at].intervals,
                Err(_) => &week[weekday(day)],
            });
            Ok(Schedule { clock: Clock::new(zone), week, dates, days, holiday_names: holiday_names.into() })
        }
        _ => Err(faults.0.into_iter().collect()),
    }
}

/// From 1970-01-01; every civil date has so few.
fn days_since_epoch(date: Date) -> i32 {
    (date.duration_since(Date::constant(1970, 1, 1)).as_secs() / DAY_SECONDS) as i32
}

/// In the order found; a fault that a range of days meets on each of them is told once.
#[derive(Default)]
struct Faults(IndexSet<HoursError>);

impl Faults {
    fn push(&mut self, path: &[&str], fault: HoursFault) {
        self.0.insert(HoursError { path: path.iter().map(|&key| key.into()).collect(), fault });
    }
}

fn read_zone(own: Option<&str>, company_zone: &str, faults: &mut Faults) -> Option<TimeZone> {
    let name = own.unwrap_or(company_zone);
    let zone = time_zone(name);
    if zone.is_none() {
        let path: &[&str] = if own.is_some() { &["timezone"] } else { &[] };
        faults.push(path, HoursFault::UnknownZone { zone: name.into() });
    }
    zone
}

fn read_week(weekly: &Ids<Vec<String>>, faults: &mut Faults) -> [Box<[Interval]>; 7] {
    let mut week: [Option<Box<[Interval]>>; 7] = Default::default();
    let mut line = Vec::new();
    for (key, written) in weekly {
        let path = ["weekly", key.as_str()];
        let intervals = read_intervals(written, &path, faults);
        for day in read_days(key, &path, faults) {
            if week[day].is_some() {
                faults.push(&path, HoursFault::DayTwice { day: DAYS[day] });
                continue;
            }
            line.extend(intervals.iter().map(|&interval| Placed::new(day as i64, interval, Some(key))));
            week[day] = Some(intervals.as_slice().into());
        }
    }
    // Sunday once more, before Monday: the week is a ring.
    let sunday: Vec<Placed<'_>> = line.iter().filter(|placed| placed.begin >= SUNDAY).copied().collect();
    line.extend(sunday.iter().map(|placed| Placed { begin: placed.begin - WEEK_MINUTES, ..*placed }));
    refuse_overlaps(line, "weekly", faults);
    week.map(Option::unwrap_or_default)
}

fn read_exceptions(exceptions: &Ids<Vec<String>>, faults: &mut Faults) -> Vec<(Date, Box<[Interval]>)> {
    let mut dates = Vec::with_capacity(exceptions.len());
    let mut line = Vec::new();
    for (key, written) in exceptions {
        let path = ["exceptions", key.as_str()];
        let intervals = read_intervals(written, &path, faults);
        let Some(date) = read_date(key) else {
            faults.push(&path, HoursFault::BadDate { date: key.clone() });
            continue;
        };
        line.extend(intervals.iter().map(|&interval| Placed::new(day_number(date), interval, Some(key))));
        dates.push((date, intervals.into()));
    }
    refuse_overlaps(line, "exceptions", faults);
    dates
}

fn read_moved_workday(written: &[String], faults: &mut Faults) -> Box<[Interval]> {
    let intervals = read_intervals(written, &["moved_workday"], faults);
    let line = intervals.iter().map(|&interval| Placed::new(0, interval, None)).collect();
    refuse_overlaps(line, "moved_workday", faults);
    intervals.into()
}

fn read_closed(calendar: &Holidays, faults: &mut Faults) -> impl Iterator<Item = (Date, DayRule)> {
    let mut closed = Vec::with_capacity(calendar.closed.len());
    for (index, key) in calendar.closed.keys().enumerate() {
        match read_date(key) {
            Some(date) => closed.push((date, DayRule::Holiday(index))),
            None => faults.push(&["holidays", "closed", key], HoursFault::BadDate { date: key.clone() }),
        }
    }
    closed.into_iter()
}

fn read_workdays(calendar: &Holidays, faults: &mut Faults) -> impl Iterator<Item = Date> {
    let mut workdays = Vec::with_capacity(calendar.workdays.len());
    for written in &calendar.workdays {
        match read_date(written) {
            Some(date) => workdays.push(date),
            None => faults.push(&["holidays", "workdays", written], HoursFault::BadDate { date: written.clone() }),
        }
    }
    workdays.into_iter()
}

/// The days of `mon`, `mon-thu`, `fri-mon` (across the week's end) or several of these joined by commas.
fn read_days(key: &str, path: &[&str], faults: &mut Faults) -> Vec<usize> {
    let number = |name: &str| DAYS.iter().position(|&day| day == name);
    let mut days = Vec::new();
    for part in key.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (number(first), number(last)) {
            (Some(first), Some(last)) => days.extend((0..=(last + 7 - first) % 7).map(|step| (first + step) % 7)),
            _ => faults.push(path, HoursFault::UnknownDay { day: part.into() }),
        }
    }
    days
}

/// The intervals that can be read, in order of the day.
fn read_intervals(written: &[String], path: &[&str], faults: &mut Faults) -> Vec<Interval> {
    let mut intervals = Vec::with_capacity(written.len());
    for text in written {
        match read_interval(text) {
            None => faults.push(path, HoursFault::BadInterval { interval: text.clone() }),
            Some(Interval { from, to }) if from == to => {
                faults.push(path, HoursFault::EmptyInterval { interval: text.clone() });
            }
            Some(interval) => intervals.push(interval),
        }
    }
    intervals.sort_unstable();
    intervals
}

/// `HH:MM-HH:MM`; an end before the beginning is meant on the next day, and `00:00` as an end is `24:00`.
fn read_interval(text: &str) -> Option<Interval> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (read_minute(from)?, read_minute(to)?);
    if from == DAY_MINUTES {
        return None;
    }
    Some(Interval { from, to: if to < from { to + DAY_MINUTES } else { to } })
}

fn read_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (read_digits(hour, 2)?, read_digits(minute, 2)?);
    (hour < 24 && minute < 60 || hour == 24 && minute == 0).then_some(hour * 60 + minute)
}

fn read_date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let year = read_digits(parts.next()?, 4)?;
    let month = read_digits(parts.next()?, 2)?;
    let day = read_digits(parts.next()?, 2)?;
    Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()
}

fn read_digits(text: &str, length: usize) -> Option<u16> {
    (text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn day_number(date: Date) -> i64 {
    date.duration_since(Date::ZERO).as_hours() / 24
}

/// An interval on a line of minutes, with the key it was written under if it has one of its own.
#[derive(Clone, Copy)]
struct Placed<'a> {
    begin: i64,
    interval: Interval,
    key: Option<&'a str>,
}

impl<'a> Placed<'a> {
    fn new(day: i64, interval: Interval, key: Option<&'a str>) -> Self {
        Self { begin: day * i64::from(DAY_MINUTES) + i64::from(interval.from), interval, key }
    }

    fn end(&self) -> i64 {
        self.begin + i64::from(self.interval.to - self.interval.from)
    }
}

/// Reports whatever begins before all that began earlier has ended.
fn refuse_overlaps(mut line: Vec<Placed<'_>>, part: &str, faults: &mut Faults) {
    line.sort_by_key(|placed| (placed.begin, placed.end()));
    let mut reaching: Option<Placed<'_>> = None;
    for placed in line {
        if let Some(first) = reaching.filter(|first| placed.begin < first.end()) {
            let path: Vec<&str> = [part].into_iter().chain(placed.key).collect();
            faults.push(&path, HoursFault::Overlap { first: first.interval, second: placed.interval });
        }
        if reaching.is_none_or(|first| first.end() < placed.end()) {
            reaching = Some(placed);
        }
    }
}
