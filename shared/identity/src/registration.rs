//! The rule by which a deployment accepts registrations.

use sequent_core::{SecretString, Timestamp, setting};

use crate::{
    Error, Identity,
    email::Email,
    invitation::{Invitation, InvitationKind},
};

/// The people who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationMode {
    /// Everyone, without an invitation.
    Open,
    /// People with an invitation.
    Invite,
    /// People with a setup code, which only the operator can create.
    Closed,
}

/// The permission to create one account.
#[derive(Debug, Clone)]
pub enum Admission {
    /// Everyone may register now.
    Open,
    /// The account uses up this invitation.
    Invited(Box<Invitation>),
}

impl RegistrationMode {
    /// Reads `REGISTRATION`. A missing setting is `closed`, the safe side.
    ///
    /// # Errors
    /// [`InvalidSetting`](setting::InvalidSetting) if it is another word.
    pub fn from_env() -> Result<Self, setting::InvalidSetting> {
        Self::parse(&setting::text("REGISTRATION").unwrap_or_default())
    }

    fn parse(text: &str) -> Result<Self, setting::InvalidSetting> {
        match text {
            "open" => Ok(Self::Open),
            "invite" => Ok(Self::Invite),
            "" | "closed" => Ok(Self::Closed),
            _ => Err(setting::InvalidSetting::new("REGISTRATION", text, "open, invite or closed")),
        }
    }
}

impl Identity {
    /// Decides whether an account with this address may be created. Nothing is written, and no password is hashed for a
    /// stranger before this.
    ///
    /// # Errors
    /// [`Error::RegistrationClosed`], [`Error::InvitationRequired`], [`Error::InvitationInvalid`], or an error of the table.
    pub async fn admit(
        &self,
        registration: RegistrationMode,
        code: Option<&SecretString>,
        email: &Email,
        now: Timestamp,
    ) -> Result<Admission, Error> {
        let code = match (registration, code) {
            (RegistrationMode::Open, _) => return Ok(Admission::Open),
            (RegistrationMode::Closed, None) => return Err(Error::RegistrationClosed),
            (RegistrationMode::Invite, None) => return Err(Error::InvitationRequired),
            (RegistrationMode::Invite | RegistrationMode::Closed, Some(code)) => code,
        };
        let invitation = Invitation::find(&self.store, code, email, now).await?;
        if registration == RegistrationMode::Closed && invitation.kind != InvitationKind::Setup {
            return Err(Error::RegistrationClosed);
        }
        Ok(Admission::Invited(Box::new(invitation)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_setting_is_closed_and_an_unknown_one_is_refused() {
        assert_eq!(RegistrationMode::parse(""), Ok(RegistrationMode::Closed));
        assert_eq!(RegistrationMode::parse("invite"), Ok(RegistrationMode::Invite));
        let error = RegistrationMode::parse("Open").unwrap_err().to_string();
        assert_eq!(
            error,
            "the environment variable REGISTRATION is `Open`, but must be open, invite or closed"
        );
    }
}
