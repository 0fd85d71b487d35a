//! Tools that are jobs: the run releases its process, and continues with the result of the job.

use std::{sync::Arc, time::Duration};

use sequent_agent::{Engine, Executed, execute};
use sequent_billing::Credits;
use sequent_conversation::{NameProject, NewRun, ProjectName, RunStatus, cancel, naming::Namer};
use sequent_core::{ArtifactId, JobId};
use sequent_definitions::ServicePrompts;
use sequent_event::{Artifact, CancelReason, JobStatus, Phase, RunOutcome, RunStage, TranscriptEntry};
use sequent_jobs::{Context, Delivery, Done, Effects, Failed, Jobs, LeftArtifact, Registry, Worked, Worker};
use sequent_runlog::{Claim, claim};
use sequent_tables::{Item, Row};
use sequent_tool::{Tool, ToolKind};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bench::Bench;

/// A job that draws a map of a place and saves it as an artifact.
struct DrawMap;

#[derive(Serialize, Deserialize)]
struct Place {
    place: String,
}

impl sequent_jobs::JobKind for DrawMap {
    const TYPE: &'static str = "draw_map";
    type Input = Place;

    fn key(_: &Place) -> Option<String> {
        None
    }

    async fn run(&self, input: Place, context: Context) -> Result<Done, Failed> {
        if input.place == "Atlantis" {
            return Err(Failed::Poison("The place is unknown.".to_owned()));
        }
        let artifact = Artifact {
            artifact_id: ArtifactId::new(),
            title: format!("Map of {}", input.place),
            entity_type: "map".to_owned(),
            media_type: "image/png".to_owned(),
            size: 3,
            sha256: "ab".repeat(32),
            tool_call_id: None,
            job_id: Some(context.job),
        };
        let key = sequent_tables::key::greeting(context.tenant, "a row of the artifact's");
        let row = Row::new(&key, &json!({"title": artifact.title})).map_err(Failed::retry)?;
        Ok(Done {
            artifacts: vec![LeftArtifact { artifact, row }],
            ..Done::text(format!("Drew {}.", input.place))
        })
    }
}

async fn bench() -> Bench {
    let mut bench = Bench::new().await;
    let parameters = json!({"type": "object", "properties": {"place": {"type": "string"}}});
    let draw = Tool::new("draw_map", "Draws a map.", parameters, ToolKind::Job("draw_map"));
    let mut tools = sequent_tool::built_in(&sequent_tool::Guard::default());
    tools.push(draw);
    let tools = Arc::new(sequent_tool::Registry::new(tools).unwrap());
    bench.engine = Engine { tools, ..bench.engine };
    bench
}

/// Starts a run that draws `place`, and executes it until it waits for the job.
async fn start_drawing(bench: &Bench, place: &str) -> (NewRun, JobId) {
    let arguments = json!({"place": place});
    let script = format!("/demo tokens=1 rate=0 tool=draw_map args={arguments}\n/demo tokens=3 rate=0");
    let asking = bench.asking(bench.project().await.id, &script);
    let writer = bench.owned(&asking).await;
    let ended = execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    assert_eq!(ended, Executed::Waiting, "the run waits without a process");
    let state = bench.state(asking.run).await;
    let job = state.open_jobs().next().expect("the job is in the log").clone();
    assert_eq!((&*job.job_type, job.tool_call_id.as_ref()), ("draw_map", state.pending_tools.first()));
    (asking, job.job_id)
}

async fn work(bench: &Bench, job: JobId) -> Worked {
    let settings = sequent_runlog::Settings { lease: Duration::from_secs(5), ..bench.engine.settings };
    let worker = Worker::new(Registry::new().with(DrawMap), bench.engine.storage.clone(), settings);
    Box::pin(worker.work(Delivery { tenant_id: bench.tenant, job_id: job }, None)).await.unwrap()
}

async fn resume(bench: &Bench, of: &NewRun) -> Executed {
    let storage = &bench.engine.storage;
    let settings = bench.engine.settings;
    let claimed = claim(storage, bench.key(of.run), settings, false, None).await.unwrap();
    let Claim::Won(writer) = claimed else { panic!("{claimed:?}") };
    execute(&bench.engine, bench.key(of.run), *writer, None).await.unwrap()
}

fn result(turns: &[TranscriptEntry]) -> Option<&str> {
    turns.iter().find_map(|turn| match turn {
        TranscriptEntry::Tool { content, .. } => Some(content.as_str()),
        _ => None,
    })
}

#[tokio::test]
async fn the_result_of_a_job_is_the_result_of_the_call() {
    let bench = bench().await;
    for (place, status, expected) in [
        ("Malta", JobStatus::Success, "Drew Malta."),
        ("Atlantis", JobStatus::Error, "`draw_map` failed: The place is unknown."),
    ] {
        let (asking, job) = start_drawing(&bench, place).await;
        work(&bench, job).await;
        let row = Jobs::new(bench.engine.store(), bench.tenant).get(job).await.unwrap();
        assert_eq!((row.run_id, row.has_ended()), (Some(asking.run), true));
        let state = bench.state(asking.run).await;
        let ended = state.jobs[0].ended.as_ref().expect("the end of the job is in the log");
        assert_eq!((ended.status, ended.run), (status, RunStage::Live));
        assert_eq!(state.artifacts.len(), usize::from(status == JobStatus::Success));
        assert_eq!(
            state.artifacts.iter().map(|artifact| artifact.artifact_id).collect::<Vec<_>>(),
            row.artifacts
        );
        // The stream record of the row has the run delivered.
        let item = |row| serde_dynamo::to_item::<_, Item>(row).unwrap();
        let key = sequent_tables::key::job(bench.tenant, job).attributes();
        let new: Item = item(&row).into_iter().chain(key).collect();
        assert_eq!(Effects::of(None, &new).notify_run, Some((bench.tenant, asking.run)));

        assert_eq!(resume(&bench, &asking).await, Executed::Closed);
        let state = bench.state(asking.run).await;
        assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
        assert_eq!(result(&state.transcript), Some(expected));
    }
}

#[tokio::test]
async fn a_cancelled_run_cancels_its_jobs() {
    let bench = bench().await;
    let (asking, job) = start_drawing(&bench, "Malta").await;
    let runs = bench.engine.runs();
    let reason = CancelReason::Requested;
    Box::pin(cancel(&runs, bench.key(asking.run), Some(bench.user), reason)).await.unwrap();
    assert_eq!(bench.status(asking.run).await, RunStatus::Cancelled);
    let row = Jobs::new(bench.engine.store(), bench.tenant).get(job).await.unwrap();
    assert_eq!(row.error.unwrap().code, "cancelled");
    assert_eq!(bench.state(asking.run).await.open_jobs().count(), 0, "the log contains the end");
    assert_eq!(work(&bench, job).await, Worked::Nothing);
}

#[tokio::test]
async fn the_first_exchange_of_a_conversation_names_it_once() {
    let bench = Bench::new().await;
    let mut first = bench.asking(sequent_core::ProjectId::new(), "When is high tide?\n/demo tokens=2 rate=0");
    first.new_project = true;
    let second = bench.asking(first.project, "And low tide?\n/demo tokens=2 rate=0");
    for asking in [&first, &second] {
        let writer = bench.owned(asking).await;
        let ended = execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
        assert_eq!(ended, Executed::Closed);
    }
    let cursors = sequent_tables::CursorKey::new("a key for tests".to_owned().into());
    let jobs = Jobs::new(bench.engine.store(), bench.tenant).list(&cursors, None, None).await.unwrap().items;
    let [job] = &jobs[..] else { panic!("one job: {jobs:?}") };
    assert_eq!(job.job_type, "name_project");
    assert_eq!(
        job.id,
        NameProject::job(bench.tenant, first.project, first.run).id,
        "the id is derived from the run"
    );

    let credits = Credits::new(bench.engine.store().clone(), None, Default::default());
    let prompts = ServicePrompts::new(bench.engine.store().clone());
    let namer = Namer::new(Some(bench.engine.models.clone()), prompts);
    let registry = Registry::new().with(NameProject::new(namer, credits));
    let worker = Worker::new(registry, bench.engine.storage.clone(), bench.engine.settings);
    let delivery = Delivery { tenant_id: bench.tenant, job_id: job.id };
    assert_eq!(Box::pin(worker.work(delivery, None)).await.unwrap(), Worked::Success);
    let named = bench.projects().get(first.project).await.unwrap().name;
    assert_eq!(named, ProjectName::from_message(&first.content.text()), "the demo gives no name");
}
