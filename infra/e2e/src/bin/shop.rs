//! The shop whose orders an HTTP tool reads and refunds, as a process.
//!
//!   sequent-e2e-shop ADDRESS SIGNING_SECRET
//!
//! `SIGNING_SECRET` is the `signing_secret` in the response that created the tool. It prints each request.

use std::{io::Write, time::Duration};

use sequent_core::SecretString;
use sequent_e2e::shop::Shop;
use sequent_webhooks::signature::SigningSecret;

type Failure = Box<dyn std::error::Error>;

/// Polling interval for new requests.
const PAUSE: Duration = Duration::from_millis(50);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |name: &str| arguments.next().ok_or_else(|| format!("{name} is missing"));
    let address = argument("ADDRESS")?;
    let secret = SecretString::from(argument("SIGNING_SECRET")?);
    let shop = Shop::default();
    shop.trust(SigningSecret::parse(&secret)?);
    let listener = tokio::net::TcpListener::bind(&address).await?;
    let mut out = std::io::stdout();
    writeln!(out, "http://{}", listener.local_addr()?)?;
    out.flush()?;
    let router = shop.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut printed = 0;
    loop {
        let received = shop.received();
        for request in &received[printed..] {
            let signed = if request.signed.is_some() { "signed" } else { "not signed" };
            writeln!(out, "{} {signed} {}", request.line, request.key)?;
        }
        out.flush()?;
        printed = received.len();
        tokio::time::sleep(PAUSE).await;
    }
}
