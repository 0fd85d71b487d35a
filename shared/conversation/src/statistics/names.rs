//! The names of the scores of a version: each has a row of counters, so there are few of them.

use std::collections::BTreeSet;

use sequent_core::TenantId;
use sequent_event::Rating;
use sequent_tables::{
    Condition, Label, Store, attribute,
    key::{self, NumberedAgent},
};

use super::{NAMES, rows};
use crate::Error;

/// Names of scores of a version of an agent at most. Counting again forgets those that no feedback has any more.
pub(crate) const MAX_SCORE_NAMES: usize = 50;

/// A score with a name, which the version has or does not have yet. The condition fails if that is not so any more.
pub(crate) const NAME: Label = Label::new("name");
/// The number of names. The condition fails if the version has no room for more.
pub(crate) const NAMES_LEFT: Label = Label::new("names-left");

/// The names that a version has, as they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ScoreNames(BTreeSet<String>);

impl ScoreNames {
    /// Reads the names of a version, if the rating has scores.
    pub(crate) async fn read(
        store: &Store,
        tenant: TenantId,
        of: Option<NumberedAgent>,
        rating: Option<&Rating>,
    ) -> Result<Self, Error> {
        let Some(of) = of.filter(|_| rating.is_some_and(|rating| !rating.scores.is_empty())) else {
            return Ok(Self::default());
        };
        let rows = rows(store, tenant, of, usize::MAX).await?;
        let name = |key| key::parse_score_statistics(key).map(str::to_owned);
        Ok(Self(rows.iter().filter_map(|(key, _)| name(key)).collect()))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The number of names of the rating that the version does not have.
    pub(super) fn count_new(&self, rating: Option<&Rating>) -> i64 {
        let names = rating.into_iter().flat_map(|rating| rating.scores.keys());
        i64::try_from(names.filter(|name| !self.has(name)).count()).unwrap_or(i64::MAX)
    }
}

/// Requires that so many more names are few enough.
pub(super) fn leave_room_for(names: i64) -> Condition {
    let most = i64::try_from(MAX_SCORE_NAMES).unwrap_or(i64::MAX);
    attribute(NAMES).is_none().or(attribute(NAMES).is_below(most.saturating_sub(names) + 1))
}
