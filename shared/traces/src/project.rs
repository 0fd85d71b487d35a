//! The projection of a run's log to spans: one for the run, and for each step, model call, tool call, child run and job.

mod run;

use std::collections::BTreeMap;

use sequent_core::{AgentId, JobId, RunId, Timestamp, UserId};
use sequent_event::{Body, ClaimReason, Event, InvalidEvent, JobEnd, JobStatus, Seq, State, Usage};
use sequent_runlog::LogKey;
use serde::Serialize;
use serde_json::Value;

use crate::{
    Attribute, Span, SpanEvent, SpanId, SpanKind, TraceId,
    contents::{self, WrittenCall},
    model_call,
};

/// The trace of a run, or its part of the trace of the run that has started it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunTrace {
    /// The id of the trace, which a run has in common with its children.
    pub id: TraceId,
    /// The span of the run, and then all others in the order in which they ended.
    pub spans: Vec<Span>,
}

impl RunTrace {
    /// Computes the trace from the whole log of a run. Parts that have not ended in the log end with it.
    ///
    /// # Errors
    /// [`InvalidEvent`] if the events are not a log.
    pub fn of(key: LogKey, events: &[Event], records_contents: bool) -> Result<Self, InvalidEvent> {
        let start = events.first().map_or(Timestamp::from_millis(0), |event| event.entry.at);
        let mut projection = Projection::new(key, start, records_contents);
        for event in events {
            projection.apply(event)?;
        }
        Ok(projection.finish())
    }
}

/// Something of a run that takes time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TracedPart {
    Step(String),
    Call(String),
    Child(RunId),
    Job(JobId),
}

/// A trace that is being computed.
struct Projection {
    key: LogKey,
    records_contents: bool,
    state: State,
    /// The latest time in the log so far. The clocks of two owners may differ, and no span ends before it begins.
    clock: Timestamp,
    root: Span,
    open: Vec<(TracedPart, Span)>,
    done: Vec<Span>,
    calls: BTreeMap<String, WrittenCall>,
    response: ResponseParts,
    /// Messages that the next request contains, and no earlier one.
    input: Vec<Value>,
    user: Option<UserId>,
    provider: Option<String>,
}

/// The parts of the response that is being written.
#[derive(Default)]
struct ResponseParts {
    began: Option<Timestamp>,
    text: String,
    calls: Vec<String>,
}

impl Projection {
    fn new(key: LogKey, start: Timestamp, records_contents: bool) -> Self {
        let id = SpanId::of(key.run, Seq::START.next());
        Self {
            key,
            records_contents,
            state: State::default(),
            clock: start,
            root: Span::new(id, "invoke_agent".to_owned(), SpanKind::Internal, start),
            open: Vec::new(),
            done: Vec::new(),
            calls: BTreeMap::new(),
            response: ResponseParts::default(),
            input: Vec::new(),
            user: None,
            provider: None,
        }
    }

    fn apply(&mut self, event: &Event) -> Result<(), InvalidEvent> {
        self.clock = self.clock.max(event.entry.at);
        self.state.apply(event)?;
        if let Some(body) = event.body() {
            self.record(event.seq, body);
        }
        if event.seq == self.state.copied_through {
            self.forget_copies();
        }
        Ok(())
    }

    fn record(&mut self, seq: Seq, body: &Body) {
        match body {
            Body::TextMessageStart { .. } | Body::ReasoningStart { .. } | Body::ToolCallStart { .. } => {
                self.begin_response(body);
            }
            Body::TextMessageContent { delta, .. } => self.response.text.push_str(delta),
            Body::MessageAbandoned { .. } => self.response.text.clear(),
            Body::UsageRecorded(usage) => self.end_response(seq, usage),
            Body::ToolCallArgs { tool_call_id, delta } => {
                self.calls.entry(tool_call_id.clone()).or_default().arguments.push_str(delta);
            }
            Body::ToolCallEnd { tool_call_id } => self.begin_call(seq, tool_call_id),
            Body::ToolCallResult { tool_call_id, content, error, .. } => {
                self.end_call(tool_call_id, content, error.as_deref());
            }
            Body::StepStarted { step_name } => self.begin_step(seq, step_name),
            Body::StepFinished { step_name } => self.end(&TracedPart::Step(step_name.clone()), |_| {}),
            Body::SubagentStarted { subagent_run_id, name, .. } => self.begin_child(*subagent_run_id, name),
            Body::SubagentFinished { subagent_run_id, .. } => {
                self.end(&TracedPart::Child(*subagent_run_id), |_| {})
            }
            Body::SubagentError { subagent_run_id, message, code, .. } => {
                self.end(&TracedPart::Child(*subagent_run_id), |span| span.fail(code, message));
            }
            Body::JobEnqueued(job) => self.begin_job(seq, job.job_id, &job.job_type),
            Body::JobFinished(end) => self.end_job(end),
            Body::UserMessage { content, by, .. } => {
                self.user = self.user.or(*by);
                self.keep_input(|| contents::user(&content.readable()));
            }
            Body::RunFinished { .. } | Body::RunError { .. } => self.root.end = self.clock,
            other => self.note_event(seq, other),
        }
    }

    /// Records what takes no time as an event of a span.
    fn note_event(&mut self, seq: Seq, body: &Body) {
        match body {
            Body::ContextCompacted(compaction) => match &compaction.usage {
                Some(usage) => self.end_model_call(seq, usage, None),
                None => self.note("context_compacted", Vec::new(), None),
            },
            Body::ClarificationNeeded { interrupt_id, question } => {
                let attributes = vec![
                    Attribute::new("sequent.interrupt.id", interrupt_id.to_string()),
                    Attribute::new("sequent.interrupt.reason", wire_name(&question.reason)),
                ];
                self.note("interrupt_requested", attributes, question.tool_call_id.as_deref());
            }
            Body::ClarificationAnswered(answer) => {
                let asked = self.state.asked.iter().find(|asked| asked.interrupt.id == answer.interrupt_id);
                let call = asked.and_then(|asked| asked.interrupt.question.tool_call_id.clone());
                let attributes = vec![
                    Attribute::new("sequent.interrupt.id", answer.interrupt_id.to_string()),
                    Attribute::new("sequent.interrupt.status", wire_name(&answer.status)),
                ];
                self.note("interrupt_answered", attributes, call.as_deref());
            }
            Body::RunClaimed { epoch, reason: ClaimReason::TakeOver, .. } => {
                self.note("run_taken_over", vec![Attribute::new("sequent.run.epoch", *epoch)], None);
            }
            Body::CancelRequested { reason, .. } => {
                let reason = Attribute::new("sequent.cancel.reason", wire_name(reason));
                self.note("cancel_requested", vec![reason], None);
            }
            Body::OutputRejected { .. } => self.note("output_rejected", Vec::new(), None),
            _ => {}
        }
    }

    fn note(&mut self, name: &'static str, attributes: Vec<Attribute>, call: Option<&str>) {
        let event = SpanEvent { at: self.clock, name, attributes };
        let is_of_call =
            |part: &TracedPart| matches!(part, TracedPart::Call(id) if Some(id.as_str()) == call);
        match self.open.iter_mut().find(|(part, _)| is_of_call(part)) {
            Some((_, span)) => span.events.push(event),
            None => self.root.events.push(event),
        }
    }

    /// Drops what belongs to the run that this one repeats. What is still open goes on in this run.
    fn forget_copies(&mut self) {
        self.done.clear();
        self.root.events.clear();
        self.open.iter_mut().for_each(|(_, span)| span.start = self.clock);
    }

    fn span(&self, seq: Seq, name: String, kind: SpanKind) -> Span {
        Span::new(SpanId::of(self.key.run, seq), name, kind, self.clock)
    }

    /// Opens a span below the step that is at work.
    fn begin(&mut self, part: TracedPart, mut span: Span) {
        span.parent = Some(self.parent().0);
        self.open.push((part, span));
    }

    /// Ends the span of a part. Does nothing if there is none.
    fn end(&mut self, part: &TracedPart, finish: impl FnOnce(&mut Span)) {
        let Some(at) = self.open.iter().position(|(open, _)| open == part) else { return };
        let (_, mut span) = self.open.remove(at);
        span.end = self.clock;
        finish(&mut span);
        self.done.push(span);
    }

    /// The innermost open step, or the run, with its start.
    fn parent(&self) -> (SpanId, Timestamp) {
        let step = self.open.iter().rfind(|(part, _)| matches!(part, TracedPart::Step(_)));
        step.map_or((self.root.span_id, self.root.start), |(_, span)| (span.span_id, span.start))
    }

    fn begin_step(&mut self, seq: Seq, id: &str) {
        let mut span = self.span(seq, step_span_name(id), SpanKind::Internal);
        span.set("sequent.step.id", id);
        let steps = self.state.plan.iter().flat_map(|plan| &plan.steps);
        if let Some(step) = steps.into_iter().find(|step| step.id == id && self.records_contents) {
            span.set("sequent.step.title", step.title.as_str());
        }
        span.parent = Some(self.root.span_id);
        self.open.push((TracedPart::Step(id.to_owned()), span));
    }

    fn begin_child(&mut self, run: RunId, name: &str) {
        // The first span of the child's log has this one as its parent.
        let id = SpanId::of(run, Seq::START);
        let mut span = Span::new(id, format!("invoke_agent {name}"), SpanKind::Client, self.clock);
        span.set("gen_ai.operation.name", "invoke_agent");
        let mut steps = self.state.plan.iter().flat_map(|plan| &plan.steps);
        if let Some(agent) = steps.find(|step| step.id == name).and_then(|step| step.agent.as_ref()) {
            span.name = format!("invoke_agent {}", agent.name);
            describe_agent(&mut span, agent.id, &agent.name, agent.version);
        }
        span.set("sequent.child.run.id", run.to_string());
        let step = TracedPart::Step(name.to_owned());
        let step = self.open.iter().find(|(part, _)| *part == step).map(|(_, span)| span.span_id);
        span.parent = Some(step.unwrap_or(self.parent().0));
        self.open.push((TracedPart::Child(run), span));
    }

    fn begin_job(&mut self, seq: Seq, id: JobId, job_type: &str) {
        let mut span = self.span(seq, format!("job {job_type}"), SpanKind::Internal);
        span.set("sequent.job.id", id.to_string());
        span.set("sequent.job.type", job_type);
        self.begin(TracedPart::Job(id), span);
    }

    fn end_job(&mut self, end: &JobEnd) {
        self.end(&TracedPart::Job(end.job_id), |span| {
            if end.status == JobStatus::Error {
                span.fail("job_failed", "The job has failed.");
            }
        });
    }

    fn begin_call(&mut self, seq: Seq, id: &str) {
        let Some(call) = self.calls.get(id) else { return };
        let mut span = self.span(seq, format!("execute_tool {}", call.name), SpanKind::Internal);
        span.set("gen_ai.operation.name", "execute_tool");
        span.set("gen_ai.tool.name", call.name.as_str());
        span.set("gen_ai.tool.call.id", id);
        span.set("gen_ai.tool.type", "function");
        if self.records_contents {
            span.set("gen_ai.tool.call.arguments", contents::cut(&call.arguments));
        }
        self.begin(TracedPart::Call(id.to_owned()), span);
    }

    fn end_call(&mut self, id: &str, result: &str, error: Option<&str>) {
        self.keep_input(|| contents::tool_result(id, result));
        let result = self.records_contents.then(|| contents::cut(result));
        self.end(&TracedPart::Call(id.to_owned()), |span| {
            span.set_some("gen_ai.tool.call.result", result);
            // The result explains the failure. It is content, which only some collectors may have.
            if let Some(code) = error {
                span.fail(code, "The tool call has failed.");
            }
        });
    }

    fn keep_input(&mut self, message: impl FnOnce() -> Value) {
        if self.records_contents {
            self.input.push(message());
        }
    }

    fn begin_response(&mut self, body: &Body) {
        self.response.began.get_or_insert(self.clock);
        if let Body::ToolCallStart { tool_call_id, tool_call_name, .. } = body {
            let call = WrittenCall { name: tool_call_name.clone(), arguments: String::new() };
            self.calls.insert(tool_call_id.clone(), call);
            self.response.calls.push(tool_call_id.clone());
        }
    }

    fn end_response(&mut self, seq: Seq, usage: &Usage) {
        let response = std::mem::take(&mut self.response);
        // Calls begin when the response that asks for them is complete.
        for (part, span) in &mut self.open {
            if matches!(part, TracedPart::Call(id) if response.calls.contains(id)) {
                span.start = self.clock;
            }
        }
        self.end_model_call(seq, usage, Some(&response));
        if usage.is_of_response() {
            self.input.clear();
        }
    }

    fn end_model_call(&mut self, seq: Seq, usage: &Usage, response: Option<&ResponseParts>) {
        let (parent, earliest) = self.parent();
        let mut span = self.span(seq, format!("chat {}", usage.model), SpanKind::Client);
        let latency = std::time::Duration::from_millis(usage.latency_ms);
        span.parent = Some(parent);
        span.start = (self.clock - latency).max(earliest);
        model_call::describe(&mut span, usage);
        if let Some(chosen) = &self.state.configuration.parameters {
            model_call::describe_parameters(&mut span, chosen);
        }
        if let Some(began) = response.and_then(|response| response.began) {
            model_call::begin_response(&mut span, began);
        }
        if let Some(response) = response.filter(|_| self.records_contents) {
            let calls = response.calls.iter().filter_map(|id| Some((id.as_str(), self.calls.get(id)?)));
            let output = contents::response(&response.text, calls, &usage.finish_reason);
            span.set("gen_ai.input.messages", contents::attribute(&self.input));
            span.set("gen_ai.output.messages", contents::attribute(&[output]));
        }
        self.provider = Some(usage.provider.clone());
        self.done.push(span);
    }
}

fn describe_agent(span: &mut Span, id: AgentId, name: &str, version: u32) {
    span.set("gen_ai.agent.id", id.to_string());
    span.set("gen_ai.agent.name", name);
    span.set("gen_ai.agent.version", version.to_string());
}

fn step_span_name(id: &str) -> String {
    format!("step {id}")
}

/// Returns the name of a value in the log.
fn wire_name(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
