//! What an owner does with its run.

use std::time::Duration;

use futures::StreamExt;
use sequent_domain::MessageId;
use sequent_event::{Body, Outcome, Role, Usage};
use sequent_model::{Chunk, Chunks, Context, FinishReason, ModelName, Request};
use sequent_run::{Error, Run, Runs, finish};
use sequent_runlog::{DynamoStorage, Finish, LogKey, Signals, Stopped, Writer};
use tokio::time::Instant;

use crate::{Engine, conversation::conversation};

/// Executions a run may need before something about it must be fatal to every owner.
const MAX_EPOCH: u32 = 50;

/// How an execution ended for its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The log is closed.
    Closed,
    /// Time was running out: the lease is given up and another process continues.
    HandedOver,
}

/// Executes the run until its log is closed, or hands it over shortly before `deadline`.
///
/// # Errors
/// When the writer was stopped, or the run's row or conversation cannot be read. The lease is then given up, so the
/// next reader's process tries again.
pub async fn execute(
    engine: &Engine,
    key: LogKey,
    writer: Writer<DynamoStorage>,
    deadline: Option<Instant>,
) -> Result<Ended, Error> {
    let run = Runs::new(engine.store(), key.tenant).get(key.run).await?;
    let hand_over = deadline.map(|at| at - Engine::HAND_OVER);
    let execution = Execution { engine, key, run, writer };
    if let Some(ended) = execution.resume().await? {
        return Ok(ended);
    }
    execution.answer(hand_over).await
}

struct Execution<'a> {
    engine: &'a Engine,
    key: LogKey,
    run: Run,
    writer: Writer<DynamoStorage>,
}

/// Why a model's stream was left.
enum Left {
    Finished(FinishReason, sequent_model::Usage),
    Failed(sequent_model::Error),
    Cancelled,
    Stopped,
    OutOfTime,
}

/// The message being written.
#[derive(Default)]
struct Open {
    text: Option<MessageId>,
    reasoning: Option<MessageId>,
}

impl Execution<'_> {
    /// Brings the log to where an answer can begin, whatever the former owner left.
    async fn resume(&self) -> Result<Option<Ended>, Error> {
        let state = self.writer.opening();
        if let Some(open) = &state.open {
            self.writer.append(Body::MessageAbandoned { message_id: open.id }).await?;
        } else if let Some(id) = state.open_reasoning {
            self.writer.append(Body::MessageAbandoned { message_id: id }).await?;
        }
        if state.started_at.is_none() {
            let (thread_id, run_id) = (self.run.project_id, self.run.id);
            self.writer
                .append(Body::RunStarted { thread_id, run_id, parent_run_id: self.run.parent_run_id })
                .await?;
        }
        if state.epoch > MAX_EPOCH {
            let end = self.error("too_many_crashes", "Every process that executed this run was lost.");
            return self.close(vec![end]).await.map(Some);
        }
        Ok(None)
    }

    async fn answer(&self, hand_over: Option<Instant>) -> Result<Ended, Error> {
        let name = match self.run.model.as_deref() {
            Some(name) => name.parse::<ModelName>(),
            None => Ok(self.engine.models.default_model().clone()),
        };
        let name = match name {
            Ok(name) => name,
            Err(error) => return self.close(vec![self.error(error.code(), &error.public_message())]).await,
        };
        let messages =
            conversation(self.engine.store(), self.key.tenant, &self.run, self.writer.opening()).await?;
        let began = Instant::now();
        let context = Context { deadline: None, request_id: Some(self.run.id.to_string()) };
        let request = Request::new(name.clone(), messages);
        let asking = Box::pin(self.engine.models.stream(request, context));
        let mut open = Open::default();
        let mut counted = None;
        let left = tokio::select! {
            biased;
            left = self.news() => left,
            () = at(hand_over) => Left::OutOfTime,
            asked = asking => match asked {
                Ok(mut chunks) => {
                    let left = self.relay(&mut chunks, &mut open, hand_over).await?;
                    counted = Some(chunks.usage());
                    left
                }
                Err(error) => Left::Failed(error),
            },
        };
        let usage =
            |usage: sequent_model::Usage, reason: &str| self.usage(&name, usage, reason, began.elapsed());
        let mut bodies = open.closing();
        match left {
            Left::Finished(reason, used) => {
                bodies.push(usage(used, reason.as_str()));
                bodies.push(self.finished(Outcome::Success));
            }
            Left::Failed(error) => {
                tracing::warn!(run = %self.key.run, %error, "the model failed");
                bodies.extend(counted.map(|used| usage(used, "error")));
                bodies.push(self.error(error.code(), &error.public_message()));
            }
            Left::Cancelled => {
                bodies.extend(counted.map(|used| usage(used, "cancelled")));
                bodies.push(self.finished(Outcome::Cancelled));
            }
            // The writer knows why; any call tells.
            Left::Stopped => {
                let stopped = self.writer.flush().await.err().unwrap_or(Stopped::Ended);
                return Err(stopped.into());
            }
            // Dropping the writer stores what is buffered and gives the lease up.
            Left::OutOfTime => return Ok(Ended::HandedOver),
        }
        self.close(bodies).await
    }

    /// Writes the model's answer into the log until one of the two ends.
    async fn relay(
        &self,
        chunks: &mut Chunks,
        open: &mut Open,
        hand_over: Option<Instant>,
    ) -> Result<Left, Error> {
        loop {
            let chunk = tokio::select! {
                biased;
                left = self.news() => return Ok(left),
                () = at(hand_over) => return Ok(Left::OutOfTime),
                chunk = chunks.next() => chunk,
            };
            match chunk {
                Some(Ok(Chunk::TextDelta(delta))) => {
                    for body in open.text(delta) {
                        self.writer.append(body).await?;
                    }
                }
                Some(Ok(Chunk::ReasoningDelta(delta))) => {
                    for body in open.reasoning(delta) {
                        self.writer.append(body).await?;
                    }
                }
                // No tools are offered, so a call is the model's invention.
                Some(Ok(
                    Chunk::ToolCallStart { .. } | Chunk::ToolCallDelta { .. } | Chunk::ToolCallEnd { .. },
                )) => {}
                Some(Ok(Chunk::Finished { finish_reason, usage })) => {
                    return Ok(Left::Finished(finish_reason, usage));
                }
                Some(Err(error)) => return Ok(Left::Failed(error)),
                None => return Ok(Left::Failed(sequent_model::Error::Truncated)),
            }
        }
    }

    /// Waits for what ends an execution from outside.
    async fn news(&self) -> Left {
        let mut signals = self.writer.signals();
        let news = signals.wait_for(|signals| signals.stopped || signals.cancel.is_some()).await;
        match news.map(|signals| signals.stopped) {
            Ok(false) => Left::Cancelled,
            Ok(true) | Err(_) => Left::Stopped,
        }
    }

    /// Closes the log. A cancel that comes first changes the outcome, not what was said.
    async fn close(&self, mut bodies: Vec<Body>) -> Result<Ended, Error> {
        loop {
            let known: Signals = *self.writer.signals().borrow();
            if known.cancel.is_some()
                && let Some(Body::RunFinished { outcome, .. }) = bodies.last_mut()
            {
                *outcome = Outcome::Cancelled;
            }
            let ended =
                finish(&self.engine.storage, &self.writer, self.key.tenant, &self.run, known, bodies.clone());
            match Box::pin(ended).await? {
                Finish::Done(_) => return Ok(Ended::Closed),
                Finish::Superseded => {}
            }
        }
    }

    fn finished(&self, outcome: Outcome) -> Body {
        Body::RunFinished { thread_id: self.run.project_id, run_id: self.run.id, outcome }
    }

    fn error(&self, code: &str, message: &str) -> Body {
        Body::RunError { message: message.to_owned(), code: code.to_owned() }
    }

    fn usage(&self, name: &ModelName, used: sequent_model::Usage, reason: &str, latency: Duration) -> Body {
        let info = self.engine.models.describe(name);
        Body::UsageRecorded(Usage {
            provider: info.provider.as_str().to_owned(),
            cost_micro_usd: self.engine.models.cost(name, &used),
            model: info.model,
            input_tokens: used.input_tokens,
            output_tokens: used.output_tokens,
            cached_input_tokens: used.cached_input_tokens,
            reasoning_tokens: used.reasoning_tokens,
            estimated: used.estimated,
            latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
            finish_reason: reason.to_owned(),
        })
    }
}

impl Open {
    /// The events of a piece of text: reasoning ends where the answer begins.
    fn text(&mut self, delta: String) -> Vec<Body> {
        let mut bodies = self.end_reasoning();
        let message_id = *self.text.get_or_insert_with(|| {
            let message_id = MessageId::new();
            bodies.push(Body::TextMessageStart { message_id, role: Role::Assistant });
            message_id
        });
        bodies.push(Body::TextMessageContent { message_id, delta });
        bodies
    }

    fn reasoning(&mut self, delta: String) -> Vec<Body> {
        let mut bodies = self.end_text();
        let message_id = *self.reasoning.get_or_insert_with(|| {
            let message_id = MessageId::new();
            bodies.push(Body::ReasoningStart { message_id });
            bodies.push(Body::ReasoningMessageStart { message_id, role: Role::Reasoning });
            message_id
        });
        bodies.push(Body::ReasoningMessageContent { message_id, delta });
        bodies
    }

    fn closing(&mut self) -> Vec<Body> {
        let mut bodies = self.end_reasoning();
        bodies.extend(self.end_text());
        bodies
    }

    fn end_text(&mut self) -> Vec<Body> {
        self.text.take().map(|message_id| Body::TextMessageEnd { message_id }).into_iter().collect()
    }

    fn end_reasoning(&mut self) -> Vec<Body> {
        let ended = self.reasoning.take();
        ended.map_or_else(Vec::new, |message_id| {
            vec![Body::ReasoningMessageEnd { message_id }, Body::ReasoningEnd { message_id }]
        })
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
