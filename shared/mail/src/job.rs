//! `send_mail`: the job that makes a one-time token and sends it.

use std::{sync::Arc, time::Duration};

use sequent_core::Timestamp;
use sequent_identity::mail::{self, MailRequest};
use sequent_jobs::{Context, Done, Failed, JobKind};

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
}

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
        let letter = Letter::new(input.purpose, &input.origin, &token);
        match ses.send(user.email.as_str(), &letter).await {
            Ok(()) => Ok(Done::text("The mail was handed to SES.")),
            Err(error @ Error::Refused { .. }) => Err(Failed::Poison(error.to_string())),
            Err(error) => Err(Failed::retry(error)),
        }
    }
}
