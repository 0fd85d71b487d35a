//! A deployment of the function, with Secrets Manager in process.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_runtime_api::client::http::HttpClient;
use aws_smithy_types::body::SdkBody;
use sequent_http::testing::Answer;
use sequent_http::{Config, Pipeline, testing::Event};
use sequent_meta_function::{App, Dependencies, router};
use sequent_tables::{SecretTable, Store};
use serde_json::{Value, json};

/// A Secrets Manager with the given secrets. It counts its requests.
#[derive(Clone)]
pub(crate) struct Manager {
    pub(crate) secrets: Arc<Mutex<Value>>,
    pub(crate) requests: Arc<AtomicUsize>,
}

impl Manager {
    pub(crate) fn new(secrets: Value) -> Self {
        Self { secrets: Arc::new(Mutex::new(secrets)), requests: Arc::default() }
    }

    pub(crate) fn client(&self) -> aws_sdk_secretsmanager::Client {
        let manager = self.clone();
        client_over(infallible_client_fn(move |request: http::Request<SdkBody>| {
            manager.requests.fetch_add(1, Ordering::SeqCst);
            let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let secrets = manager.secrets.lock().unwrap();
            assert_eq!(
                request.headers()["x-amz-target"],
                "secretsmanager.DescribeSecret",
                "no secret is read"
            );
            let (status, answer) = match secrets[body["SecretId"].as_str().unwrap()].as_str() {
                Some(_) => (200, json!({ "Name": "origin" })),
                None => (400, json!({ "__type": "ResourceNotFoundException", "message": "internals" })),
            };
            http::Response::builder().status(status).body(SdkBody::from(answer.to_string())).unwrap()
        }))
    }
}

pub(crate) fn client_over(http: impl HttpClient + 'static) -> aws_sdk_secretsmanager::Client {
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(http)
        .build();
    aws_sdk_secretsmanager::Client::from_conf(config)
}

pub(crate) fn secrets() -> Value {
    json!({ "origin": "from-the-cdn" })
}

pub(crate) fn environment(name: &str) -> Option<String> {
    let value = match name {
        "ORIGIN_SECRET_ID" => "origin",
        "DEFAULT_MODEL" => "gpt-5.4-mini",
        _ => return None,
    };
    Some(value.to_owned())
}

pub(crate) fn app(
    store: Store,
    client: aws_sdk_secretsmanager::Client,
    environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
) -> sequent_http::App {
    let dependencies = Dependencies::new(store.clone(), SecretTable::new(store), client, environment);
    Pipeline::with_config("meta", Config::for_tests()).around(router(App::new(dependencies)))
}

/// Sends a golden event of this function.
pub(crate) async fn send(app: &sequent_http::App, case: &str) -> Answer {
    Event::golden("meta", case).send(app).await
}
