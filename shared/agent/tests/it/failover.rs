//! Fallbacks for a model that cannot answer.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use sequent_agent::{Engine, execute};
use sequent_conversation::RunStatus;
use sequent_model::{Client, Config, ModelName, config::Endpoint, price::Table};

use crate::bench::Bench;

/// A server that is overloaded. Returns its address, and the requests that it got.
pub(crate) fn overloaded() -> (String, Arc<Mutex<Vec<serde_json::Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    // The thread ends with the process of the test.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut line = String::new();
            let mut length = 0;
            while reader.read_line(&mut line).unwrap() > 2 {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            log.lock().unwrap().push(body);
            let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, asked)
}

/// A bench whose default model is `first`, with the fallbacks `second` and demo.
pub(crate) async fn bench(url: &str) -> Bench {
    let bench = Bench::new().await;
    let fallbacks = ["second", "demo"].map(|name| name.parse::<ModelName>().unwrap());
    let mut config = Config {
        openai: Some(Endpoint::new(url, None).unwrap()),
        default_model: "first".parse().unwrap(),
        fallbacks: fallbacks.into(),
        demo_tokens_per_second: 0,
        prices: Table::from_json(r#"{"first":{"input":1000000,"output":1000000}}"#).unwrap(),
        ..Config::demo()
    };
    config.retry.attempts = 1;
    Bench { engine: Engine { models: Client::new(config), ..bench.engine.clone() }, ..bench }
}

#[tokio::test]
async fn fallbacks_are_tried_and_with_a_cost_limit_only_those_with_a_price() {
    let (url, asked) = overloaded();
    let bench = bench(&url).await;
    for (limit, expected) in [(None, vec!["first", "second"]), (Some(1_000_000), vec!["first"])] {
        asked.lock().unwrap().clear();
        let mut asking = bench.asking(bench.project().await.id, "Hello.");
        asking.options.budget.max_cost_micro_usd = limit;
        let writer = bench.owned(&asking).await;
        execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
        let models: Vec<String> = asked
            .lock()
            .unwrap()
            .iter()
            .map(|request| request["model"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(models, expected);
        assert_eq!(bench.status(asking.run).await, RunStatus::Success, "the demo has answered");
    }
}
