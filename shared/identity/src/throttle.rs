//! Limits on guessing passwords, per address of an account, whether it exists or not.
//!
//! An attempt is counted in one conditional write *before* the password is checked, and the count is deleted if the
//! password was right. However many attempts run at once, at most [`MAX_FAILURES`] wrong ones in a row are therefore
//! answered (NIST SP 800-63B-4, section 3.2.2). Sessions and API keys are not affected: guessing can keep the owner
//! from signing in again, but not from working.

use std::time::Duration;

use sequent_core::Timestamp;
use sequent_tables::{Condition, Key, Store, Update, attribute, key};
use serde::Deserialize;

use crate::{Error, email::Email};

/// The number of consecutive wrong passwords after which no further one is checked.
pub const MAX_FAILURES: u32 = 100;
/// The number of wrong passwords without a wait, because people mistype.
const FREE: u32 = 5;
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// The time after which an unchanged count is deleted, so that the rows of made-up addresses do not accumulate.
const KEEP: Duration = Duration::from_secs(400 * 24 * 3600);

/// An attempt whose password may be checked.
#[derive(Debug)]
#[must_use = "an attempt that is neither failed nor forgiven counts as failed"]
pub(crate) struct Attempt {
    key: Key,
    /// The position of the attempt in the row of consecutive ones, from 1.
    pub(crate) number: u32,
}

/// The row of an address.
#[derive(Deserialize)]
struct Count {
    failures: u32,
    #[serde(default)]
    blocked_until: i64,
}

/// The wait after this many wrong passwords in a row: 1 s, 2 s, 4 s, ... up to a quarter of an hour.
fn wait_after(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(over) => Duration::from_secs(1 << over.min(20)).min(LONGEST_WAIT),
    }
}

impl Attempt {
    /// Counts an attempt for `email`, if one is allowed now.
    ///
    /// # Errors
    /// [`Error::SlowDown`] or [`Error::Locked`].
    pub(crate) async fn begin(store: &Store, email: &Email, now: Timestamp) -> Result<Self, Error> {
        let key = key::lookup::throttle("sign-in", email.as_str());
        let count = Update::of(&key)
            .add("failures", 1)
            .expires_at(now + KEEP)
            .when(is_absent_or("blocked_until", |until| until.is_at_most(now.millis())))
            .when(is_absent_or("failures", |failures| failures.is_below(MAX_FAILURES)));
        match store.update_if::<Count>(count).await? {
            Some(count) => Ok(Self { key, number: count.failures }),
            None => Err(refusal(&key, store, now).await?),
        }
    }

    /// Deletes the count, because the password was right.
    pub(crate) async fn forgive(self, store: &Store) -> Result<(), Error> {
        Ok(store.delete(&self.key).await?)
    }

    /// Sets the wait before the next attempt, because the password was wrong. Attempts that run at the same time may
    /// finish in any order; the longest wait wins.
    pub(crate) async fn fail(self, store: &Store, now: Timestamp) -> Result<(), Error> {
        let wait = wait_after(self.number);
        if wait.is_zero() {
            return Ok(());
        }
        let until = (now + wait).millis();
        let block = Update::of(&self.key)
            .set("blocked_until", until)
            .when(attribute("failures").is_present())
            .when(is_absent_or("blocked_until", |known| known.is_below(until)));
        store.write_if(block).await?;
        Ok(())
    }
}

fn is_absent_or(name: &'static str, test: impl FnOnce(sequent_tables::Attribute) -> Condition) -> Condition {
    attribute(name).is_absent().or(test(attribute(name)))
}

/// The reason why an attempt was refused, read afterwards to report how long to wait.
async fn refusal(key: &Key, store: &Store, now: Timestamp) -> Result<Error, Error> {
    const SHORTEST_WAIT: Duration = Duration::from_secs(1);
    let count: Option<Count> = store.get(key).await?;
    Ok(match count {
        Some(count) if count.failures >= MAX_FAILURES => Error::Locked,
        Some(count) => {
            Error::SlowDown(Timestamp::from_millis(count.blocked_until).since(now).max(SHORTEST_WAIT))
        }
        None => Error::SlowDown(SHORTEST_WAIT), // it was forgiven in between
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sequent_tables::testing;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_900_000_000_000) + Duration::from_secs(seconds)
    }

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        let waits: Vec<_> =
            [0, 1, 4, 5, 6, 7, 14, 15, 99, u32::MAX].map(|n| wait_after(n).as_secs()).to_vec();
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 512, 900, 900, 900]);
    }

    #[tokio::test]
    async fn wrong_passwords_slow_down_one_address_and_a_right_one_ends_that() {
        let store = testing::store().await;
        let ann: Email = "ann@example.com".parse().unwrap();
        let bob: Email = "bob@example.com".parse().unwrap();
        for number in 1..=5 {
            let attempt = Attempt::begin(&store, &ann, at(0)).await.unwrap();
            assert_eq!(attempt.number, number);
            attempt.fail(&store, at(0)).await.unwrap();
        }
        let refused = Attempt::begin(&store, &ann, at(0)).await.unwrap_err();
        assert!(matches!(refused, Error::SlowDown(wait) if wait == Duration::from_secs(1)), "{refused:?}");
        assert_eq!(Attempt::begin(&store, &bob, at(0)).await.unwrap().number, 1);
        let attempt = Attempt::begin(&store, &ann, at(1)).await.unwrap();
        attempt.forgive(&store).await.unwrap();
        assert_eq!(Attempt::begin(&store, &ann, at(1)).await.unwrap().number, 1);
    }

    #[tokio::test]
    async fn of_many_concurrent_guesses_a_hundred_are_answered() {
        let store = testing::store().await;
        let email: Email = "ann@example.com".parse().unwrap();
        let guesses: Vec<_> = (0..150)
            .map(|_| {
                let store = store.clone();
                let email = email.clone();
                tokio::spawn(async move { Attempt::begin(&store, &email, at(0)).await })
            })
            .collect();
        let mut answered = Vec::new();
        let mut locked = 0;
        for guess in guesses {
            match guess.await.unwrap() {
                Ok(attempt) => answered.push(attempt),
                Err(Error::Locked) => locked += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!((answered.len(), locked), (100, 50));
        for attempt in answered {
            attempt.fail(&store, at(0)).await.unwrap();
        }
        let much_later = Attempt::begin(&store, &email, at(30 * 24 * 3600)).await;
        assert!(matches!(much_later, Err(Error::Locked)), "time alone does not unlock");
    }
}
