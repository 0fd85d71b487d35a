//! A tenant's rules for the calls of tools: the list of them, which is changed by compare-and-swap, and the count of the calls of
//! a day.

use std::{collections::BTreeSet, time::Duration};

use sequent_core::{ApiError, Code, ErrorDetails, TenantId, Timestamp};
use sequent_tables::{Error as DataError, Row, Store, Update, Write, attribute, key};
use sequent_tool::{
    ToolRule, ask_user,
    names::{can_have_rule, is_tool_name},
};
use serde::{Deserialize, Serialize};

use crate::InvalidField;

const MAX_PER_RUN: u32 = 1_000;
const MAX_PER_DAY: u32 = 1_000_000;
/// The period of a limit per day.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The rules of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolRules {
    /// The number of changes of the rules, which a further change has to name.
    pub revision: u32,
    /// At most 100 rules, sorted by the name of the tool.
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    pub items: Vec<ToolRule>,
}

/// A change of the rules failed.
#[derive(Debug, thiserror::Error)]
pub enum ToolRulesError {
    /// The rules have this revision, and not the one that the caller expects.
    #[error("the rules have the revision {0}")]
    Changed(u32),
    /// Some rules are not allowed.
    #[error("{} fields are not allowed", .0.len())]
    Invalid(Vec<InvalidField>),
    /// The table could not be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// The row of the calls of a day.
#[derive(Deserialize)]
struct CountedCalls {
    calls: u32,
}

impl ToolRules {
    /// Rules of a tenant at most.
    pub const MAX: usize = 100;

    /// Reads the rules of a tenant, which are none at first.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn read(store: &Store, tenant: TenantId) -> Result<Self, DataError> {
        Ok(store.get(&key::tool_rules(tenant)).await?.unwrap_or_default())
    }

    /// Replaces all rules of a tenant, if they have the revision `expected`, and returns the new ones. A repeated change succeeds.
    ///
    /// # Errors
    /// [`ToolRulesError::Changed`], [`ToolRulesError::Invalid`], or if the table fails.
    pub async fn replace(
        store: &Store,
        tenant: TenantId,
        expected: u32,
        mut items: Vec<ToolRule>,
    ) -> Result<Self, ToolRulesError> {
        check(&items)?;
        items.sort_by(|one, other| one.tool.cmp(&other.tool));
        let rules = Self { revision: expected.saturating_add(1), items };
        let revision = attribute("revision");
        let is_expected = if expected == 0 { revision.is_none() } else { revision.equals(expected) };
        let row = Row::new(&key::tool_rules(tenant), &rules)?;
        if store.write_if(Write::put(row).when(is_expected)).await? {
            return Ok(rules);
        }
        let stored = Self::read(store, tenant).await?;
        if stored == rules { Ok(rules) } else { Err(ToolRulesError::Changed(stored.revision)) }
    }
}

/// Counts a call of a tool, and returns `true` if it is within `limit` for its day. The answer of one write decides, so of any number
/// of calls at the same time no more than the limit pass.
///
/// # Errors
/// If the table fails. Then the call may have been counted.
pub async fn count_call(
    store: &Store,
    tenant: TenantId,
    tool: &str,
    limit: u32,
    now: Timestamp,
) -> Result<bool, DataError> {
    let day = now.seconds().div_euclid(24 * 3600);
    let update = Update::of(&key::tool_calls(tenant, tool, day)).add("calls", 1).expires_at(now + 2 * DAY);
    let counted: Option<CountedCalls> = store.update_if(update).await?;
    Ok(counted.is_some_and(|counted| counted.calls <= limit))
}

/// Checks rules that are to be stored.
fn check(rules: &[ToolRule]) -> Result<(), ToolRulesError> {
    let mut broken = Vec::new();
    if rules.len() > ToolRules::MAX {
        broken.push(InvalidField::new("/items", format!("must have at most {} items", ToolRules::MAX)));
    }
    let mut names = BTreeSet::new();
    for (index, rule) in rules.iter().enumerate() {
        let of_rule = faults(rule, names.insert(rule.tool.as_str()));
        broken
            .extend(of_rule.map(|(member, why)| InvalidField::new(format!("/items/{index}/{member}"), why)));
    }
    if broken.is_empty() { Ok(()) } else { Err(ToolRulesError::Invalid(broken)) }
}

/// The members of a rule that are not allowed.
fn faults(rule: &ToolRule, is_first: bool) -> impl Iterator<Item = (&'static str, String)> {
    let ToolRule { tool, max_calls_per_run, max_calls_per_day, .. } = rule;
    let name = if !is_tool_name(tool) {
        Some("must have 1 to 64 letters, digits, `_` or `-`")
    } else if !can_have_rule(tool) {
        Some("is a tool by which runs write their plans and documents")
    } else if !is_first {
        Some("is listed twice")
    } else {
        None
    };
    let only_asks = tool == ask_user::NAME && max_calls_per_day.is_some();
    let for_asking = only_asks.then(|| "must be null for a tool that asks a person".to_owned());
    [
        ("tool", name.map(str::to_owned)),
        ("max_calls_per_run", beyond(*max_calls_per_run, MAX_PER_RUN)),
        ("max_calls_per_day", for_asking.or_else(|| beyond(*max_calls_per_day, MAX_PER_DAY))),
    ]
    .into_iter()
    .filter_map(|(member, why)| Some((member, why?)))
}

fn beyond(limit: Option<u32>, most: u32) -> Option<String> {
    let is_allowed = limit.is_none_or(|limit| (1..=most).contains(&limit));
    (!is_allowed).then(|| format!("must be 1 to {most}, or null"))
}

impl ApiError for ToolRulesError {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::Changed(revision) => {
                let detail = format!("The policies have the revision {revision}, and not the expected one.");
                ErrorDetails::new(Code::ToolPoliciesChanged, detail).with("revision", *revision)
            }
            Self::Invalid(fields) => {
                let details = ErrorDetails::new(Code::ValidationFailed, "The policies are not allowed.");
                fields.iter().fold(details, |details, field| details.at(&field.pointer, field.detail.clone()))
            }
            Self::Data(error) => error.details(),
        }
    }
}
