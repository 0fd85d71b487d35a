//! Buying: what is for sale, and the pages at Stripe on which it is paid for and managed.

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_core::Timestamp;
use sequent_http::{Caller, Json, Problem, Scope, idempotency::IdempotencyKey, openapi::Problems};
use sequent_payments::{Article, Buyer, Catalog};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Billing;

/// What to buy: a plan or a pack of the catalog.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Purchase {
    /// The plan to subscribe to.
    plan: Option<String>,
    /// Which of the plan's prices; not needed if it has only one.
    price: Option<String>,
    /// The pack of credits to buy.
    pack: Option<String>,
    /// How many packs: 1 to 100, 1 if not given.
    #[schema(minimum = 1, maximum = 100)]
    quantity: Option<u32>,
}

/// A page at Stripe.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page {
    /// Where to send the browser.
    url: String,
    /// Until when it can be used; null if Stripe does not say.
    expires_at: Option<Timestamp>,
}

/// Get what is for sale.
///
/// Prices are Stripe's: ask there, or show them on the page that a checkout leads to.
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
pub(crate) async fn catalog(
    State(billing): State<Billing>,
    Caller(caller): Caller,
) -> Result<Json<Catalog>, Problem> {
    caller.require(Scope::Account)?;
    let mut catalog = billing.payments()?.catalog().clone();
    for plan in catalog.plans.values_mut() {
        plan.prices.retain(|_, price| price.sold);
    }
    catalog.plans.retain(|_, plan| !plan.prices.is_empty());
    Ok(Json(catalog))
}

/// Buy a plan or credits.
///
/// Answers with a page at Stripe. What was bought is there as soon as Stripe has said that it was paid, which is usually
/// before the browser is back at `/billing?checkout=success`. With an `Idempotency-Key` a repeated request gives the same
/// page for a day.
#[utoipa::path(
    post,
    path = "/api/billing/checkout",
    operation_id = "create_checkout",
    tag = "billing",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request the same one.")),
    request_body = Purchase,
    responses(
        (status = 201, description = "Where to pay.", body = Page),
        (status = 404, description = "The deployment sells nothing."),
        (status = 409, description = "There is a subscription already (`already_subscribed`)."),
        (status = 422, description = "It is not for sale (`not_for_sale`)."),
        Problems
    ),
)]
pub(crate) async fn checkout(
    State(billing): State<Billing>,
    Caller(caller): Caller,
    key: Option<IdempotencyKey>,
    Json(wanted): Json<Purchase>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    let (payments, back) = (billing.payments()?, billing.back()?);
    let article = wanted.article()?;
    let email = billing.email(&caller).await?;
    let buyer = Buyer {
        tenant: caller.tenant,
        email: email.as_deref(),
        key: key.as_ref().map(IdempotencyKey::as_str),
    };
    let page = payments.checkout(buyer, article, &back).await?;
    let url = page.url.ok_or_else(|| Problem::unavailable("Stripe made a checkout without a page"))?;
    let expires_at = Some(Timestamp::from_millis(page.expires_at.saturating_mul(1000)));
    Ok((StatusCode::CREATED, Json(Page { url, expires_at })))
}

/// Manage the subscription.
///
/// Answers with a page at Stripe for changing or cancelling it, for ways to pay and for invoices. It can be used for some
/// minutes.
#[utoipa::path(
    post,
    path = "/api/billing/portal",
    operation_id = "create_portal",
    tag = "billing",
    responses(
        (status = 201, description = "Where to go.", body = Page),
        (status = 404, description = "The deployment sells nothing."),
        (status = 409, description = "Nothing has been bought yet (`nothing_bought`)."),
        Problems
    ),
)]
pub(crate) async fn portal(
    State(billing): State<Billing>,
    Caller(caller): Caller,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    let (payments, back) = (billing.payments()?, billing.back()?);
    let buyer = Buyer { tenant: caller.tenant, email: None, key: None };
    let url = payments.portal(buyer, &back).await?;
    Ok((StatusCode::CREATED, Json(Page { url, expires_at: None })))
}

impl Purchase {
    fn article(&self) -> Result<Article<'_>, Problem> {
        let refused =
            |at: &str, why: &'static str| Err(Problem::invalid("It cannot be bought like this.").at(at, why));
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
