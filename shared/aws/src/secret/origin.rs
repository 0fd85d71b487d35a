//! The secret that the CDN sends with each request, as a value of Secrets Manager.

use aws_sdk_secretsmanager::{Client, error::ProvideErrorMetadata as _};
use sequent_core::SecretString;

use super::{Error, Secrets};

/// The labels of Secrets Manager for the newest value and the one before it.
const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// The values that the CDN may send: the newest, and the one before it. A function learns a new value minutes before or
/// after the CDN does, and both must work in between.
#[derive(Debug, Clone)]
pub struct OriginSecret(Vec<SecretString>);

impl OriginSecret {
    /// The values that are accepted.
    #[must_use]
    pub fn values(&self) -> &[SecretString] {
        &self.0
    }
}

impl<S: Into<SecretString>> FromIterator<S> for OriginSecret {
    fn from_iter<I: IntoIterator<Item = S>>(values: I) -> Self {
        Self(values.into_iter().map(Into::into).collect())
    }
}

impl Secrets<OriginSecret> {
    /// The secret with this name or ARN, whose text is the value.
    #[must_use]
    pub fn origin(client: Client, id: impl Into<String>) -> Self {
        let id = id.into();
        Self::read_by(id.clone(), move || read(client.clone(), id.clone()))
    }
}

async fn read(client: Client, id: String) -> Result<OriginSecret, Error> {
    let current = version(&client, &id, CURRENT).await?;
    let current = current.ok_or_else(|| Error::Missing { id: id.clone() })?;
    let previous = version(&client, &id, PREVIOUS).await?;
    Ok([Some(current), previous].into_iter().flatten().collect())
}

/// Reads the value with this label. Returns `None` if there is none, or if it is empty.
async fn version(client: &Client, id: &str, label: &str) -> Result<Option<SecretString>, Error> {
    match client.get_secret_value().secret_id(id).version_stage(label).send().await {
        Ok(output) => Ok(output.secret_string.filter(|text| !text.is_empty()).map(SecretString::from)),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(Error::Read { id: id.to_owned(), source: Box::new(error) }),
    }
}
