//! The logs and rows of runs, with the settings of their owners.

use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::Store;

/// The logs and rows of runs, with the settings of their owners. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RunStore {
    storage: DynamoStorage,
    settings: Settings,
}

impl RunStore {
    /// Runs whose logs are in `storage`.
    #[must_use]
    pub fn new(storage: DynamoStorage, settings: Settings) -> Self {
        Self { storage, settings }
    }

    /// Returns the storage of the logs.
    #[must_use]
    pub fn storage(&self) -> &DynamoStorage {
        &self.storage
    }

    /// Returns the settings of an owner, such as the length of its lease.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Returns the store of both tables.
    #[must_use]
    pub fn tables(&self) -> &Store {
        self.storage.store()
    }
}
