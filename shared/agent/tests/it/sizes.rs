//! Texts that are too large for an event, a question or a request: each is cut or refused where it enters, and the run goes
//! on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::future::BoxFuture;
use sequent_agent::{Bounds, Engine, Executed, execute};
use sequent_conversation::{AnswerToQuestion, NewRun, ResumeBy, RunStatus, answer};
use sequent_core::ArtifactId;
use sequent_event::{AnswerStatus, Artifact, Body, Event, Phase, RunOutcome, TranscriptEntry};
use sequent_runlog::{Claim, Segment, claim, read_all};
use sequent_tool::{Call, Effect, Error, Handler, Output, Registry, Tool, ToolKind};
use serde_json::json;

use crate::bench::Bench;

/// A tool that returns this output.
struct Returns(Output, AtomicUsize);

impl Handler for Returns {
    fn call<'a>(&'a self, _: Call<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(self.0.clone()) })
    }
}

/// A bench with `fetch`, which returns `output`, and `wire`, which does too if a person approves.
async fn bench(output: Output) -> (Bench, Arc<Returns>) {
    let bench = Bench::new().await;
    let returns = Arc::new(Returns(output, AtomicUsize::new(0)));
    let fetch = Tool::new("fetch", "Fetches.", json!({}), ToolKind::Runs(returns.clone()));
    let wire = Tool {
        needs_approval: true,
        spec: sequent_model::ToolSpec { name: "wire".into(), ..fetch.spec.clone() },
        ..fetch.clone()
    };
    let tools = Arc::new(Registry::new([Tool { idempotent: true, ..fetch }, wire]).unwrap());
    (Bench { engine: Engine { tools, ..bench.engine }, ..bench }, returns)
}

async fn run(bench: &Bench, script: &str) -> NewRun {
    let asking = bench.asking(bench.project().await.id, script);
    let writer = bench.owned(&asking).await;
    let ended = execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    assert_eq!(ended, Executed::Closed);
    asking
}

async fn resume(bench: &Bench, of: &NewRun) -> Executed {
    let key = bench.key(of.run);
    let claimed = claim(&bench.engine.storage, key, bench.engine.settings, false, None).await.unwrap();
    let Claim::Won(writer) = claimed else { panic!("{claimed:?}") };
    execute(&bench.engine, key, *writer, None).await.unwrap()
}

async fn events(bench: &Bench, of: &NewRun) -> Vec<Event> {
    let segments = read_all(&bench.engine.storage, bench.key(of.run)).await.unwrap();
    segments.iter().flat_map(Segment::events).collect()
}

#[tokio::test]
async fn a_result_that_json_escapes_is_cut_and_its_call_is_made_once() {
    let coloured = "\u{1b}[31mred\u{1b}[0m\n".repeat(5_000);
    for text in ["\"".repeat(60_000), coloured, "\0".repeat(60_000)] {
        let (bench, returns) = bench(Output::text(text)).await;
        let asking = run(&bench, "/demo tokens=1 rate=0 tool=fetch\n/demo tokens=2 rate=0").await;
        let state = bench.state(asking.run).await;
        assert_eq!((state.phase.clone(), state.epoch), (Phase::Finished(RunOutcome::Success), 1));
        assert_eq!(returns.1.load(Ordering::SeqCst), 1);
        let result = state.transcript.iter().find_map(|entry| match entry {
            TranscriptEntry::Tool { content, .. } => Some(content),
            _ => None,
        });
        assert!(result.unwrap().contains("[Cut: the result has"));
    }
}

#[tokio::test]
async fn calls_with_many_or_large_arguments_are_asked_about_and_run_when_approved() {
    for (count, bytes) in [(1, 45_000), (4, 12_000), (40, 1_500), (64, 10)] {
        let (bench, returns) = bench(Output::text("done")).await;
        let arguments = json!({ "memo": "x".repeat(bytes) });
        let calls = format!(" tool=wire args={arguments}").repeat(count);
        let asking = run(&bench, &format!("/demo tokens=1 rate=0{calls}\n/demo tokens=2 rate=0")).await;
        assert_eq!(bench.status(asking.run).await, RunStatus::Interrupted, "{count} of {bytes} bytes");
        let state = bench.state(asking.run).await;
        assert_eq!((state.open_interrupts().count(), state.epoch), (count, 1), "all are asked at once");
        let replies: Vec<AnswerToQuestion> = state
            .open_interrupts()
            .map(|open| AnswerToQuestion {
                interrupt: open.id,
                status: AnswerStatus::Resolved,
                payload: Some(json!({"approved": true})),
            })
            .collect();
        let key = bench.key(asking.run);
        answer(&bench.engine.storage, key, None, &replies, ResumeBy::Caller).await.unwrap();
        assert_eq!(resume(&bench, &asking).await, Executed::Closed);
        assert_eq!(bench.status(asking.run).await, RunStatus::Success);
        assert_eq!(returns.1.load(Ordering::SeqCst), count);
    }
}

#[tokio::test]
async fn a_plan_that_is_too_large_is_told_to_the_model() {
    let bench = Bench::new().await;
    let mut asking =
        bench.asking(bench.project().await.id, "Plan.\n/demo tokens=1 rate=0\n/demo tokens=2 rate=0");
    asking.options.orchestration = sequent_event::Orchestration::Plan;
    let writer = bench.owned(&asking).await;
    let step = |n: usize| json!({"id": n.to_string(), "title": "Go", "instructions": "x".repeat(6_000)});
    let plan = json!({"steps": (0..20).map(step).collect::<Vec<_>>()}).to_string();
    assert!(plan.len() > 120_000);
    let id = sequent_core::ToolCallId::new().to_string();
    let tool_call_name = "write_plan".to_owned();
    let call = Body::ToolCallStart { tool_call_id: id.clone(), tool_call_name, parent_message_id: None };
    writer.append(call).await.unwrap();
    writer.append(Body::ToolCallArgs { tool_call_id: id.clone(), delta: plan }).await.unwrap();
    writer.append(Body::ToolCallEnd { tool_call_id: id }).await.unwrap();
    writer.append(Body::UsageRecorded(usage())).await.unwrap();
    writer.release().await.unwrap();
    assert_eq!(resume(&bench, &asking).await, Executed::Closed);
    let state = bench.state(asking.run).await;
    assert_eq!((state.phase.clone(), state.plan.clone()), (Phase::Finished(RunOutcome::Success), None));
    let is_told = |entry: &TranscriptEntry| matches!(entry, TranscriptEntry::Tool { content, .. } if content.contains("at most 96000"));
    assert!(state.transcript.iter().any(is_told), "{:?}", state.transcript.last());
}

#[tokio::test]
async fn the_giant_answer_of_a_child_is_cut_for_its_parent() {
    let bench = Bench::new().await;
    let step = json!({"id": "only", "title": "Only", "instructions": "/demo\u{1}tokens=40000\u{1}rate=0", "independent": true});
    let plan = json!({"steps": [step]}).to_string().replace("\\u0001", "\\u0020");
    let script = format!("Ask.\n/demo tokens=1 rate=0 tool=write_plan args={plan}");
    let mut asking = bench.asking(bench.project().await.id, &script);
    asking.options.orchestration = sequent_event::Orchestration::Plan;
    let writer = bench.owned(&asking).await;
    let key = bench.key(asking.run);
    let bounds = Bounds { patience: std::time::Duration::ZERO, ..bench.engine.bounds };
    let bench = Bench { engine: Engine { bounds, ..bench.engine }, ..bench };
    assert_eq!(execute(&bench.engine, key, *writer, None).await.unwrap(), Executed::Waiting);
    let child = bench.state(asking.run).await.children[0].run;
    let claimed = claim(&bench.engine.storage, bench.key(child), bench.engine.settings, true, None).await;
    let Claim::Won(writer) = claimed.unwrap() else { panic!("the child has no owner") };
    execute(&bench.engine, bench.key(child), *writer, None).await.unwrap();
    let answer = bench.state(child).await.answer_text();
    assert!(answer.len() > 120_000, "{}", answer.len());

    assert_eq!(resume(&bench, &asking).await, Executed::Closed);
    let state = bench.state(asking.run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
    let Some(sequent_event::ChildEnd::Result(result)) = &state.children[0].ended else { panic!() };
    assert!(result.contains(&format!("[Cut: the answer of {child} has {} bytes", answer.len())));
}

/// The tokens of the run's largest request.
async fn largest_request(bench: &Bench, of: &NewRun) -> u64 {
    let events = events(bench, of).await;
    let requests = events.iter().filter_map(|event| match event.body() {
        Some(Body::UsageRecorded(usage)) => Some(usage.input_tokens),
        _ => None,
    });
    requests.max().expect("a model was asked")
}

#[tokio::test]
async fn a_giant_answer_ends_its_run_and_leaves_the_history_readable() {
    let bench = Bench::new().await;
    let project = bench.project().await.id;
    let first =
        bench.asking(project, &format!("{}\n/demo tokens=1 rate=0", "The first message. ".repeat(400)));
    let writer = bench.owned(&first).await;
    execute(&bench.engine, bench.key(first.run), *writer, None).await.unwrap();
    for bytes in [450_000, 250_000] {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await; // ids sort by the millisecond
        let asking = bench.asking(project, "Write a book.\n/demo tokens=1 rate=0");
        let writer = bench.owned(&asking).await;
        let message_id = sequent_core::MessageId::new();
        let role = sequent_event::Role::Assistant;
        writer.append(Body::TextMessageStart { message_id, role }).await.unwrap();
        writer
            .append(Body::TextMessageContent { message_id, delta: "word ".repeat(bytes / 5) })
            .await
            .unwrap();
        writer.append(Body::TextMessageEnd { message_id }).await.unwrap();
        writer.append(Body::UsageRecorded(usage())).await.unwrap();
        writer.release().await.unwrap();
        assert_eq!(resume(&bench, &asking).await, Executed::Closed);
        assert_eq!(bench.status(asking.run).await, RunStatus::Success);
        assert_eq!(bench.state(asking.run).await.answer_text().len(), bytes, "the log has all of it");
        let messages = bench.projects().latest_messages(project, 10).await.unwrap();
        let last = messages.last().unwrap();
        assert_eq!(last.truncated, last.content.len() < bytes);
    }
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let next = bench.asking(project, "And in short?\n/demo tokens=1 rate=0");
    let writer = bench.owned(&next).await;
    execute(&bench.engine, bench.key(next.run), *writer, None).await.unwrap();
    let tokens = largest_request(&bench, &next).await;
    assert!(tokens < 90_000, "{tokens} tokens: the books are covered by a summary");
    assert_eq!(bench.status(next.run).await, RunStatus::Success);
}

fn usage() -> sequent_event::Usage {
    let usage = json!({"provider": "demo", "model": "demo", "inputTokens": 1, "outputTokens": 1, "latencyMs": 1,
        "finishReason": "stop"});
    serde_json::from_value(usage).unwrap()
}

#[tokio::test]
async fn an_event_that_the_log_refuses_ends_the_run_with_a_code() {
    let artifact = Artifact {
        artifact_id: ArtifactId::new(),
        title: "x".repeat(150_000),
        entity_type: "file".into(),
        media_type: "text/plain".into(),
        size: 1,
        sha256: "ab".repeat(32),
        tool_call_id: None,
        job_id: None,
    };
    let output = Output { content: "saved".into(), effects: vec![Effect::Saved(artifact)] };
    let (bench, returns) = bench(output).await;
    let asking = run(&bench, "/demo tokens=1 rate=0 tool=fetch\n/demo tokens=2 rate=0").await;
    let state = bench.state(asking.run).await;
    assert!(
        matches!(&state.phase, Phase::Failed { code, .. } if code == "event_too_large"),
        "{:?}",
        state.phase
    );
    assert_eq!((state.epoch, returns.1.load(Ordering::SeqCst)), (1, 1), "no owner tries it again");
    assert_eq!(bench.status(asking.run).await, RunStatus::Error);
}
