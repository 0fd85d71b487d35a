//! The prices of a deployment, which its operator can replace while its functions run.

use std::sync::{Arc, Mutex, PoisonError};

use sequent_aws::Secrets;
use sequent_tables::{SecretName, SecretTable};
use serde::Deserialize;

use super::Table;

/// The prices of a deployment. Clones share them.
#[derive(Clone, Debug)]
pub struct Prices(Arc<SharedPrices>);

#[derive(Debug)]
struct SharedPrices {
    /// The built-in prices, and those of the environment.
    base: Table,
    /// The operator's table, which takes precedence. It is read again as secrets are.
    stored: Option<Secrets<StoredTable>>,
    known: Mutex<KnownTable>,
}

/// The fields of the secret `prices`. It is no secret, but the functions' roles allow them to read secrets by name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StoredTable {
    table: Option<String>,
}

/// The table in use, and the stored text that was read last. A text that is not valid changes nothing.
#[derive(Debug)]
struct KnownTable {
    text: Option<String>,
    table: Arc<Table>,
}

impl Prices {
    /// Prices that do not change.
    #[must_use]
    pub fn fixed(table: Table) -> Self {
        Self::new(table, None)
    }

    /// The prices in `base` and those that the operator has stored with `scripts/secret STACK set prices table`.
    #[must_use]
    pub fn stored(base: Table, table: &SecretTable) -> Self {
        Self::new(base, Some(Secrets::optional_row(table, SecretName::Prices)))
    }

    fn new(base: Table, stored: Option<Secrets<StoredTable>>) -> Self {
        let known = KnownTable { text: None, table: Arc::new(base.clone()) };
        Self(Arc::new(SharedPrices { base, stored, known: Mutex::new(known) }))
    }

    /// Returns the prices as they were last read.
    #[must_use]
    pub fn known(&self) -> Arc<Table> {
        Arc::clone(&self.0.known.lock().unwrap_or_else(PoisonError::into_inner).table)
    }

    /// Returns prices that are at most [`REFRESH`](sequent_aws::secret::REFRESH) old, if they can be read and are valid.
    pub async fn current(&self) -> Arc<Table> {
        let Some(stored) = &self.0.stored else { return self.known() };
        match stored.get().await {
            Ok(read) => self.replace(read.table.as_deref()),
            Err(error) => {
                tracing::warn!(%error, "could not read the table of prices; the prices known so far stay");
                self.known()
            }
        }
    }

    fn replace(&self, text: Option<&str>) -> Arc<Table> {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.text.as_deref() != text {
            known.text = text.map(str::to_owned);
            match text.map_or_else(|| Ok(self.0.base.clone()), |text| self.0.base.with_json(text)) {
                Ok(table) => {
                    tracing::info!("the table of prices has changed");
                    known.table = Arc::new(table);
                }
                Err(error) => tracing::error!(
                    %error,
                    "the stored table of prices is not valid; the prices known so far stay. \
                     Store another with scripts/secret STACK set prices table"
                ),
            }
        }
        Arc::clone(&known.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
