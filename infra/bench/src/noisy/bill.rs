//! The table's units by tenant, and the prices of AWS.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use anyhow::Context;
use sequent_local::Options;
use sequent_tables::testing::{AnsweredRequest, CapacityObserver};

use crate::{client::Client, usage::Usage};

/// The use of the tables by both tenants.
#[derive(Debug, Default)]
pub(crate) struct Bill {
    pub(crate) quiet: Usage,
    /// All requests that do not name the quiet tenant: also those of sign-ins, whose rows belong to no tenant.
    pub(crate) noisy: Usage,
}

/// Adds up the requests to the tables. The tenant is in each of its keys.
#[derive(Debug, Default)]
pub(crate) struct Consumption {
    quiet: OnceLock<String>,
    bill: Mutex<Bill>,
}

impl Consumption {
    /// Returns the observer of the stack's database.
    pub(crate) fn observer(self: &Arc<Self>) -> CapacityObserver {
        let consumption = self.clone();
        CapacityObserver::new(move |answered| consumption.add(answered))
    }

    /// Names the quiet tenant.
    pub(crate) fn of_quiet(&self, client: &Client) {
        if let Some(tenant) = client.tenant {
            self.quiet.get_or_init(|| tenant.to_string());
        }
    }

    /// Returns the bill since the last call.
    pub(crate) fn take(&self) -> Bill {
        mem::take(&mut *self.bill.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, answered: AnsweredRequest<'_>) {
        let AnsweredRequest { operation, request, is_ok, answer, took } = answered;
        let text = String::from_utf8_lossy(request);
        let is_of_quiet = self.quiet.get().is_some_and(|tenant| text.contains(tenant));
        let mut bill = self.bill.lock().unwrap_or_else(PoisonError::into_inner);
        let usage = if is_of_quiet { &mut bill.quiet } else { &mut bill.noisy };
        usage.add(operation, request, is_ok, answer, took.as_secs_f64() * 1e3);
    }
}

/// Prices in dollars for a million.
pub(crate) struct Prices(BTreeMap<String, f64>);

impl Prices {
    /// Reads the repository's file of prices.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let path = Options::repository().join("infra/deploy/prices.toml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self::parse(&text))
    }

    /// Parses the section `[prices]`, whose lines are `name = number # comment`.
    fn parse(text: &str) -> Self {
        let section = text.split_once("[prices]").map_or("", |(_, rest)| rest);
        let lines = section.lines().take_while(|line| !line.starts_with('['));
        let price = |line: &str| {
            let (name, rest) = line.split_once('=')?;
            let number = rest.split('#').next()?.trim().parse().ok()?;
            Some((name.trim().to_owned(), number))
        };
        Self(lines.filter_map(price).collect())
    }

    pub(crate) fn of(&self, name: &str) -> anyhow::Result<f64> {
        self.0.get(name).copied().with_context(|| format!("infra/deploy/prices.toml has no price `{name}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_prices_has_the_prices_of_a_bill() {
        let prices = Prices::read().expect("the file");
        for name in [
            "table_writes",
            "table_reads",
            "lambda_gb_seconds",
            "lambda_requests",
            "edge_requests",
            "api_requests",
        ] {
            assert!(prices.of(name).expect("a price") > 0.0, "{name}");
        }
        assert!(prices.of("idle").is_err(), "of another section");
    }
}
