//! The function as in a deployment, with its own table.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use sequent_auth_function::router;
use sequent_core::TenantId;
use sequent_http::{
    App, Config, Pipeline,
    testing::{Answer, Event},
};
use sequent_identity::{
    Identity, RegistrationMode, Vault, mail::MailRequest, password::Cost, session::Session,
};
use sequent_tables::{Store, Update, key, testing};
use serde_json::{Value, json};

pub(crate) const PASSWORD: &str = "correct horse battery staple";
pub(crate) const ORIGIN: &str = "https://chat.example.com";

/// The key of the operator in the golden events.
pub(crate) const ADMIN_KEY: &str = "example-admin-key-0123456789abcdef";

/// The access token in the golden events.
const EXAMPLE_JWT: &str =
    "eyJhbGciOiJFZERTQSIsImtpZCI6ImV4YW1wbGUiLCJ0eXAiOiJhdCtqd3QifQ.eyJzdWIiOiJ1c3JfZXhhbXBsZSJ9.ZXhhbXBsZQ";

pub(crate) struct Deployment {
    pub(crate) app: App,
    pub(crate) store: Store,
}

impl Deployment {
    /// A deployment on AWS. Requests come through the CDN, with the secret of the golden events.
    pub(crate) async fn new() -> Self {
        Self::registering(RegistrationMode::Open).await
    }

    /// As [`new`](Self::new), with this rule for registrations.
    pub(crate) async fn registering(mode: RegistrationMode) -> Self {
        let http = Config { is_local: false, public_origin: Some(ORIGIN.to_owned()), ..Config::for_tests() };
        Self::with_mode(http, mode).await
    }

    pub(crate) async fn with(http: Config) -> Self {
        Self::with_mode(http, RegistrationMode::Open).await
    }

    /// A deployment on AWS that sends mail.
    pub(crate) async fn with_mail() -> Self {
        let http = Config { is_local: false, public_origin: Some(ORIGIN.to_owned()), ..Config::for_tests() };
        Self::of(http, true, RegistrationMode::Open).await
    }

    /// The inputs of the mails that were requested.
    pub(crate) async fn mails(&self) -> Vec<MailRequest> {
        let jobs: Vec<Value> = self.store.every(key::jobs(TenantId::SYSTEM)).await.unwrap();
        let mails = jobs.into_iter().filter(|job| job["job_type"] == MailRequest::TYPE);
        mails.map(|job| serde_json::from_value(job["input"].clone()).unwrap()).collect()
    }

    async fn with_mode(http: Config, mode: RegistrationMode) -> Self {
        Self::of(http, false, mode).await
    }

    async fn of(http: Config, sends_mail: bool, mode: RegistrationMode) -> Self {
        let store = testing::store().await;
        let mut secret = json!({
            "seed": "a seed for tests",
            "csrf_key": STANDARD.encode([7; 32]),
            "admin_key": ADMIN_KEY,
        });
        if !http.is_local {
            secret["origin_secret"] = "example-origin-secret".into();
        }
        let vault = Vault::fixed(&secret.to_string().into()).unwrap();
        let config = sequent_identity::Config {
            issuer: http.public_origin.clone().unwrap(),
            access_token_ttl: Duration::from_secs(900),
            reauthenticate_after: Duration::from_secs(600),
            password_cost: Cost { memory_kib: 64, iterations: 1, parallelism: 1 },
        };
        let identity = Identity::new(store.clone(), vault.clone(), &config).unwrap();
        let identity = Arc::new(if sends_mail { identity.with_mail() } else { identity });
        let app = sequent_auth_function::App::new(Arc::clone(&identity), store.clone(), http.plain_http());
        let app = app.with_registration(mode);
        let pipeline = Pipeline::with_config("auth", http)
            .store(store.clone())
            .identity(Arc::clone(&identity))
            .around(router(app));
        Self { app: pipeline, store }
    }

    /// Creates an account and returns its tokens.
    pub(crate) async fn register(&self, email: &str) -> SignedIn {
        let body = json!({ "email": email, "password": PASSWORD, "name": "Ada" });
        let answer = self.send(&request("POST", "/api/auth/register").json(&body)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        SignedIn::of(&answer)
    }

    /// Makes the sessions of a user look as if they had presented their passwords an hour ago.
    pub(crate) async fn age_sessions(&self, of: &SignedIn) {
        let id = |name: &str| of.user[name].as_str().unwrap().to_owned();
        let partition = key::sessions(id("tenant_id").parse().unwrap(), id("id").parse().unwrap());
        let sessions: Vec<Session> = self.store.every(partition).await.unwrap();
        for session in sessions {
            let hour_ago = session.authenticated_at - Duration::from_secs(3600);
            let update = Update::of(&session.key()).set("authenticated_at", hour_ago);
            self.store.write(update).await.unwrap();
        }
    }

    pub(crate) async fn send(&self, event: &Event) -> Answer {
        event.send(&self.app).await
    }
}

/// A request that came through the CDN.
pub(crate) fn request(method: &str, path: &str) -> Event {
    Event::new(method, path).header("x-origin-verify", "example-origin-secret")
}

/// A golden event, with the credentials of this user in place of the examples.
pub(crate) fn golden(case: &str, of: &SignedIn) -> Event {
    let text = sequent_core::golden::text("auth", case)
        .replace(EXAMPLE_JWT, &of.access_token)
        .replace("rt_example", &of.refresh_token)
        .replace("example-csrf", &of.csrf_token)
        .replace("\"sequent_refresh=", "\"__Secure-sequent_refresh=");
    Event::from_text(&text)
}

/// The tokens of a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct SignedIn {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    pub(crate) csrf_token: String,
    pub(crate) user: Value,
}

impl SignedIn {
    pub(crate) fn of(answer: &Answer) -> Self {
        let body = answer.json();
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["expires_in"], 900);
        assert_eq!(answer.header("cache-control"), "no-store");
        Self {
            access_token: body["access_token"].as_str().unwrap().to_owned(),
            refresh_token: body["refresh_token"].as_str().unwrap_or_default().to_owned(),
            csrf_token: String::new(),
            user: body["user"].clone(),
        }
    }
}

/// The cookies that a response sets: name, value and attributes.
pub(crate) fn cookies(answer: &Answer) -> Vec<(String, String, String)> {
    answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| {
            let (pair, attributes) = value.to_str().unwrap().split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned(), attributes.to_owned())
        })
        .collect()
}
