//! The `stripe-webhook` function: accepts signed events of Stripe.

use sequent_core::setting;
use sequent_http::{Error, Pipeline};
use sequent_stripe::WebhookSecrets;
use sequent_stripe_webhook_function::{App, router};
use sequent_tables::{SecretTable, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let has_billing = setting::text("BILLING").as_deref() == Some("on");
    let table = SecretTable::from_env(&sdk)?;
    let secrets = has_billing.then(|| WebhookSecrets::stored(&table));

    // Opens connections and reads the secret before the first event, which retries a failed read.
    let secret = async {
        if let Some(secrets) = &secrets {
            let _ = secrets.get().await;
        }
    };
    tokio::join!(store.warm(), secret);

    // No authenticator, no keys and no rate limits: the signature is the credential.
    sequent_http::run(Pipeline::new("stripe-webhook")?, router(App::new(store, secrets))).await
}
