//! Rotation of the key that signs access tokens.
//!
//! The schedule runs every hour, and a key is replaced when it has reached its age. The keys contain the time
//! at which they were made, so it makes no difference if the schedule fires twice or misses an hour.

use std::time::Duration;

use sequent_core::{
    Timestamp,
    setting::{self, InvalidSetting},
};
use sequent_identity::signing::rotation::{self, Error, Outcome};
use sequent_tables::SecretTable;

/// The default age in days at which a key is replaced.
const DAYS: u32 = 90;

/// Rotates the signing keys of the deployment.
#[derive(Debug, Clone)]
pub struct Rotation {
    table: SecretTable,
    age: Duration,
    token_ttl: Duration,
}

impl Rotation {
    /// Rotates the keys in this table at an age of `SIGNING_KEY_DAYS`.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a variable is not a number.
    pub fn from_env(table: SecretTable) -> Result<Self, InvalidSetting> {
        let days = setting::parsed("SIGNING_KEY_DAYS", "a number of days")?.unwrap_or(DAYS);
        Ok(Self {
            table,
            age: Duration::from_secs(u64::from(days) * 24 * 3600),
            token_ttl: sequent_identity::Config::from_env()?.access_token_ttl,
        })
    }

    /// Rotates the keys if the newest is old enough at `now`.
    ///
    /// # Errors
    /// Returns an error if the secret cannot be read, parsed or written. The keys are unchanged then.
    pub async fn run(&self, now: Timestamp) -> Result<Outcome, Error> {
        let outcome = rotation::rotate(&self.table, self.age, self.token_ttl, now).await?;
        match outcome {
            Outcome::Rotated => tracing::info!("published a new signing key"),
            Outcome::Published => {
                tracing::warn!(
                    "the public keys were missing or others; published those of the signing keys again"
                );
            }
            Outcome::Lost => tracing::info!(
                "another process changed the signing keys; the next rotation checks them again"
            ),
            Outcome::Young => {}
        }
        Ok(outcome)
    }
}
