//! Amazon Bedrock, against a scripted server: signed requests, and answers in AWS's event stream.

use std::time::Duration;

use futures::StreamExt;
use sequent_model::{
    Chunk, Client, Config, Context, Error, FinishReason, Message, Request, Secrets, ToolSpec, Usage,
};
use serde_json::{Value, json};

use crate::server::{Act, Server, answer};

#[path = "../../src/wire/tests/messages.rs"]
mod messages;
use messages::messages;

const SECRET: &str = "test-secret-5f2c";

fn head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\nconnection: close\r\n\r\n"
        .to_vec()
}

fn stream(lines: &[&str]) -> Act {
    Act::Write([head(), messages(&lines.join("\n"))].concat())
}

const START: &str = r#"event messageStart {"p":"abcd","role":"assistant"}"#;
const TEXT: &str =
    r#"event contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"Grüß Gott 🦀"},"p":"ab"}"#;
const STOP: &str = r#"event messageStop {"stopReason":"end_turn"}"#;
const USAGE: &str =
    r#"event metadata {"usage":{"inputTokens":10,"outputTokens":12,"cacheReadInputTokens":30}}"#;
const HELLO: [&str; 4] = [START, TEXT, STOP, USAGE];

fn client(server: &Server) -> Client {
    let lookup = |name: &str| {
        let value = match name {
            "BEDROCK_BASE_URL" => server.address.as_str(),
            "BEDROCK_ACCESS_KEY_ID" => "AKIDEXAMPLE",
            "BEDROCK_SECRET_ACCESS_KEY" => SECRET,
            "BEDROCK_SESSION_TOKEN" => "session",
            "BEDROCK_REGION" => "eu-central-1",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let mut config = Config::from_lookup(lookup, Secrets::default()).expect("valid settings");
    config.retry.base = Duration::from_millis(1);
    let client = Client::new(config);
    client.warm();
    client
}

fn ask() -> Request {
    let model = "bedrock/eu.amazon.nova-pro-v1:0".parse().expect("a name");
    Request::new(model, vec![Message::user("hi")])
}

async fn read(server: &Server, request: Request) -> Result<Vec<Result<Chunk, Error>>, Error> {
    let chunks = client(server).stream(request, Context::default()).await?;
    Ok(chunks.collect().await)
}

#[tokio::test]
async fn a_request_is_signed_and_its_answer_may_arrive_byte_by_byte() {
    let acts = vec![Act::Write(head()), Act::Trickle(messages(&HELLO.join("\n")))];
    let server = Server::start(vec![acts]).await;
    let mut request = ask();
    request.system = Some("Be kind.".into());
    request.max_output_tokens = Some(50);
    request.must_call = true;
    request.tools = vec![ToolSpec {
        name: "search".into(),
        description: "Searches.".into(),
        parameters: json!({"type": "object"}),
    }];
    let usage = Usage { input_tokens: 40, output_tokens: 12, cached_input_tokens: 30, ..Usage::default() };
    let expected = [
        Ok(Chunk::TextDelta("Grüß Gott 🦀".into())),
        Ok(Chunk::Finished { finish_reason: FinishReason::Stop, usage }),
    ];
    assert_eq!(read(&server, request).await.unwrap(), expected);

    let received = server.received().remove(0);
    let (head, body) = received.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /model/eu.amazon.nova-pro-v1%3A0/converse-stream HTTP/1.1"),
        "the colon is encoded once: {head}"
    );
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap()
    };
    let date = header("x-amz-date");
    assert!(date.len() == 16 && date.ends_with('Z'), "{date}");
    assert_eq!((header("content-type"), header("x-amz-security-token")), ("application/json", "session"));
    let signature = header("authorization");
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{}/eu-central-1/bedrock/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=",
        &date[..8]
    );
    let hex = signature.strip_prefix(&scope).unwrap_or_else(|| panic!("{signature}"));
    assert!(hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{signature}");
    assert!(!received.contains(SECRET));
    let body: Value = serde_json::from_str(body).unwrap();
    let schema = json!({"json": {"type": "object", "properties": {}}});
    let tool = json!({"name": "search", "description": "Searches.", "inputSchema": schema});
    let expected = json!({
        "system": [{"text": "Be kind."}, {"cachePoint": {"type": "default"}}],
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "inferenceConfig": {"maxTokens": 50},
        "toolConfig": {"tools": [{"toolSpec": tool}], "toolChoice": {"any": {}}},
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn only_the_event_of_the_end_ends_an_answer() {
    for count in 1..=4 {
        let server = Server::start(vec![vec![stream(&HELLO[..count])]]).await;
        let last = match read(&server, ask()).await {
            Ok(mut chunks) => chunks.pop().unwrap(),
            Err(error) => Err(error),
        };
        match last {
            Ok(Chunk::Finished { finish_reason, usage }) => {
                assert_eq!((finish_reason, usage.estimated), (FinishReason::Stop, count == 3));
            }
            other => assert_eq!(other, Err(Error::Truncated)),
        }
        assert_eq!(server.requests(), if count == 1 { 3 } else { 1 }, "{count} events");
    }
}

#[tokio::test]
async fn an_exception_before_the_first_word_is_retried_and_a_later_one_ends_the_answer() {
    let throttled = r#"exception throttlingException {"message":"Too many requests"}"#;
    let of_status = answer(
        "429 Too Many Requests",
        "x-amzn-ErrorType: ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/\r\n",
        r#"{"message":"Too many requests"}"#,
    );
    let acts = vec![vec![of_status], vec![stream(&[START, throttled])], vec![stream(&HELLO)]];
    let server = Server::start(acts).await;
    assert_eq!(read(&server, ask()).await.unwrap().len(), 2);
    assert_eq!(server.requests(), 3);

    let server = Server::start(vec![vec![stream(&[START, TEXT, throttled])]]).await;
    let chunks = read(&server, ask()).await.unwrap();
    assert_eq!(chunks[1..], [Err(Error::RateLimited { retry_after: None })]);
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_refusal_has_the_error_that_its_header_names() {
    let too_long = "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000";
    let unknown = "The provided model identifier is invalid.";
    let bad = "The text field in the ContentBlock object at messages.0.content.0 is blank.";
    let daily = "Too many tokens per day, please wait before trying again.";
    for (status, kind, message, expected, requests) in [
        ("400 Bad Request", "ValidationException", bad, Error::BadRequest(bad.into()), 1),
        ("400 Bad Request", "ValidationException", too_long, Error::ContextTooLong, 1),
        ("400 Bad Request", "ValidationException", unknown, Error::UnknownModel, 1),
        ("400 Bad Request", "ServiceQuotaExceededException", "no", Error::QuotaExhausted, 1),
        ("403 Forbidden", "AccessDeniedException", "no", Error::Unauthorized, 1),
        ("404 Not Found", "ResourceNotFoundException", "no", Error::UnknownModel, 1),
        ("408 Request Timeout", "ModelTimeoutException", "no", Error::Unavailable("HTTP 408".into()), 3),
        ("424 Failed Dependency", "ModelErrorException", "no", Error::Unavailable("no".into()), 3),
        ("429 Too Many Requests", "ThrottlingException", daily, Error::QuotaExhausted, 1),
        ("500 Internal Server Error", "InternalServerException", "no", Error::Unavailable("no".into()), 3),
        (
            "503 Service Unavailable",
            "ServiceUnavailableException",
            "no",
            Error::Overloaded { retry_after: None },
            3,
        ),
    ] {
        let body = json!({"message": message}).to_string();
        let refused = answer(status, &format!("x-amzn-errortype: {kind}\r\n"), &body);
        let server = Server::start(vec![vec![refused]]).await;
        assert_eq!(read(&server, ask()).await, Err(expected), "{kind}: {message}");
        assert_eq!(server.requests(), requests, "{kind}");
    }
}

#[tokio::test]
async fn a_whole_answer_is_read_in_place_of_a_stream() {
    let whole = json!({
        "output": {"message": {"role": "assistant", "content": [
            {"toolUse": {"toolUseId": "tooluse_1", "name": "search", "input": {"q": 1}}},
        ]}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 10, "outputTokens": 12, "totalTokens": 22},
    });
    let whole = answer("200 OK", "content-type: application/json\r\n", &whole.to_string());
    let server = Server::start(vec![vec![whole]]).await;
    let chunks = read(&server, ask()).await.unwrap();
    let call = Chunk::ToolCallStart { id: "tooluse_1".into(), name: "search".into() };
    assert_eq!(chunks[0], Ok(call));
    assert!(matches!(
        chunks.last(),
        Some(Ok(Chunk::Finished { finish_reason: FinishReason::ToolCalls, .. }))
    ));
}

#[tokio::test]
async fn damaged_messages_are_no_answer() {
    let mut bytes = messages(&HELLO.join("\n"));
    let at = bytes.windows(4).position(|window| window == b"Gott").unwrap();
    bytes[at] ^= 1;
    let server = Server::start(vec![vec![Act::Write([head(), bytes].concat())]]).await;
    let error = read(&server, ask()).await.unwrap_err();
    assert!(matches!(&error, Error::InvalidAnswer(reason) if reason.contains("damaged")), "{error}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn the_connection_may_stay_open_after_the_end() {
    let server = Server::start(vec![vec![stream(&HELLO), Act::Hang]]).await;
    assert_eq!(read(&server, ask()).await.unwrap().len(), 2);
}
