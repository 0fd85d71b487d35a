//! A session: one signed-in device, held by a chain of refresh tokens of which each buys the next.
//!
//! The rules are RFC 9700 section 4.14 with one concession to real networks. Only the newest token of the chain is
//! good. The one before it may be shown again within [`OVERLAP`], because the answer that carried its successor may
//! have been lost, and then yields that same successor. Anything older has been copied: whoever shows it, the session
//! ends, for the thief and the owner alike.

use std::time::Duration;

use sequent_core::{SessionId, TenantId, Timestamp, UserId};
use sequent_tables::{Change, Error, Row, Transaction, key};
use serde::{Deserialize, Serialize};

use crate::token::RefreshToken;

/// How long a replaced token is excused by a lost answer.
pub const OVERLAP: Duration = Duration::from_secs(10);
/// A session unused for this long ends.
pub const IDLE: Duration = Duration::from_secs(30 * 24 * 3600);
/// However busy, a session ends this long after signing in.
pub const LONGEST: Duration = Duration::from_secs(90 * 24 * 3600);

/// What is known of the client that signs in.
#[derive(Debug, Clone, Default)]
pub struct Device {
    /// `User-Agent`, so that people recognise their sessions.
    pub user_agent: Option<String>,
    /// Network address.
    pub address: Option<String>,
}

/// The row of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The user's tenant.
    pub tenant: TenantId,
    /// Who signed in.
    pub user: UserId,
    /// When they did.
    pub created_at: Timestamp,
    /// When the newest refresh token was given out.
    pub rotated_at: Timestamp,
    /// When it ends if it is not used.
    pub idle_until: Timestamp,
    /// When it ends in any case.
    pub ends_at: Timestamp,
    /// How many refresh tokens were given out before the newest.
    pub generation: u64,
    /// Digest of the newest refresh token.
    pub token_digest: String,
    /// When it was ended before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// `User-Agent` at sign-in, at most 256 characters of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Network address at sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Where a refresh token belongs: the row found by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Tenant of the session.
    pub tenant: TenantId,
    /// User of the session.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// Which link of the chain it is.
    pub generation: u64,
}

/// What presenting a token of some generation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The newest: replace it.
    Rotate,
    /// The one just replaced: give the same successor again.
    Repeat,
    /// Replaced too long ago: end the session.
    Reused,
    /// The session is over.
    Ended,
}

impl Session {
    /// A new session with its first refresh token.
    #[must_use]
    pub fn open(
        tenant: TenantId,
        user: UserId,
        device: Device,
        token: &RefreshToken,
        now: Timestamp,
    ) -> Self {
        Self {
            id: SessionId::new(),
            tenant,
            user,
            created_at: now,
            rotated_at: now,
            idle_until: now + IDLE,
            ends_at: now + LONGEST,
            generation: 0,
            token_digest: token.digest(),
            revoked_at: None,
            user_agent: device.user_agent.map(|text| text.chars().take(256).collect()),
            address: device.address,
        }
    }

    /// Whether it can still be refreshed.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.idle_until && now < self.ends_at
    }

    /// When it ends as things stand.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.idle_until.min(self.ends_at)
    }

    /// What to do about a token of this `generation` of the chain.
    #[must_use]
    pub fn judge(&self, generation: u64, now: Timestamp) -> Verdict {
        match self.generation.checked_sub(generation) {
            _ if !self.is_open(now) => Verdict::Ended,
            Some(0) => Verdict::Rotate,
            Some(1) if now.since(self.rotated_at) <= OVERLAP => Verdict::Repeat,
            Some(_) => Verdict::Reused,
            // A token's row is written with the generation it has, in one transaction with the session's.
            None => Verdict::Ended,
        }
    }

    /// The session after its newest token was replaced by `next`.
    #[must_use]
    pub fn rotated(&self, next: &RefreshToken, now: Timestamp) -> Self {
        Self {
            generation: self.generation + 1,
            token_digest: next.digest(),
            rotated_at: now,
            idle_until: (now + IDLE).min(self.ends_at),
            ..self.clone()
        }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> key::Key {
        key::session(self.tenant, self.user, self.id)
    }

    /// The row. It outlives its end by the overlap so that the last word is "ended" and not "unknown".
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn row(&self) -> Result<Row, Error> {
        Ok(Row::new(&self.key(), self)?.expires_at(self.ends_at + OVERLAP))
    }

    /// The row by which `token`, the newest of the chain, finds the session. It is kept as long as the session may
    /// last, not as long as the token is good: a token that was replaced must be recognised to be called reused.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn place_row(&self, token: &RefreshToken) -> Result<Row, Error> {
        let place =
            Place { tenant: self.tenant, user: self.user, session: self.id, generation: self.generation };
        Ok(Row::new(&key::lookup::refresh_token(token.expose()), &place)?.expires_at(self.ends_at + OVERLAP))
    }

    /// The writes that replace the newest token, if it still is the newest.
    pub(crate) fn rotate(
        &self,
        store: &sequent_tables::Store,
        next: &RefreshToken,
        now: Timestamp,
    ) -> Result<(Self, Transaction), Error> {
        use aws_sdk_dynamodb::types::AttributeValue::{N, S};
        let rotated = self.rotated(next, now);
        let change = Change {
            update: "SET generation = :next, token_digest = :digest, rotated_at = :now, idle_until = :idle"
                .to_owned(),
            condition: Some("generation = :current AND attribute_not_exists(revoked_at)".to_owned()),
            names: Vec::new(),
            values: vec![
                (":next", N(rotated.generation.to_string())),
                (":current", N(self.generation.to_string())),
                (":digest", S(rotated.token_digest.clone())),
                (":now", S(rotated.rotated_at.to_string())),
                (":idle", S(rotated.idle_until.to_string())),
            ],
        };
        let place = rotated.place_row(next)?;
        Ok((rotated, Transaction::new().update(store, &self.key(), change).insert(store, place)))
    }

    /// The write that ends it, if nobody did before.
    pub(crate) fn revocation(now: Timestamp) -> Change {
        Change {
            update: "SET revoked_at = :now".to_owned(),
            condition: Some("attribute_exists(pk) AND attribute_not_exists(revoked_at)".to_owned()),
            names: Vec::new(),
            values: vec![(":now", aws_sdk_dynamodb::types::AttributeValue::S(now.to_string()))],
        }
    }
}

#[cfg(test)]
mod tests;
