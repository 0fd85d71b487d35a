//! Sessions, API keys and the keys of tokens.

use serde_json::{Value, json};

use crate::deployment::{Deployment, PASSWORD, SignedIn, golden, request};

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
