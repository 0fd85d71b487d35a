//! Traces of runs that do all that runs do.

use std::fmt::Write as _;

use sequent_core::{AgentId, InterruptId, JobId, MessageId, MicroUsd, ProjectId, RunId, UserId};
use sequent_event::{
    AnswerStatus, Body, CancelReason, ChosenParameters, ClaimReason, Configuration, Interrupt,
    InterruptAnswer, Job, JobEnd, JobStatus, Payload, Plan, PromptVersion, Question, Reason, RequestRecord,
    Role, RunAgent, RunOutcome, RunStage, Step, StepAgent, StepStatus, Totals, Usage,
    testing::{self, GeneratedLog, task},
};

use super::{key, shown};
use crate::{Attribute, RunTrace, Span, SpanId, SpanStatus};

/// Beginnings of the names of attributes that are the same in most spans.
const USUAL: [&str; 10] = [
    "gen_ai.conversation.id",
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.",
    "gen_ai.response.model",
    "gen_ai.usage.",
    "langfuse.",
    "sequent.tenant.id",
    "session.id",
    "user.id",
];

pub(super) fn log(opening: Vec<Body>) -> GeneratedLog {
    GeneratedLog::new(opening)
}

pub(super) fn at(log: &mut GeneratedLog, clock: i64, bodies: impl IntoIterator<Item = Body>) {
    log.clock = clock;
    bodies.into_iter().for_each(|body| log.push(body));
}

fn agent() -> Body {
    let agent = RunAgent {
        id: AgentId::from_bits(7),
        name: "support".into(),
        version: 3,
        prompts: vec![PromptVersion { name: "house-style".into(), version: 2 }],
        variables: serde_json::Map::new(),
        turns: None,
        max_notes: None,
    };
    let parameters = ChosenParameters { seed: Some(7), ..ChosenParameters::default() };
    Body::RunConfigured(Box::new(Configuration {
        agent: Some(Box::new(agent)),
        parameters: Some(Box::new(parameters)),
        ..Configuration::default()
    }))
}

pub(super) fn asked() -> Body {
    Body::UserMessage {
        message_id: MessageId::from_bits(9),
        content: "What color is it?".into(),
        by: Some(UserId::from_bits(4)),
        model: None,
    }
}

pub(super) fn text(id: u128, text: &str) -> [Body; 3] {
    let message_id = MessageId::from_bits(id);
    [
        Body::TextMessageStart { message_id, role: Role::Assistant },
        Body::TextMessageContent { message_id, delta: text.into() },
        Body::TextMessageEnd { message_id },
    ]
}

pub(super) fn call(id: &str) -> [Body; 3] {
    [
        Body::ToolCallStart {
            tool_call_id: id.into(),
            tool_call_name: "look".into(),
            parent_message_id: None,
        },
        Body::ToolCallArgs { tool_call_id: id.into(), delta: r#"{"at":"it"}"#.into() },
        Body::ToolCallEnd { tool_call_id: id.into() },
    ]
}

pub(super) fn used(latency_ms: u64, finish_reason: &str) -> Body {
    let request = RequestRecord {
        purpose: "answer".into(),
        offer: String::new(),
        messages: String::new(),
        tokens: 100,
        max_output_tokens: Some(500),
    };
    Body::UsageRecorded(Usage {
        provider: "bedrock".into(),
        model: "nova".into(),
        input_tokens: 100,
        output_tokens: 20,
        cached_input_tokens: 60,
        reasoning_tokens: 5,
        cost_micro_usd: Some(MicroUsd(1_200)),
        latency_ms,
        finish_reason: finish_reason.into(),
        request: Some(Box::new(request)),
        ..testing::usage()
    })
}

pub(super) fn finished(outcome: RunOutcome) -> Body {
    Body::RunFinished { thread_id: ProjectId::from_bits(1), run_id: RunId::from_bits(1), outcome }
}

fn step(id: &str) -> Step {
    Step {
        id: id.into(),
        title: id.to_uppercase(),
        instructions: "Do it.".into(),
        independent: false,
        agent: None,
        status: StepStatus::Pending,
    }
}

/// Two steps, the second of which another agent carries out.
fn plan() -> Plan {
    let agent = StepAgent { id: AgentId::from_bits(8), name: "researcher".into(), version: 4 };
    Plan { steps: vec![step("a"), Step { agent: Some(Box::new(agent)), ..step("b") }] }
}

fn result(id: &str, content: &str) -> Body {
    Body::ToolCallResult {
        message_id: MessageId::from_bits(30),
        tool_call_id: id.into(),
        content: content.into(),
        error: None,
    }
}

/// The approval of a call: the question, the wait of four seconds, and the second execution.
fn approve(log: &mut GeneratedLog, id: &str) {
    let interrupt_id = InterruptId::from_bits(5);
    let question = Question {
        reason: Reason::Approval,
        message: "May I look?".into(),
        tool_call_id: Some(id.into()),
        call: None,
        response_schema: None,
        expires_at: None,
    };
    let interrupts = vec![Interrupt { id: interrupt_id, question: question.clone() }];
    let asked = Body::ClarificationNeeded { interrupt_id, question };
    at(log, 750, [asked, finished(RunOutcome::Interrupt { interrupts })]);
    let answer = InterruptAnswer {
        interrupt_id,
        status: AnswerStatus::Resolved,
        payload: None,
        by: None,
        remaining: 0,
    };
    let claimed = Body::RunClaimed { epoch: 2, writer: "w".into(), reason: ClaimReason::Resume };
    let started = Body::RunStarted {
        thread_id: ProjectId::from_bits(1),
        run_id: RunId::from_bits(1),
        parent_run_id: None,
    };
    at(log, 4_750, [Body::ClarificationAnswered(answer), claimed, started]);
}

/// A run with an approval, a response that is requested again after a crash, a plan, a child that fails, and a job that fails
/// after the end of the run.
pub(super) fn eventful() -> GeneratedLog {
    let mut log = log(vec![agent(), asked()]);
    at(&mut log, 700, text(10, "Let me look."));
    at(&mut log, 720, call("c1"));
    at(&mut log, 740, [used(640, "tool_calls")]);
    approve(&mut log, "c1");
    at(&mut log, 5_050, [result("c1", "Blue.")]);
    let [start, content, _] = text(11, "It is");
    at(&mut log, 5_100, [start, content]);
    let lost = Body::MessageAbandoned { message_id: MessageId::from_bits(11) };
    let claimed = Body::RunClaimed { epoch: 3, writer: "v".into(), reason: ClaimReason::TakeOver };
    at(&mut log, 6_000, [claimed, lost, used(900, Usage::ABANDONED)]);
    at(&mut log, 6_100, [Body::PlanUpdated { plan: plan() }]);
    at(&mut log, 6_110, [Body::StepStarted { step_name: "a".into() }]);
    at(&mut log, 6_300, text(12, "Blue, I think."));
    at(&mut log, 6_400, [used(250, "stop")]);
    at(&mut log, 6_410, [Body::StepFinished { step_name: "a".into() }]);
    let child = RunId::from_bits(77);
    let started = Body::SubagentStarted { subagent_run_id: child, name: "b".into(), description: None };
    at(&mut log, 6_420, [Body::StepStarted { step_name: "b".into() }, started]);
    let failed = Body::SubagentError {
        subagent_run_id: child,
        message: "The model is unavailable.".into(),
        code: "model_unavailable".into(),
        usage: Totals::default(),
        usage_may_grow: false,
    };
    at(
        &mut log,
        7_000,
        [
            failed,
            Body::StepFinished { step_name: "b".into() },
            Body::PlanStepUpdated { step_id: "b".into(), status: StepStatus::Failed },
        ],
    );
    let job_id = JobId::from_bits(8);
    let job =
        Job { job_id, job_type: "extract_entities".into(), tool_call_id: None, budget: Default::default() };
    at(&mut log, 7_010, [Body::JobEnqueued(job)]);
    at(&mut log, 7_200, text(13, "It is blue."));
    at(&mut log, 7_300, [used(250, "stop")]);
    at(&mut log, 7_310, [finished(RunOutcome::Success)]);
    let ended = JobEnd {
        job_id,
        status: JobStatus::Error,
        result: String::new(),
        usage: Totals::default(),
        usage_may_grow: false,
        run: RunStage::Ended,
    };
    at(&mut log, 8_000, [Body::JobFinished(ended)]);
    log
}

pub(super) fn trace(log: &GeneratedLog, records_contents: bool) -> RunTrace {
    RunTrace::of(key(), &log.events, records_contents).unwrap()
}

fn is_usual(attribute: &Attribute) -> bool {
    attribute.key == "sequent.run.id" || USUAL.iter().any(|usual| attribute.key.starts_with(usual))
}

/// A line for each span with its times and its parent, and below it its attributes, events and status.
fn outline(trace: &RunTrace) -> String {
    let name =
        |id: SpanId| trace.spans.iter().find(|span| span.span_id == id).map_or("?", |span| &*span.name);
    let mut lines = String::new();
    for Span { parent, name: own, kind, start, end, attributes, events, status, .. } in &trace.spans {
        let parent = parent.map(|id| format!(" in {}", name(id))).unwrap_or_default();
        let _ = writeln!(lines, "{}..{} {own}{parent} ({kind:?})", start.millis(), end.millis());
        for attribute in attributes.iter().filter(|attribute| !is_usual(attribute)) {
            let _ = writeln!(lines, "  {}: {}", attribute.key, shown(&attribute.value));
        }
        for event in events {
            let values: Vec<_> = event.attributes.iter().map(|attribute| shown(&attribute.value)).collect();
            let _ = writeln!(lines, "  at {}: {} {}", event.at.millis(), event.name, values.join(" "));
        }
        if let SpanStatus::Error(message) = status {
            let _ = writeln!(lines, "  error: {message}");
        }
    }
    lines
}

#[test]
fn a_run_with_all_that_runs_have() {
    insta::assert_snapshot!(outline(&trace(&eventful(), false)), @r#"
    1..7310 invoke_agent support (Internal)
      gen_ai.agent.id: agt_00000000000000000000000007
      gen_ai.agent.name: support
      gen_ai.agent.version: 3
      sequent.agent.prompts: house-style@2
      sequent.run.outcome: success
      at 6000: run_taken_over 3
    100..740 chat nova in invoke_agent support (Client)
      gen_ai.response.finish_reasons: tool_calls
      sequent.request.purpose: answer
      gen_ai.response.time_to_first_chunk: 0.6
    740..5050 execute_tool look in invoke_agent support (Internal)
      gen_ai.tool.name: look
      gen_ai.tool.call.id: c1
      gen_ai.tool.type: function
      at 750: interrupt_requested int_00000000000000000000000005 approval
      at 4750: interrupt_answered int_00000000000000000000000005 resolved
    5100..6000 chat nova in invoke_agent support (Client)
      gen_ai.response.finish_reasons: abandoned
      sequent.request.purpose: answer
      error.type: abandoned
      gen_ai.response.time_to_first_chunk: 0
      error: The process that read the response was lost.
    6150..6400 chat nova in step a (Client)
      gen_ai.response.finish_reasons: stop
      sequent.request.purpose: answer
      gen_ai.response.time_to_first_chunk: 0.15
    6110..6410 step a in invoke_agent support (Internal)
      sequent.step.id: a
    6420..7000 invoke_agent researcher in step b (Client)
      gen_ai.agent.id: agt_00000000000000000000000008
      gen_ai.agent.name: researcher
      gen_ai.agent.version: 4
      sequent.child.run.id: run_0000000000000000000000002D
      error.type: model_unavailable
      error: The model is unavailable.
    6420..7000 step b in invoke_agent support (Internal)
      sequent.step.id: b
      error.type: step_failed
      error: The step has failed.
    7050..7300 chat nova in invoke_agent support (Client)
      gen_ai.response.finish_reasons: stop
      sequent.request.purpose: answer
      gen_ai.response.time_to_first_chunk: 0.15
    7010..8000 job extract_entities in invoke_agent support (Internal)
      sequent.job.id: job_00000000000000000000000008
      sequent.job.type: extract_entities
      error.type: job_failed
      error: The job has failed.
    "#);
}

#[test]
fn a_run_that_fails_ends_what_it_has_begun() {
    let mut log = log(vec![task()]);
    at(&mut log, 100, [Body::StepStarted { step_name: "a".into() }]);
    at(&mut log, 200, call("c1"));
    at(&mut log, 300, [used(150, "tool_calls")]);
    let code = "tool_unavailable".to_owned();
    at(&mut log, 400, [Body::RunError { message: "The tool cannot be reached.".into(), code }]);
    at(&mut log, 9_000, [asked()]);
    insta::assert_snapshot!(outline(&trace(&log, false)), @r#"
    1..400 invoke_agent (Internal)
      sequent.run.outcome: error
      error.type: tool_unavailable
      error: The tool cannot be reached.
    150..300 chat nova in step a (Client)
      gen_ai.response.finish_reasons: tool_calls
      sequent.request.purpose: answer
      gen_ai.response.time_to_first_chunk: 0.05
    300..400 execute_tool look in step a (Internal)
      gen_ai.tool.name: look
      gen_ai.tool.call.id: c1
      gen_ai.tool.type: function
      error.type: unfinished
      error: The run ended before this part of it.
    100..400 step a in invoke_agent (Internal)
      sequent.step.id: a
      error.type: unfinished
      error: The run ended before this part of it.
    "#);
}

#[test]
fn a_run_that_is_cancelled_is_no_error() {
    let mut log = log(vec![task()]);
    at(&mut log, 200, text(10, "Once upon"));
    let cancel = Body::CancelRequested { by: None, reason: CancelReason::Requested };
    at(&mut log, 300, [cancel, used(250, Usage::CANCELLED)]);
    at(&mut log, 310, [finished(RunOutcome::Cancelled)]);
    insta::assert_snapshot!(outline(&trace(&log, false)), @r#"
    1..310 invoke_agent (Internal)
      sequent.run.outcome: cancelled
      at 300: cancel_requested requested
    50..300 chat nova in invoke_agent (Client)
      gen_ai.response.finish_reasons: cancelled
      sequent.request.purpose: answer
      gen_ai.response.time_to_first_chunk: 0.15
    "#);
}

#[test]
fn a_child_is_below_the_span_of_its_parent_in_the_same_trace() {
    let parent = trace(&eventful(), false);
    let child = RunId::from_bits(77);
    let mut events = log(vec![task()]).events;
    let started = Body::RunStarted {
        thread_id: ProjectId::from_bits(1),
        run_id: child,
        parent_run_id: Some(RunId::from_bits(1)),
    };
    events.last_mut().unwrap().entry.payload = Payload::Known(started);
    let below = sequent_runlog::LogKey { run: child, ..key() };
    let below = RunTrace::of(below, &events, false).unwrap();
    assert_eq!(below.id, parent.id);
    let waiting = parent.spans.iter().find(|span| span.name == "invoke_agent researcher").unwrap();
    assert_eq!(below.spans[0].parent, Some(waiting.span_id));
    assert_ne!(below.spans[0].span_id, parent.spans[0].span_id);
}
