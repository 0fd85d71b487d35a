//! The effect of each event on the state.

use sequent_core::{MessageId, RunId, Timestamp};

use super::{
    AskedInterrupt, Child, ChildEnd, MeasuredRequest, OpenMessage, Phase, RunJob, SentMessage, State,
    TextMessage, TranscriptEntry,
};
use crate::{
    Body, ClaimReason, Compaction, Configuration, EvaluatedItem, FeedbackChange, GivenFeedback, Interrupt,
    RunOutcome, RunStage, Totals, Usage,
};

impl State {
    /// Applies an event that [`State::check`] has allowed.
    pub(super) fn step(&mut self, body: &Body, at: Timestamp) {
        if makes_progress(body) {
            self.stalled_owners = 0;
        }
        let _ = self.answer.apply(body);
        self.call_in_flight = match body {
            Body::TextMessageStart { .. } | Body::ReasoningStart { .. } | Body::ToolCallStart { .. } => true,
            Body::UsageRecorded(_) => false,
            _ => self.call_in_flight,
        };
        let is_copy = self.is_copying();
        match body {
            Body::RunClaimed { epoch, reason, .. } => {
                self.epoch = *epoch;
                self.origin = None; // the new owner asks for the response again
                self.stalled_owners += u32::from(*reason == ClaimReason::TakeOver);
            }
            Body::RunConfigured(configuration) => {
                self.copied_through = configuration.copied_through(self.next());
                self.configuration = Configuration::clone(configuration);
            }
            Body::RunStarted { thread_id, run_id, parent_run_id } => {
                self.phase = Phase::Running;
                self.project = Some(*thread_id);
                self.run = Some(*run_id);
                self.parent = *parent_run_id;
                self.started_at.get_or_insert(at);
                if let Some(ended) = self.ended_at.take() {
                    self.waited_ms += u64::try_from(at.since(ended).as_millis()).unwrap_or_default();
                }
            }
            Body::RunFinished { outcome, .. } => self.close(Phase::Finished(outcome.clone()), at),
            Body::RunError { message, code } => {
                self.keep_open_message();
                self.close(Phase::Failed { code: code.clone(), message: message.clone() }, at);
            }
            Body::UserMessage { message_id, content, model, .. } => {
                self.model.clone_from(model);
                self.prompts.push(SentMessage { id: *message_id, content: content.clone() });
                self.transcript.push(TranscriptEntry::User { id: *message_id, content: content.clone() });
            }
            Body::CancelRequested { reason, .. } => {
                self.cancel.get_or_insert(*reason);
            }
            Body::TextMessageStart { message_id, .. } => {
                self.begin(*message_id, false);
                let _ = self.draft(*message_id); // a response begins with its first message
            }
            Body::ReasoningMessageStart { message_id, .. } => self.begin(*message_id, true),
            Body::TextMessageContent { delta, .. } | Body::ReasoningMessageContent { delta, .. } => {
                if let Some(open) = &mut self.open {
                    open.text.push_str(delta);
                }
            }
            Body::TextMessageEnd { .. } => self.keep_open_message(),
            Body::ReasoningMessageEnd { .. } => self.keep_reasoning(),
            Body::MessageAbandoned { message_id } => self.abandon(*message_id),
            Body::ReasoningStart { message_id } => self.begin_reasoning(*message_id),
            Body::ReasoningEnd { .. } => self.open_reasoning = None,
            Body::ReasoningEncryptedValue { subtype, entity_id, encrypted_value } => {
                self.keep_data(*subtype, entity_id, encrypted_value);
            }
            Body::ToolCallStart { tool_call_id, tool_call_name, parent_message_id } => {
                self.open_tools.push(tool_call_id.clone());
                self.call(tool_call_id, tool_call_name, *parent_message_id);
            }
            Body::ToolCallArgs { tool_call_id, delta } => self.append_arguments(tool_call_id, delta),
            Body::ToolCallEnd { tool_call_id } => {
                self.open_tools.retain(|id| id != tool_call_id);
                self.pending_tools.push(tool_call_id.clone());
            }
            Body::ToolCallDispatched { tool_call_id } => self.dispatched.push(tool_call_id.clone()),
            Body::ToolCallResult { tool_call_id, content, .. } => {
                self.pending_tools.retain(|id| id != tool_call_id);
                self.dispatched.retain(|id| id != tool_call_id);
                self.transcript
                    .push(TranscriptEntry::Tool { call: tool_call_id.clone(), content: content.clone() });
            }
            Body::StepStarted { step_name } => {
                self.open_steps.push(step_name.clone());
                self.transcript.push(TranscriptEntry::Step { name: step_name.clone() });
            }
            Body::StepFinished { step_name } => {
                self.open_steps.retain(|name| name != step_name);
                self.transcript.push(TranscriptEntry::StepOver);
            }
            Body::PlanUpdated { plan } => self.plan = Some(plan.clone()),
            Body::PlanStepUpdated { step_id, status } => {
                let steps = self.plan.iter_mut().flat_map(|plan| &mut plan.steps);
                steps.filter(|step| step.id == *step_id).for_each(|step| step.status = *status);
            }
            Body::SourceCited(citation) => self.citations.push(citation.clone()),
            Body::ArtifactCreated(artifact) => self.artifacts.push(artifact.clone()),
            Body::WebsiteGenerationDone { artifact_id, .. } => self.website = Some(*artifact_id),
            Body::JobEnqueued(job) => {
                self.copied_jobs += usize::from(is_copy);
                self.jobs.push(RunJob { job: job.clone(), ended: None });
            }
            Body::JobFinished(end) => {
                // The row of a run that has ended is final.
                if end.run != RunStage::Ended && !is_copy {
                    self.totals.add(&end.usage);
                }
                self.usage_may_grow |= end.usage_may_grow && !is_copy;
                let ended = self.jobs.iter_mut().find(|task| task.job.job_id == end.job_id);
                ended.into_iter().for_each(|task| task.ended = Some(end.clone()));
            }
            Body::ClarificationNeeded { interrupt_id, question } => {
                let interrupt = Interrupt { id: *interrupt_id, question: question.clone() };
                self.asked.push(AskedInterrupt { interrupt, answer: None });
            }
            Body::ClarificationAnswered(answer) => {
                let asked = self.asked.iter_mut().find(|asked| asked.interrupt.id == answer.interrupt_id);
                if let Some(asked) = asked {
                    asked.answer = Some(answer.clone());
                    // A person has decided about the call whose outcome was unknown.
                    let call = &asked.interrupt.question.tool_call_id;
                    self.dispatched.retain(|dispatched| Some(dispatched) != call.as_ref());
                }
            }
            Body::SubagentStarted { subagent_run_id, name, .. } => {
                self.copied_children += usize::from(is_copy);
                self.children.push(Child { run: *subagent_run_id, name: name.clone(), ended: None });
            }
            Body::SubagentFinished { subagent_run_id, result, usage } => {
                self.child_ended(*subagent_run_id, ChildEnd::Result(result.clone()), usage);
            }
            Body::SubagentError { subagent_run_id, message, code, usage, usage_may_grow } => {
                self.usage_may_grow |= *usage_may_grow && !is_copy;
                let ended = ChildEnd::Failure { code: code.clone(), message: message.clone() };
                self.child_ended(*subagent_run_id, ended, usage);
            }
            Body::UsageRecorded(usage) => {
                self.count(usage, usage.is_of_response());
                let origin = self.take_origin(usage);
                if usage.is_of_response() {
                    self.measure(usage);
                    self.new_compactions = 0;
                    self.respond(usage.messages_told, usage.is_of_cut_response(), origin);
                }
            }
            Body::ContextCompacted(compaction) => self.compact(compaction),
            Body::OutputRejected { text, errors } => {
                self.transcript.push(TranscriptEntry::Rejected { text: text.clone(), errors: errors.clone() })
            }
            Body::ItemEvaluated(evaluated) => self.evaluated.push(EvaluatedItem::clone(evaluated)),
            Body::FeedbackGiven(change) => self.rate(change, at),
            Body::EntityExtracted(_)
            | Body::StateSnapshot { .. }
            | Body::StateDelta { .. }
            | Body::Custom { .. } => {}
        }
    }

    /// Counts a model call of this run. A copied one counts for the run that has made it.
    fn count(&mut self, usage: &Usage, is_response: bool) {
        if !self.is_copying() {
            self.totals.count(usage);
            self.model_calls += u32::from(is_response);
        }
    }

    /// Keeps what the provider says about the size of the request, unless it says nothing. The copies of a replay are of
    /// requests to another model, perhaps.
    fn measure(&mut self, usage: &Usage) {
        if self.is_copying() {
            return;
        }
        let request = usage.request.as_ref().filter(|_| !usage.estimated && usage.input_tokens > 0);
        if let Some(request) = request {
            self.measured = Some(MeasuredRequest { estimated: request.tokens, counted: usage.input_tokens });
        }
    }

    fn compact(&mut self, compaction: &Compaction) {
        if let Some(usage) = &compaction.usage {
            self.count(usage, true);
        }
        self.compactions.push(compaction.clone());
        self.new_compactions += 1;
    }

    /// Keeps the change in place of the person's former feedback on the same thing.
    fn rate(&mut self, change: &FeedbackChange, at: Timestamp) {
        let FeedbackChange { by, message_id: message, ref rating, run: _ } = *change;
        let given = GivenFeedback { by, message, rating: rating.clone(), at };
        self.feedback_changes += 1;
        match self.feedback.iter_mut().find(|former| former.by == by && former.message == message) {
            Some(former) => *former = given,
            None => self.feedback.push(given),
        }
    }

    fn begin(&mut self, id: MessageId, reasoning: bool) {
        self.open = Some(OpenMessage { id, text: String::new(), reasoning });
    }

    fn keep_open_message(&mut self) {
        if let Some(open) = self.open.take()
            && !open.reasoning
        {
            let message = TextMessage { id: open.id, text: open.text };
            self.draft(open.id).texts.push(message.clone());
            self.answers.push(message);
        }
    }

    fn child_ended(&mut self, run: RunId, ended: ChildEnd, usage: &Totals) {
        if !self.is_copying() {
            self.totals.add(usage);
        }
        if let Some(child) = self.children.iter_mut().find(|child| child.run == run) {
            let name = child.name.clone();
            self.transcript.push(TranscriptEntry::Child { run, name, ended: ended.clone() });
            child.ended = Some(ended);
        }
    }

    fn close(&mut self, phase: Phase, at: Timestamp) {
        let waits = matches!(phase, Phase::Finished(RunOutcome::Interrupt { .. }));
        self.phase = phase;
        self.ended_at = Some(at);
        self.interruptions += u32::from(waits);
        self.cancel = None;
        self.open_reasoning = None;
        self.origin = None;
        self.open_tools.clear();
        self.open_steps.clear();
        self.transcript.extend(self.draft.take().map(|draft| draft.into_entry(true, None)));
        // The next execution carries out the calls that wait for an answer.
        if !waits {
            self.pending_tools.clear();
            self.dispatched.clear();
        }
    }
}

/// Returns `true` if the event is a result, which the next owner does not have to work for again.
fn makes_progress(body: &Body) -> bool {
    match body {
        Body::UsageRecorded(usage) => usage.is_of_response(),
        Body::ContextCompacted(_)
        | Body::ToolCallResult { .. }
        | Body::ItemEvaluated(_)
        | Body::PlanUpdated { .. }
        | Body::PlanStepUpdated { .. }
        | Body::ClarificationAnswered(_)
        | Body::JobFinished(_)
        | Body::SubagentFinished { .. }
        | Body::SubagentError { .. } => true,
        _ => false,
    }
}
