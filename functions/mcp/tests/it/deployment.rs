//! The function over tables of its own, with a worker for the runs that it starts.

use std::ops::Deref;

use sequent_agent::{Engine, execute};
use sequent_billing::Credits;
use sequent_conversation::{Runs, claim};
use sequent_core::RunId;
use sequent_http::testing::Event;
use sequent_http::testing::deployment as testing;
pub(crate) use sequent_http::testing::deployment::{Person, with_token as request};
use sequent_mcp_client::Servers;
use sequent_mcp_function::{App, router};
use sequent_runlog::{DynamoStorage, LogKey, Settings};
use sequent_tool::Guard;

pub(crate) struct Deployment {
    function: testing::Deployment,
    engine: Engine,
}

impl Deref for Deployment {
    type Target = testing::Deployment;

    fn deref(&self) -> &Self::Target {
        &self.function
    }
}

impl Deployment {
    pub(crate) async fn new() -> Self {
        let function = testing::Deployment::new("mcp", |store, vault| {
            let servers = Servers::new(store.clone(), vault.clone(), Guard::default());
            router(App::new(
                servers,
                DynamoStorage::new(store.clone()),
                Settings::default(),
                Credits::new(store.clone(), None, Default::default()),
            ))
        });
        let function = function.await;
        let demo = sequent_model::Config { demo_tokens_per_second: 0, ..sequent_model::Config::demo() };
        let storage = DynamoStorage::new(function.store().clone());
        Self { function, engine: Engine::new(storage, sequent_model::Client::new(demo)) }
    }

    /// Claims and executes a pending run, as a worker does.
    pub(crate) async fn work(&self, of: &Person, run: RunId) {
        let key = LogKey { tenant: of.tenant(), run };
        let row = Runs::new(self.engine.store(), key.tenant).get(run).await.unwrap();
        let writer = Box::pin(claim(&self.engine.runs(), key, &row, None)).await.unwrap();
        let writer = writer.unwrap_or_else(|| panic!("{run} cannot be claimed"));
        Box::pin(execute(&self.engine, key, *writer, None)).await.unwrap();
    }
}

/// A golden event of this function with the credentials of `of`.
pub(crate) fn golden(case: &str, of: &Person) -> Event {
    sequent_http::testing::deployment::golden("mcp", case, of)
}
