//! Artifacts for tests: those of a running system, and a bucket that is served in process.

mod s3;

pub use s3::{Objects, bucket};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use sequent_tables::Tables;

use crate::{Artifacts, Bucket};

/// Opens the artifacts of the system at `endpoint`, to read what its functions stored and to make calls that
/// no route makes.
#[must_use]
pub fn deployed(endpoint: &str, tables: Tables, bucket: &str) -> Artifacts {
    let store = sequent_tables::testing::deployed(endpoint, tables);
    Artifacts::new(store, Bucket::new(&config(endpoint), bucket))
}

fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}
