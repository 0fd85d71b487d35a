//! Secrets that do not change and come from one seed, for tests and tools.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hkdf;
use sequent_aws::OriginSecret;
use sequent_core::{ExposeSecret, SecretString, Timestamp};
use serde::Deserialize;

use super::{
    AdminKey, Error, PipelineSecret, SealingKeys, pipeline::PipelineDocument, sealing::SealingDocument,
};
use crate::signing::{KeyRing, stored::SigningDocument};

/// The JSON of the secrets: a seed, and values that replace those that are derived from it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeedDocument {
    seed: SecretString,
    csrf_key: Option<String>,
    origin_secret: Option<SecretString>,
    admin_key: Option<SecretString>,
}

/// All secrets of one seed.
pub(super) struct SeededSecrets {
    pub(super) signing: KeyRing,
    pub(super) pipeline: PipelineSecret,
    pub(super) sealing: SealingKeys,
    pub(super) admin: AdminKey,
    pub(super) origin: Option<OriginSecret>,
}

impl TryFrom<SeedDocument> for SeededSecrets {
    type Error = Error;

    fn try_from(document: SeedDocument) -> Result<Self, Error> {
        let derived = |purpose: &[u8]| derive(&document.seed, purpose);
        let begin = Timestamp::from_millis(0);
        let signing = SigningDocument::of(&derived(b"signing"), &derived(b"succession"), begin)?;
        let pipeline = PipelineDocument {
            public_keys: signing.public_keys()?,
            csrf_key: document.csrf_key.unwrap_or_else(|| STANDARD.encode(derived(b"csrf"))),
            cursor_key: STANDARD.encode(derived(b"cursor")),
        };
        let sealing = SealingDocument { keys: vec![STANDARD.encode(derived(b"sealing"))] };
        let origin = document.origin_secret.filter(|secret| !secret.expose_secret().is_empty());
        Ok(Self {
            signing: signing.try_into()?,
            pipeline: pipeline.try_into()?,
            sealing: sealing.try_into()?,
            admin: AdminKey::new(document.admin_key)?,
            origin: origin.map(|secret| [secret].into_iter().collect()),
        })
    }
}

/// Derives 32 bytes for one purpose (HKDF-SHA-256, RFC 5869).
fn derive(seed: &SecretString, purpose: &[u8]) -> [u8; 32] {
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"sequent").extract(seed.expose_secret().as_bytes());
    let mut bytes = [0; 32];
    extracted
        .expand(&[purpose], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(&mut bytes))
        .expect("32 bytes are within HKDF-SHA-256's limit of 8160");
    bytes
}
