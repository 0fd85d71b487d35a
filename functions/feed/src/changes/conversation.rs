//! Changes of runs, conversations and messages.

use sequent_aws::RowChange;
use sequent_conversation::{Message, Project, Run, RunStatus};
use sequent_core::{RunId, Timestamp};
use sequent_feed::{Cause, Caused, FeedChange};
use sequent_tables::{Key, attribute_of, decode, key};

use super::unnamed;

/// The changes of a run. One write may create a run and start it. A run that is a part of another has none.
pub(super) fn of_run(change: &RowChange) -> Vec<Caused> {
    let run: Option<Run> = decode(change.new.clone()).ok();
    let Some(run) = run.filter(|run| run.parent_run_id.is_none()) else { return Vec::new() };
    let before = change.old.as_ref().and_then(|old| attribute_of::<RunStatus>(old, "status"));
    let had_started =
        change.old.as_ref().and_then(|old| attribute_of::<Timestamp>(old, "started_at")).is_some();
    let Run { id: run_id, project_id, user_id, .. } = run;
    let waits = run.person_waits.count;
    let mut all = Vec::new();
    if change.old.is_none() {
        let agent = run.options.agent.as_ref();
        let created = FeedChange::RunCreated {
            run_id,
            project_id,
            user_id,
            agent_id: agent.map(|agent| agent.id),
            agent_version: agent.map(|agent| agent.version),
        };
        all.push(Caused { cause: Cause::creation_of(run_id), change: created });
    }
    if run.started_at.is_some() && !had_started {
        let started = FeedChange::RunStarted { run_id, project_id, user_id };
        all.push(Caused { cause: Cause::within(run_id, "started"), change: started });
    }
    let is_interrupted = run.status == RunStatus::Interrupted;
    if before == Some(RunStatus::Interrupted) && !is_interrupted && !run.has_ended() {
        let answered = FeedChange::RunAnswered { run_id, project_id, user_id };
        all.push(Caused { cause: Cause::within(run_id, format!("answered:{waits}")), change: answered });
    }
    if is_interrupted && before != Some(RunStatus::Interrupted) {
        let questions = run.interrupts.iter().map(|question| question.id).collect();
        let interrupted = FeedChange::RunInterrupted { run_id, project_id, user_id, questions };
        all.push(Caused {
            cause: Cause::within(run_id, format!("interrupted:{waits}")),
            change: interrupted,
        });
    }
    if run.has_ended() && !before.is_some_and(RunStatus::has_ended) {
        let ended = FeedChange::RunEnded {
            run_id,
            project_id,
            user_id,
            status: run.status,
            error_code: run.error.map(|error| error.code),
            cost_micro_usd: run.cost.micro_usd,
            input_tokens: run.usage.input_tokens,
            output_tokens: run.usage.output_tokens,
        };
        all.push(Caused { cause: Cause::end_of(run_id), change: ended });
    }
    all
}

/// The changes of a conversation. One that is being deleted is gone for its users.
pub(super) fn of_project(change: &RowChange) -> Vec<Caused> {
    let Ok(project) = decode::<Project>(change.new.clone()) else { return Vec::new() };
    let before = change.old.clone().and_then(|old| decode::<Project>(old).ok());
    let Project { id: project_id, user_id, head, .. } = project;
    let id = project_id.to_string();
    let mut all = Vec::new();
    let Some(before) = before else {
        let created = FeedChange::ProjectCreated { project_id, user_id };
        all.push(Caused { cause: Cause::of(id.clone()), change: created });
        all.extend(head.map(|_| head_moved(change, &id, &project)));
        return all;
    };
    if project.deleting {
        if !before.deleting {
            let deleted = FeedChange::ProjectDeleted { project_id, user_id };
            all.push(Caused { cause: Cause::of(format!("{id}:deleted")), change: deleted });
        }
        return all;
    }
    if before.name != project.name {
        all.push(unnamed(change, &format!("{id}:name"), FeedChange::ProjectRenamed { project_id, user_id }));
    }
    if before.head != head {
        all.push(head_moved(change, &id, &project));
    }
    all
}

fn head_moved(change: &RowChange, id: &str, project: &Project) -> Caused {
    let &Project { id: project_id, user_id, head, .. } = project;
    unnamed(change, &format!("{id}:head"), FeedChange::ProjectHeadMoved { project_id, user_id, head })
}

/// A new message. A message that is written again is no other message.
pub(super) fn of_message(change: &RowChange, key: &Key) -> Option<Caused> {
    let (_, run, ordinal): (u32, RunId, usize) = key::parse_message(key)?;
    let message: Message = decode(change.new.clone()).ok().filter(|_| change.old.is_none())?;
    let added = FeedChange::MessageAdded {
        project_id: message.project_id,
        run_id: message.run_id,
        message_id: message.id,
        role: message.role,
    };
    Some(Caused { cause: Cause::within(run, format!("message:{ordinal}")), change: added })
}
