//! Fresh tables for a test: `dynoxide` (DynamoDB's semantics on an in-memory SQLite) behind a real socket, reached
//! through the real SDK, so that a test covers expressions, serialisation and error codes too.
//!
//! Its reads are always strong and its transactions never conflict. [`faulty_store`] adds what DynamoDB has and it has not:
//! [`Fault`]s and late index entries. The limits are DynamoDB's in both; [`conformance`] checks that.

mod capacity;
pub mod conformance;
mod faults;
mod late;
mod limits;
mod operation;
mod process;
mod proxy;
mod refusal;

use std::net::SocketAddr;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Region, retry::RetryConfig},
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
        ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
    },
};

use crate::{Item, Store, Tables};

pub use capacity::{AnsweredRequest, CapacityObserver, with_capacity};
pub use faults::{Fault, Faults, Rates};
pub use process::{Requests, process};
pub use proxy::serve;

/// Starts a database that lives as long as the current tokio runtime and creates both tables in it.
///
/// # Panics
/// Panics if the database cannot be started.
pub async fn store() -> Store {
    let store = at(database().await);
    create_tables(&store).await;
    store
}

/// As [`store`], but requests meet the faults that are planned or drawn.
///
/// # Panics
/// Panics if the database cannot be started.
pub async fn faulty_store() -> (Store, Faults) {
    let faults = Faults::default();
    let database = database().await;
    create_tables(&at(database)).await;
    let proxy = serve(&format!("http://{database}"), faults.clone(), CapacityObserver::default()).await;
    (at(proxy.expect("a loopback port is free")), faults)
}

async fn database() -> SocketAddr {
    let database = dynoxide::Database::memory().expect("an in-memory database opens");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    address
}

/// Returns a store over the tables of a system under test, at the endpoint that its functions use.
#[must_use]
pub fn deployed(endpoint: &str, tables: Tables) -> Store {
    reached(endpoint, tables)
}

/// Returns a store that nothing answers: every operation fails as it does when DynamoDB cannot be reached.
///
/// # Panics
/// Panics if no loopback port is free.
pub async fn unreachable_store() -> Store {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    drop(listener); // from here on connections to the port are refused
    at(address)
}

/// Returns every row of the main table, in no particular order.
///
/// # Panics
/// Panics if the table cannot be read.
pub async fn all_rows(store: &Store) -> Vec<Item> {
    let scan = store.client().scan().table_name(&*store.tables().main).into_paginator().items().send();
    scan.collect::<Result<Vec<Item>, _>>().await.expect("the main table can be read")
}

/// Returns every segment of the run logs, in no particular order.
///
/// # Panics
/// Panics if the table cannot be read.
pub async fn all_segments(store: &Store) -> Vec<Item> {
    let scan = store.client().scan().table_name(&*store.tables().events).into_paginator().items().send();
    scan.collect::<Result<Vec<Item>, _>>().await.expect("the events table can be read")
}

fn at(address: SocketAddr) -> Store {
    reached(&format!("http://{address}"), Tables { main: "main".into(), events: "events".into() })
}

fn reached(endpoint: &str, tables: Tables) -> Store {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Store::new(Client::from_conf(config), tables)
}

/// Creates both tables as the deployment template declares them.
///
/// # Panics
/// Panics if the database refuses.
pub async fn create_tables(store: &Store) {
    let Tables { main, events } = store.tables();
    store
        .client()
        .create_table()
        .table_name(&**events)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("run", ScalarAttributeType::S))
        .attribute_definitions(attribute("seq", ScalarAttributeType::N))
        .set_key_schema(Some(keys("run", "seq")))
        .stream_specification(stream(StreamViewType::NewImage))
        .send()
        .await
        .expect("the events table is created");
    let mut create = store
        .client()
        .create_table()
        .table_name(&**main)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(keys("pk", "sk")))
        .global_secondary_indexes(index("gsi1", "gsi1pk", "gsi1sk"))
        .global_secondary_indexes(index("gsi2", "gsi2pk", "gsi2sk"))
        .stream_specification(stream(StreamViewType::NewAndOldImages));
    for name in ["pk", "sk", "gsi1pk", "gsi1sk", "gsi2pk", "gsi2sk"] {
        create = create.attribute_definitions(attribute(name, ScalarAttributeType::S));
    }
    create.send().await.expect("the main table is created");
}

fn attribute(name: &str, of: ScalarAttributeType) -> AttributeDefinition {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(of)
        .build()
        .expect("name and type are set")
}

fn keys(partition: &str, sort: &str) -> Vec<KeySchemaElement> {
    [(partition, KeyType::Hash), (sort, KeyType::Range)]
        .map(|(name, of)| {
            KeySchemaElement::builder()
                .attribute_name(name)
                .key_type(of)
                .build()
                .expect("name and type are set")
        })
        .to_vec()
}

fn index(name: &str, partition: &str, sort: &str) -> GlobalSecondaryIndex {
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .set_key_schema(Some(keys(partition, sort)))
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
        .expect("name and keys are set")
}

fn stream(view: StreamViewType) -> StreamSpecification {
    StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(view)
        .build()
        .expect("enabled is set")
}
