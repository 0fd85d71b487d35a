//! Datasets: inputs for agents with the answers that are expected; and evaluations of agents with them.
//!
//! Invariants:
//!
//! * An item never changes and is never deleted alone. Its number is given once, so a dataset and a number of items name
//!   exactly the same items for ever.
//! * A dataset, the datasets of a tenant, and the child runs of an evaluation are bounded.
//! * An evaluation is a run and has its id. What it is and what it has found is in the log of the run.

mod datasets;
mod error;
mod evaluations;
mod scorer;
mod start;
mod summary;

pub use datasets::{
    Dataset, DatasetItem, Datasets, ItemSources, ItemText, MAX_DATASETS, MAX_ITEMS, NewDataset, NewItem,
    RatedRuns, items_of_runs,
};
pub use error::Error;
pub use evaluations::{Evaluation, EvaluationRun, Evaluations, evaluated_items};
pub use scorer::score;
pub use start::{MAX_CHILD_RUNS, NewEvaluation, NewScorer, StartedEvaluation};
pub use summary::{EvaluationSummary, JudgeRequest, judged, judgement_schema};
