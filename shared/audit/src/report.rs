//! The result of an audit.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Finding, FindingKind};

/// Most findings that a report contains. More of them have one cause.
const MOST: usize = 1000;

/// The result of an audit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Rows of the table that were read.
    pub rows: u64,
    /// Rows that were compared with others.
    pub compared: u64,
    /// Rows that could not be compared completely: the table was throttled, or a ledger changed all the time, is too
    /// long, or was not added up before the time was over.
    pub unchecked: u64,
    /// Findings beyond those that the report contains.
    pub omitted: u64,
    /// The findings, at most 1,000.
    pub findings: Vec<Finding>,
}

impl AuditReport {
    /// Returns `true` if every row was compared and nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.unchecked == 0
    }

    /// Returns the number of findings, those that are omitted included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.findings.len() as u64 + self.omitted
    }

    /// Returns the number of findings of each kind, without those that are omitted.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<FindingKind, u64> {
        self.findings.iter().fold(BTreeMap::new(), |mut counts, finding| {
            *counts.entry(finding.kind).or_default() += 1;
            counts
        })
    }

    pub(crate) fn add(&mut self, findings: Vec<Finding>) {
        let room = MOST.saturating_sub(self.findings.len());
        self.omitted += findings.len().saturating_sub(room) as u64;
        self.findings.extend(findings.into_iter().take(room));
    }
}
