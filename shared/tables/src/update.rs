//! Changes of single attributes of a row.

use aws_sdk_dynamodb::types::AttributeValue;
use sequent_core::Timestamp;
use serde::Serialize;

use crate::{
    Condition, Item, Key,
    expression::Placeholders,
    key::IndexKey,
    limit,
    value::{Path, encode},
};

/// Changes some attributes of one row and leaves the others as they are.
///
/// Without a condition the update creates a row that does not exist; most callers want `.when(exists())`. Values are
/// encoded by serde. A later call for the same path replaces the earlier one.
///
/// ```
/// # use sequent_core::{ProjectId, RunId, TenantId};
/// use sequent_tables::{Update, attribute, exists, key};
///
/// # let (tenant, project, run) = (TenantId::new(), ProjectId::new(), RunId::new());
/// let claim = Update::of(&key::project(tenant, project))
///     .set("live_run_id", run)
///     .add("runs", 1)
///     .remove("draft")
///     .when(exists().and(attribute("live_run_id").is_none()));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    pub(crate) key: Key,
    changes: Vec<(Path, Change)>,
    pub(crate) condition: Option<Condition>,
}

#[derive(Debug, Clone, PartialEq)]
enum Change {
    Set(AttributeValue),
    SetIfAbsent(AttributeValue),
    Add { start: AttributeValue, amount: AttributeValue },
    Remove,
}

impl Update {
    /// An update of the row at `key` that changes nothing yet.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        Self { key: key.clone(), changes: Vec::new(), condition: None }
    }

    /// Sets an attribute to a value.
    #[must_use]
    pub fn set(self, path: impl Into<Path>, value: impl Serialize) -> Self {
        self.change(path.into(), Change::Set(encode(value)))
    }

    /// Sets the attribute if the row does not have it.
    #[must_use]
    pub fn set_if_absent(self, path: impl Into<Path>, value: impl Serialize) -> Self {
        self.change(path.into(), Change::SetIfAbsent(encode(value)))
    }

    /// Adds to a number, or subtracts if `amount` is negative. A missing number counts as 0.
    #[must_use]
    pub fn add(self, path: impl Into<Path>, amount: i64) -> Self {
        self.add_from(path, 0, amount)
    }

    /// As [`add`](Self::add), but a missing number counts as `start`.
    #[must_use]
    pub fn add_from(self, path: impl Into<Path>, start: i64, amount: i64) -> Self {
        self.change(path.into(), Change::Add { start: encode(start), amount: encode(amount) })
    }

    /// Removes the attribute if the row has it.
    #[must_use]
    pub fn remove(self, path: impl Into<Path>) -> Self {
        self.change(path.into(), Change::Remove)
    }

    /// Moves the row to `position` in the second index, or adds it there.
    #[must_use]
    pub fn gsi2(self, position: &IndexKey) -> Self {
        self.set("gsi2pk", position.pk()).set("gsi2sk", position.sk())
    }

    /// Removes the row from the second index.
    #[must_use]
    pub fn remove_gsi2(self) -> Self {
        self.remove("gsi2pk").remove("gsi2sk")
    }

    /// Lets DynamoDB delete the row some time after `at`: see [`Row::expires_at`](crate::Row::expires_at).
    #[must_use]
    pub fn expires_at(self, at: Timestamp) -> Self {
        self.set("expires_at", at.seconds())
    }

    /// Makes the update depend on a condition. A second call adds a further condition.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.condition = Some(match self.condition {
            Some(first) => first.and(condition),
            None => condition,
        });
        self
    }

    fn change(mut self, path: Path, change: Change) -> Self {
        match self.changes.iter_mut().find(|(known, _)| *known == path) {
            Some((_, known)) => *known = change,
            None => self.changes.push((path, change)),
        }
        self
    }

    /// Returns `true` if each changed attribute of the row is as this update leaves it. A sum does not show that.
    pub(crate) fn has_produced(&self, row: &Item) -> bool {
        self.changes.iter().all(|(path, change)| match change {
            Change::Set(value) => path.of(row) == Some(value),
            Change::SetIfAbsent(_) => path.of(row).is_some(),
            Change::Add { .. } => false,
            Change::Remove => path.of(row).is_none(),
        })
    }

    /// Size of the values that it writes.
    pub(crate) fn bytes(&self) -> usize {
        let value = |change: &Change| match change {
            Change::Set(value) | Change::SetIfAbsent(value) => limit::value_bytes(value),
            Change::Add { .. } | Change::Remove => 0,
        };
        self.changes.iter().map(|(_, change)| value(change)).sum()
    }

    /// Writes the changes as an `UpdateExpression`. Returns `None` if there are none.
    pub(crate) fn expression(&self, placeholders: &mut Placeholders) -> Option<String> {
        let mut sets = Vec::new();
        let mut removes = Vec::new();
        for (path, change) in &self.changes {
            let path = placeholders.path(path);
            match change {
                Change::Set(value) => sets.push(format!("{path} = {}", placeholders.value(value))),
                Change::SetIfAbsent(value) => {
                    sets.push(format!("{path} = if_not_exists({path}, {})", placeholders.value(value)));
                }
                // The `ADD` action of DynamoDB does the same, but for top-level attributes only.
                Change::Add { start, amount } => {
                    let start = placeholders.value(start);
                    let amount = placeholders.value(amount);
                    sets.push(format!("{path} = if_not_exists({path}, {start}) + {amount}"));
                }
                Change::Remove => removes.push(path),
            }
        }
        let clauses = [("SET", sets), ("REMOVE", removes)];
        let clauses: Vec<String> = clauses
            .into_iter()
            .filter(|(_, actions)| !actions.is_empty())
            .map(|(word, actions)| format!("{word} {}", actions.join(", ")))
            .collect();
        (!clauses.is_empty()).then(|| clauses.join(" "))
    }
}
