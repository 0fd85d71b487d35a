//! Registration while it is not open to everyone.

use sequent_core::Timestamp;
use sequent_http::testing::{Answer, Event};
use sequent_identity::{
    RegistrationMode,
    invitation::{Invitation, InvitationKind, NewInvitation, SETUP_LIFETIME},
    mail::issue,
};
use sequent_tables::key;
use serde_json::{Value, json};

use crate::deployment::{ADMIN_KEY, Deployment, PASSWORD, request};

async fn register(deployment: &Deployment, email: &str, invitation: Option<&Value>) -> Answer {
    let mut body = json!({ "email": email, "password": PASSWORD });
    if let Some(code) = invitation {
        body["invitation"] = code.clone();
    }
    deployment.send(&request("POST", "/api/auth/register").json(&body)).await
}

fn as_operator(method: &str, path: &str) -> Event {
    request(method, path).header("x-admin-key", ADMIN_KEY)
}

async fn invite(deployment: &Deployment, body: &Value) -> Answer {
    deployment.send(&as_operator("POST", "/api/auth/invitations").json(body)).await
}

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

#[tokio::test]
async fn a_closed_deployment_accepts_only_a_setup_code() {
    let deployment = Deployment::registering(RegistrationMode::Closed).await;
    let refused = register(&deployment, "eve@example.com", None).await;
    assert_eq!(refusal(&refused), (403, "registration_closed".to_owned()));
    let old =
        request("POST", "/api/users/").json(&json!({ "email": "eve@example.com", "password": PASSWORD }));
    let refused = deployment.send(&old).await;
    assert_eq!(refusal(&refused), (403, "registration_closed".to_owned()), "nor does the deprecated path");
    let refused = invite(&deployment, &json!({})).await;
    assert_eq!(refusal(&refused), (403, "registration_closed".to_owned()));

    let new = NewInvitation { kind: InvitationKind::Setup, email: None, lifetime: SETUP_LIFETIME };
    let (_, code) = Invitation::create(&deployment.store, new, Timestamp::now()).await.unwrap();
    let code = json!(code.expose());
    let wrong = json!(format!("{}x", code.as_str().unwrap()));
    let refused = register(&deployment, "ada@example.com", Some(&wrong)).await;
    assert_eq!(refusal(&refused), (403, "invitation_invalid".to_owned()));
    let made = register(&deployment, "ada@example.com", Some(&code)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let again = register(&deployment, "eve@example.com", Some(&code)).await;
    assert_eq!(refusal(&again), (403, "invitation_invalid".to_owned()));
}

#[tokio::test]
async fn an_invitation_of_the_operator_makes_one_account() {
    let deployment = Deployment::registering(RegistrationMode::Invite).await;
    let refused = register(&deployment, "ada@example.com", None).await;
    assert_eq!(refusal(&refused), (403, "invitation_required".to_owned()));
    let made = invite(&deployment, &json!({ "email": "ada@example.com" })).await;
    assert_eq!((made.status.as_u16(), made.header("cache-control")), (201, "no-store"), "{}", made.text());
    let made = made.json();
    let code = &made["invitation"];
    let refused = register(&deployment, "eve@example.com", Some(code)).await;
    assert_eq!(refusal(&refused), (403, "invitation_invalid".to_owned()), "it is for another address");
    assert_eq!(register(&deployment, "Ada@Example.com", Some(code)).await.status, 201);

    let list = deployment.send(&as_operator("GET", "/api/auth/invitations")).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert!(
        list["items"][0]["used_at"].is_string() && list["items"][0].get("invitation").is_none(),
        "{list}"
    );
    let path = format!("/api/auth/invitations/{}", made["id"].as_str().unwrap());
    assert_eq!(deployment.send(&as_operator("DELETE", &path)).await.status, 404, "it is used");
}

#[tokio::test]
async fn a_revoked_invitation_makes_no_account() {
    let deployment = Deployment::registering(RegistrationMode::Invite).await;
    let made = invite(&deployment, &json!({})).await.json();
    let path = format!("/api/auth/invitations/{}", made["id"].as_str().unwrap());
    assert_eq!(deployment.send(&as_operator("DELETE", &path)).await.status, 204);
    let refused = register(&deployment, "ada@example.com", Some(&made["invitation"])).await;
    assert_eq!(refusal(&refused), (403, "invitation_invalid".to_owned()));
}

#[tokio::test]
async fn only_the_operator_manages_invitations() {
    let deployment = Deployment::new().await;
    let ada = deployment.register("ada@example.com").await;
    let id = "inv_01K9Z3SZT9V0W1X2Y3Z4A5B6C7";
    for (method, path) in [
        ("POST", "/api/auth/invitations".to_owned()),
        ("GET", "/api/auth/invitations".to_owned()),
        ("DELETE", format!("/api/auth/invitations/{id}")),
    ] {
        let event = request(method, &path).json(&json!({}));
        assert_eq!(refusal(&deployment.send(&event).await), (401, "unauthenticated".to_owned()), "{method}");
        let event = event.bearer(&ada.access_token);
        assert_eq!(refusal(&deployment.send(&event).await), (403, "not_an_admin".to_owned()), "{method}");
        let event = event.header("x-admin-key", "a guess");
        assert_eq!(
            refusal(&deployment.send(&event).await),
            (401, "invalid_credential".to_owned()),
            "{method}"
        );
    }
}

#[tokio::test]
async fn every_wrong_field_of_an_invitation_is_named() {
    let deployment = Deployment::registering(RegistrationMode::Invite).await;
    let refused = invite(&deployment, &json!({ "email": "nobody", "expires_in": 1 })).await;
    assert_eq!(refusal(&refused), (422, "validation_failed".to_owned()));
    let errors = refused.json()["errors"].clone();
    let pointers: Vec<_> = errors.as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, ["#/email", "#/expires_in"]);
}

/// The trust in the tenant of a new account, from its row.
async fn trust(deployment: &Deployment, made: &Answer) -> Value {
    let tenant = made.json()["user"]["tenant_id"].as_str().unwrap().parse().unwrap();
    let row: Option<Value> = deployment.store.get(&key::tenant(tenant)).await.unwrap();
    row.unwrap()["trust"].clone()
}

#[tokio::test]
async fn a_tenant_is_trusted_once_its_owner_was_invited_or_has_verified_the_address() {
    let without_mail = Deployment::new().await;
    let made = register(&without_mail, "ada@example.com", None).await;
    assert_eq!(trust(&without_mail, &made).await, "unverifiable");

    let deployment = Deployment::with_mail().await;
    let made = register(&deployment, "ada@example.com", None).await;
    assert_eq!(trust(&deployment, &made).await, "unverified");
    let [mail] = deployment.mails().await.try_into().unwrap();
    let (_, token) = issue(&deployment.store, &mail, Timestamp::now()).await.unwrap().unwrap();
    let verify = request("POST", "/api/auth/verification/confirm").json(&json!({ "token": token.expose() }));
    let verified = deployment.send(&verify).await;
    assert_eq!(verified.status, 204, "{}", verified.text());
    assert_eq!(trust(&deployment, &made).await, "trusted");

    let deployment = Deployment::registering(RegistrationMode::Invite).await;
    let code = invite(&deployment, &json!({})).await.json()["invitation"].clone();
    let made = register(&deployment, "ada@example.com", Some(&code)).await;
    assert_eq!(trust(&deployment, &made).await, "trusted");
}
