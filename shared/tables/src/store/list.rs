//! Reads of lists: the rows of a partition of the main table or of one of its indexes.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;

use super::Store;
use crate::{Error, Item, Key, Page, PageRequest, error::classify, key::Partition};

impl Store {
    /// Reads one page of a list.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read or a row is not a `T`.
    pub async fn page<T: DeserializeOwned>(&self, request: &PageRequest) -> Result<Page<T>, Error> {
        let rows = self.page_items(request).await?;
        let items = rows.items.into_iter().map(serde_dynamo::from_item).collect::<Result<_, _>>()?;
        Ok(Page { items, partition: rows.partition, last: rows.last })
    }

    /// Reads a whole list, oldest first, for lists that are known to be short.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read or a row is not a `T`.
    pub async fn every<T: DeserializeOwned>(&self, partition: Partition) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        let mut request = PageRequest::new(partition).limit(Some(PageRequest::MAX_LIMIT)).oldest_first();
        loop {
            let page = self.page(&request).await?;
            all.extend(page.items);
            let Some(last) = page.last else { return Ok(all) };
            request = request.after(last);
        }
    }

    /// Deletes every row of a list, one after the other.
    ///
    /// # Errors
    /// Returns an error if the table fails. A part of the rows is deleted then.
    pub async fn empty(&self, partition: Partition) -> Result<(), Error> {
        let request = PageRequest::new(partition).limit(Some(PageRequest::MAX_LIMIT)).oldest_first();
        loop {
            let page = self.page_items(&request).await?;
            let keys: Vec<Key> = page.items.iter().filter_map(Key::of_item).collect();
            if keys.is_empty() {
                return Ok(());
            }
            for key in &keys {
                self.delete(key).await?;
            }
        }
    }

    /// Reads one page of a list as items, for an index that projects keys only.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read.
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
            .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX)) // one more shows that another page follows
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
