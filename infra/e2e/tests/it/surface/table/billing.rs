//! The routes of credits and payments.

use serde_json::json;

use super::{Call, Entry, Foreign, entry, list};

pub(super) fn billing() -> Vec<Entry> {
    vec![
        entry("GET /api/billing/credits", "", |_| vec![Call::to("/api/billing/credits")]),
        entry("GET /api/billing/ledger", "limit cursor", |of| {
            list("/api/billing/ledger", &of.cursors.ledger)
        }),
        entry("GET /api/billing/usage", "from to by", |_| {
            ["", "?by=user", "?by=project&from=2026-01-01T00:00:00Z"]
                .map(|query| Call::to(format!("/api/billing/usage{query}")))
                .into()
        }),
        entry("GET /api/billing/catalog", "", |_| vec![Call::to("/api/billing/catalog").is(Foreign::Same)]),
        entry("GET /api/billing/subscription", "", |_| vec![Call::to("/api/billing/subscription")]),
        entry("GET /api/billing/invoices", "limit cursor", |of| {
            list("/api/billing/invoices", &of.cursors.invoices)
        }),
        entry("POST /api/billing/checkout", "Idempotency-Key plan price pack quantity", |of| {
            let buy = |body| Call::to("/api/billing/checkout").body(body);
            let pack = buy(json!({"pack": "small", "quantity": 1}));
            // Both tenants have a subscription already.
            let plan = buy(json!({"plan": "pro", "price": "monthly"})).is(Foreign::Same);
            vec![pack.clone(), pack.header("idempotency-key", &of.idempotency_key), plan]
        }),
        entry("POST /api/billing/portal", "", |_| vec![Call::to("/api/billing/portal")]),
        entry("POST /api/webhooks/stripe", "", |of| {
            // The event is not signed.
            let event = json!({"id": of.run, "type": "invoice.paid", "data": {"object": {"id": of.cursors.invoices}}});
            vec![Call::to("/api/webhooks/stripe").body(event).is(Foreign::Same)]
        }),
        entry("POST /api/admin/billing/adjustments", "tenant_id amount reason key", |of| {
            let body = json!({"tenant_id": of.tenant, "amount": 1_000_000, "reason": "mine", "key": "mine"});
            vec![Call::to("/api/admin/billing/adjustments").body(body).is(Foreign::Same)]
        }),
    ]
}
