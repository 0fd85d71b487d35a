//! A function as in a deployment, with its own tables, and people who call it.
//!
//! It is a deployment on AWS. Requests come through the CDN, with the secret that the golden events have.

use std::{sync::Arc, time::Duration};

use axum::{Router, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sequent_core::{ExposeSecret, Principal, Scope, Scopes, SessionId, TenantId, Timestamp, UserId, Via};
use sequent_identity::{
    Identity, SignedIn, Vault,
    account::NewAccount,
    api_key::NewApiKey,
    password::{Cost, Password},
    session::Device,
};
use sequent_tables::Store;
use serde_json::json;

use super::{Answer, Event};
use crate::{App, Config, Pipeline, csrf};

/// The public address of the deployment.
pub const ORIGIN: &str = "https://chat.example.com";

/// The access token in the golden events.
const EXAMPLE_JWT: &str =
    "eyJhbGciOiJFZERTQSIsImtpZCI6ImV4YW1wbGUiLCJ0eXAiOiJhdCtqd3QifQ.eyJzdWIiOiJ1c3JfZXhhbXBsZSJ9.ZXhhbXBsZQ";

/// A function with its pipeline.
#[expect(missing_debug_implementations, reason = "it holds keys")]
pub struct Deployment {
    app: App,
    store: Store,
    vault: Vault,
    identity: Arc<Identity>,
}

impl Deployment {
    /// The function with this name, and the router that `routes` makes with the tables and the secret.
    ///
    /// # Panics
    /// If the in-process database cannot be started.
    pub async fn new(function: &'static str, routes: impl FnOnce(&Store, &Vault) -> Router) -> Self {
        let store = sequent_tables::testing::store().await;
        let secret = json!({
            "seed": "a seed for tests", "csrf_key": STANDARD.encode([7; 32]), "origin_secret": "example-origin-secret",
            "admin_key": "example-admin-key-of-32-characters"
        });
        let vault = Vault::fixed(&secret.to_string().into()).expect("the secret is whole");
        let config = sequent_identity::Config {
            issuer: ORIGIN.to_owned(),
            access_token_ttl: Duration::from_secs(900),
            reauthenticate_after: Duration::from_secs(600),
            password_cost: Cost { memory_kib: 64, iterations: 1, parallelism: 1 },
        };
        let identity = Identity::new(store.clone(), vault.clone(), &config).expect("the settings are valid");
        let identity = Arc::new(identity);
        let http = Config { is_local: false, public_origin: Some(ORIGIN.to_owned()), ..Config::for_tests() };
        let app = Pipeline::with_config(function, http)
            .store(store.clone())
            .identity(Arc::clone(&identity))
            .around(routes(&store, &vault));
        Self { app, store, vault, identity }
    }

    /// The tables of the deployment.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The classes by which requests of tenants were counted for their rate limits, sorted.
    ///
    /// # Panics
    /// If the table cannot be read.
    pub async fn counted_classes(&self) -> Vec<String> {
        let rows = sequent_tables::testing::all_rows(&self.store).await;
        let keys = rows.iter().filter_map(sequent_tables::Key::of_item);
        let counts = keys.filter(|key| key.pk().ends_with("#rate-limit"));
        let mut classes: Vec<String> =
            counts.filter_map(|key| Some(key.sk().split_once('#')?.0.to_owned())).collect();
        classes.sort();
        classes.dedup();
        classes
    }

    /// The accounts, sessions and API keys of the deployment.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Calls the function with an event and returns the response with its open body, for streams.
    pub async fn open(&self, event: &Event) -> Response {
        event.open(&self.app).await
    }

    /// Calls the function with an event.
    pub async fn send(&self, event: &Event) -> Answer {
        event.send(&self.app).await
    }

    /// Creates an account.
    ///
    /// # Panics
    /// If that fails.
    pub async fn sign_up(&self, email: &str) -> Person {
        let password = Password::presented("correct horse battery".into()).expect("long enough");
        let account =
            NewAccount { email: email.parse().expect("an address"), password, name: "Ada".to_owned() };
        let signed_in = self.identity.sign_up(account, Device::default(), Timestamp::now()).await;
        let signed_in = signed_in.expect("the address is new");
        let csrf =
            csrf::token(self.vault.get().await.expect("the secret is fixed").http(), signed_in.session.id);
        Person { token: signed_in.access_token.expose_secret().to_owned(), csrf, signed_in }
    }

    /// Creates an API key of this person with only these scopes.
    ///
    /// # Panics
    /// If that fails.
    pub async fn api_key(&self, of: &Person, scopes: impl IntoIterator<Item = Scope>) -> String {
        let principal = Principal {
            tenant: of.tenant(),
            user: of.user(),
            session: Some(of.session()),
            api_key: None,
            scopes: Scopes::ALL,
            via: Via::Bearer,
        };
        let new =
            NewApiKey { name: "tests".to_owned(), scopes: scopes.into_iter().collect(), valid_until: None };
        let created = self.identity.create_api_key(&principal, new, Timestamp::now()).await;
        created.expect("people may have keys").1.expose().to_owned()
    }
}

/// A person with a tenant of their own.
#[derive(Debug, Clone)]
pub struct Person {
    /// The access token of the user.
    pub token: String,
    /// The CSRF token of the session.
    pub csrf: String,
    signed_in: SignedIn,
}

impl Person {
    /// The tenant of the person.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.signed_in.user.tenant_id
    }

    /// The user of the person.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.signed_in.user.id
    }

    /// The session of the user.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.signed_in.session.id
    }

    /// Another user of the same tenant, without a credential.
    #[must_use]
    pub fn colleague(&self) -> Self {
        let mut signed_in = self.signed_in.clone();
        signed_in.user.id = UserId::new();
        Self { token: String::new(), csrf: String::new(), signed_in }
    }
}

/// A request that came through the CDN.
#[must_use]
pub fn request(method: &str, path: &str, of: &Person) -> Event {
    with_token(method, path, &of.token)
}

/// A request with any credential that came through the CDN.
#[must_use]
pub fn with_token(method: &str, path: &str, token: &str) -> Event {
    Event::new(method, path).header("x-origin-verify", "example-origin-secret").bearer(token)
}

/// Returns a golden event of a function, with the example credentials in it replaced by this person's.
///
/// # Panics
/// If the event does not exist.
#[must_use]
pub fn golden(function: &str, case: &str, of: &Person) -> Event {
    golden_with(function, case, of, &[])
}

/// As [`golden`], with the first text of each pair replaced by the second.
///
/// # Panics
/// If the event does not exist.
#[must_use]
pub fn golden_with(function: &str, case: &str, of: &Person, replacements: &[(&str, &str)]) -> Event {
    let text = sequent_core::golden::text(function, case);
    let text = text.replace(EXAMPLE_JWT, &of.token).replace("example-csrf", &of.csrf);
    Event::from_text(&replacements.iter().fold(text, |text, (from, to)| text.replace(from, to)))
}
