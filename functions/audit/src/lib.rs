//! The hourly audit of the tables, in parts.
//!
//! The table is read in 24 parts. The audit of each hour begins with the part of that hour, so every row is audited once a
//! day, however large the table is. It then continues with the next parts as far as `PAGES` go: a small table is audited
//! completely every hour. Ledgers are added up in the part of the hour only, because that reads every posting: each of them
//! once a day.

use std::cell::Cell;

use sequent_audit::{AuditReport, Auditor, Walk};
use sequent_core::Timestamp;
use serde::{Deserialize, Serialize};

/// Number of the parts: one for each hour of a day.
pub const PARTS: u8 = 24;
/// Pages of 1 MB that are read beyond the part of the hour. A page costs 128 read units, so a month costs at most some
/// two dollars.
const PAGES: u32 = 200;
const HOUR: i64 = 3_600_000;

/// The event of the schedule, or of a person who invokes the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct AuditEvent {
    /// Audit this part only, from 0.
    #[serde(default)]
    pub part: Option<u8>,
    /// Time of the schedule.
    #[serde(default)]
    pub time: Option<Timestamp>,
}

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditResult {
    /// Number of parts that were audited completely. 0 if the first one was too large for the time.
    pub parts: u8,
    /// The error that ended the audit early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The findings in them, and what was read.
    #[serde(flatten)]
    pub report: AuditReport,
}

impl AuditResult {
    /// Returns the number that the alarm counts: the findings, and one if the audit is incomplete.
    #[must_use]
    pub fn alarming(&self) -> u64 {
        self.report.count() + u64::from(self.is_incomplete())
    }

    /// Returns `true` if the part of the hour, or a row, was not audited completely.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.parts == 0 || self.failure.is_some() || self.report.unchecked > 0
    }
}

impl AuditEvent {
    /// Returns the part to begin with.
    fn first_part(self, now: Timestamp) -> u8 {
        let hour = self.time.unwrap_or(now).millis().div_euclid(HOUR).rem_euclid(PARTS.into());
        self.part.unwrap_or(u8::try_from(hour).unwrap_or(0)) % PARTS
    }

    const fn most_parts(self) -> u8 {
        if self.part.is_some() { 1 } else { PARTS }
    }
}

/// Audits the part that the event names, or the part of the hour and others. Stops between two pages if `has_time`
/// returns `false`. If a page cannot be read, the result contains the findings of the pages before it.
pub async fn audit(
    auditor: &Auditor,
    event: AuditEvent,
    now: Timestamp,
    has_time: impl Fn() -> bool,
) -> AuditResult {
    let mut result = AuditResult { parts: 0, failure: None, report: AuditReport::default() };
    let pages = Cell::new(0_u32);
    for n in 0..event.most_parts() {
        let mut walk = Walk::part((event.first_part(now) + n) % PARTS, PARTS);
        let is_own = n == 0;
        let auditor = if is_own { auditor.clone() } else { auditor.clone().without_ledgers() };
        let go_on = || {
            let is_affordable = is_own || pages.replace(pages.get() + 1) < PAGES;
            is_affordable && has_time()
        };
        let walked = auditor.audit(&mut walk, now, go_on, &mut result.report).await;
        result.failure = walked.err().map(|error| format!("could not read a page of the table: {error}"));
        if !walk.is_done() {
            break;
        }
        result.parts += 1;
    }
    result
}
