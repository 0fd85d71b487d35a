//! Every route of the deployment against every scope that the API document states for it.

use std::{sync::Arc, time::Duration};

use axum::Router;
use sequent_agent::Engine;
use sequent_artifacts::{Artifacts, PreviewKeys, testing::bucket};
use sequent_billing::Credits;
use sequent_http::{
    Scope,
    testing::deployment::{Deployment, ORIGIN, with_token},
};
use sequent_identity::{Identity, Vault, password::Cost};
use sequent_mcp_client::Servers;
use sequent_model::{Client, Config};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::Store;
use sequent_tool::Guard;
use serde_json::Value;

use crate::documents::generated;

/// The operations that any key may call. A tool of the MCP server needs the scope of what it does.
const FOR_EVERY_KEY: [&str; 4] =
    ["get /api/auth/csrf-token", "get /api/auth/me", "get /api/check_session", "post /mcp"];

/// An operation that accepts API keys.
struct Operation {
    name: String,
    method: String,
    path: String,
    scopes: Vec<Scope>,
}

/// The operations of the API document that accept API keys.
fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&generated()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let security = operation.get("security").unwrap_or(&document["security"]);
            let key = security.as_array().unwrap().iter().find_map(|accepted| accepted.get("apiKey"));
            let Some(scopes) = key else { continue };
            operations.push(Operation {
                name: format!("{method} {path}"),
                method: method.to_uppercase(),
                path: path
                    .split('/')
                    .map(|part| if part.starts_with('{') { "x" } else { part })
                    .collect::<Vec<_>>()
                    .join("/"),
                scopes: serde_json::from_value(scopes.clone()).unwrap(),
            });
        }
    }
    operations
}

/// The routes of all functions.
async fn deployment() -> Deployment {
    let (bucket, _) = bucket().await;
    Deployment::new("all", |store, vault| routes(store, vault, Artifacts::new(store.clone(), bucket))).await
}

fn routes(store: &Store, vault: &Vault, artifacts: Artifacts) -> Router {
    let storage = || DynamoStorage::new(store.clone());
    let credits = || Credits::new(store.clone(), None, Default::default());
    let settings = Settings::default();
    let config = sequent_identity::Config {
        issuer: ORIGIN.to_owned(),
        reauthenticate_after: Duration::from_secs(600),
        access_token_ttl: Duration::from_secs(900),
        password_cost: Cost { memory_kib: 64, iterations: 1, parallelism: 1 },
    };
    let identity = Arc::new(Identity::new(store.clone(), vault.clone(), &config).unwrap());
    let engine = Engine::new(storage(), Client::new(Config::demo()));
    let servers = Servers::new(store.clone(), vault.clone(), Guard::default());
    let previews = PreviewKeys::fixed("a key for tests".into());
    let preview_url = "https://preview.example.com/";
    let artifacts =
        sequent_artifacts_function::App::new(artifacts, store.clone(), vault.clone(), previews, preview_url);
    Router::new()
        .merge(sequent_auth_function::router(sequent_auth_function::App::new(identity, store.clone(), false)))
        .merge(sequent_chat_function::router(sequent_chat_function::App::new(engine, credits())))
        .merge(sequent_billing_function::router(sequent_billing_function::App::new(
            store.clone(),
            credits(),
            vault.clone(),
        )))
        .merge(sequent_jobs_function::router(sequent_jobs_function::App::new(storage(), vault.clone())))
        .merge(sequent_mcp_function::router(sequent_mcp_function::App::new(
            servers,
            storage(),
            settings,
            credits(),
        )))
        .merge(sequent_projects_function::router(sequent_projects_function::App::new(
            store.clone(),
            vault.clone(),
            None,
        )))
        .merge(sequent_runs_function::router(sequent_runs_function::App::new(
            storage(),
            settings,
            vault.clone(),
            credits(),
        )))
        .merge(sequent_agents_function::router(sequent_agents_function::App::new(
            store.clone(),
            vault.clone(),
            Guard::default(),
        )))
        .merge(sequent_schedules_function::router(sequent_schedules_function::App::new(
            storage(),
            settings,
            vault.clone(),
            credits(),
        )))
        .merge(sequent_evaluations_function::router(sequent_evaluations_function::App::new(
            storage(),
            settings,
            vault.clone(),
            credits(),
        )))
        .merge(sequent_webhooks_function::router(sequent_webhooks_function::App::new(
            storage(),
            settings,
            vault.clone(),
            Guard::default(),
            credits(),
        )))
        .merge(sequent_artifacts_function::router(artifacts))
}

#[test]
fn every_operation_that_accepts_a_key_states_the_scopes_that_it_needs() {
    let mut unscoped: Vec<String> =
        operations().into_iter().filter(|of| of.scopes.is_empty()).map(|of| of.name).collect();
    unscoped.sort();
    assert_eq!(unscoped, FOR_EVERY_KEY, "put a new route into `scoped(..)`");
}

#[tokio::test]
async fn a_key_with_all_scopes_but_one_is_refused_wherever_that_one_is_needed() {
    let deployment = deployment().await;
    let mut refused = 0;
    for operation in operations() {
        // A tenant of its own, so that no rate limit answers in the place of the route.
        let person = deployment.sign_up(&format!("person-{refused}@example.com")).await;
        for &missing in &operation.scopes {
            let others = Scope::ALL.into_iter().filter(|scope| *scope != missing);
            let key = deployment.api_key(&person, others).await;
            let answer = deployment.send(&with_token(&operation.method, &operation.path, &key)).await;
            let outcome = (answer.status.as_u16(), answer.code());
            assert_eq!(
                outcome,
                (403, "insufficient_scope".to_owned()),
                "{} without {missing}",
                operation.name
            );
            assert_eq!(answer.json()["scope"], missing.as_str(), "{}", operation.name);
            refused += 1;
        }
        let key = deployment.api_key(&person, operation.scopes.iter().copied()).await;
        let answer = deployment.send(&with_token(&operation.method, &operation.path, &key)).await;
        assert_ne!(answer.code(), "insufficient_scope", "{} with what it needs", operation.name);
        refused += 1;
    }
}
