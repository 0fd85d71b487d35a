//! Rate limits per tenant, and per address or e-mail where nobody is signed in yet.
//!
//! The limit is a token bucket kept as one number per subject in DynamoDB: the time at which the bucket will be full
//! again (the generic cell rate algorithm). An instance takes permits in blocks with one conditional update and
//! spends them from memory, so most requests cost no write; it also remembers a refusal until it ends. Permits not
//! spent within a few seconds are lost, which errs on the strict side by at most a block per instance.
//!
//! When DynamoDB does not answer, requests pass: the limiter protects the service and must not be what breaks it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_dynamodb::{
    error::SdkError, operation::update_item::UpdateItemError, types::AttributeValue,
    types::ReturnValuesOnConditionCheckFailure,
};
use axum::extract::FromRequestParts;
use http::{HeaderName, HeaderValue, Method, request::Parts};
use sequent_core::{TenantId, Timestamp};
use sequent_tables::{Item, Key, Store, key};

use crate::{Exchange, Problem, config::Stage, pipeline::Shared};

/// The time over which a limit counts; a bucket holds one window's worth of permits.
const WINDOW: Duration = Duration::from_secs(60);

/// How long an instance keeps permits it has not spent.
const HOLD: Duration = Duration::from_secs(10);

/// Most subjects an instance remembers.
const REMEMBERED: usize = 4096;

/// What kind of request it is. A route says so with `axum::Extension(Class::Chat)` as a route layer; otherwise the
/// method decides between reading and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Requests that start a model.
    Chat,
    /// Attempts to prove an identity.
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

/// Requests per minute for each class; zero means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    read: u32,
    write: u32,
    chat: u32,
    auth: u32,
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Self { read: 0, write: 0, chat: 0, auth: 0 };

    /// Reads `read=1200,write=600,chat=120,auth=30`; what is left out or unreadable has the stage's default. A
    /// single number sets reads and writes.
    #[must_use]
    pub fn parse(text: Option<&str>, stage: Stage) -> Self {
        let mut limits = if stage == Stage::Dev {
            Self { read: 60_000, write: 60_000, chat: 60_000, auth: 6_000 }
        } else {
            Self { read: 1_200, write: 600, chat: 120, auth: 30 }
        };
        for part in text.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, number) = part.split_once('=').unwrap_or(("", part));
            let Ok(number) = number.trim().parse() else {
                tracing::warn!(setting = part, "RATE_LIMIT_PER_MINUTE has a part that is no number");
                continue;
            };
            match name.trim() {
                "" => (limits.read, limits.write) = (number, number),
                "read" => limits.read = number,
                "write" => limits.write = number,
                "chat" => limits.chat = number,
                "auth" => limits.auth = number,
                _ => tracing::warn!(setting = part, "RATE_LIMIT_PER_MINUTE names an unknown class"),
            }
        }
        limits
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

/// Hands out permits. One per process.
#[derive(Debug)]
pub struct RateLimiter {
    store: Option<Store>,
    limits: Limits,
    known: Mutex<HashMap<Key, Known>>,
}

/// Throttles what happens before anybody is signed in; an extractor.
#[derive(Debug, Clone)]
pub struct Throttle {
    limiter: Arc<RateLimiter>,
    client: Option<String>,
}

impl Throttle {
    /// Takes a permit of the caller's network address. Where none is known, as in a unit test, requests pass.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub async fn by_address(&self) -> Result<(), Problem> {
        match &self.client {
            Some(client) => self.limiter.take_anonymous(Class::Auth, client).await,
            None => Ok(()),
        }
    }

    /// Takes a permit of something the caller names, such as the e-mail address to sign in with.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub async fn by_subject(&self, subject: &str) -> Result<(), Problem> {
        self.limiter.take_anonymous(Class::Auth, subject).await
    }
}

impl<S: Sync> FromRequestParts<S> for Throttle {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let exchange = Exchange::from_request_parts(parts, state).await?;
        let client = exchange.client().map(str::to_owned);
        Ok(Self { limiter: Arc::clone(&Shared::of(parts)?.limiter), client })
    }
}

/// What an instance knows about a bucket.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    permits: u32,
    hold_until: i64,
    refused_until: i64,
    full_at: Option<i64>,
}

/// How a bucket is filled: microseconds per permit, and permits taken at once.
#[derive(Debug, Clone, Copy)]
struct Rate {
    per_minute: u32,
    interval: i64,
    block: i64,
}

impl RateLimiter {
    /// A limiter over the main table; without a store everything passes.
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

    /// Takes one permit of an anonymous subject, such as an address or an e-mail. The subject is stored hashed.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub async fn take_anonymous(&self, class: Class, subject: &str) -> Result<(), Problem> {
        self.take_at(key::lookup::throttle(class.name(), subject), class, Timestamp::now()).await
    }

    async fn take_at(&self, key: Key, class: Class, now: Timestamp) -> Result<(), Problem> {
        let per_minute = self.limits.per_minute(class);
        let (Some(store), true) = (&self.store, per_minute > 0) else { return Ok(()) };
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
        // Taken out while in use, so that two requests of one instance never spend the same permit.
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

/// Takes up to a block; `Err` holds the microseconds until the next permit.
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
    tracing::info!("a rate limit bucket is contended, letting the request pass");
    Ok(())
}

enum Changed {
    /// Another instance was faster; the bucket is now this.
    To(Option<i64>),
    /// No answer.
    Unknown,
}

async fn update(store: &Store, key: &Key, from: Option<i64>, to: i64) -> Result<(), Changed> {
    let expires = to / 1_000_000 + 60;
    let request = store
        .client()
        .update_item()
        .table_name(&*store.tables().main)
        .set_key(Some(key.attributes()))
        .update_expression("SET full_at = :to, expires_at = :expires")
        .expression_attribute_values(":to", AttributeValue::N(to.to_string()))
        .expression_attribute_values(":expires", AttributeValue::N(expires.to_string()))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let request = match from {
        None => request.condition_expression("attribute_not_exists(full_at)"),
        Some(from) => request
            .condition_expression("full_at = :from")
            .expression_attribute_values(":from", AttributeValue::N(from.to_string())),
    };
    match request.send().await {
        Ok(_) => Ok(()),
        Err(SdkError::ServiceError(service)) => match service.into_err() {
            UpdateItemError::ConditionalCheckFailedException(failed) => {
                Err(Changed::To(failed.item.as_ref().and_then(full_at)))
            }
            error => Err(fail_open(&error)),
        },
        Err(error) => Err(fail_open(&error)),
    }
}

fn fail_open(error: &(dyn std::error::Error + 'static)) -> Changed {
    tracing::warn!(error, "the rate limit cannot be read, letting the request pass");
    Changed::Unknown
}

fn full_at(item: &Item) -> Option<i64> {
    item.get("full_at")?.as_n().ok()?.parse().ok()
}

/// 429 with the fields of draft-ietf-httpapi-ratelimit-headers.
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
