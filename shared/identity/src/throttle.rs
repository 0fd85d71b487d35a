//! Slowing down whoever guesses passwords: per address of the account, known or not.
//!
//! An attempt is counted *before* the password is looked at, in one conditional write, and the count is taken back
//! when the password was right. However many attempts run at once, no more than [`MAX_FAILURES`] wrong ones in a row
//! are therefore ever answered (NIST SP 800-63B-4 section 3.2.2). Sessions and API keys are not affected: a stranger
//! who guesses can keep the owner from signing in anew, never from working.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use sequent_core::Timestamp;
use sequent_tables::{Item, Key, Store, classify, key};

use crate::{Error, email::Email};

/// Consecutive wrong passwords after which no further one is looked at.
pub const MAX_FAILURES: u32 = 100;
/// Wrong passwords that cost nothing: people mistype.
const FREE: u32 = 5;
/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// A count nobody adds to is forgotten in the end, so that the rows of made-up addresses do not pile up.
const KEEP: Duration = Duration::from_secs(400 * 24 * 3600);

/// An attempt that may look at the password: how many it is in a row.
#[derive(Debug)]
#[must_use = "an attempt that is neither failed nor forgiven counts as failed"]
pub(crate) struct Attempt {
    key: Key,
    pub(crate) number: u32,
}

/// How long to wait after `failures` wrong passwords in a row: 1 s, 2 s, 4 s, ... up to a quarter of an hour.
fn wait_after(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(over) => Duration::from_secs(1 << over.min(20)).min(LONGEST_WAIT),
    }
}

impl Attempt {
    /// Counts an attempt for `email`, if one may be made now.
    ///
    /// # Errors
    /// [`Error::SlowDown`] or [`Error::Locked`].
    pub(crate) async fn begin(store: &Store, email: &Email, now: Timestamp) -> Result<Self, Error> {
        let key = key::lookup::throttle("sign-in", email.as_str());
        let sent = store
            .client()
            .update_item()
            .table_name(&*store.tables().main)
            .set_key(Some(key.attributes()))
            .update_expression("ADD failures :one SET expires_at = :keep")
            .condition_expression(
                "(attribute_not_exists(blocked_until) OR blocked_until <= :now) \
                 AND (attribute_not_exists(failures) OR failures < :most)",
            )
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":keep", number((now + KEEP).seconds()))
            .expression_attribute_values(":now", number(now.millis()))
            .expression_attribute_values(":most", number(MAX_FAILURES))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match sent {
            Ok(output) => {
                let failures = output.attributes.as_ref().and_then(|row| read(row, "failures")).unwrap_or(1);
                Ok(Self { key, number: u32::try_from(failures).unwrap_or(MAX_FAILURES) })
            }
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => {
                    Err(refusal(&key, store, now).await?)
                }
                _ => Err(classify(error).into()),
            },
        }
    }

    /// The password was right: the count starts anew.
    pub(crate) async fn forgive(self, store: &Store) -> Result<(), Error> {
        Ok(store.delete(&self.key).await?)
    }

    /// The password was wrong: the next attempt may have to wait.
    pub(crate) async fn fail(self, store: &Store, now: Timestamp) -> Result<(), Error> {
        let wait = wait_after(self.number);
        if wait.is_zero() {
            return Ok(());
        }
        // Attempts that ran at the same time may finish in any order; the longest wait wins.
        let sent = store
            .client()
            .update_item()
            .table_name(&*store.tables().main)
            .set_key(Some(self.key.attributes()))
            .update_expression("SET blocked_until = :until")
            .condition_expression(
                "attribute_exists(failures) AND (attribute_not_exists(blocked_until) OR blocked_until < :until)",
            )
            .expression_attribute_values(":until", number((now + wait).millis()))
            .send()
            .await;
        match sent.map_err(classify) {
            Ok(_) | Err(sequent_tables::Error::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why an attempt may not be made, read after the fact: precise enough to say how long to wait.
async fn refusal(key: &Key, store: &Store, now: Timestamp) -> Result<Error, Error> {
    #[derive(serde::Deserialize)]
    struct Throttle {
        failures: u32,
        #[serde(default)]
        blocked_until: i64,
    }
    let row: Option<Throttle> = store.get(key).await?;
    Ok(match row {
        Some(row) if row.failures >= MAX_FAILURES => Error::Locked,
        Some(row) => {
            Error::SlowDown(Timestamp::from_millis(row.blocked_until).since(now).max(Duration::from_secs(1)))
        }
        None => Error::SlowDown(Duration::from_secs(1)), // forgiven in between
    })
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn read(row: &Item, name: &str) -> Option<u64> {
    row.get(name)?.as_n().ok()?.parse().ok()
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
    async fn wrong_passwords_slow_down_one_address_and_a_right_one_forgives() {
        let store = testing::store().await;
        let (ann, bob): (Email, Email) =
            ("ann@example.com".parse().unwrap(), "bob@example.com".parse().unwrap());
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
    async fn however_many_guess_at_once_a_hundred_are_answered() {
        let store = testing::store().await;
        let email: Email = "ann@example.com".parse().unwrap();
        let guesses: Vec<_> = (0..150)
            .map(|_| {
                let (store, email) = (store.clone(), email.clone());
                tokio::spawn(async move { Attempt::begin(&store, &email, at(0)).await })
            })
            .collect();
        let (mut answered, mut locked) = (Vec::new(), 0);
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
