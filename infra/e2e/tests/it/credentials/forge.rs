//! A forge of tokens, also with the deployment's own key.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use sequent_tables::SecretName;
use serde_json::{Value, json};

use crate::{surface::Person, system::System};

/// The order of the group that Ed25519 signs in, little-endian (RFC 8032 section 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// A forger with a valid token, the published key and a key of its own. It also has the deployment's private
/// key, so that a wrong claim is refused for itself and not for its signature.
pub(super) struct Forge {
    ours: Ed25519KeyPair,
    attackers: Ed25519KeyPair,
    /// The token of the attacked user.
    pub(super) token: String,
    pub(super) header: Value,
    pub(super) claims: Value,
    /// The published signing key.
    jwk: Value,
}

impl Forge {
    pub(super) async fn of(system: &System, person: &Person) -> Self {
        let jwks = person.get("/.well-known/jwks.json").await;
        let forge = Self {
            ours: signing_key(system).await,
            attackers: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap(),
            token: person.token.clone(),
            header: part(&person.token, 0),
            claims: part(&person.token, 1),
            jwk: jwks["keys"][0].clone(),
        };
        assert_eq!(
            forge.jwk["x"],
            x(&forge.ours),
            "the key tokens are signed with is the one that is published"
        );
        assert_eq!(forge.jwk["kid"], forge.header["kid"]);
        forge
    }

    /// Signs with the deployment's key.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        signed(&self.ours, header, claims)
    }

    /// Signs with the forger's own key.
    pub(super) fn attacker_sign(&self, header: &Value, claims: &Value) -> String {
        signed(&self.attackers, header, claims)
    }

    /// Returns the public half of the forger's key.
    pub(super) fn attackers_jwk(&self, kid: &Value) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "x": x(&self.attackers), "kid": kid})
    }

    /// Computes an HMAC under a secret that is public.
    pub(super) fn mac(&self, header: &Value, secret: &[u8]) -> String {
        let algorithm = match header["alg"].as_str() {
            Some("HS384") => hmac::HMAC_SHA384,
            Some("HS512") => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        let message = unsigned(header, &self.claims);
        let tag = hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Returns the published key in every form that a library may mistake for an HMAC secret.
    pub(super) fn public_secrets(&self) -> Vec<(&'static str, Vec<u8>)> {
        let x = self.jwk["x"].as_str().unwrap();
        let raw = URL_SAFE_NO_PAD.decode(x).unwrap();
        // SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 section 4).
        let spki =
            [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00][..], &raw].concat();
        let base64 = STANDARD.encode(&spki);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----");
        vec![
            ("raw", raw.clone()),
            ("base64url", x.into()),
            ("base64", STANDARD.encode(&raw).into()),
            ("hex", raw.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()),
            ("DER", spki),
            ("DER in base64", base64.into()),
            ("PEM", pem.clone().into()),
            ("PEM and a newline", format!("{pem}\n").into()),
            ("PEM with CRLF", pem.replace('\n', "\r\n").into()),
            ("JWK", self.jwk.to_string().into()),
            ("kid", self.jwk["kid"].as_str().unwrap().into()),
            ("nothing", Vec::new()),
        ]
    }

    /// Returns the encoded header and claims of the token.
    pub(super) fn message(&self) -> &str {
        self.token.rsplit_once('.').unwrap().0
    }

    /// Returns the encoded signature of the token.
    pub(super) fn signature(&self) -> &str {
        self.token.rsplit_once('.').unwrap().1
    }

    /// Returns the token with a changed signature.
    pub(super) fn resigned(&self, change: impl Fn(&mut Vec<u8>)) -> String {
        let mut signature = URL_SAFE_NO_PAD.decode(self.signature()).unwrap();
        change(&mut signature);
        format!("{}.{}", self.message(), URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Adds the group's order to the second half of a signature. It still satisfies the equation, so a verifier
/// without the range check of RFC 8032 section 5.1.7 accepts it.
pub(super) fn malleated(signature: &mut [u8]) {
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}

pub(super) fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

pub(super) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header), encode(claims))
}

pub(super) fn part(token: &str, index: usize) -> Value {
    let text = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

fn signed(key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let message = unsigned(header, claims);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes())))
}

fn x(key: &Ed25519KeyPair) -> String {
    URL_SAFE_NO_PAD.encode(key.public_key())
}

/// Reads the signing key of the deployment.
async fn signing_key(system: &System) -> Ed25519KeyPair {
    let document: Value = system.secrets().get(SecretName::Signing).await.unwrap().unwrap();
    let der = STANDARD.decode(document["keys"][0]["private_key"].as_str().unwrap()).unwrap();
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap()
}
