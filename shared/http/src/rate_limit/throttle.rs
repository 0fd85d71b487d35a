//! The limits on requests without a verified caller, by network address.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::{Class, RateLimiter, RateSubject};
use crate::{Problem, RequestContext, pipeline::Shared};

/// The limits of one network address, as an extractor. If the address is unknown, as in a unit test, requests pass.
#[derive(Debug, Clone)]
pub struct Throttle {
    limiter: Arc<RateLimiter>,
    subject: Option<RateSubject>,
}

impl Throttle {
    pub(crate) fn new(limiter: &Arc<RateLimiter>, client: Option<&str>) -> Self {
        Self { limiter: Arc::clone(limiter), subject: client.map(network).map(RateSubject::Address) }
    }

    /// Takes a permit for an attempt to sign up or in.
    ///
    /// # Errors
    /// 429 with `Retry-After`, and 503 if the table cannot count the attempt.
    pub async fn by_address(&self) -> Result<(), Problem> {
        match &self.subject {
            Some(subject) => self.limiter.take(subject, Class::Auth).await,
            None => Ok(()),
        }
    }

    /// Refuses an address that has sent too many wrong credentials, before one more is looked up. It reads no table:
    /// an instance knows what [`failed`](Self::failed) has told it.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub fn refuse_guesses(&self) -> Result<(), Problem> {
        self.subject.as_ref().map_or(Ok(()), |subject| self.limiter.check(subject, Class::Failure))
    }

    /// Counts a wrong credential of the address.
    pub async fn failed(&self) {
        if let Some(subject) = &self.subject
            && let Err(problem) = self.limiter.take(subject, Class::Failure).await
        {
            tracing::debug!(code = problem.code().as_str(), "an address sent a wrong credential too often");
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Throttle {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let context = RequestContext::from_request_parts(parts, state).await?;
        Ok(Self::new(&Shared::of(parts)?.limiter, context.client()))
    }
}

/// The part of an address by which clients are told apart. A network usually gives each of its users a /64 of IPv6
/// (RFC 7934, section 3), so the rest of such an address costs nothing to change.
fn network(address: &str) -> String {
    match address.trim_matches(['[', ']']).parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            format!("{}/64", Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_ipv6_network_count_as_one() {
        for (address, counted) in [
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
            ("[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
            ("203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("not an address", "not an address"),
        ] {
            assert_eq!(network(address), counted, "{address}");
        }
    }
}
