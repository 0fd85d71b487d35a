//! The evaluations of a tenant: rows that list them. What an evaluation is and what it has found is in the log of its run.

use std::cmp::Reverse;

use sequent_conversation::{Error as RunError, Run, Runs};
use sequent_core::{DatasetId, RunId, TenantId, Timestamp, UserId};
use sequent_event::{EvaluatedItem, EvaluationSetup, State};
use sequent_runlog::{DynamoStorage, LogKey, Segment, read_all};
use sequent_tables::{
    CursorKey, Error as TableError, Key, Page, PageRequest, Row, Store, Update, Write, exists, key,
};
use serde::{Deserialize, Serialize};

use crate::{Error, EvaluationSummary};

/// An evaluation, as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Evaluation {
    /// The run that carries it out.
    pub id: RunId,
    pub name: String,
    pub setup: EvaluationSetup,
    /// The user who started it.
    pub user_id: UserId,
    pub created_at: Timestamp,
    /// The results in numbers, if all answers are scored.
    #[serde(default)]
    pub summary: Option<EvaluationSummary>,
}

/// An evaluation with its run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct EvaluationRun {
    pub evaluation: Evaluation,
    pub run: Run,
}

impl Evaluation {
    /// Returns the write of the row for the transaction that creates the run.
    pub(crate) fn insert(&self, tenant: TenantId) -> Result<Write, TableError> {
        let row = Row::new(&key::evaluation(tenant, self.id), self)?;
        let list = key::evaluation_with_dataset(tenant, self.setup.dataset_id, self.id);
        Ok(Write::insert(row.gsi1(list)))
    }
}

/// The evaluations of one tenant.
#[derive(Debug, Clone, Copy)]
pub struct Evaluations<'a> {
    store: &'a Store,
    tenant: TenantId,
}

impl<'a> Evaluations<'a> {
    /// The evaluations of `tenant`, which comes from a verified credential.
    #[must_use]
    pub fn new(store: &'a Store, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// Reads one evaluation. One whose conversation is deleted counts as deleted.
    ///
    /// # Errors
    /// [`Error::EvaluationNotFound`], or when the table fails.
    pub async fn get(self, id: RunId) -> Result<EvaluationRun, Error> {
        let evaluation = self.store.get(&key::evaluation(self.tenant, id)).await?;
        let evaluation: Evaluation = evaluation.ok_or(Error::EvaluationNotFound)?;
        match Runs::new(self.store, self.tenant).get_for_caller(id).await {
            Ok(run) => Ok(EvaluationRun { evaluation, run }),
            Err(RunError::RunNotFound) => Err(Error::EvaluationNotFound),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a page of the evaluations, newest first: of all, or of those with a dataset.
    ///
    /// # Errors
    /// [`Error::Cursor`], or when the table fails.
    pub async fn list(
        self,
        dataset: Option<DatasetId>,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<EvaluationRun>, Error> {
        let partition = match dataset {
            Some(dataset) => key::evaluations_with_dataset(self.tenant, dataset),
            None => key::evaluations(self.tenant),
        };
        let request = PageRequest::new(partition).limit(limit).cursor(cursors, cursor)?;
        let page = self.store.page_items(&request).await?;
        // The index holds keys only.
        let keys: Vec<Key> = page.items.iter().filter_map(Key::of_item).collect();
        let evaluations: Vec<Evaluation> = self.store.get_many(&keys).await?;
        let ids: Vec<RunId> = evaluations.iter().map(|evaluation| evaluation.id).collect();
        let runs = Runs::new(self.store, self.tenant).get_kept(&ids).await?;
        let run_of = |id: RunId| runs.iter().find(|run| run.id == id).cloned();
        let with_run =
            |evaluation: Evaluation| Some(EvaluationRun { run: run_of(evaluation.id)?, evaluation });
        let mut found: Vec<EvaluationRun> = evaluations.into_iter().filter_map(with_run).collect();
        found.sort_by_key(|found| Reverse(found.evaluation.id));
        Ok(page.with_items(found))
    }

    /// Saves the results of an evaluation whose answers are all scored. One that was deleted meanwhile stays deleted.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn conclude(self, id: RunId, summary: &EvaluationSummary) -> Result<(), TableError> {
        let update = Update::of(&key::evaluation(self.tenant, id)).set("summary", summary).when(exists());
        self.store.write_if(update).await?;
        Ok(())
    }
}

/// Reads the answers that are scored so far, in the order of their items.
///
/// # Errors
/// If the log cannot be read.
pub async fn evaluated_items(
    storage: &DynamoStorage,
    tenant: TenantId,
    id: RunId,
) -> Result<Vec<EvaluatedItem>, Error> {
    let segments = read_all(storage, LogKey { tenant, run: id }).await?;
    let events: Vec<_> = segments.iter().flat_map(Segment::events).collect();
    let state = State::of(&events).map_err(|_| Error::Run(id, "has a damaged log"))?;
    let mut evaluated = state.evaluated;
    evaluated.sort_by_key(EvaluatedItem::position);
    Ok(evaluated)
}
