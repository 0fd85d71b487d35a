//! Finding the hook of a token.

use sequent_core::{ApiError as _, Principal, TenantId, Timestamp, Via};
use sequent_identity::{Authority, token::HookToken};
use sequent_tables::{Update, exists, key};

use crate::{Error, Hook, HookRefusal, Hooks, hook::HookGrant};

/// A hook that a request with its token has reached.
#[derive(Debug, Clone)]
pub struct CalledHook {
    /// The tenant of the hook.
    pub tenant: TenantId,
    /// The hook as it was read.
    pub hook: Hook,
}

impl CalledHook {
    /// The caller in whose name the run is started.
    pub(crate) fn caller(&self) -> Principal {
        Principal {
            tenant: self.tenant,
            user: self.hook.user_id,
            session: None,
            api_key: None,
            scopes: self.hook.scopes(),
            via: Via::Bearer,
        }
    }
}

impl Hooks {
    /// Finds the hook with a token, if it starts runs.
    ///
    /// # Errors
    /// [`Error::UnknownToken`] if no hook has the token, the hook is disabled, its user's account was closed or suspended, or the
    /// API key with which it was made has ended.
    pub async fn called(&self, token: &str, now: Timestamp) -> Result<CalledHook, Error> {
        let token = HookToken::parse(token).ok_or(Error::UnknownToken)?;
        let digest = token.digest();
        let grant: Option<HookGrant> = self.store().get(&key::lookup::hook(&digest)).await?;
        let HookGrant { id, tenant } = grant.ok_or(Error::UnknownToken)?;
        let hook: Option<Hook> = self.store().get(&key::hook(tenant, id)).await?;
        let hook = hook.filter(|hook| hook.spec.enabled && hook.digest == digest);
        let hook = hook.ok_or(Error::UnknownToken)?;
        let authority = Authority { tenant, user: hook.user_id, api_key: hook.api_key };
        match authority.ended(self.store(), now).await? {
            None => Ok(CalledHook { tenant, hook }),
            Some(ended) => {
                tracing::info!(%tenant, hook = %hook.id, ?ended, "a hook was called whose authority has ended");
                Err(Error::UnknownToken)
            }
        }
    }

    /// Reads the hook again after a start has failed because it was changed.
    pub(crate) async fn called_again(&self, called: &CalledHook) -> Result<CalledHook, Error> {
        let hook: Option<Hook> = self.store().get(&key::hook(called.tenant, called.hook.id)).await?;
        let hook = hook.filter(|hook| hook.spec.enabled && hook.digest == called.hook.digest);
        hook.map(|hook| CalledHook { tenant: called.tenant, hook }).ok_or(Error::UnknownToken)
    }

    /// Records that a call of the hook was refused, for its owner. A failure to do so is logged only.
    pub async fn refused(&self, called: &CalledHook, error: &Error, now: Timestamp) {
        let refusal = HookRefusal::new(error.details().code, now);
        let update = Update::of(&key::hook(called.tenant, called.hook.id))
            .add("refusals", 1)
            .set("last_refusal", refusal)
            .when(exists());
        if let Err(error) = self.store().write_if(update).await {
            tracing::warn!(%error, hook = %called.hook.id, "could not record the refusal of a call; the hook does not show it");
        }
    }
}
