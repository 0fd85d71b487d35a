//! API keys: credentials for programs, with the scopes that their creator chose, valid until revoked.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use sequent_core::{ApiKeyId, Principal, Scopes, TenantId, Timestamp, UserId};
use sequent_tables::{Page, PageRequest, Retry, Row, Transaction, Update, Write, attribute, exists, key};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Identity,
    audit::{Action, AuditEntry},
    token::ApiKeyToken,
};

/// The time for which a process trusts what it read of a key. A revoked key works at most this much longer.
pub const TRUSTED: Duration = Duration::from_secs(5);
/// The precision of `last_used_at`: one write per minute and key, not one per request.
const TOUCHED: Duration = Duration::from_secs(60);
/// The number of keys that a process remembers.
const REMEMBERED: usize = 1024;

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
    pub created_at: Timestamp,
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
}

/// The keys that this process read within the last seconds.
#[derive(Default)]
pub(crate) struct Recent(Mutex<HashMap<String, Seen>>);

#[derive(Clone, Copy)]
struct Seen {
    grant: Grant,
    read: Instant,
    touched: Instant,
}

impl Recent {
    fn get(&self, digest: &str) -> Option<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).copied()
    }

    fn put(&self, digest: String, seen: Seen) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= REMEMBERED {
            keys.retain(|_, seen| seen.read.elapsed() < TRUSTED);
        }
        if keys.len() < REMEMBERED {
            keys.insert(digest, seen);
        }
    }

    fn forget(&self, digest: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
    }
}

impl Identity {
    /// Creates a key for the caller. The token is not stored, only its hash.
    ///
    /// # Errors
    /// [`Error::ScopesExceeded`] if the caller lacks one of the scopes.
    pub async fn create_api_key(
        &self,
        caller: &Principal,
        name: String,
        scopes: Scopes,
        now: Timestamp,
    ) -> Result<(ApiKey, ApiKeyToken), Error> {
        if !scopes.is_within(caller.scopes) {
            return Err(Error::ScopesExceeded);
        }
        let token = ApiKeyToken::generate()?;
        let key = ApiKey {
            id: ApiKeyId::new(),
            name,
            prefix: token.display_prefix().to_owned(),
            scopes,
            user: caller.user,
            created_at: now,
            last_used_at: None,
            digest: token.digest(),
        };
        let grant = Grant { id: key.id, tenant: caller.tenant, user: caller.user, scopes };
        let entry = AuditEntry {
            api_key: Some(key.id),
            session: caller.session,
            ..AuditEntry::new(Action::ApiKeyCreated, caller.user, now)
        };
        let at = key::api_key(caller.tenant, key.id);
        let transaction = Transaction::new()
            .write(Write::insert(Row::new(&at, &key)?))
            .write(Write::insert(Row::new(&key::lookup::api_key(&key.digest), &grant)?))
            .write(Write::insert(entry.row(caller.tenant)?));
        self.store.commit(transaction, Retry::BRIEF).await?;
        Ok((key, token))
    }

    /// Reads one page of a tenant's keys, newest first.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn api_keys(&self, request: &PageRequest) -> Result<Page<ApiKey>, Error> {
        Ok(self.store.page(request).await?)
    }

    /// Revokes a key of the caller's tenant. Every process refuses it within [`TRUSTED`].
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn revoke_api_key(
        &self,
        caller: &Principal,
        id: ApiKeyId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let at = key::api_key(caller.tenant, id);
        let found: Option<ApiKey> = self.store.get(&at).await?;
        let found = found.ok_or(Error::NotFound)?;
        let entry = AuditEntry {
            api_key: Some(id),
            session: caller.session,
            ..AuditEntry::new(Action::ApiKeyRevoked, caller.user, now)
        };
        let transaction = Transaction::new()
            .write(Write::delete(&key::lookup::api_key(&found.digest)))
            .write(Write::delete(&at))
            .write(Write::insert(entry.row(caller.tenant)?));
        self.store.commit(transaction, Retry::BRIEF).await?;
        self.recent.forget(&found.digest);
        Ok(())
    }

    /// Reads the grant of a key. Returns `None` if the key does not exist.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn api_key(&self, token: &ApiKeyToken, now: Timestamp) -> Result<Option<Grant>, Error> {
        let digest = token.digest();
        let seen = self.recent.get(&digest);
        if let Some(seen) = seen
            && seen.read.elapsed() < TRUSTED
        {
            return Ok(Some(seen.grant));
        }
        if self.missing.contains(&digest) {
            return Ok(None);
        }
        let read = Instant::now();
        let Some(grant) = self.store.get::<Grant>(&key::lookup::api_key(&digest)).await? else {
            self.recent.forget(&digest);
            self.missing.insert(digest);
            return Ok(None);
        };
        let touched = match seen.map(|seen| seen.touched).filter(|touched| touched.elapsed() < TOUCHED) {
            Some(touched) => touched,
            None => {
                self.touch(&grant, now).await;
                read
            }
        };
        self.recent.put(digest, Seen { grant, read, touched });
        Ok(Some(grant))
    }

    /// Returns `true` if the process knows without a read that the key exists or that it does not.
    pub(crate) fn knows_api_key(&self, token: &ApiKeyToken) -> bool {
        let digest = token.digest();
        self.recent.get(&digest).is_some_and(|seen| seen.read.elapsed() < TRUSTED)
            || self.missing.contains(&digest)
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
