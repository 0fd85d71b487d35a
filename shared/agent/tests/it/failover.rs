//! Fallbacks for a model that cannot answer.

use sequent_agent::execute;
use sequent_conversation::RunStatus;
use sequent_model::{ModelName, price::Table};

use serde_json::json;

use crate::{
    bench::Bench,
    server::{ModelServer, completion},
};

/// A server that is overloaded.
pub(crate) fn overloaded() -> ModelServer {
    let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    ModelServer::start(vec![answer.to_owned()])
}

/// A bench whose default model is `first`, with the fallbacks `second` and demo.
pub(crate) async fn bench(server: &ModelServer) -> Bench {
    let fallbacks = ["second", "demo"].map(|name| name.parse::<ModelName>().unwrap());
    let adjust = |config: &mut sequent_model::Config| {
        config.anthropic = None;
        config.default_model = "first".parse().unwrap();
        config.fallbacks = fallbacks.into();
        config.prices = Table::from_json(r#"{"first":{"input":1000000,"output":1000000}}"#).unwrap();
    };
    server.bench(adjust).await
}

#[tokio::test]
async fn fallbacks_are_tried_and_with_a_cost_limit_only_those_with_a_price() {
    let server = overloaded();
    let bench = bench(&server).await;
    for (limit, expected) in [(None, vec!["first", "second"]), (Some(1_000_000), vec!["first"])] {
        server.forget();
        let mut asking = bench.asking(bench.project().await.id, "Hello.");
        asking.options.budget.max_cost_micro_usd = limit;
        let writer = bench.owned(&asking).await;
        execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
        let asked = server.asked();
        let models: Vec<&str> = asked.iter().map(|request| request["model"].as_str().unwrap()).collect();
        assert_eq!(models, expected);
        assert_eq!(bench.status(asking.run).await, RunStatus::Success, "the demo has answered");
    }
}

/// An answer with this status and error.
fn refused(status: &str, error: &serde_json::Value) -> String {
    let body = json!({"error": error}).to_string();
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_fallback_answers_for_each_reason_for_which_only_the_first_model_cannot() {
    let credit = json!({"type": "invalid_request_error", "message": "Your credit balance is too low."});
    let no_model = json!({"code": "model_not_found", "message": "The model is retired."});
    for first in [
        refused("402 Payment Required", &json!({"message": "no credit"})),
        refused("400 Bad Request", &credit),
        refused("401 Unauthorized", &json!({"message": "the key was revoked"})),
        refused("404 Not Found", &no_model),
        refused("302 Found", &json!({})),
        completion(&[], "malformed_function_call"),
    ] {
        let server =
            ModelServer::start(vec![first.clone(), completion(&[json!({"content": "Hi."})], "stop")]);
        let bench = bench(&server).await;
        let asking = bench.asking(bench.project().await.id, "Hello.");
        let writer = bench.owned(&asking).await;
        execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
        assert_eq!(bench.status(asking.run).await, RunStatus::Success, "{first}");
        let models: Vec<_> = server.asked().iter().map(|request| request["model"].clone()).collect();
        assert_eq!(models, ["first", "second"], "{first}");
    }
}

#[tokio::test]
async fn a_request_that_is_refused_is_not_sent_to_a_fallback() {
    let server = ModelServer::start(vec![refused("400 Bad Request", &json!({"message": "not valid"}))]);
    let bench = bench(&server).await;
    let asking = bench.asking(bench.project().await.id, "Hello.");
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    assert_eq!((bench.status(asking.run).await, server.asked().len()), (RunStatus::Error, 1));
}
