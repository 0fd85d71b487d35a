//! Attempts, time limits and connections of requests, against a scripted server.

use std::{sync::Arc, time::Duration};

use sequent_model::{Context, Error, FinishReason, Phase};
use serde_json::json;
use tokio::sync::Notify;

use crate::{
    completions::{DONE, REPORTED, ask, complete_answer, finish, frame, json_answer, read, text, usage},
    server::{Act, KEY, Server, answer, events, head},
};

#[tokio::test]
async fn a_request_is_retried_after_a_rate_limit() {
    let limited = answer("429 Too Many Requests", "retry-after-ms: 30\r\n", "{}");
    let failed = answer("500 Internal Server Error", "", "oops");
    let server = Server::start(vec![vec![limited], vec![failed], vec![Act::Write(complete_answer())]]).await;
    let started = std::time::Instant::now();
    let (content, end) = read(&server.client(|_| ()), ask("hi")).await;
    assert_eq!((content.as_str(), end.is_ok()), ("Hello", true));
    assert_eq!(server.requests(), 3);
    assert!(started.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn attempts_are_limited_and_permanent_errors_are_not_retried() {
    let cases = [
        ("500 Internal Server Error", "", 3, "model_unavailable"),
        ("503 Service Unavailable", "", 3, "model_overloaded"),
        ("429 Too Many Requests", "retry-after: 3600\r\n", 1, "model_rate_limited"),
        ("401 Unauthorized", "", 1, "model_unauthorized"),
        ("404 Not Found", "", 1, "model_unknown"),
        ("302 Found", "location: http://127.0.0.1:1/\r\n", 1, "model_garbage"),
    ];
    for (status, headers, requests, code) in cases {
        let body = format!(r#"{{"error": {{"message": "Incorrect API key {KEY} sk-abcd***"}}}}"#);
        let server = Server::start(vec![vec![answer(status, headers, &body)]]).await;
        let (_, end) = read(&server.client(|_| ()), ask("hi")).await;
        let error = end.unwrap_err();
        assert_eq!((error.code(), server.requests()), (code, requests), "{status}");
        let shown = format!("{error} {error:?} {}", error.public_message());
        assert!(!shown.contains(KEY) && !shown.contains("sk-abcd"), "{shown}");
    }
}

#[tokio::test]
async fn a_connection_that_closes_or_is_refused_is_retried() {
    let server =
        Server::start(vec![vec![], vec![Act::Write(head())], vec![Act::Write(complete_answer())]]).await;
    let (content, _) = read(&server.client(|_| ()), ask("hi")).await;
    assert_eq!((content.as_str(), server.requests()), ("Hello", 3));

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let endpoint = sequent_model::config::Endpoint::new(&closed, None).unwrap();
    let client = server.client(|config| config.openai = Some(endpoint));
    let (_, end) = read(&client, ask("hi")).await;
    assert_eq!(end, Err(Error::Unavailable("the connection failed".into())));
}

#[tokio::test]
async fn every_phase_has_a_timeout() {
    let short = Duration::from_millis(80);
    let mute = Server::start(vec![vec![Act::Hang]]).await;
    let client = mute.client(|config| {
        config.timeouts.first_token = short;
        config.retry.attempts = 2;
    });
    let (_, end) = read(&client, ask("hi")).await;
    assert_eq!(end, Err(Error::Timeout(Phase::FirstToken)));
    assert_eq!(mute.requests(), 2);

    let stalled = vec![Act::Write(events(&[text("a")])), Act::Hang];
    let server = Server::start(vec![stalled]).await;
    let client = server.client(|config| config.timeouts.idle = short);
    let (content, end) = read(&client, ask("hi")).await;
    assert_eq!((content.as_str(), end), ("a", Err(Error::Timeout(Phase::Idle))));

    let client = server.client(|config| config.timeouts.total = short);
    let (content, end) = read(&client, ask("hi")).await;
    assert_eq!((content.as_str(), end), ("a", Err(Error::Timeout(Phase::Total))));
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn the_deadline_of_the_caller_applies() {
    let mute = Server::start(vec![vec![Act::Hang]]).await;
    let client = mute.client(|_| ());
    let context = Context {
        deadline: Some(tokio::time::Instant::now() + Duration::from_secs(2)),
        request_id: Some("req-7".into()),
    };
    let end = client.stream(ask("hi"), context).await;
    assert_eq!(end.unwrap_err(), Error::Timeout(Phase::Total));
    assert_eq!(mute.requests(), 1);
    assert!(mute.received()[0].contains("x-client-request-id: req-7"));
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let gone = Arc::new(Notify::new());
    let acts = vec![Act::Write(events(&[text("a")])), Act::Tell(gone.clone())];
    let server = Server::start(vec![acts]).await;
    let client = server.client(|_| ());
    let chunks = client.stream(ask("hi"), Context::default()).await.unwrap();
    drop(chunks);
    let waited = tokio::time::timeout(Duration::from_secs(5), gone.notified()).await;
    assert!(waited.is_ok());
}

#[tokio::test]
async fn an_answer_that_has_ended_does_not_wait_for_the_connection() {
    let beat = std::iter::repeat_n(": heartbeat\n\n", 3).collect::<String>();
    for (tail, reported) in [
        ([finish("stop"), usage()].concat(), true),
        ([finish("stop"), usage(), DONE.into()].concat(), true),
        ([finish("stop"), DONE.into()].concat(), false),
        ([finish("stop"), beat].concat(), false),
    ] {
        let acts = vec![Act::Write(events(&[text("a"), tail])), Act::Hang];
        let server = Server::start(vec![acts]).await;
        let client = server.client(|config| config.timeouts.idle = Duration::from_secs(60));
        let read = read(&client, ask("hi"));
        let (content, end) = tokio::time::timeout(Duration::from_secs(30), read).await.expect("no wait");
        let (reason, usage) = end.unwrap();
        assert_eq!((content.as_str(), reason), ("a", FinishReason::Stop));
        assert_eq!(usage == REPORTED, reported);
    }
}

#[tokio::test]
async fn an_error_that_comes_first_is_retried_in_whatever_form_it_comes() {
    let limited = json!({"error": {"message": "slow down", "type": "rate_limit_error"}});
    let stopped = finish("error");
    let beside = frame(
        json!({"error": {"message": "gone", "code": 502}, "choices": [{"delta": {}, "finish_reason": "error"}]}),
    );
    for first in [
        json_answer(&limited),
        vec![Act::Write(events(&[frame(limited.clone())]))],
        vec![Act::Write(events(&[stopped]))],
        vec![Act::Write(events(&[beside]))],
    ] {
        let server = Server::start(vec![first, vec![Act::Write(complete_answer())]]).await;
        let (content, end) = read(&server.client(|_| ()), ask("hi")).await;
        assert_eq!((content.as_str(), end.is_ok(), server.requests()), ("Hello", true, 2));
    }
    let quota = json!({"error": {"message": "no more", "code": "insufficient_quota"}});
    let server = Server::start(vec![json_answer(&quota)]).await;
    let (_, end) = read(&server.client(|_| ()), ask("hi")).await;
    assert_eq!((end, server.requests()), (Err(Error::QuotaExhausted), 1));
}

#[tokio::test]
async fn comments_keep_an_answer_alive_before_its_first_token() {
    let mut acts = vec![Act::Write(head())];
    let slow = ": keep-alive\n\n".repeat(40);
    acts.push(Act::Drip(slow.into_bytes(), Duration::from_millis(5)));
    acts.push(Act::Write([text("late"), finish("stop"), DONE.into()].concat().into_bytes()));
    let server = Server::start(vec![acts]).await;
    // The comments take 2.8 seconds and more.
    let client = server.client(|config| config.timeouts.first_token = Duration::from_secs(2));
    let (content, end) = read(&client, ask("hi")).await;
    assert_eq!((content.as_str(), end.is_ok(), server.requests()), ("late", true, 1));
}
