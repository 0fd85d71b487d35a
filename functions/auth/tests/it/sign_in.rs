//! Signing in, refreshing and signing out, by clients and browsers and against attackers.

use std::collections::BTreeMap;

use sequent_http::{Config, rate_limit::Limits, testing::Event};
use sequent_identity::token::RefreshToken;
use serde_json::json;

use crate::deployment::{Deployment, ORIGIN, PASSWORD, SignedIn, cookies, request};

#[tokio::test]
async fn an_unknown_address_is_answered_like_a_wrong_password() {
    let deployment = Deployment::new().await;
    deployment.register("ada@example.com").await;
    let mut answers = Vec::new();
    for (email, password) in [
        ("ada@example.com", "wrong horse"),
        ("eve@example.com", "wrong horse"),
        ("not an address", "wrong horse"),
        ("ada@example.com", &"x".repeat(2000)),
    ] {
        let body = json!({ "email": email, "password": password });
        let answer = deployment.send(&request("POST", "/api/auth/login").json(&body)).await;
        let mut problem = answer.json();
        problem.as_object_mut().unwrap().remove("instance");
        answers.push((answer.status, problem));
    }
    assert_eq!(answers[0].0, 401);
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
}

#[tokio::test]
async fn after_wrong_passwords_the_response_names_the_time_to_wait() {
    let deployment = Deployment::new().await;
    let body = json!({ "email": "ada@example.com", "password": "wrong horse" });
    let mut last = None;
    for _ in 0..6 {
        last = Some(deployment.send(&request("POST", "/api/auth/login").json(&body)).await);
    }
    let last = last.unwrap();
    assert_eq!((last.status.as_u16(), last.code().as_str()), (429, "too_many_attempts"));
    assert_eq!(last.header("retry-after"), "1");
}

#[tokio::test]
async fn a_known_device_signs_in_while_a_stranger_guesses() {
    let deployment = Deployment::new().await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    let registered = deployment.send(&request("POST", "/api/auth/register").json(&body)).await;
    let [_, _, device] = cookies(&registered).try_into().unwrap();
    let guess = json!({ "email": "ada@example.com", "password": "wrong horse" });
    let mut status = 401;
    while status == 401 {
        status = deployment.send(&request("POST", "/api/auth/login").json(&guess)).await.status.as_u16();
    }
    assert_eq!(status, 429);
    // The stranger and the owner share a network, but not the cookie.
    let known = request("POST", "/api/auth/login").cookie(&device.0, &device.1).json(&body);
    let answer = deployment.send(&known).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(cookies(&answer)[2].1, device.1, "the device keeps its cookie");
}

#[tokio::test]
async fn a_browser_uses_only_cookies() {
    let deployment = Deployment::new().await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    let answer =
        deployment.send(&request("POST", "/api/auth/register").header("origin", ORIGIN).json(&body)).await;
    assert!(answer.json().get("refresh_token").is_none(), "scripts do not get to see what is in the cookie");
    let [access, refresh, device] = cookies(&answer).try_into().unwrap();
    assert_eq!(device.0, "__Secure-sequent_device");
    assert_eq!(device.2, "Path=/api/auth; Max-Age=34560000; HttpOnly; SameSite=Strict; Secure");
    assert_eq!(
        (access.0.as_str(), access.2.as_str()),
        ("__Host-sequent_access", "Path=/; Max-Age=900; HttpOnly; SameSite=Lax; Secure")
    );
    assert_eq!(refresh.0, "__Secure-sequent_refresh");
    assert!(refresh.2.starts_with("Path=/api/auth; Max-Age=259"), "{}", refresh.2);
    assert!(refresh.2.ends_with("HttpOnly; SameSite=Strict; Secure"), "{}", refresh.2);

    let browser = |method: &str, path: &str| {
        request(method, path)
            .header("origin", ORIGIN)
            .cookie(&access.0, &access.1)
            .cookie(&refresh.0, &refresh.1)
    };
    assert_eq!(deployment.send(&browser("GET", "/api/auth/me")).await.status, 200);
    let refreshed = deployment.send(&browser("POST", "/api/auth/refresh")).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
    assert!(
        refreshed.json().get("refresh_token").is_none(),
        "scripts do not get to see what is in the cookie"
    );
    let [_, next] = cookies(&refreshed).try_into().unwrap();
    assert_ne!(next.1, refresh.1);

    // A write needs the token and a trusted page.
    let key = json!({ "name": "ci", "scopes": ["chat"] });
    let bare = deployment.send(&browser("POST", "/api/auth/api-keys").json(&key)).await;
    assert_eq!((bare.status.as_u16(), bare.code().as_str()), (403, "csrf_token_missing"));
    let token = deployment.send(&browser("GET", "/api/auth/csrf-token")).await.json()["csrf_token"].clone();
    let token = token.as_str().unwrap();
    let made = deployment
        .send(&browser("POST", "/api/auth/api-keys").header("x-csrf-token", token).json(&key))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let foreign = browser("POST", "/api/auth/api-keys").header("origin", "https://evil.example");
    let foreign = deployment.send(&foreign.header("x-csrf-token", token).json(&key)).await;
    assert_eq!((foreign.status.as_u16(), foreign.code().as_str()), (403, "cross_site"));

    let bare = deployment.send(&browser("POST", "/api/auth/logout")).await;
    assert_eq!((bare.status.as_u16(), bare.code().as_str()), (403, "csrf_token_missing"));
    let out = deployment.send(&browser("POST", "/api/auth/logout").header("x-csrf-token", token)).await;
    assert_eq!(out.status, 204);
    assert!(
        cookies(&out)
            .iter()
            .all(|(_, value, attributes)| value.is_empty() && attributes.contains("Max-Age=0"))
    );
    let after = request("POST", "/api/auth/refresh").cookie(&next.0, &next.1);
    let after = deployment.send(&after).await;
    let [taken] = cookies(&after).try_into().unwrap();
    assert_eq!(
        (after.status.as_u16(), taken.0.as_str(), taken.1.as_str()),
        (401, "__Secure-sequent_refresh", "")
    );
}

#[tokio::test]
async fn a_foreign_page_can_neither_sign_in_nor_refresh_nor_sign_out() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    for (path, body) in [
        ("/api/auth/login", body.clone()),
        ("/api/auth/register", body),
        ("/api/auth/refresh", json!({})),
        ("/api/auth/logout", json!({})),
    ] {
        for (name, value) in
            [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("origin", "null")]
        {
            let event = request("POST", path).header(name, value).json(&body);
            let event = event.cookie("__Secure-sequent_refresh", &ada.refresh_token);
            let answer = deployment.send(&event).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (403, "cross_site"),
                "{path} {name}"
            );
        }
    }
}

#[tokio::test]
async fn a_refresh_with_the_token_in_the_body_replaces_the_cookie() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    let body = json!({ "refresh_token": ada.refresh_token });
    let plain = deployment.send(&request("POST", "/api/auth/refresh").json(&body)).await;
    assert_eq!(cookies(&plain).len(), 0, "who has no cookies gets none");
    let next = SignedIn::of(&plain).refresh_token;
    let body = json!({ "refresh_token": next });
    let with_cookie =
        request("POST", "/api/auth/refresh").cookie("__Secure-sequent_refresh", &next).json(&body);
    let both = deployment.send(&with_cookie).await;
    let [_, cookie] = cookies(&both).try_into().unwrap();
    assert_eq!(cookie.1, SignedIn::of(&both).refresh_token);
}

#[tokio::test]
async fn a_malformed_refresh_cookie_is_refused() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    for value in ["", "rt_", "x", &ada.access_token] {
        let event = request("POST", "/api/auth/refresh").cookie("__Secure-sequent_refresh", value);
        assert_eq!(deployment.send(&event).await.status, 401, "{value}");
    }
    assert_eq!(deployment.send(&request("POST", "/api/auth/refresh")).await.status, 401);
    // Each credential in the place of each other.
    let body = json!({ "refresh_token": ada.access_token });
    assert_eq!(deployment.send(&request("POST", "/api/auth/refresh").json(&body)).await.status, 401);
    let refresh = ada.refresh_token.as_str();
    assert_eq!(deployment.send(&request("GET", "/api/auth/me").bearer(refresh)).await.status, 401);
    let cookie = request("GET", "/api/auth/me").cookie("__Host-sequent_access", refresh);
    assert_eq!(deployment.send(&cookie).await.status, 401);
}

#[tokio::test]
async fn development_over_plain_http_has_plain_cookies() {
    let deployment = Deployment::with(Config::for_tests()).await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    let answer = deployment.send(&Event::new("POST", "/api/auth/register").json(&body)).await;
    let [access, refresh, device] = cookies(&answer).try_into().unwrap();
    assert_eq!(
        (access.0.as_str(), refresh.0.as_str(), device.0.as_str()),
        ("sequent_access", "sequent_refresh", "sequent_device")
    );
    assert!([&access, &refresh, &device].iter().all(|cookie| !cookie.2.contains("Secure")));
    let me = Event::new("GET", "/api/auth/me").cookie(&access.0, &access.1);
    assert_eq!(deployment.send(&me).await.status, 200);
}

#[tokio::test]
async fn pages_find_the_refresh_token_in_a_cookie_only() {
    let deployment = Deployment::new().await;
    let register = |email: &str| {
        request("POST", "/api/auth/register").json(&json!({ "email": email, "password": PASSWORD }))
    };
    for (number, (name, value)) in
        [("origin", ORIGIN), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none")].iter().enumerate()
    {
        let answer =
            deployment.send(&register(&format!("ada{number}@example.com")).header(name, value)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert!(answer.json().get("refresh_token").is_none(), "{name}: {value}");
    }
    assert!(deployment.send(&register("eve@example.com")).await.json()["refresh_token"].is_string());
    let body = json!({ "email": "eve@example.com", "password": PASSWORD });
    let login = request("POST", "/api/auth/login").header("origin", ORIGIN).json(&body);
    assert!(deployment.send(&login).await.json().get("refresh_token").is_none());
}

#[tokio::test]
async fn invented_refresh_tokens_are_soon_refused_without_a_look() {
    let limits = Limits::LOCAL.overridden("auth=3").unwrap();
    let deployment = Deployment::with(Config { limits, ..Config::for_tests() }).await;
    let mut statuses = BTreeMap::<u16, usize>::new();
    for _ in 0..40 {
        let body = json!({ "refresh_token": RefreshToken::generate().unwrap().expose() });
        let answer = deployment.send(&request("POST", "/api/auth/refresh").json(&body)).await;
        *statuses.entry(answer.status.as_u16()).or_default() += 1;
    }
    // Three wrong tokens and the one that exceeds the limit; as many more if a new minute has begun.
    assert!((4..=8).contains(&statuses[&401]) && statuses[&429] >= 32, "{statuses:?}");
}
