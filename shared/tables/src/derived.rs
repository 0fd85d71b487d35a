//! Ids that are derived instead of drawn, so that a step that is repeated makes the same row again.

use sha2::{Digest, Sha256};

/// Bits of an id that hold its time; the rest is random in an id that is drawn (ULID, 48 and 80 bits).
const RANDOM_BITS: u32 = 80;

/// Returns the bits of an id that depends on `seed` alone and sorts together with the id `sorts_with`.
///
/// ```
/// # use sequent_core::{ArtifactId, RunId};
/// # let run = RunId::new();
/// let artifact = ArtifactId::from_bits(sequent_tables::derived_id(run.bits(), "call 1"));
/// assert_eq!(artifact.created_at(), run.created_at());
/// ```
#[must_use]
pub fn derived_id(sorts_with: u128, seed: impl AsRef<[u8]>) -> u128 {
    let digest = Sha256::digest(seed.as_ref());
    let (head, _) = digest.split_first_chunk::<16>().expect("a SHA-256 digest has 32 bytes");
    let random = u128::from_be_bytes(*head) & ((1 << RANDOM_BITS) - 1);
    derived_id_start(sorts_with) | random
}

/// Returns the lower bound of the ids that sort together with the id `sorts_with`.
#[must_use]
pub fn derived_id_start(sorts_with: u128) -> u128 {
    sorts_with >> RANDOM_BITS << RANDOM_BITS
}

/// As [`derived_id`], for an id that sorts by a time in milliseconds.
#[must_use]
pub fn derived_id_at(millis: i64, seed: impl AsRef<[u8]>) -> u128 {
    let time = u128::try_from(millis).unwrap_or(0) << RANDOM_BITS;
    derived_id(time, seed)
}

#[cfg(test)]
mod tests {
    use sequent_core::{ArtifactId, RunId, Timestamp};

    use super::*;

    #[test]
    fn a_derived_id_depends_on_its_seed_and_sorts_with_its_origin() {
        let run = RunId::from_bits(5 << 80 | 1);
        let id = |seed: &str| ArtifactId::from_bits(derived_id(run.bits(), seed));
        assert_eq!(id("call 1"), id("call 1"));
        assert_ne!(id("call 1"), id("call 2"));
        assert_eq!(id("call 1").created_at(), run.created_at());
        let at = Timestamp::from_millis(5);
        assert_eq!(derived_id_at(at.millis(), "call 1"), id("call 1").bits());
    }

    /// Stored rows have these ids: the derivation must not change.
    #[test]
    fn the_derivation_is_fixed() {
        assert_eq!(derived_id(5 << 80, "abc"), 0x0005_cfea_4141_40de_5dae_2223);
    }
}
