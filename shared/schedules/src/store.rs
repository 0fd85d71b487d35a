//! The schedules of all tenants in the table.

use sequent_core::{Principal, ScheduleId, Scope, TenantId, Timestamp};
use sequent_tables::{
    CursorKey, Label, Page, PageRequest, Retry, Store, Transaction, Update, Write, attribute,
    attributes::QUEUED_AT, exists, key,
};

use crate::{Error, OverlapPolicy, Schedule, ScheduleChange, ScheduleSpec};

/// Schedules of a tenant at most.
pub const MAX_SCHEDULES: u32 = 100;
/// Attribute of the settings that counts the schedules.
const COUNT: &str = "schedules";

const ROW: Label = Label::new("schedule");
const ROOM: Label = Label::new("room");

/// The schedules of all tenants. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Schedules {
    store: Store,
}

impl Schedules {
    /// The schedules in `store`.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Creates a schedule, if the tenant has room for it.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::Scope`], one of the errors about its fields, or when the table fails.
    pub async fn create(
        &self,
        caller: &Principal,
        spec: ScheduleSpec,
        now: Timestamp,
    ) -> Result<Schedule, Error> {
        spec.check()?;
        let schedule = Schedule::new(spec, caller, now);
        authorise(&schedule, caller)?;
        if schedule.next_due.is_none() {
            return Err(Error::NeverDue);
        }
        let has_room = attribute(COUNT).is_none().or(attribute(COUNT).is_below(MAX_SCHEDULES));
        let count = Update::of(&key::schedule_settings(caller.tenant)).add(COUNT, 1).when(has_room);
        let transaction =
            Transaction::new().write(Write::insert(schedule.row(caller.tenant)?)).write(count).label(ROOM);
        match self.store.commit(transaction, Retry::CONTENDED).await {
            Ok(()) => Ok(schedule),
            Err(cancelled) if cancelled.refused(ROOM) => Err(Error::TooMany),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Reads a schedule.
    ///
    /// # Errors
    /// [`Error::NotFound`], or when the table fails.
    pub async fn get(&self, tenant: TenantId, id: ScheduleId) -> Result<Schedule, Error> {
        self.store.get(&key::schedule(tenant, id)).await?.ok_or(Error::NotFound)
    }

    /// Reads a page of a tenant's schedules, newest first.
    ///
    /// # Errors
    /// [`Error::Cursor`], or when the table fails.
    pub async fn list(
        &self,
        tenant: TenantId,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Schedule>, Error> {
        let request = PageRequest::new(key::schedules(tenant)).limit(limit);
        Ok(self.store.page(&request.cursor(cursors, cursor)?).await?)
    }

    /// Changes a schedule.
    ///
    /// # Errors
    /// [`Error::NotFound`], or as [`create`](Self::create).
    pub async fn change(
        &self,
        caller: &Principal,
        id: ScheduleId,
        change: &ScheduleChange,
        now: Timestamp,
    ) -> Result<Schedule, Error> {
        let mut tries = Retry::CONTENDED.tries();
        loop {
            let before = self.get(caller.tenant, id).await?;
            let after = before.changed(change.clone(), caller, now)?;
            if before.is_taken_over_by(change) {
                authorise(&after, caller)?;
            }
            if self.replace(caller.tenant, &before, &after).await? {
                return Ok(after);
            }
            if !tries.pause().await {
                return Err(Error::Contended);
            }
        }
    }

    /// Deletes a schedule. Its runs stay.
    ///
    /// # Errors
    /// [`Error::NotFound`], or when the table fails.
    pub async fn delete(&self, tenant: TenantId, id: ScheduleId) -> Result<(), Error> {
        let count = Update::of(&key::schedule_settings(tenant)).add(COUNT, -1).when(exists());
        let transaction = Transaction::new()
            .write(Write::delete(&key::schedule(tenant, id)).when(exists()))
            .label(ROW)
            .write(count);
        match self.store.commit(transaction, Retry::CONTENDED).await {
            Ok(()) => Ok(()),
            Err(cancelled) if cancelled.refused(ROW) => Err(Error::NotFound),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Replaces `before`, as it was read, with `after`. Returns `false` if the schedule was changed or deleted meanwhile.
    pub(crate) async fn replace(
        &self,
        tenant: TenantId,
        before: &Schedule,
        after: &Schedule,
    ) -> Result<bool, Error> {
        Ok(self.store.write_if(replacement(tenant, before, after)?).await?)
    }
}

/// The write that replaces `before`, as it was read, with `after`. Each write increments the revision, so one of several
/// processes that have read the same row replaces it.
pub(crate) fn replacement(
    tenant: TenantId,
    before: &Schedule,
    after: &Schedule,
) -> Result<Write, sequent_tables::Error> {
    let row = after.row(tenant)?;
    let missed = after.last_missed.last().filter(|_| after.counts.missed > before.counts.missed);
    let row = match missed {
        // Has the stream of the table carry the row to the function that tells webhooks.
        Some(due) => row.set(QUEUED_AT, due.millis()),
        None => row,
    };
    Ok(Write::put(row).when(attribute("revision").equals(before.revision)))
}

/// Checks that the caller may have runs cancelled, if the schedule does so.
fn authorise(schedule: &Schedule, caller: &Principal) -> Result<(), Error> {
    if schedule.spec.overlap == OverlapPolicy::Cancel {
        caller.require(Scope::RunsWrite)?;
    }
    Ok(())
}
