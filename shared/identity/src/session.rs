//! A session: one signed-in device, with a chain of refresh tokens in which each is exchanged for the next.
//!
//! The rules are those of RFC 9700, section 4.14, with one concession to real networks. Only the newest token of the
//! chain is valid. The previous one may be used again within [`OVERLAP`], because the response with its successor may
//! have been lost; it yields the same successor. An older token must have been copied. Its use ends the session, for
//! the thief and the owner alike.

use std::time::Duration;

use sequent_core::{SecretString, SessionId, TenantId, Timestamp, UserId};
use sequent_tables::{Error, Label, Row, Transaction, Update, Write, attribute, exists, key};
use serde::{Deserialize, Serialize};

use crate::{network::network, token::RefreshToken};

/// The time within which a replaced token may be used again.
pub const OVERLAP: Duration = Duration::from_secs(10);
/// The time after which an unused session ends.
pub const IDLE: Duration = Duration::from_secs(30 * 24 * 3600);
/// The time after which a session ends in any case.
pub const LONGEST: Duration = Duration::from_secs(90 * 24 * 3600);

/// The writes that replace a refresh token.
pub(crate) const ROTATION: Label = Label::new("rotation");

/// The client that signs in.
#[derive(Debug, Clone, Default)]
pub struct Device {
    /// `User-Agent`, so that people recognise their sessions.
    pub user_agent: Option<String>,
    /// Network address of the client.
    pub address: Option<String>,
    /// The text of a device token, which is not verified.
    pub token: Option<SecretString>,
}

impl Device {
    /// The network of the client.
    pub(crate) fn network(&self) -> String {
        self.address.as_deref().map_or_else(|| "unknown".to_owned(), network)
    }
}

/// The row of a session.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub id: SessionId,
    pub tenant: TenantId,
    pub user: UserId,
    pub created_at: Timestamp,
    /// The time at which the password was last presented.
    pub authenticated_at: Timestamp,
    /// The time at which the newest refresh token was issued.
    pub rotated_at: Timestamp,
    /// The time at which the session ends if it is not used.
    pub idle_until: Timestamp,
    /// The time at which the session ends in any case.
    pub ends_at: Timestamp,
    /// The number of refresh tokens before the newest.
    pub generation: u64,
    /// The digest of the newest refresh token.
    pub token_digest: String,
    /// The time at which the session was ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// True if the session was ended because a replaced refresh token was used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_copied: bool,
    /// The first 256 characters of `User-Agent` at the sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The network address at the sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// The row of a refresh token, which is found by the hash of the token.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenOwner {
    pub tenant: TenantId,
    pub user: UserId,
    pub session: SessionId,
    /// The position of the token in the chain.
    pub generation: u64,
}

/// The consequence of using a token of some generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The token is the newest. Replace it.
    Rotate,
    /// The token was replaced a moment ago. Return the same successor again.
    Repeat,
    /// The token was replaced earlier. End the session.
    Reused,
    /// The session has ended.
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
            authenticated_at: now,
            rotated_at: now,
            idle_until: now + IDLE,
            ends_at: now + LONGEST,
            generation: 0,
            token_digest: token.digest(),
            revoked_at: None,
            was_copied: false,
            user_agent: device.user_agent.map(|text| text.chars().take(256).collect()),
            address: device.address,
        }
    }

    /// Returns `true` if the session can be refreshed.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.idle_until && now < self.ends_at
    }

    /// The time at which the session ends if it is not used again.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.idle_until.min(self.ends_at)
    }

    /// Decides about a token of this `generation`.
    #[must_use]
    pub fn judge(&self, generation: u64, now: Timestamp) -> Verdict {
        match self.generation.checked_sub(generation) {
            _ if !self.is_open(now) => Verdict::Ended,
            Some(0) => Verdict::Rotate,
            Some(1) if now.since(self.rotated_at) <= OVERLAP => Verdict::Repeat,
            Some(_) => Verdict::Reused,
            // This cannot happen: the row of a token is written in one transaction with that of its session.
            None => Verdict::Ended,
        }
    }

    /// The session with `next` as its newest token.
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

    /// The key of the row.
    #[must_use]
    pub fn key(&self) -> key::Key {
        key::session(self.tenant, self.user, self.id)
    }

    /// The row. It is kept a little longer than the session, so that a late token is answered as ended and not as
    /// unknown.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn row(&self) -> Result<Row, Error> {
        Ok(Row::new(&self.key(), self)?.expires_at(self.ends_at + OVERLAP))
    }

    /// The row by which `token`, the newest of the chain, leads to the session. It is kept for the lifetime of the
    /// session and not of the token, because the reuse of a replaced token must be recognised.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn token_row(&self, token: &RefreshToken) -> Result<Row, Error> {
        let owner = TokenOwner {
            tenant: self.tenant,
            user: self.user,
            session: self.id,
            generation: self.generation,
        };
        Ok(Row::new(&key::lookup::refresh_token(token.expose()), &owner)?.expires_at(self.ends_at + OVERLAP))
    }

    /// The writes that replace the newest token by `next`, which `self` has as its newest. They are refused with
    /// [`ROTATION`] if another request was first.
    pub(crate) fn rotation(&self, next: &RefreshToken) -> Result<Transaction, Error> {
        let update = Update::of(&self.key())
            .set("generation", self.generation)
            .set("token_digest", &self.token_digest)
            .set("rotated_at", self.rotated_at)
            .set("idle_until", self.idle_until)
            .when(attribute("generation").equals(self.generation - 1))
            .when(attribute("revoked_at").is_absent());
        let token = Write::insert(self.token_row(next)?);
        Ok(Transaction::new().write(update).label(ROTATION).write(token).label(ROTATION))
    }

    /// The write that ends the session, unless it has been ended.
    pub(crate) fn revocation(&self, now: Timestamp) -> Update {
        Update::of(&self.key())
            .set("revoked_at", now)
            .when(exists())
            .when(attribute("revoked_at").is_absent())
    }
}

#[cfg(test)]
mod tests;
