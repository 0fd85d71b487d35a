//! Access to Amazon Bedrock: its address in a Region, and the credentials that sign requests to it.

use std::fmt;

use aws_credential_types::Credentials;
use reqwest::header::{HeaderName, HeaderValue};
use sequent_aws::sign;

use crate::{
    Error, ModelName, Provider, allowed,
    config::{self, Endpoint},
};

/// Signs requests to Bedrock in one Region.
#[derive(Clone)]
pub(crate) struct Signer {
    region: String,
    credentials: Credentials,
}

/// Reads the settings of Bedrock. Returns `None` if it is not used. It takes no key, so a deployment that uses it names the
/// models that its role may call, or credentials for it.
///
/// # Errors
/// If the Region or the address is not valid.
pub(crate) fn endpoint(setting: &impl Fn(&str) -> Option<String>) -> Result<Option<Endpoint>, config::Error> {
    let of_role = || setting("BEDROCK_MODELS").and_then(|_| credentials("AWS", setting));
    let Some(credentials) = credentials("BEDROCK", setting).or_else(of_role) else { return Ok(None) };
    let region = setting("BEDROCK_REGION").or_else(|| setting("AWS_REGION"));
    let region = region.unwrap_or_else(|| "us-east-1".to_owned()).trim().to_owned();
    if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(config::Error::Region);
    }
    let url = setting("BEDROCK_BASE_URL")
        .unwrap_or_else(|| format!("https://bedrock-runtime.{region}.amazonaws.com"));
    let endpoint = Endpoint::named("BEDROCK_BASE_URL", url.trim(), None)?;
    Ok(Some(Endpoint { signer: Some(Signer { region, credentials }), ..endpoint }))
}

/// Returns the first model of `BEDROCK_MODELS` whose name is written out.
pub(crate) fn default_model(setting: &impl Fn(&str) -> Option<String>) -> Option<ModelName> {
    models(setting).into_iter().filter(|name| !name.ends_with('*')).find_map(|name| name.parse().ok())
}

/// Returns the names of the models that the role may call. One with a `*` at its end fits any ending.
pub(crate) fn models(setting: &impl Fn(&str) -> Option<String>) -> Vec<String> {
    let ids = allowed::names(&setting("BEDROCK_MODELS").unwrap_or_default());
    ids.into_iter().map(|id| format!("{}/{id}", Provider::Bedrock.as_str())).collect()
}

/// Reads credentials from the variables with this prefix. In Lambda they stay the same as long as the process lives.
fn credentials(prefix: &str, setting: &impl Fn(&str) -> Option<String>) -> Option<Credentials> {
    let field = |name: &str| Some(setting(&format!("{prefix}_{name}"))?.trim().to_owned());
    let id = field("ACCESS_KEY_ID")?;
    let secret = field("SECRET_ACCESS_KEY")?;
    Some(Credentials::new(id, secret, field("SESSION_TOKEN"), None, "environment"))
}

impl Signer {
    /// Adds the headers that authenticate the request. Its body is complete and stays as it is.
    ///
    /// # Errors
    /// If the request cannot be signed.
    pub(crate) fn sign(&self, request: &mut reqwest::Request) -> Result<(), Error> {
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        let url = request.url().as_str();
        let unsigned = |error: &dyn fmt::Display| Error::BadRequest(error.to_string());
        let signature = sign::signature("bedrock", &self.region, self.credentials.clone(), url, body)
            .map_err(|error| unsigned(&error))?;
        for (name, value) in signature {
            let name = HeaderName::try_from(name).map_err(|error| unsigned(&error))?;
            let mut value = HeaderValue::try_from(value).map_err(|error| unsigned(&error))?;
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
        Ok(())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("region", &self.region).finish_non_exhaustive()
    }
}
