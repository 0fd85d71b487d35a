//! Credentials of the functions: for each an IAM user of the emulator with one access key. The emulator checks the
//! signatures of presigned links, so it has to know the keys.

use std::collections::BTreeMap;

use aws_credential_types::Credentials;
use futures::future::try_join_all;

use crate::aws::{self, Endpoint, xml_all, xml_text};

/// Creates one key for each function. Keys of an earlier start are deleted.
pub(super) async fn create(
    endpoint: &Endpoint,
    functions: impl Iterator<Item = &str>,
) -> Result<BTreeMap<String, Credentials>, aws::Error> {
    let one = |function: &str| {
        let function = function.to_owned();
        async move { create_one(endpoint, &function).await.map(|key| (function, key)) }
    };
    Ok(try_join_all(functions.map(one)).await?.into_iter().collect())
}

async fn create_one(endpoint: &Endpoint, function: &str) -> Result<Credentials, aws::Error> {
    let user = [("UserName", function)];
    match endpoint.query("iam", "CreateUser", &user).await {
        Err(error) if error.code() == Some("EntityAlreadyExists") => delete_keys(endpoint, &user).await?,
        created => drop(created?),
    }
    let created = endpoint.query("iam", "CreateAccessKey", &user).await?;
    let field = |name: &str| {
        xml_text(&created, name).ok_or_else(|| aws::Error::Malformed {
            operation: "CreateAccessKey".to_owned(),
            reason: format!("the answer has no {name}"),
        })
    };
    Ok(Credentials::new(field("AccessKeyId")?, field("SecretAccessKey")?, None, None, "local"))
}

async fn delete_keys(endpoint: &Endpoint, user: &[(&str, &str)]) -> Result<(), aws::Error> {
    let keys = endpoint.query("iam", "ListAccessKeys", user).await?;
    for key in xml_all(&keys, "AccessKeyId") {
        let key = [user, &[("AccessKeyId", key)]].concat();
        endpoint.query("iam", "DeleteAccessKey", &key).await?;
    }
    Ok(())
}
