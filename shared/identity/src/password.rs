//! Passwords: what is accepted, and the Argon2id hash that is kept of them.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use sequent_core::{ExposeSecret, SecretString};

mod guessable;

/// A password as somebody typed it; never shown, never stored.
#[derive(Clone)]
pub struct Password(SecretString);

/// Why a new password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// NIST SP 800-63B-4 section 3.1.1.2 asks for at least eight characters and for no rules of composition.
    #[error("a password has at least {} characters", Password::MIN_CHARS)]
    Short,
    /// The limit bounds what a caller can make us hash.
    #[error("a password has at most {} bytes", Password::MAX_BYTES)]
    Long,
    /// Among the passwords every guessing tool tries first, or the account's own address.
    #[error("this password is too easy to guess")]
    Common,
}

impl Password {
    /// Fewest characters of a new password.
    pub const MIN_CHARS: usize = 8;
    /// Most bytes of any password.
    pub const MAX_BYTES: usize = 1024;

    /// A password chosen for the account that signs in as `name`.
    ///
    /// # Errors
    /// [`Weakness`] when it is too short, too long or too well known.
    pub fn chosen(text: SecretString, name: &str) -> Result<Self, Weakness> {
        let plain = text.expose_secret();
        if plain.chars().count() < Self::MIN_CHARS {
            return Err(Weakness::Short);
        }
        let own_name = plain.eq_ignore_ascii_case(name)
            || name.split_once('@').is_some_and(|(local, _)| plain.eq_ignore_ascii_case(local));
        if own_name || guessable::is_guessable(plain) {
            return Err(Weakness::Common);
        }
        Self::presented(text)
    }

    /// A password presented at sign-in. Rules for new passwords do not apply: it is either right or wrong.
    ///
    /// # Errors
    /// [`Weakness::Long`], which no stored password can be.
    pub fn presented(text: SecretString) -> Result<Self, Weakness> {
        if text.expose_secret().len() > Self::MAX_BYTES { Err(Weakness::Long) } else { Ok(Self(text)) }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Cost of one hash. The default is the OWASP cheat sheet's second choice for Argon2id: 19 MiB, 2 passes, 1 lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

/// Hashing failed for a reason that is not the password's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configured cost is outside what Argon2 allows.
    #[error("the Argon2 parameters are out of range")]
    Cost(#[source] argon2::Error),
    /// Argon2 refused, or a stored hash is not one.
    #[error("a password hash could not be computed")]
    Hash(#[source] argon2::password_hash::Error),
    /// The random generator failed.
    #[error("no randomness was available")]
    Random,
    /// The blocking thread was lost.
    #[error("the hashing thread ended early")]
    Thread(#[from] tokio::task::JoinError),
}

/// Outcome of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Another password, or no such account.
    Wrong,
    /// The password.
    Right,
    /// The password, hashed with parameters that are no longer the configured ones: hash it anew.
    Outdated,
}

/// Hashes and compares passwords with one set of parameters, away from the threads that serve requests.
#[derive(Clone)]
pub struct Hasher {
    argon2: Argon2<'static>,
    params: Params,
    dummy: Arc<str>,
    computed: Arc<AtomicU64>,
}

impl Hasher {
    /// A hasher of this cost. Computes nothing yet: a cold start does not pay for a hash nobody asked for.
    ///
    /// # Errors
    /// [`Error::Cost`] when Argon2 does not allow the parameters.
    pub fn new(cost: Cost) -> Result<Self, Error> {
        let params =
            Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None).map_err(Error::Cost)?;
        // What an unknown account is compared with: a hash of these very parameters whose output nobody computed, so
        // that no password is known to match it.
        let dummy = format!(
            "$argon2id$v=19$m={},t={},p={}$c2VxdWVudC5ub2JvZHkuLg$1Gm3n0zXg2Wb7f0R3p5q4yY9s6hJkT8uVwQxLzAeBcE",
            cost.memory_kib, cost.iterations, cost.parallelism
        );
        PasswordHash::new(&dummy).map_err(|_| Error::Hash(argon2::password_hash::Error::Internal))?;
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone()),
            params,
            dummy: dummy.into(),
            computed: Arc::default(),
        })
    }

    /// The hash to keep, in PHC string format, with a fresh 16-byte salt.
    ///
    /// # Errors
    /// When hashing fails.
    pub async fn hash(&self, password: Password) -> Result<String, Error> {
        let mut salt = [0u8; 16];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut salt)
            .map_err(|_| Error::Random)?;
        let hasher = self.clone();
        tokio::task::spawn_blocking(move || {
            hasher.computed.fetch_add(1, Ordering::Relaxed);
            let plain = password.0.expose_secret().as_bytes();
            hasher
                .argon2
                .hash_password_with_salt(plain, &salt)
                .map(|hash| hash.to_string())
                .map_err(Error::Hash)
        })
        .await?
    }

    /// Compares with the stored hash. `None`, an unknown account, costs the same and is always [`Verdict::Wrong`].
    ///
    /// # Errors
    /// When hashing fails or `stored` is not a hash.
    pub async fn verify(&self, password: Password, stored: Option<&str>) -> Result<Verdict, Error> {
        let hasher = self.clone();
        let known = stored.is_some();
        let phc = stored.unwrap_or(&self.dummy).to_owned();
        tokio::task::spawn_blocking(move || {
            let hash =
                PasswordHash::new(&phc).map_err(|_| Error::Hash(argon2::password_hash::Error::Internal))?;
            hasher.computed.fetch_add(1, Ordering::Relaxed);
            // Compares in constant time (`phc::Output`'s equality).
            match hasher.argon2.verify_password(password.0.expose_secret().as_bytes(), &hash) {
                Ok(()) if !known => Ok(Verdict::Wrong),
                Ok(()) if Params::try_from(&hash).is_ok_and(|params| hasher.same_cost(&params)) => {
                    Ok(Verdict::Right)
                }
                Ok(()) => Ok(Verdict::Outdated),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(Verdict::Wrong),
                Err(error) => Err(Error::Hash(error)),
            }
        })
        .await?
    }

    /// How many Argon2 computations this hasher has made: what the cost of a sign-in is measured by.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    fn same_cost(&self, params: &Params) -> bool {
        (params.m_cost(), params.t_cost(), params.p_cost())
            == (self.params.m_cost(), self.params.t_cost(), self.params.p_cost())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("params", &self.params).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
