//! Sequences of requests from clients and attackers.

use crate::deployment::{Deployment, ORIGIN, PASSWORD, SignedIn, golden, request};
use sequent_http::{
    Config,
    testing::{Answer, Event},
};
use serde_json::{Value, json};

/// The cookies that a response sets: name, value and attributes.
fn cookies(answer: &Answer) -> Vec<(String, String, String)> {
    answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| {
            let (pair, attributes) = value.to_str().unwrap().split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned(), attributes.to_owned())
        })
        .collect()
}

#[tokio::test]
async fn a_user_has_the_documented_shape() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("Ada@Example.com").await;
    let user = ada.user.as_object().unwrap();
    let mut fields: Vec<_> = user.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["created_at", "email", "id", "name", "role", "tenant_id"]);
    assert_eq!(
        (&user["email"], &user["name"], &user["role"]),
        (&json!("ada@example.com"), &json!("Ada"), &json!("owner"))
    );
    assert!(user["tenant_id"].as_str().unwrap().starts_with("ten_"));
    let me = deployment.send(&request("GET", "/api/auth/me/").bearer(&ada.access_token)).await;
    assert_eq!(me.json(), ada.user);
}

#[tokio::test]
async fn every_wrong_field_of_a_registration_is_named() {
    let deployment = Deployment::new().await;
    let body = json!({ "email": "nobody", "password": "short", "name": "a\nb" });
    let answer = deployment.send(&request("POST", "/api/auth/register").json(&body)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "validation_failed"));
    let pointers: Vec<Value> =
        answer.json()["errors"].as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, ["#/email", "#/password", "#/name"]);
    assert!(!answer.text().contains("short"), "the password is not quoted");

    let ada = json!({ "email": "ada@example.com", "password": PASSWORD });
    let first = deployment.send(&request("POST", "/api/auth/register").json(&ada)).await;
    assert_eq!(first.json()["user"]["name"], "ada");
    let second = deployment.send(&request("POST", "/api/auth/register").json(&ada)).await;
    assert_eq!((second.status.as_u16(), second.code().as_str()), (409, "email_taken"));
    assert!(second.headers.get("set-cookie").is_none());
    let unknown =
        json!({ "email": "eve@example.com", "password": PASSWORD, "role": "owner", "tenant_id": "ten_x" });
    assert_eq!(deployment.send(&request("POST", "/api/auth/register").json(&unknown)).await.status, 422);
}

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
async fn a_browser_uses_only_cookies() {
    let deployment = Deployment::new().await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    let answer =
        deployment.send(&request("POST", "/api/auth/register").header("origin", ORIGIN).json(&body)).await;
    let [access, refresh] = cookies(&answer).try_into().unwrap();
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
    let [access, refresh] = cookies(&answer).try_into().unwrap();
    assert_eq!((access.0.as_str(), refresh.0.as_str()), ("sequent_access", "sequent_refresh"));
    assert!(!access.2.contains("Secure") && !refresh.2.contains("Secure"));
    let me = Event::new("GET", "/api/auth/me").cookie(&access.0, &access.1);
    assert_eq!(deployment.send(&me).await.status, 200);
}

#[tokio::test]
async fn an_api_key_is_shown_once_and_has_its_scopes() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    let create = |token: &str, body: &Value| request("POST", "/api/auth/api-keys").bearer(token).json(body);
    let answer =
        deployment.send(&create(&ada.access_token, &json!({ "name": " ci ", "scopes": ["chat"] }))).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let made = answer.json();
    let key = made["key"].as_str().unwrap();
    assert_eq!((&made["name"], &made["scopes"]), (&json!("ci"), &json!(["chat"])));
    assert!(key.starts_with(made["prefix"].as_str().unwrap()));

    for event in
        [request("GET", "/api/auth/me").bearer(key), request("GET", "/api/auth/me").header("x-api-key", key)]
    {
        assert_eq!(deployment.send(&event).await.json(), ada.user);
    }
    for event in [
        create(key, &json!({ "name": "more", "scopes": ["chat"] })),
        request("GET", "/api/auth/api-keys").bearer(key),
        request("GET", "/api/auth/sessions").bearer(key),
    ] {
        let answer = deployment.send(&event).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "insufficient_scope"));
    }
    assert_eq!(deployment.send(&request("GET", "/api/auth/csrf-token").bearer(key)).await.status, 400);

    let list = deployment.send(&request("GET", "/api/auth/api-keys").bearer(&ada.access_token)).await;
    assert!(!list.text().contains(key), "the secret is not in the list");
    assert_eq!(list.json()["items"][0]["prefix"], made["prefix"]);
    assert!(list.json()["items"][0]["last_used_at"].is_string());

    let path = format!("/api/auth/api-keys/{}", made["id"].as_str().unwrap());
    let eve = deployment.register("eve@example.com").await;
    assert_eq!(deployment.send(&request("DELETE", &path).bearer(&eve.access_token)).await.status, 404);
    assert_eq!(deployment.send(&request("DELETE", &path).bearer(&ada.access_token)).await.status, 204);
    assert_eq!(deployment.send(&request("GET", "/api/auth/me").bearer(key)).await.status, 401);
}

#[tokio::test]
async fn a_key_cannot_create_one_with_more_scopes() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    let create = |token: &str, scopes: Value| {
        request("POST", "/api/auth/api-keys").bearer(token).json(&json!({ "name": "k", "scopes": scopes }))
    };
    let made = deployment.send(&create(&ada.access_token, json!(["account", "chat"]))).await.json();
    let key = made["key"].as_str().unwrap();
    assert_eq!(deployment.send(&create(key, json!(["chat"]))).await.status, 201);
    let wider = deployment.send(&create(key, json!(["chat", "projects:write"]))).await;
    assert_eq!((wider.status.as_u16(), wider.code().as_str()), (403, "scopes_exceeded"));
    for scopes in [json!([]), json!(["everything"]), json!("chat"), json!(null)] {
        assert_eq!(deployment.send(&create(key, scopes.clone())).await.status, 422, "{scopes}");
    }
}

#[tokio::test]
async fn sessions_are_listed_page_by_page_and_belong_to_their_user() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    let phone = request("POST", "/api/auth/login").header("user-agent", "Phone").json(&body);
    let phone = SignedIn::of(&deployment.send(&phone).await);

    let list =
        |token: &str, query: &str| request("GET", &format!("/api/auth/sessions?{query}")).bearer(token);
    let first = deployment.send(&list(&phone.access_token, "limit=1")).await.json();
    assert_eq!(
        (&first["items"][0]["user_agent"], &first["items"][0]["current"]),
        (&json!("Phone"), &json!(true))
    );
    let cursor = first["next_cursor"].as_str().unwrap();
    let second =
        deployment.send(&list(&phone.access_token, &format!("limit=1&cursor={cursor}"))).await.json();
    assert_eq!(second["items"][0]["current"], false);

    let eve = deployment.register("eve@example.com").await;
    let stolen = deployment.send(&list(&eve.access_token, &format!("cursor={cursor}"))).await;
    assert_eq!((stolen.status.as_u16(), stolen.code().as_str()), (400, "invalid_cursor"));
    let path = format!("/api/auth/sessions/{}", second["items"][0]["id"].as_str().unwrap());
    assert_eq!(deployment.send(&request("DELETE", &path).bearer(&eve.access_token)).await.status, 404);
    assert_eq!(deployment.send(&request("DELETE", &path).bearer(&phone.access_token)).await.status, 204);
    let refused = json!({ "refresh_token": ada.refresh_token });
    assert_eq!(deployment.send(&request("POST", "/api/auth/refresh").json(&refused)).await.status, 401);
    let left = deployment.send(&list(&phone.access_token, "")).await.json();
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_key_set_verifies_issued_tokens() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    let answer = deployment.send(&golden("jwks", &SignedIn::default())).await;
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let set = answer.json();
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let header = ada.access_token.split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    let key = set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let (message, signature) = ada.access_token.rsplit_once('.').unwrap();
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public)
        .verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
        .expect("a stranger with the key set alone can verify our tokens");
}
