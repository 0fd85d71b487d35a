//! Executing a run: from the conversation to a closed log, on whichever process owns it.
//!
//! The agent is a function of the log. [`execute`] asks the `next` module what the folded log calls for, does it, and
//! writes down what came of it, until nothing is left to do: so it makes no difference which process does it, how often
//! it was killed on the way, or how long a person took to answer. [`Live`] is what a reader sees, and is also where a
//! run whose owner died finds its next one: a reader that meets an expired lease takes the run over and executes it in
//! place.

mod bounds;
mod children;
mod conversation;
mod execute;
mod live;
mod next;
mod planning;
mod respond;
mod tools;
mod verdict;

use std::{sync::Arc, time::Duration};

pub use bounds::Bounds;
pub use execute::{Ended, execute};
pub use live::{Item, Live, Source};

use sequent_data::Store;
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tool::{Guard, Registry, guard::NotAllowable};

/// Everything executing a run needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Where the logs are.
    pub storage: DynamoStorage,
    /// Who answers.
    pub models: sequent_model::Client,
    /// What models may call.
    pub tools: Arc<Registry>,
    /// Timing of the log.
    pub settings: Settings,
    /// What any run may use up.
    pub bounds: Bounds,
}

impl Engine {
    /// How long before an invocation's deadline an owner hands its run over: enough to store what is buffered.
    pub const HAND_OVER: Duration = Duration::from_secs(5);

    /// With the built-in tools, and default timing and bounds.
    #[must_use]
    pub fn new(storage: DynamoStorage, models: sequent_model::Client) -> Self {
        Self::with_guard(storage, models, &Guard::default())
    }

    /// As the environment says: see [`Settings::from_env`], [`Bounds::from_env`] and [`Guard::from_env`].
    ///
    /// # Errors
    /// When a setting cannot be understood.
    pub fn from_env(storage: DynamoStorage, models: sequent_model::Client) -> Result<Self, NotAllowable> {
        let engine = Self::with_guard(storage, models, &Guard::from_env()?);
        Ok(Self { settings: Settings::from_env(), bounds: Bounds::from_env(), ..engine })
    }

    fn with_guard(storage: DynamoStorage, models: sequent_model::Client, guard: &Guard) -> Self {
        let tools = Registry::new(sequent_tool::built_in(guard)).expect("the built-in tools are valid");
        let (settings, bounds) = (Settings::default(), Bounds::default());
        Self { storage, models, tools: Arc::new(tools), settings, bounds }
    }

    /// The tables.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.storage.store()
    }
}
