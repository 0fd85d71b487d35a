//! API keys: credentials for programs, with the scopes that their creator chose, valid until they expire or are revoked.

use std::time::{Duration, Instant};

use sequent_core::{ApiKeyId, Principal, Scopes, SessionId, TenantId, Timestamp, UserId};
use sequent_tables::{
    Key, Label, Page, PageRequest, Retry, Row, Transaction, Update, Write, attribute, exists, key,
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Identity,
    audit::{AuditAction, AuditEntry},
    recent::Recent,
    session::Session,
    token::ApiKeyToken,
};

/// The precision of `last_used_at`: one write per minute and key, not one per request.
const TOUCHED: Duration = Duration::from_secs(60);

/// The time for which an expired key is still listed.
const SHOWN_EXPIRED: Duration = Duration::from_secs(30 * 24 * 3600);

/// The check of the credential that creates a key.
const CREATOR: Label = Label::new("creator");

/// The row of a key in its tenant.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    /// The first characters of the secret.
    pub prefix: String,
    pub scopes: Scopes,
    /// The user who created the key.
    pub user: UserId,
    /// The session in which the key was created. A key that was created with another key has the session of that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    pub created_at: Timestamp,
    /// The time at which the key expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// The time of the last use, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// The SHA-256 of the secret, by which the other row is found.
    digest: String,
}

/// The row of a key that is found by its secret.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub id: ApiKeyId,
    pub tenant: TenantId,
    pub user: UserId,
    pub scopes: Scopes,
    /// The time at which the key expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
}

/// A key that is to be created.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone)]
pub struct NewApiKey {
    pub name: String,
    pub scopes: Scopes,
    /// The time at which the key expires.
    pub valid_until: Option<Timestamp>,
}

/// The credential with which a key is created.
struct Creator {
    /// Requires that it still exists. A process trusts a credential for some seconds, in which one that has ended must
    /// not create another.
    check: Write,
    session: Option<SessionId>,
    /// The time at which it expires. A key does not outlive the key that created it.
    valid_until: Option<Timestamp>,
}

impl Grant {
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.valid_until.is_none_or(|end| now < end)
    }
}

impl ApiKey {
    /// The row that is found by the secret. It is deleted when the key expires.
    pub(crate) fn grant_row(&self, tenant: TenantId) -> Result<Row, sequent_tables::Error> {
        let Self { id, user, scopes, valid_until, .. } = *self;
        let grant = Grant { id, tenant, user, scopes, valid_until };
        let row = Row::new(&self.grant_key(), &grant)?;
        Ok(match valid_until {
            Some(end) => row.expires_at(end),
            None => row,
        })
    }

    /// The key of the row that is found by the secret.
    pub(crate) fn grant_key(&self) -> Key {
        key::lookup::api_key(&self.digest)
    }
}

/// The keys that this process has read, by their digests.
pub(crate) type KnownKeys = Recent<String, Seen>;

/// A key as it was read.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    grant: Grant,
    touched: Instant,
}

impl Identity {
    /// Creates a key for the caller. The token is not stored, only its hash.
    ///
    /// # Errors
    /// [`Error::ScopesExceeded`] if the caller lacks one of the scopes. [`Error::InvalidCredential`] if the caller's
    /// session has ended or its key was revoked.
    pub async fn create_api_key(
        &self,
        caller: &Principal,
        new: NewApiKey,
        now: Timestamp,
    ) -> Result<(ApiKey, ApiKeyToken), Error> {
        if !new.scopes.is_within(caller.scopes) {
            return Err(Error::ScopesExceeded);
        }
        let Creator { check, session, valid_until } = self.creator(caller).await?;
        let token = ApiKeyToken::generate()?;
        let key = ApiKey {
            id: ApiKeyId::new(),
            name: new.name,
            prefix: token.display_prefix().to_owned(),
            scopes: new.scopes,
            user: caller.user,
            session,
            created_at: now,
            valid_until: new.valid_until.into_iter().chain(valid_until).min(),
            last_used_at: None,
            digest: token.digest(),
        };
        let entry = AuditEntry {
            api_key: Some(key.id),
            session: caller.session,
            ..AuditEntry::new(AuditAction::ApiKeyCreated, caller.user, now)
        };
        let row = Row::new(&key::api_key(caller.tenant, key.id), &key)?;
        let row = match key.valid_until {
            Some(end) => row.expires_at(end + SHOWN_EXPIRED),
            None => row,
        };
        let transaction = Transaction::new()
            .write(check)
            .label(CREATOR)
            .write(Write::insert(row))
            .write(Write::insert(key.grant_row(caller.tenant)?))
            .write(Write::insert(entry.row(caller.tenant)?));
        match self.store.commit(transaction, Retry::BRIEF).await {
            Ok(()) => Ok((key, token)),
            Err(cancelled) if cancelled.refused(CREATOR) => Err(Error::InvalidCredential),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    async fn creator(&self, caller: &Principal) -> Result<Creator, Error> {
        if let Some(session) = caller.session {
            let row = key::session(caller.tenant, caller.user, session);
            let check = Write::require(&row).when(attribute("revoked_at").is_absent());
            return Ok(Creator { check, session: Some(session), valid_until: None });
        }
        let id = caller.api_key.ok_or(Error::InvalidCredential)?;
        let parent: Option<ApiKey> = self.store.get(&key::api_key(caller.tenant, id)).await?;
        let parent = parent.ok_or(Error::InvalidCredential)?;
        let check = Write::require(&parent.grant_key());
        Ok(Creator { check, session: parent.session, valid_until: parent.valid_until })
    }

    /// Reads one page of a tenant's keys, newest first.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn api_keys(&self, request: &PageRequest) -> Result<Page<ApiKey>, Error> {
        Ok(self.store.page(request).await?)
    }

    /// Revokes a key of the caller's tenant. Every process refuses it within [`TRUSTED`](crate::TRUSTED).
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn revoke_api_key(
        &self,
        caller: &Principal,
        id: ApiKeyId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let found: Option<ApiKey> = self.store.get(&key::api_key(caller.tenant, id)).await?;
        let entry = AuditEntry {
            api_key: Some(id),
            session: caller.session,
            ..AuditEntry::new(AuditAction::ApiKeyRevoked, caller.user, now)
        };
        self.remove_api_key(caller.tenant, &found.ok_or(Error::NotFound)?, entry).await
    }

    /// Revokes the keys that go back to a session, because someone else has used the session.
    pub(crate) async fn revoke_api_keys_of(&self, session: &Session, now: Timestamp) -> Result<(), Error> {
        loop {
            let mut keys = self.every_api_key(session.tenant).await?;
            keys.retain(|key| key.session == Some(session.id));
            // Until it is revoked, a key may create others.
            if keys.is_empty() {
                return Ok(());
            }
            for key in &keys {
                let entry = AuditEntry {
                    api_key: Some(key.id),
                    session: Some(session.id),
                    ..AuditEntry::new(AuditAction::ApiKeyRevoked, session.user, now)
                };
                self.remove_api_key(session.tenant, key, entry).await?;
            }
        }
    }

    /// Forgets what this process has read of a key.
    pub(crate) fn forget_api_key(&self, key: &ApiKey) {
        self.keys.forget(&key.digest);
        self.missing.remove(&key.digest);
    }

    /// Reads all keys of a tenant.
    pub(crate) async fn every_api_key(&self, tenant: TenantId) -> Result<Vec<ApiKey>, Error> {
        Ok(self.store.every(key::api_keys(tenant)).await?)
    }

    async fn remove_api_key(&self, tenant: TenantId, key: &ApiKey, entry: AuditEntry) -> Result<(), Error> {
        let transaction = Transaction::new()
            .write(Write::delete(&key.grant_key()))
            .write(Write::delete(&key::api_key(tenant, key.id)))
            .write(Write::insert(entry.row(tenant)?));
        self.store.commit(transaction, Retry::BRIEF).await?;
        self.forget_api_key(key);
        Ok(())
    }

    /// Reads the grant of a key. Returns `None` if the key does not exist.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn api_key(&self, token: &ApiKeyToken, now: Timestamp) -> Result<Option<Grant>, Error> {
        let digest = token.digest();
        if let Some(seen) = self.keys.get(&digest) {
            return Ok(Some(seen.grant).filter(|grant| grant.is_valid(now)));
        }
        if self.missing.contains(&digest) {
            return Ok(None);
        }
        let read = Instant::now();
        let grant = self.store.get::<Grant>(&key::lookup::api_key(&digest)).await?;
        let Some(grant) = grant.filter(|grant| grant.is_valid(now)) else {
            self.keys.forget(&digest);
            self.missing.insert(digest);
            return Ok(None);
        };
        let touched = self.keys.latest(&digest).map(|seen| seen.touched);
        let touched = match touched.filter(|touched| touched.elapsed() < TOUCHED) {
            Some(touched) => touched,
            None => {
                self.touch(&grant, now).await;
                read
            }
        };
        self.keys.put(digest, read, Seen { grant, touched });
        Ok(Some(grant))
    }

    /// Returns `true` if the process knows without a read that the key exists or that it does not.
    pub(crate) fn knows_api_key(&self, token: &ApiKeyToken) -> bool {
        let digest = token.digest();
        self.keys.get(&digest).is_some() || self.missing.contains(&digest)
    }

    /// Records the use of a key, at most once a minute. A failure does not concern the request.
    async fn touch(&self, grant: &Grant, now: Timestamp) {
        let last_use = || attribute("last_used_at");
        let update = Update::of(&key::api_key(grant.tenant, grant.id))
            .set("last_used_at", now)
            .when(exists())
            .when(last_use().is_absent().or(last_use().is_below(now - TOUCHED)));
        if let Err(error) = self.store.write_if(update).await {
            tracing::warn!(error = %error, api_key = %grant.id, "could not record the last use of an API key");
        }
    }
}
