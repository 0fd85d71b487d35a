//! Keys that turn a credential into a tenant. They are found by a SHA-256 of what the caller presented, which is
//! what stands in for the tenant: knowing the key is knowing the credential.

use super::{Key, hash};

/// Who signs in with this e-mail address (already normalised by the caller).
#[must_use]
pub fn email(address: &str) -> Key {
    Key::new(format!("email#{}", hash(&[address.as_bytes()])), "credential")
}

/// Which API key has this secret.
#[must_use]
pub fn api_key(secret: &str) -> Key {
    Key::new(format!("api-key#{}", hash(&[secret.as_bytes()])), "credential")
}

/// Which tenant a customer of the payment provider is. Its id is no credential: it is only ever read from what the
/// provider has signed or answered.
#[must_use]
pub fn payer(customer: &str) -> Key {
    Key::new(format!("payer#{}", hash(&[customer.as_bytes()])), "payer")
}

/// Which session a refresh token belongs to.
#[must_use]
pub fn refresh_token(token: &str) -> Key {
    Key::new(format!("refresh#{}", hash(&[token.as_bytes()])), "credential")
}

/// A throttle on something anonymous: sign-in attempts for an address, sign-ups from an address range.
#[must_use]
pub fn throttle(class: &str, subject: &str) -> Key {
    Key::new(format!("throttle#{class}#{}", hash(&[subject.as_bytes()])), "throttle")
}
