//! Fallbacks for a model that cannot answer.

use sequent_agent::execute;
use sequent_conversation::RunStatus;
use sequent_model::{ModelName, price::Table};

use crate::{bench::Bench, server::ModelServer};

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
