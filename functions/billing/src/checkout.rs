//! The catalog, and the pages at Stripe for buying and for managing a subscription.

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_core::Timestamp;
use sequent_http::{Caller, Json, Problem, PublicOrigin, idempotency::IdempotencyKey, openapi::Problems};
use sequent_payments::{Article, Buyer, Catalog};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::App;

/// A plan or a pack of the catalog to buy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Purchase {
    /// The plan to subscribe to.
    plan: Option<String>,
    /// The price of the plan. Not needed if the plan has only one.
    price: Option<String>,
    /// The pack of credits to buy.
    pack: Option<String>,
    /// Number of packs: 1 to 100, 1 if not given.
    #[schema(minimum = 1, maximum = 100)]
    quantity: Option<u32>,
}

/// A page at Stripe.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StripePage {
    /// The address to open in the browser.
    url: String,
    /// The end of the page's validity; null if Stripe does not report it.
    expires_at: Option<Timestamp>,
}

/// Get the catalog.
///
/// Lists the plans and packs for sale. Stripe keeps the prices: read them there, or show them on the page of
/// a checkout.
#[utoipa::path(
    get,
    path = "/api/billing/catalog",
    operation_id = "get_catalog",
    tag = "billing",
    responses(
        (status = 200, description = "Plans and packs by their names.", body = Catalog),
        (status = 404, description = "The deployment sells nothing."),
        Problems
    ),
)]
pub(crate) async fn get_catalog(State(app): State<App>, _caller: Caller) -> Result<Json<Catalog>, Problem> {
    let mut catalog = app.payments()?.catalog().clone();
    for plan in catalog.plans.values_mut() {
        plan.prices.retain(|_, price| price.sold);
    }
    catalog.plans.retain(|_, plan| !plan.prices.is_empty());
    Ok(Json(catalog))
}

/// Create a checkout for a plan or for credits.
///
/// Returns a page at Stripe. The purchase takes effect when Stripe reports the payment, usually before the
/// browser returns to `/billing?checkout=success`. With an `Idempotency-Key` a repeated request returns the
/// same page for a day.
#[utoipa::path(
    post,
    path = "/api/billing/checkout",
    operation_id = "create_checkout",
    tag = "billing",
    params(IdempotencyKey),
    request_body = Purchase,
    responses(
        (status = 201, description = "The page for the payment.", body = StripePage),
        (status = 404, description = "The deployment sells nothing."),
        (status = 409, description = "The tenant has a subscription (`already_subscribed`)."),
        (status = 422, description = "The plan or pack is not for sale (`not_for_sale`)."),
        Problems
    ),
)]
pub(crate) async fn create_checkout(
    State(app): State<App>,
    Caller(caller): Caller,
    PublicOrigin(origin): PublicOrigin,
    key: Option<IdempotencyKey>,
    Json(purchase): Json<Purchase>,
) -> Result<impl IntoResponse, Problem> {
    let payments = app.payments()?;
    let article = purchase.article()?;
    let email = app.email(&caller).await?;
    let key = key.as_ref().map(IdempotencyKey::as_str);
    let buyer = Buyer { tenant: caller.tenant, email: email.as_deref(), key };
    let page = payments.checkout(buyer, article, &return_url(&origin)).await?;
    let url = page.url.ok_or_else(|| Problem::unavailable("Stripe created a checkout without a page"))?;
    let expires_at = Some(Timestamp::from_millis(page.expires_at.saturating_mul(1000)));
    Ok((StatusCode::CREATED, Json(StripePage { url, expires_at })))
}

/// Create a page to manage the subscription.
///
/// Returns a page at Stripe on which the subscription can be changed or cancelled, with payment methods and
/// invoices. The page is valid for some minutes.
#[utoipa::path(
    post,
    path = "/api/billing/portal",
    operation_id = "create_portal",
    tag = "billing",
    responses(
        (status = 201, description = "The page.", body = StripePage),
        (status = 404, description = "The deployment sells nothing."),
        (status = 409, description = "The tenant has bought nothing (`nothing_bought`)."),
        Problems
    ),
)]
pub(crate) async fn create_portal(
    State(app): State<App>,
    Caller(caller): Caller,
    PublicOrigin(origin): PublicOrigin,
) -> Result<impl IntoResponse, Problem> {
    let payments = app.payments()?;
    let buyer = Buyer { tenant: caller.tenant, email: None, key: None };
    let url = payments.portal(buyer, &return_url(&origin)).await?;
    Ok((StatusCode::CREATED, Json(StripePage { url, expires_at: None })))
}

/// Returns the page to which people return from Stripe.
fn return_url(origin: &str) -> String {
    format!("{origin}/billing")
}

impl Purchase {
    fn article(&self) -> Result<Article<'_>, Problem> {
        let refused = |at: &str, rule: &'static str| {
            Err(Problem::invalid("The purchase names no plan or pack that can be bought.").at(at, rule))
        };
        match (&self.plan, &self.pack) {
            (Some(_), Some(_)) => refused("/pack", "cannot be bought together with a plan"),
            (None, None) => refused("/plan", "is missing: name a plan or a pack of GET /api/billing/catalog"),
            (Some(_), None) if self.quantity.is_some() => refused("/quantity", "is for packs only"),
            (Some(plan), None) => Ok(Article::Plan { plan, price: self.price.as_deref() }),
            (None, Some(_)) if self.price.is_some() => refused("/price", "is for plans only"),
            (None, Some(pack)) => match self.quantity.unwrap_or(1) {
                quantity @ 1..=100 => Ok(Article::Pack { pack, quantity }),
                _ => refused("/quantity", "must be 1 to 100"),
            },
        }
    }
}
