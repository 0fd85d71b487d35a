//! The parameters of a run in the requests to its model.

use sequent_agent::execute;
use sequent_conversation::{NewRun, RunOptions, Runs};
use sequent_event::Body;
use serde_json::json;

use crate::server::{ModelServer, completion};

#[tokio::test]
async fn the_parameters_of_a_run_are_recorded_and_sent() {
    let server = ModelServer::start(vec![completion(&[json!({"content": "Blue."})], "stop")]);
    let bench = server.bench(|_| ()).await;
    let parameters =
        serde_json::from_value(json!({"temperature": 0.25, "max_output_tokens": 300, "stop": ["END"]}));
    let options = RunOptions { parameters: parameters.unwrap(), ..RunOptions::default() };
    let asking = NewRun { options, model: Some("m".into()), ..bench.asking(bench.project().await.id, "Go.") };
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    let asked = server.asked().remove(0);
    assert_eq!(
        (&asked["temperature"], &asked["max_tokens"], &asked["stop"]),
        (&json!(0.25), &json!(300), &json!(["END"]))
    );
    let events = bench.events(asking.run).await;
    let configured = events.iter().find_map(|event| match event.body() {
        Some(Body::RunConfigured(configuration)) => configuration.parameters.clone(),
        _ => None,
    });
    let recorded = serde_json::to_value(configured.unwrap()).unwrap();
    assert_eq!(recorded, json!({"temperature": 0.25, "maxOutputTokens": 300, "stop": ["END"]}));
    let row = Runs::new(bench.engine.store(), bench.tenant).get(asking.run).await.unwrap();
    assert_eq!(row.options, asking.options);
}
