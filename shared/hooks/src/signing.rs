//! The secrets that requests to hooks are signed with.

use sequent_core::{HookId, SecretString, TenantId, Timestamp};
use sequent_identity::Vault;
use sequent_webhooks::signature::{SignedHeaders, SigningSecret, verify};

use crate::{CalledHook, Error};

/// The choice whether requests to a hook must be signed, as Standard Webhooks specifies.
#[derive(Debug, Clone, Default)]
pub enum HookSigning {
    /// The token is enough.
    #[default]
    None,
    /// Requests must be signed with a new secret.
    Generated,
    /// Requests must be signed with this secret, which the sender has issued.
    Given(SecretString),
}

impl HookSigning {
    /// Returns the secret, if requests must be signed.
    pub(crate) fn secret(&self) -> Result<Option<SigningSecret>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Generated => Ok(Some(SigningSecret::generate()?)),
            Self::Given(text) => SigningSecret::parse(text).map(Some).map_err(|_| Error::Secret),
        }
    }
}

impl CalledHook {
    /// Checks the signature of a request to the hook. `body` is the raw body. Returns the id of the message, or `None` if the
    /// hook demands no signature.
    ///
    /// # Errors
    /// [`Error::Unverified`], or if the secret cannot be read.
    pub async fn verify<'a>(
        &self,
        vault: &Vault,
        headers: SignedHeaders<'a>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Option<&'a str>, Error> {
        let Some(sealed) = &self.hook.sealed_secret else { return Ok(None) };
        let secret = open(vault, sealed, self.tenant, self.hook.id).await?;
        Ok(Some(verify(headers, body, [&secret], now)?))
    }
}

/// Seals a secret, as those of webhooks are sealed.
pub(crate) async fn seal(
    vault: &Vault,
    secret: &SigningSecret,
    tenant: TenantId,
    hook: HookId,
) -> Result<String, Error> {
    Ok(vault.sealing().await?.seal(&secret.text(), &purpose(tenant, hook))?)
}

async fn open(vault: &Vault, sealed: &str, tenant: TenantId, hook: HookId) -> Result<SigningSecret, Error> {
    let text = vault.sealing_of(sealed).await?.open(sealed, &purpose(tenant, hook))?;
    Ok(SigningSecret::parse(&text)?)
}

/// The purpose that the secret of a hook is sealed for.
fn purpose(tenant: TenantId, hook: HookId) -> String {
    format!("secret of hook {tenant}: {hook}")
}
