//! Tables of a deployment, which its operator can replace while its functions run.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use sequent_aws::Secrets;
use sequent_tables::{SecretName, SecretTable};
use serde::Deserialize;

/// A table that the operator can store as JSON.
pub trait Replaceable: Clone {
    /// The row with the stored JSON. It is no secret, but the functions' roles allow them to read secrets by name.
    const STORED: SecretName;
    /// The JSON is not valid.
    type InvalidTable: fmt::Display;

    /// Returns the table with the entries in `json`, which take precedence.
    ///
    /// # Errors
    /// If the JSON is not valid.
    fn with_json(&self, json: &str) -> Result<Self, Self::InvalidTable>;
}

/// A table of the deployment. Clones share it.
#[derive(Clone, Debug)]
pub struct OperatorTable<T>(Arc<SharedTable<T>>);

#[derive(Debug)]
struct SharedTable<T> {
    /// The built-in table, and what the environment says.
    base: T,
    /// The operator's entries, which take precedence. They are read again as secrets are.
    stored: Option<Secrets<StoredTable>>,
    known: Mutex<KnownTable<T>>,
}

/// The fields of the row.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StoredTable {
    table: Option<String>,
}

/// The table in use, and the stored text that was read last. A text that is not valid changes nothing.
#[derive(Debug)]
struct KnownTable<T> {
    text: Option<String>,
    table: Arc<T>,
}

impl<T: Replaceable> OperatorTable<T> {
    /// A table that does not change.
    #[must_use]
    pub fn fixed(table: T) -> Self {
        Self::new(table, None)
    }

    /// The table `base` with the entries that the operator has stored with `scripts/secret STACK set NAME table`.
    #[must_use]
    pub fn stored(base: T, secrets: &SecretTable) -> Self {
        Self::new(base, Some(Secrets::optional_row(secrets, T::STORED)))
    }

    fn new(base: T, stored: Option<Secrets<StoredTable>>) -> Self {
        let known = KnownTable { text: None, table: Arc::new(base.clone()) };
        Self(Arc::new(SharedTable { base, stored, known: Mutex::new(known) }))
    }

    /// Returns the table as it was last read.
    #[must_use]
    pub fn known(&self) -> Arc<T> {
        Arc::clone(&self.0.known.lock().unwrap_or_else(PoisonError::into_inner).table)
    }

    /// Returns a table that is at most [`REFRESH`](sequent_aws::secret::REFRESH) old, if it can be read and is valid.
    pub async fn current(&self) -> Arc<T> {
        let Some(stored) = &self.0.stored else { return self.known() };
        match stored.get().await {
            Ok(read) => self.replace(read.table.as_deref()),
            Err(error) => {
                tracing::warn!(table = %T::STORED, %error, "could not read a stored table; the one known so far stays");
                self.known()
            }
        }
    }

    fn replace(&self, text: Option<&str>) -> Arc<T> {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.text.as_deref() != text {
            known.text = text.map(str::to_owned);
            match text.map_or_else(|| Ok(self.0.base.clone()), |text| self.0.base.with_json(text)) {
                Ok(table) => {
                    tracing::info!(table = %T::STORED, "a stored table has changed");
                    known.table = Arc::new(table);
                }
                Err(error) => tracing::error!(
                    table = %T::STORED,
                    %error,
                    "a stored table is not valid; the one known so far stays. \
                     Store another with scripts/secret STACK set NAME table"
                ),
            }
        }
        Arc::clone(&known.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ModelName,
        abilities::AbilityTable,
        price::{Prices, Table},
    };

    #[test]
    fn a_table_that_is_not_valid_changes_nothing() {
        let base = Table::from_json(r#"{"own": {"input": 1, "output": 2}}"#).unwrap();
        let prices = Prices::fixed(base);
        let input = |table: &Table, model: &str| table.get(model).map(|price| price.input);
        let table = prices
            .replace(Some(r#"{"own": {"input": 5, "output": 6}, "gpt-4o": {"input": 7, "output": 8}}"#));
        assert_eq!((input(&table, "own"), input(&table, "gpt-4o")), (Some(5), Some(7)));
        for invalid in ["", "{", r#"{"own": {"input": -5, "output": 6}}"#, r#"{"own": {"price": 5}}"#] {
            assert_eq!(input(&prices.replace(Some(invalid)), "own"), Some(5), "{invalid}");
        }
        let table = prices.replace(None);
        assert_eq!(
            (input(&table, "own"), input(&table, "gpt-4o")),
            (Some(1), Some(2_500_000)),
            "as if never stored"
        );
    }

    #[test]
    fn stored_abilities_are_merged_over_those_of_the_environment() {
        let base = AbilityTable::from_json(r#"{"own": {"window": 8192, "images": true}}"#).unwrap();
        let abilities = OperatorTable::fixed(base);
        let own: ModelName = "own".parse().unwrap();
        let table = abilities.replace(Some(r#"{"own": {"window": 16384}}"#));
        assert_eq!((table.window(&own).total, table.of(&own).images), (16_384, true));
        for invalid in [r#"{"own": {"window": 5}}"#, r#"{"own": {"sight": true}}"#, "[]"] {
            assert_eq!(abilities.replace(Some(invalid)).window(&own).total, 16_384, "{invalid}");
        }
        assert_eq!(abilities.replace(None).window(&own).total, 8_192);
    }
}
