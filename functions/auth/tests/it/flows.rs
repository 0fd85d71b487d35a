//! Sequences of requests from clients and attackers.

use crate::deployment::{ADMIN_KEY, Deployment, ORIGIN, PASSWORD, SignedIn, golden, request};
use sequent_core::{TenantId, Timestamp};
use sequent_http::{
    Config,
    testing::{Answer, Event},
};
use sequent_identity::mail::{MailPurpose, issue};
use sequent_tables::key;
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
    let me = deployment.send(&request("GET", "/api/auth/me/").bearer(&ada.access_token)).await.json();
    for field in fields {
        assert_eq!(me[field], ada.user[field]);
    }
    assert_eq!(me["scopes"].as_array().unwrap().len(), sequent_http::Scope::ALL.len());
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
        let me = deployment.send(&event).await.json();
        assert_eq!((&me["id"], &me["scopes"]), (&ada.user["id"], &json!(["chat"])));
        assert!(me.get("email").is_none() && me.get("name").is_none(), "{me}");
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
async fn an_ended_session_answers_401_with_every_credential() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    assert_eq!(
        deployment.send(&request("POST", "/api/auth/logout").bearer(&ada.access_token)).await.status,
        204
    );
    let me = deployment.send(&request("GET", "/api/auth/me").bearer(&ada.access_token)).await;
    assert_eq!((me.status.as_u16(), me.code().as_str()), (401, "invalid_credential"));
}

#[tokio::test]
async fn sensitive_changes_need_the_password_again() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    let phone = json!({ "email": "ada@example.com", "password": PASSWORD });
    SignedIn::of(&deployment.send(&request("POST", "/api/auth/login").json(&phone)).await);
    let list = deployment.send(&request("GET", "/api/auth/sessions").bearer(&ada.access_token)).await.json();
    let other = list["items"].as_array().unwrap().iter().find(|session| session["current"] == false).unwrap();
    let other = format!("/api/auth/sessions/{}", other["id"].as_str().unwrap());
    deployment.age_sessions(&ada).await;
    let create = request("POST", "/api/auth/api-keys").json(&json!({ "name": "ci", "scopes": ["chat"] }));
    for event in [create.clone(), request("DELETE", &other)] {
        let refused = deployment.send(&event.bearer(&ada.access_token)).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "reauthentication_required"));
    }
    let again = |password: &str| {
        request("POST", "/api/auth/reauthenticate")
            .bearer(&ada.access_token)
            .json(&json!({ "password": password }))
    };
    let wrong = deployment.send(&again("wrong horse")).await;
    assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (401, "wrong_credentials"));
    assert_eq!(deployment.send(&again(PASSWORD)).await.status, 204);
    assert_eq!(deployment.send(&create.bearer(&ada.access_token)).await.status, 201);
    assert_eq!(deployment.send(&request("DELETE", &other).bearer(&ada.access_token)).await.status, 204);
}

#[tokio::test]
async fn a_weak_new_password_is_refused_and_a_good_one_replaces_the_old() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    let change = |current: &str, new: &str| {
        let body = json!({ "current_password": current, "new_password": new });
        request("POST", "/api/auth/password").bearer(&ada.access_token).json(&body)
    };
    for weak in ["password123!", "iloveyou123", "qwertyuiop1", "Summer2026!", "00112233"] {
        let refused = deployment.send(&change(PASSWORD, weak)).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "validation_failed"), "{weak}");
        assert_eq!(refused.json()["errors"][0]["pointer"], "#/new_password");
    }
    let new = "seven lanterns over the harbour";
    assert_eq!(deployment.send(&change("wrong horse", new)).await.code(), "wrong_credentials");
    assert_eq!(deployment.send(&change(PASSWORD, new)).await.status, 204);
    let login = |password: &str| {
        request("POST", "/api/auth/login").json(&json!({ "email": "ada@example.com", "password": password }))
    };
    assert_eq!(deployment.send(&login(PASSWORD)).await.status, 401);
    assert_eq!(deployment.send(&login(new)).await.status, 200);
}

#[tokio::test]
async fn a_key_expires_in_the_future() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    let create = |expires_at: &str| {
        let body = json!({ "name": "ci", "scopes": ["chat"], "expires_at": expires_at });
        request("POST", "/api/auth/api-keys").bearer(&ada.access_token).json(&body)
    };
    let past = deployment.send(&create("2020-01-01T00:00:00Z")).await;
    assert_eq!((past.status.as_u16(), &past.json()["errors"][0]["pointer"]), (422, &json!("#/expires_at")));
    let made = deployment.send(&create("2999-01-01T00:00:00Z")).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(made.json()["expires_at"].as_str().unwrap().starts_with("2999-01-01"));
    let sessions = deployment.send(&request("GET", "/api/auth/sessions").bearer(&ada.access_token)).await;
    assert_eq!(made.json()["created_by_session"], sessions.json()["items"][0]["id"]);
}

#[tokio::test]
async fn the_audit_trail_is_read_page_by_page_by_its_tenant() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    let eve = deployment.register("eve@example.com").await;
    let key = json!({ "name": "ci", "scopes": ["chat"] });
    let made = deployment
        .send(&request("POST", "/api/auth/api-keys").bearer(&ada.access_token).json(&key))
        .await
        .json();
    let list = |query: &str, token: &str| request("GET", &format!("/api/audit?{query}")).bearer(token);
    let first = deployment.send(&list("limit=1", &ada.access_token)).await.json();
    let entry = &first["items"][0];
    assert_eq!((&entry["action"], &entry["api_key"]), (&json!("api_key_created"), &made["id"]));
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = deployment.send(&list(&format!("limit=1&cursor={cursor}"), &ada.access_token)).await.json();
    assert_eq!(second["items"][0]["action"], "signed_up");
    assert_eq!(
        deployment.send(&list("", &eve.access_token)).await.json()["items"].as_array().unwrap().len(),
        1
    );
    let stolen = deployment.send(&list(&format!("cursor={cursor}"), &eve.access_token)).await;
    assert_eq!(stolen.code(), "invalid_cursor");
    let by_key = deployment.send(&list("", made["key"].as_str().unwrap())).await;
    assert_eq!((by_key.status.as_u16(), by_key.code().as_str()), (403, "insufficient_scope"));
}

#[tokio::test]
async fn the_operator_alone_suspends_reinstates_and_unlocks() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    let admin = |action: &str, email: &str| {
        request("POST", &format!("/api/admin/users/{action}")).json(&json!({ "email": email }))
    };
    for action in ["suspend", "reinstate", "unlock"] {
        let bare = deployment.send(&admin(action, "ada@example.com")).await;
        let wrong = deployment.send(&admin(action, "ada@example.com").header("x-admin-key", "wrong")).await;
        let user = deployment.send(&admin(action, "ada@example.com").bearer(&ada.access_token)).await;
        let statuses = [&bare, &wrong, &user].map(|answer| answer.status.as_u16());
        assert_eq!(statuses, [401, 401, 403], "{action}");
        let unknown = admin(action, "eve@example.com").header("x-admin-key", ADMIN_KEY);
        assert_eq!(deployment.send(&unknown).await.status, 404);
    }
    let suspend = admin("suspend", "ada@example.com").header("x-admin-key", ADMIN_KEY);
    let suspended = deployment.send(&suspend).await.json();
    assert!(suspended["suspended_at"].is_string(), "{suspended}");
    let me = request("GET", "/api/auth/me").bearer(&ada.access_token);
    assert_eq!(deployment.send(&me).await.status, 401);
    let login =
        request("POST", "/api/auth/login").json(&json!({ "email": "ada@example.com", "password": PASSWORD }));
    let refused = deployment.send(&login).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "account_suspended"));
    let reinstate = admin("reinstate", "ada@example.com").header("x-admin-key", ADMIN_KEY);
    assert_eq!(deployment.send(&reinstate).await.json()["suspended_at"], Value::Null);
    assert_eq!(deployment.send(&login).await.status, 200);
}

#[tokio::test]
async fn a_deleted_account_is_closed_at_once_and_its_address_is_free() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    let key = json!({ "name": "ci", "scopes": ["account"] });
    let key = deployment
        .send(&request("POST", "/api/auth/api-keys").bearer(&ada.access_token).json(&key))
        .await
        .json();
    let key = key["key"].as_str().unwrap();
    let delete = request("DELETE", &format!("/api/auth/me?user_id={}", ada.user["id"].as_str().unwrap()));
    let by_key = deployment.send(&delete.clone().bearer(key)).await;
    assert_eq!((by_key.status.as_u16(), by_key.code().as_str()), (400, "no_session"));
    let answer = deployment.send(&delete.bearer(&ada.access_token)).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    for token in [ada.access_token.as_str(), key] {
        assert_eq!(deployment.send(&request("GET", "/api/auth/me").bearer(token)).await.status, 401);
    }
    let login =
        request("POST", "/api/auth/login").json(&json!({ "email": "ada@example.com", "password": PASSWORD }));
    assert_eq!(deployment.send(&login).await.status, 401);
    let again = deployment.register("ada@example.com").await;
    assert_ne!(again.user["id"], ada.user["id"]);
    let jobs: Vec<Value> = deployment.store.every(key::jobs(TenantId::SYSTEM)).await.unwrap();
    assert_eq!((jobs.len(), &jobs[0]["job_type"]), (1, &json!("delete_account")));
    assert_eq!(jobs[0]["input"]["user_id"], ada.user["id"]);
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_by_mail() {
    let deployment = Deployment::with_mail().await;
    let ada = deployment.register("ada@example.com").await;
    let [verification] = deployment.mails().await.try_into().unwrap();
    assert_eq!((verification.purpose, verification.origin.as_str()), (MailPurpose::VerifyEmail, ORIGIN));

    let post = |path: &str, body: Value| request("POST", &format!("/api/auth/{path}")).json(&body);
    let mut answers = Vec::new();
    for email in ["ada@example.com", "eve@example.com"] {
        let answer = deployment.send(&post("password-reset", json!({ "email": email }))).await;
        answers.push((answer.status.as_u16(), answer.text()));
    }
    assert_eq!(
        (answers[0].0, &answers[0]),
        (202, &answers[1]),
        "an unknown address is answered in the same way"
    );
    let mails = deployment.mails().await;
    assert_eq!(mails.len(), 3, "and does the same work");
    let reset =
        mails.iter().find(|mail| mail.purpose == MailPurpose::ResetPassword && mail.recipient.is_some());
    let (_, token) = issue(&deployment.store, reset.unwrap(), Timestamp::now()).await.unwrap().unwrap();

    let confirm = |password: &str| {
        post("password-reset/confirm", json!({ "token": token.expose(), "password": password }))
    };
    let weak = deployment.send(&confirm("password123!")).await;
    assert_eq!((weak.status.as_u16(), weak.code().as_str()), (422, "validation_failed"));
    let new = "seven lanterns over the harbour";
    let done = deployment.send(&confirm(new)).await;
    assert_eq!(done.status, 204, "{}", done.text());
    let [device] = cookies(&done).try_into().unwrap();
    assert_eq!(device.0, "__Secure-sequent_device", "the device is known from now on");
    let again = deployment.send(&confirm(new)).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (400, "invalid_mail_token"));
    assert_eq!(deployment.send(&request("GET", "/api/auth/me").bearer(&ada.access_token)).await.status, 401);
    let login = post("login", json!({ "email": "ada@example.com", "password": new }));
    let user = SignedIn::of(&deployment.send(&login).await).user;
    assert!(user["email_verified_at"].is_string(), "{user}");
}

#[tokio::test]
async fn a_deployment_without_mail_says_so() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    let reset = request("POST", "/api/auth/password-reset").json(&json!({ "email": "ada@example.com" }));
    let verify = request("POST", "/api/auth/verification").bearer(&ada.access_token);
    for event in [reset, verify] {
        let answer = deployment.send(&event).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "mail_not_configured"));
    }
    assert!(deployment.mails().await.is_empty());
}
