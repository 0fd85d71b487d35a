//! API keys: credentials for programs, with the scopes their maker chose, good until revoked.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::types::AttributeValue;
use sequent_core::{ApiKeyId, Principal, Scopes, TenantId, Timestamp, UserId};
use sequent_tables::{Error as DataError, Page, PageRequest, Row, Transaction, classify, key};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Identity,
    audit::{Action, Entry},
    commit::commit,
    token::ApiKeyToken,
};

/// How long a process trusts what it read of a key: the longest a revoked key goes on working.
pub const TRUSTED: Duration = Duration::from_secs(5);
/// `last_used_at` is exact to this much: one write a minute and key, not one a request.
const TOUCHED: Duration = Duration::from_secs(60);
/// Keys a process remembers.
const REMEMBERED: usize = 1024;

/// A key as its tenant sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What its maker calls it.
    pub name: String,
    /// The beginning of the secret.
    pub prefix: String,
    /// What it allows.
    pub scopes: Scopes,
    /// Who made it.
    pub user: UserId,
    /// When.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// SHA-256 of the secret, by which its other row is found.
    digest: String,
}

/// The row found by the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The key.
    pub id: ApiKeyId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its maker.
    pub user: UserId,
    /// What it allows.
    pub scopes: Scopes,
}

/// What this process read of keys a moment ago.
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
    /// Makes a key for the caller. The token is in this answer and nowhere else.
    ///
    /// # Errors
    /// [`Error::ScopesExceeded`] when it would allow more than the caller may.
    pub async fn create_api_key(
        &self,
        maker: &Principal,
        name: String,
        scopes: Scopes,
        now: Timestamp,
    ) -> Result<(ApiKey, ApiKeyToken), Error> {
        if !scopes.is_within(maker.scopes) {
            return Err(Error::ScopesExceeded);
        }
        let token = ApiKeyToken::generate()?;
        let key = ApiKey {
            id: ApiKeyId::new(),
            name,
            prefix: token.display_prefix().to_owned(),
            scopes,
            user: maker.user,
            created_at: now,
            last_used_at: None,
            digest: token.digest(),
        };
        let grant = Grant { id: key.id, tenant: maker.tenant, user: maker.user, scopes };
        let entry = Entry {
            api_key: Some(key.id),
            session: maker.session,
            ..Entry::new(Action::ApiKeyCreated, maker.user, now)
        };
        let at = key::api_key(maker.tenant, key.id);
        let transaction = Transaction::new()
            .insert(&self.store, Row::new(&at, &key)?)
            .insert(&self.store, Row::new(&key::lookup::api_key(&key.digest), &grant)?)
            .insert(&self.store, entry.row(maker.tenant)?);
        commit(&self.store, transaction, &at).await?;
        Ok((key, token))
    }

    /// One page of a tenant's keys, newest first.
    ///
    /// # Errors
    /// When the table cannot be read.
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
        let entry = Entry {
            api_key: Some(id),
            session: caller.session,
            ..Entry::new(Action::ApiKeyRevoked, caller.user, now)
        };
        // Deleting is the same however often it happens, so a retry needs no witness but the entry's own fresh key.
        let transaction = Transaction::new()
            .delete(&self.store, &key::lookup::api_key(&found.digest))
            .delete(&self.store, &at)
            .insert(&self.store, entry.row(caller.tenant)?);
        commit(&self.store, transaction, &key::tenant(caller.tenant)).await?;
        self.recent.forget(&found.digest);
        Ok(())
    }

    /// What a key allows; `None` when there is no such key.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn api_key(&self, token: &ApiKeyToken, now: Timestamp) -> Result<Option<Grant>, Error> {
        let digest = token.digest();
        let seen = self.recent.get(&digest);
        if let Some(seen) = seen
            && seen.read.elapsed() < TRUSTED
        {
            return Ok(Some(seen.grant));
        }
        let read = Instant::now();
        let Some(grant) = self.store.get::<Grant>(&key::lookup::api_key(&digest)).await? else {
            self.recent.forget(&digest);
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

    /// Notes that a key is used, if nobody did within the minute. Whether it works is not the caller's concern.
    async fn touch(&self, grant: &Grant, now: Timestamp) {
        let text = |at: Timestamp| AttributeValue::S(at.to_string());
        let sent = self
            .store
            .client()
            .update_item()
            .table_name(&*self.store.tables().main)
            .set_key(Some(key::api_key(grant.tenant, grant.id).attributes()))
            .update_expression("SET last_used_at = :now")
            .condition_expression(
                "attribute_exists(pk) AND (attribute_not_exists(last_used_at) OR last_used_at < :before)",
            )
            .expression_attribute_values(":now", text(now))
            .expression_attribute_values(":before", text(now - TOUCHED))
            .send()
            .await;
        match sent.map_err(classify) {
            Ok(_) | Err(DataError::Conflict(_)) => {}
            Err(error) => tracing::warn!(error = %error, api_key = %grant.id, "last use of a key not noted"),
        }
    }
}
