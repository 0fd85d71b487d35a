//! The logs and rows of runs, with the settings of their owners.

use std::sync::Arc;

use sequent_model::price::Pricing;
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::Store;

/// The logs and rows of runs, with the settings of their owners. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RunStore {
    storage: DynamoStorage,
    settings: Settings,
    pricing: Arc<Pricing>,
}

impl RunStore {
    /// Runs whose logs are in `storage`.
    #[must_use]
    pub fn new(storage: DynamoStorage, settings: Settings) -> Self {
        Self { storage, settings, pricing: Arc::default() }
    }

    /// Sets the prices of calls whose owners were lost. Without them, the public prices of the models that runs name.
    #[must_use]
    pub fn with_pricing(self, pricing: Pricing) -> Self {
        Self { pricing: Arc::new(pricing), ..self }
    }

    pub(crate) fn pricing(&self) -> &Pricing {
        &self.pricing
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
