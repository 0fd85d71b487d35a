//! One-time tokens that are sent by mail: to verify an address, and to replace a forgotten password. Also notices by mail, which
//! have no token.
//!
//! A token is stored as a hash, expires, and is used once: it is deleted in the transaction of its effect. Requests do the
//! same work for unknown addresses as for known ones, and an address gets few mails an hour.

use std::time::Duration;

use sequent_core::{TenantId, TenantTrust, Timestamp, UserId, WebhookId};
use sequent_tables::{Label, Retry, Row, Store, Transaction, Update, Write, attribute, exists, key};
use serde::{Deserialize, Serialize};

pub use crate::token::MailToken;
use crate::{
    Error, Identity,
    account::User,
    audit::{AuditAction, AuditEntry},
    device::DeviceToken,
    email::Email,
    password::Password,
};

/// Mails of one purpose that an address gets in an hour, so that no one can flood it.
const MAILS_PER_HOUR: u32 = 3;
const HOUR: Duration = Duration::from_secs(3600);

/// The write that uses a token up.
const TOKEN: Label = Label::new("token");
/// The change of the account.
const ACCOUNT: Label = Label::new("account");

/// The effect of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailPurpose {
    /// The address is verified.
    VerifyEmail,
    /// The password is replaced.
    ResetPassword,
}

/// The input of the job that sends a mail. It contains no address.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailRequest {
    pub purpose: MailPurpose,
    /// The origin that the link in the mail leads to.
    pub origin: String,
    /// `None` if there is no account to write to. The job then does nothing.
    pub recipient: Option<Recipient>,
}

/// The account that a mail is sent to.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    pub tenant_id: TenantId,
    pub user_id: UserId,
}

/// The input of the job that tells a user of an event that needs attention. It contains no address.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub recipient: Recipient,
    pub subject: NoticeSubject,
}

/// The event that a notice tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeSubject {
    /// The service has disabled a webhook.
    WebhookDisabled {
        /// The webhook that receives nothing any more.
        webhook_id: WebhookId,
        /// The receiver wants no more events. Otherwise its deliveries have failed for days.
        is_gone: bool,
    },
}

/// The row of a token.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct MailTokenRow {
    tenant: TenantId,
    user: UserId,
    purpose: MailPurpose,
    /// The time at which the token expires, in milliseconds.
    valid_until: i64,
}

impl MailPurpose {
    /// The lifetime of a token.
    const fn lifetime(self) -> Duration {
        match self {
            Self::VerifyEmail => Duration::from_secs(24 * 3600),
            Self::ResetPassword => Duration::from_secs(30 * 60),
        }
    }
}

impl MailRequest {
    /// The type of the job. It belongs to the deployment, so that a tenant does not see who asks for its passwords.
    pub const TYPE: &'static str = "send_mail";
}

impl Notice {
    /// The type of the job. It belongs to the deployment, as those of other mails.
    pub const TYPE: &'static str = "send_notice";
}

/// Makes the token of a mail. Returns `None` if there is no account to write to.
///
/// # Errors
/// If the table or the random generator fails.
pub async fn issue(
    store: &Store,
    request: &MailRequest,
    now: Timestamp,
) -> Result<Option<(User, MailToken)>, Error> {
    let Some(Recipient { tenant_id: tenant, user_id: user }) = request.recipient else { return Ok(None) };
    let Some(found) = store.get::<User>(&key::user(tenant, user)).await? else { return Ok(None) };
    let token = MailToken::generate()?;
    let end = now + request.purpose.lifetime();
    let row = MailTokenRow { tenant, user, purpose: request.purpose, valid_until: end.millis() };
    let row = Row::new(&key::lookup::mail_token(token.expose()), &row)?.expires_at(end);
    store.write(Write::insert(row)).await?;
    Ok(Some((found, token)))
}

impl Identity {
    /// The mail with which the owner of an address may replace the password. Returns `None` if the address has been sent
    /// enough of them.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn request_password_reset(
        &self,
        email: &Email,
        origin: &str,
        now: Timestamp,
    ) -> Result<Option<MailRequest>, Error> {
        let purpose = MailPurpose::ResetPassword;
        if !self.may_send(email, purpose, now).await? {
            return Ok(None);
        }
        let row = self.sign_in_row(email).await?.filter(|row| row.suspended_at.is_none());
        let recipient = row.map(|row| Recipient { tenant_id: row.tenant, user_id: row.user });
        Ok(Some(MailRequest { purpose, origin: origin.to_owned(), recipient }))
    }

    /// The mail with which a user verifies the address. Returns `None` if it was sent enough of them, or is verified.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn request_verification(
        &self,
        user: &User,
        origin: &str,
        now: Timestamp,
    ) -> Result<Option<MailRequest>, Error> {
        let purpose = MailPurpose::VerifyEmail;
        if user.email_verified_at.is_some() || !self.may_send(&user.email, purpose, now).await? {
            return Ok(None);
        }
        let recipient = Some(Recipient { tenant_id: user.tenant_id, user_id: user.id });
        Ok(Some(MailRequest { purpose, origin: origin.to_owned(), recipient }))
    }

    /// Notes that the owner of a token receives mail at the address of the account.
    ///
    /// # Errors
    /// [`Error::InvalidMailToken`].
    pub async fn verify_email(&self, token: &MailToken, now: Timestamp) -> Result<(), Error> {
        let row = self.mail_token(token, MailPurpose::VerifyEmail, now).await?;
        let entry = AuditEntry::new(AuditAction::EmailVerified, row.user, now);
        let transaction =
            verified(use_up(token, now), &row, now).write(Write::insert(entry.row(row.tenant)?));
        self.commit_mail(transaction).await
    }

    /// Returns the user whose password a token may replace.
    ///
    /// # Errors
    /// [`Error::InvalidMailToken`].
    pub async fn user_of_reset(&self, token: &MailToken, now: Timestamp) -> Result<User, Error> {
        let row = self.mail_token(token, MailPurpose::ResetPassword, now).await?;
        self.user(row.tenant, row.user).await?.ok_or(Error::InvalidMailToken)
    }

    /// Replaces a forgotten password, ends all sessions, and discards the counts of wrong passwords. Returns the token of
    /// the device, which has proved to belong to the owner of the address.
    ///
    /// # Errors
    /// [`Error::InvalidMailToken`], also if the account is suspended.
    pub async fn reset_password(
        &self,
        token: &MailToken,
        password: Password,
        now: Timestamp,
    ) -> Result<DeviceToken, Error> {
        let row = self.mail_token(token, MailPurpose::ResetPassword, now).await?;
        let user = self.user(row.tenant, row.user).await?.ok_or(Error::InvalidMailToken)?;
        let password_hash = self.hasher.hash(password).await?;
        let entry = AuditEntry::new(AuditAction::PasswordReset, user.id, now);
        let replace = Update::of(&key::lookup::email(user.email.as_str()))
            .set("password_hash", password_hash)
            .add("unlocks", 1)
            .when(attribute("user").equals(user.id))
            .when(attribute("suspended_at").is_absent());
        let transaction = verified(use_up(token, now).write(replace).label(ACCOUNT), &row, now)
            .write(Write::insert(entry.row(row.tenant)?));
        self.commit_mail(transaction).await?;
        self.end_sessions(row.tenant, row.user, None, now).await?;
        Ok(DeviceToken::issue(self.vault.signing().await?.succession(), &user.email)?)
    }

    async fn commit_mail(&self, transaction: Transaction) -> Result<(), Error> {
        match self.store.commit(transaction, Retry::BRIEF).await {
            Ok(()) => Ok(()),
            Err(cancelled) if cancelled.refused(TOKEN) || cancelled.refused(ACCOUNT) => {
                Err(Error::InvalidMailToken)
            }
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    async fn mail_token(
        &self,
        token: &MailToken,
        purpose: MailPurpose,
        now: Timestamp,
    ) -> Result<MailTokenRow, Error> {
        let row: Option<MailTokenRow> = self.store.get(&key::lookup::mail_token(token.expose())).await?;
        let row = row.filter(|row| row.purpose == purpose && now.millis() < row.valid_until);
        row.ok_or(Error::InvalidMailToken)
    }

    /// Counts a mail to an address that need not belong to an account. Returns `false` if it has been sent enough.
    async fn may_send(&self, email: &Email, purpose: MailPurpose, now: Timestamp) -> Result<bool, Error> {
        let hour = now.seconds() / i64::try_from(HOUR.as_secs()).unwrap_or(i64::MAX);
        let counted = key::lookup::throttle("mail", &format!("{}\n{purpose:?}\n{hour}", email.as_str()));
        let count = Update::of(&counted)
            .add("sent", 1)
            .expires_at(now + 2 * HOUR)
            .when(attribute("sent").is_absent().or(attribute("sent").is_below(MAILS_PER_HOUR)));
        Ok(self.store.write_if(count).await?)
    }
}

/// Begins the transaction of a token's effect. Of several requests with the token, one is committed.
fn use_up(token: &MailToken, now: Timestamp) -> Transaction {
    let delete = Write::delete(&key::lookup::mail_token(token.expose()))
        .when(attribute("valid_until").is_above(now.millis()));
    Transaction::new().write(delete).label(TOKEN)
}

/// Notes that the user receives mail at the address, so that the tenant is trusted from now on.
fn verified(transaction: Transaction, row: &MailTokenRow, now: Timestamp) -> Transaction {
    let user = Update::of(&key::user(row.tenant, row.user)).set_if_absent("email_verified_at", now);
    let tenant = Update::of(&key::tenant(row.tenant)).set(TenantTrust::ATTRIBUTE, TenantTrust::Trusted);
    let transaction = transaction.write(user.when(exists())).label(ACCOUNT);
    transaction.write(tenant.when(exists())).label(ACCOUNT)
}
