//! The end of a projection: the span of the run, and what the log has left open.

use sequent_event::{Phase, RunOutcome, Seq, StepStatus};
use sequent_runlog::LogKey;
use serde_json::Value;

use super::{Projection, RunTrace, TracedPart, describe_agent, step_span_name};
use crate::{Attribute, SpanId, TraceId, contents, model_call};

impl Projection {
    pub(super) fn finish(mut self) -> RunTrace {
        self.end_all();
        self.fail_steps();
        self.describe_run();
        let common = self.common();
        let mut spans = vec![self.root];
        spans.append(&mut self.done);
        spans.iter_mut().for_each(|span| span.attributes.extend_from_slice(&common));
        RunTrace { id: TraceId::of(self.state.parent.unwrap_or(self.key.run)), spans }
    }

    /// Ends what the log has not ended with the run, after whose end a log may go on. So does a job.
    fn end_all(&mut self) {
        if !self.state.phase.is_closed() {
            self.root.end = self.clock;
        }
        let ended = self.root.end;
        while let Some((part, _)) = self.open.last().cloned() {
            self.end(&part, |span| {
                if !matches!(part, TracedPart::Job(_)) {
                    span.end = ended.max(span.start);
                    span.fail("unfinished", "The run ended before this part of it.");
                }
            });
        }
    }

    fn fail_steps(&mut self) {
        let steps = self.state.plan.iter().flat_map(|plan| &plan.steps);
        for step in steps.filter(|step| step.status == StepStatus::Failed) {
            let name = step_span_name(&step.id);
            if let Some(span) = self.done.iter_mut().rfind(|span| span.name == name) {
                span.fail("step_failed", "The step has failed.");
            }
        }
    }

    fn describe_run(&mut self) {
        let state = &self.state;
        let root = &mut self.root;
        root.parent = state.parent.map(|_| SpanId::of(self.key.run, Seq::START));
        root.set("gen_ai.operation.name", "invoke_agent");
        let provider = self.provider.as_deref().map_or("_OTHER", model_call::provider_name);
        root.set("gen_ai.provider.name", provider);
        root.set_some("gen_ai.request.model", state.model.clone());
        if state.configuration.output_schema.is_some() {
            root.set("gen_ai.output.type", "json");
        }
        if let Some(agent) = &state.configuration.agent {
            root.name = format!("invoke_agent {}", agent.name);
            describe_agent(root, agent.id, &agent.name, agent.version);
            let prompts = agent.prompts.iter().map(|prompt| format!("{}@{}", prompt.name, prompt.version));
            root.set("sequent.agent.prompts", prompts.collect::<Vec<_>>());
        }
        root.set("sequent.run.outcome", outcome(&state.phase));
        if let Phase::Failed { code, message } = &state.phase {
            root.fail(code, message);
        }
        if self.records_contents {
            let asked: Vec<Value> =
                state.prompts.iter().map(|sent| contents::user(&sent.content.readable())).collect();
            let answer = contents::response(&state.answer_text(), [], outcome(&state.phase));
            root.set("gen_ai.input.messages", contents::attribute(&asked));
            root.set("gen_ai.output.messages", contents::attribute(&[answer]));
        }
    }

    /// The attributes of all spans. Collectors group and filter single spans by them.
    fn common(&self) -> Vec<Attribute> {
        let LogKey { tenant, run } = self.key;
        let mut common = Vec::new();
        if let Some(project) = self.state.project {
            common.push(Attribute::new("gen_ai.conversation.id", project.to_string()));
            common.push(Attribute::new("session.id", project.to_string()));
        }
        common.extend(self.user.map(|user| Attribute::new("user.id", user.to_string())));
        common.push(Attribute::new("sequent.tenant.id", tenant.to_string()));
        common.push(Attribute::new("sequent.run.id", run.to_string()));
        common
    }
}

fn outcome(phase: &Phase) -> &'static str {
    match phase {
        Phase::Finished(RunOutcome::Success) => "success",
        Phase::Finished(RunOutcome::Cancelled) => "cancelled",
        Phase::Finished(RunOutcome::Interrupt { .. }) => "interrupt",
        Phase::Failed { .. } => "error",
        Phase::Pending | Phase::Running => "unfinished",
    }
}
