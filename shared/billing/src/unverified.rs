//! The limit of what a day's tenants cost that are not trusted.
//!
//! A stranger can invent any number of addresses, and each makes a tenant with limits of its own. So all tenants that are
//! not trusted have one limit together. Each takes its share of it once a day, in the transaction that notes the share in
//! its own row, and spends no more than that. The bound is therefore exact, the shared row is written once for each tenant
//! and day, and no run writes it when it ends.

use std::time::Duration;

use sequent_core::{MicroUsd, TenantId, TenantTrust, Timestamp};
use sequent_tables::{
    Error as TableError, Key, Label, Retry, Store, Transaction, Update, attribute, exists, key,
};
use serde::Deserialize;

use crate::{Error, hold::day_of};

/// Shares that a day's limit consists of. If all are taken, further tenants wait for the next day.
const SHARES: u64 = 20;
/// The time for which the sum of a day is kept.
const KEPT: Duration = Duration::from_secs(3 * 24 * 3600);

/// The write that takes from the shared limit.
const ROOM: Label = Label::new("room");
/// The write that notes the share.
const NOTE: Label = Label::new("note");

/// The limit of what all tenants together cost on a day that are not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnverifiedLimit(pub(crate) MicroUsd);

impl UnverifiedLimit {
    /// Returns what one tenant may cost on a day.
    pub(crate) fn share(self) -> MicroUsd {
        MicroUsd(self.0.0 / SHARES)
    }

    /// Takes the share of a tenant, unless it has taken it on this day. Returns `false` if no share is left. The tenant has
    /// a quota.
    pub(crate) async fn take_share(
        self,
        store: &Store,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let Some(room) = self.taking(self.share(), now) else { return Ok(false) };
        let day = day_of(now);
        let is_new = attribute("share_of").is_absent().or(attribute("share_of").differs_from(&day));
        let note = Update::of(&key::quota(tenant)).add("version", 1).set("share_of", &day);
        let transaction =
            Transaction::new().write(room).label(ROOM).write(note.when(exists()).when(is_new)).label(NOTE);
        match store.commit(transaction, Retry::CONTENDED).await {
            Ok(()) => Ok(true),
            // Another request of the tenant was first, or the tenant was deleted.
            Err(cancelled) if cancelled.refused(NOTE) => Ok(true),
            Err(cancelled) if cancelled.refused(ROOM) => Ok(false),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Takes an amount that is granted to a tenant. Returns `false` if that much is not left.
    pub(crate) async fn take(
        self,
        store: &Store,
        amount: MicroUsd,
        now: Timestamp,
    ) -> Result<bool, TableError> {
        match self.taking(amount, now) {
            Some(update) => store.write_if(update).await,
            None => Ok(false),
        }
    }

    /// Builds the write that takes an amount. Returns `None` if the limit is smaller.
    fn taking(self, amount: MicroUsd, now: Timestamp) -> Option<Update> {
        let room = self.0.0.checked_sub(amount.0)?;
        let taken = || attribute("taken");
        let update = Update::of(&row(now))
            .add("taken", i64::try_from(amount.0).ok()?)
            .expires_at(now + KEPT)
            .when(taken().is_absent().or(taken().is_at_most(room)));
        Some(update)
    }
}

/// The key of the sum of a day.
fn row(now: Timestamp) -> Key {
    key::lookup::throttle("unverified-cost", &day_of(now))
}

/// Reads the trust in a tenant. A tenant whose row is missing was deleted, and its credentials are refused.
pub(crate) async fn trust_in(store: &Store, tenant: TenantId) -> Result<Option<TenantTrust>, TableError> {
    #[derive(Deserialize)]
    struct Tenant {
        trust: TenantTrust,
    }
    let row: Option<Tenant> = store.get(&key::tenant(tenant)).await?;
    Ok(row.map(|row| row.trust))
}
