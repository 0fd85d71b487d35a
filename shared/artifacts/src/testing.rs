//! The artifacts of a system under test, at the endpoint its functions use, for a look at what they stored and for
//! calls that no route makes.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use sequent_tables::Tables;

use crate::{Artifacts, Bucket};

/// Rows in `tables`, bytes in the bucket of this name.
#[must_use]
pub fn deployed(endpoint: &str, tables: Tables, bucket: &str) -> Artifacts {
    let credentials = Credentials::new("test", "test", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Artifacts::new(sequent_tables::testing::deployed(endpoint, tables), Bucket::new(&config, bucket))
}
