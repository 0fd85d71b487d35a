//! The classes of requests and the number of each that is allowed.

use http::Method;
use sequent_core::InvalidSetting;

/// The class of a request. A route sets it with the layer `axum::Extension(Class::Chat)`. Without one, the method
/// decides between reading and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Limit for requests that read.
    Read,
    /// Limit for requests that write.
    Write,
    /// Requests that start a model, make a file, or connect to a server of the tenant.
    Chat,
    /// Attempts to sign up or in.
    Auth,
    /// Credentials that turned out to be wrong.
    Failure,
}

impl Class {
    /// The class of a route that does not name one.
    #[must_use]
    pub fn of(method: &Method) -> Self {
        if method.is_safe() { Self::Read } else { Self::Write }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Chat => "chat",
            Self::Auth => "auth",
            Self::Failure => "failure",
        }
    }

    /// Returns `true` if requests pass while the table cannot count them. Those that guess credentials or cost money do
    /// not.
    pub(super) const fn passes_uncounted(self) -> bool {
        matches!(self, Self::Read | Self::Write)
    }
}

/// Requests per minute for each class. Zero means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub(super) read: u32,
    pub(super) write: u32,
    pub(super) chat: u32,
    pub(super) auth: u32,
}

impl Limits {
    /// Settings without any limit.
    pub const NONE: Self = Self { read: 0, write: 0, chat: 0, auth: 0 };
    /// The limits of a deployment.
    pub const DEPLOYED: Self = Self { read: 1_200, write: 600, chat: 120, auth: 30 };
    /// The limits of the one-machine stack, which only end loops.
    pub const LOCAL: Self = Self { read: 60_000, write: 60_000, chat: 60_000, auth: 6_000 };

    /// Reads `read=1200,write=600,chat=120,auth=30`. A class that is left out keeps its value. A single number sets
    /// reads and writes.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a class is unknown or a number is malformed.
    pub fn overridden(mut self, text: &str) -> Result<Self, InvalidSetting> {
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (class, number) = part.split_once('=').unwrap_or(("", part));
            let number = number.trim().parse().map_err(|_| Self::invalid(part))?;
            match class.trim() {
                "" => {
                    self.read = number;
                    self.write = number;
                }
                "read" => self.read = number,
                "write" => self.write = number,
                "chat" => self.chat = number,
                "auth" => self.auth = number,
                _ => return Err(Self::invalid(part)),
            }
        }
        Ok(self)
    }

    fn invalid(part: &str) -> InvalidSetting {
        InvalidSetting::new("RATE_LIMIT_PER_MINUTE", part, "numbers for `read`, `write`, `chat` and `auth`")
    }

    /// An address may be wrong as often as it may try to sign in.
    pub(super) const fn per_minute(self, class: Class) -> u32 {
        match class {
            Class::Read => self.read,
            Class::Write => self.write,
            Class::Chat => self.chat,
            Class::Auth | Class::Failure => self.auth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_from_text() {
        let parse = |text| Limits::DEPLOYED.overridden(text);
        assert_eq!(parse(""), Ok(Limits::DEPLOYED));
        assert_eq!(parse("chat=5, auth = 7"), Ok(Limits { chat: 5, auth: 7, ..Limits::DEPLOYED }));
        assert_eq!(parse("90"), Ok(Limits { read: 90, write: 90, ..Limits::DEPLOYED }));
        assert!(parse("x=1").is_err() && parse("read=many").is_err());
    }
}
