use proptest::prelude::*;

use super::*;

fn cron(text: &str) -> CronExpression {
    text.parse().unwrap()
}

/// The next instants in the zone after a local time, as local times with their offsets.
fn next(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let zone = TimeZone::get(zone).unwrap();
    let after: DateTime = after.parse().unwrap();
    let mut at = zone.to_ambiguous_timestamp(after).earlier().unwrap();
    let cron = cron(text);
    let mut found = Vec::new();
    for _ in 0..count {
        at = cron.next_after(&zone, at).unwrap();
        found.push(format!("{}{}", zone.to_datetime(at), zone.to_offset(at)));
    }
    found
}

#[test]
fn a_time_of_the_day_that_the_clock_skips_is_the_instant_of_the_change() {
    assert_eq!(
        next("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00", 3),
        ["2026-03-28T02:30:00+01", "2026-03-29T03:00:00+02", "2026-03-30T02:30:00+02"]
    );
    assert_eq!(
        next("0,30 2-3 * * *", "America/New_York", "2026-03-08T00:00:00", 3),
        ["2026-03-08T03:00:00-04", "2026-03-08T03:30:00-04", "2026-03-09T02:00:00-04"],
        "three of the four times of the day lead to the same instant"
    );
    assert_eq!(
        next("15 2 * * *", "Australia/Lord_Howe", "2026-10-04T00:00:00", 2),
        ["2026-10-04T02:30:00+11", "2026-10-05T02:15:00+11"],
        "a change of half an hour"
    );
    assert_eq!(
        next("0 12 30 * *", "Pacific/Apia", "2011-12-01T00:00:00", 2),
        ["2011-12-31T00:00:00+14", "2012-01-30T12:00:00+14"],
        "a whole day is skipped"
    );
}

#[test]
fn a_time_of_the_day_that_occurs_twice_is_the_first_of_the_two() {
    assert_eq!(
        next("30 1 * * *", "America/New_York", "2026-11-01T00:00:00", 2),
        ["2026-11-01T01:30:00-04", "2026-11-02T01:30:00-05"]
    );
    assert_eq!(
        next("45 1 * * *", "Australia/Lord_Howe", "2026-04-05T00:00:00", 2),
        ["2026-04-05T01:45:00+11", "2026-04-06T01:45:00+10:30"]
    );
}

#[test]
fn a_rhythm_follows_the_clock_as_it_is_shown() {
    assert_eq!(
        next("*/30 * * * *", "Europe/Berlin", "2026-03-29T01:00:00", 3),
        ["2026-03-29T01:30:00+01", "2026-03-29T03:00:00+02", "2026-03-29T03:30:00+02"]
    );
    assert_eq!(
        next("30 * * * *", "Europe/Berlin", "2026-10-25T01:45:00", 3),
        ["2026-10-25T02:30:00+02", "2026-10-25T02:30:00+01", "2026-10-25T03:30:00+01"]
    );
    assert_eq!(next("* 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00", 1), ["2026-03-30T02:00:00+02"]);
}

#[test]
fn days_of_the_month_and_of_the_week_are_alternatives() {
    assert_eq!(
        next("0 9 1 * MON", "UTC", "2026-12-01T10:00:00", 2),
        ["2026-12-07T09:00:00+00", "2026-12-14T09:00:00+00"]
    );
    assert_eq!(next("0 9 L * *", "UTC", "2026-02-01T00:00:00", 1), ["2026-02-28T09:00:00+00"]);
    assert_eq!(next("0 9 * * FRI#2", "UTC", "2026-12-01T00:00:00", 1), ["2026-12-11T09:00:00+00"]);
    assert_eq!(next("0 9 29 2 *", "UTC", "2096-03-01T00:00:00", 1), ["2104-02-29T09:00:00+00"]);
}

#[test]
fn an_expression_has_five_fields() {
    let refused = |text: &str| text.parse::<CronExpression>().unwrap_err().to_string();
    assert_eq!(
        refused("0 0 9 * * *"),
        "must have five fields: minute, hour, day of the month, month, day of the week. Seconds and years are not supported"
    );
    for text in
        ["", "@daily", "* * * *", "0 9 * * * 2026", "60 * * * *", "0 24 * * *", "0 9 * * FOO", "5/10 * * * *"]
    {
        refused(text);
    }
    assert_eq!(refused(&"*".repeat(201)), "must have at most 200 bytes");
    assert_eq!(cron("  0   9 * *  mon-fri ").to_string(), "0 9 * * mon-fri");
}

#[test]
fn an_expression_without_any_time_has_no_next_one() {
    let after = Timestamp::from_second(1_800_000_000).unwrap();
    for text in ["0 0 30 2 *", "*/5 * 31 4 *"] {
        assert_eq!(cron(text).next_after(&TimeZone::get("Europe/Berlin").unwrap(), after), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[0-9*,/?LW#+A-Za-z@ -]{0,40}", more in ".{0,40}") {
        for text in [text, more] {
            let Ok(cron) = text.parse::<CronExpression>() else { continue };
            let after = Timestamp::from_second(1_800_000_000).unwrap();
            let next = cron.next_after(&TimeZone::UTC, after);
            prop_assert!(next.is_none_or(|next| next > after));
            prop_assert_eq!(cron.to_string().parse::<CronExpression>().unwrap(), cron);
        }
    }
}
