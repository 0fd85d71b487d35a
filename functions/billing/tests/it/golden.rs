//! The answers to the golden events.

use sequent_billing_function::openapi;
use sequent_http::testing::{
    Event,
    deployment::{Person, golden},
    golden::Golden,
};

use crate::deployment::{Deployment, TENANT};

struct Bench {
    deployment: Deployment,
    ada: Person,
}

impl Bench {
    async fn new() -> Self {
        let deployment = Deployment::new().await;
        let ada = deployment.sign_up("ada@example.com").await;
        Self { deployment, ada }
    }

    async fn answer(&self, case: &str) -> String {
        let event = golden("billing", case, &self.ada);
        goldens().render(&event, &self.deployment.send(&event).await)
    }
}

fn goldens() -> Golden {
    Golden::new("billing", &openapi())
        .redact_member("id")
        .redact_member("url")
        .redact_member("pdf")
        .redact_member("number")
}

#[test]
fn every_golden_event_has_a_test() {
    goldens().assert_all_tested(include_str!("golden.rs"));
}

#[tokio::test]
async fn a_new_tenant_has_its_welcome_credits_and_no_subscription() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("credits").await, @r#"
    200 application/json
    {
      "available": 1000000,
      "reserved": 0,
      "spent": 0,
      "expired": 0,
      "granted": 1000000,
      "adjusted": 0,
      "grants": [
        {
          "left": 1000000,
          "expires_at": null
        }
      ],
      "runs_under_way": 0,
      "plan": "free",
      "entitlements": {
        "models": null,
        "tools": null,
        "concurrent_runs": 3,
        "per_run": 1000000,
        "retention_days": null,
        "per_day": null
      },
      "frozen": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("ledger").await, @r#"
    200 application/json
    {
      "items": [
        {
          "id": "[redacted]",
          "at": "[time]",
          "cause": {
            "type": "sign_up"
          },
          "entries": [
            {
              "place": "granted",
              "amount": -1000000
            },
            {
              "place": "available",
              "amount": 1000000
            }
          ],
          "uncovered": 0
        }
      ],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("usage").await, @r#"
    200 application/json
    {
      "from": "[time]",
      "to": "[time]",
      "granted": 1000000,
      "adjusted": 0,
      "spent": 0,
      "expired": 0,
      "items": [],
      "complete": true
    }
    "#);
    insta::assert_snapshot!(bench.answer("subscription").await, @r#"
    200 application/json
    {
      "subscription": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("invoices").await, @r#"
    200 application/json
    {
      "items": [],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("portal").await, @r#"
    409 application/problem+json
    {
      "type": "/api/errors#nothing_bought",
      "title": "Conflict",
      "status": 409,
      "code": "nothing_bought",
      "detail": "The tenant has not bought anything yet. Start with POST /api/billing/checkout.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn a_plan_is_bought_and_managed_at_stripe() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("catalog").await, @r#"
    200 application/json
    {
      "plans": {
        "pro": {
          "prices": {
            "monthly": {
              "price": "price_pro",
              "credits": 20000000,
              "sold": true
            }
          },
          "trial_days": 0,
          "trial_credits": 0
        }
      },
      "packs": {
        "small": {
          "price": "price_small",
          "credits": 5000000,
          "expires_days": null
        }
      }
    }
    "#);
    insta::assert_snapshot!(bench.answer("checkout").await, @r#"
    201 application/json
    {
      "url": "[redacted]",
      "expires_at": "[time]"
    }
    "#);
    bench.deployment.pay().await;
    insta::assert_snapshot!(bench.answer("subscription").await, @r#"
    200 application/json
    {
      "subscription": {
        "id": "[redacted]",
        "plan": "pro",
        "status": "active",
        "current_period_end": "[time]",
        "cancels_at": null,
        "trial_end": null,
        "created_at": "[time]"
      }
    }
    "#);
    insta::assert_snapshot!(bench.answer("invoices").await, @r#"
    200 application/json
    {
      "items": [
        {
          "id": "[redacted]",
          "number": "[redacted]",
          "status": "paid",
          "total": 2000,
          "amount_paid": 2000,
          "currency": "usd",
          "created_at": "[time]",
          "url": "[redacted]",
          "pdf": null
        }
      ],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("portal").await, @r#"
    201 application/json
    {
      "url": "[redacted]",
      "expires_at": null
    }
    "#);
}

#[tokio::test]
async fn a_purchase_names_a_plan_or_a_pack() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("checkout-pack-and-plan").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#validation_failed",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "validation_failed",
      "detail": "The purchase names no plan or pack that can be bought.",
      "instance": "req_1",
      "errors": [
        {
          "pointer": "#/pack",
          "detail": "cannot be bought together with a plan"
        }
      ]
    }
    "##);
}

#[tokio::test]
async fn an_adjustment_is_posted_once() {
    let bench = Bench::new().await;
    let text = sequent_core::golden::text("billing", "adjust");
    let event = Event::from_text(&text.replace(TENANT, &bench.ada.tenant().to_string()));
    insta::assert_snapshot!(goldens().render(&event, &bench.deployment.send(&event).await), @r#"
    201 application/json
    {
      "id": "[redacted]",
      "at": "[time]",
      "cause": {
        "type": "admin",
        "key": "outage-3",
        "reason": "Goodwill for the outage of the 3rd."
      },
      "entries": [
        {
          "place": "adjustments",
          "amount": -5000000
        },
        {
          "place": "available",
          "amount": 5000000
        }
      ],
      "uncovered": 0
    }
    "#);
    insta::assert_snapshot!(goldens().render(&event, &bench.deployment.send(&event).await), @"204");
}
