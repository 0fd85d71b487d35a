//! Every movement of credits.

use axum::extract::State;
use sequent_billing::Posting;
use sequent_http::{Caller, Json, Limit, ListQuery, Problem, Query, Scope, openapi::Problems};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Billing;

/// One page of the ledger.
#[derive(Serialize, ToSchema)]
pub(crate) struct PostingList {
    items: Vec<Posting>,
    /// Where the next page starts; null at the end.
    next_cursor: Option<String>,
}

/// List the ledger.
///
/// Newest first; a run's posting stands where the run was asked for. The entries of a posting sum to zero, and those of all
/// postings to the balances, less what is held for runs under way.
#[utoipa::path(
    get,
    path = "/api/billing/ledger",
    operation_id = "list_ledger",
    tag = "billing",
    params(ListQuery),
    responses(
        (status = 200, description = "One page.", body = PostingList),
        (status = 404, description = "The deployment has no billing."),
        Problems
    ),
)]
pub(crate) async fn ledger(
    State(billing): State<Billing>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<PostingList>, Problem> {
    caller.require(Scope::Account)?;
    billing.terms()?;
    let secret = billing.vault.get().await?;
    let cursors = (secret.cursor(), query.cursor.as_deref());
    let page = billing.desk.ledger(caller.tenant).postings(cursors, query.limit.map(Limit::get)).await?;
    Ok(Json(PostingList { next_cursor: page.next_cursor(secret.cursor()), items: page.items }))
}
