//! Signatures of requests to services of AWS that have no SDK here: an SDK is a large crate for one request.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};

/// A request could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the request could not be signed: {0}")]
pub struct Unsigned(Box<dyn std::error::Error + Send + Sync>);

/// Returns the headers that authenticate a POST request with this JSON body (Signature Version 4). `url` is encoded as it
/// is sent; every service but S3 signs its path encoded once more.
///
/// # Errors
/// If the URL is not valid.
pub fn signature(
    service: &str,
    region: &str,
    credentials: Credentials,
    url: &str,
    json: &[u8],
) -> Result<Vec<(String, String)>, Unsigned> {
    let request = Post { service, region, url, json };
    request.signature(credentials, SystemTime::now()).map_err(Unsigned)
}

struct Post<'a> {
    service: &'a str,
    region: &'a str,
    url: &'a str,
    json: &'a [u8],
}

impl Post<'_> {
    fn signature(
        &self,
        credentials: Credentials,
        at: SystemTime,
    ) -> Result<Vec<(String, String)>, Box<dyn std::error::Error + Send + Sync>> {
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(at)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers = [("content-type", "application/json")].into_iter();
        let request = SignableRequest::new("POST", self.url, headers, SignableBody::Bytes(self.json))?;
        let (instructions, _) = sign(request, &parameters)?.into_parts();
        Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_path_with_a_colon_is_signed_as_the_sdks_sign_it() {
        let request = Post {
            service: "bedrock",
            region: "eu-central-1",
            url: "https://bedrock-runtime.eu-central-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse-stream",
            json: br#"{"messages":[]}"#,
        };
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("token".into()), None, "test");
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_040_000);
        let signed = request.signature(credentials, noon).unwrap();
        let header = |name: &str| signed.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(header("x-amz-date"), Some("20261130T120000Z"));
        assert_eq!(header("x-amz-security-token"), Some("token"));
        // The signature that botocore makes of this request.
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261130/eu-central-1/bedrock/aws4_request, \
                        SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
                        Signature=7490571d77d4ef6f0aa783d5c50dc0b18d4f93dfad97d1b38e059c6697906390";
        assert_eq!(header("authorization"), Some(expected));
    }
}
