//! The due times of cron expressions, calculated in another way: by watching a clock minute by minute.

use std::{collections::BTreeSet, ops::RangeInclusive};

use jiff::{Timestamp, tz::TimeZone};

/// Minutes of a day.
const DAY: i64 = 24 * 60;

/// The numbers that each field of an expression allows.
pub(crate) struct Fields {
    minute: BTreeSet<i8>,
    hour: BTreeSet<i8>,
    day: BTreeSet<i8>,
    month: BTreeSet<i8>,
    weekday: BTreeSet<i8>,
    /// The day of the month, and that of the week, is limited.
    limits: (bool, bool),
    has_rhythm: bool,
}

impl Fields {
    /// Reads an expression of numbers, lists, ranges and steps.
    pub(crate) fn read(text: &str) -> Self {
        let fields: Vec<&str> = text.split(' ').collect();
        let [minute, hour, day, month, weekday] = fields[..] else { panic!("{text}") };
        Self {
            has_rhythm: minute.contains('*') || hour.contains('*'),
            limits: (!day.starts_with('*'), !weekday.starts_with('*')),
            minute: numbers(minute, 0..=59),
            hour: numbers(hour, 0..=23),
            day: numbers(day, 1..=31),
            month: numbers(month, 1..=12),
            weekday: numbers(weekday, 0..=6),
        }
    }

    /// Returns `true` if the expression allows a local time, in minutes since 1970.
    fn allow(&self, local: i64) -> bool {
        let days = local.div_euclid(DAY);
        let minute_of_day = local.rem_euclid(DAY);
        let has = |numbers: &BTreeSet<i8>, number: i64| {
            i8::try_from(number).is_ok_and(|number| numbers.contains(&number))
        };
        if !has(&self.minute, minute_of_day % 60) || !has(&self.hour, minute_of_day / 60) {
            return false;
        }
        let (month, day) = month_and_day(days);
        // 1 January 1970 was a Thursday.
        let is_weekday = has(&self.weekday, (days + 4).rem_euclid(7));
        let is_day = has(&self.day, day);
        let is_date = match self.limits {
            (true, true) => is_day || is_weekday,
            _ => is_day && is_weekday,
        };
        is_date && has(&self.month, month)
    }

    /// Watches the clock of the zone and returns the minutes at which a run is due, after `from` and up to `to`.
    pub(crate) fn watch(&self, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        let [from, to] = [from, to].map(|at| at.as_second().div_euclid(60));
        let offset = |minute: i64| i64::from(zone.to_offset(instant(minute)).seconds()) / 60;
        let mut due = Vec::new();
        let mut ahead = offset(from);
        // The latest time that the clock has shown.
        let mut shown = from + ahead;
        for at in from + 1..=to {
            // Clocks are changed at a quarter of an hour of UTC.
            if at % 15 == 0 {
                ahead = offset(at);
            }
            let now = at + ahead;
            let is_due = if self.has_rhythm {
                self.allow(now)
            } else {
                // Every minute that is new, those included that the clock has skipped.
                (shown + 1..=now).any(|minute| self.allow(minute))
            };
            shown = shown.max(now);
            if is_due {
                due.push(instant(at));
            }
        }
        due
    }
}

fn instant(minute: i64) -> Timestamp {
    Timestamp::from_second(minute * 60).unwrap()
}

/// Returns the month and the day of the month of a day since 1970, by counting.
fn month_and_day(mut days: i64) -> (i64, i64) {
    let mut year = 1970;
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (month, days + 1)
}

fn numbers(field: &str, all: RangeInclusive<i8>) -> BTreeSet<i8> {
    field.split(',').flat_map(|item| item_numbers(item, all.clone())).collect()
}

fn item_numbers(item: &str, all: RangeInclusive<i8>) -> Vec<i8> {
    let (range, step) = item.split_once('/').unwrap_or((item, "1"));
    let range = match range.split_once('-') {
        _ if range == "*" => all,
        Some((first, last)) => first.parse().unwrap()..=last.parse().unwrap(),
        None => range.parse().unwrap()..=range.parse().unwrap(),
    };
    range.step_by(step.parse().unwrap()).collect()
}
