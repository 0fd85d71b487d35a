//! The audit: the walk over the rows, and the comparison of each that is not at rest.

use futures::{StreamExt, stream};
use sequent_core::Timestamp;
use sequent_runlog::{DynamoStorage, ReadError};
use sequent_tables::{Store, Walk};

use crate::{AuditReport, Finding, Grace, account, job, object, project, run, suspect::Suspect, waiting};

/// Rows that are compared at the same time.
const CONCURRENCY: usize = 16;

/// The audit failed, because something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table could not be read.
    #[error(transparent)]
    Table(#[from] sequent_tables::Error),
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
}

/// The comparison of one row.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) findings: Vec<Finding>,
    /// The row could not be compared completely.
    pub(crate) is_unchecked: bool,
}

/// Reads what a row is compared with, as of one time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    pub(crate) storage: &'a DynamoStorage,
    pub(crate) grace: Grace,
    pub(crate) now: Timestamp,
}

impl Auditor {
    /// Audits the rows and logs of `storage`.
    #[must_use]
    pub fn new(storage: DynamoStorage) -> Self {
        Self { storage, grace: Grace::default() }
    }

    /// Replaces the times after which a state counts as stuck.
    #[must_use]
    pub fn grace(self, grace: Grace) -> Self {
        Self { grace, ..self }
    }

    /// Audits the whole table as of `now`. A later time makes the audit stricter: work that may wait until then counts
    /// as stuck.
    ///
    /// # Errors
    /// Returns an error if a table cannot be read.
    pub async fn audit_all(&self, now: Timestamp) -> Result<AuditReport, Error> {
        self.audit(&mut Walk::whole(), now, || true).await
    }

    /// Audits the rows that `walk` has not read, as of `now`. Stops before the next page if `go_on` returns `false`; then
    /// `walk` is not done, and the next call continues there.
    ///
    /// # Errors
    /// Returns an error if a table cannot be read.
    pub async fn audit(
        &self,
        walk: &mut Walk,
        now: Timestamp,
        go_on: impl Fn() -> bool,
    ) -> Result<AuditReport, Error> {
        let mut report = AuditReport::default();
        while go_on() {
            let Some(items) = walk.page(self.storage.store()).await? else { break };
            report.rows += items.len() as u64;
            let subjects = items.iter().filter_map(|item| Suspect::of(item, self.grace, now));
            self.compare_all(subjects.collect(), now, &mut report).await?;
        }
        Ok(report)
    }

    async fn compare_all(
        &self,
        subjects: Vec<Suspect>,
        now: Timestamp,
        report: &mut AuditReport,
    ) -> Result<(), Error> {
        report.compared += subjects.len() as u64;
        let evidence = Evidence { storage: &self.storage, grace: self.grace, now };
        let mut verdicts =
            stream::iter(subjects).map(|subject| confirmed(evidence, subject)).buffer_unordered(CONCURRENCY);
        while let Some(verdict) = verdicts.next().await {
            let verdict = verdict?;
            report.unchecked += u64::from(verdict.is_unchecked);
            report.add(verdict.findings);
        }
        Ok(())
    }
}

/// Compares a row, and a second time if something was found: the first comparison may have read one row before and the
/// other after a change.
async fn confirmed(evidence: Evidence<'_>, subject: Suspect) -> Result<Comparison, Error> {
    let first = Box::pin(compare(evidence, &subject)).await?;
    if first.findings.is_empty() {
        return Ok(first);
    }
    let mut second = Box::pin(compare(evidence, &subject)).await?;
    second.findings.retain(|finding| {
        first.findings.iter().any(|other| other.kind == finding.kind && other.subject == finding.subject)
    });
    Ok(second)
}

async fn compare(evidence: Evidence<'_>, subject: &Suspect) -> Result<Comparison, Error> {
    let findings = match subject {
        Suspect::Run(key) => run::findings(evidence, *key).await?,
        Suspect::Project(tenant, project) => project::findings(evidence, *tenant, *project).await?,
        Suspect::Job(tenant, job) => job::findings(evidence, *tenant, *job).await?,
        Suspect::Object(tenant, key) => object::findings(evidence, *tenant, key).await?,
        Suspect::Waiting(tenant, project, run) => {
            waiting::findings(evidence, *tenant, *project, *run).await?
        }
        Suspect::Account(tenant) => return account::comparison(evidence, *tenant).await,
    };
    Ok(Comparison { findings, is_unchecked: false })
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
