//! The hooks of all tenants in the table.

use sequent_core::{HookId, Principal, SecretString, TenantId, Timestamp};
use sequent_identity::{Vault, token::HookToken};
use sequent_tables::{
    Condition, Label, Retry, Row, Store, Transaction, Update, Write, attribute, exists, key,
};
use sequent_webhooks::signature::SigningSecret;
use serde::Deserialize;

use crate::{Error, Hook, HookChange, HookSigning, HookSpec, hook::HookGrant, signing::seal};

/// Hooks of a tenant at most.
pub const MAX_HOOKS: u32 = 20;
/// Attribute of the settings of webhooks that counts the hooks.
const COUNT: &str = "hooks";

const ROW: Label = Label::new("hook");
const ROOM: Label = Label::new("room");

/// The hooks of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct Hooks {
    store: Store,
    vault: Vault,
}

/// A hook with what is shown once.
#[derive(Debug)]
pub struct IssuedHook {
    #[expect(missing_docs, reason = "plain data")]
    pub hook: Hook,
    /// The token in the address of the hook.
    pub token: HookToken,
    /// The secret that requests must be signed with, if it is new.
    pub secret: Option<SigningSecret>,
}

impl Hooks {
    /// The hooks in `store`. Secrets are sealed with the key in `vault`.
    #[must_use]
    pub fn new(store: Store, vault: Vault) -> Self {
        Self { store, vault }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Creates a hook, if the tenant has room for it.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::Scope`], [`Error::Secret`], or when the table or the secret fails.
    pub async fn create(
        &self,
        caller: &Principal,
        spec: HookSpec,
        signing: HookSigning,
        now: Timestamp,
    ) -> Result<IssuedHook, Error> {
        spec.authorise(caller)?;
        let tenant = caller.tenant;
        let token = HookToken::generate()?;
        let secret = signing.secret()?;
        let mut hook = Hook::new(caller, spec, &token, now);
        hook.sealed_secret = self.sealed(tenant, hook.id, secret.as_ref()).await?;
        let has_room = attribute(COUNT).is_none().or(attribute(COUNT).is_below(MAX_HOOKS));
        let count = Update::of(&key::webhook_settings(tenant)).add(COUNT, 1).when(has_room);
        let transaction = Transaction::new()
            .write(Write::insert(Row::new(&key::hook(tenant, hook.id), &hook)?))
            .write(Write::insert(grant(tenant, &hook)?))
            .write(count)
            .label(ROOM);
        match self.store.commit(transaction, Retry::CONTENDED).await {
            Ok(()) => Ok(IssuedHook { hook, token, secret }),
            Err(cancelled) if cancelled.refused(ROOM) => Err(Error::TooMany),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Lists the hooks of a tenant, oldest first.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn list(&self, tenant: TenantId) -> Result<Vec<Hook>, Error> {
        Ok(self.store.every(key::hooks(tenant)).await?)
    }

    /// Reads a hook.
    ///
    /// # Errors
    /// [`Error::NotFound`], or when the table fails.
    pub async fn get(&self, tenant: TenantId, id: HookId) -> Result<Hook, Error> {
        self.store.get(&key::hook(tenant, id)).await?.ok_or(Error::NotFound)
    }

    /// Changes a hook. What its calls count meanwhile is kept.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Scope`], [`Error::Secret`], [`Error::SecretMissing`], [`Error::SecretUnused`],
    /// [`Error::Contended`], or when the table or the secret fails.
    pub async fn change(
        &self,
        caller: &Principal,
        id: HookId,
        change: &HookChange,
        now: Timestamp,
    ) -> Result<Hook, Error> {
        let tenant = caller.tenant;
        let mut tries = Retry::CONTENDED.tries();
        loop {
            let before = self.get(tenant, id).await?;
            let after = before.changed(change, caller, now)?;
            let sealed = self.changed_secret(tenant, &before, change).await?;
            let update = replacement(tenant, &before, &after).set("sealed_secret", sealed);
            if let Some(changed) = self.store.update_if(update).await? {
                return Ok(changed);
            }
            if !tries.pause().await {
                return Err(Error::Contended);
            }
        }
    }

    /// Gives a hook another token. The one before is unknown from then on. The runs are the caller's from now on: a credential
    /// gets no token for runs that may do more than itself.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Scope`], [`Error::Contended`], or when the table fails.
    pub async fn rotate(&self, caller: &Principal, id: HookId, now: Timestamp) -> Result<IssuedHook, Error> {
        let tenant = caller.tenant;
        let before = self.get(tenant, id).await?;
        before.spec.authorise(caller)?;
        let token = HookToken::generate()?;
        let mut hook = Hook {
            token_prefix: token.display_prefix().to_owned(),
            digest: token.digest(),
            revision: before.revision + 1,
            updated_at: now,
            ..before.clone()
        };
        hook.take_over(caller);
        let update = replacement(tenant, &before, &hook)
            .set("token_prefix", &hook.token_prefix)
            .set("digest", &hook.digest);
        let transaction = Transaction::new()
            .write(update)
            .label(ROW)
            .write(Write::delete(&key::lookup::hook(&before.digest)))
            .write(Write::insert(grant(tenant, &hook)?));
        match self.store.commit(transaction, Retry::CONTENDED).await {
            Ok(()) => Ok(IssuedHook { hook, token, secret: None }),
            Err(cancelled) if cancelled.refused(ROW) => Err(Error::Contended),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Deletes a hook. Its runs stay.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Contended`], or when the table fails.
    pub async fn delete(&self, tenant: TenantId, id: HookId) -> Result<(), Error> {
        let hook = self.get(tenant, id).await?;
        let count = Update::of(&key::webhook_settings(tenant)).add(COUNT, -1).when(exists());
        let transaction = Transaction::new()
            .write(Write::delete(&key::hook(tenant, id)).when(is_at(&hook)))
            .label(ROW)
            .write(Write::delete(&key::lookup::hook(&hook.digest)))
            .write(count);
        match self.store.commit(transaction, Retry::CONTENDED).await {
            Ok(()) => Ok(()),
            Err(cancelled) if cancelled.refused(ROW) => Err(Error::Contended),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// The sealed secret after a change. `None` if the hook demands no signatures then.
    async fn changed_secret(
        &self,
        tenant: TenantId,
        before: &Hook,
        change: &HookChange,
    ) -> Result<Option<String>, Error> {
        let is_signed = change.signed.unwrap_or(before.is_signed());
        match &change.secret {
            Some(_) if !is_signed => Err(Error::SecretUnused),
            Some(text) => {
                let secret = HookSigning::Given(SecretString::from(text.clone())).secret()?;
                self.sealed(tenant, before.id, secret.as_ref()).await
            }
            None if !is_signed => Ok(None),
            None if before.is_signed() => Ok(before.sealed_secret.clone()),
            None => Err(Error::SecretMissing),
        }
    }

    async fn sealed(
        &self,
        tenant: TenantId,
        id: HookId,
        secret: Option<&SigningSecret>,
    ) -> Result<Option<String>, Error> {
        match secret {
            Some(secret) => Ok(Some(seal(&self.vault, secret, tenant, id).await?)),
            None => Ok(None),
        }
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// Deletes all hooks of a tenant whose account is closed, with the rows that lead to them.
///
/// # Errors
/// If the table fails. Another call then goes on.
pub async fn delete_hooks(store: &Store, tenant: TenantId) -> Result<(), sequent_tables::Error> {
    // First the rows that lead to the others: without those, they would not be found again.
    for row in store.every::<FoundBy>(key::hooks(tenant)).await? {
        if let Some(digest) = row.digest {
            store.delete(&key::lookup::hook(&digest)).await?;
        }
    }
    store.empty(key::hooks(tenant)).await
}

/// The part of a hook's row that its deletion needs, so that a row of another form does not prevent it.
#[derive(Deserialize)]
struct FoundBy {
    #[serde(default)]
    digest: Option<String>,
}

/// The update of what people choose of a hook, if it is still as it was read. Counts of calls stay.
fn replacement(tenant: TenantId, before: &Hook, after: &Hook) -> Update {
    Update::of(&key::hook(tenant, before.id))
        .set("spec", &after.spec)
        .set("user_id", after.user_id)
        .set("scopes", after.scopes)
        .set("api_key", after.api_key)
        .set("updated_at", after.updated_at)
        .set("revision", before.revision + 1)
        .when(is_at(before))
}

/// Requires that no person has changed the hook since it was read.
fn is_at(hook: &Hook) -> Condition {
    exists().and(attribute("revision").equals(hook.revision))
}

fn grant(tenant: TenantId, hook: &Hook) -> Result<Row, sequent_tables::Error> {
    Row::new(&key::lookup::hook(&hook.digest), &HookGrant { id: hook.id, tenant })
}
