//! The jobs that send mail: `send_mail` makes a one-time token and sends it, `send_notice` tells a user of an event.

use std::{sync::Arc, time::Duration};

use sequent_core::Timestamp;
use sequent_identity::{
    account::User,
    mail::{self, MailRequest, Notice},
};
use sequent_jobs::{Context, Done, Failed, JobKind};
use sequent_tables::key;

use crate::{
    letter::Letter,
    ses::{Error, Ses},
};

/// `send_mail`: sends a user a mail with a one-time token.
#[derive(Debug, Clone)]
pub struct SendMail(Option<Arc<Ses>>);

impl SendMail {
    /// Sends through `ses`. Without it, every job fails.
    #[must_use]
    pub fn new(ses: Option<Ses>) -> Self {
        Self(ses.map(Arc::new))
    }

    /// The job that sends notices in the same way.
    #[must_use]
    pub fn notices(&self) -> SendNotice {
        SendNotice(self.0.clone())
    }
}

/// `send_notice`: tells a user of an event that needs attention.
#[derive(Debug, Clone)]
pub struct SendNotice(Option<Arc<Ses>>);

impl JobKind for SendMail {
    const TYPE: &'static str = MailRequest::TYPE;
    const TIMEOUT: Duration = Duration::from_secs(60);
    type Input = MailRequest;

    fn key(_: &MailRequest) -> Option<String> {
        None
    }

    async fn run(&self, input: MailRequest, context: Context) -> Result<Done, Failed> {
        let ses = self.0.as_deref().ok_or_else(|| Failed::Poison("MAIL_FROM is not set".to_owned()))?;
        let issued = mail::issue(context.store(), &input, Timestamp::now()).await.map_err(Failed::retry)?;
        // The address was unknown when the mail was requested, or the account was deleted since.
        let Some((user, token)) = issued else { return Ok(Done::text("There is no account to write to.")) };
        send(ses, &user, &Letter::new(input.purpose, &input.origin, &token)).await
    }
}

impl JobKind for SendNotice {
    const TYPE: &'static str = Notice::TYPE;
    const TIMEOUT: Duration = Duration::from_secs(60);
    type Input = Notice;

    fn key(_: &Notice) -> Option<String> {
        None
    }

    async fn run(&self, input: Notice, context: Context) -> Result<Done, Failed> {
        let Some(ses) = self.0.as_deref() else { return Ok(Done::text("The deployment sends no mail.")) };
        let key = key::user(input.recipient.tenant_id, input.recipient.user_id);
        let user: Option<User> = context.store().get(&key).await.map_err(Failed::retry)?;
        // An address that is not verified may belong to a stranger, whom the account could flood.
        match user.filter(|user| user.email_verified_at.is_some()) {
            Some(user) => send(ses, &user, &Letter::of_notice(&input.subject)).await,
            None => Ok(Done::text("There is no account with a verified address to write to.")),
        }
    }
}

async fn send(ses: &Ses, user: &User, letter: &Letter) -> Result<Done, Failed> {
    match ses.send(user.email.as_str(), letter).await {
        Ok(()) => Ok(Done::text("The mail was handed to SES.")),
        Err(error @ Error::Refused { .. }) => Err(Failed::Poison(error.to_string())),
        Err(error) => Err(Failed::retry(error)),
    }
}
