use sequent_core::Timestamp;
use sequent_core::{MicroUsd, ProjectId, RunId, UserId};
use sequent_event::{Body, Rating, RunAgent, RunOutcome, Score, Usage};
use sequent_jobs::{Delivery, JobKind as _, NewJob, Registry, Worked, Worker, enqueue};
use sequent_runlog::Settings;
use sequent_tables::Update;

use super::*;
use crate::{FeedbackTarget, NewRun, RunOptions, give_feedback, testing::Conversation};

fn agent(version: u32) -> RunAgent {
    RunAgent {
        id: AgentId::from_bits(7),
        name: "support".to_owned(),
        version,
        prompts: Vec::new(),
        variables: serde_json::Map::new(),
        turns: None,
        max_notes: None,
    }
}

fn numbered(version: u32) -> NumberedAgent {
    NumberedAgent { agent: agent(version).id, version }
}

fn usage(cost: u64) -> Body {
    Body::UsageRecorded(Usage {
        input_tokens: 100,
        output_tokens: 10,
        cost_micro_usd: Some(MicroUsd(cost)),
        ..sequent_event::testing::usage()
    })
}

/// A run of this version of the agent, which ends with `outcome`.
async fn ended(of: &Conversation, version: u32, outcome: RunOutcome) -> RunId {
    let options = RunOptions { agent: Some(agent(version)), ..RunOptions::default() };
    let new = NewRun { options, new_project: true, project: ProjectId::new(), ..of.asking() };
    let writer = of.begin(&new).await;
    of.end(&writer, &new, vec![usage(700)], outcome).await;
    new.run
}

async fn read(of: &Conversation, version: u32) -> AgentStatistics {
    AgentStatistics::read(of.runs.tables(), of.tenant, numbered(version)).await.unwrap()
}

async fn rate(of: &Conversation, run: RunId, by: UserId, rating: Option<Rating>) {
    let on = FeedbackTarget { run, message: None };
    Box::pin(give_feedback(of.runs.storage(), of.tenant, on, by, rating)).await.unwrap();
}

fn scored(thumb: Thumb, thousandths: i64) -> Option<Rating> {
    let scores = BTreeMap::from([("tone".to_owned(), Score::from_thousandths(thousandths).unwrap())]);
    Some(Rating { thumb: Some(thumb), scores, comment: None })
}

/// Five runs of version 1 and one of version 2, with feedback that was changed.
async fn furnished() -> Conversation {
    let of = Conversation::new().await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(ended(&of, 1, RunOutcome::Success).await);
    }
    ended(&of, 1, RunOutcome::Cancelled).await;
    let other = ended(&of, 2, RunOutcome::Success).await;
    let [ada, bob] = [UserId::new(), UserId::new()];
    rate(&of, runs[0], ada, scored(Thumb::Down, 100)).await;
    rate(&of, runs[0], ada, scored(Thumb::Up, 900)).await;
    rate(&of, runs[0], ada, scored(Thumb::Up, 900)).await;
    rate(&of, runs[0], bob, scored(Thumb::Up, 300)).await;
    rate(&of, runs[1], bob, scored(Thumb::Down, 500)).await;
    rate(&of, runs[1], bob, None).await;
    rate(&of, other, ada, scored(Thumb::Down, -250)).await;
    of
}

#[tokio::test]
async fn two_versions_can_be_compared() {
    let of = furnished().await;
    let first = read(&of, 1).await;
    assert_eq!((first.runs, first.succeeded, first.failed, first.cancelled), (5, 4, 0, 1));
    assert_eq!(first.usage, TokenUsage { input_tokens: 500, output_tokens: 50 });
    assert_eq!(first.cost, RunCost { micro_usd: MicroUsd(3_500), incomplete: false });
    assert_eq!((first.latency.count, first.latency.buckets.iter().map(|bucket| bucket.count).sum()), (5, 5));
    assert_eq!(first.thumbs, ThumbStatistics { up: 2, down: 0 });
    assert_eq!(first.scores["tone"], ScoreStatistics { count: 2, sum: 1.2, mean: 0.6 });
    let second = read(&of, 2).await;
    assert_eq!((second.runs, second.thumbs), (1, ThumbStatistics { up: 0, down: 1 }));
    assert_eq!(second.scores["tone"].sum, -0.25);
    assert_eq!(read(&of, 3).await.runs, 0);
}

#[tokio::test]
async fn many_names_of_scores_hide_no_thumbs() {
    let of = furnished().await;
    let sound = read(&of, 1).await;
    for name in 0..400 {
        let key = key::score_statistics(of.tenant, numbered(1), &format!("n{name:03}"));
        of.runs.tables().write(Update::of(&key).add(COUNT, 1).add(CHANGES, 1)).await.unwrap();
    }
    let read = read(&of, 1).await;
    assert_eq!((read.thumbs, read.runs), (sound.thumbs, sound.runs));
    assert_eq!(read.scores.len(), MAX_SCORE_NAMES);
    let all = rows(of.runs.tables(), of.tenant, numbered(1), usize::MAX).await.unwrap();
    assert!(all.len() > 400, "{} rows are counted again", all.len());
}

fn named(names: impl IntoIterator<Item = usize>) -> Option<Rating> {
    let score = |name: usize| (format!("n{name:03}"), Score::from_thousandths(500).unwrap());
    Some(Rating { scores: names.into_iter().map(score).collect(), ..Rating::default() })
}

#[tokio::test]
async fn a_version_has_few_names_of_scores_and_forgets_those_without_any() {
    let of = Conversation::new().await;
    let run = ended(&of, 1, RunOutcome::Success).await;
    let people: Vec<UserId> = (0..5).map(|_| UserId::new()).collect();
    for (first, by) in people.iter().enumerate() {
        rate(&of, run, *by, named(first * 9..first * 9 + 9)).await;
    }
    let on = FeedbackTarget { run, message: None };
    let give = async |by, rating| Box::pin(give_feedback(of.runs.storage(), of.tenant, on, by, rating)).await;
    // 45 names are taken: 5 more fit, at once with another request that gives the same ones, and a sixth does not.
    let [eve, bob] = [UserId::new(), UserId::new()];
    let refused = give(eve, named(45..51)).await;
    assert!(matches!(refused, Err(Error::TooManyScoreNames)), "{refused:?}");
    let (first, second) = futures::join!(give(eve, named(45..50)), give(bob, named(45..50)));
    first.unwrap();
    second.unwrap();
    let counted = read(&of, 1).await.scores;
    assert_eq!((counted.len(), counted["n049"].count), (MAX_SCORE_NAMES, 2));
    let refused = give(people[0], named([0, 50])).await;
    assert!(matches!(refused, Err(Error::TooManyScoreNames)), "{refused:?}");
    give(people[0], named([0, 49])).await.unwrap();
    let other = ended(&of, 2, RunOutcome::Success).await;
    rate(&of, other, eve, named([50])).await;

    // 8 of the names have no score any more.
    rebuild(&of).await;
    assert_eq!(read(&of, 1).await.scores.len(), MAX_SCORE_NAMES - 8);
    give(bob, named(50..58)).await.unwrap();
    let refused = give(bob, named(50..59)).await;
    assert!(matches!(refused, Err(Error::TooManyScoreNames)), "{refused:?}");
}

/// Counts version 1 again.
async fn rebuild(of: &Conversation) {
    let input = StatisticsInput { agent_id: agent(1).id, version: 1 };
    let job = NewJob::of::<RebuildStatistics>(of.tenant, &input);
    assert_eq!(RebuildStatistics::key(&input), None);
    enqueue(of.runs.tables(), &job, Timestamp::now()).await.unwrap();
    let registry = Registry::new().with(RebuildStatistics);
    let worker = Worker::new(registry, of.runs.storage().clone(), Settings::default());
    let delivery = Delivery { tenant_id: of.tenant, job_id: job.id };
    let worked = Box::pin(worker.work(delivery, None)).await.unwrap();
    let job = sequent_jobs::Jobs::new(of.runs.tables(), of.tenant).get(job.id).await.unwrap();
    assert_eq!(worked, Worked::Success, "{:?}", job.error);
}

#[tokio::test]
async fn damaged_counters_are_counted_again() {
    let of = furnished().await;
    let sound = read(&of, 1).await;
    let store = of.runs.tables();
    for (key, counts) in rows(store, of.tenant, numbered(1), usize::MAX).await.unwrap() {
        let damage = |update: Update, name: &String| update.add(name.as_str(), 3);
        store.write(counts.0.keys().fold(Update::of(&key), damage)).await.unwrap();
    }
    store.delete(&key::thumb_statistics(of.tenant, numbered(1))).await.unwrap();
    let stray = key::score_statistics(of.tenant, numbered(1), "stray");
    store.write(Update::of(&stray).add(COUNT, 1)).await.unwrap();
    assert_ne!(read(&of, 1).await, sound);

    rebuild(&of).await;
    assert_eq!(read(&of, 1).await, sound);
}

#[test]
fn a_late_settlement_adds_only_what_came_after_the_end() {
    let run: Run = serde_json::from_value(serde_json::json!({
        "id": RunId::from_bits(3), "project_id": ProjectId::from_bits(1), "user_id": UserId::from_bits(1),
        "status": "cancelled", "created_at": "2026-01-01T00:00:00Z", "agent": agent(1),
        "usage": {"input_tokens": 5, "output_tokens": 5}, "cost": {"micro_usd": 50, "incomplete": false},
    }))
    .unwrap();
    let tenant = TenantId::from_bits(1);
    let late = |input_tokens, cost| {
        let cost = RunCost { micro_usd: MicroUsd(cost), incomplete: false };
        counted_late(tenant, &run, TokenUsage { input_tokens, output_tokens: 5 }, cost)
    };
    assert_eq!(late(5, 50), None);
    let key = key::run_statistics(tenant, numbered(1), run.id);
    let expected = Update::of(&key).add(COST, 10).add(INPUT, 2).add(CHANGES, 1);
    assert_eq!(late(7, 60), Some(expected));
}
