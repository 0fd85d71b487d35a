//! Executing a run: from the conversation to a closed log, on whichever process owns it.
//!
//! [`execute`] is what an owner does; [`Live`] is what a reader sees, and is also where a run whose owner died finds
//! its next one: a reader that meets an expired lease takes the run over and executes it in place.

mod conversation;
mod execute;
mod live;

use std::time::Duration;

pub use execute::{Ended, execute};
pub use live::{Item, Live, Source};

use sequent_data::Store;
use sequent_runlog::{DynamoStorage, Settings};

/// Everything executing a run needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Where the logs are.
    pub storage: DynamoStorage,
    /// Who answers.
    pub models: sequent_model::Client,
    /// Timing of the log.
    pub settings: Settings,
}

impl Engine {
    /// How long before an invocation's deadline an owner hands its run over: enough to store what is buffered.
    pub const HAND_OVER: Duration = Duration::from_secs(5);

    /// The tables.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.storage.store()
    }
}
