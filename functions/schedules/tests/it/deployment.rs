//! The function with a schedule.

use std::ops::Deref;

use sequent_billing::Credits;
pub(crate) use sequent_http::testing::deployment::{Person, request};
use sequent_http::testing::{Answer, Event, deployment as testing};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_schedules_function::{App, router};
use serde_json::{Value, json};

/// The schedule that the golden events name.
const SCHEDULE: &str = "sch_01K9Z3TB6W1X2Y3Z4A5B6C7D8E";

pub(crate) struct Deployment(testing::Deployment);

impl Deref for Deployment {
    type Target = testing::Deployment;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Deployment {
    pub(crate) async fn new() -> Self {
        let routes = |store: &sequent_tables::Store, vault: &sequent_identity::Vault| {
            let credits = Credits::new(store.clone(), None, Default::default());
            let storage = DynamoStorage::new(store.clone());
            router(App::new(storage, Settings::default(), vault.clone(), credits))
        };
        Self(testing::Deployment::new("schedules", routes).await)
    }

    /// Sends a request with a body.
    pub(crate) async fn call(&self, of: &Person, method: &str, path: &str, body: Value) -> Answer {
        self.send(&request(method, path, of).json(&body)).await
    }

    /// Creates a schedule and returns its path.
    pub(crate) async fn create(&self, of: &Person) -> String {
        let schedule = json!({
            "name": "Nightly report", "cron": "30 2 * * *", "time_zone": "Europe/Berlin", "input": "Report on the tides.",
            "starts_at": "2120-03-01T00:00:00Z",
        });
        let created = self.call(of, "POST", "/api/schedules", schedule).await;
        assert_eq!(created.status, 201, "{}", created.text());
        created.header("location").to_owned()
    }

    /// Reads what must exist.
    pub(crate) async fn read(&self, of: &Person, path: &str) -> Value {
        let answer = self.send(&request("GET", path, of)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

/// A golden event of this function with this person's credentials, about the schedule at `path`.
pub(crate) fn golden(case: &str, of: &Person, path: &str) -> Event {
    let id = path.rsplit('/').next().expect("a path has a last part");
    sequent_http::testing::deployment::golden_with("schedules", case, of, &[(SCHEDULE, id)])
}
