//! Deletions: complete, killed half way, repeated.

use std::sync::Arc;

use sequent_artifacts::{Digest, Error as ArtifactError, Export, Origin, Source};
use sequent_billing::{LedgerAccount, Posting, Quota, is_held, testing::books};
use sequent_conversation::{
    Continues, Deletion, Error, NewFork, NewRun, ReplayedRun, Runs, SettleRun, TurnReference, TurnRequest,
    create, create_claimed,
};
use sequent_core::{ArtifactId, MicroCredits, MicroUsd, ProjectId, RunId, Timestamp, UserId};
use sequent_deletion::RunRecord;
use sequent_documents::Format;
use sequent_event::{Body, Event};
use sequent_jobs::{
    Error as JobError, JobStatus, NewJob, Worked, enqueue, enqueue_about,
    kinds::{HelloInput, HelloWorld},
};
use sequent_runlog::{LogKey, Segment, Storage as _, read_all};
use sequent_tables::{CursorKey, PageRequest, Row, Update, Write, attribute, key};

use crate::{
    bench::{Bench, WORD},
    left::{attaching, conversation, document_of, export, note, noting, rate, save, unsettled},
};

const NOTHING: [String; 0] = [];

/// Parts of the keys of all rows that contain the word before the deletion.
const KINDS: [&str; 14] = [
    "run=",
    "#projects",
    "#messages#",
    "#feedback",
    "#evaluations",
    "#runs",
    "#jobs",
    "#chat-names",
    "#artifacts\"",
    "#artifacts#run#",
    "#artifacts#tag#",
    "#artifacts#type#",
    "#entities#",
    "#memory",
];

#[tokio::test]
async fn no_word_of_a_deleted_conversation_is_left() {
    let bench = Bench::new().await;
    let left = conversation(&bench).await;
    export(&bench, Source::Project(left.project), None).await;
    let places = bench.places().await;
    for kind in KINDS {
        assert!(
            places.iter().any(|place| place.contains(kind)),
            "the word is in no row of {kind}: {places:#?}"
        );
    }
    assert!(!bench.objects.keys().is_empty());
    assert_eq!(bench.artifacts.get(bench.tenant, left.file).await.unwrap().run_id, Some(left.first));
    let (_, before) = books(bench.store(), bench.tenant, 0).await;

    bench.projects().delete(left.project).await.unwrap();
    let delivery = bench.delivery(left.project).await;
    assert_eq!(bench.work(delivery).await, Worked::Success, "{:?}", bench.job(delivery).await.error);
    assert_eq!(bench.places().await, NOTHING);
    bench.collect().await;
    assert_eq!(bench.objects.keys(), NOTHING);

    let (_, after) = books(bench.store(), bench.tenant, 0).await;
    assert_eq!(entries(&before), entries(&after), "the ledger keeps what was spent");
    for run in left.all() {
        let record: Option<RunRecord> =
            bench.store().get(&key::deleted_run(bench.tenant, run)).await.unwrap();
        let record = record.expect("the record stays");
        assert_eq!((record.id, record.project_id), (run, left.project));
        assert!(record.status.has_ended(), "{record:?}");
        if run == left.first {
            assert_eq!((record.usage.input_tokens, record.cost.micro_usd), (100, MicroUsd(700)));
        }
    }
}

fn entries(postings: &[Posting]) -> Vec<String> {
    postings.iter().map(|posting| format!("{:?}", posting.entries)).collect()
}

#[tokio::test]
async fn a_fork_keeps_the_runs_that_it_shares_with_a_deleted_conversation() {
    let bench = Bench::new().await;
    let left = conversation(&bench).await;
    let from = TurnReference::Run(left.first);
    let new = NewFork { project: left.project, from, user: UserId::new(), name: None, quotes: &[] };
    let fork = Box::pin(bench.projects().fork(&new, Timestamp::now())).await.unwrap();
    let again = NewFork { project: fork.id, ..new.clone() };
    let again = Box::pin(bench.projects().fork(&again, Timestamp::now())).await.unwrap();
    let runs = Runs::new(bench.store(), bench.tenant);
    let mut history = Vec::new();
    let mut kept = vec![left.project, fork.id, again.id];
    for project in kept.clone() {
        let history_of = bench.projects().messages(again.id).await.unwrap();
        assert!(history.is_empty() || history == history_of, "{project} is not deleted yet");
        history = history_of;
        assert!(format!("{history:?}").contains(WORD));
        assert!(
            bench.storage.tail(LogKey { tenant: bench.tenant, run: left.first }).await.unwrap().is_some()
        );
        let file = bench.artifacts.get(bench.tenant, left.file).await.unwrap();
        let bytes = bench.artifacts.bytes(bench.tenant, &file, 1_000).await.unwrap();
        assert!(bytes.starts_with(WORD.as_bytes()), "the file is still that of the message");
        let owner = runs.get_for_caller(left.first).await.unwrap().project_id;
        assert!(kept.contains(&owner), "the run is handed over");
        kept.retain(|other| *other != project);
        bench.projects().delete(project).await.unwrap();
        let delivery = bench.delivery(project).await;
        assert_eq!(bench.work(delivery).await, Worked::Success, "{:?}", bench.job(delivery).await.error);
    }
    assert_eq!(bench.places().await, NOTHING);
    let sharers = PageRequest::new(key::sharers(bench.tenant, left.first));
    assert!(bench.store().page_items(&sharers).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_replay_that_has_copies_leaves_no_note_and_no_feedback() {
    let bench = Bench::new().await;
    let left = conversation(&bench).await;
    let log = LogKey { tenant: bench.tenant, run: left.first };
    let segments = read_all(&bench.storage, log).await.unwrap();
    // Up to the steering message, which is copied.
    let events = segments.iter().flat_map(Segment::events);
    let events = events.take_while(|event| !matches!(event.body(), Some(Body::PlanUpdated { .. })));
    let events: Vec<Event> = events.collect();
    let replayed = ReplayedRun::after(left.first, &events, None).unwrap();
    let again = NewRun {
        replay: Some(Arc::new(replayed)),
        continues: Continues::Beside(left.first),
        options: noting(&bench).await,
        ..NewRun::new(bench.tenant, UserId::new(), left.project, WORD)
    };
    create(&bench.runs(), &again, TurnRequest::Wait).await.unwrap();
    note(&bench, again.run).await;
    rate(&bench, again.run).await;
    bench.projects().delete(left.project).await.unwrap();
    let delivery = bench.delivery(left.project).await;
    assert_eq!(bench.work(delivery).await, Worked::Success, "{:?}", bench.job(delivery).await.error);
    assert_eq!(bench.places().await, NOTHING);
}

#[tokio::test]
async fn a_deletion_that_is_killed_again_and_again_is_completed() {
    let bench = Bench::new().await;
    let left = conversation(&bench).await;
    bench.projects().delete(left.project).await.unwrap();
    let delivery = bench.delivery(left.project).await;
    let mut requests = 6;
    while !bench.work_until_killed(delivery, requests).await {
        requests += requests / 3;
        let job = bench.job(delivery).await;
        assert!(job.status != JobStatus::Error, "after {requests} requests: {:?}", job.error);
        // A write of the attempt that was killed can be carried out during the next one, which then fails and is repeated.
        if let Some(at) = job.not_before {
            tokio::time::sleep(at.since(Timestamp::now())).await;
        }
    }
    assert_eq!(bench.places().await, NOTHING);
    bench.collect().await;
    assert_eq!(bench.objects.keys(), NOTHING);
    for run in left.all() {
        let record = bench.store().get_item(&key::deleted_run(bench.tenant, run)).await.unwrap();
        assert!(record.is_some(), "{run}");
    }
}

#[tokio::test]
async fn a_conversation_is_gone_for_callers_as_soon_as_it_is_marked() {
    let bench = Bench::new().await;
    let left = conversation(&bench).await;
    let runs = Runs::new(bench.store(), bench.tenant);
    runs.get_for_caller(left.asking).await.unwrap();
    let projects = bench.projects();
    projects.delete(left.project).await.unwrap();
    assert!(matches!(projects.get(left.project).await, Err(Error::ProjectNotFound)));
    assert!(matches!(projects.delete(left.project).await, Err(Error::ProjectNotFound)));
    let cursors = CursorKey::new("a test".to_owned().into());
    assert!(projects.list(&cursors, None, None).await.unwrap().items.is_empty());
    let messages = projects.messages(left.project).await;
    assert!(matches!(messages, Err(Error::ProjectNotFound)));
    assert!(matches!(runs.get_for_caller(left.first).await, Err(Error::RunNotFound)));
    let listed = runs.list(&cursors, None, None).await.unwrap().items;
    assert!(!format!("{listed:?}").contains(WORD), "{listed:?}");
    for turn in [TurnRequest::Claim, TurnRequest::Wait] {
        let late =
            NewRun { run: RunId::new(), ..NewRun::new(bench.tenant, UserId::new(), left.project, WORD) };
        let refused = create(&bench.runs(), &late, turn).await;
        assert!(matches!(refused, Err(Error::ProjectNotFound)), "{refused:?}");
    }
}

#[tokio::test]
async fn other_conversations_are_left_alone() {
    let bench = Bench::new().await;
    let left = conversation(&bench).await;
    let other = NewRun::new(bench.tenant, UserId::new(), ProjectId::new(), "When is high tide?");
    let other = NewRun { new_project: true, ..other };
    let _owner = Box::pin(create_claimed(&bench.runs(), &other, None)).await.unwrap();
    bench.projects().delete(left.project).await.unwrap();
    let delivery = bench.delivery(left.project).await;
    assert_eq!(bench.work(delivery).await, Worked::Success);
    assert_eq!(bench.projects().get(other.project).await.unwrap().live_run_id, Some(other.run));
    Runs::new(bench.store(), bench.tenant).get_for_caller(other.run).await.unwrap();
}

#[tokio::test]
async fn a_log_is_not_deleted_without_the_mark_of_its_project() {
    let bench = Bench::new().await;
    let left = conversation(&bench).await;
    let project = key::project(bench.tenant, left.project);
    let mark = Write::require(&project).when(attribute("deleting").equals(true));
    let before = bench.places().await.len();
    let log = LogKey { tenant: bench.tenant, run: left.first };
    assert!(bench.storage.erase(log, &mark).await.is_err());
    assert_eq!(bench.places().await.len(), before);
}

#[tokio::test]
async fn a_run_is_not_deleted_before_it_is_settled() {
    let bench = Bench::new().await;
    let left = conversation(&bench).await;
    // The settlement reads the logs of the run and of its children.
    let settling = NewJob {
        id: SettleRun::job_id(left.first),
        ..NewJob::of::<HelloWorld>(bench.tenant, &HelloInput::default())
    };
    enqueue(bench.store(), &settling, Timestamp::now()).await.unwrap();
    bench.projects().delete(left.project).await.unwrap();
    let delivery = bench.delivery(left.project).await;
    assert!(!bench.work_until_killed(delivery, 60).await);
    let log = LogKey { tenant: bench.tenant, run: left.first };
    assert!(bench.storage.tail(log).await.unwrap().is_some(), "the log is there");
    let settled = Update::of(&key::job(bench.tenant, settling.id)).set("status", "success");
    bench.store().write(settled).await.unwrap();
    while !bench.work_until_killed(delivery, 10_000).await {}
    assert_eq!(bench.storage.tail(log).await.unwrap(), None);
}

#[tokio::test]
async fn a_run_with_a_hold_that_contradicts_the_ledger_keeps_its_log() {
    let bench = Bench::new().await;
    let left = conversation(&bench).await;
    let account = || Update::of(&key::account(bench.tenant));
    let hold = left.first.to_string();
    bench.store().write(account().set(["holds", &hold], 5)).await.unwrap();
    bench.projects().delete(left.project).await.unwrap();
    let delivery = bench.delivery(left.project).await;
    assert_eq!(bench.work(delivery).await, Worked::Again);
    let failure = bench.job(delivery).await.error.unwrap();
    assert!(format!("{failure:?}").contains("by hand"), "{failure:?}");
    let log = LogKey { tenant: bench.tenant, run: left.first };
    assert!(bench.storage.tail(log).await.unwrap().is_some(), "the log is there");
    bench.store().write(account().remove(["holds", &hold])).await.unwrap();
    while !bench.work_until_killed(delivery, 10_000).await {}
    assert_eq!(bench.places().await, NOTHING);
}

#[tokio::test]
async fn a_run_whose_settlement_was_cancelled_is_settled_before_it_is_deleted() {
    let bench = Bench::new().await;
    let run = Box::pin(unsettled(&bench)).await;
    let held = is_held(bench.store(), bench.tenant, run.run).await.unwrap();
    assert!(held, "nothing else will settle the run");
    bench.projects().delete(run.project).await.unwrap();
    let delivery = bench.delivery(run.project).await;
    assert_eq!(bench.work(delivery).await, Worked::Success, "{:?}", bench.job(delivery).await.error);
    assert_eq!(bench.places().await, NOTHING);
    let (account, postings) = books(bench.store(), bench.tenant, 0).await;
    assert!(account.holds.is_empty(), "{account:?}");
    let spent: Vec<MicroCredits> = postings.iter().map(|posting| posting.to(LedgerAccount::Spent)).collect();
    assert!(spent.contains(&MicroCredits(1_400)), "the run's call and that of its child: {spent:?}");
}

#[tokio::test]
async fn a_quota_that_still_holds_for_an_ended_run_is_released() {
    let bench = Bench::new().await;
    let left = conversation(&bench).await;
    let quota = Quota { holds: [(left.first, MicroCredits(5))].into(), ..Quota::default() };
    bench.store().put(Row::new(&key::quota(bench.tenant), &quota).unwrap()).await.unwrap();
    bench.projects().delete(left.project).await.unwrap();
    let delivery = bench.delivery(left.project).await;
    assert_eq!(bench.work(delivery).await, Worked::Success, "{:?}", bench.job(delivery).await.error);
    let quota: Quota = bench.store().get(&key::quota(bench.tenant)).await.unwrap().expect("it stays");
    assert!(quota.holds.is_empty(), "{quota:?}");
}

#[tokio::test]
async fn no_word_of_an_artifact_that_was_deleted_before_its_conversation_is_left() {
    let bench = Bench::new().await;
    let left = conversation(&bench).await;
    bench.artifacts.delete(bench.tenant, document_of(left.first)).await.unwrap();
    let entities = bench.places().await.into_iter().filter(|place| place.contains("#entities#"));
    assert_eq!(entities.collect::<Vec<_>>(), NOTHING, "they are deleted with their artifact");
    bench.projects().delete(left.project).await.unwrap();
    let delivery = bench.delivery(left.project).await;
    assert_eq!(bench.work(delivery).await, Worked::Success, "{:?}", bench.job(delivery).await.error);
    assert_eq!(bench.places().await, NOTHING);
    bench.collect().await;
    assert_eq!(bench.objects.keys(), NOTHING);
}

#[tokio::test]
async fn an_upload_that_was_attached_stays_until_it_is_deleted() {
    let bench = Bench::new().await;
    let upload = save(&bench, ArtifactId::new(), Origin::default(), "upload").await.unwrap();
    let new = NewRun::new(bench.tenant, UserId::new(), ProjectId::new(), attaching(&upload));
    let new = NewRun { new_project: true, ..new };
    create(&bench.runs(), &new, TurnRequest::Claim).await.unwrap();
    bench.projects().delete(new.project).await.unwrap();
    let delivery = bench.delivery(new.project).await;
    assert_eq!(bench.work(delivery).await, Worked::Success, "{:?}", bench.job(delivery).await.error);
    // Other conversations may refer to it.
    let places = bench.places().await;
    assert!(!places.is_empty() && places.iter().all(|place| place.contains("#artifacts")), "{places:?}");
    bench.artifacts.delete(bench.tenant, upload.id).await.unwrap();
    assert_eq!(bench.places().await, NOTHING);
    bench.collect().await;
    assert_eq!(bench.objects.keys(), NOTHING);
}

#[tokio::test]
async fn a_former_owner_stores_no_artifact_of_a_deleted_run() {
    let bench = Bench::new().await;
    let left = conversation(&bench).await;
    bench.projects().delete(left.project).await.unwrap();
    let delivery = bench.delivery(left.project).await;
    assert_eq!(bench.work(delivery).await, Worked::Success);
    let origin = Origin { run: Some(left.first), ..Origin::default() };
    let late = save(&bench, ArtifactId::new(), origin, "late").await;
    assert!(matches!(late, Err(ArtifactError::RunNotFound)), "{late:?}");
    assert_eq!(bench.places().await, NOTHING);
    bench.collect().await;
    assert_eq!(bench.objects.keys(), NOTHING);
}

#[tokio::test]
async fn a_job_without_a_project_has_nothing_to_do() {
    let bench = Bench::new().await;
    let project = ProjectId::new();
    for row in (Deletion { project_id: project }).job(bench.tenant).rows(Timestamp::now()) {
        bench.store().put(row).await.unwrap();
    }
    assert_eq!(bench.work(bench.delivery(project).await).await, Worked::Success);
}

/// The requests have read that the run and the conversation exist, and are slow.
#[tokio::test]
async fn an_export_or_a_job_that_is_enqueued_while_the_deletion_runs_is_refused() {
    let bench = Bench::new().await;
    let left = conversation(&bench).await;
    bench.projects().delete(left.project).await.unwrap();
    let delivery = bench.delivery(left.project).await;
    assert_eq!(bench.work(delivery).await, Worked::Success, "{:?}", bench.job(delivery).await.error);
    let document = document_of(left.first);
    let sources = [
        (Source::Run(left.first), None),
        (Source::Artifact(document), Some(left.first)),
        (Source::Artifact(document), None),
        (Source::Project(left.project), None),
    ];
    for (source, run) in sources {
        let export = Export { source, version: Digest::of(b"2"), format: Format::Markdown, again: 0 };
        let subject = export.source_exists(bench.tenant, run);
        let new = export.job(bench.tenant, run);
        let refused = enqueue_about(bench.store(), &new, subject, Timestamp::now()).await;
        assert!(matches!(refused, Err(JobError::NoSubject)), "{source:?}: {refused:?}");
        assert_eq!(bench.store().get_item(&key::job(bench.tenant, new.id)).await.unwrap(), None);
    }
    assert_eq!(bench.places().await, NOTHING);
}
