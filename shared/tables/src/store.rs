//! Reading and writing single rows, and lists.

use std::sync::Arc;

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use serde::de::DeserializeOwned;

use crate::{
    Error, Item, Key, Page, PageRequest, Row,
    error::{classify, classify_put},
};

/// Names of the two tables, `MAIN_TABLE` and `EVENTS_TABLE` in a function's environment.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Everything but the logs.
    pub main: Arc<str>,
    /// The run logs.
    pub events: Arc<str>,
}

impl Tables {
    /// From the environment.
    ///
    /// # Errors
    /// Names the variable that is missing.
    pub fn from_env() -> Result<Self, String> {
        let read = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
        Ok(Self { main: read("MAIN_TABLE")?.into(), events: read("EVENTS_TABLE")?.into() })
    }
}

/// The tables and the client to reach them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    tables: Tables,
}

impl Store {
    /// A store over a DynamoDB client.
    #[must_use]
    pub fn new(client: Client, tables: Tables) -> Self {
        Self { client, tables }
    }

    /// A store from the process's SDK configuration and environment.
    ///
    /// # Errors
    /// Names the variable that is missing.
    pub fn from_env(config: &aws_config::SdkConfig) -> Result<Self, String> {
        Ok(Self::new(Client::new(config), Tables::from_env()?))
    }

    /// The client, for operations a single module needs.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The table names.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// One cheap read, made while a function initialises so that the connection and its TLS session exist before
    /// the first request. Its outcome does not matter.
    pub async fn warm(&self) {
        let key = Item::from([
            ("pk".to_owned(), AttributeValue::S("warm".to_owned())),
            ("sk".to_owned(), AttributeValue::S("warm".to_owned())),
        ]);
        if let Err(error) =
            self.client.get_item().table_name(&*self.tables.main).set_key(Some(key)).send().await
        {
            tracing::warn!(error = %classify(error), "warming read failed");
        }
    }

    /// The row at `key`, strongly consistent.
    ///
    /// # Errors
    /// When the table cannot be read or the row is not a `T`.
    pub async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, Error> {
        let output = self
            .client
            .get_item()
            .table_name(&*self.tables.main)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send()
            .await
            .map_err(classify)?;
        Ok(output.item.map(serde_dynamo::from_item).transpose()?)
    }

    /// Rows at `keys` (at most 100), in no particular order; missing ones are left out.
    ///
    /// # Errors
    /// When the table cannot be read or a row is not a `T`.
    pub async fn get_many<T: DeserializeOwned>(&self, keys: &[Key]) -> Result<Vec<T>, Error> {
        let mut wanted: Vec<Item> = keys.iter().map(Key::attributes).collect();
        let mut found = Vec::with_capacity(keys.len());
        while !wanted.is_empty() {
            let request = aws_sdk_dynamodb::types::KeysAndAttributes::builder()
                .set_keys(Some(std::mem::take(&mut wanted)))
                .consistent_read(true)
                .build()
                .map_err(|error| Error::Refused(Box::new(error)))?;
            let output = self
                .client
                .batch_get_item()
                .request_items(&*self.tables.main, request)
                .send()
                .await
                .map_err(classify)?;
            for item in output.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                found.push(serde_dynamo::from_item(item)?);
            }
            wanted.extend(output.unprocessed_keys.into_iter().flatten().flat_map(|(_, rest)| rest.keys));
        }
        Ok(found)
    }

    /// Writes the row whatever was there.
    ///
    /// # Errors
    /// When the write fails.
    pub async fn put(&self, row: Row) -> Result<(), Error> {
        let put = self.client.put_item().table_name(&*self.tables.main).set_item(Some(row.into_item()));
        put.send().await.map_err(classify_put)?;
        Ok(())
    }

    /// Writes the row if there is none with its key. A retry that meets its own earlier, unacknowledged write is
    /// a success: the stored row then equals the one being written.
    ///
    /// # Errors
    /// [`Error::Conflict`] with the row that is there.
    pub async fn insert(&self, row: Row) -> Result<(), Error> {
        let item = row.into_item();
        let sent = self
            .client
            .put_item()
            .table_name(&*self.tables.main)
            .set_item(Some(item.clone()))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match sent.map_err(classify_put) {
            Err(Error::Conflict(Some(stored))) if *stored == item => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    /// Deletes the row if it is there.
    ///
    /// # Errors
    /// When the write fails.
    pub async fn delete(&self, key: &Key) -> Result<(), Error> {
        let delete = self.client.delete_item().table_name(&*self.tables.main).set_key(Some(key.attributes()));
        delete.send().await.map_err(classify)?;
        Ok(())
    }

    /// One page of a list.
    ///
    /// # Errors
    /// When the table cannot be read or a row is not a `T`.
    pub async fn page<T: DeserializeOwned>(&self, request: &PageRequest) -> Result<Page<T>, Error> {
        let rows = self.page_items(request).await?;
        let items = rows.items.into_iter().map(serde_dynamo::from_item).collect::<Result<_, _>>()?;
        Ok(Page { items, partition: rows.partition, last: rows.last })
    }

    /// One page of a list, as raw items: what an index with keys only gives.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn page_items(&self, request: &PageRequest) -> Result<Page<Item>, Error> {
        let PageRequest { partition, after, limit, newest_first } = request;
        let comparison = if *newest_first { "<" } else { ">" };
        let mut query = self
            .client
            .query()
            .table_name(&*self.tables.main)
            .set_index_name(partition.index.map(str::to_owned))
            .consistent_read(partition.index.is_none())
            .scan_index_forward(!newest_first)
            .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX)) // one more tells whether another page follows
            .expression_attribute_names("#pk", partition.pk_attribute())
            .expression_attribute_values(":pk", AttributeValue::S(partition.pk.clone()));
        query = match after {
            None => query.key_condition_expression("#pk = :pk"),
            Some(sort_key) => query
                .key_condition_expression(format!("#pk = :pk AND #sk {comparison} :sk"))
                .expression_attribute_names("#sk", partition.sk_attribute())
                .expression_attribute_values(":sk", AttributeValue::S(sort_key.clone())),
        };
        let output = query.send().await.map_err(classify)?;
        let more = output.last_evaluated_key.is_some();
        let mut items = output.items.unwrap_or_default();
        let cut = items.len() > *limit as usize;
        items.truncate(*limit as usize);
        let last = items
            .last()
            .filter(|_| more || cut)
            .and_then(|item| item.get(partition.sk_attribute())?.as_s().ok().cloned());
        Ok(Page { items, partition: partition.clone(), last })
    }
}
