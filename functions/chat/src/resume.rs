//! `POST /api/runs/{id}/resume`: answers the questions of a run and resumes it.

use http::{HeaderMap, StatusCode};
use sequent_agent::Source;
use sequent_conversation::{AnswerToQuestion, Error, ResumeBy, Run, RunQuestion, answer};
use sequent_core::{Code, InterruptId, Principal, ProjectId, RunId};
use sequent_event::{AnswerStatus, InterruptAnswer, Seq};
use sequent_http::{
    Caller, Json, Path, Problem, RequestContext,
    axum::{
        extract::State,
        response::{IntoResponse, Response},
    },
    openapi::Problems,
};
use sequent_runlog::{Claim, LogKey, OBSERVED_SEGMENTS, claim};
use sequent_tool::Schema;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::{
    App,
    events::wants_json,
    frame_schema::RunEvent,
    stream::{Native, Watched, stream_response},
};

/// Answers of one request: as many as one response of a model may ask questions.
const MAX_ANSWERS: usize = sequent_agent::MAX_QUESTIONS;
/// Bytes of all answers of a request. The result of a tool has as many.
pub(crate) const MAX_BYTES: usize = 64 * 1024;

/// Answers to the questions of a run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeRun {
    #[schema(min_items = 1, max_items = 64)]
    answers: Vec<QuestionAnswer>,
}

/// Answers to the questions of a thread's live run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeThread {
    /// The thread, which is a project.
    thread_id: ProjectId,
    #[schema(min_items = 1, max_items = 64)]
    answers: Vec<QuestionAnswer>,
}

/// An answer to one question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuestionAnswer {
    /// The question, as in `CLARIFICATION_NEEDED` and in the run.
    interrupt_id: InterruptId,
    #[serde(default)]
    status: QuestionAnswerStatus,
    /// The answer, in the form that the question's `response_schema` requires.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    payload: Option<Value>,
}

/// The kind of answer.
#[derive(Debug, Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QuestionAnswerStatus {
    /// The person answers.
    #[default]
    Resolved,
    /// The person declines to answer.
    Cancelled,
}

/// Answer the questions of a run.
///
/// The first answer to a question is the one that counts; another one gets 409 with the first. The answer to a call of the
/// client (the reason `client_tool`) is its result; with the status `cancelled`, a text is the error that the model gets. When no question is left,
/// the run continues: as a stream of its events from the answers on or, with `Accept: application/json`, in the
/// background. Deciding a tool call (the reasons `approval` and `unknown_outcome`) is for people: an API key can do so
/// only if it has the scope `approvals`.
#[utoipa::path(
    post,
    path = "/api/runs/{id}/resume",
    operation_id = "resume_run",
    tag = "chat",
    params(("id" = RunId, Path, description = "The run.")),
    request_body = ResumeRun,
    responses(
        (status = 200, description = "The events of the run.", body = RunEvent, content_type = "text/event-stream"),
        (status = 202, description = "The answers are stored. The run continues in the background or waits for further answers.", body = Run),
        (status = 409, description = "Another answer was first (`already_answered`), or the run has ended (`run_ended`)."),
        Problems,
    ),
)]
pub(crate) async fn resume(
    State(app): State<App>,
    Caller(caller): Caller,
    context: RequestContext,
    Path(run): Path<RunId>,
    headers: HeaderMap,
    Json(body): Json<ResumeRun>,
) -> Result<Response, Problem> {
    let resume_by = resume_by(&headers);
    answer_and_continue(&app, &caller, &context, run, body.answers, resume_by).await
}

/// Answer the questions of a thread.
///
/// Answers the questions of the thread's live run, as `POST /api/runs/{id}/resume` does.
#[utoipa::path(
    post,
    path = "/agent/resume",
    operation_id = "resume_thread",
    tag = "chat",
    request_body = ResumeThread,
    responses(
        (status = 200, description = "The events of the run.", body = RunEvent, content_type = "text/event-stream"),
        (status = 202, description = "The answers are stored.", body = Run),
        (status = 409, description = "Another answer was first, or no question is open (`nothing_asked`)."),
        Problems,
    ),
)]
pub(crate) async fn resume_thread(
    State(app): State<App>,
    Caller(caller): Caller,
    context: RequestContext,
    headers: HeaderMap,
    Json(body): Json<ResumeThread>,
) -> Result<Response, Problem> {
    let project = app.projects_of(&caller).get(body.thread_id).await?;
    let run = project.live_run_id.ok_or_else(|| {
        Problem::new(Code::NothingAsked, "No run of this thread waits for an answer. Send a message instead.")
    })?;
    let resume_by = resume_by(&headers);
    answer_and_continue(&app, &caller, &context, run, body.answers, resume_by).await
}

/// A client that does not want a stream has the run continued by a worker.
fn resume_by(headers: &HeaderMap) -> ResumeBy {
    if wants_json(headers) { ResumeBy::Worker } else { ResumeBy::Caller }
}

async fn answer_and_continue(
    app: &App,
    caller: &Principal,
    context: &RequestContext,
    run: RunId,
    answers: Vec<QuestionAnswer>,
    resume_by: ResumeBy,
) -> Result<Response, Problem> {
    let row = app.runs_of(caller).get_for_caller(run).await?;
    let replies = check(&row.interrupts, answers)?;
    let key = LogKey { tenant: caller.tenant, run };
    let storage = &app.engine.storage;
    let state = match answer(storage, key, Some(caller), &replies, resume_by).await {
        Ok(state) => state,
        // The same answer again: the response to the first request was lost.
        Err(Error::AlreadyAnswered(first)) if is_among(&first, &replies, caller) => {
            return accepted(app, caller, run).await;
        }
        Err(Error::UnknownQuestion(id)) => {
            let at = replies.iter().position(|reply| reply.interrupt == id).unwrap_or_default();
            let pointer = format!("/answers/{at}/interrupt_id");
            let problem = Problem::from(Error::UnknownQuestion(id));
            return Err(problem.at(&pointer, "must be a question of this run"));
        }
        Err(error) => return Err(error.into()),
    };
    if resume_by == ResumeBy::Worker || !state.is_resumable() {
        return accepted(app, caller, run).await;
    }
    let after = Seq(state.last.0.saturating_sub(replies.len() as u64));
    let (observer, stored) = mpsc::channel(OBSERVED_SEGMENTS);
    let claimed = claim(storage, key, app.engine.settings, false, Some(observer)).await;
    let source = match claimed.map_err(Problem::unavailable)? {
        Claim::Won(writer) => Source::Owned(writer, stored),
        // Another process was first. The stream after the answers is the same.
        Claim::Held | Claim::Closed | Claim::Missing => Source::Elsewhere,
    };
    let watched = Watched { source, ..Watched::elsewhere(key, row.project_id, after) };
    stream_response(app, context, watched, Native).await
}

/// Returns `true` if the stored answer is one of the caller's replies.
fn is_among(first: &InterruptAnswer, replies: &[AnswerToQuestion], caller: &Principal) -> bool {
    let is_same = |reply: &AnswerToQuestion| {
        reply.interrupt == first.interrupt_id
            && reply.status == first.status
            && reply.payload == first.payload
    };
    first.by == Some(caller.user) && replies.iter().any(is_same)
}

async fn accepted(app: &App, caller: &Principal, run: RunId) -> Result<Response, Problem> {
    let run = app.runs_of(caller).get_for_caller(run).await?;
    Ok((StatusCode::ACCEPTED, Json(run)).into_response())
}

/// Checks the answers, each against the schema of its question if that is still open.
fn check(open: &[RunQuestion], answers: Vec<QuestionAnswer>) -> Result<Vec<AnswerToQuestion>, Problem> {
    if answers.is_empty() || answers.len() > MAX_ANSWERS {
        let problem = Problem::invalid(format!("Send 1 to {MAX_ANSWERS} answers."));
        return Err(problem.at("/answers", format!("has {} items", answers.len())));
    }
    let mut replies: Vec<AnswerToQuestion> = Vec::with_capacity(answers.len());
    for (n, answer) in answers.into_iter().enumerate() {
        let reply = check_one(open, answer, &format!("/answers/{n}"), &replies)?;
        replies.push(reply);
    }
    let payloads = replies.iter().filter_map(|reply| reply.payload.as_ref());
    let bytes: usize = payloads.map(|payload| payload.to_string().len()).sum();
    if bytes > MAX_BYTES {
        let problem = Problem::invalid("The answers are too long.");
        return Err(problem.at("/answers", format!("must have at most {MAX_BYTES} bytes")));
    }
    Ok(replies)
}

fn check_one(
    open: &[RunQuestion],
    answer: QuestionAnswer,
    at: &str,
    earlier: &[AnswerToQuestion],
) -> Result<AnswerToQuestion, Problem> {
    let QuestionAnswer { interrupt_id, status, payload } = answer;
    if earlier.iter().any(|reply| reply.interrupt == interrupt_id) {
        let problem = Problem::invalid("A question is answered twice.");
        return Err(problem.at(at, "must be the only answer to its question"));
    }
    let status = match status {
        QuestionAnswerStatus::Resolved => AnswerStatus::Resolved,
        QuestionAnswerStatus::Cancelled => AnswerStatus::Cancelled,
    };
    let question = open.iter().find(|question| question.id == interrupt_id);
    if let (AnswerStatus::Resolved, Some(question)) = (status, question) {
        check_payload(question, payload.as_ref(), &format!("{at}/payload"))?;
    }
    Ok(AnswerToQuestion { interrupt: interrupt_id, status, payload })
}

pub(crate) fn check_payload(
    question: &RunQuestion,
    payload: Option<&Value>,
    at: &str,
) -> Result<(), Problem> {
    let invalid = |why: String| {
        Problem::invalid("The answer does not have the form that the question requires.").at(at, why)
    };
    let Some(payload) = payload else { return Err(invalid("is missing".to_owned())) };
    let Some(schema) = &question.response_schema else { return Ok(()) };
    // It was usable when the question was asked. Rules that have become stricter since leave the payload unchecked: a run without
    // an answer would wait for ever.
    let Ok(schema) = Schema::new(schema) else { return Ok(()) };
    schema.check(payload).map_err(|why| invalid(why.to_string()))
}
