//! A conversation: its project, its messages, and the runs that answer in it.
//!
//! A run is **created** (its log, its row, the user's message), **claimed** by the process that becomes its owner,
//! **executed** by it, and **finished**. Before it is claimed, a run waits for its project's turn and, if no process
//! executes it at once, for a message of the outbox ([`queue`]). [`RunStarter`] is the entry point: it serves every route
//! that sends a message.
//!
//! Invariants:
//!
//! * Everything that a run leaves in `main` is written in the same transaction as the event it repeats. The first segment
//!   comes with the run's row, the user's message and the claim of the turn; a steering message with its row; the terminal
//!   segment with the run's final row, its answers and the release of the turn. No crash can make the two disagree.
//! * The end of a run is bounded and cannot be refused. It has at most one row per answer, the number of answers is bounded
//!   by that of the steering messages, and their texts are cut. Rows that the table refuses all the same are left out.
//! * `live_run_id` names the run that has the turn in a project. Claiming and releasing it are conditional writes, which
//!   is what makes "one run at a time per conversation" hold under any concurrency. A run releases the turn only when it
//!   has ended for good, and a claim does not trust a turn that an ended run still has.
//! * Messages of the queue are hints. A worker that receives one reads the log, and becomes the owner only by appending
//!   to it.

mod answer;
mod branch;
mod cancel;
mod claim;
mod create;
mod deletion;
mod error;
mod feedback;
mod finish;
mod fork;
mod history;
mod lost_call;
mod message;
pub mod naming;
mod options;
mod outbox;
mod project;
mod project_name;
mod projects;
mod prompt;
mod question;
mod rebuild;
mod replay;
mod replies;
mod retention;
mod run;
mod run_rows;
mod runs;
mod settle;
mod start;
mod statistics;
mod steer;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tree;
mod turn;
mod waiting;

pub use answer::{AnswerToQuestion, ResumeBy, answer, expire};
pub use cancel::{Cancel, cancel, cancel_child, cancel_jobs, end_if_abandoned};
pub use claim::claim;
pub use create::{NewRun, ParentRun, TurnRequest, create, create_claimed};
pub use deletion::Deletion;
pub use error::Error;
pub use feedback::{
    Feedback, FeedbackFilter, FeedbackTarget, RatedAgent, feedback_of_run, give_feedback, list_feedback,
};
pub use finish::{closing_bodies, finish};
pub use fork::{NewFork, leave_shared_run};
pub use history::{
    ArtifactPart, AttachmentPart, CallPart, CallState, History, MessagePart, PersonPart, ShownMessage,
    UiHistoryMessage, UiHistoryPart, UiMetadata,
};
pub use lost_call::LostCall;
pub use message::{Message, MessageRole, MessageStatus};
pub use naming::NameProject;
pub use options::{RunLimits, RunOptions};
pub use outbox::{Delivery, GRACE, queue};
pub use project::{Project, ProjectName, ProjectNameError};
pub use project_name::named_project;
pub use projects::Projects;
pub use prompt::{Prompt, PromptError};
pub use question::RunQuestion;
pub use rebuild::{RebuildInput, RebuildProjections};
pub use replay::{OpeningRequest, ReplayedRun};
pub use retention::{ForgetInput, ForgetOldProjects};
pub use run::{PersonWaits, ReplaySource, Run, RunCost, RunFailure, RunStatus, TokenUsage};
pub use run_rows::RunRows;
pub use runs::Runs;
pub use settle::{SettleInput, SettleRun, settle_ended};
pub use start::{
    Destination, OnConflict, OwnedRun, RunChoices, RunRequest, RunSetup, RunStarter, StartedRun,
};
pub use statistics::{
    AgentStatistics, LatencyBucket, LatencyStatistics, RebuildStatistics, ScoreStatistics, StatisticsInput,
    ThumbStatistics,
};
pub use steer::{MAX_STEERING_MESSAGES, Steered, steer};
pub use store::RunStore;
pub use tree::{Continues, TurnReference};
pub use turn::wake_next;
pub use waiting::{has_news, wake_if_waiting};
