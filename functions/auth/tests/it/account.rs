//! The life of an account, from its registration to its deletion.

use sequent_core::{TenantId, Timestamp};
use sequent_identity::mail::{MailPurpose, issue};
use sequent_tables::key;
use serde_json::{Value, json};

use crate::deployment::{ADMIN_KEY, Deployment, ORIGIN, PASSWORD, SignedIn, cookies, request};

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
