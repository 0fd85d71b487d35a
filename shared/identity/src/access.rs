//! Access tokens: JWTs in the profile of RFC 9068, signed with Ed25519, verified without reading a table.
//!
//! The signature shows who was issued the token. The session that it names may have ended since, so a caller is
//! authenticated only after a look at its row, which each process remembers for some seconds.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header, Validation};
use sequent_core::{Scopes, SecretString, SessionId, TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::signing::{self, KeyRing, PublicKeys};

/// The type of RFC 9068, section 2.1. A token that was made for another use with the same key is no access token.
const TYPE: &str = "at+jwt";
/// The audience of the tokens: the API of the deployment that the issuer names.
const AUDIENCE: &str = "sequent-api";
/// The allowed difference between the clocks of the machines of a deployment.
const LEEWAY: Duration = Duration::from_secs(5);
/// The longest token, in bytes. A valid one has about 500.
const LONGEST: usize = 2048;

/// The claims of an access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The issuer: the name of the deployment.
    pub iss: String,
    /// The audience.
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// The user's tenant.
    pub tid: TenantId,
    /// The session that the token was issued to.
    pub sid: SessionId,
    /// The scopes, separated by spaces.
    pub scope: String,
    /// The time of issue, in seconds.
    pub iat: i64,
    /// The time of expiry, in seconds.
    pub exp: i64,
    /// The time from which the token is valid, in seconds (RFC 7519, section 4.1.5). The issuer never sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The id of the token.
    pub jti: String,
}

impl Claims {
    /// The scopes. A name from a newer version is ignored.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        self.scope.split(' ').filter_map(|name| name.parse().ok()).collect()
    }
}

/// The claim of RFC 8693, section 4.2: names separated by spaces.
fn scope_text(scopes: Scopes) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
}

/// The subject of a token.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone)]
pub struct Subject {
    pub user: UserId,
    pub tenant: TenantId,
    pub session: SessionId,
    pub scopes: Scopes,
}

/// The reason why a token is refused. It is for the log: the response is the same for all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The text is not a JWT.
    #[error("the token is not a JWT")]
    Malformed,
    /// The header has another algorithm than EdDSA, another type, or a key of its own.
    #[error("the header of the token is not allowed")]
    Header,
    /// No unexpired key has this id. The process may not have read it yet.
    #[error("the token names an unknown key")]
    UnknownKey,
    /// The signature or a claim is wrong.
    #[error("the signature or a claim of the token is wrong")]
    Invalid,
    /// The token was valid, and has expired.
    #[error("the token has expired")]
    Expired,
}

/// Issues and verifies the access tokens of one deployment.
#[derive(Debug, Clone)]
pub struct Issuer {
    name: String,
    ttl: Duration,
}

impl Issuer {
    /// The issuer of the deployment with this name, with tokens that are valid for `ttl`.
    #[must_use]
    pub fn new(name: impl Into<String>, ttl: Duration) -> Self {
        Self { name: name.into(), ttl }
    }

    /// The lifetime of a token.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Issues a token for `subject`.
    ///
    /// # Errors
    /// If no key may sign now.
    pub fn issue(
        &self,
        ring: &KeyRing,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<SecretString, signing::Error> {
        let key = ring.signer(now)?;
        let claims = Claims {
            iss: self.name.clone(),
            aud: AUDIENCE.to_owned(),
            sub: subject.user,
            tid: subject.tenant,
            sid: subject.session,
            scope: scope_text(subject.scopes),
            iat: now.seconds(),
            exp: (now + self.ttl).seconds(),
            nbf: None,
            jti: Ulid::generate().to_string(),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.kid().to_owned());
        let token =
            jsonwebtoken::encode(&header, &claims, key.private()).map_err(|_| signing::Error::InvalidKey)?;
        Ok(token.into())
    }

    /// Verifies a token and returns its claims.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn verify(&self, keys: &PublicKeys, token: &str, now: Timestamp) -> Result<Claims, Refused> {
        if token.len() > LONGEST || token.split('.').count() != 3 {
            return Err(Refused::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Malformed)?;
        let kid = own_header(&header).ok_or(Refused::Header)?;
        let key = keys.verifier(kid, now).ok_or(Refused::UnknownKey)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key.decoding(), &self.validation())
            .map_err(|_| Refused::Invalid)?
            .claims;
        let now_s = now.seconds();
        let leeway = LEEWAY.as_secs().cast_signed();
        if claims.iss != self.name || claims.aud != AUDIENCE || claims.iat > now_s.saturating_add(leeway) {
            return Err(Refused::Invalid);
        }
        if claims.nbf.is_some_and(|begin| begin > now_s.saturating_add(leeway)) {
            return Err(Refused::Invalid);
        }
        if claims.exp.saturating_add(leeway) <= now_s { Err(Refused::Expired) } else { Ok(claims) }
    }

    /// The library checks the algorithm, the signature and the presence of claims. [`Self::verify`] compares the times,
    /// with the clock of its caller and not with that of the library.
    fn validation(&self) -> Validation {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&self.name]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_exp = false;
        validation
    }
}

/// Returns the `kid`, if the header is one that the issuer writes (RFC 8725, sections 3.1, 3.10 and 3.11). A header
/// with a key, the address of a key, or an extension is refused.
fn own_header(header: &Header) -> Option<&str> {
    let brings_key = header.jwk.is_some()
        || header.jku.is_some()
        || header.x5u.is_some()
        || header.x5c.is_some()
        || header.x5t.is_some()
        || header.x5t_s256.is_some();
    let extended =
        header.crit.is_some() || header.enc.is_some() || header.zip.is_some() || header.cty.is_some();
    let ours = header.alg == Algorithm::EdDSA && header.typ.as_deref() == Some(TYPE);
    if ours && !brings_key && !extended { header.kid.as_deref() } else { None }
}

#[cfg(test)]
mod tests;
