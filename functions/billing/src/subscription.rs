//! The subscription and the invoices of a tenant.

use axum::extract::State;
use sequent_core::Timestamp;
use sequent_http::{Caller, Json, Limit, ListQuery, ListResponse, Problem, Query, openapi::Problems};
use sequent_payments::Subscription;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;

/// Default number of invoices of a page.
const DEFAULT_LIMIT: u32 = 50;

type InvoiceList = ListResponse<Invoice>;

/// The subscription of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CurrentSubscription {
    /// The current subscription, or else the last one; null if there was none.
    subscription: Option<Subscription>,
}

/// An invoice, as Stripe keeps it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invoice {
    /// The id of the invoice at Stripe.
    id: String,
    /// The number that is printed on the invoice.
    number: Option<String>,
    /// `draft`, `open`, `paid`, `uncollectible` or `void`.
    #[schema(value_type = Option<String>)]
    status: Option<sequent_stripe::InvoiceStatus>,
    /// Total amount in the currency's smallest unit.
    total: i64,
    /// Paid amount in the currency's smallest unit.
    amount_paid: i64,
    /// Three letters, such as `usd`.
    currency: String,
    created_at: Timestamp,
    /// The page that shows the invoice and takes its payment.
    url: Option<String>,
    /// The invoice as a PDF file.
    pdf: Option<String>,
}

/// Get the subscription.
#[utoipa::path(
    get,
    path = "/api/billing/subscription",
    operation_id = "get_subscription",
    tag = "billing",
    responses(
        (status = 200, description = "The subscription.", body = CurrentSubscription),
        (status = 404, description = "The deployment sells nothing."),
        Problems
    ),
)]
pub(crate) async fn get_subscription(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<Json<CurrentSubscription>, Problem> {
    let subscription = app.payments()?.subscription(caller.tenant).await?;
    Ok(Json(CurrentSubscription { subscription }))
}

/// List the invoices.
///
/// Newest first, read from Stripe.
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
pub(crate) async fn list_invoices(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<InvoiceList>, Problem> {
    let limit = query.limit.map_or(DEFAULT_LIMIT, Limit::get);
    let page = app.payments()?.invoices(caller.tenant, limit, query.cursor.as_deref()).await?;
    // Stripe continues a list after the id of an object.
    let next_cursor = page.data.last().filter(|_| page.has_more).map(|last| last.id.clone());
    let items = page.data.into_iter().map(Invoice::from).collect();
    Ok(Json(ListResponse::from_parts(items, next_cursor)))
}

impl From<sequent_stripe::Invoice> for Invoice {
    fn from(invoice: sequent_stripe::Invoice) -> Self {
        Self {
            id: invoice.id,
            number: invoice.number,
            status: invoice.status,
            total: invoice.total,
            amount_paid: invoice.amount_paid,
            currency: invoice.currency,
            created_at: Timestamp::from_millis(invoice.created.saturating_mul(1000)),
            url: invoice.hosted_invoice_url,
            pdf: invoice.invoice_pdf,
        }
    }
}
