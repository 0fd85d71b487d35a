//! Functions on the emulator, judged by their roles.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use sequent_local::stack::Error;
use sequent_local::{Options, Stack, iam};
use serde_json::{Value, json};

use crate::harness::{fixture, install_probe, json as body, send};

fn options(dir: &std::path::Path) -> Options {
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    install_probe(&bin);
    let mut options = Options::new(&Options::repository());
    options.template = fixture();
    options.data_dir = dir.join("data");
    options.bin_dir = bin;
    options.gate = None;
    options
}

/// Lets the probe call a target of DynamoDB.
async fn call(stack: &Stack, operation: &str, request: &Value) -> Value {
    let target = format!("DynamoDB_20120810.{operation}");
    let url = format!("{}/api/echo/x?do=call&service=dynamodb&target={target}", stack.origin_url());
    body(send(Request::post(url).body(Full::from(request.to_string())).unwrap()).await).await
}

#[tokio::test]
async fn a_function_can_do_what_its_role_allows_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::start(options(dir.path())).await.unwrap();
    let denials = stack.denials();
    let table = &stack.deployed().resources["ItemsTable"];
    let key = |text: &str| json!({"pk": {"S": text}});

    let put = |text: &str| json!({"TableName": table, "Item": key(text)});
    let stored = call(&stack, "PutItem", &put("mine")).await;
    assert!(stored["code"].is_null(), "{stored}");
    let get = json!({"TableName": table, "Key": key("mine")});
    assert_eq!(call(&stack, "GetItem", &get).await["Item"], key("mine"));
    assert_eq!(denials.list(), [""; 0]);

    let refused = call(&stack, "DeleteItem", &get).await;
    assert_eq!(refused["code"], "AccessDeniedException", "{refused}");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("assumed-role/") && message.contains("ProbeFunction"), "{message}");
    let words = format!(
        "is not authorized to perform: dynamodb:DeleteItem on resource: \
         arn:aws:dynamodb:us-east-1:000000000000:table/{table} because no identity-based policy allows the \
         dynamodb:DeleteItem action"
    );
    assert!(message.contains(&words), "{message}");
    let locked = call(&stack, "PutItem", &put("locked-1")).await;
    assert!(locked["message"].as_str().unwrap().contains("with an explicit deny"), "{locked}");

    // A transaction needs what each of its parts needs.
    let parts = [json!({"Put": put("mine")}), json!({"Delete": get})];
    let refused = call(&stack, "TransactWriteItems", &json!({"TransactItems": parts})).await;
    assert!(refused["message"].as_str().unwrap().contains("dynamodb:DeleteItem"), "{refused}");

    // The tests' own client is not judged.
    let kept = stack.endpoint().json("dynamodb", "DynamoDB_20120810.GetItem", &get).await.unwrap();
    assert_eq!(kept["Item"], key("mine"), "nothing was deleted");
    assert_eq!(denials.take().len(), 3);
    stack.stop().await;
}

#[tokio::test]
async fn every_service_refuses_in_its_own_words() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::start(options(dir.path())).await.unwrap();
    let resources = &stack.deployed().resources;
    let [probe, stream] = ["ProbeFunction", "StreamFunction"].map(|name| stack.endpoint_of(name).unwrap());

    let id = json!({"SecretId": resources["Secrets"]});
    let target = "secretsmanager.GetSecretValue";
    let code = |result: Result<Value, sequent_local::aws::Error>| {
        result.err().and_then(|e| Some(e.code()?.to_owned()))
    };
    assert_eq!(code(probe.json("secretsmanager", target, &id).await), None);
    let refused = stream.json("secretsmanager", target, &id).await;
    assert_eq!(
        code(refused).as_deref(),
        Some("AccessDeniedException"),
        "a role of its own for each function"
    );
    let message = json!({"QueueUrl": resources["Jobs"], "MessageBody": "x"});
    let refused = probe.json("sqs", "AmazonSQS.SendMessage", &message).await;
    assert_eq!(code(refused).as_deref(), Some("AccessDeniedException"));
    let refused = probe.json("dynamodb", "DynamoDB_20120810.ListTables", &json!({})).await;
    assert_eq!(code(refused).as_deref(), Some("AccessDeniedException"), "an unknown request is denied");

    let bucket = &resources["Files"];
    let open = format!("/{bucket}/open/a+b%20c");
    probe.rest("s3", Method::PUT, &open, Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(probe.rest("s3", Method::GET, &open, Bytes::new()).await.unwrap(), "x");
    let closed = probe.rest("s3", Method::GET, &format!("/{bucket}/closed"), Bytes::new()).await;
    assert_eq!(closed.unwrap_err().code(), Some("AccessDenied"));
    let missing = probe.rest("s3", Method::GET, &format!("/{bucket}/open/missing"), Bytes::new()).await;
    assert_eq!(
        missing.unwrap_err().code(),
        Some("AccessDenied"),
        "only those who may list learn what is missing"
    );

    assert_eq!(stack.denials().take().len(), 5);
    stack.stop().await;
}

#[tokio::test]
async fn a_role_without_the_permissions_of_its_event_source_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    let mapping = "
  Mapping:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {FunctionName: !Ref StreamFunction, EventSourceArn: !GetAtt Jobs.Arn}
";
    options.template = dir.path().join("template.yaml");
    std::fs::write(&options.template, std::fs::read_to_string(fixture()).unwrap() + mapping).unwrap();
    let error = Stack::start(options).await.unwrap_err();
    assert!(matches!(&error, Error::Iam(iam::Error::Platform { .. })), "{error}");
    assert!(error.to_string().contains("sqs:ReceiveMessage"), "{error}");
}

#[tokio::test]
async fn the_used_permissions_are_noted() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.iam_used = Some(dir.path().join("used"));
    let stack = Stack::start(options).await.unwrap();
    let table = &stack.deployed().resources["ItemsTable"];
    call(&stack, "GetItem", &json!({"TableName": table, "Key": {"pk": {"S": "a"}}})).await;
    stack.stop().await;
    let report = iam::report(&fixture(), &dir.path().join("used")).unwrap();
    let unused: Vec<&str> = report.unused.iter().map(|permission| permission.action.as_str()).collect();
    assert_eq!(unused, ["dynamodb:PutItem", "s3:*Object", "secretsmanager:GetSecretValue"]);
    assert_eq!(report.allowed, 4);
}
