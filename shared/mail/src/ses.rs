//! Sending through Amazon SES: one signed request to the operation `SendEmail` of its API version 2.
//!
//! The SDK of SES would add a large crate for this one request.

use std::{fmt, sync::OnceLock, time::Duration};

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use sequent_aws::sign;
use sequent_core::setting;
use serde_json::{Value, json};

use crate::letter::Letter;

const CONNECT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Amazon SES in the region of the deployment, with the address that mails come from.
pub struct Ses {
    from: String,
    url: String,
    region: String,
    credentials: SharedCredentialsProvider,
    /// Built at the first mail, because loading the certificates of the system takes time.
    http: OnceLock<reqwest::Client>,
}

/// A mail could not be sent. No message contains an address.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SES refused the mail. The same mail would be refused again.
    #[error("SES refused the mail with {status} {code}; check that MailFrom is a verified identity of SES")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The type of SES's error.
        code: String,
    },
    /// SES cannot be reached, or does not take more mails at the moment.
    #[error("SES did not take the mail: {0}")]
    Unavailable(String),
    /// The request could not be signed.
    #[error("the request to SES could not be signed: {0}")]
    Unsigned(Box<dyn std::error::Error + Send + Sync>),
}

impl Ses {
    /// SES as `MAIL_FROM` and the configuration of the SDK name it. Returns `None` if the deployment sends no mail.
    #[must_use]
    pub fn from_env(config: &SdkConfig) -> Option<Self> {
        Self::new(setting::text("MAIL_FROM")?, config)
    }

    /// Returns `None` if the configuration has no credentials or no region.
    pub(crate) fn new(from: String, config: &SdkConfig) -> Option<Self> {
        let region = config.region()?.to_string();
        let base = match config.endpoint_url() {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("https://email.{region}.amazonaws.com"),
        };
        let url = format!("{base}/v2/email/outbound-emails");
        let credentials = config.credentials_provider()?;
        Some(Self { from, url, region, credentials, http: OnceLock::new() })
    }

    /// Sends a mail.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn send(&self, to: &str, letter: &Letter) -> Result<(), Error> {
        let text = |data: &str| json!({ "Data": data, "Charset": "UTF-8" });
        let body = json!({
            "FromEmailAddress": self.from,
            "Destination": { "ToAddresses": [to] },
            "Content": {
                "Simple": { "Subject": text(letter.subject), "Body": { "Text": text(&letter.text) } },
            },
        });
        let body = body.to_string();
        let headers = self.signature(&body).await?;
        let request = self.http()?.post(&self.url).header("content-type", "application/json").body(body);
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let unavailable = |error: reqwest::Error| Error::Unavailable(error.without_url().to_string());
        let answer = request.send().await.map_err(unavailable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let code = answer.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        let code = code.map(str::to_owned);
        let body: Value =
            serde_json::from_slice(&answer.bytes().await.map_err(unavailable)?).unwrap_or_default();
        let code = code.or_else(|| body["__type"].as_str().map(str::to_owned)).unwrap_or_default();
        if status.is_client_error() && status.as_u16() != 429 {
            Err(Error::Refused { status: status.as_u16(), code })
        } else {
            Err(Error::Unavailable(format!("{status} {code}")))
        }
    }

    /// The headers that authenticate a request with this body.
    async fn signature(&self, body: &str) -> Result<Vec<(String, String)>, Error> {
        let unsigned = |error: Box<dyn std::error::Error + Send + Sync>| Error::Unsigned(error);
        let credentials = self.credentials.provide_credentials().await.map_err(|e| unsigned(e.into()))?;
        sign::signature("ses", &self.region, credentials, &self.url, body.as_bytes())
            .map_err(|error| unsigned(error.into()))
    }

    fn http(&self) -> Result<&reqwest::Client, Error> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        // An error means that the process has installed a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(TIMEOUT)
            // Lambda freezes a process between invocations, and its idle connections are dead when it thaws.
            .pool_idle_timeout(Duration::from_secs(5))
            .build()
            .map_err(|error| Error::Unavailable(error.without_url().to_string()))?;
        Ok(self.http.get_or_init(|| http))
    }
}

impl fmt::Debug for Ses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ses").field("url", &self.url).finish_non_exhaustive()
    }
}
