//! The text of each mail.

use sequent_identity::mail::{MailPurpose, MailToken, NoticeSubject};

/// A mail without its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) subject: &'static str,
    pub(crate) text: String,
}

impl Letter {
    /// The mail with a token for this purpose. The link has the token in its fragment, which browsers send to no server.
    pub(crate) fn new(purpose: MailPurpose, origin: &str, token: &MailToken) -> Self {
        let token = token.expose();
        match purpose {
            MailPurpose::ResetPassword => Self {
                subject: "Reset your password",
                text: format!(
                    "A new password was requested for your account at {origin}.\n\n\
                     Choose one within 30 minutes at this address:\n\n\
                     {origin}/reset-password#token={token}\n\n\
                     If you did not request this, ignore this message. Your password stays as it is.\n"
                ),
            },
            MailPurpose::VerifyEmail => Self {
                subject: "Confirm your email address",
                text: format!(
                    "An account with this email address was created at {origin}.\n\n\
                     Confirm the address within 24 hours here:\n\n\
                     {origin}/verify-email#token={token}\n\n\
                     If you did not create the account, ignore this message.\n"
                ),
            },
        }
    }

    /// The mail with a notice. It has no link and no address of the webhook, which may contain a secret.
    pub(crate) fn of_notice(subject: &NoticeSubject) -> Self {
        let NoticeSubject::WebhookDisabled { webhook_id, is_gone } = subject;
        let reason = if *is_gone {
            "its receiver answered that it wants no more events (status 410)"
        } else {
            "none of its deliveries has succeeded for five days"
        };
        Self {
            subject: "A webhook was disabled",
            text: format!(
                "The webhook {webhook_id} was disabled, because {reason}. No events are sent to it any more.\n\n\
                 Correct the receiver, and enable the webhook again: PATCH /api/webhooks/{webhook_id} with \
                 {{\"enabled\": true}}. Its failed deliveries are listed for 30 days, and can be sent again.\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_has_its_link_once() {
        let token = MailToken::generate().unwrap();
        for (purpose, path) in
            [(MailPurpose::ResetPassword, "/reset-password"), (MailPurpose::VerifyEmail, "/verify-email")]
        {
            let letter = Letter::new(purpose, "https://chat.example", &token);
            let link = format!("\nhttps://chat.example{path}#token={}\n", token.expose());
            assert_eq!(letter.text.matches(&link).count(), 1, "{}", letter.text);
        }
    }
}
