//! Reads and writes of rows by their keys.

mod list;

use std::sync::Arc;

use aws_sdk_dynamodb::{
    Client,
    config::retry::RetryConfig,
    types::{AttributeValue, KeysAndAttributes, ReturnValue},
};
use sequent_core::{pace, setting};
use serde::de::DeserializeOwned;

use crate::{
    Error, Item, Key, Retry, Row, TableName, Update, Write, decode,
    error::{classify, classify_write},
    limit,
    write::{Action, Expressions, FOUND},
};

/// The names of the two tables. They are `MAIN_TABLE` and `EVENTS_TABLE` in a function's environment.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Everything except the logs.
    pub main: Arc<str>,
    /// The run logs.
    pub events: Arc<str>,
}

impl Tables {
    /// Reads the names from the environment.
    ///
    /// # Errors
    /// The error names the missing variable.
    pub fn from_env() -> Result<Self, String> {
        let read = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
        Ok(Self { main: read("MAIN_TABLE")?.into(), events: read("EVENTS_TABLE")?.into() })
    }

    /// Returns the name of a table.
    #[must_use]
    pub fn name(&self, table: TableName) -> &str {
        match table {
            TableName::Main => &self.main,
            TableName::Events => &self.events,
        }
    }
}

/// The tables and their client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    /// Sends each write once: the SDK would not recognise its own write after a lost answer.
    writer: Client,
    tables: Tables,
}

impl Store {
    /// A store over a DynamoDB client.
    #[must_use]
    pub fn new(client: Client, tables: Tables) -> Self {
        let once = client.config().to_builder().retry_config(RetryConfig::disabled()).build();
        Self { writer: Client::from_conf(once), client, tables }
    }

    /// A store from the SDK configuration and the environment of the process.
    ///
    /// # Errors
    /// The error names the missing variable.
    pub fn from_env(config: &aws_config::SdkConfig) -> Result<Self, String> {
        pace::check().map_err(|error| error.to_string())?;
        Ok(Self::connect(config, Tables::from_env()?))
    }

    /// A store over tables with these names.
    pub(crate) fn connect(config: &aws_config::SdkConfig, tables: Tables) -> Self {
        let mut config = aws_sdk_dynamodb::config::Builder::from(config);
        // The SDK's own variable for the endpoint of one service. It is read only for a configuration that the SDK loads.
        if let Some(url) = setting::text("AWS_ENDPOINT_URL_DYNAMODB") {
            config = config.endpoint_url(url);
        }
        Self::new(Client::from_conf(config.build()), tables)
    }

    /// Returns the client, for the run log.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn writer(&self) -> &Client {
        &self.writer
    }

    /// Returns the names of the tables.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Makes one cheap read while a function initialises, so that the connection and its TLS session exist before the
    /// first request. A failure is logged only.
    pub async fn warm(&self) {
        if let Err(error) = self.ping(TableName::Main).await {
            tracing::warn!(%error, "could not warm the connection to the table; the first request connects");
        }
    }

    /// Makes one cheap read that finds nothing. It shows that the table can be reached and read.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read.
    pub async fn ping(&self, table: TableName) -> Result<(), Error> {
        let nothing = || AttributeValue::S("warm".to_owned());
        match table {
            TableName::Main => {
                let get = self.client.get_item().table_name(&*self.tables.main);
                get.key("pk", nothing()).key("sk", nothing()).send().await.map_err(classify)?;
            }
            // No function may get an item of this table, but those that read logs may query it.
            TableName::Events => {
                let query = self.client.query().table_name(&*self.tables.events).limit(1);
                let query = query
                    .key_condition_expression("#run = :nothing")
                    .expression_attribute_names("#run", "run")
                    .expression_attribute_values(":nothing", nothing());
                query.send().await.map_err(classify)?;
            }
        }
        Ok(())
    }

    /// Reads the row at `key`, strongly consistent. Returns `None` if there is none.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read or the row is not a `T`.
    pub async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, Error> {
        self.get_item(key).await?.map(decode).transpose()
    }

    /// Reads the row at `key`, eventually consistent and for half the price: as it is, or as it was a moment ago.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_recent<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, Error> {
        self.read_item(key, false).await?.map(decode).transpose()
    }

    /// Reads the row at `key` with its key and index attributes, strongly consistent. Returns `None` if there is none.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read.
    pub async fn get_item(&self, key: &Key) -> Result<Option<Item>, Error> {
        self.read_item(key, true).await
    }

    async fn read_item(&self, key: &Key, consistent: bool) -> Result<Option<Item>, Error> {
        let get = self.client.get_item().table_name(&*self.tables.main).set_key(Some(key.attributes()));
        let output = get.consistent_read(consistent).send().await.map_err(classify)?;
        Ok(output.item)
    }

    /// Returns the rows at `keys`, which must differ from each other, in no particular order. Missing ones are left out.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read or a row is not a `T`.
    pub async fn get_many<T: DeserializeOwned>(&self, keys: &[Key]) -> Result<Vec<T>, Error> {
        let mut found = Vec::with_capacity(keys.len());
        for batch in keys.chunks(limit::BATCH_KEYS) {
            self.get_batch(batch, &mut found).await?;
        }
        Ok(found)
    }

    /// Reads one batch. DynamoDB returns a part of it if the rest is too large or throttled. The rest is requested again
    /// after a pause, as DynamoDB's documentation of `BatchGetItem` advises.
    async fn get_batch<T: DeserializeOwned>(&self, keys: &[Key], found: &mut Vec<T>) -> Result<(), Error> {
        let mut wanted: Vec<Item> = keys.iter().map(Key::attributes).collect();
        let mut tries = Retry::CONTENDED.tries();
        loop {
            match self.request_batch(wanted.clone()).await {
                Ok((items, rest)) => {
                    found.extend(items.into_iter().map(decode).collect::<Result<Vec<T>, _>>()?);
                    wanted = rest;
                }
                Err(Error::Throttled) => {}
                Err(error) => return Err(error),
            }
            if wanted.is_empty() {
                return Ok(());
            }
            if !tries.pause().await {
                return Err(Error::Throttled);
            }
        }
    }

    /// Requests the rows at `keys` once. Returns the rows, and the keys that were not processed.
    async fn request_batch(&self, keys: Vec<Item>) -> Result<(Vec<Item>, Vec<Item>), Error> {
        let request = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let request = request.map_err(|error| Error::Refused(Box::new(error)))?;
        let batch = self.client.batch_get_item().request_items(&*self.tables.main, request);
        let output = batch.send().await.map_err(classify)?;
        let items = output.responses.into_iter().flatten().flat_map(|(_, items)| items).collect();
        let rest = output.unprocessed_keys.into_iter().flatten().flat_map(|(_, rest)| rest.keys).collect();
        Ok((items, rest))
    }

    /// Sends one write, until its outcome is known or the tries of [`Retry::BRIEF`] are used up.
    ///
    /// The tries after one whose answer was lost may meet the row that it has written. A row in exactly the state that
    /// the write produces counts as written by it. A write of which only one of several processes may succeed
    /// therefore contains a value that no other has, such as an id of the attempt. A write that
    /// [adds](crate::Update::add) to a number cannot be recognised and may be applied twice: if that matters, use
    /// [`commit`](Self::commit).
    ///
    /// # Errors
    /// [`Error::Conflict`] with the row as it is if the condition of the write does not hold.
    pub async fn write(&self, write: impl Into<Write>) -> Result<(), Error> {
        self.send(write.into(), ReturnValue::None).await.map(|_| ())
    }

    /// Sends one write once, for a caller that retries by a rule of its own.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_once(&self, write: impl Into<Write>) -> Result<(), Error> {
        let write = write.into();
        write.check()?;
        self.send_once(&write, ReturnValue::None).await.map(|_| ())
    }

    /// As [`write`](Self::write). Returns `false` if the condition does not hold.
    ///
    /// # Errors
    /// Returns an error if the write fails.
    pub async fn write_if(&self, write: impl Into<Write>) -> Result<bool, Error> {
        match self.write(write).await {
            Ok(()) => Ok(true),
            Err(Error::Conflict(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Updates a row as [`write`](Self::write) does, and returns it as it is then. Returns `None` if the condition of the update does not hold.
    ///
    /// # Errors
    /// Returns an error if the write fails or the row is not a `T`.
    pub async fn update_if<T: DeserializeOwned>(&self, update: Update) -> Result<Option<T>, Error> {
        match self.send(update.into(), ReturnValue::AllNew).await {
            Ok(row) => Ok(Some(decode(row.unwrap_or_default())?)),
            Err(Error::Conflict(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Updates a row once, whatever its state, and returns it as it is then. The update has no condition.
    ///
    /// # Errors
    /// As [`write`](Self::write). If the answer was lost, the row may have been updated.
    pub async fn update_once<T: DeserializeOwned>(&self, update: Update) -> Result<T, Error> {
        let write = Write::from(update);
        write.check()?;
        decode(self.send_once(&write, ReturnValue::AllNew).await?.unwrap_or_default())
    }

    /// Sends one write until its outcome is known. Returns the row after it if `returning` asks for it.
    async fn send(&self, write: Write, returning: ReturnValue) -> Result<Option<Item>, Error> {
        write.check()?;
        let mut tries = Retry::BRIEF.tries();
        let mut unknown = None;
        loop {
            match self.send_once(&write, returning.clone()).await {
                Err(Error::Conflict(found)) if unknown.is_some() && write.has_produced(found.as_deref()) => {
                    return Ok(found.map(|found| *found));
                }
                Err(error @ Error::Ambiguous(_)) => unknown = Some(error),
                Err(Error::Throttled) => {}
                outcome => return outcome,
            }
            if !tries.pause().await {
                return Err(unknown.unwrap_or(Error::Throttled));
            }
        }
    }

    async fn send_once(&self, write: &Write, returning: ReturnValue) -> Result<Option<Item>, Error> {
        let table = self.tables.name(write.table);
        let Expressions { update, condition, placeholders } = write.expressions();
        // A condition that does not hold has a row to report. Without one DynamoDB refuses the parameter.
        let found = condition.is_some().then_some(FOUND);
        match &write.action {
            Action::Put(item) => {
                let put = self.writer.put_item().table_name(table).set_item(Some(item.clone()));
                let put = put
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(placeholders.names())
                    .set_expression_attribute_values(placeholders.values())
                    .set_return_values_on_condition_check_failure(found);
                put.send().await.map(|_| None).map_err(classify_write)
            }
            Action::Update(change) => {
                let key = change.key.attributes();
                let request = self.writer.update_item().table_name(table).set_key(Some(key));
                let request = request
                    .set_update_expression(update)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(placeholders.names())
                    .set_expression_attribute_values(placeholders.values())
                    .set_return_values_on_condition_check_failure(found)
                    .return_values(returning);
                request.send().await.map(|output| output.attributes).map_err(classify_write)
            }
            Action::Delete(key) => {
                let delete = self.writer.delete_item().table_name(table).set_key(Some(key.clone()));
                let delete = delete
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(placeholders.names())
                    .set_expression_attribute_values(placeholders.values())
                    .set_return_values_on_condition_check_failure(found);
                delete.send().await.map(|_| None).map_err(classify_write)
            }
            Action::Check(_) => Err(Error::Refused("a check is part of a transaction only".into())),
        }
    }

    /// Stores the row and replaces one with the same key.
    ///
    /// # Errors
    /// Returns an error if the write fails.
    pub async fn put(&self, row: Row) -> Result<(), Error> {
        self.write(Write::put(row)).await
    }

    /// Stores the row if no row has its key. A stored row that equals the one being written is a success: the caller
    /// repeats an operation whose response was lost.
    ///
    /// # Errors
    /// [`Error::Conflict`] with the row that has the key.
    pub async fn insert(&self, row: Row) -> Result<(), Error> {
        match self.write(Write::insert(row.clone())).await {
            Err(Error::Conflict(Some(stored))) if *stored == row.into_item() => Ok(()),
            written => written,
        }
    }

    /// Deletes the row if it exists.
    ///
    /// # Errors
    /// Returns an error if the write fails.
    pub async fn delete(&self, key: &Key) -> Result<(), Error> {
        self.write(Write::delete(key)).await
    }
}
