//! The access token for a server that a user has signed in to, renewed before it expires and when it is refused.
//!
//! A refresh token may be used once, so one process renews a token at a time: it claims the row of the server first. The
//! others wait for what it stores.

use std::time::Duration;

use sequent_core::{TenantId, Timestamp};
use sequent_identity::Vault;
use sequent_tables::{Error as DataError, Key, Store, Update, attribute, key};
use sequent_tool::Guard;
use tokio::{sync::Mutex, time::sleep};

use crate::{
    Failure,
    oauth::{Exchange, TokenGrant, ended},
    server::Stored,
    sign_in::grant_purpose,
    web::Web,
};

/// Time for which a process may renew a token. A process that is lost meanwhile blocks the others for so long.
const CLAIM: Duration = Duration::from_secs(20);
/// Pause between two looks at the row, while another process renews the token.
const PAUSE: Duration = Duration::from_millis(250);
const LOOKS: usize = 100;

/// The tokens for one server.
pub(crate) struct Bearer {
    store: Store,
    vault: Vault,
    guard: Guard,
    web: Web,
    row: Key,
    purpose: String,
    held: Mutex<HeldGrant>,
}

/// A grant, and its sealed form in the row.
struct HeldGrant {
    sealed: String,
    grant: TokenGrant,
}

impl Bearer {
    /// Opens the tokens in the row of a server. Returns `None` if no user has signed in.
    pub(crate) async fn of(
        tenant: TenantId,
        stored: &Stored,
        store: &Store,
        vault: &Vault,
        guard: &Guard,
        web: &Web,
    ) -> Result<Option<Self>, crate::Error> {
        let Some(sealed) = stored.sealed_grant.clone() else { return Ok(None) };
        let purpose = grant_purpose(tenant, &stored.server);
        let grant = TokenGrant::open(&*vault.sealing_of(&sealed).await?, &sealed, &purpose)?;
        Ok(Some(Self {
            store: store.clone(),
            vault: vault.clone(),
            guard: guard.clone(),
            web: web.clone(),
            row: key::mcp_server(tenant, stored.server.name.as_str()),
            purpose,
            held: Mutex::new(HeldGrant { sealed, grant }),
        }))
    }

    /// Returns a token that is valid for some time.
    pub(crate) async fn token(&self) -> Result<String, Failure> {
        let mut held = self.held.lock().await;
        if !held.grant.is_fresh(Timestamp::now()) {
            self.renew(&mut held).await?;
        }
        Ok(held.grant.access_token.clone())
    }

    /// Returns the token in place of one that the server has refused.
    pub(crate) async fn after(&self, refused: &str) -> Result<String, Failure> {
        let mut held = self.held.lock().await;
        if held.grant.access_token == refused {
            self.renew(&mut held).await?;
        }
        Ok(held.grant.access_token.clone())
    }

    /// Replaces the held grant: by the one in the row, if it is another one, or by a renewed one.
    async fn renew(&self, held: &mut HeldGrant) -> Result<(), Failure> {
        for _ in 0..LOOKS {
            if self.adopt(held).await? {
                return Ok(());
            }
            let now = Timestamp::now();
            let is_free =
                attribute("renewing_until").is_none().or(attribute("renewing_until").is_below(now.millis()));
            let claim = Update::of(&self.row).set("renewing_until", (now + CLAIM).millis());
            let claim = claim.when(attribute("sealed_grant").equals(&held.sealed).and(is_free));
            match self.store.write(claim).await {
                Ok(_) => return self.renew_claimed(held, now).await,
                Err(DataError::Conflict(_)) => sleep(PAUSE).await,
                Err(error) => return Err(unavailable(&error)),
            }
        }
        Err(Failure::Unreached("The token for the server is being renewed. Try again.".into()))
    }

    /// Takes the grant in the row, if another process has stored one. Returns `false` if there is no other one.
    async fn adopt(&self, held: &mut HeldGrant) -> Result<bool, Failure> {
        let row: Option<Stored> = self.store.get(&self.row).await.map_err(|error| unavailable(&error))?;
        let sealed = row.and_then(|row| row.sealed_grant).ok_or_else(ended)?;
        if sealed == held.sealed {
            return Ok(false);
        }
        let keys = self.vault.sealing_of(&sealed).await.map_err(|error| unavailable(&error))?;
        let grant = TokenGrant::open(&keys, &sealed, &self.purpose)?;
        let is_fresh = grant.is_fresh(Timestamp::now());
        *held = HeldGrant { sealed, grant };
        Ok(is_fresh)
    }

    async fn renew_claimed(&self, held: &mut HeldGrant, now: Timestamp) -> Result<(), Failure> {
        let exchange = Exchange { guard: &self.guard, web: &self.web };
        let renewed = Box::pin(held.grant.renewed(exchange, now)).await;
        let release = Update::of(&self.row).remove("renewing_until");
        let is_current = attribute("sealed_grant").equals(&held.sealed);
        let (update, outcome) = match renewed {
            Ok(grant) => {
                let keys = self.vault.sealing().await.map_err(|error| unavailable(&error))?;
                let sealed = grant.seal(&keys, &self.purpose)?;
                let update = release.set("sealed_grant", &sealed).set("signed_in", true);
                *held = HeldGrant { sealed, grant };
                (update, Ok(()))
            }
            // The tenant sees that a user has to sign in again.
            Err(Failure::Refused(text)) => (release.set("signed_in", false), Err(Failure::Refused(text))),
            Err(failure) => (release, Err(failure)),
        };
        match self.store.write(update.when(is_current)).await {
            Ok(_) => outcome,
            // A user has signed in meanwhile, and those tokens stay. Or the server was removed.
            Err(DataError::Conflict(_)) => self.adopt(held).await.map(drop),
            Err(error) => {
                tracing::error!(%error, "could not store the renewed token of an MCP server; a user has to sign in again once it expires");
                outcome
            }
        }
    }
}

fn unavailable(error: &dyn std::error::Error) -> Failure {
    tracing::warn!(%error, "could not renew the token of an MCP server; its tools are missing");
    Failure::Unreached("The token for the server cannot be renewed now. Try again later.".into())
}
