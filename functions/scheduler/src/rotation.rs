//! Once a day, has the key that signs access tokens replaced if it has reached its age.
//!
//! Looking often and acting seldom needs no memory of its own: the keys say how old they are, and a day on which the
//! schedule fired twice, or not at all, makes no difference.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use sequent_core::Timestamp;
use sequent_identity::signing::rotation::{self, Error, Outcome};

/// The age at which a key is replaced, where none is set.
const DAYS: u32 = 90;

/// Rotates the signing keys of one secret.
#[derive(Debug, Clone)]
pub struct Rotation {
    client: Client,
    secret: String,
    age: Duration,
    token_ttl: Duration,
}

impl Rotation {
    /// Of the secret `SECRETS_ID`, at an age of `SIGNING_KEY_DAYS`.
    ///
    /// # Errors
    /// Names the variable that is missing or no number.
    pub fn from_env(client: Client) -> Result<Self, String> {
        let secret = std::env::var("SECRETS_ID").map_err(|_| "SECRETS_ID is not set".to_owned())?;
        let days = match std::env::var("SIGNING_KEY_DAYS") {
            Ok(days) => days.parse().map_err(|_| format!("SIGNING_KEY_DAYS is no number of days: {days}"))?,
            Err(_) => DAYS,
        };
        Ok(Self {
            client,
            secret,
            age: Duration::from_secs(u64::from(days) * 24 * 3600),
            token_ttl: sequent_identity::Config::from_env()?.access_token_ttl,
        })
    }

    /// Rotates the keys if the newest is old enough at `now`.
    ///
    /// # Errors
    /// When the secret cannot be read, understood or written; then the keys are as they were.
    pub async fn run(&self, now: Timestamp) -> Result<Outcome, Error> {
        let outcome = rotation::rotate(&self.client, &self.secret, self.age, self.token_ttl, now).await?;
        match outcome {
            Outcome::Rotated => tracing::info!("a new signing key is published"),
            Outcome::Lost => tracing::info!("the signing keys were changed by somebody else meanwhile"),
            Outcome::Young => {}
        }
        Ok(outcome)
    }
}
