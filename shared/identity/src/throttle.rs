//! Limits on guessing passwords that cannot be turned against the owner of the account.
//!
//! Attempts are counted in lanes: one for each device on which the account was signed in before, one for each network
//! that strangers come from, one for each session that presents the password again. A wrong password slows down its own
//! lane. After five, the waits double up to an hour. The count is written before the password is compared, so it does
//! not matter how many attempts run at once.
//!
//! Wrong passwords from all networks are also counted for each account and day. When there are many, each attempt of a
//! stranger costs a wait of at most five minutes. The wait belongs to the lane, so no other client can prolong it or take
//! its place. Known devices do not take part.
//!
//! NIST SP 800-63B-4, section 3.2.2, limits consecutive failures to 100. Its plain form, a count that locks for good,
//! lets any stranger lock out any owner, which OWASP ASVS 5.0 asks to prevent (6.1.1). This module meets the limit in
//! another way. A lane checks about 17 guesses in its first hour and 24 a day afterwards, so one client needs days for a hundred.
//! Many networks together meet the wait of the account from the 21st failure of a day on, and its longest from the 81st.
//! The section names the techniques used here: waits that grow, trust in clients that have signed in before, and
//! disregarding earlier failures after a success. Nothing locks for good: a lane forgets one failure an hour, an account
//! all of them at the end of the day (UTC).

use std::time::Duration;

use sequent_core::{SessionId, Timestamp};
use sequent_tables::{Condition, Key, Row, Store, Update, Write, absent, attribute, key};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{Error, device::DeviceToken, email::Email};

/// The number of wrong passwords without a wait, because people mistype.
const FREE: u32 = 5;
/// The longest wait between two attempts of a lane.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The time after which a lane forgets one failure.
const FORGET_ONE: Duration = Duration::from_secs(3600);
/// The number of failures that a lane remembers, so that it has forgotten all after two days.
const MOST_FAILURES: u32 = 48;
/// The number of wrong passwords of strangers that an account takes in a day before their attempts wait.
const ACCOUNT_FREE: u32 = 20;
/// The longest wait that the failures of other clients can cause.
const LONGEST_ACCOUNT_WAIT: Duration = Duration::from_secs(300);
/// The wait after a lost race with another attempt of the same lane.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// Number of times that an attempt reads its lane while other attempts of the lane write it.
const TRIES: u32 = 5;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Attempts that are counted together.
#[derive(Debug)]
pub(crate) enum Lane {
    /// A device on which the account was signed in before.
    Device(DeviceToken),
    /// Strangers from one network.
    Network(String),
    /// A session that presents the password again.
    Session(SessionId),
}

/// The account whose password is guessed. It need not exist.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuardedAccount<'a> {
    pub(crate) email: &'a Email,
    /// The number of times that the counts of the account were discarded.
    pub(crate) unlocks: u32,
}

/// An attempt whose password may be compared.
#[derive(Debug)]
#[must_use = "an attempt that is not forgiven counts as failed"]
pub(crate) struct Attempt {
    lane: Key,
    /// The row with the failures of strangers, if they are counted.
    account: Option<Key>,
    /// The failures in the lane, with this attempt.
    failures: u32,
}

/// The row of a lane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct LaneState {
    failures: u32,
    /// The time of the latest attempt, in milliseconds.
    at: i64,
    /// No attempt is checked before this time, in milliseconds. It is 0 if none has to wait.
    blocked_until: i64,
    /// True if the wait that the account demands is served at `blocked_until`.
    waits_for_account: bool,
    /// Identifies the write, so that each is recognised as its own.
    attempt: String,
}

/// The row with the failures of strangers on one day.
#[derive(Deserialize)]
struct Failures {
    failures: u32,
}

/// The consequence of an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Ruling {
    Check(LaneState),
    /// The attempt comes too early.
    Early(Duration),
    /// The account demands a wait, which begins now.
    Wait(LaneState, Duration),
}

/// The wait after this many failures in a lane: 1 s after the fifth, then 2 s, 4 s, ... up to an hour.
fn wait_after(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(over) => Duration::from_secs(1 << over.min(20)).min(LONGEST_WAIT),
    }
}

/// The wait before each attempt of a stranger: 5 s after 20 failures of a day, twice as long after ten more, and so on.
fn account_wait(failures: u32) -> Duration {
    match failures.checked_sub(ACCOUNT_FREE) {
        None => Duration::ZERO,
        Some(over) => Duration::from_secs(5 << (over / 10).min(10)).min(LONGEST_ACCOUNT_WAIT),
    }
}

impl LaneState {
    /// The failures that are not forgotten yet.
    fn remembered(&self, now: Timestamp) -> u32 {
        let hours = now.since(Timestamp::from_millis(self.at)).as_secs() / FORGET_ONE.as_secs();
        self.failures.saturating_sub(u32::try_from(hours).unwrap_or(u32::MAX))
    }

    /// Decides on an attempt. `strangers` are the failures of all strangers on this day.
    fn judge(&self, strangers: u32, now: Timestamp) -> Ruling {
        let blocked_until = Timestamp::from_millis(self.blocked_until);
        if now < blocked_until {
            return Ruling::Early(blocked_until.since(now));
        }
        let wait = account_wait(strangers);
        if !wait.is_zero() && !self.waits_for_account {
            let blocked_until = (now + wait).millis();
            return Ruling::Wait(
                Self { blocked_until, waits_for_account: true, ..self.clone() }.renamed(),
                wait,
            );
        }
        let failures = (self.remembered(now) + 1).min(MOST_FAILURES);
        let pause = wait_after(failures).max(wait);
        let next = Self {
            failures,
            at: now.millis(),
            // Not `now`: an attempt that is made at once may come from a machine whose clock is behind.
            blocked_until: if pause.is_zero() { 0 } else { (now + pause).millis() },
            waits_for_account: !wait.is_zero(),
            attempt: String::new(),
        };
        Ruling::Check(next.renamed())
    }

    fn renamed(self) -> Self {
        Self { attempt: Ulid::generate().to_string(), ..self }
    }

    /// Replaces the row, unless it has changed since it was read. Returns `false` then.
    async fn replace(&self, known: Option<&Self>, key: &Key, store: &Store) -> Result<bool, Error> {
        let unchanged: Condition = match known {
            None => absent(),
            Some(known) => attribute("attempt").equals(&known.attempt),
        };
        let forgotten = Timestamp::from_millis(self.at.max(self.blocked_until)) + FORGET_ONE * MOST_FAILURES;
        let row = Row::new(key, self)?.expires_at(forgotten);
        Ok(store.write_if(Write::put(row).when(unchanged)).await?)
    }
}

impl Lane {
    fn key(&self, account: GuardedAccount<'_>) -> Key {
        let GuardedAccount { email, unlocks } = account;
        let name = match self {
            Self::Device(token) => format!("device {}", token.name()),
            Self::Network(network) => format!("network {network}"),
            Self::Session(session) => session.to_string(),
        };
        key::lookup::throttle("sign-in", &format!("{}\n{unlocks}\n{name}", email.as_str()))
    }
}

impl GuardedAccount<'_> {
    /// The row with the failures of strangers on the day of `now`.
    fn key(self, now: Timestamp) -> Key {
        let day = now.seconds() / i64::try_from(DAY.as_secs()).unwrap_or(i64::MAX);
        let Self { email, unlocks } = self;
        key::lookup::throttle("sign-in-account", &format!("{}\n{unlocks}\n{day}", email.as_str()))
    }
}

impl Attempt {
    /// Counts an attempt, if one is allowed now.
    ///
    /// # Errors
    /// [`Error::SlowDown`].
    pub(crate) async fn begin(
        store: &Store,
        account: GuardedAccount<'_>,
        lane: &Lane,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let strangers = matches!(lane, Lane::Network(_)).then(|| account.key(now));
        let failures = match &strangers {
            Some(key) => store.get::<Failures>(key).await?.map_or(0, |row| row.failures),
            None => 0,
        };
        let key = lane.key(account);
        for _ in 0..TRIES {
            let known: Option<LaneState> = store.get(&key).await?;
            match known.clone().unwrap_or_default().judge(failures, now) {
                Ruling::Early(wait) => return Err(Error::SlowDown(wait)),
                Ruling::Wait(next, wait) => {
                    if next.replace(known.as_ref(), &key, store).await? {
                        return Err(Error::SlowDown(wait));
                    }
                }
                Ruling::Check(next) => {
                    if next.replace(known.as_ref(), &key, store).await? {
                        return Ok(Self { lane: key, account: strangers, failures: next.failures });
                    }
                }
            }
        }
        Err(Error::SlowDown(SHORTEST_WAIT))
    }

    /// Forgets all failures of the lane and of strangers, because the password was right.
    pub(crate) async fn forgive(self, store: &Store) -> Result<(), Error> {
        store.delete(&self.lane).await?;
        match &self.account {
            Some(account) => Ok(store.delete(account).await?),
            None => Ok(()),
        }
    }

    /// Counts a wrong password for its account, and returns the failures of the day. Those of known devices and of
    /// sessions are counted in their lanes only.
    pub(crate) async fn fail(self, store: &Store, now: Timestamp) -> Result<u32, Error> {
        let Some(account) = &self.account else { return Ok(self.failures) };
        let count = Update::of(account).add("failures", 1).expires_at(now + 2 * DAY);
        Ok(store.update_if::<Failures>(count).await?.map_or(0, |row| row.failures))
    }
}

#[cfg(test)]
mod tests;
