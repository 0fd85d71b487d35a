//! The settings of identity.

use std::time::Duration;

use sequent_core::setting::{self, InvalidSetting};

use crate::password::Cost;

/// The lifetimes of access tokens that are allowed, in seconds.
const ACCESS_TOKEN_TTL: std::ops::RangeInclusive<u32> = 60..=3600;

/// The settings of identity.
#[derive(Debug, Clone)]
pub struct Config {
    /// `ISSUER`: the issuer of the tokens. It is a name of the deployment and not an address of it, so tokens stay valid
    /// if the deployment gets a domain.
    pub issuer: String,
    /// `ACCESS_TOKEN_TTL_S`: the lifetime of an access token.
    pub access_token_ttl: Duration,
    /// `REAUTHENTICATE_AFTER_S`: the time after which a session must present its password again before it changes
    /// credentials or the account. Ten minutes are enough for a visit to the settings.
    pub reauthenticate_after: Duration,
    /// `ARGON2_MEMORY_KIB`, `ARGON2_ITERATIONS`, `ARGON2_PARALLELISM`: the cost of a password guess.
    pub password_cost: Cost,
}

impl Config {
    /// Reads the environment. A setting that is missing has a safe default.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a value is not allowed.
    pub fn from_env() -> Result<Self, InvalidSetting> {
        Self::read(setting::text)
    }

    fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSetting> {
        let number = |name: &str, default: u32| match get(name) {
            None => Ok(default),
            Some(text) => setting::parse(name, &text, "a number"),
        };
        let ttl = number("ACCESS_TOKEN_TTL_S", 900)?;
        if !ACCESS_TOKEN_TTL.contains(&ttl) {
            let allowed = "60 to 3600 seconds";
            return Err(InvalidSetting::new("ACCESS_TOKEN_TTL_S", ttl.to_string(), allowed));
        }
        let reauthenticate_after = number("REAUTHENTICATE_AFTER_S", 600)?;
        let cost = Cost::default();
        Ok(Self {
            issuer: get("ISSUER").unwrap_or_else(|| "urn:sequent".to_owned()),
            access_token_ttl: Duration::from_secs(ttl.into()),
            reauthenticate_after: Duration::from_secs(reauthenticate_after.into()),
            password_cost: Cost {
                memory_kib: number("ARGON2_MEMORY_KIB", cost.memory_kib)?,
                iterations: number("ARGON2_ITERATIONS", cost.iterations)?,
                parallelism: number("ARGON2_PARALLELISM", cost.parallelism)?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_safe_and_a_bad_value_is_named() {
        let read = |name: &'static str, value: &'static str| {
            Config::read(move |known| (known == name).then(|| value.to_owned()))
        };
        let config = read("ISSUER", "urn:sequent:chat").unwrap();
        assert_eq!(config.issuer, "urn:sequent:chat");
        assert_eq!((config.access_token_ttl.as_secs(), config.password_cost), (900, Cost::default()));
        assert_eq!(read("ARGON2_MEMORY_KIB", "65536").unwrap().password_cost.memory_kib, 65536);
        assert!(read("ARGON2_ITERATIONS", "two").unwrap_err().to_string().contains("ARGON2_ITERATIONS"));
        assert!(read("ACCESS_TOKEN_TTL_S", "86400").is_err());
    }
}
