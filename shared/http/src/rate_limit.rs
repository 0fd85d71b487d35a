//! Rate limits per tenant, and per network address before the caller is signed in.
//!
//! A limit is a token bucket. It is stored in DynamoDB as one number per subject: the time at which the bucket will be
//! full again (the generic cell rate algorithm). An instance takes permits in blocks with one conditional update and
//! spends them from memory, so most requests cost no write. It also remembers a refusal until it ends. Permits that
//! are not spent within a few seconds are lost, so an instance is too strict by at most one block.
//!
//! If DynamoDB does not answer, requests pass: the limiter protects the service and must not break it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::extract::FromRequestParts;
use http::{HeaderName, HeaderValue, Method, request::Parts};
use sequent_core::{InvalidSetting, TenantId, Timestamp};
use sequent_tables::{Error, Key, Store, Update, attribute, attribute_of, key};

use crate::{Problem, RequestContext, config::Stage, pipeline::Shared};

/// The period of a limit. A bucket holds the permits of one period.
const WINDOW: Duration = Duration::from_secs(60);

/// The time for which an instance keeps unspent permits.
const HOLD: Duration = Duration::from_secs(10);

/// The number of subjects that an instance remembers.
const REMEMBERED: usize = 4096;

/// The attribute of a bucket.
const FULL_AT: &str = "full_at";

/// The class of a request. A route sets it with the layer `axum::Extension(Class::Chat)`. Without one, the method
/// decides between reading and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Limit for requests that read.
    Read,
    /// Limit for requests that write.
    Write,
    /// Requests that start a model.
    Chat,
    /// Attempts to sign up or in.
    Auth,
}

impl Class {
    /// The class of a route that does not name one.
    #[must_use]
    pub fn of(method: &Method) -> Self {
        if method.is_safe() { Self::Read } else { Self::Write }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Chat => "chat",
            Self::Auth => "auth",
        }
    }
}

/// Requests per minute for each class. Zero means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    read: u32,
    write: u32,
    chat: u32,
    auth: u32,
}

impl Limits {
    /// Settings without any limit.
    pub const NONE: Self = Self { read: 0, write: 0, chat: 0, auth: 0 };

    /// Reads `read=1200,write=600,chat=120,auth=30`. A class that is left out has the default of the stage. A single
    /// number sets reads and writes.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a class is unknown or a number is malformed.
    pub fn parse(text: Option<&str>, stage: Stage) -> Result<Self, InvalidSetting> {
        let mut limits = Self::of_stage(stage);
        for part in text.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (class, number) = part.split_once('=').unwrap_or(("", part));
            let number = number.trim().parse().map_err(|_| Self::invalid(part))?;
            match class.trim() {
                "" => {
                    limits.read = number;
                    limits.write = number;
                }
                "read" => limits.read = number,
                "write" => limits.write = number,
                "chat" => limits.chat = number,
                "auth" => limits.auth = number,
                _ => return Err(Self::invalid(part)),
            }
        }
        Ok(limits)
    }

    pub(crate) const fn of_stage(stage: Stage) -> Self {
        match stage {
            Stage::Dev => Self { read: 60_000, write: 60_000, chat: 60_000, auth: 6_000 },
            Stage::Staging | Stage::Prod => Self { read: 1_200, write: 600, chat: 120, auth: 30 },
        }
    }

    fn invalid(part: &str) -> InvalidSetting {
        InvalidSetting::new("RATE_LIMIT_PER_MINUTE", part, "numbers for `read`, `write`, `chat` and `auth`")
    }

    const fn per_minute(self, class: Class) -> u32 {
        match class {
            Class::Read => self.read,
            Class::Write => self.write,
            Class::Chat => self.chat,
            Class::Auth => self.auth,
        }
    }
}

/// Issues permits. A process has one.
#[derive(Debug)]
pub struct RateLimiter {
    store: Option<Store>,
    limits: Limits,
    known: Mutex<HashMap<Key, Known>>,
}

/// The limit on requests without a caller, as an extractor.
#[derive(Debug, Clone)]
pub struct Throttle {
    limiter: Arc<RateLimiter>,
    client: Option<String>,
}

impl Throttle {
    /// Takes a permit of the client's network address. If it is unknown, as in a unit test, requests pass.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub async fn by_address(&self) -> Result<(), Problem> {
        match &self.client {
            Some(client) => self.limiter.take_anonymous(Class::Auth, client).await,
            None => Ok(()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Throttle {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let context = RequestContext::from_request_parts(parts, state).await?;
        let client = context.client().map(str::to_owned);
        Ok(Self { limiter: Arc::clone(&Shared::of(parts)?.limiter), client })
    }
}

/// The state of a bucket as an instance knows it. Times are microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    permits: u32,
    hold_until: i64,
    refused_until: i64,
    full_at: Option<i64>,
}

/// The rate at which a bucket fills: microseconds per permit, and permits taken at once.
#[derive(Debug, Clone, Copy)]
struct Rate {
    per_minute: u32,
    interval: i64,
    block: i64,
}

impl RateLimiter {
    /// A limiter over the main table. Without a store, every request passes.
    #[must_use]
    pub fn new(store: Option<Store>, limits: Limits) -> Self {
        Self { store, limits, known: Mutex::default() }
    }

    /// Takes one permit of a tenant.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub async fn take(&self, tenant: TenantId, class: Class) -> Result<(), Problem> {
        self.take_at(key::rate_limit(tenant, class.name()), class, Timestamp::now()).await
    }

    /// Takes one permit of a network address, which is stored as a hash.
    async fn take_anonymous(&self, class: Class, address: &str) -> Result<(), Problem> {
        self.take_at(key::lookup::throttle(class.name(), address), class, Timestamp::now()).await
    }

    async fn take_at(&self, key: Key, class: Class, now: Timestamp) -> Result<(), Problem> {
        let per_minute = self.limits.per_minute(class);
        let Some(store) = self.store.as_ref().filter(|_| per_minute > 0) else { return Ok(()) };
        let interval = 60_000_000 / i64::from(per_minute);
        let rate =
            Rate { per_minute, interval: interval.max(1), block: i64::from((per_minute / 60).clamp(1, 50)) };
        let now = now.millis().saturating_mul(1000);
        let mut known = self.recall(&key);
        let result = if known.permits > 0 && known.hold_until > now {
            known.permits -= 1;
            Ok(())
        } else if known.refused_until > now {
            Err(known.refused_until - now)
        } else {
            take_block(store, &key, rate, now, &mut known).await
        };
        self.remember(key, known, now);
        result.map_err(|micros| refused(class, rate, micros))
    }

    fn recall(&self, key: &Key) -> Known {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // The state is removed while it is used, so that two requests of one instance never spend the same permit.
        known.remove(key).unwrap_or_default()
    }

    fn remember(&self, key: Key, mut state: Known, now: i64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = known.get(&key) {
            state.permits = state.permits.saturating_add(other.permits);
            state.refused_until = state.refused_until.max(other.refused_until);
            state.full_at = state.full_at.max(other.full_at);
        }
        if known.len() >= REMEMBERED {
            known.retain(|_, state| state.hold_until > now || state.refused_until > now);
            if known.len() >= REMEMBERED {
                known.clear(); // forgetting costs writes, not correctness
            }
        }
        known.insert(key, state);
    }
}

/// Takes up to a block of permits. Returns the microseconds until the next permit as the error.
async fn take_block(store: &Store, key: &Key, rate: Rate, now: i64, known: &mut Known) -> Result<(), i64> {
    let window = i64::try_from(WINDOW.as_micros()).unwrap_or(i64::MAX);
    let hold = i64::try_from(HOLD.as_micros()).unwrap_or(i64::MAX);
    for _attempt in 0..4 {
        let base = known.full_at.unwrap_or(0).max(now);
        let left = (now + window - base) / rate.interval;
        if left < 1 {
            let wait = base + rate.interval - (now + window);
            known.refused_until = now + wait;
            return Err(wait);
        }
        let count = left.min(rate.block);
        let full_at = base + count * rate.interval;
        match update(store, key, known.full_at, full_at).await {
            Ok(()) => {
                known.full_at = Some(full_at);
                known.permits = u32::try_from(count - 1).unwrap_or(0);
                known.hold_until = now + hold;
                return Ok(());
            }
            Err(Changed::To(other)) => known.full_at = other,
            Err(Changed::Unknown) => return Ok(()),
        }
    }
    tracing::info!("the rate limit of a subject is contended; the request passes");
    Ok(())
}

enum Changed {
    /// Another instance changed the bucket to this.
    To(Option<i64>),
    /// The table did not answer.
    Unknown,
}

async fn update(store: &Store, key: &Key, from: Option<i64>, to: i64) -> Result<(), Changed> {
    let unchanged = match from {
        None => attribute(FULL_AT).is_absent(),
        Some(from) => attribute(FULL_AT).equals(from),
    };
    let update = Update::of(key)
        .set(FULL_AT, to)
        .expires_at(Timestamp::from_millis(to / 1000) + WINDOW)
        .when(unchanged);
    // A table that does not answer must not delay the request that it lets pass.
    match store.write_once(update).await {
        Ok(()) => Ok(()),
        Err(Error::Conflict(found)) => Err(Changed::To(found.and_then(|row| attribute_of(&row, FULL_AT)))),
        Err(error) => {
            tracing::warn!(%error, "could not read a rate limit; the request passes");
            Err(Changed::Unknown)
        }
    }
}

/// The problem with the header fields of draft-ietf-httpapi-ratelimit-headers.
fn refused(class: Class, rate: Rate, micros: i64) -> Problem {
    let wait = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    let seconds = wait.as_secs() + 1;
    let problem = Problem::rate_limited(wait).with("limit", class.name());
    let fields = [
        ("ratelimit-policy", format!("\"{}\";q={};w={}", class.name(), rate.per_minute, WINDOW.as_secs())),
        ("ratelimit", format!("\"{}\";r=0;t={seconds}", class.name())),
    ];
    fields.into_iter().fold(problem, |problem, (name, text)| match HeaderValue::from_str(&text) {
        Ok(value) => problem.header(HeaderName::from_static(name), value),
        Err(_) => problem,
    })
}

#[cfg(test)]
mod tests;
