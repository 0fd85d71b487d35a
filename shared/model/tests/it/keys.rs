//! The keys of a deployment change while its functions run.

use std::time::Duration;

use futures::StreamExt;
use sequent_aws::secret::REFRESH;
use sequent_model::{Client, Context, Error, Message, Provider, Request};
use sequent_tables::{Row, SecretName, SecretTable, Transaction, Write, testing};
use serde_json::{Value, json};

use crate::server::{Act, Server, answer, events};

async fn store(table: &SecretTable, keys: &Value) {
    put(table, SecretName::Models, keys).await;
}

async fn put(table: &SecretTable, name: SecretName, fields: &Value) {
    let row = Row::new(&name.key(), fields).expect("an object");
    table.commit(Transaction::new().write(Write::put(row))).await.expect("the table answers");
}

fn keys(server: &Server, key: &str) -> Value {
    json!({ "openai_base_url": format!("{}/v1", server.address), "openai_api_key": key })
}

fn complete_answer() -> Act {
    let delta = json!({"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": null}]});
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let frames = [delta, end].map(|frame| format!("data: {frame}\n\n"));
    Act::Write(events(&[frames.concat(), "data: [DONE]\n\n".to_owned()]))
}

async fn ask(client: &Client) -> Result<(), Error> {
    let request = Request::new("gpt-4o".parse().expect("a name"), vec![Message::user("hi")]);
    let mut chunks = client.stream(request, Context::default()).await?;
    while let Some(chunk) = chunks.next().await {
        chunk?;
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_key_is_replaced_by_the_one_that_was_stored_since() {
    let refused = answer("401 Unauthorized", "", "{}");
    let server = Server::start(vec![vec![refused], vec![complete_answer()]]).await;
    let table = SecretTable::new(testing::store().await);
    store(&table, &keys(&server, "revoked-key")).await;
    let client = Client::deployed(&table).await.unwrap();
    store(&table, &keys(&server, "new-key")).await;
    ask(&client).await.unwrap();
    let received = server.received();
    assert!(
        received[0].contains("Bearer revoked-key") && received[1].contains("Bearer new-key"),
        "{received:?}"
    );
}

#[tokio::test]
async fn a_key_that_stays_wrong_is_sent_once() {
    let server = Server::start(vec![vec![answer("401 Unauthorized", "", "{}")]]).await;
    let table = SecretTable::new(testing::store().await);
    store(&table, &keys(&server, "wrong-key")).await;
    let client = Client::deployed(&table).await.unwrap();
    for requests in 1..4 {
        assert_eq!(ask(&client).await, Err(Error::Unauthorized));
        assert_eq!(server.requests(), requests);
    }
}

#[tokio::test]
async fn a_key_that_was_stored_after_the_start_is_used_within_five_minutes() {
    let table = SecretTable::new(testing::store().await);
    let client = Client::deployed(&table).await.unwrap();
    let provider = async || {
        let model = client.default_model().await;
        client.unconfigured().is_none().then(|| client.describe(&model).provider)
    };
    assert_eq!(provider().await, None);
    store(&table, &json!({ "anthropic_api_key": "key" })).await;
    assert_eq!(provider().await, None, "the keys are cached");
    tokio::time::pause();
    tokio::time::advance(REFRESH).await;
    tokio::time::resume();
    // The read may take longer than a request waits for it.
    while provider().await.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(provider().await, Some(Provider::Anthropic));
}

#[tokio::test]
async fn stored_abilities_are_merged_over_the_built_in_ones() {
    let table = SecretTable::new(testing::store().await);
    let stated = json!({"gpt-4o": {"window": 8192}, "own-*": {"images": true}}).to_string();
    put(&table, SecretName::Abilities, &json!({ "table": stated })).await;
    let client = Client::deployed(&table).await.unwrap();
    let [known, own] = ["gpt-4o", "own-1"].map(|name| name.parse().unwrap());
    assert_eq!((client.window(&known).total, client.window(&own).total), (8_192, 128_000));
    let abilities = client.abilities().known();
    assert_eq!([&known, &own].map(|model| abilities.of(model).images), [true, true]);
    assert_eq!([&known, &own].map(|model| abilities.of(model).pdf), [true, false]);
}

#[tokio::test]
async fn prices_that_were_stored_after_the_start_are_used_within_five_minutes_if_they_are_valid() {
    let table = SecretTable::new(testing::store().await);
    let prices = async |input: &str| {
        let text = format!(r#"{{"own": {{"input": {input}, "output": 2}}}}"#);
        put(&table, SecretName::Prices, &json!({ "table": text })).await;
    };
    prices("1").await;
    let client = Client::deployed(&table).await.unwrap();
    let input = || client.price(&"own".parse().unwrap()).map(|price| price.input);
    assert_eq!(input(), Some(1));
    for (stored, expected) in [("-5", 1), ("7", 7)] {
        prices(stored).await;
        tokio::time::pause();
        tokio::time::advance(REFRESH).await;
        tokio::time::resume();
        let _ = client.default_model().await;
        // The read may take longer than a request waits for it.
        while expected == 7 && input() != Some(7) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let _ = client.default_model().await;
        }
        assert_eq!(input(), Some(expected), "{stored}");
    }
    assert_eq!(client.price(&"gpt-4o".parse().unwrap()).map(|price| price.input), Some(2_500_000));
}
