//! Writes of single rows: the pieces that [`Store`](crate::Store) sends alone and a
//! [`Transaction`](crate::Transaction) sends together.

use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update as SdkUpdate,
};

use crate::{
    Condition, Error, Item, Key, Row, Tables, Update, absent, attribute, exists,
    expression::Placeholders,
    limit::{self, Limit},
};

/// Asks for the row as it is when a condition does not hold.
pub(crate) const FOUND: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

/// One of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableName {
    /// Everything except the logs.
    Main,
    /// The run logs.
    Events,
}

impl TableName {
    const fn key_names(self) -> [&'static str; 2] {
        match self {
            Self::Main => ["pk", "sk"],
            Self::Events => ["run", "seq"],
        }
    }
}

/// A write of one row. An [`Update`] is turned into one by `into()`.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    pub(crate) table: TableName,
    pub(crate) action: Action,
    pub(crate) condition: Option<Condition>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    Put(Item),
    Update(Update),
    Delete(Item),
    Check(Item),
}

impl Write {
    /// Stores the row and replaces one with the same key.
    #[must_use]
    pub fn put(row: Row) -> Self {
        Self { table: TableName::Main, action: Action::Put(row.into_item()), condition: None }
    }

    /// Stores the row if no row has its key.
    #[must_use]
    pub fn insert(row: Row) -> Self {
        Self::put(row).when(absent())
    }

    /// Deletes the row if it exists. With `.when(exists())` it must exist.
    #[must_use]
    pub fn delete(key: &Key) -> Self {
        Self { table: TableName::Main, action: Action::Delete(key.attributes()), condition: None }
    }

    /// Writes nothing, but makes a transaction depend on the row: it must exist.
    #[must_use]
    pub fn require(key: &Key) -> Self {
        Self { table: TableName::Main, action: Action::Check(key.attributes()), condition: Some(exists()) }
    }

    /// Writes nothing, but makes a transaction depend on a condition that also a missing row may meet.
    #[must_use]
    pub fn require_that(key: &Key, condition: Condition) -> Self {
        Self { table: TableName::Main, action: Action::Check(key.attributes()), condition: Some(condition) }
    }

    /// Makes a transaction depend on a run log that has no event at `seq`.
    #[must_use]
    pub fn require_end_of_log(log: String, seq: u64) -> Self {
        Self {
            table: TableName::Events,
            action: Action::Check(segment_key(log, seq)),
            condition: Some(attribute("seq").is_absent()),
        }
    }

    /// Deletes the segment at `seq` of a run log, if it exists.
    #[must_use]
    pub fn delete_segment(log: String, seq: u64) -> Self {
        Self { table: TableName::Events, action: Action::Delete(segment_key(log, seq)), condition: None }
    }

    /// Appends a segment, encoded by the run log, if its position in the log is free.
    #[must_use]
    pub fn append(segment: Item) -> Self {
        let condition = Some(attribute("seq").is_absent());
        Self { table: TableName::Events, action: Action::Put(segment), condition }
    }

    /// Makes the write depend on a condition. A second call adds a further condition.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.condition = Some(match self.condition {
            Some(first) => first.and(condition),
            None => condition,
        });
        self
    }

    /// Returns the key of its row. Returns `None` if the row is a segment of a log.
    #[must_use]
    pub fn row_key(&self) -> Option<Key> {
        Key::of_item(&self.key())
    }

    /// The key attributes of the row.
    pub(crate) fn key(&self) -> Item {
        let item = match &self.action {
            Action::Put(item) => item,
            Action::Update(update) => return update.key.attributes(),
            Action::Delete(key) | Action::Check(key) => return key.clone(),
        };
        self.table
            .key_names()
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), item.get(*name)?.clone())))
            .collect()
    }

    /// The key as text, to compare the rows of two writes.
    pub(crate) fn row_name(&self) -> String {
        let key = self.key();
        let text = |name: &str| match key.get(name) {
            Some(AttributeValue::S(text) | AttributeValue::N(text)) => text.as_str(),
            _ => "",
        };
        self.table.key_names().map(text).join("\n")
    }

    /// The bytes that this write adds to a transaction, at least: an update may meet a larger row.
    pub(crate) fn bytes(&self) -> usize {
        match &self.action {
            Action::Put(item) => limit::item_bytes(item),
            Action::Update(update) => limit::item_bytes(&update.key.attributes()) + update.bytes(),
            Action::Delete(key) | Action::Check(key) => limit::item_bytes(key),
        }
    }

    /// Checks what can be known of DynamoDB's limits before the write is sent.
    pub(crate) fn check(&self) -> Result<(), Limit> {
        limit::check_key(&self.key())?;
        match &self.action {
            Action::Put(item) => limit::check_item(item),
            Action::Update(_) | Action::Delete(_) | Action::Check(_) => Ok(()),
        }
    }

    /// Returns `true` if the row as it was found is the row that this write produces.
    pub(crate) fn has_produced(&self, found: Option<&Item>) -> bool {
        match &self.action {
            Action::Put(item) => found == Some(item),
            Action::Update(update) => found.is_some_and(|found| update.has_produced(found)),
            Action::Delete(_) => found.is_none(),
            Action::Check(_) => false,
        }
    }

    /// The parts of the request that expressions need.
    pub(crate) fn expressions(&self) -> Expressions {
        let mut placeholders = Placeholders::default();
        let update = match &self.action {
            Action::Update(update) => update.expression(&mut placeholders),
            Action::Put(_) | Action::Delete(_) | Action::Check(_) => None,
        };
        let condition = self.condition.as_ref().map(|condition| condition.expression(&mut placeholders));
        Expressions { update, condition, placeholders }
    }

    /// The write as a part of a transaction.
    pub(crate) fn to_part(&self, tables: &Tables) -> Result<TransactWriteItem, Error> {
        let table = tables.name(self.table);
        let Expressions { update, condition, placeholders } = self.expressions();
        let part = TransactWriteItem::builder();
        let part = match &self.action {
            Action::Put(item) => Put::builder()
                .table_name(table)
                .set_item(Some(item.clone()))
                .set_condition_expression(condition)
                .set_expression_attribute_names(placeholders.names())
                .set_expression_attribute_values(placeholders.values())
                .return_values_on_condition_check_failure(FOUND)
                .build()
                .map(|put| part.put(put)),
            Action::Update(change) => SdkUpdate::builder()
                .table_name(table)
                .set_key(Some(change.key.attributes()))
                .set_update_expression(update)
                .set_condition_expression(condition)
                .set_expression_attribute_names(placeholders.names())
                .set_expression_attribute_values(placeholders.values())
                .return_values_on_condition_check_failure(FOUND)
                .build()
                .map(|update| part.update(update)),
            Action::Delete(key) => Delete::builder()
                .table_name(table)
                .set_key(Some(key.clone()))
                .set_condition_expression(condition)
                .set_expression_attribute_names(placeholders.names())
                .set_expression_attribute_values(placeholders.values())
                .return_values_on_condition_check_failure(FOUND)
                .build()
                .map(|delete| part.delete(delete)),
            Action::Check(key) => ConditionCheck::builder()
                .table_name(table)
                .set_key(Some(key.clone()))
                .set_condition_expression(condition)
                .set_expression_attribute_names(placeholders.names())
                .set_expression_attribute_values(placeholders.values())
                .return_values_on_condition_check_failure(FOUND)
                .build()
                .map(|check| part.condition_check(check)),
        };
        Ok(part.map_err(|error| Error::Refused(Box::new(error)))?.build())
    }
}

fn segment_key(log: String, seq: u64) -> Item {
    Item::from([
        ("run".to_owned(), AttributeValue::S(log)),
        ("seq".to_owned(), AttributeValue::N(seq.to_string())),
    ])
}

impl From<Update> for Write {
    fn from(mut update: Update) -> Self {
        let condition = update.condition.take();
        Self { table: TableName::Main, action: Action::Update(update), condition }
    }
}

/// The expressions of one write, with the names and values they share.
pub(crate) struct Expressions {
    pub(crate) update: Option<String>,
    pub(crate) condition: Option<String>,
    pub(crate) placeholders: Placeholders,
}
