//! The rules of the log: the events that are allowed in each state.

use super::{InvalidEvent, Phase, State};
use crate::{Artifact, Body, RunOutcome};
use sequent_core::JobId;

impl State {
    pub(super) fn check(&self, body: &Body) -> Result<(), InvalidEvent> {
        let name = body.type_name();
        if self.phase.is_closed() && !self.may_follow_the_end(body) {
            return Err(InvalidEvent::Closed(name));
        }
        let fits = match body {
            Body::RunClaimed { epoch, .. } if *epoch != self.epoch + 1 => {
                return Err(InvalidEvent::Epoch { current: self.epoch, found: *epoch });
            }
            Body::RunClaimed { .. } | Body::CancelRequested { .. } => !self.is_copying(),
            Body::UserMessage { .. } => true,
            Body::ClarificationAnswered(answer) => {
                (self.is_interrupted() || self.is_copying())
                    && self.open_interrupts().any(|open| open.id == answer.interrupt_id)
            }
            Body::ArtifactCreated(Artifact { job_id: Some(job), .. }) => self.is_open_job(*job),
            Body::EntityExtracted(entity) => self.is_open_job(entity.job_id),
            Body::JobFinished(end) => self.is_open_job(end.job_id) && end.run == self.stage(),
            Body::FeedbackGiven(change) => {
                change.run == self.stage()
                    && !self.is_copying()
                    && change.message_id.is_none_or(|id| self.has_answer(id))
            }
            Body::RunConfigured(_) => self.phase == Phase::Pending && !self.is_copying(),
            Body::RunStarted { .. } => self.epoch > 0 && self.phase != Phase::Running,
            // A run that is cancelled before its first execution ends without one.
            Body::RunFinished { outcome, .. } => {
                (self.phase == Phase::Running || self.cancel.is_some())
                    && self.is_at_rest()
                    && self.lists_open_questions(outcome)
            }
            Body::RunError { .. } => self.epoch > 0,
            _ if self.phase != Phase::Running && !self.is_copying() => false,
            Body::TextMessageStart { .. } => self.open.is_none(),
            Body::TextMessageContent { message_id, .. } | Body::TextMessageEnd { message_id } => {
                self.open.as_ref().is_some_and(|open| open.id == *message_id && !open.reasoning)
            }
            Body::ReasoningStart { .. } => self.open_reasoning.is_none() && self.open.is_none(),
            Body::ReasoningMessageStart { .. } => self.open_reasoning.is_some() && self.open.is_none(),
            Body::ReasoningMessageContent { message_id, .. } | Body::ReasoningMessageEnd { message_id } => {
                self.open.as_ref().is_some_and(|open| open.id == *message_id && open.reasoning)
            }
            Body::ReasoningEnd { message_id } => {
                self.open_reasoning == Some(*message_id) && self.open.is_none()
            }
            Body::ReasoningEncryptedValue { subtype, entity_id, .. } => self.has_written(*subtype, entity_id),
            Body::MessageAbandoned { message_id } => self.may_abandon(*message_id),
            Body::ToolCallStart { tool_call_id, .. } => {
                !self.open_tools.contains(tool_call_id) && !self.pending_tools.contains(tool_call_id)
            }
            Body::ToolCallArgs { tool_call_id, .. } | Body::ToolCallEnd { tool_call_id } => {
                self.open_tools.contains(tool_call_id)
            }
            Body::ToolCallDispatched { tool_call_id } => {
                self.pending_tools.contains(tool_call_id) && !self.dispatched.contains(tool_call_id)
            }
            Body::ToolCallResult { tool_call_id, .. } => self.pending_tools.contains(tool_call_id),
            Body::StepStarted { step_name } => !self.open_steps.contains(step_name),
            Body::StepFinished { step_name } => self.open_steps.contains(step_name),
            Body::ClarificationNeeded { interrupt_id, .. } => {
                self.asked.iter().all(|asked| asked.interrupt.id != *interrupt_id)
            }
            Body::PlanStepUpdated { step_id, .. } => {
                self.plan.iter().flat_map(|plan| &plan.steps).any(|step| step.id == *step_id)
            }
            Body::JobEnqueued(job) => self.jobs.iter().all(|task| task.job.job_id != job.job_id),
            Body::SubagentStarted { subagent_run_id, .. } => {
                self.children.iter().all(|child| child.run != *subagent_run_id)
            }
            Body::SubagentFinished { subagent_run_id, .. } | Body::SubagentError { subagent_run_id, .. } => {
                self.live_children().any(|child| child.run == *subagent_run_id)
            }
            Body::ItemEvaluated(new) => {
                self.configuration.evaluation.is_some()
                    && self.evaluated.iter().all(|evaluated| evaluated.position() != new.position())
            }
            Body::ContextCompacted(_) => self.draft.is_none(),
            Body::StateSnapshot { .. }
            | Body::StateDelta { .. }
            | Body::Custom { .. }
            | Body::PlanUpdated { .. }
            | Body::SourceCited(_)
            | Body::ArtifactCreated(_)
            | Body::WebsiteGenerationDone { .. }
            | Body::OutputRejected { .. }
            | Body::UsageRecorded(_) => true,
        };
        if fits { Ok(()) } else { Err(InvalidEvent::OutOfPlace(name)) }
    }

    /// Returns `true` if the event is allowed in a closed log. A claim and a new execution open the log
    /// again. The answers of people and a cancellation are allowed while the run waits for people. Feedback is always allowed.
    fn may_follow_the_end(&self, body: &Body) -> bool {
        match body {
            Body::RunStarted { .. } | Body::RunClaimed { .. } | Body::UserMessage { .. } => true,
            Body::ClarificationAnswered(_) | Body::CancelRequested { .. } => self.is_interrupted(),
            Body::ArtifactCreated(artifact) => artifact.job_id.is_some(),
            Body::EntityExtracted(_) | Body::JobFinished(_) | Body::FeedbackGiven(_) => true,
            _ => false,
        }
    }

    fn is_open_job(&self, job: JobId) -> bool {
        self.open_jobs().any(|open| open.job_id == job)
    }

    /// Returns `true` if all messages, tools and steps are closed. AG-UI requires this before `RUN_FINISHED`.
    fn is_at_rest(&self) -> bool {
        self.open.is_none()
            && self.open_reasoning.is_none()
            && self.open_tools.is_empty()
            && self.open_steps.is_empty()
    }

    /// Returns `true` unless the execution ends to wait for people and does not list all open questions.
    fn lists_open_questions(&self, outcome: &RunOutcome) -> bool {
        match outcome {
            RunOutcome::Interrupt { interrupts } => {
                !interrupts.is_empty() && interrupts.iter().eq(self.open_interrupts())
            }
            RunOutcome::Success | RunOutcome::Cancelled => true,
        }
    }
}
