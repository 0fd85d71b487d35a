//! The collector: objects that nothing refers to are deleted, a day after somebody last wanted them.
//!
//! It may be run by several processes at once, and may be killed anywhere: a mark that was set is found again.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_core::{TenantId, Timestamp};
use sequent_tables::{Error as DataError, Item, Key, classify, key};
use serde::Serialize;

use crate::{
    Artifacts, Digest, Error,
    object::{Object, Standing},
};

/// How long an object without a reference is kept: longer than anybody takes between wanting it and referring to it,
/// for otherwise they would have to begin anew.
pub const AGE: Duration = Duration::from_secs(24 * 3600);
/// Entries of the queue read in one go.
const BATCH: i32 = 100;

/// What the collector did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Objects that are deleted now.
    pub deleted: usize,
    /// Objects that something refers to, or that somebody wanted meanwhile.
    pub kept: usize,
    /// Objects that are left for the next time, because something failed.
    pub failed: usize,
}

impl Artifacts {
    /// Deletes objects that nothing refers to and nobody has wanted since `before`. `go_on` is asked before each.
    ///
    /// # Errors
    /// When the queue cannot be read. An object that cannot be deleted does not hold up the others.
    pub async fn collect(&self, before: Timestamp, go_on: impl Fn() -> bool) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        for shard in 0..key::GARBAGE_SHARDS {
            let mut from = None;
            loop {
                let (items, next) = self.due(shard, before, from).await?;
                for item in items {
                    if !go_on() {
                        return Ok(collected);
                    }
                    self.look_at(&item, &mut collected).await;
                }
                match next {
                    Some(next) => from = Some(next),
                    None => break,
                }
            }
        }
        Ok(collected)
    }

    async fn look_at(&self, item: &Item, collected: &mut Collected) {
        let entry = item.get("gsi2sk").and_then(|entry| entry.as_s().ok()).cloned().unwrap_or_default();
        let place = Key::of_item(item);
        let Some((tenant, digest)) = place.as_ref().and_then(key::parse_object) else { return };
        match self.collect_one(tenant, &Digest::from_bytes(digest), &entry).await {
            Ok(true) => collected.deleted += 1,
            Ok(false) => collected.kept += 1,
            Err(error) => {
                tracing::warn!(%tenant, error = &error as &dyn std::error::Error, "an object stays for now");
                collected.failed += 1;
            }
        }
    }

    async fn due(
        &self,
        shard: u8,
        before: Timestamp,
        from: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), Error> {
        let query = self.store.client().query().table_name(&*self.store.tables().main).index_name("gsi2");
        let found = query
            .key_condition_expression("gsi2pk = :pk AND gsi2sk < :before")
            .expression_attribute_values(":pk", Value::S(key::garbage_shard(shard)))
            .expression_attribute_values(":before", Value::S(key::due_before(before)))
            .set_exclusive_start_key(from)
            .limit(BATCH)
            .send()
            .await
            .map_err(classify)?;
        Ok((found.items.unwrap_or_default(), found.last_evaluated_key))
    }

    /// Whether the object is deleted now. `entry` is its place in the queue as it was found.
    async fn collect_one(&self, tenant: TenantId, digest: &Digest, entry: &str) -> Result<bool, Error> {
        let place = key::object(tenant, digest.bytes());
        let Some(object) = self.store.get::<Object>(&place).await? else { return Ok(false) };
        if object.gsi2sk.as_deref() != Some(entry) {
            return Ok(false); // wanted since
        }
        if object.refs > 0 {
            // Wanted, but whoever wanted it never referred to it; others do.
            self.change(&place, entry, "REMOVE gsi2pk, gsi2sk", "refs > :none", &[(":none", number(0))])
                .await?;
            return Ok(false);
        }
        let version = match (object.standing, object.version) {
            (Standing::Going, version) => version,
            (Standing::Wanted | Standing::Stored, _) => {
                // Noted before the mark: nothing stored after it has this version.
                let version = match self.bucket.head(tenant, digest).await? {
                    Some(stored) => Some(stored.version.ok_or(Error::Unversioned)?),
                    None => None,
                };
                if !self.mark(&place, entry, version.as_deref()).await? {
                    return Ok(false);
                }
                version
            }
        };
        if let Some(version) = &version {
            self.bucket.delete(tenant, digest, version).await?;
        }
        self.forget(&place, entry).await
    }

    /// Marks the object as going, if nothing refers to it and nobody has wanted it since.
    async fn mark(&self, place: &Key, entry: &str, version: Option<&str>) -> Result<bool, Error> {
        let version = version.map_or(Value::Null(true), |version| Value::S(version.to_owned()));
        let values = [(":going", Standing::Going.value()), (":version", version), (":none", number(0))];
        self.change(place, entry, "SET standing = :going, version = :version", "refs = :none", &values).await
    }

    /// Changes the row if it is where it was found in the queue and `condition` holds.
    async fn change(
        &self,
        place: &Key,
        entry: &str,
        update: &str,
        condition: &str,
        values: &[(&str, Value)],
    ) -> Result<bool, Error> {
        let mut request = self
            .store
            .client()
            .update_item()
            .table_name(&*self.store.tables().main)
            .set_key(Some(place.attributes()))
            .update_expression(update)
            .condition_expression(format!("gsi2sk = :entry AND {condition}"))
            .expression_attribute_values(":entry", Value::S(entry.to_owned()));
        for (name, value) in values {
            request = request.expression_attribute_values(*name, value.clone());
        }
        match request.send().await.map_err(classify) {
            Ok(_) => Ok(true),
            Err(DataError::Conflict(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the row of an object whose bytes are gone.
    async fn forget(&self, place: &Key, entry: &str) -> Result<bool, Error> {
        let delete = self.store.client().delete_item().table_name(&*self.store.tables().main);
        let deleted = delete
            .set_key(Some(place.attributes()))
            .condition_expression("standing = :going AND gsi2sk = :entry")
            .expression_attribute_values(":going", Standing::Going.value())
            .expression_attribute_values(":entry", Value::S(entry.to_owned()))
            .send()
            .await;
        match deleted.map_err(classify) {
            Ok(_) => Ok(true),
            Err(DataError::Conflict(_)) => Ok(false), // another collector was first
            Err(error) => Err(error.into()),
        }
    }
}

fn number(number: u64) -> Value {
    Value::N(number.to_string())
}
