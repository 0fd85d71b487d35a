use sequent_core::{ArtifactId, MessageId, ProjectId, RunId, Timestamp};
use sequent_event::{Body, ClaimReason, Configuration, Entry, JobEnd, RunOutcome, RunStage};
use serde_json::json;

use super::*;

/// A run that has to deliver a document, and the state of its log.
struct Run(State);

impl Run {
    fn new(kind: &str) -> Self {
        let mut run = Self(State::default());
        run.append(Body::RunClaimed { epoch: 1, writer: "w".into(), reason: ClaimReason::Start });
        let deliverable_type = Some(kind.to_owned());
        run.append(Body::RunConfigured(Box::new(Configuration {
            deliverable_type,
            ..Configuration::default()
        })));
        run.append(Body::UserMessage {
            message_id: MessageId::from_bits(1),
            content: "Tides.".into(),
            by: None,
            model: Some("demo".into()),
        });
        let thread_id = ProjectId::from_bits(1);
        let run_id = RunId::from_bits(7 << 80);
        run.append(Body::RunStarted { thread_id, run_id, parent_run_id: None });
        run
    }

    fn append(&mut self, body: Body) {
        let event = Entry::new(Timestamp::from_millis(0), body).at_seq(self.0.next());
        self.0.apply(&event).unwrap();
    }

    /// A response that calls `tool`.
    fn call(&mut self, id: &str, tool: &str) {
        let id = id.to_owned();
        self.append(Body::ToolCallStart {
            tool_call_id: id.clone(),
            tool_call_name: tool.into(),
            parent_message_id: None,
        });
        self.append(Body::ToolCallEnd { tool_call_id: id });
        self.respond();
    }

    /// The end of a response.
    fn respond(&mut self) {
        let usage = json!({"provider": "demo", "model": "demo", "inputTokens": 1, "outputTokens": 1, "latencyMs": 1,
            "finishReason": "stop", "messagesTold": 1});
        self.append(Body::UsageRecorded(serde_json::from_value(usage).unwrap()));
    }

    fn result(&mut self, id: &str) {
        self.append(Body::ToolCallResult {
            message_id: MessageId::from_bits(2),
            tool_call_id: id.to_owned(),
            content: "…".into(),
            error: None,
        });
    }

    fn artifact(&mut self, id: u128, call: Option<&str>, job: Option<JobId>) {
        let artifact = json!({"artifactId": ArtifactId::from_bits(id), "title": "T", "entityType": "report",
            "mediaType": "application/json", "size": 1, "sha256": Digest::of(b"1"), "toolCallId": call, "jobId": job});
        self.append(Body::ArtifactCreated(serde_json::from_value(artifact).unwrap()));
    }

    fn deliver(&mut self, id: u128, tool: &str) {
        let call = format!("call-{id}");
        self.call(&call, tool);
        self.artifact(id, Some(&call), None);
        self.result(&call);
    }

    fn enqueue(&mut self, request: &JobRequest) {
        self.append(Body::JobEnqueued(request.job.clone()));
    }

    fn end(&mut self, request: &JobRequest, status: JobStatus) {
        self.append(Body::JobFinished(JobEnd {
            job_id: request.job.job_id,
            status,
            result: String::new(),
            usage: Default::default(),
            usage_may_grow: false,
            run: RunStage::Live,
        }));
    }

    fn next(&self) -> Next {
        crate::next::next(&self.0)
    }

    fn follow_up(&self) -> Vec<JobRequest> {
        match self.next() {
            Next::FollowUp(requests) => requests,
            other => panic!("there should be jobs to create: {other:?}"),
        }
    }
}

const ANSWER: Next = Next::Ask(Purpose::Answer);

fn types(requests: &[JobRequest]) -> Vec<&str> {
    requests.iter().map(|request| request.job.job_type.as_str()).collect()
}

#[test]
fn only_a_known_document_is_wanted_and_never_from_a_child() {
    for (kind, parent, expected) in [
        ("report", None, Next::Ask(Purpose::Deliver(DocumentKind::Report))),
        ("poem", None, Next::Finish),
        ("report", Some(RunId::from_bits(1)), Next::Finish),
    ] {
        let mut run = Run::new(kind);
        run.0.parent = parent;
        assert_eq!(run.next(), ANSWER);
        run.respond();
        assert_eq!(run.next(), expected);
    }
}

#[test]
fn a_model_that_answers_has_to_write_and_not_to_answer_again() {
    let mut run = Run::new("slides");
    assert_eq!(run.next(), ANSWER);
    run.respond();
    assert_eq!(run.next(), Next::Ask(Purpose::Deliver(DocumentKind::Slides)));
    run.deliver(1, "write_slides");
    assert_eq!(run.next(), Next::Finish);
    // A later message is answered, and the document may be delivered again.
    let message_id = MessageId::from_bits(9);
    run.append(Body::UserMessage { message_id, content: "Shorter.".into(), by: None, model: None });
    assert_eq!(run.next(), ANSWER);
    assert!(matches!(run.0.phase, sequent_event::Phase::Running));
}

#[test]
fn a_model_that_writes_at_once_answers_afterwards() {
    let mut run = Run::new("slides");
    run.deliver(1, "write_slides");
    assert_eq!(run.next(), ANSWER);
    run.respond();
    assert_eq!(run.next(), Next::Finish);
    let thread_id = ProjectId::from_bits(1);
    let run_id = RunId::from_bits(7 << 80);
    run.append(Body::RunFinished { thread_id, run_id, outcome: RunOutcome::Success });
}

#[test]
fn a_model_that_cannot_write_ends_the_run() {
    let mut run = Run::new("report");
    run.respond();
    for n in 1..MAX_FAILURES {
        assert_eq!(run.next(), Next::Ask(Purpose::Deliver(DocumentKind::Report)), "{n}");
        run.call(&n.to_string(), "write_report");
        run.result(&n.to_string());
    }
    assert!(matches!(run.next(), Next::Fail { code: "deliverable_missing", .. }));
    // Calls of other tools are no failures, and what they save is not the document.
    let mut run = Run::new("report");
    for n in 0..20 {
        run.call(&n.to_string(), "save_artifact");
        run.artifact(n, Some(&n.to_string()), None);
        run.result(&n.to_string());
    }
    assert_eq!(run.next(), ANSWER);
}

#[test]
fn a_report_gets_its_entities_extracted_and_its_citations_bound_if_there_are_sources() {
    let mut run = Run::new("report");
    run.deliver(1, "write_report");
    run.respond();
    assert_eq!(types(&run.follow_up()), ["extract_entities"]);
    let source = json!({"url": "https://a.example/", "title": "A"});
    run.append(Body::SourceCited(serde_json::from_value(source).unwrap()));
    let requests = run.follow_up();
    assert_eq!(types(&requests), ["extract_entities", "bind_citations"]);
    assert_eq!(requests[0].input["artifact_id"], json!(ArtifactId::from_bits(1)));
    requests.iter().for_each(|request| run.enqueue(request));
    assert_eq!(run.follow_up(), requests, "the run waits for the same jobs");
    run.end(&requests[1], JobStatus::Success);
    assert_eq!(run.follow_up(), requests[..1]);
    run.end(&requests[0], JobStatus::Error);
    assert_eq!(run.next(), Next::Finish, "the report is delivered even if a job failed");
    // Another report gets other jobs.
    run.deliver(2, "write_report");
    for request in run.follow_up() {
        assert!(requests.iter().all(|before| before.job.job_id != request.job.job_id));
    }
}

#[test]
fn a_job_that_asks_a_model_keeps_the_budget_that_is_in_the_log() {
    let mut run = Run::new("report");
    run.0.configuration.budget.max_cost_micro_usd = Some(1_000);
    run.deliver(1, "write_report");
    run.respond();
    let [request] = run.follow_up().try_into().unwrap();
    assert_eq!(request.job.budget.max_cost_micro_usd, Some(500), "half of what is left");
    assert_eq!(request.input["budget"], json!({"maxCostMicroUsd": 500}));
    run.enqueue(&request);
    run.0.totals.cost_micro_usd = sequent_core::MicroUsd(600);
    assert_eq!(run.follow_up(), [request]);
}

#[test]
fn a_website_is_packed_announced_and_reported_on() {
    let mut run = Run::new("website");
    run.respond();
    run.deliver(1, "write_website");
    let pack = run.follow_up();
    assert_eq!(types(&pack), ["render_export"]);
    let export: Export = serde_json::from_value(pack[0].input.clone()).unwrap();
    assert_eq!((export.source, export.format), (Source::Artifact(ArtifactId::from_bits(1)), Format::Zip));
    run.enqueue(&pack[0]);
    run.artifact(2, None, Some(pack[0].job.job_id));
    run.end(&pack[0], JobStatus::Success);
    let website = ArtifactId::from_bits(2);
    let document = ArtifactId::from_bits(1);
    assert_eq!(run.next(), Next::Announce { website, document });
    run.append(Body::WebsiteGenerationDone { artifact_id: website, document_id: document });
    let report = run.follow_up();
    assert_eq!(types(&report), ["generate_companion_report"]);
    assert_eq!((&report[0].input["task"], &report[0].input["model"]), (&json!("Tides."), &json!("demo")));
    run.enqueue(&report[0]);
    run.end(&report[0], JobStatus::Success);
    assert_eq!(run.next(), Next::Finish);

    let mut broken = Run::new("website");
    broken.respond();
    broken.deliver(1, "write_website");
    broken.enqueue(&pack[0]);
    broken.end(&pack[0], JobStatus::Error);
    assert!(matches!(broken.next(), Next::Fail { code: "website_not_packed", .. }));
}
