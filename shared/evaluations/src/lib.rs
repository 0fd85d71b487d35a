//! Datasets: inputs for agents with the answers that are expected.
//!
//! Invariants:
//!
//! * An item never changes and is never deleted alone. Its number is given once, so a dataset and a number of items name
//!   exactly the same items for ever.
//! * A dataset, and the datasets of a tenant, are bounded.

mod datasets;
mod error;

pub use datasets::{
    Dataset, DatasetItem, Datasets, ItemSources, ItemText, MAX_DATASETS, MAX_ITEMS, NewDataset, NewItem,
    RatedRuns, items_of_runs,
};
pub use error::Error;
