//! The values that the log of a run at work is made of.

use sequent_core::{ArtifactId, JobId, MessageId, MicroUsd};

use crate::{
    Artifact, Body, Citation, Compaction, CompactionReason, Coverage, Step, StepStatus, Totals, Usage,
};

/// The message that the run answers.
#[must_use]
pub fn task() -> Body {
    Body::UserMessage {
        message_id: MessageId::from_bits(u128::MAX >> 1),
        content: "The task.".into(),
        by: None,
        model: None,
    }
}

pub(super) fn totals() -> Totals {
    Totals { input_tokens: 5, output_tokens: 5, cost_micro_usd: MicroUsd(5), incomplete: true }
}

pub(super) fn usage(told: u32, finish_reason: &str) -> Usage {
    Usage {
        input_tokens: 7,
        output_tokens: 7,
        cost_micro_usd: Some(MicroUsd(7)),
        finish_reason: finish_reason.into(),
        messages_told: Some(told),
        ..crate::testing::usage()
    }
}

pub(super) fn compaction() -> Compaction {
    Compaction {
        reason: CompactionReason::Window,
        tokens: 2,
        room: 1,
        calls: vec!["call_1".into()],
        excerpts: None,
        covers: Some(Coverage { through: None, responses: 1 }),
        summary: Some("They met.".into()),
        provisional: false,
        words: None,
        usage: Some(usage(0, "stop")),
    }
}

pub(super) fn citation(call: &str) -> Citation {
    Citation {
        url: "https://example.com/".into(),
        title: "Example".into(),
        quote: None,
        tool_call_id: Some(call.into()),
    }
}

pub(super) fn step() -> Step {
    Step {
        id: "s".into(),
        title: "S".into(),
        instructions: "Do it.".into(),
        independent: false,
        agent: None,
        status: StepStatus::Pending,
    }
}

pub(super) fn artifact(id: u128, job_id: Option<JobId>) -> Artifact {
    Artifact {
        artifact_id: ArtifactId::from_bits(id),
        title: "A".into(),
        entity_type: "file".into(),
        media_type: "text/plain".into(),
        size: 1,
        sha256: "0".repeat(64),
        tool_call_id: None,
        job_id,
    }
}
