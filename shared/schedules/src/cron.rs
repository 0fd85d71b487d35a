//! Cron expressions, and the instants that they name in a time zone.
//!
//! `croner` finds the local times that an expression matches, and `jiff` the instants of these times. The rule for the hours
//! in which a clock is changed is that of Vixie cron:
//!
//! * An expression whose minute and hour are numbers, such as `30 2 * * *` or `0 9,17 * * *`, names **times of a day**. Each
//!   of them is one instant. A time that the clock skips is the instant of the change, and a time that occurs twice is the
//!   first of the two.
//! * An expression with `*` in the minute or the hour, such as `*/15 * * * *`, names **a rhythm**. It follows the clock as it
//!   is shown: times that the clock skips are left out, and times that occur twice are two instants.
//!
//! Times of a day that lead to the same instant are one: at `0 2-3 * * *`, the two times of the day on which 2 to 3 o'clock
//! is skipped.

use std::{fmt, str::FromStr};

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    SignedDuration, Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};
use serde::{Deserialize, Serialize};

/// Longest expression in bytes.
const LONGEST: usize = 200;
/// Changes of a clock that a search passes. The expressions that match least often do so after 40 years, around the year
/// 2100, which has no 29 February.
const MAX_CHANGES: usize = 200;

/// The text is not a cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCron(String);

/// A cron expression with five fields: minute, hour, day of the month, month and day of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, max_length = 200, example = "30 8 * * MON-FRI"))]
pub struct CronExpression(Box<ParsedCron>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct ParsedCron {
    text: String,
    cron: Cron,
    /// The minute or the hour is a rhythm and not a time of the day.
    has_rhythm: bool,
}

impl CronExpression {
    /// Returns the first instant after `after` that the expression names in `zone`. Returns `None` if there is none.
    pub(crate) fn next_after(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        if self.0.has_rhythm { self.next_of_rhythm(zone, after) } else { self.next_of_day(zone, after) }
    }

    /// Finds the next of the times of a day. An earlier local time is never a later instant, so the search may begin at the
    /// local time of `after`.
    fn next_of_day(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let mut local = zone.to_datetime(after);
        loop {
            local = self.next_local(local, false)?;
            let at = instant(zone, local)?;
            if at > after {
                return Some(at);
            }
        }
    }

    /// Finds the next time of a rhythm. Between two changes of the clock, local times and instants differ by one offset.
    fn next_of_rhythm(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let mut from = after;
        for passed in 0..MAX_CHANGES {
            let offset = zone.to_offset(from);
            let local = self.next_local(offset.to_datetime(from), passed > 0)?;
            let at = offset.to_timestamp(local).ok()?;
            match zone.following(from).next() {
                Some(change) if change.timestamp() <= at => from = change.timestamp(),
                _ => return Some(at),
            }
        }
        None
    }

    /// Returns the first local time after `local` that matches, or at `local` if it is included.
    fn next_local(&self, local: DateTime, is_included: bool) -> Option<DateTime> {
        self.0.cron.find_next_occurrence(&local, is_included).ok()
    }
}

/// Returns the instant of a local time: the first of two, or that of the change by which the clock skips the time.
fn instant(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let AmbiguousOffset::Gap { before, .. } = ambiguous.offset() else { return ambiguous.earlier().ok() };
    // With the offset before the change, the local time is an instant after it.
    let later = before.to_timestamp(local).ok()?;
    let change = zone.preceding(later.checked_add(SignedDuration::from_secs(1)).ok()?).next();
    Some(change.map_or(later, |change| change.timestamp()))
}

impl FromStr for CronExpression {
    type Err = InvalidCron;

    fn from_str(text: &str) -> Result<Self, InvalidCron> {
        if text.len() > LONGEST {
            return Err(InvalidCron(format!("must have at most {LONGEST} bytes")));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, _, _, _] = fields[..] else {
            let rule = "must have five fields: minute, hour, day of the month, month, day of the week";
            let hint = match fields.len() {
                6.. => ". Seconds and years are not supported",
                _ => "",
            };
            return Err(InvalidCron(format!("{rule}{hint}")));
        };
        let has_rhythm = minute.contains('*') || hour.contains('*');
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| InvalidCron(format!("is malformed. {error}")))?;
        Ok(Self(Box::new(ParsedCron { text: fields.join(" "), cron, has_rhythm })))
    }
}

impl TryFrom<String> for CronExpression {
    type Error = InvalidCron;

    fn try_from(text: String) -> Result<Self, InvalidCron> {
        text.parse()
    }
}

impl From<CronExpression> for String {
    fn from(expression: CronExpression) -> Self {
        expression.0.text
    }
}

impl fmt::Display for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

#[cfg(test)]
mod tests;
