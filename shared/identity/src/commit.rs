//! Carrying a transaction through until its outcome is known.

use std::time::Duration;

use sequent_tables::{Cancelled, Key, Store, Transaction};
use serde::de::IgnoredAny;

const ATTEMPTS: u32 = 5;

/// Runs `transaction` until it happened or is known not to have. `witness` is a row it inserts under a fresh id: when
/// an attempt of unknown outcome is followed by a failed condition, the witness tells whether that attempt was it.
pub(crate) async fn commit(store: &Store, transaction: Transaction, witness: &Key) -> Result<(), Cancelled> {
    let mut unknown = false;
    for attempt in 1.. {
        match transaction.clone().run(store).await {
            Ok(()) => break,
            Err(cancelled) if cancelled.is_transient() && attempt < ATTEMPTS => {
                unknown |= matches!(cancelled, Cancelled::Failed(_));
                pause(attempt).await;
            }
            Err(_) if unknown && store.get::<IgnoredAny>(witness).await?.is_some() => break,
            Err(cancelled) => return Err(cancelled),
        }
    }
    Ok(())
}

/// Waits 10 ms, 20 ms, 40 ms, ... with full jitter, so that those who collided do not collide again.
pub(crate) async fn pause(attempt: u32) {
    let limit = 10u64 << attempt.min(6);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=limit))).await;
}
