//! The audit: the walk over the rows, and the comparison of each that is not at rest.

use std::{error::Error as StdError, iter};

use futures::{StreamExt, stream};
use sequent_core::Timestamp;
use sequent_runlog::{DynamoStorage, ReadError};
use sequent_tables::{Error as TableError, Store, Walk};

use crate::{
    AuditReport, Finding, Grace, account, delivery, job, object, project, run, schedule, suspect::Suspect,
    waiting,
};

/// Rows that are compared at the same time.
const CONCURRENCY: usize = 16;

/// A row could not be compared, because something could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The table could not be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A log could not be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// A ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] sequent_billing::Error),
}

/// Audits the tables. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Auditor {
    storage: DynamoStorage,
    grace: Grace,
    adds_up_ledgers: bool,
}

/// The comparison of one row.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) findings: Vec<Finding>,
    /// The row could not be compared completely.
    pub(crate) is_unchecked: bool,
}

/// Reads what a row is compared with, as of one time.
#[derive(Clone, Copy)]
pub(crate) struct Evidence<'a> {
    pub(crate) storage: &'a DynamoStorage,
    pub(crate) grace: Grace,
    pub(crate) now: Timestamp,
    /// The ledgers of accounts are added up.
    pub(crate) adds_up_ledgers: bool,
    /// Returns `false` if the time of the audit is over.
    pub(crate) go_on: &'a dyn Fn() -> bool,
}

impl Auditor {
    /// Audits the rows and logs of `storage`.
    #[must_use]
    pub fn new(storage: DynamoStorage) -> Self {
        Self { storage, grace: Grace::default(), adds_up_ledgers: true }
    }

    /// Replaces the times after which a state counts as stuck.
    #[must_use]
    pub fn grace(self, grace: Grace) -> Self {
        Self { grace, ..self }
    }

    /// Leaves out the sums of the ledgers, which cost a read of every posting. The holds of accounts are compared.
    #[must_use]
    pub fn without_ledgers(self) -> Self {
        Self { adds_up_ledgers: false, ..self }
    }

    /// Audits the whole table as of `now`. A later time makes the audit stricter: work that may wait until then counts
    /// as stuck.
    ///
    /// # Errors
    /// Returns an error if the table cannot be walked over.
    pub async fn audit_all(&self, now: Timestamp) -> Result<AuditReport, TableError> {
        let mut report = AuditReport::default();
        self.audit(&mut Walk::whole(), now, || true, &mut report).await?;
        Ok(report)
    }

    /// Audits the rows that `walk` has not read, as of `now`, and adds the result to `report`. Stops before the next page
    /// if `go_on` returns `false`; then `walk` is not done, and the next call continues there. `go_on` is asked before
    /// each page of the table and of a ledger.
    ///
    /// # Errors
    /// Returns an error if the next page cannot be read. `report` contains the result of the pages before it.
    pub async fn audit(
        &self,
        walk: &mut Walk,
        now: Timestamp,
        go_on: impl Fn() -> bool,
        report: &mut AuditReport,
    ) -> Result<(), TableError> {
        let evidence = Evidence {
            storage: &self.storage,
            grace: self.grace,
            now,
            adds_up_ledgers: self.adds_up_ledgers,
            go_on: &go_on,
        };
        while go_on() {
            let Some(items) = walk.page(self.storage.store()).await? else { break };
            report.rows += items.len() as u64;
            let suspects = items.iter().filter_map(|item| Suspect::of(item, self.grace, now));
            compare_all(evidence, suspects.collect(), report).await;
        }
        Ok(())
    }
}

async fn compare_all(evidence: Evidence<'_>, suspects: Vec<Suspect>, report: &mut AuditReport) {
    report.compared += suspects.len() as u64;
    let comparisons = stream::iter(suspects).map(|suspect| compared(evidence, suspect));
    let mut comparisons = comparisons.buffer_unordered(CONCURRENCY);
    while let Some(comparison) = comparisons.next().await {
        report.unchecked += u64::from(comparison.is_unchecked);
        report.add(comparison.findings);
    }
}

/// Compares a row. An error ends the comparison of this row only: a single row that cannot be read must not hide the
/// findings about all others.
async fn compared(evidence: Evidence<'_>, suspect: Suspect) -> Comparison {
    match Box::pin(confirmed(evidence, &suspect)).await {
        Ok(comparison) => comparison,
        Err(error) if error.is_malformed() => {
            Comparison { findings: vec![suspect.malformed(described(&error))], is_unchecked: false }
        }
        Err(error) => {
            let error = described(&error);
            tracing::warn!(?suspect, error, "could not compare a row; the next audit compares it again");
            Comparison { findings: Vec::new(), is_unchecked: true }
        }
    }
}

/// Compares a row, and a second time if something was found: the first comparison may have read one row before and the
/// other after a change.
async fn confirmed(evidence: Evidence<'_>, suspect: &Suspect) -> Result<Comparison, Error> {
    let first = Box::pin(compare(evidence, suspect)).await?;
    if first.findings.is_empty() {
        return Ok(first);
    }
    let mut second = Box::pin(compare(evidence, suspect)).await?;
    second.findings.retain(|finding| {
        first.findings.iter().any(|other| other.kind == finding.kind && other.subject == finding.subject)
    });
    Ok(second)
}

async fn compare(evidence: Evidence<'_>, suspect: &Suspect) -> Result<Comparison, Error> {
    let findings = match suspect {
        Suspect::Run(key) => run::findings(evidence, *key).await?,
        Suspect::Project(tenant, project) => project::findings(evidence, *tenant, *project).await?,
        Suspect::Job(tenant, job) => job::findings(evidence, *tenant, *job).await?,
        Suspect::Schedule(tenant, id) => schedule::findings(evidence, *tenant, *id).await?,
        Suspect::Object(tenant, key) => object::findings(evidence, *tenant, key).await?,
        Suspect::Delivery { tenant, webhook, due, entry } => {
            delivery::findings(evidence, entry, *tenant, *webhook, *due).await?
        }
        Suspect::Waiting { tenant, project, depth, run } => {
            waiting::findings(evidence, *tenant, *project, *depth, *run).await?
        }
        Suspect::Quota(tenant) => account::quota_findings(evidence, *tenant).await?,
        Suspect::Account(tenant) => return account::comparison(evidence, *tenant).await,
    };
    Ok(Comparison { findings, is_unchecked: false })
}

impl Error {
    /// Returns `true` if a stored row or log does not have its shape. Other errors say nothing about the row.
    fn is_malformed(&self) -> bool {
        matches!(
            self,
            Self::Table(TableError::Malformed(_))
                | Self::Log(ReadError::Malformed(_))
                | Self::Ledger(sequent_billing::Error::Data(TableError::Malformed(_)))
        )
    }
}

/// Returns the messages of an error and of its causes.
fn described(error: &Error) -> String {
    let causes = iter::successors(Some(error as &dyn StdError), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl<'a> Evidence<'a> {
    pub(crate) fn store(self) -> &'a Store {
        self.storage.store()
    }

    /// Returns `true` if `at` is longer ago than a sweep takes.
    pub(crate) fn is_past_sweep(self, at: Timestamp) -> bool {
        at + self.grace.sweep < self.now
    }

    /// Returns `true` if `at` is longer ago than work may wait.
    pub(crate) fn is_past_work(self, at: Timestamp) -> bool {
        at + self.grace.work < self.now
    }
}
