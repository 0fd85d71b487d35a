//! Closing an account for good. What it owns besides its credentials is deleted by the job that is enqueued with this:
//! `delete_account` of `shared/deletion`.

use sequent_core::{Principal, TenantId, Timestamp, UserId};
use sequent_tables::{Label, Retry, Row, Store, Transaction, Write, attribute, key};
use serde::{Deserialize, Serialize};

use crate::{Error, Identity, account::User, api_key::ApiKey};

/// The input of the job that deletes a closed account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDeletion {
    /// The tenant of the account.
    pub tenant_id: TenantId,
    /// The user who closed it.
    pub user_id: UserId,
    /// The time at which it was closed.
    pub closed_at: Timestamp,
}

impl AccountDeletion {
    /// The type of the job. It belongs to the deployment, because it deletes the jobs of the tenant.
    pub const TYPE: &'static str = "delete_account";

    /// Returns the job key: an account is deleted once.
    #[must_use]
    pub fn key(self) -> String {
        self.tenant_id.to_string()
    }
}

/// The row that a sign-in begins with.
const ADDRESS: Label = Label::new("address");

impl Identity {
    /// Closes the caller's account: no one can sign in to it, and its credentials are refused within
    /// [`TRUSTED`](crate::TRUSTED). `rows` enqueue the job that deletes the rest, in the same transaction.
    ///
    /// # Errors
    /// [`Error::NoSession`] for an API key, and [`Error::NotFound`] if the account was closed before.
    pub async fn close_account(
        &self,
        caller: &Principal,
        rows: Vec<Row>,
        now: Timestamp,
    ) -> Result<(), Error> {
        if caller.session.is_none() {
            return Err(Error::NoSession);
        }
        let user = self.user(caller.tenant, caller.user).await?.ok_or(Error::NotFound)?;
        let address = key::lookup::email(user.email.as_str());
        let close = Write::delete(&address).when(attribute("user").equals(user.id));
        let close = Transaction::new().write(close).label(ADDRESS);
        let transaction = rows.into_iter().map(Write::insert).fold(close, Transaction::write);
        match self.store.commit(transaction, Retry::BRIEF).await {
            Ok(()) => {}
            Err(cancelled) if cancelled.refused(ADDRESS) => return Err(Error::NotFound),
            Err(cancelled) => return Err(cancelled.into()),
        }
        // The job deletes them, too. Until it does, they must not work.
        self.end_sessions(user.tenant_id, user.id, None, now).await?;
        for key in self.every_api_key(user.tenant_id).await? {
            self.store.delete(&key.grant_key()).await?;
            self.forget_api_key(&key);
        }
        Ok(())
    }
}

/// Deletes the sessions of a user and the API keys of its tenant. A credential without a row is refused. The rows of
/// refresh tokens, which contain ids only, expire by themselves.
///
/// # Errors
/// If the table fails.
pub async fn delete_credentials(store: &Store, tenant: TenantId, user: UserId) -> Result<(), Error> {
    store.empty(key::sessions(tenant, user)).await?;
    let keys: Vec<ApiKey> = store.every(key::api_keys(tenant)).await?;
    for key in keys {
        store.delete(&key.grant_key()).await?;
        store.delete(&key::api_key(tenant, key.id)).await?;
    }
    Ok(())
}

/// Deletes the rows of a user and of its tenant, and the row that a sign-in begins with.
///
/// # Errors
/// If the table fails.
pub async fn delete_user(store: &Store, tenant: TenantId, user: UserId) -> Result<(), Error> {
    let row = key::user(tenant, user);
    if let Some(user) = store.get::<User>(&row).await? {
        // Another account may have the address by now.
        let own =
            Write::delete(&key::lookup::email(user.email.as_str())).when(attribute("user").equals(user.id));
        store.write_if(own).await?;
    }
    store.delete(&row).await?;
    Ok(store.delete(&key::tenant(tenant)).await?)
}
