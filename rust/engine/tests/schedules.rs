//! Schedules against a slow and obvious model that walks the wall clock.
//!
//! The model knows open minutes as plain lists by day number, and counts days and dates by its own arithmetic; all it takes
//! from the time library is the zone's offset at an instant.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kommutator_engine::company::document::{Holidays, Hours};
use kommutator_engine::schedule::{Answer, DayRule, HORIZON_MS, HoursReason, Schedule, time_zone};
use proptest::prelude::*;
use proptest::sample::{Index, select};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 1440 * MINUTE_MS;
const KEYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Zones whose clocks did something of note in the years given.
const ZONES: [(&str, i64); 11] = [
    ("Europe/Moscow", 2008),
    ("Asia/Yekaterinburg", 2008),
    ("Asia/Almaty", 2017),
    ("America/New_York", 2003),
    ("America/St_Johns", 2005),
    ("Europe/Berlin", 2031),
    ("Pacific/Apia", 2006),
    ("Australia/Lord_Howe", 2003),
    ("Africa/Casablanca", 2010),
    ("Asia/Kathmandu", 1980),
    ("America/Sao_Paulo", 2010),
];

/// Minutes from the day's midnight; an end above 1440 is on the next day.
type Spans = Vec<(u16, u16)>;

/// Days are numbered from 1970-01-01, a Thursday.
#[derive(Clone, Debug, Default)]
struct Model {
    weekly: [Spans; 7],
    moved_workday: Option<Spans>,
    closed: BTreeSet<i64>,
    workdays: BTreeSet<i64>,
    exceptions: BTreeMap<i64, Spans>,
}

impl Model {
    fn day(&self, day: i64) -> (&'static str, Spans) {
        if let Some(own) = self.exceptions.get(&day) {
            ("exception", own.clone())
        } else if self.closed.contains(&day) {
            ("holiday", vec![])
        } else if self.workdays.contains(&day) {
            ("moved_workday", self.moved_workday.clone().unwrap_or_else(|| self.weekly[0].clone()))
        } else {
            ("weekly", self.weekly[(day + 3).rem_euclid(7) as usize].clone())
        }
    }

    /// Open or closed, and the code of the reason.
    fn at(&self, day: i64, minute: u16) -> (bool, &'static str) {
        let (rule, own) = self.day(day);
        if own.iter().any(|&(from, to)| from <= minute && minute < to) {
            return (true, rule);
        }
        let (eve_rule, eve) = self.day(day - 1);
        if eve.iter().any(|&(_, to)| minute + 1440 < to) {
            return (true, eve_rule);
        }
        (false, if rule == "exception" || rule == "holiday" { rule } else { "outside_hours" })
    }

    fn hours(&self, zone: &str) -> Hours {
        let weekly = KEYS.iter().zip(&self.weekly).map(|(&key, spans)| (key.into(), write(spans))).collect();
        Hours {
            timezone: Some(zone.into()),
            weekly,
            exceptions: self.exceptions.iter().map(|(&day, spans)| (iso(day), write(spans))).collect(),
            holidays: Some(Holidays {
                country: "RU".into(),
                closed: self.closed.iter().map(|&day| (iso(day), format!("holiday on {}", iso(day)))).collect(),
                workdays: self.workdays.iter().map(|&day| iso(day)).collect(),
            }),
            moved_workday: self.moved_workday.as_ref().map(write),
            broken: false,
        }
    }

    fn schedule(&self, zone: &str) -> Schedule {
        let hours = self.hours(zone);
        Schedule::compile(&hours, "UTC").unwrap_or_else(|faults| panic!("{faults:?} in {hours:?}"))
    }
}

fn write(spans: &Spans) -> Vec<String> {
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let end = |to: u16| if to > 1440 { to - 1440 } else { to };
    spans.iter().map(|&(from, to)| format!("{}-{}", clock(from), clock(end(to)))).collect()
}

/// Counts years and months one by one.
fn iso(day: i64) -> String {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (mut year, mut left) = (1970, day);
    while left < 0 {
        year -= 1;
        left += 365 + i64::from(leap(year));
    }
    while left >= 365 + i64::from(leap(year)) {
        left -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    format!("{year:04}-{:02}-{:02}", month + 1, left + 1)
}

fn january_first(year: i64) -> i64 {
    let days_before = |year: i64| 365 * year + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    days_before(year) - days_before(1970)
}

/// The day number and the minute that the wall clock shows.
fn wall_clock(zone: &TimeZone, at_ms: i64) -> (i64, u16) {
    let second = at_ms.div_euclid(1000);
    let local = second + i64::from(zone.to_offset(Timestamp::from_second(second).unwrap()).seconds());
    (local.div_euclid(86_400), (local.rem_euclid(86_400) / 60) as u16)
}

/// Walks in steps within which nothing may change, and returns the instants at which open became closed or the reverse.
fn walk(model: &Model, zone_name: &str, from_ms: i64, to_ms: i64, step_ms: i64) -> Vec<i64> {
    let zone = time_zone(zone_name).unwrap();
    let schedule = model.schedule(zone_name);
    let mut flips = Vec::new();
    let mut before = None;
    let mut cached: Option<(i64, String)> = None;
    let mut at_ms = from_ms;
    while at_ms < to_ms {
        let (day, minute) = wall_clock(&zone, at_ms);
        let (open, code) = model.at(day, minute);
        if cached.as_ref().is_none_or(|(cached, _)| *cached != day) {
            cached = Some((day, iso(day)));
        }
        let date = &cached.as_ref().unwrap().1;
        let first = schedule.at(at_ms);
        compare(&schedule, first, (open, code), date, minute, at_ms);
        assert_eq!(schedule.at(at_ms + step_ms - 1).open, open, "{zone_name} at the end of the step from {at_ms}");
        assert_eq!(schedule.is_open(at_ms), open, "{zone_name} at {at_ms}");
        if before.is_some_and(|before| before != open) {
            flips.push(at_ms);
        }
        before = Some(open);
        at_ms += step_ms;
    }
    flips
}

fn compare(schedule: &Schedule, answer: Answer, expected: (bool, &str), date: &str, minute: u16, at_ms: i64) {
    assert_eq!((answer.open, answer.why.code()), expected, "{date} minute {minute}, {at_ms} ms: {answer:?}");
    let civil = match answer.why {
        HoursReason::Within { civil, interval, since_yesterday, .. } => {
            let shown = if since_yesterday { minute + 1440 } else { minute };
            assert!(interval.from <= shown && shown < interval.to, "{date} minute {minute} is not in {interval:?}");
            civil
        }
        HoursReason::Outside { civil, rule } => {
            if let DayRule::Holiday(index) = rule {
                assert_eq!(*schedule.holiday_name(index), format!("holiday on {date}"));
            }
            civil
        }
        HoursReason::OutOfRange => panic!("{at_ms} is in range"),
    };
    assert_eq!(civil.minute, minute);
    if minute == 0 {
        assert_eq!(civil.date.to_string(), date);
    }
}

/// Follows `next_change` from `from_ms` and expects exactly the flips of the walk.
fn follow(schedule: &Schedule, from_ms: i64, to_ms: i64, flips: &[i64]) {
    let mut at_ms = from_ms;
    for &flip in flips {
        assert_eq!(schedule.next_change(at_ms), Some(flip), "after {at_ms}");
        assert_eq!(schedule.next_change(flip - 1), Some(flip), "just before {flip}");
        at_ms = flip;
    }
    let beyond = schedule.next_change(at_ms);
    assert!(beyond.is_none_or(|beyond| beyond >= to_ms), "{beyond:?} is within the walk, after {at_ms}");
}

/// Hours that lie on quarters of an hour and busily about the hours at which clocks are changed.
fn busy_office(first_year: i64) -> Model {
    let mut model = Model {
        weekly: [
            vec![(540, 780), (780, 840), (900, 1080)],
            vec![(0, 15), (540, 1080)],
            vec![(105, 165), (540, 1440)],
            vec![(0, 1080)],
            vec![(540, 1005), (1320, 1440 + 75)],
            vec![(150, 165), (1320, 1440 + 120)],
            vec![(135, 165), (180, 195), (1410, 1440 + 30)],
        ],
        moved_workday: Some(vec![(600, 900), (1380, 1440 + 180)]),
        ..Model::default()
    };
    for year in first_year..first_year + 10 {
        let january = january_first(year);
        model.closed.extend([january, january + 1, january + 6, january + 66, january + 120]);
        model.workdays.extend((january + 48..january + 60).filter(|day| (day + 3) % 7 == 5));
        model.exceptions.insert(january + 6, vec![(0, 60), (600, 660)]);
        model.exceptions.insert(january + 200, vec![]);
        model.exceptions.insert(january + 364, vec![(540, 780), (1320, 1440 + 240)]);
        // The Sundays late in March, when many zones change their clocks.
        model.exceptions.extend((january + 80..january + 90).filter(|day| (day + 3) % 7 == 6).map(|day| {
            let hours: Spans = if year % 2 == 0 { vec![(45, 150), (165, 195)] } else { vec![] };
            (day, hours)
        }));
    }
    model
}

fn ten_years(zone: &str) {
    let (_, first_year) = ZONES.into_iter().find(|(name, _)| *name == zone).unwrap();
    let model = busy_office(first_year);
    let (from_ms, to_ms) = (january_first(first_year) * DAY_MS, january_first(first_year + 10) * DAY_MS);
    let flips = walk(&model, zone, from_ms, to_ms, 15 * MINUTE_MS);
    assert!(flips.len() > 8000, "{} flips make no busy office", flips.len());
    follow(&model.schedule(zone), from_ms, to_ms, &flips);
}

macro_rules! ten_years {
    ($($name:ident: $zone:literal),* $(,)?) => {
        mod ten_years {
            $(#[test] fn $name() { super::ten_years($zone); })*
        }
    };
}

// Without St John's, which until 2011 changed its clock at a minute past midnight: no quarter of an hour holds there.
ten_years! {
    moscow: "Europe/Moscow",
    yekaterinburg: "Asia/Yekaterinburg",
    almaty: "Asia/Almaty",
    new_york: "America/New_York",
    berlin: "Europe/Berlin",
    apia: "Pacific/Apia",
    lord_howe: "Australia/Lord_Howe",
    casablanca: "Africa/Casablanca",
    kathmandu: "Asia/Kathmandu",
    sao_paulo: "America/Sao_Paulo",
}

/// A day before it is fitted between its neighbours.
#[derive(Clone, Debug)]
struct RoughDay {
    cuts: BTreeSet<u16>,
    touching: bool,
    remainder: Option<u16>,
}

fn rough_day() -> impl Strategy<Value = RoughDay> {
    (prop::collection::btree_set(0u16..1440, 0..5), any::<bool>(), prop::option::of(1u16..1440))
        .prop_map(|(cuts, touching, remainder)| RoughDay { cuts, touching, remainder })
}

impl RoughDay {
    /// `next_from`: the first minute of the following day, which a remainder may reach but not enter.
    fn fit(&self, next_from: Option<u16>) -> Spans {
        let cuts: Vec<u16> = self.cuts.iter().copied().collect();
        let every = if self.touching { 1 } else { 2 };
        let mut spans: Spans = cuts.windows(2).step_by(every).map(|cut| (cut[0], cut[1])).collect();
        if let (Some(remainder), Some(last)) = (self.remainder, spans.last_mut()) {
            let most = next_from.unwrap_or(1440).min(last.0.saturating_sub(1));
            last.1 = 1440 + remainder.min(most);
        }
        spans
    }

    fn first_from(&self) -> Option<u16> {
        if self.cuts.len() < 2 { None } else { self.cuts.first().copied() }
    }
}

/// What the document says about one date, any of it at once.
#[derive(Clone, Debug)]
struct RoughDate {
    exception: Option<RoughDay>,
    closed: bool,
    workday: bool,
}

fn rough_date() -> impl Strategy<Value = RoughDate> {
    (prop::option::weighted(0.25, rough_day()), prop::bool::weighted(0.15), prop::bool::weighted(0.2))
        .prop_map(|(exception, closed, workday)| RoughDate { exception, closed, workday })
}

prop_compose! {
    fn any_model(days: usize)(
        week in prop::collection::vec(rough_day(), 7),
        moved in prop::option::of(rough_day()),
        dates in prop::collection::vec(rough_date(), days),
    ) -> (Model, Vec<RoughDate>) {
        let weekly = std::array::from_fn(|day| week[day].fit(week[(day + 1) % 7].first_from()));
        let moved_workday = moved.map(|moved| moved.fit(None));
        (Model { weekly, moved_workday, ..Model::default() }, dates)
    }
}

fn lay_dates(model: &mut Model, first_day: i64, dates: &[RoughDate]) {
    for (index, date) in dates.iter().enumerate() {
        let day = first_day + index as i64;
        if let Some(exception) = &date.exception {
            let next = dates.get(index + 1).and_then(|next| next.exception.as_ref());
            model.exceptions.insert(day, exception.fit(next.and_then(RoughDay::first_from)));
        }
        if date.closed {
            model.closed.insert(day);
        }
        if date.workday {
            model.workdays.insert(day);
        }
    }
}

/// All of `i64`, with a half of the draws in and about the civil calendar.
fn any_instant() -> impl Strategy<Value = i64> {
    let (first, last) = (Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond());
    prop_oneof![
        2 => any::<i64>(),
        1 => first..last,
        1 => prop_oneof![first - 2000..first + 2 * DAY_MS, last - 2 * DAY_MS..last + 2000],
        1 => select(vec![i64::MIN, i64::MAX, first, last, 0, -1]),
    ]
}

/// An instant near a change of the zone's clock, or anywhere between 1975 and 2060.
fn start_ms(zone: &TimeZone, near_change: bool, which: Index, anywhere_minute: i64) -> i64 {
    let since = Timestamp::from_second(january_first(1975) * 86_400).unwrap();
    let until_ms = january_first(2060) * DAY_MS;
    let changes: Vec<i64> = zone
        .following(since)
        .map(|change| change.timestamp().as_millisecond())
        .take_while(|&at_ms| at_ms < until_ms)
        .collect();
    if near_change && !changes.is_empty() { *which.get(&changes) - 2 * DAY_MS } else { anywhere_minute * MINUTE_MS }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_schedule_follows_the_wall_clock(
        (mut model, dates) in any_model(8),
        zone in select(ZONES.map(|(zone, _)| zone).to_vec()),
        near_change in prop::bool::weighted(0.8),
        which in any::<Index>(),
        anywhere_minute in january_first(1975) * 1440..january_first(2060) * 1440,
        inside_minute_ms in 0..MINUTE_MS,
    ) {
        let start_ms = start_ms(&time_zone(zone).unwrap(), near_change, which, anywhere_minute);
        lay_dates(&mut model, start_ms.div_euclid(DAY_MS) - 2, &dates);
        let end_ms = start_ms + 5 * DAY_MS;
        let flips = walk(&model, zone, start_ms, end_ms, MINUTE_MS);
        let schedule = model.schedule(zone);
        follow(&schedule, start_ms, end_ms, &flips);
        for at_ms in (start_ms..end_ms).step_by(7 * 3_600_000).map(|at_ms| at_ms + inside_minute_ms) {
            let flip = flips.iter().copied().find(|&flip| flip > at_ms);
            match flip {
                Some(flip) => prop_assert_eq!(schedule.next_change(at_ms), Some(flip)),
                None => prop_assert!(schedule.next_change(at_ms).is_none_or(|beyond| beyond >= end_ms)),
            }
        }
    }

    /// Spelled in other pieces, hours stay the same; with a minute more or less they are others.
    #[test]
    fn same_hours_compares_what_is_open_and_not_how_it_is_written(
        (mut model, dates) in any_model(10),
        pick in any::<Index>(),
    ) {
        let zone = "Europe/Berlin";
        let first_day = january_first(2026);
        lay_dates(&mut model, first_day, &dates);
        let schedule = model.schedule(zone);

        let mut pieces = model.clone();
        let halve = |spans: &mut Spans| {
            *spans = spans
                .iter()
                .flat_map(|&(from, to)| {
                    let middle = from + (to.min(1440) - from) / 2;
                    if from < middle { vec![(from, middle), (middle, to)] } else { vec![(from, to)] }
                })
                .collect();
        };
        pieces.weekly.iter_mut().chain(pieces.exceptions.values_mut()).for_each(halve);
        pieces.moved_workday.iter_mut().for_each(halve);
        prop_assert!(schedule.same_hours(&pieces.schedule(zone)));
        prop_assert!(!schedule.same_hours(&pieces.schedule("Europe/Paris")));

        let mut shorter = model.clone();
        let mut all: Vec<&mut (u16, u16)> =
            shorter.weekly.iter_mut().flatten().filter(|span| span.1 - span.0 > 1 && span.1 <= 1440).collect();
        prop_assume!(!all.is_empty());
        let chosen = pick.index(all.len());
        all[chosen].0 += 1;
        let shorter = shorter.schedule(zone);
        prop_assert!(!schedule.same_hours(&shorter));
        prop_assert!(schedule.covers(&shorter));
        prop_assert!(!shorter.covers(&schedule));
    }

    #[test]
    fn any_instant_has_an_answer(
        (mut model, dates) in any_model(4),
        zone in select(ZONES.map(|(zone, _)| zone).to_vec()),
        now_ms in any_instant(),
    ) {
        lay_dates(&mut model, january_first(2026), &dates);
        let schedule = model.schedule(zone);
        let answer = schedule.at(now_ms);
        let in_range = (Timestamp::MIN.as_millisecond()..=Timestamp::MAX.as_millisecond()).contains(&now_ms);
        prop_assert_eq!(answer.why == HoursReason::OutOfRange, !in_range);
        prop_assert!(in_range || !answer.open);
        if let Some(change) = schedule.next_change(now_ms) {
            prop_assert!(now_ms < change && change <= now_ms + HORIZON_MS);
        }
    }
}
