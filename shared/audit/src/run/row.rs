//! The row of a run with the attributes that only sweeps and owners use.

use sequent_conversation::Run;
use sequent_core::Timestamp;
use sequent_runlog::LogKey;
use sequent_tables::{attribute_of, attributes::LEASE_UNTIL, decode, due_at, key};

use crate::auditor::{Error, Evidence};

pub(super) struct RunRow {
    pub(super) key: LogKey,
    pub(super) run: Run,
    /// The time at which a sweep reads the run.
    pub(super) due: Option<Timestamp>,
    /// The end of the lease of its owner.
    pub(super) lease_until: Option<Timestamp>,
}

impl RunRow {
    pub(super) async fn read(evidence: Evidence<'_>, key: LogKey) -> Result<Option<Self>, Error> {
        let Some(item) = evidence.store().get_item(&key::run(key.tenant, key.run)).await? else {
            return Ok(None);
        };
        let due = due_at(&item);
        let lease_until = attribute_of::<i64>(&item, LEASE_UNTIL).map(Timestamp::from_millis);
        Ok(Some(Self { key, run: decode(item)?, due, lease_until }))
    }

    /// Returns `true` if the run waits for answers that can still be given, or that a sweep will close.
    pub(super) fn waits_for_answers(&self) -> bool {
        !self.run.interrupts.is_empty()
    }
}
