//! Deleting jobs, whose inputs and results quote the conversation.

use sequent_core::{ArtifactId, JobId, Timestamp};
use sequent_tables::{Key, PageRequest, key};

use crate::{Error, conversation::Eraser};

/// The failure of a job whose conversation is deleted.
const REASON: &str = "The conversation was deleted.";

impl Eraser {
    /// Ends a job, so that its worker can store nothing more, and removes it.
    pub(crate) async fn erase_job(&self, job: JobId) -> Result<(), Error> {
        let now = Timestamp::now();
        match Box::pin(sequent_jobs::cancel(self.storage(), self.tenant, job, REASON, now)).await {
            Ok(_) => Ok(sequent_jobs::remove(self.store(), self.tenant, job).await?),
            Err(sequent_jobs::Error::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the exports of a run, a project or an artifact: their jobs and their files.
    pub(crate) async fn erase_exports(&self, source: &str) -> Result<(), Error> {
        let list = key::jobs_about(self.tenant, source);
        loop {
            let request = PageRequest::new(list.clone()).limit(Some(PageRequest::MAX_LIMIT));
            let page = self.store().page_items(&request).await?;
            let keys: Vec<Key> = page.items.iter().filter_map(Key::of_item).collect();
            if keys.is_empty() {
                return Ok(());
            }
            for job in keys.iter().filter_map(|key| key.sk().parse::<JobId>().ok()) {
                self.erase_job(job).await?;
                // The file has the id of its job.
                Box::pin(self.erase_artifact(ArtifactId::from_bits(job.bits()))).await?;
            }
            // Last, because the list alone leads to the job and its file.
            self.delete_rows(keys).await?;
        }
    }
}
