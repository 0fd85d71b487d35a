//! Access tokens: JWTs in the profile of RFC 9068, signed with Ed25519, verified without reading a table.
//!
//! That a token needs no look-up is what makes it cheap, and it has one price: a session that is revoked loses its
//! refresh token at once, but an access token already given out works until it expires ([`Issuer::ttl`], 15 minutes
//! unless configured otherwise). An API key, which is looked up, stops within seconds.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header, Validation};
use sequent_core::{Scopes, SecretString, SessionId, TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::signing::{self, KeyRing};

/// RFC 9068 section 2.1. It keeps a token made for another use with the same key from passing as an access token.
const TYPE: &str = "at+jwt";
/// Who our tokens are for: the API of this deployment, which the issuer names.
const AUDIENCE: &str = "sequent-api";
/// Clocks of our own machines may differ by this much.
const LEEWAY: Duration = Duration::from_secs(5);
/// A token of ours has about 500 bytes. Longer text is not looked at.
const LONGEST: usize = 2048;

/// The claims of an access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: the deployment's public address.
    pub iss: String,
    /// Audience.
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// The user's tenant.
    pub tid: TenantId,
    /// The session whose refresh token bought this token.
    pub sid: SessionId,
    /// What the bearer may do, separated by spaces.
    pub scope: String,
    /// When it was issued, in seconds.
    pub iat: i64,
    /// When it ends, in seconds.
    pub exp: i64,
    /// When it begins to be valid, in seconds. Ours are at once and do not say so (RFC 7519, section 4.1.5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Its own id.
    pub jti: String,
}

impl Claims {
    /// What the bearer may do. A name from a newer version grants nothing here.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        self.scope.split(' ').filter_map(|name| name.parse().ok()).collect()
    }
}

/// The claim of RFC 8693 section 4.2: names separated by spaces.
fn scope_text(scopes: Scopes) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
}

/// Whom a token is issued to.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The user.
    pub user: UserId,
    /// The user's tenant.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
    /// What the bearer may do.
    pub scopes: Scopes,
}

/// Why a token is refused. Callers show one and the same answer for all of them; this is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a JWT.
    #[error("not a JWT")]
    Malformed,
    /// Another algorithm than EdDSA, another type, or a header that brings a key of its own.
    #[error("its header is not one of ours")]
    Header,
    /// No unexpired key has this id. It may be one this process has not read yet.
    #[error("it names no known key")]
    UnknownKey,
    /// Signature or claims do not hold.
    #[error("its signature or claims do not hold")]
    Invalid,
    /// It was ours, and has run out.
    #[error("it has expired")]
    Expired,
}

/// Issues and verifies the access tokens of one deployment.
#[derive(Debug, Clone)]
pub struct Issuer {
    url: String,
    ttl: Duration,
}

impl Issuer {
    /// For the deployment at `url`, whose tokens live for `ttl`.
    #[must_use]
    pub fn new(url: impl Into<String>, ttl: Duration) -> Self {
        Self { url: url.into(), ttl }
    }

    /// How long a token lives.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// A signed token for `subject`.
    ///
    /// # Errors
    /// When no key may sign now.
    pub fn issue(
        &self,
        ring: &KeyRing,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<SecretString, signing::Error> {
        let key = ring.signer(now)?;
        let claims = Claims {
            iss: self.url.clone(),
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

    /// The claims of a token of ours that is valid now.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn verify(&self, ring: &KeyRing, token: &str, now: Timestamp) -> Result<Claims, Refused> {
        if token.len() > LONGEST || token.split('.').count() != 3 {
            return Err(Refused::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Malformed)?;
        let kid = own_header(&header).ok_or(Refused::Header)?;
        let key = ring.verifier(kid, now).ok_or(Refused::UnknownKey)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key.public(), &self.validation())
            .map_err(|_| Refused::Invalid)?
            .claims;
        let (now_s, leeway) = (now.seconds(), LEEWAY.as_secs().cast_signed());
        if claims.iss != self.url || claims.aud != AUDIENCE || claims.iat > now_s.saturating_add(leeway) {
            return Err(Refused::Invalid);
        }
        if claims.nbf.is_some_and(|begin| begin > now_s.saturating_add(leeway)) {
            return Err(Refused::Invalid);
        }
        if claims.exp.saturating_add(leeway) <= now_s { Err(Refused::Expired) } else { Ok(claims) }
    }

    /// The library checks algorithm, signature and presence; times are compared by [`Self::verify`] with the caller's
    /// clock instead of the library's own.
    fn validation(&self) -> Validation {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&self.url]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_exp = false;
        validation
    }
}

/// The `kid`, if this is a header we could have written: RFC 8725 sections 3.1, 3.10 and 3.11. A key the token brings
/// along, or says where to fetch, is no key of ours, and no extension is understood.
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
