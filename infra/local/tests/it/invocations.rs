//! Buffered functions: events, reuse, scale-out, throttling, and all kinds of failure.

use http::Request;
use http_body_util::{BodyExt, Full};

use crate::harness::{Gate, Site, json, send};

#[tokio::test]
async fn a_request_reaches_the_function_and_its_answer_the_client() {
    let site = Site::start_with(&[("GREETING", "hi")]).await;
    let request = Request::post(format!("{}/api/echo/deep/path", site.url)).header("host", "front.test:81");
    let response = send(request.body(Full::from("body")).unwrap()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
    let seen = json(response).await;
    assert_eq!((seen["method"].as_str(), seen["path"].as_str()), (Some("POST"), Some("/api/echo/deep/path")));
    assert_eq!((seen["body"].as_str(), seen["greeting"].as_str()), (Some("body"), Some("hi")));
    assert_eq!(seen["host"], "front.test:81");
    assert!(seen["home"].is_null(), "the developer's environment leaked");

    assert_eq!(json(site.get("/api/items/42").await).await["id"], "42");
}

#[tokio::test]
async fn an_http_api_answers_with_its_own_request_id_and_not_with_the_invocations() {
    let site = Site::start().await;
    let response = site.get("/api/items/1").await;
    assert!(!response.headers().contains_key("x-amzn-requestid"));
    let id = response.headers()["apigw-requestid"].to_str().unwrap().to_owned();
    let seen = json(response).await;
    assert_eq!(seen["request_id"], id);
    assert_ne!(seen["invocation"], id);
    assert_eq!((id.len(), id.ends_with('=')), (16, true), "{id}");
    assert!(
        site.get("/api/other").await.headers().contains_key("apigw-requestid"),
        "the API says 404 itself"
    );
    assert!(!site.get("/index.html").await.headers().contains_key("apigw-requestid"), "elsewhere");
}

#[tokio::test]
async fn the_edge_replaces_the_address_that_a_client_claims() {
    let site = Site::start().await;
    let request = Request::get(format!("{}/api/items/1", site.url)).header("x-viewer-ip", "203.0.113.9");
    let seen = json(send(request.body(Full::default()).unwrap()).await).await;
    assert_eq!(seen["viewer"], "127.0.0.1");
}

#[tokio::test]
async fn paths_without_a_route_are_not_found() {
    let site = Site::start().await;
    for path in ["/", "/api/other", "/api/items", "/index.html"] {
        let response = site.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(json(response).await, serde_json::json!({"message": "Not Found"}));
    }
    assert!(site.runtime.instances().is_empty());
}

#[tokio::test]
async fn one_after_the_other_needs_one_instance() {
    let site = Site::start().await;
    let first = json(site.get("/api/items/1").await).await["pid"].clone();
    for _ in 0..50 {
        assert_eq!(json(site.get("/api/items/1").await).await["pid"], first);
    }
    assert_eq!(site.runtime.instances().len(), 1);
}

#[tokio::test]
async fn concurrent_requests_get_instances_of_their_own_up_to_the_limit() {
    let site = Site::start().await;
    let gate = Gate::new().await;
    let path = format!("/api/items/1?do=gate&gate={}", gate.address());
    let requests = async { tokio::join!(site.get(&path), site.get(&path), site.get(&path), site.get(&path)) };
    let test = async {
        let held = [gate.held().await, gate.held().await, gate.held().await, gate.held().await];
        let pids: std::collections::BTreeSet<_> = held.iter().map(|held| held.pid).collect();
        assert_eq!(pids.len(), 4, "an instance got two invocations at once");
        assert!(site.runtime.instances().iter().all(|i| i.state == "busy" && i.request_id.is_some()));
        assert_eq!(site.get("/api/items/1").await.status(), 503, "beyond the reserved concurrency");
        let refused = site.invoke("ProbeFunction", "{}").await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["x-amzn-errortype"]),
            (429, &"TooManyRequestsException".parse().unwrap())
        );
    };
    let ((a, b, c, d), ()) = tokio::join!(requests, test);
    for response in [a, b, c, d] {
        assert_eq!(response.status(), 200);
    }
    assert_eq!(site.get("/api/items/1").await.status(), 200, "the concurrency was not given back");
}

#[tokio::test]
async fn a_timeout_kills_the_instance() {
    let site = Site::start().await;
    let gate = Gate::new().await;
    let path = format!("/api/items/1?do=gate&gate={}", gate.address());
    let (response, held) = tokio::join!(site.get(&path), async {
        let held = gate.held().await;
        site.until(|instances| instances.is_empty()).await;
        held
    });
    assert_eq!(response.status(), 500);
    assert_eq!(json(response).await, serde_json::json!({"message": "Internal Server Error"}));
    drop(held);
    assert_eq!(site.get("/api/items/1").await.status(), 200, "the next request gets a new instance");
}

#[tokio::test]
async fn errors_and_crashes_are_reported_as_lambda_reports_them() {
    let site = Site::start().await;
    let event = |what: &str| -> &'static str {
        let context = r#""requestContext":{"http":{"method":"GET","path":"/","protocol":"HTTP/1.1"}}"#;
        let event = format!(
            r#"{{"version":"2.0","rawPath":"/","rawQueryString":"do={what}","headers":{{}},"queryStringParameters":{{"do":"{what}"}},{context}}}"#
        );
        event.leak()
    };
    let failed = site.invoke("ProbeFunction", event("fail")).await;
    assert_eq!(
        (failed.status().as_u16(), failed.headers()["x-amz-function-error"].as_bytes()),
        (200, b"Unhandled".as_slice())
    );
    assert!(json(failed).await["errorMessage"].as_str().unwrap().contains("asked to fail"));

    let crashed = site.invoke("test-ProbeFunction", event("exit")).await;
    assert!(crashed.headers().contains_key("x-amz-function-error"));
    let payload = json(crashed).await;
    assert_eq!(payload["errorType"], "Runtime.ExitError");
    assert!(payload["errorMessage"].as_str().unwrap().contains("exit status: 3"), "{payload}");

    let fine =
        site.invoke("arn:aws:lambda:us-east-1:000000000000:function:test-ProbeFunction", event("echo")).await;
    assert!(!fine.headers().contains_key("x-amz-function-error"));
    assert_eq!(json(fine).await["statusCode"], 200);
    assert_eq!(site.invoke("NoFunction", "{}").await.status(), 404);
}

#[tokio::test]
async fn ministack_recognises_failures_by_the_status() {
    let site = Site::start().await;
    let url = format!("{}/2015-03-31/functions/ProbeFunction/invocations", site.control);
    let request = Request::post(url).header("x-amzn-lambda-function-name", "ProbeFunction");
    let response = send(request.body(Full::from("{}")).unwrap()).await;
    assert_eq!(response.status(), 502, "an event it cannot parse fails the function");
}

#[tokio::test]
async fn a_failing_init_fails_the_invocation() {
    let site = Site::start_with(&[("PROBE_INIT", "fail")]).await;
    let response = site.invoke("ProbeFunction", "{}").await;
    let payload = json(response).await;
    assert!(payload["errorMessage"].as_str().unwrap().contains("exit status: 7"), "{payload}");
    assert_eq!(site.get("/api/items/1").await.status(), 500);
}

#[tokio::test]
async fn an_instance_killed_while_idle_is_replaced() {
    let site = Site::start().await;
    let first = json(site.get("/api/items/1").await).await["pid"].as_u64().unwrap();
    let url = format!("{}/instances/{first}/kill", site.control);
    assert_eq!(send(Request::post(&url).body(Full::default()).unwrap()).await.status(), 204);
    let second = json(site.get("/api/items/1").await).await["pid"].as_u64().unwrap();
    assert_ne!(first, second);
    site.until(|instances| instances.len() == 1).await;
    assert_eq!(send(Request::post(&url).body(Full::default()).unwrap()).await.status(), 404);
}

#[tokio::test]
async fn bodies_beyond_the_limit_are_refused() {
    let site = Site::start().await;
    let post = |len: usize| {
        let request = Request::post(format!("{}/api/echo/x", site.url)).header("content-type", "text/plain");
        send(request.body(Full::from(vec![b'a'; len])).unwrap())
    };
    assert_eq!(post(10 * 1024 * 1024 + 1).await.status(), 413);
    assert_eq!(post(1024 * 1024).await.status(), 200);
}

#[tokio::test]
async fn web_pages_cannot_drive_the_control_port() {
    let site = Site::start().await;
    let request = Request::get(format!("{}/instances", site.control));
    let response =
        send(request.header("origin", "https://evil.example").body(Full::default()).unwrap()).await;
    assert_eq!(response.status(), 403);
    response.into_body().collect().await.unwrap();
}

#[tokio::test]
async fn stopping_ends_every_process() {
    let site = Site::start().await;
    let pid = json(site.get("/api/items/1").await).await["pid"].as_u64().unwrap();
    site.runtime.stop().await;
    assert!(site.runtime.instances().is_empty());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(site.get("/api/items/1").await.status(), 503);
}
