//! What is subscribed to, and the invoices.

use axum::extract::State;
use sequent_core::Timestamp;
use sequent_http::{Caller, Json, Limit, ListQuery, Problem, Query, Scope, openapi::Problems};
use sequent_payments::Subscription;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Billing;

/// Invoices of a page, unless the caller says otherwise.
const USUAL: u32 = 50;

/// What is subscribed to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Subscribed {
    /// The subscription that counts, or the last one that did; null if there was none.
    subscription: Option<Subscription>,
}

/// An invoice.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invoice {
    /// Its id at Stripe.
    id: String,
    /// Its number, as it is printed.
    number: Option<String>,
    /// `draft`, `open`, `paid`, `uncollectible` or `void`.
    #[schema(value_type = Option<String>)]
    status: Option<sequent_stripe::InvoiceStatus>,
    /// What it comes to, in the currency's smallest unit.
    total: i64,
    /// What was paid of it.
    amount_paid: i64,
    /// Three letters, such as `usd`.
    currency: String,
    created_at: Timestamp,
    /// Where it can be seen and paid.
    url: Option<String>,
    /// Its document.
    pdf: Option<String>,
}

/// One page of the invoices.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InvoiceList {
    items: Vec<Invoice>,
    /// Where the next page starts; null at the end.
    next_cursor: Option<String>,
}

/// Get the subscription.
#[utoipa::path(
    get,
    path = "/api/billing/subscription",
    operation_id = "get_subscription",
    tag = "billing",
    responses(
        (status = 200, description = "What is subscribed to.", body = Subscribed),
        (status = 404, description = "The deployment sells nothing."),
        Problems
    ),
)]
pub(crate) async fn subscription(
    State(billing): State<Billing>,
    Caller(caller): Caller,
) -> Result<Json<Subscribed>, Problem> {
    caller.require(Scope::Account)?;
    let subscription = billing.payments()?.subscription(caller.tenant).await?;
    Ok(Json(Subscribed { subscription }))
}

/// List the invoices.
///
/// Newest first, as Stripe has them.
#[utoipa::path(
    get,
    path = "/api/billing/invoices",
    operation_id = "list_invoices",
    tag = "billing",
    params(ListQuery),
    responses(
        (status = 200, description = "One page.", body = InvoiceList),
        (status = 404, description = "The deployment sells nothing."),
        Problems
    ),
)]
pub(crate) async fn invoices(
    State(billing): State<Billing>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<InvoiceList>, Problem> {
    caller.require(Scope::Account)?;
    let payments = billing.payments()?;
    let after = query.cursor.as_deref();
    let limit = query.limit.map_or(USUAL, Limit::get);
    let page = payments.invoices(caller.tenant, limit, after).await?;
    let next_cursor = page.data.last().filter(|_| page.has_more).map(|last| last.id.clone());
    Ok(Json(InvoiceList { items: page.data.into_iter().map(Invoice::from).collect(), next_cursor }))
}

impl From<sequent_stripe::Invoice> for Invoice {
    fn from(of: sequent_stripe::Invoice) -> Self {
        Self {
            id: of.id,
            number: of.number,
            status: of.status,
            total: of.total,
            amount_paid: of.amount_paid,
            currency: of.currency,
            created_at: Timestamp::from_millis(of.created.saturating_mul(1000)),
            url: of.hosted_invoice_url,
            pdf: of.invoice_pdf,
        }
    }
}
