//! Deleting a run: its children, its jobs, its row, its notes, its artifacts and their exports, and its log, in this order.

use std::{collections::BTreeSet, time::Duration};

use sequent_billing::{hold, is_held};
use sequent_conversation::{Cancel, Run, SettleRun, cancel, end_if_abandoned, settle_ended};
use sequent_core::{AgentId, JobId, RunId, Timestamp, pace::scaled};
use sequent_event::{Body, CancelReason, Seq};
use sequent_jobs::Job;
use sequent_memory::{Memory, MemoryKey};
use sequent_runlog::{LogKey, Segment, read_all};
use sequent_tables::{
    Key, Retry, Row, Transaction, Write, exists,
    key::{self, NumberedAgent},
};
use tokio::time::sleep;

use crate::{Error, RunRecord, conversation::Eraser};

/// Pause between two looks at a run that was asked to stop.
const PAUSE: Duration = Duration::from_millis(500);
/// Looks at such a run. Its owner meets the request at its next write, or after the call of a tool.
const LOOKS: u32 = 240;

/// The runs, the jobs and the rows that a log names, and the agent that may have made notes.
#[derive(Debug, Default)]
struct Named {
    children: BTreeSet<RunId>,
    jobs: BTreeSet<JobId>,
    /// The rows of feedback, and the row of the evaluation.
    rows: Vec<Key>,
    noting_agent: Option<AgentId>,
}

impl Eraser {
    /// Deletes everything that the run left but its record. Deletes the rest if an earlier call did a part.
    pub(crate) async fn erase_run(&self, run: RunId) -> Result<(), Error> {
        let key = LogKey { tenant: self.tenant, run };
        self.end_run(key).await?;
        self.wait_for_settlement(key).await?;
        let named = Named::in_log(key, &read_all(self.storage(), key).await?);
        for child in named.children {
            Box::pin(self.erase_run(child)).await?;
        }
        for job in named.jobs.into_iter().chain([naming(run)]) {
            self.erase_job(job).await?;
        }
        self.delete_rows(named.rows).await?;
        // Before the notes and the artifacts: without the run's row none is added.
        self.keep_record(key).await?;
        if let Some(agent) = named.noting_agent {
            self.erase_notes(key, agent).await?;
        }
        self.erase_artifacts(run).await?;
        self.erase_exports(&run.to_string()).await?;
        // Last, because the log alone names the children, the jobs, the rows and the agent.
        Ok(self.storage().erase(key, &self.mark()).await?)
    }

    /// Cancels a live run and waits for its end.
    async fn end_run(&self, key: LogKey) -> Result<(), Error> {
        let row: Option<Run> = self.store().get(&key::run(key.tenant, key.run)).await?;
        if row.is_none_or(|run| run.has_ended()) {
            return Ok(());
        }
        let mut outcome = match Box::pin(cancel(&self.runs, key, None, CancelReason::Requested)).await {
            // A row without a log has nothing to end.
            Err(sequent_conversation::Error::RunNotFound) => return Ok(()),
            outcome => outcome?,
        };
        for _ in 0..LOOKS {
            if outcome != Cancel::Requested {
                return Ok(());
            }
            sleep(scaled(PAUSE)).await;
            outcome = Box::pin(end_if_abandoned(&self.runs, key)).await?;
        }
        Err(Error::StillRunning(key.run))
    }

    /// Waits until the run is charged for what its children and jobs used after its end: that is read from their logs and
    /// rows.
    async fn wait_for_settlement(&self, key: LogKey) -> Result<(), Error> {
        let settling = key::job(key.tenant, SettleRun::job_id(key.run));
        for _ in 0..LOOKS {
            let job: Option<Job> = self.store().get(&settling).await?;
            if job.is_none_or(|job| job.has_ended()) {
                return Box::pin(self.settle(key)).await;
            }
            sleep(scaled(PAUSE)).await;
        }
        Err(Error::StillRunning(key.run))
    }

    /// Settles what is still held for the run, before its log is deleted: that alone has the amount. A run and its job
    /// settle in the transactions that end them, so a hold that is left after both was left by a job that failed or was
    /// cancelled. A quota charges nothing, so its hold is released in any case.
    async fn settle(&self, key: LogKey) -> Result<(), Error> {
        let LogKey { tenant, run } = key;
        if !is_held(self.store(), tenant, run).await? {
            return Ok(());
        }
        Box::pin(settle_ended(self.storage(), key)).await?;
        self.store().write_if(hold::release_of_quota(tenant, run)).await?;
        if is_held(self.store(), tenant, run).await? { Err(Error::Unsettled(run)) } else { Ok(()) }
    }

    /// Replaces the run's row by its record.
    async fn keep_record(&self, key: LogKey) -> Result<(), Error> {
        let row = key::run(key.tenant, key.run);
        let Some(run) = self.store().get::<Run>(&row).await? else { return Ok(()) };
        let record = RunRecord::of(run, Timestamp::now());
        let transaction = Transaction::new()
            .write(self.mark())
            .write(Write::put(Row::new(&key::deleted_run(key.tenant, key.run), &record)?))
            .write(Write::delete(&row).when(exists()));
        Ok(self.store().commit(transaction, Retry::CONTENDED).await?)
    }

    /// Deletes the notes that the agent has made in the run, about the user of the run.
    async fn erase_notes(&self, key: LogKey, agent: AgentId) -> Result<(), Error> {
        let LogKey { tenant, run } = key;
        let record: Option<RunRecord> = self.store().get(&key::deleted_run(tenant, run)).await?;
        let Some(RunRecord { user_id: user, .. }) = record else { return Ok(()) };
        let memory = Memory::new(self.store().clone());
        Ok(memory.delete_of_run(MemoryKey { tenant, agent, user }, run).await?)
    }
}

/// The job that names a project after its first run.
fn naming(run: RunId) -> JobId {
    JobId::from_bits(run.bits())
}

impl Named {
    /// Reads the events one by one: a log that cannot be folded is deleted, too. What a replay has copied of another log
    /// belongs to that run, which another conversation may share.
    fn in_log(log: LogKey, segments: &[Segment]) -> Self {
        let mut named = Self::default();
        let mut agent = None;
        let mut copied_through = Seq::START;
        for event in segments.iter().flat_map(Segment::events) {
            copied_through = event.copied_through().unwrap_or(copied_through);
            // The configuration comes before the copies, and is the run's own.
            let is_own = |body: &&Body| event.seq > copied_through || matches!(body, Body::RunConfigured(_));
            match event.body().filter(is_own) {
                Some(Body::SubagentStarted { subagent_run_id, .. }) => {
                    named.children.insert(*subagent_run_id);
                }
                Some(Body::JobEnqueued(job)) => {
                    named.jobs.insert(job.job_id);
                }
                Some(Body::RunConfigured(configuration)) => {
                    let configured = configuration.agent.as_deref();
                    agent = configured.map(|agent| NumberedAgent { agent: agent.id, version: agent.version });
                    let noting = configured.filter(|agent| agent.max_notes.is_some());
                    named.noting_agent = noting.map(|agent| agent.id);
                    if configuration.evaluation.is_some() {
                        named.rows.push(key::evaluation(log.tenant, log.run));
                    }
                }
                Some(Body::FeedbackGiven(given)) => {
                    let row = key::feedback(log.tenant, agent, log.run, given.by, given.message_id);
                    named.rows.push(row);
                }
                _ => {}
            }
        }
        named
    }
}
