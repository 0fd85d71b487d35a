//! Registration by invitation, and the rules for it.

use sequent_core::InvitationId;

use super::*;
use crate::{
    Admission, RegistrationMode,
    invitation::{Invitation, InvitationCode, InvitationKind, NewInvitation},
};

const HOUR: Duration = Duration::from_secs(3600);

async fn invite(
    identity: &Identity,
    kind: InvitationKind,
    email: Option<&str>,
) -> (Invitation, SecretString) {
    let email = email.map(|email| email.parse().unwrap());
    let new = NewInvitation { kind, email, lifetime: HOUR };
    let (invitation, code) = Invitation::create(&identity.store, new, at(0)).await.unwrap();
    (invitation, InvitationCode::expose(&code).to_owned().into())
}

async fn admit(
    identity: &Identity,
    registration: RegistrationMode,
    code: Option<&str>,
    now: Timestamp,
) -> Result<Admission, Error> {
    let code = code.map(SecretString::from);
    identity.admit(registration, code.as_ref(), &"ann@example.com".parse().unwrap(), now).await
}

async fn register(identity: &Identity, admission: Admission, email: &str) -> Result<SignedIn, Error> {
    let account =
        NewAccount { email: email.parse().unwrap(), password: password(PASSWORD), name: "Ann".to_owned() };
    identity.register(account, admission, Device::default(), at(1)).await
}

#[tokio::test]
async fn a_mode_admits_only_its_kinds_of_invitations() {
    let identity = identity().await;
    let (_, guest) = invite(&identity, InvitationKind::Guest, None).await;
    let (_, setup) = invite(&identity, InvitationKind::Setup, None).await;
    for (mode, code, expected) in [
        (RegistrationMode::Open, None, "admitted"),
        (RegistrationMode::Invite, None, "invitation_required"),
        (RegistrationMode::Invite, Some(&guest), "admitted"),
        (RegistrationMode::Invite, Some(&setup), "admitted"),
        (RegistrationMode::Closed, None, "registration_closed"),
        (RegistrationMode::Closed, Some(&guest), "registration_closed"),
        (RegistrationMode::Closed, Some(&setup), "admitted"),
    ] {
        let admitted = admit(&identity, mode, code.map(ExposeSecret::expose_secret), at(1)).await;
        let found = admitted.map_or_else(|error| outcome(&error), |_| "admitted");
        assert_eq!(found, expected, "{mode:?}");
    }
}

fn outcome(error: &Error) -> &'static str {
    use sequent_core::ApiError;
    error.details().code.as_str()
}

#[tokio::test]
async fn a_code_that_is_wrong_used_revoked_or_expired_is_refused() {
    let identity = identity().await;
    let (invitation, code) = invite(&identity, InvitationKind::Guest, None).await;
    let code = code.expose_secret();
    let other_id = code.replace(&invitation.id.to_string(), &InvitationId::new().to_string());
    let (other, other_code) = invite(&identity, InvitationKind::Guest, None).await;
    let other_code = other_code.expose_secret().replace(&other.id.to_string(), &invitation.id.to_string());
    let id = invitation.id.to_string();
    for wrong in ["", "inv_", "no invitation", &id, &other_id, &other_code] {
        let refused = admit(&identity, RegistrationMode::Invite, Some(wrong), at(1)).await;
        assert!(matches!(refused, Err(Error::InvitationInvalid)), "{wrong}: {refused:?}");
    }
    let expired = admit(&identity, RegistrationMode::Invite, Some(code), at(3600)).await;
    assert!(matches!(expired, Err(Error::InvitationInvalid)), "{expired:?}");

    let admission = admit(&identity, RegistrationMode::Invite, Some(code), at(1)).await.unwrap();
    register(&identity, admission, "ann@example.com").await.unwrap();
    let used = admit(&identity, RegistrationMode::Invite, Some(code), at(2)).await;
    assert!(matches!(used, Err(Error::InvitationInvalid)), "{used:?}");
    let revoked = Invitation::revoke(&identity.store, invitation.id, at(2)).await;
    assert!(matches!(revoked, Err(Error::NotFound)), "a used invitation stays in the list: {revoked:?}");

    let (second, code) = invite(&identity, InvitationKind::Guest, None).await;
    let admission =
        admit(&identity, RegistrationMode::Invite, Some(code.expose_secret()), at(1)).await.unwrap();
    Invitation::revoke(&identity.store, second.id, at(2)).await.unwrap();
    let late = register(&identity, admission, "bob@example.com").await;
    assert!(matches!(late, Err(Error::InvitationInvalid)), "it was revoked after the check: {late:?}");
}

#[tokio::test]
async fn an_invitation_for_an_address_admits_no_other() {
    let identity = identity().await;
    let (_, code) = invite(&identity, InvitationKind::Guest, Some("Bob@Example.com")).await;
    let other = identity
        .admit(RegistrationMode::Invite, Some(&code), &"ann@example.com".parse().unwrap(), at(1))
        .await;
    assert!(matches!(other, Err(Error::InvitationInvalid)), "{other:?}");
    let own = identity
        .admit(RegistrationMode::Invite, Some(&code), &"bob@example.com".parse().unwrap(), at(1))
        .await;
    assert!(matches!(own, Ok(Admission::Invited(_))), "{own:?}");
}

#[tokio::test]
async fn of_concurrent_registrations_with_an_invitation_one_succeeds() {
    let identity = Arc::new(identity().await);
    let (invitation, code) = invite(&identity, InvitationKind::Guest, None).await;
    let attempts: Vec<_> = (0..20)
        .map(|n| {
            let identity = Arc::clone(&identity);
            let code = code.clone();
            tokio::spawn(async move {
                let code = code.expose_secret();
                let admission = admit(&identity, RegistrationMode::Invite, Some(code), at(1)).await?;
                register(&identity, admission, &format!("ann{n}@example.com")).await
            })
        })
        .collect();
    let mut winners = Vec::new();
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(signed_in) => winners.push(signed_in.user.tenant_id),
            Err(Error::InvitationInvalid) => {}
            // A loser may also give up because the row is contended. It has created nothing.
            Err(Error::Transaction(cancelled)) => assert!(cancelled.is_transient(), "{cancelled:?}"),
            Err(other) => panic!("{other:?}"),
        }
    }
    let stored: Invitation = identity.store.get(&key::invitation(invitation.id)).await.unwrap().unwrap();
    assert_eq!(winners, [stored.used_by.unwrap()]);
}

#[tokio::test]
async fn the_audit_trail_of_the_deployment_names_each_change_of_an_invitation() {
    let identity = identity().await;
    let (used, code) = invite(&identity, InvitationKind::Setup, None).await;
    let (revoked, _) = invite(&identity, InvitationKind::Guest, None).await;
    let admission =
        admit(&identity, RegistrationMode::Closed, Some(code.expose_secret()), at(1)).await.unwrap();
    let ann = register(&identity, admission, "ann@example.com").await.unwrap();
    Invitation::revoke(&identity.store, revoked.id, at(2)).await.unwrap();
    let pk = key::audit(TenantId::SYSTEM, at(0), "");
    let mut rows = testing::all_rows(&identity.store).await;
    rows.retain(|row| Key::of_item(row).is_some_and(|key| key.pk() == pk.pk()));
    let mut entries: Vec<serde_json::Value> =
        rows.into_iter().map(|row| sequent_tables::decode(row).unwrap()).collect();
    entries.sort_by_key(|entry| (entry["at"].to_string(), entry["kind"].to_string()));
    let shown: Vec<_> = entries.iter().map(|entry| (&entry["action"], &entry["invitation"])).collect();
    let id = |invitation: &Invitation| json!(invitation.id);
    assert_eq!(
        shown,
        [
            (&json!("invitation_created"), &id(&revoked)),
            (&json!("invitation_created"), &id(&used)),
            (&json!("invitation_used"), &id(&used)),
            (&json!("invitation_revoked"), &id(&revoked)),
        ]
    );
    assert_eq!(entries[2]["used_by"], json!(ann.user.tenant_id));
}

#[tokio::test]
async fn no_row_contains_a_code() {
    let identity = identity().await;
    let (invitation, code) = invite(&identity, InvitationKind::Guest, None).await;
    let secret = code.expose_secret().trim_start_matches(&invitation.id.to_string()).to_owned();
    let rows = format!("{:?}", testing::all_rows(&identity.store).await);
    assert!(!rows.contains(&secret) && rows.contains(&invitation.id.to_string()));
    assert!(!format!("{code:?}").contains(&secret));
}
