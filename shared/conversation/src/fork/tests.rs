use sequent_event::{Body, CancelReason, RunOutcome};
use sequent_tables::CursorKey;

use super::*;
use crate::{
    Continues, NewRun, Runs, TurnRequest, cancel, claim, create,
    testing::{Conversation, append_all, response},
};

impl Conversation {
    /// Answers a new message.
    async fn answered(&self, new: &NewRun) {
        let owner = self.begin(new).await;
        self.end(&owner, new, response("So.", 1, "stop"), RunOutcome::Success).await;
    }

    fn forking(&self, run: RunId) -> NewFork<'static> {
        let Self { project, user, .. } = *self;
        NewFork { project, from: TurnReference::Run(run), user, name: None, quotes: &[] }
    }

    async fn count_projects(&self) -> usize {
        let cursors = CursorKey::new("a key for tests".to_owned().into());
        self.projects().list(&cursors, None, None).await.unwrap().items.len()
    }
}

#[tokio::test]
async fn nothing_is_stored_in_a_fork_after_its_deletion_has_begun() {
    let conversation = Conversation::new().await;
    let asked = conversation.asking();
    conversation.answered(&asked).await;
    let projects = conversation.projects();
    let source = projects.get(conversation.project).await.unwrap();
    let new = conversation.forking(asked.run);
    let fork = projects.create_empty_fork(&new, &source, Timestamp::now()).await.unwrap().id;
    projects.delete(fork).await.unwrap();
    let branch = Branch::of_head(projects.store, projects.tenant, &source).await.unwrap();
    let copying = Copying { store: projects.store, tenant: projects.tenant, source: source.id, fork };
    assert!(matches!(copying.copy(&branch).await, Err(Error::ProjectNotFound)));
    for list in [key::messages(projects.tenant, fork), key::sharers(projects.tenant, asked.run)] {
        let rows = projects.store.page_items(&PageRequest::new(list)).await.unwrap().items;
        assert!(rows.is_empty(), "{rows:?}");
    }
}

#[tokio::test]
async fn a_fork_that_is_refused_leaves_nothing() {
    let conversation = Conversation::new().await;
    let asked = conversation.asking();
    conversation.answered(&asked).await;
    let live = conversation.asking();
    let _owner = conversation.begin(&live).await;
    let refused = conversation.projects().fork(&conversation.forking(live.run), Timestamp::now()).await;
    assert!(matches!(refused, Err(Error::Busy(run)) if run == live.run), "{refused:?}");
    assert_eq!(conversation.count_projects().await, 1);
    conversation.projects().fork(&conversation.forking(asked.run), Timestamp::now()).await.unwrap();
    assert_eq!(conversation.count_projects().await, 2);
}

#[tokio::test]
async fn a_fork_keeps_the_run_that_began_its_branch_and_was_rolled_back() {
    let conversation = Conversation::new().await;
    let Conversation { runs, tenant, project, .. } = &conversation;
    let first = conversation.asking();
    conversation.answered(&first).await;
    let removed = NewRun { continues: Continues::Beside(first.run), ..conversation.asking() };
    let owner = conversation.begin(&removed).await;
    let next = conversation.asking();
    create(runs, &next, TurnRequest::Wait).await.unwrap();
    append_all(&owner, response("Half", 1, "stop")).await;
    cancel(runs, removed.key(), None, CancelReason::RolledBack).await.unwrap();
    conversation.end(&owner, &removed, Vec::new(), RunOutcome::Cancelled).await;
    let row = Runs::new(runs.tables(), *tenant).get(next.run).await.unwrap();
    let owner = claim(runs, next.key(), &row, None).await.unwrap().unwrap();
    let started = Body::RunStarted { thread_id: *project, run_id: next.run, parent_run_id: None };
    owner.append(started).await.unwrap();
    conversation.end(&owner, &next, response("So.", 1, "stop"), RunOutcome::Success).await;

    let fork = conversation.projects().fork(&conversation.forking(next.run), Timestamp::now()).await.unwrap();
    let shown = conversation.projects().messages(fork.id).await.unwrap();
    for run in [removed.run, next.run] {
        let is_last = leave_shared_run(runs.storage(), *tenant, *project, run).await.unwrap();
        assert!(!is_last, "the fork needs {run}");
        let row = Runs::new(runs.tables(), *tenant).get(run).await.unwrap();
        assert_eq!(row.project_id, fork.id);
    }
    assert_eq!(conversation.projects().messages(fork.id).await.unwrap(), shown);
    let replaced = PageRequest::new(key::replaced_runs(*tenant, fork.id));
    let replaced = runs.tables().page_items(&replaced).await.unwrap().items;
    assert_eq!(replaced.len(), 1, "the deletion of the fork finds the run");
}
