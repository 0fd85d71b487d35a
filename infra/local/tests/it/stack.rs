//! The whole stack on the real emulator, with the fixture template.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use sequent_local::gate::{self, Load};
use sequent_local::stack::Error;
use sequent_local::{Options, Stack};
use serde_json::json;

use crate::harness::{fixture, install_probe, json as body, send};

fn options(dir: &std::path::Path) -> Options {
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    install_probe(&bin);
    let mut options = Options::new(&Options::repository());
    options.template = fixture();
    options.data_dir = dir.join("data");
    options.bin_dir = bin;
    options
}

#[tokio::test]
async fn the_template_is_deployed_and_its_functions_serve_with_their_variables() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::start(options(dir.path())).await.unwrap();
    let seen = body(send(get(&stack, "/api/items/9")).await).await;
    assert_eq!((seen["id"].as_str(), seen["greeting"].as_str()), (Some("9"), Some("hello from dev")));
    assert_eq!(stack.instances().len(), 1);

    // The emulator forwards its invocations to our execution environment.
    let name = &stack.deployed().resources["ProbeFunction"];
    let event = json!({
        "version": "2.0", "rawPath": "/x", "rawQueryString": "", "headers": {},
        "requestContext": {"http": {"method": "GET", "path": "/x"}},
    });
    let path = format!("/2015-03-31/functions/{name}/invocations");
    let event = Bytes::from(event.to_string());
    let answer = stack.endpoint().rest("lambda", Method::POST, &path, event).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");

    // Two stacks cannot share a folder.
    let mut second = options(dir.path());
    second.data_dir = dir.path().join("data");
    assert!(matches!(Stack::start(second).await, Err(Error::Io { .. })));
    stack.stop().await;
}

#[tokio::test]
async fn state_survives_an_orderly_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.gate = None;
    let stack = Stack::start(options.clone()).await.unwrap();
    let table = stack.deployed().resources["ItemsTable"].clone();
    let put = json!({"TableName": table, "Item": {"pk": {"S": "kept"}}});
    stack.endpoint().json("dynamodb", "DynamoDB_20120810.PutItem", &put).await.unwrap();
    stack.stop().await;

    let stack = Stack::start(options).await.unwrap();
    assert_eq!(stack.deployed().resources["ItemsTable"], table);
    let get = json!({"TableName": table, "Key": {"pk": {"S": "kept"}}});
    let item = stack.endpoint().json("dynamodb", "DynamoDB_20120810.GetItem", &get).await.unwrap();
    assert_eq!(item["Item"]["pk"]["S"], "kept");
    stack.stop().await;
}

#[tokio::test]
async fn the_endpoint_is_linearizable() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.gate = None;
    let stack = Stack::start(options).await.unwrap();
    gate::check(stack.endpoint(), Load::THOROUGH).await.unwrap();
    stack.stop().await;
}

#[tokio::test]
async fn a_template_that_cannot_be_deployed_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.template = dir.path().join("template.yaml");
    let text = "Resources: {Broken: {Type: 'AWS::CloudWatch::Alarm', Properties: {Threshold: 1}}}";
    std::fs::write(&options.template, text).unwrap();
    let error = Stack::start(options).await.unwrap_err();
    assert!(matches!(error, Error::Deploy(_)), "{error}");
    assert!(error.to_string().contains("Broken (AWS::CloudWatch::Alarm)"), "{error}");
}

#[tokio::test]
async fn a_taken_port_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let taken = sequent_local::front::listen(0).await.unwrap();
    let mut options = options(dir.path());
    options.port = taken.local_addr().unwrap().port();
    let error = Stack::start(options).await.unwrap_err();
    assert!(matches!(error, Error::PortTaken(_)), "{error}");
}

fn get(stack: &Stack, path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("{}{path}", stack.origin_url())).body(Full::default()).unwrap()
}
