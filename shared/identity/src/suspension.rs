//! Suspending and reinstating an account, and discarding its counts of wrong passwords, by the operator.
//!
//! A suspended account has no session and cannot open one. The rows that lead from the secrets of its API keys are
//! deleted and come back when it is reinstated. Runs that execute already go on to their end.

use sequent_core::{TenantId, Timestamp, UserId};
use sequent_tables::{Label, Retry, Store, Transaction, Update, Write, attribute, exists, key};

use crate::{
    Error, Identity,
    account::{SignInRow, User},
    api_key::ApiKey,
    audit::{AuditAction, AuditEntry},
    email::Email,
};

/// The change of the row that a sign-in begins with.
const ROW: Label = Label::new("row");

/// An account as the operator sees it.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountStanding {
    pub user: User,
    /// The time at which the account was suspended.
    pub suspended_at: Option<Timestamp>,
}

impl Identity {
    /// Suspends the account with this address. Its sessions and keys are refused within [`TRUSTED`](crate::TRUSTED).
    /// Suspending it again ends what is left of an earlier attempt.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn suspend(&self, email: &Email, now: Timestamp) -> Result<AccountStanding, Error> {
        let row = self.sign_in_row(email).await?.ok_or(Error::NotFound)?;
        if row.suspended_at.is_none() {
            let suspend = Update::of(&key::lookup::email(email.as_str()))
                .set("suspended_at", now)
                .when(exists().and(attribute("suspended_at").is_absent()));
            self.change_account(&row, suspend, AuditAction::AccountSuspended, now).await?;
        }
        self.end_sessions(row.tenant, row.user, None, now).await?;
        self.disable_api_keys(&row).await?;
        self.account(&row, Some(row.suspended_at.unwrap_or(now))).await
    }

    /// Reinstates a suspended account. Its API keys work again within a minute. Its user signs in again.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn reinstate(&self, email: &Email, now: Timestamp) -> Result<AccountStanding, Error> {
        let row = self.sign_in_row(email).await?.ok_or(Error::NotFound)?;
        // The keys come first: the account is suspended until all of them are back, so a repeated call completes this.
        if row.suspended_at.is_some() {
            for key in self.api_keys_of(&row).await? {
                let restored = Transaction::new()
                    .write(Write::require(&key::api_key(row.tenant, key.id)))
                    .label(ROW)
                    .write(Write::put(key.grant_row(row.tenant)?));
                match self.store.commit(restored, Retry::BRIEF).await {
                    Ok(()) => self.forget_api_key(&key),
                    Err(cancelled) if cancelled.refused(ROW) => {} // the key was revoked meanwhile
                    Err(cancelled) => return Err(cancelled.into()),
                }
            }
            let reinstate =
                Update::of(&key::lookup::email(email.as_str())).remove("suspended_at").when(exists());
            self.change_account(&row, reinstate, AuditAction::AccountReinstated, now).await?;
        }
        self.account(&row, None).await
    }

    /// Discards the counts of wrong passwords of an account, also those of its devices.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn unlock(&self, email: &Email, now: Timestamp) -> Result<AccountStanding, Error> {
        let row = self.sign_in_row(email).await?.ok_or(Error::NotFound)?;
        let unlock = Update::of(&key::lookup::email(email.as_str())).add("unlocks", 1).when(exists());
        self.change_account(&row, unlock, AuditAction::PasswordUnlocked, now).await?;
        self.account(&row, row.suspended_at).await
    }

    /// Changes the row of an account and records it, in one transaction.
    async fn change_account(
        &self,
        row: &SignInRow,
        change: Update,
        action: AuditAction,
        now: Timestamp,
    ) -> Result<(), Error> {
        let entry = AuditEntry::new(action, row.user, now).row(row.tenant)?;
        let transaction = Transaction::new().write(change).label(ROW).write(Write::insert(entry));
        match self.store.commit(transaction, Retry::BRIEF).await {
            Ok(()) => Ok(()),
            Err(cancelled) if cancelled.refused(ROW) => Err(Error::Contended),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Deletes the rows that lead from the secrets to the keys. Until that is done, a key may create others, so this is
    /// repeated until no key is new.
    async fn disable_api_keys(&self, row: &SignInRow) -> Result<(), Error> {
        let mut disabled = 0;
        loop {
            let keys = self.api_keys_of(row).await?;
            if keys.len() <= disabled {
                return Ok(());
            }
            for key in &keys {
                self.store.delete(&key.grant_key()).await?;
                self.forget_api_key(key);
            }
            disabled = keys.len();
        }
    }

    async fn api_keys_of(&self, row: &SignInRow) -> Result<Vec<ApiKey>, Error> {
        let mut keys = self.every_api_key(row.tenant).await?;
        keys.retain(|key| key.user == row.user);
        Ok(keys)
    }

    async fn account(
        &self,
        row: &SignInRow,
        suspended_at: Option<Timestamp>,
    ) -> Result<AccountStanding, Error> {
        let user = self.user(row.tenant, row.user).await?.ok_or(Error::NotFound)?;
        Ok(AccountStanding { user, suspended_at })
    }
}

/// Returns `true` if the user may still act: neither the account nor the tenant has been closed, and it is not suspended.
/// For work that goes on in the name of a user without a request.
///
/// # Errors
/// If the table fails.
pub async fn may_act(store: &Store, tenant: TenantId, user: UserId) -> Result<bool, Error> {
    let Some(user) = store.get::<User>(&key::user(tenant, user)).await? else { return Ok(false) };
    let row: Option<SignInRow> = store.get(&key::lookup::email(user.email.as_str())).await?;
    Ok(row.is_some_and(|row| (row.tenant, row.user) == (tenant, user.id) && row.suspended_at.is_none()))
}
