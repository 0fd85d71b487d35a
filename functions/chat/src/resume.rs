//! `POST /api/runs/{id}/resume`: answers to what a run has asked, and the run that goes on with them.

use http::{HeaderMap, StatusCode};
use sequent_agent::{Engine, Source};
use sequent_conversation::Projects;
use sequent_conversation::{Question, Refused, Reply, Run, Then, answer};
use sequent_core::{InterruptId, ProjectId, RunId};
use sequent_event::{AnswerStatus, Seq};
use sequent_http::{
    Caller, Exchange, Json, Path, Principal, Problem, Scope,
    axum::{
        extract::State,
        response::{IntoResponse, Response},
    },
    openapi::Problems,
};
use sequent_runlog::{Claim, LogKey, claim};
use sequent_tool::Schema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::{
    begin::{find, problem},
    events::wants_json,
    stream::{Native, Watched, respond},
};

/// Most answers of a request. A response of a model asks no more.
const MOST: usize = 50;
/// Most bytes of an answer. All of them are one segment of the log.
const LONGEST: usize = 32 * 1024;

/// Answers to open questions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resume {
    answers: Vec<Answer>,
}

/// Answers to the questions that the run of a conversation waits for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeThread {
    /// The conversation.
    thread_id: ProjectId,
    answers: Vec<Answer>,
}

/// One answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// The question, as `CLARIFICATION_NEEDED` and the run name it.
    interrupt_id: InterruptId,
    /// Whether the question is answered or declined.
    #[serde(default)]
    status: Status,
    /// The answer, as the question's `response_schema` wants it.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    payload: Option<Value>,
}

/// How a person takes a question.
#[derive(Debug, Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// Answers it.
    #[default]
    Resolved,
    /// Declines to.
    Cancelled,
}

/// Answers what a run has asked.
///
/// The first answer to a question is the one that counts; another gets 409 and is shown it. When nothing is left to
/// answer the run goes on: as a stream of its events from the answers on or, with `Accept: application/json`, in the
/// background.
#[utoipa::path(
    post,
    path = "/api/runs/{id}/resume",
    operation_id = "resume_run",
    tag = "chat",
    params(("id" = RunId, Path, description = "The run.")),
    request_body = Resume,
    responses(
        (status = 200, description = "The run's events.", content_type = "text/event-stream"),
        (status = 202, description = "The answers are stored. The run goes on in the background, or waits for further answers.", body = Run),
        (status = 409, description = "Another answer came first (`already_answered`), or the run has ended (`run_ended`)."),
        Problems,
    ),
)]
pub(crate) async fn resume(
    State(engine): State<Engine>,
    Caller(principal): Caller,
    exchange: Exchange,
    Path(run): Path<RunId>,
    headers: HeaderMap,
    Json(body): Json<Resume>,
) -> Result<Response, Problem> {
    principal.require(Scope::Chat)?;
    go_on(&engine, &principal, &exchange, run, body.answers, wants_json(&headers)).await
}

/// Answers what the run of a conversation has asked, as `POST /api/runs/{id}/resume` does.
#[utoipa::path(
    post,
    path = "/agent/resume",
    tag = "chat",
    request_body = ResumeThread,
    responses(
        (status = 200, description = "The run's events.", content_type = "text/event-stream"),
        (status = 202, description = "The answers are stored.", body = Run),
        (status = 409, description = "Another answer came first, or nothing is being asked (`nothing_asked`)."),
        Problems,
    ),
)]
pub(crate) async fn resume_thread(
    State(engine): State<Engine>,
    Caller(principal): Caller,
    exchange: Exchange,
    headers: HeaderMap,
    Json(body): Json<ResumeThread>,
) -> Result<Response, Problem> {
    principal.require(Scope::Chat)?;
    let project = match Projects::new(engine.store(), principal.tenant).get(body.thread_id).await {
        Ok(project) => project,
        Err(sequent_conversation::projects::Error::NotFound) => {
            return Err(Problem::not_found("There is no such conversation."));
        }
        Err(error) => return Err(Problem::unavailable(error)),
    };
    let run = project.live_run_id;
    let run = run.ok_or_else(|| Problem::conflict("nothing_asked", "No run of this conversation waits."))?;
    go_on(&engine, &principal, &exchange, run, body.answers, wants_json(&headers)).await
}

async fn go_on(
    engine: &Engine,
    principal: &Principal,
    exchange: &Exchange,
    run: RunId,
    answers: Vec<Answer>,
    background: bool,
) -> Result<Response, Problem> {
    let row = find(engine, principal, run).await?;
    let replies = check(&row.interrupts, answers)?;
    let key = LogKey { tenant: principal.tenant, run };
    let then = if background { Then::Queue } else { Then::Caller };
    let by = Some(principal.user);
    let answered = answer(&engine.storage, key, by, &replies, then).await.map_err(problem)?;
    let count = replies.len() as u64;
    let after = match answered {
        Ok(state) if background || !state.is_resumable() => return accepted(engine, principal, run).await,
        Ok(state) => Seq(state.last.0.saturating_sub(count)),
        Err(Refused::Taken(winner)) => {
            let own = |reply: &Reply| {
                reply.interrupt == winner.interrupt_id
                    && (reply.status, &reply.payload, by) == (winner.status, &winner.payload, winner.by)
            };
            if !replies.iter().any(own) {
                let problem = Problem::conflict("already_answered", "Somebody has answered before.");
                return Err(problem.with("answer", shown(&winner)));
            }
            // The same answer again: its first response was lost.
            return accepted(engine, principal, run).await;
        }
        Err(Refused::Unknown(id)) => {
            let at = replies.iter().position(|reply| reply.interrupt == id).unwrap_or_default();
            let problem = Problem::invalid("The run has asked no such question.");
            return Err(problem.at(&format!("/answers/{at}/interrupt_id"), "is no question of this run"));
        }
        Err(Refused::Ended) => {
            return Err(Problem::conflict("run_ended", "The run has ended without the answer."));
        }
    };
    let (observer, stored) = mpsc::unbounded_channel();
    let claimed = claim(&engine.storage, key, engine.settings, false, Some(observer)).await;
    let source = match claimed.map_err(Problem::unavailable)? {
        Claim::Won(writer) => Source::Owned(writer, stored),
        // Somebody else was faster; the answers' own stream is the same.
        Claim::Held | Claim::Closed | Claim::Missing => Source::Elsewhere,
    };
    let watched = Watched { key, project: row.project_id, after, source, replayed: false };
    Ok(respond(engine, exchange, watched, Native))
}

async fn accepted(engine: &Engine, principal: &Principal, run: RunId) -> Result<Response, Problem> {
    let row: Run = find(engine, principal, run).await?;
    Ok((StatusCode::ACCEPTED, Json(row)).into_response())
}

/// The answers, each held against its question if that is still open.
fn check(open: &[Question], answers: Vec<Answer>) -> Result<Vec<Reply>, Problem> {
    if answers.is_empty() || answers.len() > MOST {
        let problem = Problem::invalid("There must be 1 to 50 answers.");
        return Err(problem.at("/answers", format!("has {} items", answers.len())));
    }
    let mut replies: Vec<Reply> = Vec::with_capacity(answers.len());
    for (n, Answer { interrupt_id, status, payload }) in answers.into_iter().enumerate() {
        let at = format!("/answers/{n}");
        if replies.iter().any(|reply| reply.interrupt == interrupt_id) {
            return Err(Problem::invalid("A question is answered twice.").at(&at, "is a second answer"));
        }
        let status = match status {
            Status::Resolved => AnswerStatus::Resolved,
            Status::Cancelled => AnswerStatus::Cancelled,
        };
        let question = open.iter().find(|question| question.id == interrupt_id);
        if let (AnswerStatus::Resolved, Some(question)) = (status, question) {
            fits(question, payload.as_ref(), &format!("{at}/payload"))?;
        }
        replies.push(Reply { interrupt: interrupt_id, status, payload });
    }
    let bytes: usize = replies
        .iter()
        .filter_map(|reply| reply.payload.as_ref())
        .map(|payload| payload.to_string().len())
        .sum();
    if bytes > LONGEST {
        return Err(Problem::invalid("The answers are too long.")
            .at("/answers", format!("must have at most {LONGEST} bytes")));
    }
    Ok(replies)
}

fn fits(question: &Question, payload: Option<&Value>, at: &str) -> Result<(), Problem> {
    let wrong = |why: String| Problem::invalid("The answer does not fit the question.").at(at, why);
    let Some(payload) = payload else { return Err(wrong("is missing".to_owned())) };
    let Some(schema) = &question.response_schema else { return Ok(()) };
    let schema = Schema::new(schema).map_err(Problem::internal)?;
    schema.check(payload).map_err(|why| wrong(why.to_string()))
}

fn shown(answer: &sequent_event::InterruptAnswer) -> Value {
    json!({
        "interrupt_id": answer.interrupt_id,
        "status": answer.status,
        "payload": answer.payload,
        "by": answer.by,
    })
}
