//! Checks that a test database refuses what DynamoDB refuses: otherwise a test passes and production fails.
//!
//! The limits are those of the developer guide, "Quotas in Amazon DynamoDB" and "Amazon DynamoDB Transactions: How it
//! works"; the messages are those of the service.

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, DeleteRequest, KeysAndAttributes, Put, TransactWriteItem, Update, WriteRequest},
};

use crate::{
    Item, Store,
    limit::{BATCH_KEYS, ITEM_BYTES, TRANSACTION_WRITES, item_bytes},
};

/// Bytes of a page of a query.
const PAGE_BYTES: usize = 1024 * 1024;
/// Bytes of an expression.
const EXPRESSION_BYTES: usize = 4096;
/// The largest items that are more than 16 MB together.
const LARGE_BATCH: usize = 42;
/// Writes of a batch.
const BATCH_WRITES: usize = 25;

/// The refusal of an operation, or its success.
type Outcome = Result<(), (String, String)>;

/// Makes every request that is a little too large, and the largest that are not. Returns a line for each that was not
/// answered as DynamoDB answers it.
///
/// The answer to a large batch has a check of its own, [`leaves_keys_of_a_large_batch`], because it takes long.
///
/// # Panics
/// Panics if the database fails for a reason of its own.
pub async fn deviations(store: &Store) -> Vec<String> {
    let probe = Probe::of(store);
    let mut found = Vec::new();
    let mut expect = |what: &str, expected: Option<(&str, &str)>, outcome: Outcome| {
        let as_expected = match (expected, &outcome) {
            (None, Ok(())) => true,
            (Some((code, message)), Err((found, text))) => code == found && text.contains(message),
            _ => false,
        };
        if !as_expected {
            found.push(format!("{what}: expected {expected:?}, but it was {outcome:?}"));
        }
    };
    const INVALID: &str = "ValidationException";
    let too_large = Some((INVALID, "Item size has exceeded the maximum allowed size"));
    expect("the largest item", None, probe.put(item("largest", ITEM_BYTES, "x")).await);
    expect("an item that is too large", too_large, probe.put(item("larger", ITEM_BYTES + 1, "x")).await);
    expect(
        "an item of characters of two bytes",
        too_large,
        probe.put(item("accents", ITEM_BYTES + 1, "é")).await,
    );
    let grown = Some((INVALID, "Item size to update has exceeded the maximum allowed size"));
    expect("an update that makes an item too large", grown, probe.grow("largest").await);
    let grown = Some(("TransactionCanceledException", "ValidationError"));
    expect("a transaction that makes an item too large", grown, probe.transact_update("largest").await);

    let small = |count: usize| (0..count).map(|n| item(&format!("small-{n}"), 64, "x")).collect();
    expect("the most writes", None, probe.transact(small(TRANSACTION_WRITES)).await);
    let many = Some((INVALID, "less than or equal to 100"));
    expect("too many writes", many, probe.transact(small(TRANSACTION_WRITES + 1)).await);
    let twice = Some((INVALID, "multiple operations on one item"));
    expect(
        "two writes of one row",
        twice,
        probe.transact(vec![item("one", 64, "x"), item("one", 64, "y")]).await,
    );
    let large = |last: usize, of: &str| {
        let sizes = [ITEM_BYTES; 10].into_iter().chain([last]).enumerate();
        sizes.map(|(n, bytes)| item(&format!("large-{n:02}"), bytes, of)).collect()
    };
    let four_megabytes = 4 * 1024 * 1024 - 10 * ITEM_BYTES;
    // Quotes, because JSON makes them longer: DynamoDB counts what it stores.
    expect("the largest transaction", None, probe.transact(large(four_megabytes, "\"")).await);
    let aggregate = Some((INVALID, "4MB"));
    expect(
        "a transaction that is too large",
        aggregate,
        probe.transact(large(four_megabytes + 1, "x")).await,
    );

    let long = Some((INVALID, "Expression size has exceeded the maximum allowed size"));
    expect("an expression that is too long", long, probe.long_expression().await);
    let many = Some((INVALID, "less than or equal to 100"));
    expect("too many keys", many, probe.read_batch("small", BATCH_KEYS + 1).await.map(drop));
    let many = Some((INVALID, "less than or equal to 25"));
    expect("too many writes of a batch", many, probe.delete_batch(BATCH_WRITES + 1).await);
    expect("a page", None, probe.page().await);
    found
}

/// Reads items of more than 16 MB in one batch. Returns `true` if some of their keys are left as unprocessed.
///
/// # Panics
/// Panics if the database fails for a reason of its own.
pub async fn leaves_keys_of_a_large_batch(store: &Store) -> bool {
    let probe = Probe::of(store);
    for n in 0..LARGE_BATCH {
        probe.put(item(&format!("huge-{n}"), ITEM_BYTES, "x")).await.expect("the largest item fits");
    }
    let (found, left) = probe.read_batch("huge", LARGE_BATCH).await.expect("a batch is read");
    found < LARGE_BATCH && found + left == LARGE_BATCH
}

struct Probe {
    client: Client,
    table: String,
}

/// An item of exactly `bytes` bytes, filled with a character. One that has two bytes fills up to one byte less.
fn item(name: &str, bytes: usize, of: &str) -> Item {
    let mut item = key(name);
    item.insert("text".to_owned(), text(""));
    let left = bytes - item_bytes(&item);
    let mut filled = of.repeat(left / of.len());
    filled.push_str(&"x".repeat(left % of.len()));
    item.insert("text".to_owned(), text(&filled));
    item
}

fn key(name: &str) -> Item {
    Item::from([("pk".to_owned(), text("limits")), ("sk".to_owned(), text(name))])
}

fn text(of: &str) -> AttributeValue {
    AttributeValue::S(of.to_owned())
}

fn outcome<T, E: ProvideErrorMetadata, R>(result: Result<T, SdkError<E, R>>) -> Result<T, (String, String)> {
    result.map_err(|error| match error.as_service_error() {
        Some(error) => {
            (error.code().unwrap_or_default().to_owned(), error.message().unwrap_or_default().to_owned())
        }
        None => ("none".to_owned(), "the database did not answer".to_owned()),
    })
}

impl Probe {
    fn of(store: &Store) -> Self {
        Self { client: store.client().clone(), table: store.tables().main.to_string() }
    }

    async fn put(&self, item: Item) -> Outcome {
        outcome(self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await).map(drop)
    }

    async fn grow(&self, name: &str) -> Outcome {
        let update = self.client.update_item().table_name(&self.table).set_key(Some(key(name)));
        let update = update.update_expression("SET more = :x").expression_attribute_values(":x", text("x"));
        outcome(update.send().await).map(drop)
    }

    async fn transact_update(&self, name: &str) -> Outcome {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(name)))
            .update_expression("SET more = :x")
            .expression_attribute_values(":x", text("x"))
            .build()
            .expect("every field is set");
        let action = TransactWriteItem::builder().update(update).build();
        let sent = self.client.transact_write_items().transact_items(action).send().await;
        let cancelled = match sent.as_ref().err().and_then(SdkError::as_service_error) {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons().first().and_then(|reason| reason.code.clone())
            }
            _ => None,
        };
        match cancelled {
            Some(code) => Err(("TransactionCanceledException".to_owned(), code)),
            None => outcome(sent).map(drop),
        }
    }

    async fn transact(&self, items: Vec<Item>) -> Outcome {
        let put = |item| {
            let put = Put::builder().table_name(&self.table).set_item(Some(item)).build();
            TransactWriteItem::builder().put(put.expect("every field is set")).build()
        };
        let actions = items.into_iter().map(put).collect();
        outcome(self.client.transact_write_items().set_transact_items(Some(actions)).send().await).map(drop)
    }

    async fn long_expression(&self) -> Outcome {
        let update = self.client.update_item().table_name(&self.table).set_key(Some(key("small-0")));
        let update = update.update_expression(format!("REMOVE {}", "x".repeat(EXPRESSION_BYTES)));
        outcome(update.send().await).map(drop)
    }

    async fn read_batch(&self, prefix: &str, count: usize) -> Result<(usize, usize), (String, String)> {
        let keys = (0..count).map(|n| key(&format!("{prefix}-{n}"))).collect();
        let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).build().expect("keys are set");
        let output = outcome(self.client.batch_get_item().request_items(&self.table, wanted).send().await)?;
        let found = output.responses.unwrap_or_default().remove(&self.table).unwrap_or_default().len();
        let left =
            output.unprocessed_keys.unwrap_or_default().remove(&self.table).map_or(0, |left| left.keys.len());
        Ok((found, left))
    }

    async fn delete_batch(&self, count: usize) -> Outcome {
        let delete = |n| {
            let delete = DeleteRequest::builder().set_key(Some(key(&format!("none-{n}")))).build();
            WriteRequest::builder().delete_request(delete.expect("the key is set")).build()
        };
        let writes = (0..count).map(delete).collect();
        outcome(self.client.batch_write_item().request_items(&self.table, writes).send().await).map(drop)
    }

    /// The eleven large items are more than one page.
    async fn page(&self) -> Outcome {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :large)")
            .expression_attribute_values(":pk", text("limits"))
            .expression_attribute_values(":large", text("large-"));
        let output = outcome(query.send().await)?;
        let bytes: usize = output.items().iter().map(item_bytes).sum();
        let is_page = output.last_evaluated_key.is_some() && bytes <= PAGE_BYTES + ITEM_BYTES;
        if is_page { Ok(()) } else { Err(("a page".to_owned(), format!("{bytes} bytes"))) }
    }
}
