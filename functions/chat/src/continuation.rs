//! Continuing an answer of the AI SDK that waits: its message comes back with the results of the client's tools and with the
//! decisions about calls.
//!
//! The SDK appends the chunks of the response to the message that it has sent, so the stream begins where the message ended:
//! after the execution that asked. The answers are stored once. A message that is sent again, because the response was lost,
//! gets the same stream.

use sequent_agent::Source;
use sequent_conversation::{AnswerToQuestion, Error, ResumeBy, RunQuestion, answer};
use sequent_core::{InterruptId, Principal, Scope};
use sequent_event::{Body, Event, Reason, RunOutcome, Seq, State};
use sequent_http::{Problem, RequestContext, axum::response::Response};
use sequent_runlog::{Claim, LogKey, OBSERVED_SEGMENTS, Segment, Stopped, claim, read_all};
use tokio::sync::mpsc;

use crate::{
    App,
    resume::{MAX_BYTES, check_payload},
    stream::Watched,
    ui_answers::UiAnswer,
    ui_content::UiMessage,
    ui_stream::{StreamForm, UiMessages, stream},
};

/// Attempts to store the answers. Each of them fails only because another client was first.
const ATTEMPTS: usize = 8;

/// A message with answers, and its place in the request.
pub(crate) struct AnsweredMessage<'a> {
    pub(crate) message: &'a UiMessage,
    /// The JSON pointer of the message.
    pub(crate) at: String,
    /// The approvals hold for the rest of the conversation.
    pub(crate) approve_always: bool,
}

/// Stores the answers in the message and streams the rest of the run. Returns `None` if the message answers no question of a run
/// that the caller may see.
pub(crate) async fn continue_run(
    app: &App,
    caller: &Principal,
    context: &RequestContext,
    answered: AnsweredMessage<'_>,
    form: StreamForm,
) -> Result<Option<Response>, Problem> {
    let Some(run) = answered.message.id.as_deref().and_then(|id| id.parse().ok()) else { return Ok(None) };
    let answers = answered.message.answers(answered.approve_always);
    if answers.is_empty() {
        return Ok(None);
    }
    let row = match app.runs_of(caller).get_for_caller(run).await {
        Err(Error::RunNotFound) => return Ok(None),
        row => row?,
    };
    let key = LogKey { tenant: caller.tenant, run };
    for _ in 0..ATTEMPTS {
        let log = Log::read(app, key).await?;
        let Some(replies) = log.replies(&answers, caller, &answered.at)? else { return Ok(None) };
        let source = match store(app, caller, key, &replies.new).await {
            Err(Error::AlreadyAnswered(_)) => continue,
            source => source?,
        };
        let after = log.end_before(&replies.last_asked());
        let mut projector = form.projector(run);
        for event in log.events.iter().filter(|event| event.seq <= after) {
            let _ = projector.push(event);
        }
        let watched = Watched { source, ..Watched::elsewhere(key, row.project_id, after) };
        return stream(app, context, watched, UiMessages::new(projector)).await.map(Some);
    }
    Err(Error::ClaimTaken.into())
}

/// Stores the answers. Returns the process that continues the run: this one, if nothing is left to wait for.
async fn store(
    app: &App,
    caller: &Principal,
    key: LogKey,
    replies: &[AnswerToQuestion],
) -> Result<Source, Error> {
    if replies.is_empty() {
        return Ok(Source::Elsewhere);
    }
    let storage = &app.engine.storage;
    let state = answer(storage, key, Some(caller), replies, ResumeBy::Caller).await?;
    if !state.is_resumable() {
        return Ok(Source::Elsewhere);
    }
    let (observer, stored) = mpsc::channel(OBSERVED_SEGMENTS);
    match claim(storage, key, app.engine.settings, false, Some(observer)).await? {
        Claim::Won(writer) => Ok(Source::Owned(writer, stored)),
        // Another process was first. The stream after the answers is the same.
        Claim::Held | Claim::Closed | Claim::Missing => Ok(Source::Elsewhere),
    }
}

/// The log of a run.
struct Log {
    events: Vec<Event>,
    state: State,
}

/// The answers of a message.
struct Replies {
    /// The questions that are answered.
    interrupts: Vec<InterruptId>,
    /// The answers that are not stored yet.
    new: Vec<AnswerToQuestion>,
}

impl Replies {
    /// The questions after which the client has received nothing.
    fn last_asked(&self) -> Vec<InterruptId> {
        match self.new.as_slice() {
            [] => self.interrupts.clone(),
            new => new.iter().map(|reply| reply.interrupt).collect(),
        }
    }
}

impl Log {
    async fn read(app: &App, key: LogKey) -> Result<Self, Problem> {
        let segments = read_all(&app.engine.storage, key).await.map_err(Problem::unavailable)?;
        let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
        let state = State::of(&events).map_err(|error| Error::from(Stopped::from(error)))?;
        Ok(Self { events, state })
    }

    /// Checks the answers. Returns `None` if they answer no question of the run.
    fn replies(
        &self,
        answers: &[UiAnswer],
        caller: &Principal,
        at: &str,
    ) -> Result<Option<Replies>, Problem> {
        let mut replies = Replies { interrupts: Vec::new(), new: Vec::new() };
        for answer in answers {
            let Some(asked) = answer.question(&self.state) else { continue };
            if asked.interrupt.question.reason != Reason::ClientTool {
                caller.require(Scope::RunsWrite)?;
            }
            replies.interrupts.push(asked.interrupt.id);
            match &asked.answer {
                Some(stored) if answer.is_same(stored) => {}
                Some(stored) => return Err(Error::AlreadyAnswered(Box::new(stored.clone())).into()),
                None => replies.new.push(checked(answer, &RunQuestion::from(&asked.interrupt), at)?),
            }
        }
        let payloads = replies.new.iter().filter_map(|reply| reply.payload.as_ref());
        if payloads.map(|payload| payload.to_string().len()).sum::<usize>() > MAX_BYTES {
            let problem = Problem::invalid("The answers are too long.");
            return Err(problem.at(at, format!("must have at most {MAX_BYTES} bytes of results")));
        }
        Ok((!replies.interrupts.is_empty()).then_some(replies))
    }

    /// Returns the position of the end of the execution that has asked these questions: the last one before their answers.
    fn end_before(&self, interrupts: &[InterruptId]) -> Seq {
        let mut end = Seq::START;
        for event in &self.events {
            match event.body() {
                Some(Body::RunFinished { outcome: RunOutcome::Interrupt { .. }, .. }) => end = event.seq,
                Some(Body::ClarificationAnswered(answer)) if interrupts.contains(&answer.interrupt_id) => {
                    return end;
                }
                _ => {}
            }
        }
        end
    }
}

fn checked(answer: &UiAnswer, question: &RunQuestion, at: &str) -> Result<AnswerToQuestion, Problem> {
    use sequent_event::AnswerStatus::Resolved;
    if answer.status == Resolved {
        check_payload(question, answer.payload.as_ref(), &format!("{at}/parts/{}/output", answer.part))?;
    }
    Ok(AnswerToQuestion { interrupt: question.id, status: answer.status, payload: answer.payload.clone() })
}
