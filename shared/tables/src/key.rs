//! Every key of the `main` and `events` tables, in one place.
//!
//! Partition keys begin with the tenant id. Code without a [`TenantId`] can therefore not name a row, and the rows of two
//! tenants never share a partition. Sort keys that are ids sort by creation time.

mod artifact;
mod billing;
mod conversation;
mod definition;
mod evaluation;
mod feed;
mod feedback;
mod job;
pub mod lookup;
mod memory;
mod schedule;
mod webhook;

use std::{
    fmt::{Display, Write},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use sequent_core::{ApiKeyId, InvitationId, SessionId, TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use billing::{
    account, ledger, parse_account, parse_quota, payer, posting, posting_cause, purchase, quota,
    reconciliation, streams, subscription,
};

pub use conversation::{
    ACTIVE_SHARDS, active_run, active_shard, deleted_run, depth_prefix, due_before, message, message_prefix,
    messages, offer, parse_message, parse_message_of, parse_project, parse_run, parse_waiting_run, project,
    projects, replaced_run, replaced_runs, run, run_log, run_of_user, runs, runs_of_user, shared_run,
    sharers, waiting_run, waiting_runs,
};

pub use definition::{
    DefinitionKind, agent_name, definition, definition_settings, definition_version, definition_versions,
    definitions, parse_agent, parse_version,
};

pub use evaluation::{
    dataset, dataset_item, dataset_item_prefix, dataset_items, dataset_settings, datasets, evaluation,
    evaluation_with_dataset, evaluations, evaluations_with_dataset,
};

pub use feed::{
    feed, feed_head, feed_lists, feed_live_run, feed_live_runs, feed_position, feed_segment, feed_told,
};

pub use feedback::{
    NumberedAgent, STATISTICS_SHARDS, all_feedback, feedback, feedback_prefix, parse_score_statistics,
    run_statistics, score_statistics, statistics, thumb_statistics,
};

pub use job::{
    active_job, active_job_shard, ended_job, ended_job_shard, greeting, job, job_about, job_key, jobs,
    jobs_about, live_jobs, parse_job,
};

pub use memory::{memories, memory, parse_memory};

pub use artifact::{
    GARBAGE_SHARDS, ListedBy, artifact, artifacts, artifacts_by, entities, entity, garbage, garbage_shard,
    listed_artifact, object, object_path, parse_artifact, parse_object, storage, upload,
};

pub use webhook::{
    DeliveryList, after_deliveries, before_deliveries, delivery_leases, hook, hooks, parse_delivery,
    parse_due, parse_queued_delivery, parse_webhook_event, queued_delivery, webhook, webhook_delivery,
    webhook_event, webhook_failure, webhook_settings, webhooks,
};

pub use schedule::{
    due_schedule, due_schedule_shard, parse_schedule, schedule, schedule_settings, schedules,
};

use crate::Item;

/// The primary key of a row of `main`. A row that must lead to another can contain the other's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    pk: String,
    sk: String,
}

impl Key {
    fn new(pk: String, sk: impl Display) -> Self {
        Self { pk, sk: sk.to_string() }
    }

    /// Returns the key of a row that was read, or `None` if the item lacks one.
    #[must_use]
    pub fn of_item(item: &Item) -> Option<Self> {
        let text = |name: &str| item.get(name)?.as_s().ok().cloned();
        Some(Self { pk: text("pk")?, sk: text("sk")? })
    }

    /// Returns the partition key.
    #[must_use]
    pub fn pk(&self) -> &str {
        &self.pk
    }

    /// Returns the sort key.
    #[must_use]
    pub fn sk(&self) -> &str {
        &self.sk
    }

    /// Returns the key attributes of the row's item.
    #[must_use]
    pub fn attributes(&self) -> Item {
        Item::from([
            ("pk".to_owned(), AttributeValue::S(self.pk.clone())),
            ("sk".to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

/// A partition of `main` or of an index that is read as a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub(crate) index: Option<&'static str>,
    pub(crate) pk: String,
}

impl Partition {
    fn table(pk: String) -> Self {
        Self { index: None, pk }
    }

    /// Name of the partition key attribute.
    pub(crate) fn pk_attribute(&self) -> &'static str {
        match self.index {
            None => "pk",
            Some("gsi1") => "gsi1pk",
            Some(_) => "gsi2pk",
        }
    }

    /// Name of the sort key attribute.
    pub(crate) fn sk_attribute(&self) -> &'static str {
        match self.index {
            None => "sk",
            Some("gsi1") => "gsi1sk",
            Some(_) => "gsi2sk",
        }
    }
}

/// The position of a row in one of the two sparse indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexKey {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

impl IndexKey {
    /// Returns the sort key.
    #[must_use]
    pub fn sk(&self) -> &str {
        &self.sk
    }

    /// Returns the partition key.
    #[must_use]
    pub fn pk(&self) -> &str {
        &self.pk
    }
}

// Tenants and their users.

/// The row of a tenant.
#[must_use]
pub fn tenant(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}"), "tenant")
}

/// A user of a tenant.
#[must_use]
pub fn user(tenant: TenantId, user: UserId) -> Key {
    Key::new(format!("{tenant}#users"), user)
}

/// A sign-in session (refresh-token family) of a user.
#[must_use]
pub fn session(tenant: TenantId, user: UserId, session: SessionId) -> Key {
    Key::new(format!("{tenant}#sessions#{user}"), session)
}

/// All sessions of a user.
#[must_use]
pub fn sessions(tenant: TenantId, user: UserId) -> Partition {
    Partition::table(format!("{tenant}#sessions#{user}"))
}

/// An API key of a tenant.
#[must_use]
pub fn api_key(tenant: TenantId, id: ApiKeyId) -> Key {
    Key::new(format!("{tenant}#api-keys"), id)
}

/// All API keys of a tenant.
#[must_use]
pub fn api_keys(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#api-keys"))
}

/// An invitation to register. It belongs to no tenant before it is used, and a code leads to it by its id.
#[must_use]
pub fn invitation(id: InvitationId) -> Key {
    Key::new(format!("{}#invitations", TenantId::SYSTEM), id)
}

/// All invitations of the deployment.
#[must_use]
pub fn invitations() -> Partition {
    Partition::table(format!("{}#invitations", TenantId::SYSTEM))
}

/// An MCP server of a tenant, by its name in that tenant.
#[must_use]
pub fn mcp_server(tenant: TenantId, name: &str) -> Key {
    Key::new(format!("{tenant}#mcp-servers"), name)
}

/// All MCP servers of a tenant, sorted by name.
#[must_use]
pub fn mcp_servers(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#mcp-servers"))
}

/// An HTTP tool of a tenant, by its name in that tenant.
#[must_use]
pub fn http_tool(tenant: TenantId, name: &str) -> Key {
    Key::new(format!("{tenant}#tools"), name)
}

/// All HTTP tools of a tenant, sorted by name.
#[must_use]
pub fn http_tools(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#tools"))
}

/// A tenant's limit of the web pages that its runs may read.
#[must_use]
pub fn web_access(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#settings"), "web-access")
}

/// A tenant's rules for the calls of tools.
#[must_use]
pub fn tool_rules(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#settings"), "tool-rules")
}

/// The calls of a tool by the tenant's runs on a day, which is counted from the epoch.
#[must_use]
pub fn tool_calls(tenant: TenantId, tool: &str, day: i64) -> Key {
    Key::new(format!("{tenant}#tool-calls"), format!("{day}#{tool}"))
}

/// Retention of the audit trail: thirteen months, so that every month can be compared with the same month a year before.
pub const AUDIT_KEPT: Duration = Duration::from_secs(400 * 24 * 3600);

/// An entry of the tenant's audit trail, sorted by time. `id` distinguishes entries of one millisecond.
#[must_use]
pub fn audit(tenant: TenantId, at: Timestamp, id: impl Display) -> Key {
    Key::new(format!("{tenant}#audit"), format!("{:015}#{id}", at.millis()))
}

/// Lists of a tenant whose rows nothing else leads to, and which its deletion therefore empties: MCP servers, HTTP tools, their calls, settings,
/// uploads, names of conversations, greetings, jobs in progress, instructions and tools of requests, feedback, what is counted of
/// agents, datasets, evaluations, agents, prompts, the notes of agents, schedules, hooks, responses that are stored for a repeated request,
/// deliveries of webhooks, and the audit trail.
#[must_use]
pub fn plain_lists(tenant: TenantId) -> [Partition; 34] {
    [
        "mcp-servers",
        "tools",
        "tool-calls",
        "settings",
        "uploads",
        "chat-names",
        "greetings",
        "live-jobs",
        "offers",
        "feedback",
        "statistics",
        "datasets",
        "dataset-items",
        "evaluations",
        "agents",
        "agent-names",
        "agent-versions",
        "prompts",
        "prompt-versions",
        "memory",
        "schedules",
        "hooks",
        "idempotency#POST /api/schedules",
        "idempotency#POST /api/agents",
        "idempotency#POST /api/agents/{id}/versions",
        "idempotency#POST /api/prompts",
        "idempotency#POST /api/datasets",
        "idempotency#POST /api/datasets/{id}/items",
        "idempotency#POST /api/prompts/{name}/versions",
        "webhook-queue",
        "webhook-failures",
        "webhook-deliveries",
        "webhook-events",
        "audit",
    ]
    .map(|list| Partition::table(format!("{tenant}#{list}")))
}

/// The audit trail of a tenant.
#[must_use]
pub fn audit_trail(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#audit"))
}

// Protection of the API.

/// The record of a caller's `Idempotency-Key`. The key is hashed, because it can have any form and length.
#[must_use]
pub fn idempotency(tenant: TenantId, operation: &str, caller_key: &str) -> Key {
    Key::new(format!("{tenant}#idempotency#{operation}"), hash(&[caller_key.as_bytes()]))
}

/// A client's own name of a conversation. The name is hashed, because it can have any form and length.
#[must_use]
pub fn chat_name(tenant: TenantId, name: &str) -> Key {
    Key::new(format!("{tenant}#chat-names"), hash(&[name.as_bytes()]))
}

/// The requests of a class that a tenant sent in a window of time.
#[must_use]
pub fn rate_limit(tenant: TenantId, class: &str, window: i64) -> Key {
    Key::new(format!("{tenant}#rate-limit"), format!("{class}#{window}"))
}

/// A secret of the deployment, in the table of secrets.
#[must_use]
pub(crate) fn secret(name: &str) -> Key {
    Key::new(format!("secret#{name}"), "secret")
}

/// Returns the SHA-256 of the parts in lower-case hexadecimal. Each part is preceded by its length, so that no two lists
/// collide.
fn hash(parts: &[&[u8]]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    hex(&sha.finalize())
}

/// Encodes bytes in lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sequent_core::{
        AgentId, ArtifactId, DatasetId, DeliveryId, EntityId, EventId, HookId, JobId, PostingId, ProjectId,
        RunId, ScheduleId, WebhookId,
    };

    proptest! {
        #[test]
        fn every_tenant_key_begins_with_its_tenant(bits: u128, other: u128, digest: [u8; 32], text in ".{0,60}") {
            let ten = TenantId::from_bits(bits);
            let prefix = ten.to_string();
            let numbered = NumberedAgent { agent: AgentId::from_bits(other), version: 7 };
            let keys = [
                tenant(ten), user(ten, UserId::from_bits(other)), project(ten, ProjectId::from_bits(other)),
                session(ten, UserId::from_bits(other), SessionId::from_bits(other)),
                api_key(ten, ApiKeyId::from_bits(other)), run(ten, RunId::from_bits(other)),
                message(ten, ProjectId::from_bits(other), 7, RunId::from_bits(other), 1),
                replaced_run(ten, ProjectId::from_bits(other), RunId::from_bits(other)),
                deleted_run(ten, RunId::from_bits(other)), job_about(ten, &text, JobId::from_bits(other)),
                waiting_run(ten, ProjectId::from_bits(other), 7, RunId::from_bits(other)),
                shared_run(ten, RunId::from_bits(other), ProjectId::from_bits(other)),
                idempotency(ten, "op", &text), rate_limit(ten, "chat", 1), mcp_server(ten, &text),
                http_tool(ten, &text),
                web_access(ten), tool_rules(ten), tool_calls(ten, &text, 7),
                artifact(ten, ArtifactId::from_bits(other)), upload(ten, ArtifactId::from_bits(other)),
                listed_artifact(ten, ListedBy::Tag(&text), ArtifactId::from_bits(other)),
                listed_artifact(ten, ListedBy::EntityType(&text), ArtifactId::from_bits(other)),
                listed_artifact(ten, ListedBy::Run(RunId::from_bits(other)), ArtifactId::from_bits(other)),
                account(ten), posting(ten, PostingId::from_bits(other)), posting_cause(ten, &text),
                payer(ten), subscription(ten), quota(ten), streams(ten), storage(ten), purchase(ten, &text),
                entity(ten, &text, EntityId::from_bits(other)), object(ten, &digest),
                definition(ten, DefinitionKind::Agent, AgentId::from_bits(other)), agent_name(ten, &text),
                definition_version(ten, DefinitionKind::Prompt, &text, 7), definition_settings(ten),
                feedback(ten, None, RunId::from_bits(other), UserId::from_bits(other), None),
                run_statistics(ten, numbered, RunId::from_bits(other)), thumb_statistics(ten, numbered),
                score_statistics(ten, numbered, &text),
                schedule(ten, ScheduleId::from_bits(other)), schedule_settings(ten),
                dataset(ten, DatasetId::from_bits(other)),
                dataset_item(ten, DatasetId::from_bits(other), 7), dataset_settings(ten),
                evaluation(ten, RunId::from_bits(other)),
                memory(ten, AgentId::from_bits(other), UserId::from_bits(other)),
                webhook(ten, WebhookId::from_bits(other)), hook(ten, HookId::from_bits(other)),
                webhook_event(ten, EventId::from_bits(other)),
                webhook_delivery(ten, WebhookId::from_bits(other), DeliveryId::from_bits(bits)),
                webhook_failure(ten, WebhookId::from_bits(other), DeliveryId::from_bits(bits)),
                queued_delivery(
                    ten, WebhookId::from_bits(other), Timestamp::from_millis(7), DeliveryId::from_bits(bits),
                ),
                job(ten, JobId::from_bits(other)), job_key(ten, "hello_world", &text), greeting(ten, &text),
            ];
            for key in keys {
                prop_assert!(key.pk().starts_with(&prefix));
            }
            prop_assert!(run_log(ten, RunId::from_bits(other)).starts_with(&prefix));
            prop_assert!(object_path(ten, &digest).starts_with(&prefix));
            prop_assert_eq!(parse_object(&object(ten, &digest)), Some((ten, digest)));
        }
    }

    #[test]
    fn rows_are_recognised_by_their_keys() {
        let ten = TenantId::new();
        let id = RunId::new();
        assert_eq!(parse_run(&run(ten, id)), Some((ten, id)));
        let others = [message(ten, ProjectId::new(), 7, id, 0), project(ten, ProjectId::new()), tenant(ten)];
        assert_eq!(others.iter().find_map(parse_run), None);
        assert_eq!(parse_run(&deleted_run(ten, id)), None, "a record is not a run");
        let task = JobId::new();
        assert_eq!(parse_job(&job(ten, task)), Some((ten, task)));
        assert_eq!(parse_job(&job_key(ten, "hello_world", "a")).or(parse_job(&run(ten, id))), None);
        let yearly = ScheduleId::new();
        assert_eq!(parse_schedule(&schedule(ten, yearly)), Some((ten, yearly)));
        assert_eq!(parse_schedule(&job(ten, task)).or(parse_schedule(&schedule_settings(ten))), None);
        let conversation = ProjectId::new();
        assert_eq!(parse_project(&project(ten, conversation)), Some((ten, conversation)));
        assert_eq!(parse_project(&run(ten, id)), None);
        let waiting = waiting_run(ten, conversation, 7, id);
        assert_eq!(parse_waiting_run(&waiting), Some((ten, conversation, 7, id)));
        assert_eq!(parse_message(&message(ten, conversation, 7, id, 3)), Some((7, id, 3)));
        assert_eq!(parse_waiting_run(&run(ten, id)), None);
        assert_eq!((parse_account(&account(ten)), parse_account(&payer(ten))), (Some(ten), None));
        let person = UserId::new();
        let agent = AgentId::new();
        assert_eq!(parse_memory(&memory(ten, agent, person)), Some((agent, person)));
        assert_eq!((parse_quota(&quota(ten)), parse_quota(&account(ten))), (Some(ten), None));
    }

    #[test]
    fn a_run_is_due_from_the_end_of_its_lease_on() {
        let at = Timestamp::from_millis(1_700_000_000_000);
        let id = RunId::new();
        let entry = active_run(id, at);
        let before = Timestamp::from_millis(at.millis() - 1);
        assert!(entry.sk() < due_before(at).as_str() && entry.sk() > due_before(before).as_str());
    }

    #[test]
    fn a_callers_key_cannot_reach_another_operation() {
        let ten = TenantId::new();
        assert_ne!(idempotency(ten, "a", "b#c"), idempotency(ten, "a#b", "c"));
    }
}
