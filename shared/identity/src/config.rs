//! The environment of identity.

use std::time::Duration;

use crate::password::Cost;

/// Settings of identity.
#[derive(Debug, Clone)]
pub struct Config {
    /// `PUBLIC_URL`: the address users see, which is the issuer of our tokens.
    pub public_url: String,
    /// `ACCESS_TOKEN_TTL_S`: how long an access token lives.
    pub access_token_ttl: Duration,
    /// `ARGON2_MEMORY_KIB`, `ARGON2_ITERATIONS`, `ARGON2_PARALLELISM`: the price of a password guess.
    pub password_cost: Cost,
}

impl Config {
    /// From the environment; what is not set has a safe default, and what cannot be read is an error.
    ///
    /// # Errors
    /// Names the variable.
    pub fn from_env() -> Result<Self, String> {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let number = |name: &str, default: u32| match get(name).filter(|text| !text.is_empty()) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("{name} is not a number: {text}")),
        };
        let cost = Cost::default();
        let public_url = get("PUBLIC_URL").unwrap_or_default();
        let ttl = number("ACCESS_TOKEN_TTL_S", 900)?;
        if !(60..=3600).contains(&ttl) {
            return Err(format!("ACCESS_TOKEN_TTL_S must be between 60 and 3600, not {ttl}"));
        }
        Ok(Self {
            public_url: if public_url.is_empty() { "http://localhost:8080".to_owned() } else { public_url },
            access_token_ttl: Duration::from_secs(ttl.into()),
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
    fn defaults_are_safe_and_nonsense_is_named() {
        let read = |name: &'static str, value: &'static str| {
            Config::read(move |asked| (asked == name).then(|| value.to_owned()))
        };
        let config = read("PUBLIC_URL", "https://chat.example").unwrap();
        assert_eq!((config.access_token_ttl.as_secs(), config.password_cost), (900, Cost::default()));
        assert_eq!(read("ARGON2_MEMORY_KIB", "65536").unwrap().password_cost.memory_kib, 65536);
        assert!(read("ARGON2_ITERATIONS", "two").unwrap_err().contains("ARGON2_ITERATIONS"));
        assert!(read("ACCESS_TOKEN_TTL_S", "86400").is_err());
    }
}
