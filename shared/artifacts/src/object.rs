//! An object's row: whether its bytes are there, how many artifacts refer to them, and whether they are going.

use aws_sdk_dynamodb::types::{AttributeValue as Value, ReturnValue};
use sequent_core::{TenantId, Timestamp};
use sequent_tables::{Change, Error as DataError, Store, classify, key};
use serde::{Deserialize, Serialize};

use crate::{Digest, Error};

/// Where an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// Somebody is about to put its bytes.
    Wanted,
    /// Its bytes are there.
    Stored,
    /// The collector is deleting it.
    Going,
}

impl Standing {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Stored => "stored",
            Self::Going => "going",
        }
    }

    pub(crate) fn value(self) -> Value {
        Value::S(self.as_str().to_owned())
    }
}

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) standing: Standing,
    pub(crate) size: u64,
    /// Artifacts that refer to it.
    pub(crate) refs: u64,
    /// The version that is being deleted.
    #[serde(default)]
    pub(crate) version: Option<String>,
    /// Its place in the collector's queue.
    #[serde(default)]
    pub(crate) gsi2sk: Option<String>,
}

/// Writes down that somebody is about to refer to the object, which keeps the collector away for a while. `None`: it is
/// going.
pub(crate) async fn want(
    store: &Store,
    tenant: TenantId,
    (digest, size): (&Digest, u64),
) -> Result<Option<Object>, Error> {
    let queued = key::garbage(tenant, digest.bytes(), Timestamp::now());
    let wanted = store
        .client()
        .update_item()
        .table_name(&*store.tables().main)
        .set_key(Some(key::object(tenant, digest.bytes()).attributes()))
        .update_expression(
            "SET #size = if_not_exists(#size, :size), standing = if_not_exists(standing, :wanted), gsi2pk = :pk, \
             gsi2sk = :sk ADD refs :none",
        )
        .condition_expression("attribute_not_exists(pk) OR standing <> :going")
        .expression_attribute_names("#size", "size")
        .expression_attribute_values(":size", Value::N(size.to_string()))
        .expression_attribute_values(":wanted", Standing::Wanted.value())
        .expression_attribute_values(":going", Standing::Going.value())
        .expression_attribute_values(":none", Value::N("0".to_owned()))
        .expression_attribute_values(":pk", Value::S(queued.pk().to_owned()))
        .expression_attribute_values(":sk", Value::S(queued.sk().to_owned()))
        .return_values(ReturnValue::AllNew)
        .send()
        .await;
    match wanted.map_err(classify) {
        Ok(output) => {
            let item = output.attributes.unwrap_or_default();
            Ok(Some(serde_dynamo::from_item(item).map_err(DataError::from)?))
        }
        Err(DataError::Conflict(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// One artifact more refers to the object, whose bytes are there. Fails if it is going, or gone.
pub(crate) fn referred_to() -> Change {
    Change {
        update: "SET standing = :stored ADD refs :one REMOVE gsi2pk, gsi2sk".to_owned(),
        condition: Some("attribute_exists(pk) AND standing <> :going".to_owned()),
        values: vec![
            (":stored", Standing::Stored.value()),
            (":going", Standing::Going.value()),
            (":one", Value::N("1".to_owned())),
        ],
        ..Change::default()
    }
}

/// One artifact less refers to the object. If it was the last one, the collector finds it in time.
pub(crate) fn let_go(tenant: TenantId, digest: &Digest) -> Change {
    let queued = key::garbage(tenant, digest.bytes(), Timestamp::now());
    Change {
        update: "SET gsi2pk = :pk, gsi2sk = :sk ADD refs :less".to_owned(),
        condition: Some("refs > :none".to_owned()),
        values: vec![
            (":pk", Value::S(queued.pk().to_owned())),
            (":sk", Value::S(queued.sk().to_owned())),
            (":less", Value::N("-1".to_owned())),
            (":none", Value::N("0".to_owned())),
        ],
        ..Change::default()
    }
}
