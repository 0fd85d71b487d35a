//! The due times of cron expressions, calculated in another way: by watching a clock minute by minute.

use std::{collections::BTreeSet, ops::RangeInclusive};

use jiff::{Timestamp, ToSpan as _, civil::DateTime, tz::TimeZone};

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

    fn allow(&self, at: DateTime) -> bool {
        let is_day = self.day.contains(&at.day());
        let is_weekday = self.weekday.contains(&at.weekday().to_sunday_zero_offset());
        let is_date = match self.limits {
            (true, true) => is_day || is_weekday,
            _ => is_day && is_weekday,
        };
        let is_time = self.minute.contains(&at.minute()) && self.hour.contains(&at.hour());
        is_time && is_date && self.month.contains(&at.month())
    }

    /// Watches the clock of the zone and returns the minutes at which a run is due, after `from` and up to `to`.
    pub(crate) fn watch(&self, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        let mut due = Vec::new();
        let mut at = from;
        // The latest time that the clock has shown.
        let mut shown = zone.to_datetime(from);
        while at < to {
            at += 1.minute();
            let now = zone.to_datetime(at);
            let is_due = if self.has_rhythm {
                self.allow(now)
            } else {
                // Every minute that is new, those included that the clock has skipped.
                let mut is_due = false;
                while shown < now {
                    shown = shown.checked_add(1.minute()).unwrap();
                    is_due |= self.allow(shown);
                }
                is_due
            };
            if is_due {
                due.push(at);
            }
        }
        due
    }
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
