//! Artifacts of runs and people: equal bytes are stored once, content that differs from its announcement is
//! refused, and a referenced object is never collected.

mod content;
mod conversations;
mod exports;
mod garbage;
mod pages;
mod runs;
mod uploads;

use std::collections::BTreeMap;

use bytes::Bytes;
use sequent_artifacts::{Artifacts, Description, Digest};
use sequent_core::TenantId;
use sequent_tables::{Tables, key};
use serde_json::{Value, json};

use crate::{
    surface::{Call, Person},
    system::System,
};

/// Returns the environment of the artifacts function.
fn environment(system: &System) -> &BTreeMap<String, String> {
    &system.stack.deployed().environments["ArtifactsFunction"]
}

/// Returns the stack's artifacts, reached as the functions reach them.
fn artifacts(system: &System) -> Artifacts {
    let environment = environment(system);
    let tables = Tables {
        main: environment["MAIN_TABLE"].as_str().into(),
        events: environment["EVENTS_TABLE"].as_str().into(),
    };
    sequent_artifacts::testing::deployed(
        system.stack.endpoint_url(),
        tables,
        &environment["ARTIFACTS_BUCKET"],
    )
}

async fn tenant(person: &Person) -> TenantId {
    person.get("/api/auth/me").await["tenant_id"].as_str().unwrap().parse().unwrap()
}

/// Returns the keys of all versions of all objects in the bucket.
async fn objects(system: &System) -> Vec<String> {
    let path = format!("/{}?versions", environment(system)["ARTIFACTS_BUCKET"]);
    let xml = system.stack.endpoint().rest("s3", http::Method::GET, &path, Bytes::new()).await.unwrap();
    let xml = String::from_utf8(xml.to_vec()).unwrap();
    xml.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap().to_owned()).collect()
}

/// Returns the number of references to the object of these bytes, or `None` if there is no such object.
async fn references(system: &System, tenant: TenantId, content: &[u8]) -> Option<u64> {
    let table = &environment(system)["MAIN_TABLE"];
    let place = key::object(tenant, Digest::of(content).bytes());
    let key = json!({"pk": {"S": place.pk()}, "sk": {"S": place.sk()}});
    let get = json!({"TableName": table, "Key": key, "ConsistentRead": true});
    let found = system.stack.endpoint().json("dynamodb", "DynamoDB_20120810.GetItem", &get).await.unwrap();
    found["Item"]["refs"]["N"].as_str().map(|refs| refs.parse().unwrap())
}

fn described(title: &str) -> Description {
    let entity_type = "file".to_owned();
    let media_type = "text/plain".to_owned();
    Description { title: title.to_owned(), entity_type, tags: Vec::new(), media_type }
}

/// Lists the artifacts of a person's tenant.
async fn list(person: &Person, query: &str) -> Vec<Value> {
    let page = person.get(&format!("/api/artifacts?limit=100{query}")).await;
    assert!(page["next_cursor"].is_null(), "one page: {page}");
    page["items"].as_array().unwrap().clone()
}

/// Announces an upload and returns the signed request.
pub(crate) async fn offer(person: &Person, body: Value) -> Value {
    person.post(Call::to("/api/artifacts/uploads").body(body)).await.json()
}
