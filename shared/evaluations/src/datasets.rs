//! Datasets of a tenant, and their items.

mod item;
mod sources;

use futures::{StreamExt, TryStreamExt, stream};
use sequent_core::{DatasetId, TenantId, Timestamp, UserId};
use sequent_tables::{
    CursorKey, InvalidCursor, Key, Label, Page, PageRequest, Retry, Row, Store, Transaction, Update, Write,
    attribute, decode, exists, key,
};
use serde::{Deserialize, Serialize};

pub use item::{DatasetItem, ItemText, NewItem};
pub use sources::{ItemSources, RatedRuns, items_of_runs};

use crate::Error;

/// Datasets of a tenant at most.
pub const MAX_DATASETS: u32 = 100;
/// Items of a dataset at most.
pub const MAX_ITEMS: u32 = 1_000;
/// Bytes of the items of a dataset in JSON at most.
pub(crate) const MAX_BYTES: u64 = 4_000_000;
/// Items that are deleted at the same time.
const CONCURRENCY: usize = 8;

/// The attribute of the settings that counts the datasets.
const COUNT: &str = "datasets";
/// The attribute of a dataset whose deletion has begun.
const DELETING: &str = "deleting";

const HEAD: Label = Label::new("head");
const COUNTER: Label = Label::new("counter");

/// A dataset. Its items are numbered from 1 and never change, so that its id and a number of items name the same items for
/// ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct Dataset {
    pub id: DatasetId,
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    /// The number of its items.
    pub items: u32,
    /// The bytes of its items in JSON.
    pub bytes: u64,
    /// The user who created it.
    pub user_id: UserId,
    pub created_at: Timestamp,
    /// The time at which items were last added.
    pub updated_at: Timestamp,
    /// The deletion has begun: the dataset takes no items any more and is not found. Not shown by the API.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub(crate) deleting: bool,
}

/// A dataset to create.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "plain data")]
pub struct NewDataset {
    pub name: String,
    pub description: Option<String>,
    pub user: UserId,
}

/// The datasets of one tenant.
#[derive(Debug, Clone, Copy)]
pub struct Datasets<'a> {
    store: &'a Store,
    tenant: TenantId,
}

/// Items as rows, with the bytes that they have together.
struct NumberedItems {
    rows: Vec<Row>,
    bytes: u64,
}

impl<'a> Datasets<'a> {
    /// The datasets of `tenant`, which comes from a verified credential.
    #[must_use]
    pub fn new(store: &'a Store, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// Creates a dataset with these items.
    ///
    /// # Errors
    /// [`Error::TooManyDatasets`], [`Error::TooManyItems`], [`Error::Item`], or when the table fails.
    pub async fn create(self, new: &NewDataset, items: &[NewItem], now: Timestamp) -> Result<Dataset, Error> {
        let id = DatasetId::new();
        let items = self.numbered(id, 0, items, now)?;
        let dataset = Dataset {
            id,
            name: new.name.clone(),
            description: new.description.clone(),
            items: u32::try_from(items.rows.len()).unwrap_or(u32::MAX),
            bytes: items.bytes,
            user_id: new.user,
            created_at: now,
            updated_at: now,
            deleting: false,
        };
        check_size(&dataset)?;
        let has_room = attribute(COUNT).is_none().or(attribute(COUNT).is_below(MAX_DATASETS));
        let counted = Update::of(&key::dataset_settings(self.tenant)).add(COUNT, 1).when(has_room);
        let transaction = Transaction::new()
            .write(Write::insert(Row::new(&key::dataset(self.tenant, id), &dataset)?))
            .write(counted)
            .label(COUNTER);
        let rows = items.rows.into_iter().map(Write::insert);
        match self.store.commit(rows.fold(transaction, Transaction::write), Retry::CONTENDED).await {
            Ok(()) => Ok(dataset),
            Err(cancelled) if cancelled.refused(COUNTER) => Err(Error::TooManyDatasets),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Adds items after those that the dataset has. Their numbers are the condition of the transaction.
    ///
    /// # Errors
    /// [`Error::DatasetNotFound`], [`Error::TooManyItems`], [`Error::Item`], [`Error::Overtaken`], or when the table fails.
    pub async fn add(self, id: DatasetId, items: &[NewItem], now: Timestamp) -> Result<Dataset, Error> {
        let mut tries = Retry::CONTENDED.tries();
        loop {
            let before = self.get(id).await?;
            let new = self.numbered(id, before.items, items, now)?;
            let added = u32::try_from(new.rows.len()).unwrap_or(u32::MAX);
            let after = Dataset {
                items: before.items.saturating_add(added),
                bytes: before.bytes + new.bytes,
                updated_at: now,
                ..before.clone()
            };
            check_size(&after)?;
            let update = Update::of(&key::dataset(self.tenant, id))
                .set("items", after.items)
                .set("bytes", after.bytes)
                .set("updated_at", now)
                .when(attribute("items").equals(before.items))
                .when(attribute(DELETING).is_absent());
            let transaction = Transaction::new().write(update).label(HEAD);
            let rows = new.rows.into_iter().map(Write::put);
            let transaction = rows.fold(transaction, Transaction::write);
            match self.store.commit_within(transaction, &mut tries).await {
                Ok(()) => return Ok(after),
                Err(cancelled) if cancelled.refused(HEAD) && tries.pause().await => {}
                Err(cancelled) if cancelled.refused(HEAD) => return Err(Error::Overtaken),
                Err(cancelled) => return Err(cancelled.into()),
            }
        }
    }

    /// Reads one dataset.
    ///
    /// # Errors
    /// [`Error::DatasetNotFound`], or when the table fails.
    pub async fn get(self, id: DatasetId) -> Result<Dataset, Error> {
        let dataset: Option<Dataset> = self.store.get(&key::dataset(self.tenant, id)).await?;
        dataset.filter(|dataset| !dataset.deleting).ok_or(Error::DatasetNotFound)
    }

    /// Reads a page of the datasets, newest first. Those that are being deleted are left out.
    ///
    /// # Errors
    /// [`Error::Cursor`], or when the table fails.
    pub async fn list(
        self,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Dataset>, Error> {
        let request = PageRequest::new(key::datasets(self.tenant)).limit(limit).cursor(cursors, cursor)?;
        let mut page: Page<Dataset> = self.store.page(&request).await?;
        page.items.retain(|dataset| !dataset.deleting);
        Ok(page)
    }

    /// Reads one item. Returns `None` if the dataset has no such item.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn item(
        self,
        id: DatasetId,
        number: u32,
    ) -> Result<Option<DatasetItem>, sequent_tables::Error> {
        self.store.get(&key::dataset_item(self.tenant, id, number)).await
    }

    /// Reads a page of the items of a dataset, in order.
    ///
    /// # Errors
    /// [`Error::DatasetNotFound`], [`Error::Cursor`], or when the table fails.
    pub async fn items(
        self,
        id: DatasetId,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<DatasetItem>, Error> {
        self.get(id).await?;
        let prefix = key::dataset_item_prefix(id);
        let first = PageRequest::new(key::dataset_items(self.tenant)).after(&prefix).oldest_first();
        let first = first.limit(limit);
        let request = match cursor {
            Some(_) => first.cursor(cursors, cursor)?,
            None => first,
        };
        // The list has the items of all datasets.
        if !request.position().is_some_and(|position| position.starts_with(&prefix)) {
            return Err(InvalidCursor.into());
        }
        let page = self.store.page_items(&request).await?;
        let read = page.items.len();
        let is_own = |key: Option<Key>| key.is_some_and(|key| key.sk().starts_with(&prefix));
        let own = page.items.iter().filter(|item| is_own(Key::of_item(item)));
        let own: Vec<DatasetItem> = own.cloned().map(decode).collect::<Result<_, _>>()?;
        let is_last = own.len() < read;
        let page = page.with_items(own);
        Ok(if is_last { page.at_end() } else { page })
    }

    /// Deletes a dataset: its items, and then its row. No items are added once it has begun. A call that is repeated after an
    /// error deletes the rest.
    ///
    /// # Errors
    /// [`Error::DatasetNotFound`], or when the table fails.
    pub async fn delete(self, id: DatasetId) -> Result<(), Error> {
        self.begin_deletion(id).await?;
        // Read after the mark, so that it counts all items that there will ever be.
        let dataset: Option<Dataset> = self.store.get(&key::dataset(self.tenant, id)).await?;
        let dataset = dataset.ok_or(Error::DatasetNotFound)?;
        let items = (1..=dataset.items).rev().map(|number| key::dataset_item(self.tenant, id, number));
        let deletions = stream::iter(items).map(|key| async move { self.store.delete(&key).await });
        deletions.buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        let transaction = Transaction::new()
            .write(Write::delete(&key::dataset(self.tenant, id)).when(exists()))
            .label(HEAD)
            .write(Update::of(&key::dataset_settings(self.tenant)).add(COUNT, -1));
        match self.store.commit(transaction, Retry::CONTENDED).await {
            // Another call has deleted the rest.
            Err(cancelled) if cancelled.refused(HEAD) => Err(Error::DatasetNotFound),
            committed => Ok(committed?),
        }
    }

    /// Marks the dataset. The mark is a condition of each addition.
    async fn begin_deletion(self, id: DatasetId) -> Result<(), Error> {
        let mark = Update::of(&key::dataset(self.tenant, id)).set(DELETING, true).when(exists());
        if self.store.write_if(mark).await? { Ok(()) } else { Err(Error::DatasetNotFound) }
    }

    /// Checks the items and makes rows of them, with the numbers after `last`.
    fn numbered(
        self,
        id: DatasetId,
        last: u32,
        items: &[NewItem],
        now: Timestamp,
    ) -> Result<NumberedItems, Error> {
        if items.len() > NewItem::MAX_AT_ONCE {
            return Err(Error::Item(NewItem::MAX_AT_ONCE, "is one too many: add 90 at once at most"));
        }
        let mut numbered = NumberedItems { rows: Vec::new(), bytes: 0 };
        let numbers = (0..).zip(last.saturating_add(1)..);
        for ((position, number), item) in numbers.zip(items) {
            numbered.bytes += item.checked_bytes().map_err(|reason| Error::Item(position, reason))?;
            let item = DatasetItem { number, content: item.clone(), created_at: now };
            numbered.rows.push(Row::new(&key::dataset_item(self.tenant, id, number), &item)?);
        }
        Ok(numbered)
    }
}

fn check_size(dataset: &Dataset) -> Result<(), Error> {
    let fits = dataset.items <= MAX_ITEMS && dataset.bytes <= MAX_BYTES;
    if fits { Ok(()) } else { Err(Error::TooManyItems) }
}

#[cfg(test)]
mod tests;
