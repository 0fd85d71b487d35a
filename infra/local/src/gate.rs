//! The concurrency gate. The run log relies on one guarantee of the database: of all conditional writes that
//! race for one key, exactly one succeeds. Artifacts rely on the same guarantee of S3. Emulators have broken
//! it, so every start tests it first.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::aws::{self, Endpoint};

/// Size of the test.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Writers racing for each key.
    pub writers: usize,
    /// Keys to race for, one after the other.
    pub keys: usize,
    /// Increments each writer makes in the lost-update check.
    pub increments: usize,
}

impl Load {
    /// Takes a second, for every start.
    pub const QUICK: Self = Self { writers: 16, keys: 25, increments: 4 };
    /// Has found the fault in other emulators reliably.
    pub const THOROUGH: Self = Self { writers: 32, keys: 120, increments: 10 };
}

/// Reasons not to use the endpoint.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "plain data")]
pub enum Error {
    /// A call failed for a reason other than its condition.
    #[error(transparent)]
    Aws(#[from] aws::Error),
    /// Several writers, or none, succeeded with the same conditional put.
    #[error(
        "{winners} of {writers} writers won the conditional put on one key: the endpoint is not linearizable"
    )]
    Winners { winners: usize, writers: usize },
    /// The stored item is not the winner's.
    #[error("the stored item is not the one whose write was acknowledged")]
    Overwritten,
    /// Acknowledged compare-and-set increments were lost.
    #[error("{expected} acknowledged increments left the counter at {found}: updates are lost")]
    LostUpdate { expected: usize, found: usize },
}

/// Tests the guarantee on a table and a bucket of its own, and deletes both afterwards.
pub async fn check(endpoint: &Endpoint, load: Load) -> Result<(), Error> {
    let table = format!("gate-{}", crate::request_id());
    let create = json!({
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
    });
    call(endpoint, "CreateTable", create).await?;
    let result = race(endpoint, &table, load).await;
    call(endpoint, "DeleteTable", json!({"TableName": table})).await?;
    result?;
    race_for_objects(endpoint, &table, load).await
}

/// Tests the same guarantee for the objects of a bucket.
async fn race_for_objects(endpoint: &Endpoint, bucket: &str, load: Load) -> Result<(), Error> {
    endpoint.rest("s3", Method::PUT, &format!("/{bucket}"), Bytes::new()).await?;
    for key in 0..load.keys.div_ceil(5) {
        let path = format!("/{bucket}/{key}");
        let raced = one_object(endpoint, &path, load.writers).await;
        endpoint.rest("s3", Method::DELETE, &path, Bytes::new()).await?;
        raced?;
    }
    endpoint.rest("s3", Method::DELETE, &format!("/{bucket}"), Bytes::new()).await?;
    Ok(())
}

async fn one_object(endpoint: &Endpoint, path: &str, writers: usize) -> Result<(), Error> {
    let barrier = Arc::new(tokio::sync::Barrier::new(writers));
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let endpoint = endpoint.clone();
        let barrier = barrier.clone();
        let path = path.to_owned();
        tasks.spawn(async move {
            barrier.wait().await;
            let won = endpoint.put_new(&path, Bytes::from(writer.to_string())).await?;
            Ok(won.then_some(writer))
        });
    }
    let mut winners = Vec::new();
    while let Some(result) = tasks.join_next().await {
        winners.extend(joined(result)?);
    }
    let [winner] = winners[..] else {
        return Err(Error::Winners { winners: winners.len(), writers });
    };
    let stored = endpoint.rest("s3", Method::GET, path, Bytes::new()).await?;
    if stored == winner.to_string().as_bytes() { Ok(()) } else { Err(Error::Overwritten) }
}

async fn race(endpoint: &Endpoint, table: &str, load: Load) -> Result<(), Error> {
    wait_active(endpoint, table).await?;
    for key in 0..load.keys {
        one_winner(endpoint, table, &format!("key-{key}"), load.writers).await?;
    }
    no_lost_update(endpoint, table, load).await
}

/// Waits until the table is active. A real account takes a moment, emulators do not.
async fn wait_active(endpoint: &Endpoint, table: &str) -> Result<(), Error> {
    loop {
        let answer = call(endpoint, "DescribeTable", json!({"TableName": table})).await?;
        if answer["Table"]["TableStatus"] == "ACTIVE" {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

async fn one_winner(endpoint: &Endpoint, table: &str, key: &str, writers: usize) -> Result<(), Error> {
    // The barrier releases all writers at once.
    let barrier = Arc::new(tokio::sync::Barrier::new(writers));
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let endpoint = endpoint.clone();
        let barrier = barrier.clone();
        let put = json!({
            "TableName": table,
            "Item": {"k": {"S": key}, "writer": {"N": writer.to_string()}},
            "ConditionExpression": "attribute_not_exists(k)",
        });
        tasks.spawn(async move {
            barrier.wait().await;
            conditional(&endpoint, "PutItem", put).await.map(|won| won.then_some(writer))
        });
    }
    let mut winners = Vec::new();
    while let Some(result) = tasks.join_next().await {
        winners.extend(joined(result)?);
    }
    let [winner] = winners[..] else {
        return Err(Error::Winners { winners: winners.len(), writers });
    };
    let get = json!({"TableName": table, "Key": {"k": {"S": key}}, "ConsistentRead": true});
    let stored = call(endpoint, "GetItem", get).await?;
    if stored["Item"]["writer"]["N"].as_str() == Some(&winner.to_string()) {
        Ok(())
    } else {
        Err(Error::Overwritten)
    }
}

async fn no_lost_update(endpoint: &Endpoint, table: &str, load: Load) -> Result<(), Error> {
    let counter = json!({"TableName": table, "Item": {"k": {"S": "counter"}, "n": {"N": "0"}}});
    call(endpoint, "PutItem", counter).await?;
    // Fewer writers than in the race, because each must succeed `increments` times against all others.
    let writers = (load.writers / 4).max(2);
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let endpoint = endpoint.clone();
        let table = table.to_owned();
        tasks.spawn(async move {
            for _ in 0..load.increments {
                while !increment(&endpoint, &table).await? {}
            }
            Ok(())
        });
    }
    while let Some(result) = tasks.join_next().await {
        joined(result)?;
    }
    let expected = writers * load.increments;
    let found = counter_value(endpoint, table).await?;
    if found == expected { Ok(()) } else { Err(Error::LostUpdate { expected, found }) }
}

/// Reads the counter, then increments it by a conditional write. Returns `false` if another writer was
/// faster.
async fn increment(endpoint: &Endpoint, table: &str) -> Result<bool, Error> {
    let seen = counter_value(endpoint, table).await?;
    let put = json!({
        "TableName": table,
        "Item": {"k": {"S": "counter"}, "n": {"N": (seen + 1).to_string()}},
        "ConditionExpression": "n = :seen",
        "ExpressionAttributeValues": {":seen": {"N": seen.to_string()}},
    });
    conditional(endpoint, "PutItem", put).await
}

async fn counter_value(endpoint: &Endpoint, table: &str) -> Result<usize, Error> {
    let get = json!({"TableName": table, "Key": {"k": {"S": "counter"}}, "ConsistentRead": true});
    let stored = call(endpoint, "GetItem", get).await?;
    Ok(stored["Item"]["n"]["N"].as_str().and_then(|n| n.parse().ok()).unwrap_or_default())
}

async fn conditional(endpoint: &Endpoint, operation: &str, body: Value) -> Result<bool, Error> {
    match call(endpoint, operation, body).await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn call(endpoint: &Endpoint, operation: &str, body: Value) -> Result<Value, aws::Error> {
    endpoint.json("dynamodb", &format!("DynamoDB_20120810.{operation}"), &body).await
}

fn joined<T>(result: Result<Result<T, Error>, tokio::task::JoinError>) -> Result<T, Error> {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
