//! The errors of datasets and evaluations.

use sequent_core::{ApiError, Code, ErrorDetails, RunId};
use sequent_tables::{Cancelled, InvalidCursor};

use crate::{MAX_DATASETS, MAX_ITEMS, datasets::MAX_BYTES};

/// An operation on a dataset or an evaluation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no such dataset.
    #[error("no such dataset")]
    DatasetNotFound,
    /// The tenant has no such evaluation.
    #[error("no such evaluation")]
    EvaluationNotFound,
    /// A new evaluation is not allowed: the JSON pointer to a member of the request, and the reason.
    #[error("{0} {1}")]
    NotAllowed(String, String),
    /// The tenant has as many datasets as it may have.
    #[error("the tenant has {MAX_DATASETS} datasets")]
    TooManyDatasets,
    /// The dataset would have more items or bytes than it takes.
    #[error("the dataset would have more than {MAX_ITEMS} items or {MAX_BYTES} bytes")]
    TooManyItems,
    /// An item is not allowed: its number in the request, from 0, and the reason.
    #[error("item {0} {1}")]
    Item(usize, &'static str),
    /// A run cannot become an item.
    #[error("{0} {1}")]
    Run(RunId, &'static str),
    /// The runs have more events together than this, too many to make items of them in one request.
    #[error("the runs have more than {0} events")]
    TooManyEvents(u64),
    /// Another request was first. After several attempts this is the answer to the caller.
    #[error("another request was first")]
    Overtaken,
    /// A run could not be read.
    #[error(transparent)]
    Conversation(#[from] sequent_conversation::Error),
    /// The agent of a run could not be read.
    #[error(transparent)]
    Agent(#[from] sequent_definitions::Error),
    /// The log of a run could not be read.
    #[error(transparent)]
    Read(#[from] sequent_runlog::ReadError),
    /// The cursor was not issued by this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// A read or write of the table failed.
    #[error(transparent)]
    Table(#[from] sequent_tables::Error),
    /// A transaction was refused for a reason that no caller can change.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::DatasetNotFound => ErrorDetails::new(Code::NotFound, "There is no dataset with this id."),
            Self::EvaluationNotFound => {
                ErrorDetails::new(Code::NotFound, "There is no evaluation with this id.")
            }
            Self::NotAllowed(at, reason) => {
                let detail = "The evaluation is not allowed. The members of `errors` say why.";
                ErrorDetails::new(Code::ValidationFailed, detail).at(at, reason.clone())
            }
            Self::TooManyDatasets => {
                let detail = format!("A tenant has at most {MAX_DATASETS} datasets. Delete one first.");
                ErrorDetails::new(Code::DatasetsLimit, detail).with("max_datasets", MAX_DATASETS)
            }
            Self::TooManyItems => {
                let detail = format!(
                    "A dataset has at most {MAX_ITEMS} items, and {MAX_BYTES} bytes of them in JSON. Create another one."
                );
                ErrorDetails::new(Code::DatasetsLimit, detail).with("max_items", MAX_ITEMS)
            }
            Self::Item(number, reason) => {
                let detail = format!("The item at position {number} {reason}.");
                ErrorDetails::new(Code::ValidationFailed, detail).at(&format!("/items/{number}"), *reason)
            }
            Self::Run(run, reason) => {
                let detail = format!("{run} {reason}, so it cannot become an item.");
                ErrorDetails::new(Code::ValidationFailed, detail).at("/runs", *reason)
            }
            Self::TooManyEvents(max) => {
                let detail = format!(
                    "The runs have more than {max} events together. Give fewer of them, and the others in another request."
                );
                ErrorDetails::new(Code::ValidationFailed, detail)
                    .at("/runs", format!("must have at most {max} events together"))
            }
            Self::Overtaken => ErrorDetails::new(Code::Conflict, "Another request was first. Try again."),
            Self::Conversation(error) => error.details(),
            Self::Agent(error) => error.details(),
            Self::Cursor(error) => error.details(),
            Self::Table(error) => error.details(),
            Self::Cancelled(error) => error.details(),
            Self::Read(_) => ErrorDetails::unavailable(),
        }
    }
}
