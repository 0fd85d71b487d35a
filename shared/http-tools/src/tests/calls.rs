//! Calls of tools over real connections.

use sequent_core::{ExposeSecret as _, RunId, SecretString, TenantId, Timestamp, UserId};
use sequent_tables::{Store, testing};
use sequent_tool::{Call, Error as ToolError, Guard, Tool, guard::System, run};
use sequent_webhooks::signature::{SignedHeaders, SigningSecret, verify};
use serde_json::{Value, json};

use super::{
    find_order, name,
    server::{Received, Scripted, Server},
    tools, vault,
};
use crate::{HttpTools, NewHttpTool};

/// A tool of a tenant that calls the server.
struct Bench {
    server: Server,
    store: Store,
    tools: HttpTools,
    tenant: TenantId,
    signing: SecretString,
}

impl Bench {
    async fn new(answers: impl IntoIterator<Item = Scripted>, members: Value) -> Self {
        let server = Server::start(answers).await;
        let store = testing::store().await;
        let tools = tools(&store, &server.address.to_string());
        let tenant = TenantId::new();
        let new: NewHttpTool = find_order(&server.base(), members);
        let (_, signing) = tools.create(tenant, UserId::new(), new, Timestamp::now()).await.unwrap();
        Self { server, store, tools, tenant, signing }
    }

    async fn tool(&self) -> Tool {
        self.tools.tools(self.tenant).await.unwrap().remove(0)
    }

    async fn call(&self, arguments: Value) -> Result<String, ToolError> {
        let tool = self.tool().await;
        let call = Call::new(self.tenant, RunId::from_bits(7), "call_1", arguments);
        Box::pin(run(&tool, call)).await.map(|output| output.content)
    }
}

fn verified(received: &Received, signing: &SecretString) -> Option<String> {
    let header = |name: &str| received.headers.get(name).map(String::as_str);
    let headers = SignedHeaders {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    };
    let secret = SigningSecret::parse(signing).unwrap();
    verify(headers, received.body.as_bytes(), [&secret], Timestamp::now()).ok().map(str::to_owned)
}

#[tokio::test]
async fn a_call_is_signed_and_has_its_key_its_headers_and_its_arguments() {
    let bench = Bench::new(
        [Scripted::json("200 OK", r#"{"order":{"state":"sent"}}"#)],
        json!({"result_pointer": "/order/state"}),
    )
    .await;
    assert_eq!(bench.call(json!({"id": "a/7", "view": "ä"})).await.unwrap(), "sent");
    let [received] = bench.server.received().try_into().unwrap();
    assert_eq!(received.line, "GET /orders/a%2F7?view=%C3%A4 HTTP/1.1");
    assert_eq!(received.headers["authorization"], "Bearer s3cret-token");
    let key = format!("{}:call_1", RunId::from_bits(7));
    assert_eq!(received.headers["idempotency-key"], key);
    assert_eq!(verified(&received, &bench.signing), Some(key.clone()));
    let other = Received { body: "x".to_owned(), ..received };
    assert_eq!(verified(&other, &bench.signing), None);

    let posted = json!({"method": "POST", "url": format!("{}/orders/{{id}}/refunds", bench.server.base())});
    let change = serde_json::from_value(posted).unwrap();
    bench.tools.change(bench.tenant, &name("find_order"), &change, Timestamp::now()).await.unwrap();
    let rotated = bench.tools.rotate(bench.tenant, &name("find_order"), Timestamp::now()).await.unwrap();
    assert_ne!(rotated.expose_secret(), bench.signing.expose_secret());
    bench.call(json!({"id": "7", "view": "x"})).await.unwrap();
    let posted = bench.server.received().remove(1);
    assert_eq!(posted.line, "POST /orders/7/refunds HTTP/1.1");
    assert_eq!(
        (posted.body.as_str(), posted.headers["content-type"].as_str()),
        (r#"{"view":"x"}"#, "application/json")
    );
    assert_eq!(posted.headers["authorization"], "Bearer s3cret-token", "a change and a rotation keep it");
    assert_eq!(verified(&posted, &bench.signing), None, "the former secret signs nothing any more");
    assert_eq!(verified(&posted, &rotated), Some(key));
}

#[tokio::test]
async fn a_model_reads_the_status_and_the_beginning_of_a_failure_and_no_secret() {
    let body = r#"{"error":"no order 7","headers":{"authorization":"Bearer s3cret-token"}}"#;
    let bench = Bench::new([Scripted::json("404 Not Found", body)], json!({})).await;
    let refused = bench.call(json!({"id": "7"})).await.unwrap_err();
    let text = r#"`find_order`: The server answered 404 Not Found: {"error":"no order 7","headers":{"authorization":"[redacted]"}}"#;
    assert_eq!(refused, ToolError::Refused(text.to_owned()));
    let echo = Bench::new([Scripted::json("200 OK", r#"{"sent":"s3cret-token"}"#)], json!({})).await;
    assert_eq!(echo.call(json!({"id": "7"})).await.unwrap(), r#"{"sent":"[redacted]"}"#);
}

#[tokio::test]
async fn failures_that_may_pass_are_retried_only_for_an_idempotent_tool() {
    for (answer, idempotent, otherwise) in [
        (Scripted::json("503 Service Unavailable", "{}"), "tool_unavailable", "tool_refused"),
        (Scripted::Closed, "tool_unavailable", "tool_outcome_unknown"),
        (Scripted::Silent, "tool_unavailable", "tool_outcome_unknown"),
        (Scripted::json("400 Bad Request", "{}"), "tool_refused", "tool_refused"),
    ] {
        for (is_idempotent, code) in [(true, idempotent), (false, otherwise)] {
            let members = json!({"idempotent": is_idempotent, "timeout_seconds": 1});
            let bench = Bench::new([answer.clone()], members).await;
            assert_eq!(bench.call(json!({"id": "7"})).await.unwrap_err().code(), code);
            assert_eq!(bench.server.received().len(), 1, "the agent retries, and not the tool");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let moved = Scripted::With("302 Found", "location: http://169.254.169.254/latest/", String::new());
    let bench = Bench::new([moved], json!({})).await;
    let refused = bench.call(json!({"id": "7"})).await.unwrap_err();
    assert!(refused.message().contains("302 Found, and redirects are not followed"), "{refused:?}");
    assert_eq!(bench.server.received().len(), 1);
}

#[tokio::test]
async fn a_guard_that_allows_it_no_longer_refuses_every_call() {
    let bench = Bench::new([Scripted::json("200 OK", "{}")], json!({})).await;
    assert_eq!(bench.call(json!({"id": "7"})).await.unwrap(), "{}");
    // As on AWS, where no exception is set.
    let on_aws = HttpTools::new(bench.store.clone(), vault(), Guard::new(Vec::new(), System));
    let tool = on_aws.tools(bench.tenant).await.unwrap().remove(0);
    let call = Call::new(bench.tenant, RunId::from_bits(7), "call_2", json!({"id": "7"}));
    let refused = Box::pin(run(&tool, call)).await.unwrap_err();
    assert!(
        matches!(&refused, ToolError::Refused(why) if why.contains("The server cannot be reached")),
        "{refused:?}"
    );
    assert_eq!(bench.server.received().len(), 1);
}

#[tokio::test]
async fn a_trial_tells_what_a_model_would_read() {
    let bench = Bench::new([Scripted::json("200 OK", r#"{"state":"sent"}"#)], json!({"policy": "ask"})).await;
    let find = name("find_order");
    let trial = async |arguments: &str| bench.tools.try_call(bench.tenant, &find, arguments).await.unwrap();
    let good = trial(r#"{"id":"7"}"#).await;
    assert_eq!((good.succeeded, good.content.as_str(), good.error), (true, r#"{"state":"sent"}"#, None));
    let wrong = trial(r#"{"id":7}"#).await;
    assert!(!wrong.succeeded && wrong.content.contains("do not match its parameters"), "{wrong:?}");
    assert_eq!(wrong.error, Some("tool_refused"));
    let received = bench.server.received();
    assert_eq!(received.len(), 1);
    assert!(received[0].headers["idempotency-key"].ends_with(":trial"));
}

#[tokio::test]
async fn an_answer_is_cut_for_the_model() {
    let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(300_000));
    let members = json!({"result_pointer": "/text", "max_result_bytes": 500});
    let bench = Bench::new([Scripted::json("200 OK", &body)], members).await;
    let text = bench.call(json!({"id": "7"})).await.unwrap();
    assert!(
        text.len() <= 500
            && text.ends_with("[Cut: the result has 300000 bytes; only the beginning is shown.]")
    );
}
