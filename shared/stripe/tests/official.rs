//! The fields that we read exist in the objects that Stripe publishes, and the test server responds in their form.
//!
//! `official.json` holds the examples of <https://github.com/stripe/openapi> (`fixtures3.json`, MIT licence) for the objects
//! that are read here, unchanged.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use sequent_stripe::{
    Charge, Client, Customer, Dispute, Event, Invoice, NewCheckout, Price, Refund, Sale, Session,
    Subscription, price::SCALE, testing::Fake,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

fn official(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("official.json")).unwrap();
    all[name].clone()
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    T::deserialize(official(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_published_examples_are_read() {
    let subscription: Subscription = read("subscription");
    assert_eq!(subscription.items.data[0].price.id, "price_1PgafmB7WZ01zgkW6dKueIc5");
    assert!(subscription.status.entitles() && subscription.cancel_at.is_some());
    let invoice: Invoice = read("invoice");
    assert_eq!(
        (invoice.customer.as_deref(), invoice.lines.data[0].amount),
        (Some("cus_QXg1o8vcGmoR32"), 1000)
    );
    let session: Session = read("checkout.session");
    assert_eq!((session.mode.as_str(), session.payment_status.as_str()), ("payment", "unpaid"));
    assert_eq!(read::<Price>("price").amount_of(1_592_560_163, "usd"), Some(2000 * SCALE));
    assert!(read::<Refund>("refund").counts());
    assert!(!read::<Dispute>("dispute").status.is_open(), "an inquiry takes no money");
    assert!(!read::<Customer>("customer").deleted);
    read::<Charge>("charge");
    let event = Event::read(official("event").to_string().as_bytes()).unwrap();
    assert_eq!((event.event_type.as_deref(), event.subject), (Some("plan.created"), None));
}

/// Checks that every field of the test server exists in the published object, with the same type where both have a value.
fn fits(ours: &Value, theirs: &Value, at: &str, own: &[&str]) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in ours.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
                let at = format!("{at}.{name}");
                // Maps whose keys are ours.
                if !name.ends_with("metadata") && name != "currency_options" {
                    fits(
                        value,
                        theirs.get(name).unwrap_or_else(|| panic!("{at} is not published")),
                        &at,
                        own,
                    );
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            if let Some(theirs) = theirs.first() {
                ours.iter().for_each(|one| fits(one, theirs, at, own));
            }
        }
        (ours, theirs) => {
            let kind = std::mem::discriminant(ours) == std::mem::discriminant(theirs);
            assert!(
                ours.is_null() || theirs.is_null() || kind || theirs.is_boolean(),
                "{at}: {ours} is not {theirs}"
            );
        }
    }
}

#[tokio::test]
async fn our_own_server_answers_in_their_form() {
    let fake = Fake::new("", 1_763_700_000);
    fake.add_price("price_1", 2000, true);
    let client = Client::new(fake.clone());
    let customer = client.create_customer("k", "ten_1", Some("ada@example.com")).await.unwrap();
    let new = NewCheckout {
        customer: &customer.id,
        sale: Sale::Subscription(None, &[]),
        price: "price_1",
        quantity: 1,
        success_url: "https://example.com",
        cancel_url: "https://example.com",
    };
    let page = client.create_checkout("c", &new).await.unwrap();
    fake.pay(&page.id, true).unwrap();
    let payment = fake.all("payment_intent")[0]["id"].as_str().unwrap().to_owned();
    fake.refund(&payment, 5).unwrap();
    fake.dispute(&payment).unwrap();
    // Internal fields of the test server, and fields that exist only on request or in a newer example.
    let own = [
        "price",
        "trial_days",
        "subscription_metadata",
        "failed",
        "payments",
        "currency_options",
        "price_details",
    ];
    for name in
        ["customer", "subscription", "invoice", "checkout.session", "charge", "refund", "dispute", "price"]
    {
        for ours in fake.all(name) {
            fits(&ours, &official(name), name, &own);
        }
    }
    for event in fake.events() {
        fits(&event, &official("event"), "event", &["object", "api_version"]);
    }
}
