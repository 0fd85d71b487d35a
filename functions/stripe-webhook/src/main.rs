//! The `stripe-webhook` function.

use sequent_http::{Error, Pipeline};
use sequent_stripe::WebhookSecrets;
use sequent_stripe_webhook_function::{Webhook, router};
use sequent_tables::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let secrets = WebhookSecrets::from_env(aws_sdk_secretsmanager::Client::new(&sdk));

    // Connections and keys exist before the first event. A secret that cannot be read yet is read then.
    let secret = async {
        if let Some(secrets) = &secrets {
            let _ = secrets.get().await;
        }
    };
    tokio::join!(store.warm(), secret);

    // No authenticator and no keys of ours: the signature is the credential, and there is nobody to count.
    sequent_http::run(Pipeline::new("stripe-webhook"), router(Webhook::new(store, secrets))).await
}
