//! The authority for work that goes on without a request, such as the runs of a schedule.

use sequent_core::{ApiKeyId, TenantId, Timestamp, UserId};
use sequent_tables::{Store, key};

use crate::{Error, api_key::ApiKey, suspension::may_act};

/// The authority with which work goes on: the user of the request that asked for it, and the API key of that request.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority {
    pub tenant: TenantId,
    pub user: UserId,
    /// The API key of the request. `None` if the user was signed in: the work outlasts the session.
    pub api_key: Option<ApiKeyId>,
}

/// The part of an authority that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedAuthority {
    /// The account of the user was closed or suspended.
    User,
    /// The API key has expired or was revoked.
    ApiKey,
}

impl Authority {
    /// Returns the part that has ended at `now`. Returns `None` if the work may go on.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn ended(self, store: &Store, now: Timestamp) -> Result<Option<EndedAuthority>, Error> {
        let Self { tenant, user, api_key } = self;
        if !may_act(store, tenant, user).await? {
            return Ok(Some(EndedAuthority::User));
        }
        let Some(id) = api_key else { return Ok(None) };
        let key: Option<ApiKey> = store.get(&key::api_key(tenant, id)).await?;
        // An expired key is listed for some time.
        let is_valid = key.is_some_and(|key| key.valid_until.is_none_or(|end| now < end));
        Ok((!is_valid).then_some(EndedAuthority::ApiKey))
    }
}
