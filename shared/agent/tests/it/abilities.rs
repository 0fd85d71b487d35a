//! Models that lack an ability, as the operator states it.

use sequent_agent::execute;
use sequent_conversation::{NewRun, RunOptions, RunStatus};
use sequent_model::{AbilityTable, Config};
use serde_json::{Value, json};

use crate::{
    bench::Bench,
    failover::overloaded,
    server::{ModelServer, completion},
};

fn stating(table: &Value) -> AbilityTable {
    AbilityTable::from_json(&table.to_string()).unwrap()
}

async fn run(bench: &Bench, new: NewRun) {
    let writer = bench.owned(&new).await;
    execute(&bench.engine, bench.key(new.run), *writer, None).await.unwrap();
    assert_eq!(bench.status(new.run).await, RunStatus::Success);
}

#[tokio::test]
async fn a_request_has_only_what_the_operator_says_that_the_model_takes() {
    let server = ModelServer::start(vec![completion(&[json!({"content": "{}"})], "stop")]);
    let table = json!({"small": {"tools": false, "structured_output": false, "reasoning_effort": false}});
    let bench = server.bench(|config| config.abilities = stating(&table)).await;
    for model in ["small", "large"] {
        let options = RunOptions {
            output_schema: Some(json!({"type": "object"})),
            parameters: serde_json::from_value(json!({"reasoning_effort": "low"})).unwrap(),
            ..RunOptions::default()
        };
        let asking = bench.asking(bench.project().await.id, "Go.");
        run(&bench, NewRun { options, model: Some(model.into()), ..asking }).await;
    }
    let has = |request: &Value| {
        ["tools", "response_format", "reasoning_effort"].map(|name| request.get(name).is_some())
    };
    let asked: Vec<_> = server.asked().iter().map(has).collect();
    assert_eq!(asked, [[false; 3], [true; 3]]);
}

#[tokio::test]
async fn a_fallback_without_tools_is_not_asked_with_them() {
    let server = overloaded();
    let adjust = |config: &mut Config| {
        config.default_model = "first".parse().unwrap();
        config.fallbacks = ["second", "demo"].map(|name| name.parse().unwrap()).into();
        config.abilities = stating(&json!({"second": {"tools": false}}));
    };
    let bench = server.bench(adjust).await;
    run(&bench, bench.asking(bench.project().await.id, "Hello.")).await;
    let asked = server.asked();
    let models: Vec<&str> = asked.iter().map(|request| request["model"].as_str().unwrap()).collect();
    assert_eq!(models, ["first"], "then the demo has answered");
}
