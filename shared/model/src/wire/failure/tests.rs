use reqwest::header::{HeaderName, HeaderValue};
use serde_json::json;
use time::macros::datetime;

use super::*;

fn code(status: u16, body: Value) -> &'static str {
    let status = StatusCode::from_u16(status).unwrap();
    of_response(status, &HeaderMap::new(), &body.to_string()).code()
}

#[test]
fn statuses_are_classified() {
    let plain = |status| code(status, Value::Null);
    let expected = [
        (301, "model_garbage"),
        (400, "model_bad_request"),
        (401, "model_unauthorized"),
        (402, "model_quota_exhausted"),
        (403, "model_unauthorized"),
        (404, "model_unknown"),
        (413, "model_bad_request"),
        (422, "model_bad_request"),
        (429, "model_rate_limited"),
        (498, "model_overloaded"),
        (500, "model_unavailable"),
        (502, "model_unavailable"),
        (503, "model_overloaded"),
        (524, "model_unavailable"),
        (529, "model_overloaded"),
    ];
    for (status, code) in expected {
        assert_eq!(plain(status), code, "{status}");
    }
    let quota = json!({"error": {"code": "insufficient_quota", "type": "insufficient_quota"}});
    assert_eq!(code(429, quota), "model_quota_exhausted");
    let filtered = json!({"error": {"code": "content_filter", "message": "no"}});
    assert_eq!(code(400, filtered), "model_content_filtered");
    let unknown = json!({"error": {"code": "model_not_found", "message": "no"}});
    assert_eq!(code(400, unknown), "model_unknown");
}

#[test]
fn an_account_without_credit_is_not_a_wrong_request() {
    for (status, kind, message) in [
        (
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
        ),
        (
            400,
            "invalid_request_error",
            "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
        ),
        (429, "", "Your team has either used all available credits or reached its monthly spending limit."),
        (400, "unknown_error", "Insufficient Balance"),
    ] {
        let body = json!({"type": "error", "error": {"type": kind, "message": message}});
        assert_eq!(code(status, body.clone()), "model_quota_exhausted", "{message}");
        let in_answer = in_document("", body.as_object().unwrap()).unwrap();
        assert_eq!(in_answer, Error::QuotaExhausted, "{message}");
    }
}

#[test]
fn an_input_that_a_moderator_refuses_is_not_a_wrong_key() {
    let message = "Your chosen model requires moderation and your input was flagged for violence.";
    assert_eq!(code(403, json!({"error": {"code": 403, "message": message}})), "model_content_filtered");
}

#[test]
fn an_input_that_is_too_long_has_a_code_of_its_own() {
    for (status, message) in [
        (
            400,
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
        ),
        (400, "prompt is too long: 210000 tokens > 200000 maximum"),
        (400, "request (19185 tokens) exceeds the available context size (16384 tokens), try increasing it"),
        (500, "the request exceeds the available context size"),
        (400, "Input is too long for requested model."),
        (
            400,
            "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input length",
        ),
        (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
        (400, "The decoder prompt (length 40000) is longer than the maximum model length of 32768."),
        (400, "The prompt (total length 25938) is too long to fit into the model (context length 4096)."),
        (400, "Too many input tokens. Max input tokens: 8192, request input token count: 9000"),
        (400, "length of prompt_tokens (163280) must be less than max_seq_len (32768)."),
    ] {
        assert_eq!(
            code(status, json!({"error": {"message": message}})),
            "model_context_too_long",
            "{message}"
        );
    }
    assert_eq!(
        code(429, json!({"error": {"message": "context window tokens per minute"}})),
        "model_rate_limited"
    );
}

#[test]
fn errors_inside_a_stream_are_classified() {
    let code = |body: Value| in_document("", body.as_object().unwrap()).unwrap().code();
    let anthropic = |kind: &str| json!({"type": "error", "error": {"type": kind, "message": "m"}});
    assert_eq!(code(anthropic("overloaded_error")), "model_overloaded");
    assert_eq!(code(anthropic("rate_limit_error")), "model_rate_limited");
    assert_eq!(code(anthropic("api_error")), "model_unavailable");
    assert_eq!(code(json!({"error": {"message": "m", "code": 429}})), "model_rate_limited");
    assert_eq!(code(json!({"error": {"message": "m", "code": "429"}})), "model_rate_limited");
    assert_eq!(code(json!({"error": {"message": "m", "code": 99_999_999_u64}})), "model_unavailable");
    assert_eq!(code(json!({"error": "rate_limit_exceeded"})), "model_rate_limited");
    assert_eq!(code(json!({"detail": "Not here"})), "model_unavailable");
    assert_eq!(code(json!({"statusCode": 429, "message": "Rate limit is exceeded."})), "model_rate_limited");
}

#[test]
fn a_document_without_an_error_reports_none() {
    for document in [
        json!({"error": null, "choices": []}),
        json!({"error": {}, "choices": [{"delta": {}}]}),
        json!({"error": false, "choices": [{"delta": {}}]}),
        json!({"choices": [], "prompt_filter_results": []}),
        json!({"id": "x", "object": "chat.completion.chunk"}),
        json!({"type": "ping"}),
        json!({"message": "hello"}),
        json!({"base_resp": {"status_code": 0}, "choices": []}),
    ] {
        assert_eq!(in_document("", document.as_object().unwrap()), None, "{document}");
    }
}

#[test]
fn no_key_is_revealed() {
    let redact = Redact::new(Some("secret-key-1".into()));
    let texts = [
        "Incorrect API key provided: sk-proj-abc***xyz. See the docs.",
        "header Authorization: Bearer secret-key-1 refused",
        "xsecret-key-1x",
    ];
    for text in texts {
        let body = json!({"error": {"message": text}}).to_string();
        for status in [400, 500] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = redact.error(of_response(status, &HeaderMap::new(), &body));
            let shown = format!("{error} {error:?} {}", error.public_message());
            for secret in ["sk-proj", "secret-key-1", "abc***"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }
    let long = "é\u{7}\n".repeat(1000);
    let cleaned = redact.clean(&long);
    assert!(cleaned.chars().count() <= 300 && !cleaned.contains('\u{7}'));
}

#[test]
fn retry_after_has_three_forms() {
    let now = datetime!(2026-11-21 10:00:00 UTC);
    let wait = |name: &'static str, value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        retry_after(&headers, now)
    };
    assert_eq!(wait("retry-after", "7"), Some(Duration::from_secs(7)));
    assert_eq!(wait("retry-after", " 0.5 "), Some(Duration::from_millis(500)));
    assert_eq!(wait("retry-after-ms", "40"), Some(Duration::from_millis(40)));
    let date = "Sat, 21 Nov 2026 10:00:30 GMT";
    assert_eq!(wait("retry-after", date), Some(Duration::from_secs(30)));
    let past = "Sat, 21 Nov 2026 09:00:00 GMT";
    assert_eq!(wait("retry-after", past), Some(Duration::ZERO));
    for nonsense in ["soon", "-1", "NaN", "1e400"] {
        assert_eq!(wait("retry-after", nonsense), None, "{nonsense}");
    }
    assert_eq!(retry_after(&HeaderMap::new(), now), None);
}
