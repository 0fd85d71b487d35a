//! A queue for tests: it answers `SendMessageBatch` as SQS does, on a real socket, for the real SDK.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_credential_types::Credentials;
use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Region, retry::RetryConfig},
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::queue::Sender;

/// The messages that the queue received.
#[derive(Debug, Clone, Default)]
pub struct Received(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    messages: Vec<String>,
    groups: Vec<Option<String>>,
    refused: Option<String>,
}

impl Received {
    /// The messages, in the order of arrival.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        self.state().messages.clone()
    }

    /// The message groups of the messages, by which SQS tells tenants apart.
    #[must_use]
    pub fn groups(&self) -> Vec<Option<String>> {
        self.state().groups.clone()
    }

    /// Refuses messages with this text.
    pub fn refuse(&self, text: impl Into<String>) {
        self.state().refused = Some(text.into());
    }

    /// Accepts all messages again.
    pub fn take_all(&self) {
        self.state().refused = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, request: &Value) -> Value {
        let mut successful = Vec::new();
        let mut failed = Vec::new();
        let mut state = self.state();
        for entry in request["Entries"].as_array().into_iter().flatten() {
            let id = &entry["Id"];
            let text = entry["MessageBody"].as_str().unwrap_or_default().to_owned();
            if state.refused.as_ref() == Some(&text) {
                failed.push(json!({ "Id": id, "Code": "InternalError", "SenderFault": false }));
                continue;
            }
            let cause = entry["MessageAttributes"]["cause"]["StringValue"].as_str().unwrap_or_default();
            if [&*text, cause].iter().any(|text| text.contains(is_refused)) {
                failed.push(json!({ "Id": id, "Code": "InvalidMessageContents", "SenderFault": true }));
                continue;
            }
            successful.push(json!({ "Id": id, "MessageId": id, "MD5OfMessageBody": "" }));
            state.messages.push(text);
            state.groups.push(entry["MessageGroupId"].as_str().map(str::to_owned));
        }
        json!({ "Successful": successful, "Failed": failed })
    }
}

/// A character that SQS does not allow: see `SendMessage`, "MessageBody".
fn is_refused(c: char) -> bool {
    (c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{7f}'))
        || matches!(c, '\u{FFFE}' | '\u{FFFF}')
}

/// Starts a queue that exists as long as the current tokio runtime.
///
/// # Panics
/// If no loopback port is free.
pub async fn queue() -> (Sender, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    let received = Received::default();
    tokio::spawn(serve(listener, received.clone()));
    (at(&format!("http://{address}")), received)
}

/// A queue that cannot be reached.
///
/// # Panics
/// If no loopback port is free.
pub async fn unreachable_queue() -> Sender {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    drop(listener); // connections to the port are refused from now on
    at(&format!("http://{address}"))
}

fn at(endpoint: &str) -> Sender {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Sender::new(Client::from_conf(config), format!("{endpoint}/000000000000/runs"))
}

async fn serve(listener: TcpListener, received: Received) {
    while let Ok((stream, _)) = listener.accept().await {
        let received = received.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let received = received.clone();
            async move {
                let body =
                    request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                let answer = received.take(&serde_json::from_slice(&body).unwrap_or_default());
                let answer = Response::builder()
                    .header("content-type", "application/x-amz-json-1.0")
                    .body(Full::new(Bytes::from(answer.to_string())))
                    .expect("the header is valid");
                Ok::<_, Infallible>(answer)
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

#[cfg(test)]
mod tests {
    use sequent_core::TenantId;

    use crate::queue::Message;

    #[tokio::test]
    async fn messages_arrive_in_order_up_to_the_request_that_failed() {
        let (sender, received) = super::queue().await;
        let tenant = TenantId::new();
        let texts: Vec<String> = (0..25).map(|n| format!("message {n}")).collect();
        let messages: Vec<Message> = texts.iter().map(|text| Message::new(tenant, text)).collect();
        sender.send(&messages).await.unwrap();
        assert_eq!(received.messages(), texts);
        assert_eq!(received.groups(), vec![Some(tenant.to_string()); 25], "SQS can tell tenants apart");
        sender.send(&[]).await.unwrap();

        received.refuse("message 13");
        let (taken, error) = sender.send(&messages).await.unwrap_err();
        assert_eq!(taken, 13, "{error}");
        let again = received.messages().split_off(25);
        assert_eq!(again.len(), 19, "two requests, one of their messages refused, and no third");
    }

    #[tokio::test]
    async fn an_unreachable_queue_took_nothing() {
        let sender = super::unreachable_queue().await;
        let (taken, error) = sender.send(&[Message::new(TenantId::new(), "a message")]).await.unwrap_err();
        assert_eq!(taken, 0);
        assert!(matches!(error, crate::queue::Error::Unavailable(_)), "{error:?}");
    }
}
