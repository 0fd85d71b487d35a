//! Requests through the content delivery network, and past it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use sequent_aws::Secrets;
use sequent_telemetry::testing::capture;

use super::{SESSION, TOKEN, app, caller, production, router, vault};
use crate::{App, Config, Pipeline, csrf, testing::Event};

#[tokio::test]
async fn only_requests_through_the_cdn_are_answered() {
    let app = Pipeline::with_config("test", production())
        .callers(vault("cdn-secret"), [(TOKEN, caller())])
        .around(router());
    let ask = |secret: &'static str| Event::new("GET", "/open").header("x-origin-verify", secret);
    assert_eq!(ask("cdn-secret").send(&app).await.status, 200);
    for event in [ask("wrong"), ask(""), ask("cdn-secret-longer"), Event::new("GET", "/open")] {
        let answer = event.send(&app).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "wrong_origin"), "{event:?}");
    }
}

#[tokio::test]
async fn a_new_secret_of_the_cdn_is_read_when_a_request_has_it() {
    let reads = Arc::new(AtomicUsize::new(0));
    let stored = Secrets::read_by("origin", move || {
        let is_first = reads.fetch_add(1, Ordering::SeqCst) == 0;
        async move { Ok([if is_first { "old" } else { "new" }].into_iter().collect()) }
    });
    let vault = vault("").with_origin(stored);
    let app =
        Pipeline::with_config("test", production()).callers(vault, [(TOKEN, caller())]).around(router());
    let ask = |secret: &'static str| Event::new("GET", "/open").header("x-origin-verify", secret);
    assert_eq!(ask("old").send(&app).await.status, 200);
    assert_eq!(ask("new").send(&app).await.status, 200);
    assert_eq!(ask("invented").send(&app).await.status, 403);
}

/// A deployment without a domain, behind the CDN.
fn unnamed() -> App {
    let config = Config { public_origin: None, allowed_origins: Vec::new(), ..production() };
    Pipeline::with_config("test", config).callers(vault("cdn-secret"), [(TOKEN, caller())]).around(router())
}

#[tokio::test]
async fn pages_of_the_host_that_the_cdn_reports_may_write() {
    let secret = vault("").get().await.unwrap();
    let token = csrf::token(secret.http(), SESSION);
    for (origin, host, status, code) in [
        ("https://d111.cloudfront.net", "d111.cloudfront.net", 200, ""),
        ("https://evil.example", "d111.cloudfront.net", 403, "cross_site"),
        ("http://d111.cloudfront.net", "d111.cloudfront.net", 403, "cross_site"),
    ] {
        let write =
            Event::new("POST", "/me").cookie("__Host-sequent_access", TOKEN).header("x-csrf-token", &token);
        let write = write.header("x-origin-verify", "cdn-secret").header("x-forwarded-host", host);
        let answer = write.header("origin", origin).send(&unnamed()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{origin}");
    }
}

#[tokio::test]
async fn the_address_that_the_cdn_reports_is_logged() {
    let (guard, lines) = capture();
    let event = Event::new("GET", "/open").header("x-origin-verify", "cdn-secret");
    event.header("x-viewer-ip", "203.0.113.7").send(&unnamed()).await;
    // Without the secret it is a claim.
    Event::new("GET", "/open").header("x-viewer-ip", "203.0.113.8").send(&app()).await;
    drop(guard);
    let requests: Vec<_> = lines.lines().into_iter().filter(|line| line["message"] == "request").collect();
    assert_eq!(requests[0]["client"], "203.0.113.7");
    assert_ne!(requests[1]["client"], "203.0.113.8");
}
