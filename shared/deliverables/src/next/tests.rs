use sequent_core::{MessageId, ProjectId, RunId, Timestamp};
use sequent_event::{Body, ClaimReason, Configuration, Entry, JobEnd, Outcome, Standing};
use serde_json::json;

use super::*;

/// A run that is to deliver, and what its log says.
struct Run(State);

impl Run {
    fn new(kind: &str) -> Self {
        let mut run = Self(State::default());
        run.say(Body::RunClaimed { epoch: 1, writer: "w".into(), reason: ClaimReason::Start });
        let deliverable_type = Some(kind.to_owned());
        run.say(Body::RunConfigured(Configuration { deliverable_type, ..Configuration::default() }));
        let message_id = MessageId::from_bits(1);
        run.say(Body::UserMessage {
            message_id,
            content: "Tides.".into(),
            by: None,
            model: Some("demo".into()),
        });
        let (thread_id, run_id) = (ProjectId::from_bits(1), RunId::from_bits(7 << 80));
        run.say(Body::RunStarted { thread_id, run_id, parent_run_id: None });
        run
    }

    fn say(&mut self, body: Body) {
        let event = Entry::new(Timestamp::from_millis(0), body).at_seq(self.0.next());
        self.0.apply(&event).unwrap();
    }

    /// A response that only says something.
    fn speak(&mut self) {
        self.responded();
    }

    /// A response that calls `tool`.
    fn call(&mut self, id: &str, tool: &str) {
        let id = id.to_owned();
        self.say(Body::ToolCallStart {
            tool_call_id: id.clone(),
            tool_call_name: tool.into(),
            parent_message_id: None,
        });
        self.say(Body::ToolCallEnd { tool_call_id: id });
        self.responded();
    }

    fn responded(&mut self) {
        let usage = json!({"provider": "demo", "model": "demo", "inputTokens": 1, "outputTokens": 1, "latencyMs": 1,
            "finishReason": "stop", "messagesTold": 1});
        self.say(Body::UsageRecorded(serde_json::from_value(usage).unwrap()));
    }

    fn result(&mut self, id: &str) {
        let (message_id, tool_call_id) = (MessageId::from_bits(2), id.to_owned());
        self.say(Body::ToolCallResult { message_id, tool_call_id, content: "…".into() });
    }

    fn artifact(&mut self, id: u128, call: Option<&str>, job: Option<JobId>) {
        let artifact = json!({"artifactId": ArtifactId::from_bits(id), "title": "T", "entityType": "report",
            "mediaType": "application/json", "size": 1, "sha256": Digest::of(b"1"), "toolCallId": call, "jobId": job});
        self.say(Body::ArtifactCreated(serde_json::from_value(artifact).unwrap()));
    }

    fn deliver(&mut self, id: u128, tool: &str) {
        let call = format!("call-{id}");
        self.call(&call, tool);
        self.artifact(id, Some(&call), None);
        self.result(&call);
    }

    fn begin(&mut self, task: &Task) {
        self.say(Body::JobEnqueued(task.event()));
    }

    fn end(&mut self, task: &Task, status: JobStatus) {
        let (job_id, run, usage) = (task.id, Standing::Live, Default::default());
        self.say(Body::JobFinished(JobEnd { job_id, status, result: String::new(), usage, run }));
    }

    fn next(&self) -> Next {
        let answered = matches!(self.0.turns.last(), Some(Turn::Assistant { calls, .. }) if calls.is_empty());
        next(&self.0, answered).unwrap()
    }

    fn work(&self) -> Vec<Task> {
        match self.next() {
            Next::Work(tasks) => tasks,
            other => panic!("work to do: {other:?}"),
        }
    }
}

fn types(tasks: &[Task]) -> Vec<&str> {
    tasks.iter().map(|task| task.job_type).collect()
}

#[test]
fn only_a_known_document_is_wanted_and_of_no_child() {
    assert_eq!(next(&State::default(), true), None);
    assert_eq!(next(&Run::new("poem").0, true), None);
    let mut child = Run::new("report").0;
    assert_eq!(next(&child, false), Some(Next::Answer));
    child.parent = Some(RunId::from_bits(1));
    assert_eq!(next(&child, false), None);
}

#[test]
fn a_model_that_answers_is_made_to_write_and_not_to_answer_again() {
    let mut run = Run::new("slides");
    assert_eq!(run.next(), Next::Answer);
    run.speak();
    assert_eq!(run.next(), Next::Write(Kind::Slides));
    run.deliver(1, "write_slides");
    assert_eq!(run.next(), Next::Finish);
    // What a person adds is answered, and may be delivered anew.
    let message_id = MessageId::from_bits(9);
    run.say(Body::UserMessage { message_id, content: "Shorter.".into(), by: None, model: None });
    assert_eq!(run.next(), Next::Answer);
    assert!(matches!(run.0.phase, sequent_event::Phase::Running));
}

#[test]
fn a_model_that_writes_at_once_has_the_last_word() {
    let mut run = Run::new("slides");
    run.deliver(1, "write_slides");
    assert_eq!(run.next(), Next::Answer);
    run.speak();
    assert_eq!(run.next(), Next::Finish);
    let (thread_id, run_id) = (ProjectId::from_bits(1), RunId::from_bits(7 << 80));
    run.say(Body::RunFinished { thread_id, run_id, outcome: Outcome::Success });
}

#[test]
fn a_model_that_cannot_write_is_given_up() {
    let mut run = Run::new("report");
    run.speak();
    for n in 1..PATIENCE {
        assert_eq!(run.next(), Next::Write(Kind::Report), "{n}");
        run.call(&n.to_string(), "write_report");
        run.result(&n.to_string());
    }
    assert!(matches!(run.next(), Next::Fail { code: "deliverable_missing", .. }));
    // Other tools are no failures, and what they save is not the document.
    let mut run = Run::new("report");
    for n in 0..20 {
        run.call(&n.to_string(), "save_artifact");
        run.artifact(n, Some(&n.to_string()), None);
        run.result(&n.to_string());
    }
    assert_eq!(run.next(), Next::Answer);
}

#[test]
fn a_report_has_its_names_collected_and_its_claims_bound_if_there_are_sources() {
    let mut run = Run::new("report");
    run.deliver(1, "write_report");
    run.speak();
    assert_eq!(types(&run.work()), ["extract_entities"]);
    let source = json!({"url": "https://a.example/", "title": "A"});
    run.say(Body::SourceCited(serde_json::from_value(source).unwrap()));
    let tasks = run.work();
    assert_eq!(types(&tasks), ["extract_entities", "bind_citations"]);
    assert_eq!(tasks[0].input["artifact_id"], json!(ArtifactId::from_bits(1)));
    tasks.iter().for_each(|task| run.begin(task));
    assert_eq!(run.work(), tasks, "they are waited for, as the same jobs");
    run.end(&tasks[1], JobStatus::Success);
    assert_eq!(run.work(), tasks[..1]);
    run.end(&tasks[0], JobStatus::Error);
    assert_eq!(run.next(), Next::Finish, "the report stands without them");
    // Another report is other work.
    run.deliver(2, "write_report");
    assert!(run.work().iter().all(|task| tasks.iter().all(|before| before.id != task.id)));
}

#[test]
fn a_website_is_packed_announced_and_reported_on() {
    let mut run = Run::new("website");
    run.speak();
    run.deliver(1, "write_website");
    let pack = run.work();
    assert_eq!(types(&pack), ["render_export"]);
    let export: Export = serde_json::from_value(pack[0].input.clone()).unwrap();
    assert_eq!((export.source, export.format), (Source::Artifact(ArtifactId::from_bits(1)), Format::Zip));
    run.begin(&pack[0]);
    run.artifact(2, None, Some(pack[0].id));
    run.end(&pack[0], JobStatus::Success);
    let (website, document) = (ArtifactId::from_bits(2), ArtifactId::from_bits(1));
    assert_eq!(run.next(), Next::Announce { website, document });
    run.say(Body::WebsiteGenerationDone { artifact_id: website, document_id: document });
    let report = run.work();
    assert_eq!(types(&report), ["generate_companion_report"]);
    assert_eq!((&report[0].input["task"], &report[0].input["model"]), (&json!("Tides."), &json!("demo")));
    run.begin(&report[0]);
    run.end(&report[0], JobStatus::Success);
    assert_eq!(run.next(), Next::Finish);

    let mut broken = Run::new("website");
    broken.speak();
    broken.deliver(1, "write_website");
    broken.begin(&pack[0]);
    broken.end(&pack[0], JobStatus::Error);
    assert!(matches!(broken.next(), Next::Fail { code: "website_not_packed", .. }));
}
