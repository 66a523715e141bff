//! What administrators expect of schedules, case by case, and what they are told about hours that cannot be.
#![allow(clippy::unwrap_used, clippy::panic)]

use jiff::Timestamp;
use kommutator_engine::company::document::Hours;
use kommutator_engine::schedule::{DayRule, HORIZON_MS, HoursFault, HoursReason, Interval, Schedule};
use serde_json::{Value, json};

fn ms(instant: &str) -> i64 {
    instant.parse::<Timestamp>().unwrap().as_millisecond()
}

fn hours(written: Value) -> Hours {
    serde_json::from_value(written).unwrap()
}

fn schedule(written: Value) -> Schedule {
    Schedule::compile(&hours(written), "Europe/Moscow").unwrap()
}

fn code(schedule: &Schedule, instant: &str) -> &'static str {
    let answer = schedule.at(ms(instant));
    let closed = ["outside_hours", "holiday", "out_of_range"].contains(&answer.why.code());
    assert!(!(answer.open && closed), "{answer:?}");
    answer.why.code()
}

/// All changes from one instant to another, as text in UTC.
fn changes(schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut at_ms = ms(from);
    while let Some(change) = schedule.next_change(at_ms).filter(|&change| change < ms(to)) {
        found.push(Timestamp::from_millisecond(change).unwrap().to_string());
        at_ms = change;
    }
    found
}

/// Each fault as `path: code`.
fn faults(written: Value) -> Vec<String> {
    let errors = Schedule::compile(&hours(written), "Europe/Moscow").unwrap_err();
    errors.into_iter().map(|error| format!("{}: {}", error.path.join("/"), error.fault.code())).collect()
}

fn office() -> Value {
    json!({
        "weekly": {"mon-thu": ["09:00-18:00"], "fri": ["09:00-16:45"], "sat": ["22:00-02:00"]},
        "holidays": {
            "country": "RU",
            "closed": {"2026-12-31": "Перенос", "2027-01-01": "Новый год", "2027-01-09": "Перенос"},
            "workdays": ["2027-02-20"]
        },
        "exceptions": {"2026-12-31": ["09:00-13:00"], "2026-12-28": []}
    })
}

#[test]
fn an_interval_holds_its_first_minute_and_not_its_end() {
    let office = schedule(office());
    assert_eq!(code(&office, "2026-11-18T08:59:59.999+03:00"), "outside_hours");
    assert_eq!(code(&office, "2026-11-18T09:00:00+03:00"), "weekly");
    assert_eq!(code(&office, "2026-11-18T17:59:59.999+03:00"), "weekly");
    assert_eq!(code(&office, "2026-11-18T18:00:00+03:00"), "outside_hours");
    assert_eq!(code(&office, "2026-11-20T16:44:00+03:00"), "weekly");
    assert_eq!(code(&office, "2026-11-20T16:45:00+03:00"), "outside_hours");
}

#[test]
fn an_interval_across_midnight_is_told_with_the_day_it_began() {
    let office = schedule(office());
    let answer = office.at(ms("2026-11-22T01:59:00+03:00"));
    let HoursReason::Within { civil, rule, interval, since_yesterday } = answer.why else { panic!("{answer:?}") };
    assert_eq!((civil.to_string().as_str(), rule, since_yesterday), ("2026-11-22 01:59", DayRule::Weekly, true));
    assert_eq!((interval, interval.to_string().as_str()), (Interval { from: 1320, to: 1560 }, "22:00-02:00"));
    assert_eq!(code(&office, "2026-11-22T02:00:00+03:00"), "outside_hours");
}

#[test]
fn exceptions_win_over_holidays_and_holidays_over_the_week() {
    let office = schedule(office());
    assert_eq!(code(&office, "2026-12-28T12:00:00+03:00"), "exception");
    assert!(!office.at(ms("2026-12-28T12:00:00+03:00")).open);
    assert!(office.at(ms("2026-12-31T12:00:00+03:00")).open);
    assert!(!office.at(ms("2026-12-31T13:00:00+03:00")).open);
    assert_eq!(code(&office, "2027-01-01T12:00:00+03:00"), "holiday");
    let HoursReason::Outside { rule: DayRule::Holiday(index), .. } = office.at(ms("2027-01-01T12:00:00+03:00")).why
    else {
        panic!("closed by the calendar")
    };
    assert_eq!(office.holiday_name(index), "Новый год");
    assert_eq!(office.holiday_name(99), "");
}

#[test]
fn a_moved_workday_has_mondays_hours_unless_it_has_its_own() {
    let saturday = "2027-02-20T17:30:00+03:00";
    assert_eq!(code(&schedule(office()), saturday), "moved_workday");
    let mut own = office();
    own["moved_workday"] = json!(["09:00-17:00"]);
    assert_eq!(code(&schedule(own), saturday), "outside_hours");
}

#[test]
fn a_night_shift_is_worked_to_its_end_on_a_closed_morning() {
    let bar = schedule(json!({
        "weekly": {"mon-sun": ["22:00-04:00"]},
        "exceptions": {"2026-11-18": []},
        "holidays": {"country": "RU", "closed": {"2026-11-20": "Праздник"}}
    }));
    let found = changes(&bar, "2026-11-17T21:00:00+03:00", "2026-11-21T21:00:00+03:00");
    let expected = [
        "2026-11-17T19:00:00Z", // in the evening before the closed date, which it leaves at four
        "2026-11-18T01:00:00Z",
        "2026-11-19T19:00:00Z", // nothing began on the 18th, so nothing is left of it on the 19th
        "2026-11-20T01:00:00Z",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_zone_that_changes_its_rules_keeps_its_wall_clock() {
    let moscow = schedule(json!({"weekly": {"mon-fri": ["09:00-18:00"]}}));
    // Winter time, permanent summer time from 2011-03-27, permanent winter time from 2014-10-26.
    for (from, opens) in [
        ("2010-12-01T00:00:00Z", "2010-12-01T06:00:00Z"),
        ("2012-12-03T00:00:00Z", "2012-12-03T05:00:00Z"),
        ("2014-10-24T20:00:00Z", "2014-10-27T06:00:00Z"),
    ] {
        assert_eq!(moscow.next_change(ms(from)), Some(ms(opens)));
    }
    // Kazakhstan put its clocks back an hour at the midnight before 2024-03-01, so the last hour of February came twice.
    let almaty = schedule(json!({"timezone": "Asia/Almaty", "weekly": {"thu": ["23:30-23:45"]}}));
    let expected = ["2024-02-29T17:30:00Z", "2024-02-29T17:45:00Z", "2024-02-29T18:30:00Z", "2024-02-29T18:45:00Z"];
    assert_eq!(changes(&almaty, "2024-02-29T12:00:00Z", "2024-03-02T12:00:00Z"), expected);
}

#[test]
fn a_minute_that_comes_twice_is_open_twice_and_one_that_is_skipped_never() {
    let new_york = schedule(json!({"timezone": "America/New_York", "weekly": {"sun": ["01:15-01:45", "02:00-03:00"]}}));
    assert_eq!(
        changes(&new_york, "2024-11-03T00:00:00Z", "2024-11-04T00:00:00Z"),
        [
            "2024-11-03T05:15:00Z",
            "2024-11-03T05:45:00Z",
            "2024-11-03T06:15:00Z",
            "2024-11-03T06:45:00Z",
            "2024-11-03T07:00:00Z",
            "2024-11-03T08:00:00Z"
        ]
    );
    let spring = changes(&new_york, "2024-03-10T00:00:00Z", "2024-03-11T00:00:00Z");
    assert_eq!(spring, ["2024-03-10T06:15:00Z", "2024-03-10T06:45:00Z"]);
    // Lord Howe moves its clock by half an hour, from 02:00 to 02:30: half of this interval is left.
    let lord_howe = schedule(json!({"timezone": "Australia/Lord_Howe", "weekly": {"sun": ["01:45-02:45"]}}));
    let spring = changes(&lord_howe, "2024-10-05T00:00:00Z", "2024-10-07T00:00:00Z");
    assert_eq!(spring, ["2024-10-05T15:15:00Z", "2024-10-05T15:45:00Z"]);
}

#[test]
fn a_date_that_a_zone_skips_has_no_hours() {
    // Samoa went from Thursday the 29th straight to Saturday the 31st of December 2011.
    let apia =
        schedule(json!({"timezone": "Pacific/Apia", "weekly": {"thu": ["09:00-10:00"], "fri": ["09:00-17:00"]}}));
    let found = changes(&apia, "2011-12-29T12:00:00Z", "2012-01-05T00:00:00Z");
    assert_eq!(found, ["2011-12-29T19:00:00Z", "2011-12-29T20:00:00Z", "2012-01-04T19:00:00Z", "2012-01-04T20:00:00Z"]);
}

#[test]
fn an_offset_of_odd_seconds_is_kept_to_the_second() {
    // Liberia was 44 minutes 30 seconds behind until 1972.
    let monrovia = schedule(json!({"timezone": "Africa/Monrovia", "weekly": {"mon-sun": ["09:00-18:00"]}}));
    assert_eq!(monrovia.next_change(ms("1970-06-01T00:00:00.007Z")), Some(ms("1970-06-01T09:44:30Z")));
    // Before the epoch, where rounding towards zero would be a second late.
    assert_eq!(monrovia.next_change(ms("1969-06-01T09:44:29.999Z")), Some(ms("1969-06-01T09:44:30Z")));
}

#[test]
fn a_schedule_that_never_changes_says_so() {
    let always = schedule(json!({"weekly": {"mon-sun": ["00:00-24:00"]}}));
    assert!(always.at(ms("2026-11-18T00:00:00Z")).open);
    assert_eq!(always.next_change(ms("2026-11-18T00:00:00Z")), None);
    let never = schedule(json!({}));
    assert!(!never.at(0).open);
    assert_eq!(never.next_change(0), None);
}

#[test]
fn a_change_is_looked_for_as_far_as_the_horizon() {
    let once = schedule(json!({"exceptions": {"2026-11-18": ["09:00-10:00"]}}));
    let opens = ms("2026-11-18T09:00:00+03:00");
    assert_eq!(once.next_change(opens - HORIZON_MS), Some(opens));
    assert_eq!(once.next_change(opens - HORIZON_MS - 1), None);
}

#[test]
fn the_ends_of_time_are_closed_and_nothing_follows() {
    let always = schedule(json!({"weekly": {"mon-sun": ["00:00-24:00"]}}));
    for now_ms in [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX] {
        assert_eq!(always.at(now_ms).why, HoursReason::OutOfRange);
        assert!(!always.at(now_ms).open);
        assert_eq!(always.next_change(now_ms), None);
    }
    let last_hour = Timestamp::MAX.as_millisecond() - 3_600_000;
    assert!(always.at(last_hour).open);
    assert_eq!(always.next_change(last_hour), None);
}

#[test]
fn days_may_be_written_as_ranges_and_lists() {
    let spelled = schedule(json!({"weekly": {
        "mon": ["09:00-12:00"], "tue": ["09:00-12:00"], "wed": [], "fri": ["09:00-12:00"], "sat": ["10:00-24:00"], "sun": ["10:00-24:00"]
    }}));
    let short = schedule(json!({"weekly": {"mon-tue,fri": ["09:00-12:00"], "sat, sun": ["10:00-00:00"]}}));
    assert!(spelled.same_hours(&short));
    let wrapped = schedule(json!({"weekly": {"fri-mon": ["09:00-18:00"]}}));
    let listed = schedule(json!({"weekly": {"mon,fri,sat,sun": ["09:00-18:00"]}}));
    assert!(wrapped.same_hours(&listed));
}

#[test]
fn hours_are_the_same_only_if_every_date_is() {
    let plain = schedule(json!({"weekly": {"mon-sun": ["22:00-02:00"]}}));
    let split = schedule(json!({"weekly": {"mon-sun": ["00:00-02:00", "22:00-24:00"]}}));
    assert!(plain.same_hours(&split));
    // Closing a date takes the morning after from the one and its own morning from the other.
    let closed = json!({"2026-11-18": []});
    let plain_closed = schedule(json!({"weekly": {"mon-sun": ["22:00-02:00"]}, "exceptions": closed}));
    let split_closed = schedule(json!({"weekly": {"mon-sun": ["00:00-02:00", "22:00-24:00"]}, "exceptions": closed}));
    assert!(!plain_closed.same_hours(&split_closed));
    assert!(plain.covers(&plain_closed) && !plain_closed.covers(&plain));
    let plain_longer = json!({"weekly": {"mon-sun": ["22:00-02:00"]}, "exceptions": {"2026-11-18": ["22:00-03:00"]}});
    assert!(!plain.covers(&schedule(plain_longer)));
    // An exception that says what the week says anyway makes no difference.
    let restated = json!({"weekly": {"mon-sun": ["22:00-02:00"]}, "exceptions": {"2026-11-18": ["22:00-02:00"]}});
    assert!(plain.same_hours(&schedule(restated)));
}

#[test]
fn every_fault_is_told_at_its_place() {
    assert_eq!(
        faults(json!({
            "timezone": "Europe/Atlantis",
            "weekly": {"mon-thu": ["09:00-18:00", "17:00-19:00"], "thu": [], "funday": ["9-18"], "fri": ["12:00-12:00", ""]},
            "exceptions": {"2026-02-30": ["09:00-18:00"], "2026-12-31": ["25:00-26:00"]},
            "moved_workday": ["10:00-12:00", "11:00-13:00"],
            "holidays": {"country": "RU", "closed": {"soon": "?"}, "workdays": ["2026-13-01"]}
        })),
        [
            "timezone: unknown_zone",
            "weekly/thu: day_twice",
            "weekly/funday: bad_interval",
            "weekly/funday: unknown_day",
            "weekly/fri: empty_interval",
            "weekly/fri: bad_interval",
            "weekly/mon-thu: hours_overlap",
            "exceptions/2026-02-30: bad_date",
            "exceptions/2026-12-31: bad_interval",
            "moved_workday: hours_overlap",
            "holidays/workdays/2026-13-01: bad_date",
            "holidays/closed/soon: bad_date",
        ]
    );
}

#[test]
fn a_company_zone_that_is_unknown_blames_no_key_of_the_schedule() {
    let errors = Schedule::compile(&Hours::default(), "Nowhere").unwrap_err();
    assert_eq!(errors[0].path, Vec::<String>::new());
    assert_eq!(errors[0].fault, HoursFault::UnknownZone { zone: "Nowhere".into() });
    assert!(Schedule::compile(&hours(json!({"timezone": "Asia/Almaty"})), "Nowhere").is_ok());
    assert!(Schedule::compile(&Hours::default(), "Etc/Unknown").is_err());
}

#[test]
fn hours_overlap_across_midnight_too() {
    let overlap = |part: &str, key: &str| vec![format!("{part}/{key}: hours_overlap")];
    assert_eq!(faults(json!({"weekly": {"mon": ["22:00-02:00"], "tue": ["01:59-05:00"]}})), overlap("weekly", "tue"));
    assert_eq!(faults(json!({"weekly": {"mon": ["01:00-05:00"], "sun": ["22:00-02:00"]}})), overlap("weekly", "mon"));
    assert_eq!(faults(json!({"weekly": {"mon-sun": ["10:00-09:00", "08:00-09:30"]}})), overlap("weekly", "mon-sun"));
    let dates = json!({"exceptions": {"2026-12-31": ["22:00-06:00"], "2027-01-01": ["05:00-09:00"]}});
    assert_eq!(faults(dates), overlap("exceptions", "2027-01-01"));
    schedule(json!({"weekly": {"mon": ["22:00-02:00"], "tue": ["02:00-05:00"], "sun": ["22:00-00:00"]}}));
}

#[test]
fn everything_within_a_long_interval_overlaps_it() {
    let written = json!({"weekly": {"mon": ["08:00-18:00", "09:00-10:00", "17:00-19:00"]}});
    let errors = Schedule::compile(&hours(written), "UTC").unwrap_err();
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["hours overlap: 08:00-18:00 and 09:00-10:00", "hours overlap: 08:00-18:00 and 17:00-19:00"]);
}

#[test]
fn a_day_is_named_once() {
    assert_eq!(faults(json!({"weekly": {"mon,mon": []}})), ["weekly/mon,mon: day_twice"]);
    assert_eq!(faults(json!({"weekly": {"sat-mon": [], "mon-wed": []}})), ["weekly/mon-wed: day_twice"]);
    for key in ["", "monday", "Mon", "mon-", "-fri", "mon-wed-fri", "mon,,tue", "mon–fri"] {
        assert_eq!(faults(json!({"weekly": {key: []}})), [format!("weekly/{key}: unknown_day")]);
    }
}

#[test]
fn only_hours_and_minutes_make_an_interval() {
    for text in [
        "",
        "-",
        "09:00",
        "9:00-18:00",
        "09:00–18:00",
        "09:00 - 18:00",
        "09:60-10:00",
        "24:00-25:00",
        "24:00-02:00",
        "09:00-24:01",
        "+9:00-18:00",
        "09:00-18:00-19:00",
        "09:00:00-18:00",
        "٠٩:00-18:00",
    ] {
        assert_eq!(faults(json!({"weekly": {"mon": [text]}})), ["weekly/mon: bad_interval"], "{text}");
    }
    for text in ["00:00-00:00", "12:30-12:30"] {
        assert_eq!(faults(json!({"weekly": {"mon": [text]}})), ["weekly/mon: empty_interval"], "{text}");
    }
}

#[test]
fn only_a_day_of_the_calendar_is_a_date() {
    for text in ["", "2026-2-3", "20260203", "2026-02-29", "2026-02-03T00:00", "2026-00-10", "-026-02-03", "03.02.2026"]
    {
        assert_eq!(faults(json!({"exceptions": {text: []}})), [format!("exceptions/{text}: bad_date")]);
    }
    schedule(json!({"exceptions": {"2028-02-29": []}}));
}

#[test]
fn days_laid_out_and_days_that_are_not_answer_alike() {
    for zone in ["Pacific/Kiritimati", "Etc/GMT+12", "Europe/Berlin", "Europe/Moscow"] {
        let schedule = schedule(json!({
            "timezone": zone,
            "weekly": {"mon-fri": ["09:00-18:00"], "sat": ["22:00-02:00"]},
            "exceptions": {
                "1969-12-31": ["23:00-01:00"],
                "2019-12-30": ["22:00-03:00"],
                "2019-12-31": [],
                "2020-01-01": ["00:30-01:00", "23:00-05:00"],
                "2026-11-20": ["12:00-12:01"],
                "2059-12-31": ["20:00-04:00"],
                "2060-01-01": ["05:00-06:00"],
                "2060-01-02": [],
            },
        }));
        for edge in ["1970-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "2026-11-20T12:00:00Z", "2060-01-01T00:00:00Z"] {
            for step in -500..500 {
                let at_ms = ms(edge) + step * 11 * 60_000 + step.rem_euclid(3) - 1;
                assert_eq!(schedule.is_open(at_ms), schedule.at(at_ms).open, "{zone} {edge} {step}");
            }
        }
    }
}
