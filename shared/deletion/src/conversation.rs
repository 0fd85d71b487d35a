//! `delete_conversation`: the job that deletes a project, its messages, and everything that its runs left.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use sequent_artifacts::Artifacts;
use sequent_conversation::{Deletion, RunStore, leave_shared_run};
use sequent_core::{ProjectId, RunId, TenantId};
use sequent_jobs::{Context, Done, Failed, JobKind, ProgressReporter, RetryPolicy};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::{
    Key, PageRequest, Store, Transaction, Write, attribute, attribute_of,
    attributes::{CLAIMED, DELETING},
    key::{self, Partition},
};

use crate::Error;

/// Rows that are deleted at the same time.
const CONCURRENCY: usize = 8;

/// `delete_conversation`: deletes a conversation with everything that it left.
#[derive(Debug, Clone)]
pub struct DeleteConversation {
    artifacts: Artifacts,
    settings: Settings,
}

/// The deletion of one conversation.
pub(crate) struct Eraser {
    pub(crate) tenant: TenantId,
    pub(crate) project: ProjectId,
    pub(crate) runs: RunStore,
    pub(crate) artifacts: Artifacts,
    progress: ProgressReporter,
}

impl DeleteConversation {
    /// Deletes the objects of `artifacts`, too. `settings` are those of the owners of runs, which are given time to end.
    #[must_use]
    pub fn new(artifacts: Artifacts, settings: Settings) -> Self {
        Self { artifacts, settings }
    }
}

impl JobKind for DeleteConversation {
    const TYPE: &'static str = Deletion::TYPE;
    const TIMEOUT: Duration = Duration::from_secs(800);
    /// A deletion must happen: it is tried for about two hours, then it is a dead letter and a finding of the audit.
    const RETRY: RetryPolicy = RetryPolicy { attempts: 30, ..RetryPolicy::DEFAULT };
    type Input = Deletion;

    fn key(input: &Deletion) -> Option<String> {
        Some(input.key())
    }

    async fn run(&self, input: Deletion, context: Context) -> Result<Done, Failed> {
        let eraser = Eraser {
            tenant: context.tenant,
            project: input.project_id,
            runs: RunStore::new(context.storage.clone(), self.settings),
            artifacts: self.artifacts.clone(),
            progress: context.progress.clone(),
        };
        Box::pin(eraser.erase()).await.map_err(Failed::retry)
    }
}

impl Eraser {
    /// Deletes all but the project's row and names. Those are deleted with the end of the job: as long as they exist, another
    /// attempt continues.
    async fn erase(&self) -> Result<Done, Error> {
        let project = key::project(self.tenant, self.project);
        let Some(row) = self.store().get_item(&project).await? else {
            return Ok(Done::text("The conversation was deleted before."));
        };
        let mut runs = 0;
        for list in [key::messages(self.tenant, self.project), key::replaced_runs(self.tenant, self.project)]
        {
            runs += Box::pin(self.erase_list(list)).await?;
        }
        self.erase_exports(&self.project.to_string()).await?;
        let names: Vec<Key> = attribute_of(&row, CLAIMED).unwrap_or_default();
        let rows = names.into_iter().chain([project]).map(|key| Write::delete(&key)).collect::<Vec<_>>();
        let writes = move |writes: Transaction| rows.iter().cloned().fold(writes, Transaction::write);
        let text = format!("The conversation and its {runs} runs were deleted.");
        Ok(Done { writes: Some(Arc::new(writes)), ..Done::text(text) })
    }

    /// Deletes the runs that the rows of a list name, except those that another conversation shares, and then the rows. Returns
    /// the number of the runs.
    async fn erase_list(&self, list: Partition) -> Result<usize, Error> {
        let mut erased = 0;
        loop {
            let request = PageRequest::new(list.clone()).limit(Some(PageRequest::MAX_LIMIT)).oldest_first();
            let page = self.store().page_items(&request).await?;
            let keys: Vec<Key> = page.items.iter().filter_map(Key::of_item).collect();
            if keys.is_empty() {
                return Ok(erased);
            }
            let runs: BTreeSet<RunId> = keys.iter().filter_map(run_of).collect();
            for run in runs {
                if !leave_shared_run(self.storage(), self.tenant, self.project, run).await? {
                    continue;
                }
                Box::pin(self.erase_run(run)).await?;
                erased += 1;
                self.progress.report(50, format!("{erased} runs were deleted"));
            }
            self.delete_rows(keys).await?;
        }
    }

    /// Deletes rows. One write each, because the items of a transaction have at most 4 MB together.
    pub(crate) async fn delete_rows(&self, keys: Vec<Key>) -> Result<(), Error> {
        let deletions = stream::iter(keys).map(|key| async move { self.store().delete(&key).await });
        deletions.buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        Ok(())
    }

    pub(crate) fn store(&self) -> &Store {
        self.runs.tables()
    }

    pub(crate) fn storage(&self) -> &DynamoStorage {
        self.runs.storage()
    }

    /// Requires that the project is marked as being deleted.
    pub(crate) fn mark(&self) -> Write {
        let key = key::project(self.tenant, self.project);
        Write::require(&key).when(attribute(DELETING).equals(true))
    }
}

/// The run of a message, or the run that was rolled back.
fn run_of(key: &Key) -> Option<RunId> {
    key::parse_message(key).map(|(_, run, _)| run).or_else(|| key.sk().parse().ok())
}
