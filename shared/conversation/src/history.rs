//! The messages of a conversation with all their parts, for people who open it.
//!
//! The table has the text of a message. What else belongs to an answer (reasoning, calls, sources, artifacts) is in the log
//! of its run alone. A page therefore reads the logs of its runs: logs are closed, so nothing has to be kept in step, and a
//! conversation that is not opened costs nothing. Reads are bounded: a page ends early when its messages have
//! [`MAX_PAGE_BYTES`], and of one log at most [`MAX_LOG_PAGES`] pages of a megabyte are read.

mod page;
mod part;
mod parts;
mod shorten;
mod ui;

use futures::{StreamExt, stream};
use sequent_core::{ProjectId, RunId, TenantId};
use sequent_runlog::{DynamoStorage, LogKey};
use sequent_tables::{CursorKey, Page, PageRequest, key};

use crate::{
    Error, Projects,
    branch::{Branch, BranchPage},
};
use page::{Built, ExchangeRows, exchanges_of, fitting};
pub use part::{ArtifactPart, AttachmentPart, CallPart, CallState, MessagePart, ShownMessage};
use parts::AnswerParts;
pub use ui::{PersonPart, UiHistoryMessage, UiHistoryPart, UiMetadata};

/// Bytes of the messages of a page in JSON. Lambda returns 6 MB, in which quotes count twice.
const MAX_PAGE_BYTES: usize = 2_000_000;
/// Pages of a log that are read, of a megabyte each.
const MAX_LOG_PAGES: usize = 4;
/// Logs that are read at the same time.
const PARALLEL_READS: usize = 4;

/// The messages of a tenant's conversations.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    storage: &'a DynamoStorage,
    tenant: TenantId,
    max_page_bytes: usize,
    through: Option<RunId>,
}

impl<'a> History<'a> {
    /// The conversations of `tenant`, which comes from a verified credential.
    #[must_use]
    pub fn new(storage: &'a DynamoStorage, tenant: TenantId) -> Self {
        Self { storage, tenant, max_page_bytes: MAX_PAGE_BYTES, through: None }
    }

    /// Reads the branch of this run instead of that of the head: the runs that it continues, the run, and the newest of those
    /// that continue it.
    #[must_use]
    pub fn through(self, run: Option<RunId>) -> Self {
        Self { through: run, ..self }
    }

    /// Reads a page of the messages of the branch that ends with the project's head, oldest first.
    ///
    /// # Errors
    /// [`Error::ProjectNotFound`], [`Error::UnknownTurn`], [`Error::Cursor`], or when the tables fail.
    pub async fn page(
        self,
        project: ProjectId,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<ShownMessage>, Error> {
        self.build(project, cursors, cursor, limit, page::shown).await
    }

    /// Reads a page of a project's messages in the form of the AI SDK, oldest first. One run is one answer, with the messages
    /// that steered it among its parts. The answer of a live run is not there: its stream has all of it. That of a run that waits for
    /// answers is, with the calls that wait. A page ends with a whole answer, so it may have one message more than `limit`.
    ///
    /// # Errors
    /// As [`page`](Self::page).
    pub async fn ui_page(
        self,
        project: ProjectId,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<UiHistoryMessage>, Error> {
        self.build(project, cursors, cursor, limit, ui::messages).await
    }

    /// Reads the rows of a page and, of each run, the log. `build` makes the messages of the rows of one run.
    async fn build<M: Built>(
        self,
        project: ProjectId,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
        build: fn(&ExchangeRows, Option<AnswerParts>) -> Vec<M>,
    ) -> Result<Page<M>, Error> {
        let store = self.storage.store();
        let row = Projects::new(store, self.tenant).get(project).await?;
        let list = PageRequest::new(key::messages(self.tenant, project)).limit(limit);
        let list = list.cursor(cursors, cursor)?;
        let position = list.position().map(str::to_owned);
        let (branch, list) = match (position, self.through) {
            (Some(position), _) => {
                let (branch, sort_key) = Branch::at(store, self.tenant, project, &position).await?;
                (branch, list.after(sort_key))
            }
            (None, Some(run)) => (Branch::through(store, self.tenant, &row, run).await?, list),
            (None, None) => (Branch::of_head(store, self.tenant, &row).await?, list),
        };
        let BranchPage { mut rows, siblings } = branch.page(list, limit).await?;
        let runs = exchanges_of(std::mem::take(&mut rows.items), &siblings)?;
        let reads = runs.into_iter().map(|run| async move {
            let needs_log = M::needs_log(&run);
            let parts = if needs_log { self.parts(&run).await? } else { None };
            Ok::<_, Error>((build(&run, parts), run))
        });
        let built = stream::iter(reads).buffered(PARALLEL_READS);
        let page = fitting(rows, Box::pin(built), self.max_page_bytes).await?;
        Ok(page.with_position(|sort_key| branch.position(sort_key)))
    }

    /// Reads the parts of a run's answers. Returns `None` if the log is deleted or cannot be understood.
    async fn parts(self, run: &ExchangeRows) -> Result<Option<AnswerParts>, Error> {
        let key = LogKey { tenant: self.tenant, run: run.run };
        AnswerParts::read(self.storage, key, MAX_LOG_PAGES).await
    }
}

#[cfg(test)]
mod tests;
