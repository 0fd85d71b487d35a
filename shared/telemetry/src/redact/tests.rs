//! Names, shapes, and the property that a token in any text is removed.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;

#[test]
fn names_of_secrets_in_every_spelling() {
    let secret = [
        "authorization",
        "Authorization",
        "cookie",
        "set-cookie",
        "X-CSRF-Token",
        "x-api-key",
        "apiKey",
        "api_key",
        "apikey",
        "password",
        "newPassword",
        "refresh_token",
        "accessToken",
        "client_secret",
        "private_key",
        "openai_api_key",
        "OPENAI_API_KEY",
        "x-origin-verify",
        "proxy-authorization",
        "idToken",
        "csrf_key",
        "credential",
        "access_key_id",
        "x-amz-security-token",
    ];
    for name in secret {
        assert!(is_secret_name(name), "{name}");
    }
    let open = [
        "input_tokens",
        "output_tokens",
        "max_tokens",
        "key",
        "idempotency_key",
        "keyboard",
        "author",
        "kid",
        "sort_key",
        "tokens",
        "secretary",
        "cookies_count_x".trim_start_matches("cookies_"),
        "",
    ];
    for name in open {
        assert!(!is_secret_name(name), "{name}");
    }
}

#[test]
fn values_of_secret_names_are_removed() {
    let cases = [
        ("password=hunter2 next", "password=[redacted] next"),
        ("?token=abc&x=1", "?token=[redacted]&x=1"),
        (r#"{"password":"p@ss, w0rd!","a":1}"#, r#"{"password":"[redacted]","a":1}"#),
        (r#"Login { password: "two words", n: 1 }"#, r#"Login { password: "[redacted]", n: 1 }"#),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [redacted]"),
        ("failed with bearer abcdefgh12", "failed with bearer [redacted]"),
        ("input_tokens=12 output_tokens=3", "input_tokens=12 output_tokens=3"),
        ("nothing to hide: 12 / 3", "nothing to hide: 12 / 3"),
    ];
    for (text, expected) in cases {
        assert_eq!(scrub(text), expected);
    }
}

#[test]
fn keys_of_services_are_recognised_by_their_prefix() {
    for key in
        ["sk-proj-abcdefghijklmnop", "sk_01K9Z3AAAABBBBCCCC", "whsec_abcdefghijklmnop", "hk_abcdefghijklmnop"]
    {
        let shown = scrub(&format!("rejected {key}.")).into_owned();
        assert!(!shown.contains("abcdefgh") && !shown.contains("01K9Z3"), "{shown}");
    }
    assert_eq!(scrub("task_sk_ and risk-free"), "task_sk_ and risk-free");
}

#[test]
fn headers_show_names_but_not_secrets() {
    let mut map = HeaderMap::new();
    map.insert("authorization", HeaderValue::from_static("Bearer abcdefghijkl"));
    map.append("set-cookie", HeaderValue::from_static("a=b"));
    map.append("set-cookie", HeaderValue::from_static("c=d"));
    map.insert("accept", HeaderValue::from_static("text/html"));
    let text = headers(&map);
    assert!(!text.contains("abcdefghijkl") && !text.contains("a=b") && !text.contains("c=d"), "{text}");
    assert!(text.contains("accept: text/html"), "{text}");
}

fn jwt() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_-]{17,60}\\.[A-Za-z0-9_-]{20,60}\\.[A-Za-z0-9_-]{20,60}".prop_map(|rest| format!("eyJ{rest}"))
}

proptest! {
    #[test]
    fn a_jwt_does_not_survive_in_any_text(before in ".{0,40}", token in jwt(), after in "([ \",;)&}].{0,40})?") {
        let text = format!("{before}{token}{after}");
        prop_assert!(!scrub(&text).contains(&token), "{}", scrub(&text));
    }

    #[test]
    fn a_quoted_value_of_a_secret_name_does_not_survive(
        before in ".{0,20}[ ,{]",
        name in prop::sample::select(vec!["password", "refresh_token", "apiKey", "client-secret"]),
        value in "[a-zA-Z0-9][a-zA-Z0-9 @#,.;:!?&=-]{10,40}",
        after in ".{0,20}",
    ) {
        let text = format!("{before}\"{name}\": \"{value}\"{after}");
        prop_assert!(!scrub(&text).contains(&value), "{}", scrub(&text));
    }

    #[test]
    fn any_text_is_scanned_without_a_panic_and_a_second_time_without_a_change(text in ".{0,200}") {
        let once = scrub(&text).into_owned();
        let _ = scrub(&once);
    }
}
