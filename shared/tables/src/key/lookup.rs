//! Keys that turn a credential into a tenant. They contain the SHA-256 of the credential in the place of the tenant: only
//! a caller that knows the credential can make the key.

use super::{Key, hash};

/// The user with this e-mail address. The caller has normalised it.
#[must_use]
pub fn email(address: &str) -> Key {
    Key::new(format!("email#{}", hash(&[address.as_bytes()])), "credential")
}

/// The API key with this secret.
#[must_use]
pub fn api_key(secret: &str) -> Key {
    Key::new(format!("api-key#{}", hash(&[secret.as_bytes()])), "credential")
}

/// The hook with this token.
#[must_use]
pub fn hook(token: &str) -> Key {
    Key::new(format!("hook#{}", hash(&[token.as_bytes()])), "credential")
}

/// The tenant of a customer of the payment provider. The id of a customer is not a credential: it is only read from
/// signed events and from answers of the provider.
#[must_use]
pub fn payer(customer: &str) -> Key {
    Key::new(format!("payer#{}", hash(&[customer.as_bytes()])), "payer")
}

/// The session of a refresh token.
#[must_use]
pub fn refresh_token(token: &str) -> Key {
    Key::new(format!("refresh#{}", hash(&[token.as_bytes()])), "credential")
}

/// The account of a one-time token that was sent by mail.
#[must_use]
pub fn mail_token(token: &str) -> Key {
    Key::new(format!("mail#{}", hash(&[token.as_bytes()])), "credential")
}

/// The requests of a class that a network address sent in a window of time.
#[must_use]
pub fn rate_limit(class: &str, address: &str, window: i64) -> Key {
    let subject = hash(&[address.as_bytes()]);
    Key::new(format!("rate-limit#{class}#{subject}"), window)
}

/// A throttle without a tenant: sign-in attempts for an e-mail address.
#[must_use]
pub fn throttle(class: &str, subject: &str) -> Key {
    Key::new(format!("throttle#{class}#{}", hash(&[subject.as_bytes()])), "throttle")
}
