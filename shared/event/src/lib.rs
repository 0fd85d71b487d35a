//! The event model of a run: the events of its log, and the state that they add up to.
//!
//! Names and fields are those of AG-UI 1.0 where it has them, and in the same style where it does not. An
//! event of a type or version that this build does not know is kept as a whole and passed through, so an
//! older reader never loses what a newer writer stored. [`State`] is the only interpretation of a log:
//! folding the events from the first gives the status, the conversation and the totals that the stored rows
//! repeat.

mod agent;
mod answer;
mod body;
mod client_tool;
mod content;
mod context;
mod entry;
mod evaluation;
mod execution;
mod feedback;
mod fold;
mod hook;
mod interrupt;
mod lineage;
mod name;
mod product;
mod replay;
mod schedule;
mod seq;
pub mod size;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod work;

pub use agent::{PromptVersion, RunAgent, RunNote, StepAgent};
pub use answer::{AnswerChange, AnswerText};
pub use body::Body;
pub use client_tool::ClientTool;
pub use content::{Attachment, DataPart, UserContent, UserPart};
pub use context::{Compaction, CompactionReason, Coverage, Excerpts, RequestRecord, TurnPosition};
pub use entry::{Entry, Event, Malformed, Payload};
pub use evaluation::{EvaluatedItem, EvaluationSetup, ItemPosition, ScoredAnswer, Scorer};
pub use execution::{CancelReason, ClaimReason, EncryptedValueOf, Role, RunOutcome, Totals, Usage};
pub use feedback::{FeedbackChange, GivenFeedback, InvalidRating, InvalidScore, Rating, Score, Thumb};
pub use fold::{
    AskedInterrupt, Child, ChildEnd, Draft, InvalidEvent, MeasuredRequest, OpenMessage, Phase,
    ReasoningBlock, ResponseOrigin, RunJob, SentMessage, State, TextMessage, ToolCall, TranscriptEntry,
};
pub use hook::RunHook;
pub use interrupt::{
    AnswerStatus, ApprovedTool, Interrupt, InterruptAnswer, Question, QuestionedCall, Reason,
};
pub use lineage::Lineage;
pub use product::{Artifact, Entity, Job, JobEnd, JobStatus, RunStage};
pub use replay::{Replay, copies};
pub use schedule::RunSchedule;
pub use seq::Seq;
pub use work::{
    Budget, ChosenParameters, Citation, Configuration, Hold, Orchestration, Plan, RequestedLimits,
    ScopeNames, Step, StepStatus,
};
