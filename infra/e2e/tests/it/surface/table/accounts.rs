//! The routes of accounts, sessions and keys.

use serde_json::{Value, json};

use super::{Belongings, Call, Entry, Foreign, entry, list, missing, same};

pub(super) fn accounts() -> Vec<Entry> {
    vec![
        entry("POST /api/auth/register", "email password name invitation", |of| {
            taken("/api/auth/register", of)
        }),
        entry("POST /api/users", "email password name invitation", |of| taken("/api/users", of)),
        entry("POST /api/auth/login", "email password", |of| wrong_password("/api/auth/login", of)),
        entry("POST /api/login", "email password", |of| wrong_password("/api/login", of)),
        entry("POST /api/auth/refresh", "refresh_token", |_| {
            vec![Call::to("/api/auth/refresh").body(no_token()).is(Foreign::Same)]
        }),
        entry("POST /api/auth/logout", "refresh_token", |_| sign_out("/api/auth/logout")),
        entry("POST /api/logout", "refresh_token", |_| sign_out("/api/logout")),
        entry("POST /api/auth/invitations", "email expires_in", |_| {
            vec![Call::to("/api/auth/invitations").body(json!({})).is(Foreign::Same)]
        }),
        entry("GET /api/auth/invitations", "limit cursor", |_| {
            vec![Call::to("/api/auth/invitations").is(Foreign::Same)]
        }),
        entry("DELETE /api/auth/invitations/{id}", "id", |_| {
            vec![Call::to("/api/auth/invitations/inv_01K9Z3SZT9V0W1X2Y3Z4A5B6C7").is(Foreign::Same)]
        }),
        entry("GET /api/auth/me", "", |_| vec![Call::to("/api/auth/me")]),
        entry("GET /api/check_session", "", |_| vec![Call::to("/api/check_session")]),
        entry("POST /api/auth/reauthenticate", "password", |_| {
            vec![
                Call::to("/api/auth/reauthenticate")
                    .body(json!({"password": "correct horse battery staple"})),
            ]
        }),
        entry("POST /api/auth/password", "current_password new_password", |_| {
            let new = "seven lanterns over the harbour";
            let change = json!({"current_password": "not the password at all", "new_password": new});
            vec![Call::to("/api/auth/password").body(change).is(Foreign::Same)]
        }),
        entry("POST /api/auth/password-reset", "email", |of| {
            vec![Call::to("/api/auth/password-reset").body(json!({"email": of.email})).is(Foreign::Same)]
        }),
        entry("POST /api/auth/password-reset/confirm", "token password", |_| {
            let body = json!({"token": no_mail(), "password": "seven lanterns over the harbour"});
            vec![Call::to("/api/auth/password-reset/confirm").body(body).is(Foreign::Same)]
        }),
        // This stack sends no mail.
        entry("POST /api/auth/verification", "", |_| vec![same("/api/auth/verification")]),
        entry("POST /api/auth/verification/confirm", "token", |_| {
            let body = json!({"token": no_mail()});
            vec![Call::to("/api/auth/verification/confirm").body(body).is(Foreign::Same)]
        }),
        entry("DELETE /api/auth/me", "user_id", |_| {
            // Not the id of any caller, because its account would be gone for the other calls.
            vec![same("/api/auth/me?user_id=usr_01K9Z3SXH0J1K2M3N4P5Q6R7S8")]
        }),
        entry("GET /api/audit", "limit cursor", |of| list("/api/audit", &of.cursors.audit)),
        entry("POST /api/admin/users/suspend", "email", |of| of_operator("suspend", of)),
        entry("POST /api/admin/users/reinstate", "email", |of| of_operator("reinstate", of)),
        entry("POST /api/admin/users/unlock", "email", |of| of_operator("unlock", of)),
        entry("GET /api/auth/csrf-token", "", |_| vec![Call::to("/api/auth/csrf-token")]),
        entry("GET /api/auth/sessions", "limit cursor", |of| {
            list("/api/auth/sessions", &of.cursors.sessions)
        }),
        entry("DELETE /api/auth/sessions/{id}", "id", |of| {
            vec![missing(format!("/api/auth/sessions/{}", of.session))]
        }),
        entry("GET /api/auth/api-keys", "limit cursor", |of| {
            list("/api/auth/api-keys", &of.cursors.api_keys)
        }),
        entry("POST /api/auth/api-keys", "name scopes expires_at", |_| {
            vec![Call::to("/api/auth/api-keys").body(json!({"name": "another", "scopes": ["runs:read"]}))]
        }),
        entry("DELETE /api/auth/api-keys/{id}", "id", |of| {
            vec![missing(format!("/api/auth/api-keys/{}", of.api_key))]
        }),
    ]
}

fn of_operator(action: &str, of: &Belongings) -> Vec<Call> {
    let path = format!("/api/admin/users/{action}");
    vec![Call::to(path).body(json!({"email": of.email})).is(Foreign::Same)]
}

fn sign_out(path: &str) -> Vec<Call> {
    vec![Call::to(path), Call::to(path).body(no_token())]
}

fn wrong_password(path: &str, of: &Belongings) -> Vec<Call> {
    let body = json!({"email": of.email, "password": "not the password at all"});
    vec![Call::to(path).body(body).is(Foreign::Same)]
}

fn taken(path: &str, of: &Belongings) -> Vec<Call> {
    let body = json!({"email": of.email, "password": "correct horse battery staple", "name": "somebody"});
    vec![Call::to(path).body(body).is(Foreign::Taken)]
}

/// Returns an unknown token of a mail.
fn no_mail() -> String {
    format!("mt_{}", "A".repeat(43))
}

/// Returns an unknown refresh token. A valid one is a secret that a stranger cannot have.
fn no_token() -> Value {
    json!({"refresh_token": format!("rt_{}", "A".repeat(43))})
}
