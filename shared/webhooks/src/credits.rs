//! `compare_credits`: the job that announces `credits.low` after a run.

use std::{sync::Arc, time::Duration};

use sequent_billing::{LowBalance, LowCredits};
use sequent_core::{TenantId, Timestamp};
use sequent_jobs::{Context, Done, Failed, JobKind, RetryPolicy};
use sequent_tables::{Error as TableError, Row, Write};
use serde_json::json;

use crate::{EventType, WebhookEvent, announcement};

/// `compare_credits`: announces that the credits of a tenant are low, once after each grant.
#[derive(Debug, Clone, Copy, Default)]
pub struct CompareCredits;

impl JobKind for CompareCredits {
    const TYPE: &'static str = LowCredits::JOB;
    /// Runs that begin and end at the same time change the account.
    const RETRY: RetryPolicy =
        RetryPolicy { attempts: 20, first: Duration::from_secs(1), longest: Duration::from_secs(300) };
    const IS_INTERNAL: bool = true;
    type Input = LowCredits;

    fn key(_: &LowCredits) -> Option<String> {
        None
    }

    async fn run(&self, input: LowCredits, context: Context) -> Result<Done, Failed> {
        let tenant = context.tenant;
        let low = input.compare(context.store(), tenant).await.map_err(Failed::retry)?;
        let Some(low) = low else {
            return Ok(Done::text("The credits are not low, or the tenant was told."));
        };
        let row = announced(tenant, &input, &low).map_err(|error| Failed::Poison(error.to_string()))?;
        let note = low.note;
        let writes = Arc::new(move |transaction: sequent_tables::Transaction| {
            transaction.write(note.clone()).write(Write::put(row.clone()))
        });
        Ok(Done { writes: Some(writes), ..Done::text("The tenant is told that its credits are low.") })
    }
}

/// The announcement. Its cause is the latest grant: a tenant is told once after each.
fn announced(tenant: TenantId, input: &LowCredits, low: &LowBalance) -> Result<Row, TableError> {
    let data = json!({
        "balance": low.available,
        "threshold": input.threshold,
        "run_id": input.run_id,
    });
    let cause = format!("{tenant} {}", low.grant);
    announcement(tenant, &WebhookEvent::new(EventType::CreditsLow, Timestamp::now(), cause, data))
}
