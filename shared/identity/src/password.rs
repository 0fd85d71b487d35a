//! Passwords: the rules for new ones, and the Argon2id hash that is stored.

mod guessable;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use sequent_core::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;

/// A password in Unicode's normal form NFKC. It is never shown and never stored.
///
/// Keyboards and operating systems write the same characters in different ways, for example `ä` as one character or as
/// two. NIST SP 800-63B-4, section 3.1.1.2, asks for the normal form before a password is hashed.
#[derive(Clone)]
pub struct Password(SecretString);

/// The reason why a new password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// OWASP ASVS 5.0, 6.2.1, requires at least eight characters. There are no rules of composition.
    #[error("must have at least {} characters", Password::MIN_CHARS)]
    Short,
    /// The limit bounds the work of hashing.
    #[error("must have at most {} bytes", Password::MAX_BYTES)]
    Long,
    /// The password is common, a simple pattern, or derived from the address of the account.
    #[error("is too easy to guess; use several words that do not belong together")]
    Common,
}

impl Password {
    /// The shortest new password, in characters.
    pub const MIN_CHARS: usize = 8;
    /// The longest password, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// Checks a new password of the account with this address.
    ///
    /// # Errors
    /// [`Weakness`] if it is too short, too long or too easy to guess.
    pub fn chosen(text: SecretString, address: &str) -> Result<Self, Weakness> {
        let typed = text.expose_secret().chars().count();
        let password = Self::presented(text)?;
        let plain = password.0.expose_secret();
        // The normal form of one character can have several, and that of several one.
        if typed.min(plain.chars().count()) < Self::MIN_CHARS {
            return Err(Weakness::Short);
        }
        if guessable::is_guessable(plain, address) {
            return Err(Weakness::Common);
        }
        Ok(password)
    }

    /// A password of a sign-in. The rules for new passwords do not apply: it is either right or wrong.
    ///
    /// # Errors
    /// [`Weakness::Long`]. No account has such a password.
    pub fn presented(text: SecretString) -> Result<Self, Weakness> {
        let plain = text.expose_secret();
        if plain.len() > Self::MAX_BYTES {
            return Err(Weakness::Long);
        }
        let normal: String = plain.nfkc().collect();
        if normal.len() > Self::MAX_BYTES { Err(Weakness::Long) } else { Ok(Self(normal.into())) }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// The cost of one hash. The default is the second choice of the OWASP cheat sheet for Argon2id: 19 MiB, 2 passes,
/// 1 lane.
#[expect(missing_docs, reason = "plain data, named as in RFC 9106")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

/// Hashing failed, and not because of the password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configured cost is outside what Argon2 allows.
    #[error("the Argon2 parameters are out of range")]
    Cost(#[source] argon2::Error),
    /// Argon2 failed, or a stored hash is malformed.
    #[error("could not compute a password hash")]
    Hash(#[source] argon2::password_hash::Error),
    /// The random generator failed.
    #[error("the random generator failed")]
    Random,
    /// The blocking thread ended early.
    #[error("the hashing thread ended early")]
    Thread(#[from] tokio::task::JoinError),
}

/// The result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The password is another one, or the account does not exist.
    Wrong,
    /// The password is right.
    Right,
    /// The password is right, but was hashed with former parameters. Hash it again.
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
    /// A hasher with this cost. It computes nothing, so that a cold start does not pay for a hash.
    ///
    /// # Errors
    /// [`Error::Cost`] if Argon2 does not allow the parameters.
    pub fn new(cost: Cost) -> Result<Self, Error> {
        let params =
            Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None).map_err(Error::Cost)?;
        // An unknown account is compared with this hash of the same parameters. Its output was not computed from a
        // password, so no password is known to match it.
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

    /// Computes the hash to store, in PHC string format, with a new 16-byte salt.
    ///
    /// # Errors
    /// If hashing fails.
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

    /// Compares a password with the stored hash. `None`, an unknown account, costs the same and is always
    /// [`Verdict::Wrong`].
    ///
    /// # Errors
    /// If hashing fails or `stored` is not a hash.
    pub async fn verify(&self, password: Password, stored: Option<&str>) -> Result<Verdict, Error> {
        let hasher = self.clone();
        let known = stored.is_some();
        let phc = stored.unwrap_or(&self.dummy).to_owned();
        tokio::task::spawn_blocking(move || {
            let hash =
                PasswordHash::new(&phc).map_err(|_| Error::Hash(argon2::password_hash::Error::Internal))?;
            hasher.computed.fetch_add(1, Ordering::Relaxed);
            // The comparison takes constant time (equality of `phc::Output`).
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

    /// The number of hashes that this hasher has computed, by which tests measure the work of a sign-in.
    #[cfg(test)]
    pub(crate) fn computed(&self) -> u64 {
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
