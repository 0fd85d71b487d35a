//! The feed over a table, with records that come twice, late and out of order.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

mod appending;
mod expiry;

use sequent_core::{ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_feed::{Cause, Caused, Feed, FeedChange, FeedEntry};
use sequent_tables::{Row, key, testing};
use serde_json::json;

/// A tenant with an empty feed.
struct Tenant {
    feed: Feed,
    id: TenantId,
}

impl Tenant {
    async fn new() -> Self {
        let store = testing::store().await;
        let id = TenantId::new();
        store.insert(Row::new(&key::tenant(id), &json!({})).unwrap()).await.unwrap();
        Self { feed: Feed::new(store), id }
    }

    async fn append(&self, changes: impl IntoIterator<Item = Caused>) -> usize {
        self.feed.append(self.id, changes.into_iter().collect(), Timestamp::now()).await.unwrap()
    }

    /// Reads the whole feed by small pages.
    async fn entries(&self) -> Vec<FeedEntry> {
        let mut all: Vec<FeedEntry> = Vec::new();
        loop {
            let after = all.last().map_or(0, |entry| entry.seq);
            let page = self.feed.page(self.id, after, 7, Timestamp::now()).await.unwrap();
            all.extend(page.entries);
            if !page.has_more {
                return all;
            }
        }
    }
}

/// The changes of one run.
#[derive(Debug, Clone, Copy)]
struct History {
    run_id: RunId,
    project_id: ProjectId,
    user_id: UserId,
}

impl History {
    fn new() -> Self {
        Self { run_id: RunId::new(), project_id: ProjectId::new(), user_id: UserId::new() }
    }

    fn created(self) -> Caused {
        let Self { run_id, project_id, user_id } = self;
        let change =
            FeedChange::RunCreated { run_id, project_id, user_id, agent_id: None, agent_version: None };
        Caused { cause: Cause::creation_of(run_id), change }
    }

    fn started(self) -> Caused {
        let Self { run_id, project_id, user_id } = self;
        Caused {
            cause: Cause::within(run_id, "started"),
            change: FeedChange::RunStarted { run_id, project_id, user_id },
        }
    }

    fn ended(self) -> Caused {
        let Self { run_id, project_id, user_id } = self;
        let change = FeedChange::RunEnded {
            run_id,
            project_id,
            user_id,
            status: sequent_conversation::RunStatus::Success,
            error_code: None,
            cost_micro_usd: sequent_core::MicroUsd::default(),
            input_tokens: 3,
            output_tokens: 5,
        };
        Caused { cause: Cause::end_of(run_id), change }
    }
}
