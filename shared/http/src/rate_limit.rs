//! Rate limits per tenant, per hook, and per network address before the caller is signed in.
//!
//! Time is cut into windows of a minute, and DynamoDB counts the permits that were taken in each. An instance takes a
//! block of permits with one unconditional write, whose answer is the new count. The count decides, so any number of
//! instances that write at the same time pass no more requests than the limit allows, and none of them tries again. An
//! instance spends its block from memory, so most requests cost no write, and remembers a refusal until the window
//! ends. Permits that it does not spend by then are lost, so it is too strict by at most one block.
//!
//! A client can pass its limit at the end of one window and again at the beginning of the next.
//!
//! If DynamoDB cannot count, reads and writes pass and the metric `RateLimiterFailOpen` counts them. Attempts to sign in
//! and requests that start a model are refused, and so is every request for a count that is written too often.

mod limits;
mod throttle;

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use sequent_core::{HookId, TenantId, Timestamp};
use sequent_tables::{Error, Key, Store, Update, key};
use sequent_telemetry::metric;
use serde::Deserialize;

pub use limits::{Class, Limits};
pub use throttle::Throttle;

use crate::Problem;

/// The period of a limit.
const WINDOW: Duration = Duration::from_secs(60);

/// The time to wait for the table to answer again.
const RETRY: Duration = Duration::from_secs(1);

/// The number of subjects that an instance remembers.
const REMEMBERED: usize = 4096;

/// The owner of a limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum RateSubject {
    Tenant(TenantId),
    /// A hook of a tenant. What other systems send takes no permits from the tenant itself.
    Hook(TenantId, HookId),
    /// A network address, which is stored as a hash.
    Address(String),
}

/// Issues permits. A process has one.
#[derive(Debug)]
pub struct RateLimiter {
    store: Option<Store>,
    limits: Limits,
    /// The name of the stack, by which metrics are published.
    stack: Option<String>,
    known: Mutex<HashMap<(RateSubject, Class), Known>>,
}

/// The state of a window as an instance knows it.
#[derive(Debug, Clone, Copy)]
struct Known {
    window: i64,
    permits: u32,
    is_exhausted: bool,
}

/// The row of a window.
#[derive(Deserialize)]
struct Count {
    used: u32,
}

/// A window of time.
#[derive(Debug, Clone, Copy)]
struct Window {
    number: i64,
    /// The time until its end.
    left: Duration,
}

impl Window {
    fn at(now: Timestamp) -> Self {
        let length = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
        let number = now.millis().div_euclid(length);
        Self { number, left: Timestamp::from_millis((number + 1) * length).since(now) }
    }
}

impl RateSubject {
    fn key(&self, class: Class, window: i64) -> Key {
        match self {
            Self::Tenant(tenant) => key::rate_limit(*tenant, class.name(), window),
            Self::Hook(tenant, hook) => key::rate_limit(*tenant, &format!("{}#{hook}", class.name()), window),
            Self::Address(address) => key::lookup::rate_limit(class.name(), address, window),
        }
    }
}

impl RateLimiter {
    /// A limiter over the main table. Without a store, every request passes.
    #[must_use]
    pub fn new(store: Option<Store>, limits: Limits, stack: Option<String>) -> Self {
        Self { store, limits, stack, known: Mutex::default() }
    }

    /// Takes one permit.
    ///
    /// # Errors
    /// 429 with `Retry-After`, and 503 if the table cannot count a request that must be counted.
    pub(crate) async fn take(&self, subject: &RateSubject, class: Class) -> Result<(), Problem> {
        self.take_at(subject, class, Timestamp::now()).await
    }

    /// Refuses a request if this instance knows that the subject has no permit left. It takes none.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub(crate) fn check(&self, subject: &RateSubject, class: Class) -> Result<(), Problem> {
        self.check_at(subject, class, Timestamp::now())
    }

    fn check_at(&self, subject: &RateSubject, class: Class, now: Timestamp) -> Result<(), Problem> {
        let window = Window::at(now);
        let known = self.known().get(&(subject.clone(), class)).copied();
        match known.filter(|known| known.window == window.number && known.is_exhausted) {
            Some(_) => Err(self.refused(class, window)),
            None => Ok(()),
        }
    }

    async fn take_at(&self, subject: &RateSubject, class: Class, now: Timestamp) -> Result<(), Problem> {
        let limit = self.limits.per_minute(class);
        let Some(store) = self.store.as_ref().filter(|_| limit > 0) else { return Ok(()) };
        let window = Window::at(now);
        if let Some(has_permit) = self.spend(subject, class, window) {
            return if has_permit { Ok(()) } else { Err(self.refused(class, window)) };
        }
        let block = (limit / 60).clamp(1, 50);
        match count(store, &subject.key(class, window.number), block, now).await {
            Ok(used) => {
                let granted = limit.saturating_add(block).saturating_sub(used).min(block);
                self.learn(subject, class, window, granted);
                if granted > 0 { Ok(()) } else { Err(self.refused(class, window)) }
            }
            Err(error) => self.uncounted(class, error),
        }
    }

    /// Spends a permit from memory. Returns `false` if the window is known to have none left, and `None` if the table
    /// has to be asked.
    fn spend(&self, subject: &RateSubject, class: Class, window: Window) -> Option<bool> {
        let mut all = self.known();
        let known = all.get_mut(&(subject.clone(), class)).filter(|known| known.window == window.number)?;
        if known.permits > 0 {
            known.permits -= 1;
            return Some(true);
        }
        known.is_exhausted.then_some(false)
    }

    /// Notes the permits that the table granted, of which the present request spends one.
    fn learn(&self, subject: &RateSubject, class: Class, window: Window, granted: u32) {
        let mut all = self.known();
        if all.len() >= REMEMBERED {
            all.retain(|_, known| known.window == window.number);
            if all.len() >= REMEMBERED {
                all.clear(); // forgetting costs writes, not correctness
            }
        }
        let subject = (subject.clone(), class);
        // Another request of this instance may have taken a block at the same time.
        let earlier = all.get(&subject).filter(|known| known.window == window.number);
        let permits = earlier.map_or(0, |known| known.permits) + granted.saturating_sub(1);
        all.insert(subject, Known { window: window.number, permits, is_exhausted: granted == 0 });
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(RateSubject, Class), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides on a request that could not be counted.
    fn uncounted(&self, class: Class, error: Error) -> Result<(), Problem> {
        // A count that is written too often belongs to a subject that sends too many requests.
        if !class.passes_uncounted() || matches!(error, Error::Throttled) {
            return Err(Problem::unavailable(error).retry_after(RETRY));
        }
        tracing::warn!(%error, class = class.name(), "could not count a request for its rate limit; it passes");
        if let Some(stack) = &self.stack {
            metric::count("RateLimiterFailOpen", 1, stack);
        }
        Ok(())
    }

    /// The problem with the header fields of draft-ietf-httpapi-ratelimit-headers.
    fn refused(&self, class: Class, window: Window) -> Problem {
        let problem = Problem::rate_limited(window.left).with("limit", class.name());
        let limit = self.limits.per_minute(class);
        let seconds = window.left.as_millis().div_ceil(1000);
        let fields = [
            ("ratelimit-policy", format!("\"{}\";q={limit};w={}", class.name(), WINDOW.as_secs())),
            ("ratelimit", format!("\"{}\";r=0;t={seconds}", class.name())),
        ];
        fields.into_iter().fold(problem, |problem, (name, text)| match HeaderValue::from_str(&text) {
            Ok(value) => problem.header(HeaderName::from_static(name), value),
            Err(_) => problem,
        })
    }
}

/// Adds a block to the count of a window and returns the new count. It is sent once, because a repeated write could
/// count twice, and because a table that does not answer must not delay a request that passes without it.
async fn count(store: &Store, key: &Key, block: u32, now: Timestamp) -> Result<u32, Error> {
    let update = Update::of(key).add("used", block.into()).expires_at(now + 2 * WINDOW);
    let count: Count = store.update_once(update).await?;
    Ok(count.used)
}

#[cfg(test)]
mod tests;
