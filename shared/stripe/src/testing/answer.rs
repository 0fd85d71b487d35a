//! Routing and responses of the test server.

use serde_json::{Map, Value, json};

use super::world::World;
use crate::{Answer, Method, Request};

type Outcome = Result<Value, (u16, &'static str, String)>;

/// Responds to a request. The same idempotency key gets the same response.
pub(super) fn answer(world: &mut World, request: &Request) -> Answer {
    if request.idempotency_key.as_ref().is_some_and(|key| key.len() > 255) {
        return answered(Err((400, "", "An idempotency key has at most 255 characters.".to_owned())));
    }
    if let Some(key) = &request.idempotency_key
        && let Some((path, form, answer)) = world.answered.get(key)
    {
        if (path, form) == (&request.path, &request.form) {
            return answer.clone();
        }
        let why = "Keys for idempotent requests can only be used with the same parameters they were first used with.";
        return answered(Err((400, "idempotency_error", why.to_owned())));
    }
    let outcome = match request.method {
        Method::Get => get(world, request),
        Method::Post => post(world, request),
    };
    let answer = answered(outcome);
    if let Some(key) = request.idempotency_key.clone() {
        world.answered.insert(key, (request.path.clone(), request.form.clone(), answer.clone()));
    }
    answer
}

fn answered(outcome: Outcome) -> Answer {
    let (status, body) = match outcome {
        Ok(body) => (200, body),
        Err((status, code, message)) => {
            let error = json!({"type": "invalid_request_error", "code": code, "message": message});
            (status, json!({"error": error}))
        }
    };
    Answer { status, body, should_retry: None, request_id: Some("req_fake".to_owned()) }
}

fn missing(what: &str, id: &str) -> (u16, &'static str, String) {
    (404, "resource_missing", format!("No such {what}: '{id}'"))
}

fn value<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.form.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
}

fn get(world: &World, request: &Request) -> Outcome {
    let parts: Vec<&str> = request.path.trim_start_matches("/v1/").split('/').collect();
    match parts.as_slice() {
        ["invoices", id, "lines"] => {
            let invoice = world.objects.get(*id).ok_or_else(|| missing("invoice", id))?;
            Ok(invoice["lines"].clone())
        }
        ["invoice_payments"] => {
            let intent = value(request, "payment[payment_intent]");
            let invoices = world.objects.values().filter(|object| object["object"] == "invoice");
            let payments =
                invoices.flat_map(|invoice| invoice["payments"]["data"].as_array().into_iter().flatten());
            page(request, payments.filter(|one| one["payment"]["payment_intent"].as_str() == intent))
        }
        ["events"] => {
            let since: i64 = value(request, "created[gte]").and_then(|text| text.parse().ok()).unwrap_or(0);
            let wanted = |event: &Value| {
                request.form.iter().any(|(name, value)| name == "types[]" && event["type"] == value.as_str())
            };
            let open = world.events.iter().filter(|(event, delivered)| {
                !delivered && event["created"].as_i64().is_some_and(|at| at >= since) && wanted(event)
            });
            page(request, open.map(|(event, _)| event))
        }
        ["checkout", "sessions"] => list(world, request, "checkout.session"),
        ["checkout", "sessions", id] => object(world, request, "checkout.session", id),
        [name] => list(world, request, name.trim_end_matches('s')),
        [name, id] => object(world, request, name.trim_end_matches('s'), id),
        _ => Err((404, "", format!("Unrecognized request URL (GET: {})", request.path))),
    }
}

fn object(world: &World, request: &Request, kind: &str, id: &str) -> Outcome {
    let found = world.objects.get(id).filter(|object| object["object"] == kind);
    let mut found = found.cloned().ok_or_else(|| missing(kind, id))?;
    let expanded = |name: &str| request.form.contains(&("expand[]".to_owned(), name.to_owned()));
    if kind == "invoice" {
        shorten(&mut found, expanded("payments"));
    }
    if let Some(price) = found.as_object_mut().filter(|_| kind == "price") {
        conceal(price, expanded);
    }
    Ok(found)
}

/// Reduces a price to its response: currencies and tiers only if they are expanded, the tiers of each currency by its name.
fn conceal(price: &mut Map<String, Value>, expanded: impl Fn(&str) -> bool) {
    if !expanded("tiers") {
        price.remove("tiers");
    }
    if !expanded("currency_options") {
        price.remove("currency_options");
    }
    let currencies = price.get_mut("currency_options").and_then(Value::as_object_mut);
    for (currency, rate) in currencies.into_iter().flatten() {
        if let Some(rate) =
            rate.as_object_mut().filter(|_| !expanded(&format!("currency_options.{currency}.tiers")))
        {
            rate.remove("tiers");
        }
    }
}

/// Reduces an invoice to its response: at most ten lines, and payments only if they are expanded.
fn shorten(invoice: &mut Value, payments: bool) {
    if let Some(lines) = invoice["lines"]["data"].as_array_mut().filter(|lines| lines.len() > 10) {
        lines.truncate(10);
        invoice["lines"]["has_more"] = json!(true);
    }
    if let Some(object) = invoice.as_object_mut().filter(|_| !payments) {
        object.remove("payments");
    }
}

fn list(world: &World, request: &Request, kind: &str) -> Outcome {
    let filters = ["customer", "payment_intent"].map(|name| (name, value(request, name)));
    let found = world.objects.values().filter(|object| {
        object["object"] == kind
            && filters.iter().all(|(name, wanted)| wanted.is_none() || object[*name].as_str() == *wanted)
    });
    let mut page = page(request, found)?;
    for invoice in page["data"].as_array_mut().into_iter().flatten().filter(|_| kind == "invoice") {
        shorten(invoice, false);
    }
    Ok(page)
}

/// Returns a page, newest first, starting after `starting_after`.
fn page<'a>(request: &Request, all: impl Iterator<Item = &'a Value>) -> Outcome {
    let limit: usize = value(request, "limit").and_then(|text| text.parse().ok()).unwrap_or(10);
    let mut all: Vec<&Value> = all.collect();
    all.reverse();
    let from = match value(request, "starting_after") {
        Some(after) => match all.iter().position(|one| one["id"] == after) {
            Some(place) => place + 1,
            None => return Err((400, "resource_missing", format!("No such object: '{after}'"))),
        },
        None => 0,
    };
    let rest = &all[from..];
    let data: Vec<_> = rest.iter().take(limit).collect();
    Ok(json!({"object": "list", "has_more": rest.len() > data.len(), "data": data}))
}

fn post(world: &mut World, request: &Request) -> Outcome {
    if request.idempotency_key.is_none() {
        return Err((400, "idempotency_key_missing", "This server requires an idempotency key.".to_owned()));
    }
    match request.path.as_str() {
        "/v1/customers" => {
            let id = world.id("cus");
            let metadata = json!({"tenant_id": value(request, "metadata[tenant_id]")});
            let made = json!({"id": id, "object": "customer", "email": value(request, "email"), "metadata": metadata});
            world.objects.insert(id.clone(), made.clone());
            world.record("customer.created", &id);
            Ok(made)
        }
        "/v1/checkout/sessions" => session(world, request),
        "/v1/billing_portal/sessions" => {
            let customer = customer(world, request)?;
            Ok(
                json!({"object": "billing_portal.session", "url": format!("https://billing.example.com/{customer}")}),
            )
        }
        "/v1/billing/meter_events" => {
            let identifier = value(request, "identifier").unwrap_or_default().to_owned();
            if world.objects.contains_key(&identifier) {
                return Err((400, "", format!("An event already exists with identifier {identifier}.")));
            }
            let made = json!({
                "object": "billing.meter_event", "identifier": identifier, "event_name": value(request, "event_name"),
                "payload": {
                    "stripe_customer_id": value(request, "payload[stripe_customer_id]"),
                    "value": value(request, "payload[value]"),
                },
            });
            world.objects.insert(identifier, made.clone());
            Ok(made)
        }
        path => Err((404, "", format!("Unrecognized request URL (POST: {path})"))),
    }
}

fn customer(world: &World, request: &Request) -> Result<String, (u16, &'static str, String)> {
    let customer = value(request, "customer").unwrap_or_default();
    match world.objects.get(customer) {
        Some(found) if found["deleted"] != true => Ok(customer.to_owned()),
        _ => Err((400, "resource_missing", format!("No such customer: '{customer}'"))),
    }
}

fn session(world: &mut World, request: &Request) -> Outcome {
    let customer = customer(world, request)?;
    let price = value(request, "line_items[0][price]").unwrap_or_default().to_owned();
    let quantity: i64 =
        value(request, "line_items[0][quantity]").and_then(|text| text.parse().ok()).unwrap_or(1);
    let found = world.objects.get(&price).filter(|object| object["object"] == "price");
    let Some(found) = found else {
        return Err((400, "resource_missing", format!("No such price: '{price}'")));
    };
    let mode = value(request, "mode").unwrap_or_default().to_owned();
    if (mode == "subscription") == found["recurring"].is_null() {
        return Err((400, "", format!("The price `{price}` cannot be used in `{mode}` mode.")));
    }
    let amount = found["unit_amount"].as_i64().unwrap_or(0) * quantity;
    let metadata = |prefix: &str| {
        let written = request.form.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix(prefix)?.strip_suffix(']')?;
            Some((name.to_owned(), json!(value)))
        });
        written.collect::<serde_json::Map<String, Value>>()
    };
    let id = world.id("cs_test");
    let made = json!({
        "id": id, "object": "checkout.session", "customer": customer, "mode": mode, "status": "open",
        "payment_status": "unpaid", "amount_total": amount, "currency": "usd", "created": world.now,
        "expires_at": world.now + 24 * 3600, "payment_intent": null, "subscription": null,
        "metadata": metadata("metadata["), "subscription_metadata": metadata("subscription_data[metadata]["),
        "url": format!("https://checkout.example.com/{id}"), "price": price,
        "trial_days": value(request, "subscription_data[trial_period_days]").and_then(|days| days.parse::<i64>().ok()),
    });
    world.objects.insert(id, made.clone());
    Ok(made)
}
