//! Guarded requests to authorization servers.

use std::time::Duration;

use http::{
    Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE},
};
use reqwest::RequestBuilder;
use sequent_tool::Guard;
use serde_json::Value;
use tokio::time::timeout;
use url::{Url, form_urlencoded, form_urlencoded::Serializer};

use crate::{
    Failure,
    web::{self, Web},
};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a response at most.
const MAX_BYTES: usize = 256 << 10;

/// A client for one exchange of documents.
#[derive(Clone, Copy)]
pub(crate) struct Exchange<'a> {
    pub(crate) guard: &'a Guard,
    pub(crate) web: &'a Web,
}

/// A response. Its body is null if it is not JSON.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    pub(super) challenge: Option<String>,
}

impl Exchange<'_> {
    pub(super) async fn get(&self, url: &str) -> Result<Reply, Failure> {
        send(self.request(Method::GET, url)?).await
    }

    pub(super) async fn post_json(&self, url: &str, body: &Value) -> Result<Reply, Failure> {
        send(self.request(Method::POST, url)?.json(body)).await
    }

    /// Posts a form. A client with a secret identifies itself in the header, which every authorization server supports
    /// (RFC 6749, section 2.3.1).
    pub(super) async fn post_form(
        &self,
        url: &str,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
    ) -> Result<Reply, Failure> {
        let body = Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = self.request(Method::POST, url)?;
        if let Some((id, secret)) = basic {
            request = request.basic_auth(encoded(id), Some(encoded(secret)));
        }
        send(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)).await
    }

    fn request(&self, method: Method, url: &str) -> Result<RequestBuilder, Failure> {
        Ok(self.web.request_to(method, self.admit(url)?.as_str()))
    }

    /// Checks an address, also of a page that the user's browser will open.
    pub(super) fn admit(&self, url: &str) -> Result<Url, Failure> {
        let admitted = self.guard.admit(url).map_err(|refusal| Failure::from(&refusal))?;
        if !admitted.keeps_secrets() {
            return Err(Failure::Refused("The addresses of the authorization server must be https.".into()));
        }
        Ok(admitted.url().clone())
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn send(request: RequestBuilder) -> Result<Reply, Failure> {
    let sending = async {
        let response = request
            .header(ACCEPT, "application/json, text/event-stream;q=0.9")
            .send()
            .await
            .map_err(|error| Failure::of_client(&error))?;
        let status = response.status();
        let challenge = response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let challenge = challenge.map(str::to_owned);
        let text = web::text(response, MAX_BYTES).await.map_err(|error| Failure::of_http(&error))?;
        Ok(Reply { status, body: serde_json::from_str(&text).unwrap_or_default(), challenge })
    };
    let late = |_| Err(Failure::Unreached("The authorization server did not answer in time.".into()));
    timeout(TIMEOUT, sending).await.unwrap_or_else(late)
}
