//! The ledger of a tenant.

use axum::extract::State;
use sequent_billing::Posting;
use sequent_http::{Caller, Json, Limit, ListQuery, ListResponse, Problem, Query, openapi::Problems};

use crate::App;

type PostingList = ListResponse<Posting>;

/// List the postings of the ledger.
///
/// Newest first. The posting of a run has the time at which the run was created. The entries of a posting sum
/// to zero. The entries of all postings sum to the balances, except for credits that live runs hold.
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
pub(crate) async fn list_ledger(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<PostingList>, Problem> {
    app.terms()?;
    let secret = app.vault.get().await?;
    let ledger = app.credits.ledger(caller.tenant);
    let limit = query.limit.map(Limit::get);
    let page = ledger.postings(secret.cursor(), query.cursor.as_deref(), limit).await?;
    Ok(Json(ListResponse::new(page, secret.cursor())))
}
