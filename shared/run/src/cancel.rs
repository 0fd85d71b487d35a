//! Stopping a run.

use sequent_domain::{RunId, TenantId, UserId};
use sequent_event::{Body, CancelReason, Outcome};
use sequent_runlog::{Claim, Control, DynamoStorage, Finish, LogKey, Settings, Signals, control, take_over};

use crate::{Error, Runs, Status, closing_bodies, finish, start::release_project};

/// What became of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// The owner was asked and will end the run at its next write or look.
    Requested,
    /// The run had no living owner, and was ended on the spot.
    Done,
    /// The run had ended before.
    AlreadyEnded,
}

/// Asks a run to stop, and ends it right here when nobody lives who could. What it said so far is kept.
///
/// # Errors
/// [`Error::NotFound`], or when the table or the log fails.
pub async fn cancel(
    storage: &DynamoStorage,
    settings: Settings,
    tenant: TenantId,
    run: RunId,
    by: Option<UserId>,
    reason: CancelReason,
) -> Result<Cancel, Error> {
    let key = LogKey { tenant, run };
    match control(storage, key, Body::CancelRequested { by, reason }).await? {
        Control::Missing => return Err(Error::NotFound),
        Control::Closed => return Ok(Cancel::AlreadyEnded),
        Control::Appended(_) => {}
    }
    end_if_abandoned(storage, settings, key).await
}

/// Ends a cancelled run whose owner is gone, or that nobody has begun.
///
/// # Errors
/// [`Error::NotFound`], or when the table or the log fails.
pub async fn end_if_abandoned(
    storage: &DynamoStorage,
    settings: Settings,
    key: LogKey,
) -> Result<Cancel, Error> {
    let row = Runs::new(storage.store(), key.tenant).get(key.run).await?;
    // A run that nobody has begun holds no project yet and needs none to end.
    let pending = row.status == Status::Pending;
    let writer = match take_over(storage, key, settings, pending, None).await? {
        Claim::Won(writer) => writer,
        Claim::Closed => return Ok(Cancel::AlreadyEnded),
        Claim::Held | Claim::Missing => return Ok(Cancel::Requested),
    };
    loop {
        let known: Signals = *writer.signals().borrow();
        let mut bodies = closing_bodies(writer.opening());
        bodies.push(Body::RunFinished {
            thread_id: row.project_id,
            run_id: row.id,
            outcome: Outcome::Cancelled,
        });
        if let Finish::Done(_) = finish(storage, &writer, key.tenant, &row, known, bodies).await? {
            // Whoever was about to begin it may have taken the project for it.
            release_project(storage, key, row.project_id).await?;
            return Ok(Cancel::Done);
        }
    }
}
