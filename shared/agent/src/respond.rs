//! One response of a model, written into the log as it comes.

use std::time::Duration;

use futures::StreamExt;
use sequent_conversation::Error;
use sequent_core::{MessageId, Timestamp, ToolCallId};
use sequent_deliverables::wanted;
use sequent_event::{Body, Outcome, Role, Usage};
use sequent_model::{Chunk, Chunks, Context, FinishReason, ModelName, Request};
use tokio::time::Instant;

use crate::{
    Engine, conversation,
    execute::{Ended, Execution, News, at},
    next::{Next, Purpose, next},
};

/// Why a model's stream was left.
enum Left {
    Finished(FinishReason, sequent_model::Usage),
    Failed(sequent_model::Error),
    News(News),
    OutOfTime,
    /// The run's own time is over.
    Overtime,
}

impl Execution<'_> {
    /// Asks the model, and writes down what it says. Ends the run if that was the answer.
    pub(crate) async fn respond(&mut self, purpose: Purpose) -> Result<Option<Ended>, Error> {
        let name = match self.run.model.as_deref() {
            Some(name) => name.parse::<ModelName>(),
            None => Ok(self.engine.models.default_model().clone()),
        };
        let mut name = match name {
            Ok(name) => name,
            Err(error) => return self.end(vec![self.error(error.code(), &error.public_message())]).await,
        };
        let request = Request {
            system: conversation::system(purpose, wanted(&self.state)),
            must_call: matches!(purpose, Purpose::Deliver(_)),
            tools: self.tools(purpose),
            ..Request::new(name.clone(), conversation::messages(self, purpose).await?)
        };
        let told = u32::try_from(self.state.prompts.len()).ok();
        let began = Instant::now();
        let left = Instant::now() + self.engine.bounds.time_left(&self.state, Timestamp::now());
        let context = Context { deadline: Some(left), request_id: Some(self.run.id.to_string()) };
        let candidates = self.candidates(&name);
        let asking = Box::pin(ask(self.engine, candidates, request, context));
        let mut open = Open::new();
        let mut counted = None;
        let left = tokio::select! {
            biased;
            news = self.news() => Left::News(news),
            () = at(self.hand_over) => Left::OutOfTime,
            asked = asking => match asked {
                Ok((answers, mut chunks)) => {
                    name = answers;
                    let left = self.relay(&mut chunks, &mut open, left).await?;
                    counted = Some(chunks.usage());
                    left
                }
                Err(error) => Left::Failed(error),
            },
        };
        let usage = |usage: sequent_model::Usage, reason: &str| {
            self.usage(&name, usage, reason, began.elapsed(), told)
        };
        let mut bodies = open.closing();
        let end = match left {
            Left::Finished(reason, used) => {
                bodies.push(usage(used, reason.as_str()));
                return self.responded(bodies).await;
            }
            Left::Failed(error) => {
                tracing::warn!(run = %self.key.run, %error, "the model failed");
                bodies.extend(counted.map(|used| usage(used, "error")));
                self.error(error.code(), &error.public_message())
            }
            Left::Overtime => {
                bodies.extend(counted.map(|used| usage(used, "cancelled")));
                self.error("time_limit", "The run has taken all the time it may take.")
            }
            Left::News(News::Cancelled(reason)) => {
                bodies.extend(counted.map(|used| usage(used, "cancelled")));
                self.state.cancel = Some(reason);
                self.finished(Outcome::Cancelled)
            }
            Left::News(News::Stopped) => return Err(News::stopped(&self.writer).await),
            Left::OutOfTime => {
                // The next owner asks anew, but what was said is paid for.
                let used = counted.map(|used| usage(used, Usage::ABANDONED));
                let abandoned = self.state.unfinished().into_iter();
                let abandoned = abandoned.map(|message_id| Body::MessageAbandoned { message_id });
                let bodies: Vec<Body> = abandoned.chain(used).collect();
                self.note(bodies).await?;
                return Ok(Some(Ended::HandedOver));
            }
        };
        let steps = self.state.open_steps.iter().map(|name| Body::StepFinished { step_name: name.clone() });
        bodies.extend(steps);
        bodies.push(end);
        self.end(bodies).await
    }

    /// The response is complete. If it completes the answer, both are stored in one write.
    async fn responded(&mut self, mut bodies: Vec<Body>) -> Result<Option<Ended>, Error> {
        let mut after = self.state.clone();
        for body in &bodies {
            let event = sequent_event::Entry::new(Timestamp::now(), body.clone()).at_seq(after.next());
            after.apply(&event).map_err(sequent_runlog::Stopped::from)?;
        }
        if next(&after) == Next::Finish {
            bodies.push(self.finished(Outcome::Success));
            return self.end(bodies).await;
        }
        self.note(bodies).await
    }

    /// Writes the model's response into the log until one of the two ends.
    async fn relay(&mut self, chunks: &mut Chunks, open: &mut Open, latest: Instant) -> Result<Left, Error> {
        loop {
            let chunk = tokio::select! {
                biased;
                news = self.news() => return Ok(Left::News(news)),
                () = at(self.hand_over) => return Ok(Left::OutOfTime),
                () = at(Some(latest)) => return Ok(Left::Overtime),
                chunk = chunks.next() => chunk,
            };
            let bodies = match chunk {
                Some(Ok(Chunk::TextDelta(delta))) => open.text(delta),
                Some(Ok(Chunk::ReasoningDelta(delta))) => open.reasoning(delta),
                Some(Ok(Chunk::ToolCallStart { id, name })) => open.call(id, name),
                Some(Ok(Chunk::ToolCallDelta { id, arguments })) => open.arguments(&id, arguments),
                Some(Ok(Chunk::ToolCallEnd { id })) => open.end_call(&id),
                Some(Ok(Chunk::Finished { finish_reason, usage })) => {
                    return Ok(Left::Finished(finish_reason, usage));
                }
                Some(Err(error)) => return Ok(Left::Failed(error)),
                None => return Ok(Left::Failed(sequent_model::Error::Truncated)),
            };
            for body in bodies {
                self.append(body).await?;
            }
        }
    }

    /// Whom to ask, one after the other. What is paid for must have a price; and of a run that may cost so much, its own model
    /// having one, nobody stands in for that whose answers could not be counted.
    fn candidates(&self, name: &ModelName) -> Vec<ModelName> {
        let (models, configuration) = (&self.engine.models, &self.state.configuration);
        let limited = configuration.budget.max_cost_micro_usd.is_some();
        let all = models.candidates(name.clone());
        let priced = models.priced(all.clone());
        let counted = limited && priced.first() == Some(name);
        if configuration.hold.is_some() || counted { priced } else { all }
    }

    fn usage(
        &self,
        name: &ModelName,
        used: sequent_model::Usage,
        reason: &str,
        latency: Duration,
        messages_told: Option<u32>,
    ) -> Body {
        let info = self.engine.models.describe(name);
        let usage = Usage {
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
            messages_told,
        };
        // OpenTelemetry's semantic conventions for generative AI name the attributes.
        tracing::info!(
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = usage.provider,
            gen_ai.request.model = %name,
            gen_ai.response.model = usage.model,
            gen_ai.response.finish_reasons = reason,
            gen_ai.usage.input_tokens = usage.input_tokens,
            gen_ai.usage.output_tokens = usage.output_tokens,
            gen_ai.conversation.id = %self.run.project_id,
            latency_ms = usage.latency_ms,
            cost_micro_usd = usage.cost_micro_usd.map(|cost| cost.0),
            run = %self.key.run,
            "model call"
        );
        Body::UsageRecorded(usage)
    }
}

/// Asks the model, or those that stand in for it while it cannot answer. Gives who answers.
async fn ask(
    engine: &Engine,
    candidates: Vec<ModelName>,
    request: Request,
    context: Context,
) -> Result<(ModelName, Chunks), sequent_model::Error> {
    let mut candidates = candidates.into_iter().peekable();
    while let Some(model) = candidates.next() {
        let request = Request { model: model.clone(), ..request.clone() };
        match Box::pin(engine.models.stream(request, context.clone())).await {
            Ok(chunks) => return Ok((model, chunks)),
            Err(error) if error.retryable() && candidates.peek().is_some() => {
                tracing::warn!(%model, %error, "the next model is asked");
            }
            Err(error) => return Err(error),
        }
    }
    Err(sequent_model::Error::NotPriced)
}

/// The response being written.
struct Open {
    /// Names the response: its first text has this id, and its tool calls belong to it.
    id: MessageId,
    spoken: bool,
    text: Option<MessageId>,
    reasoning: Option<MessageId>,
    /// Calls being written: the provider's id, and ours. Providers' ids are unique within a response at best.
    calls: Vec<(String, ToolCallId)>,
}

impl Open {
    fn new() -> Self {
        Self { id: MessageId::new(), spoken: false, text: None, reasoning: None, calls: Vec::new() }
    }

    /// The events of a piece of text: reasoning ends where the answer begins.
    fn text(&mut self, delta: String) -> Vec<Body> {
        let mut bodies = self.end_reasoning();
        let message_id = *self.text.get_or_insert_with(|| {
            let message_id = if self.spoken { MessageId::new() } else { self.id };
            self.spoken = true;
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

    fn call(&mut self, id: String, tool_call_name: String) -> Vec<Body> {
        let mut bodies = self.end_reasoning();
        bodies.extend(self.end_text());
        let ours = ToolCallId::new();
        self.calls.push((id, ours));
        let (tool_call_id, parent_message_id) = (ours.to_string(), Some(self.id));
        bodies.push(Body::ToolCallStart { tool_call_id, tool_call_name, parent_message_id });
        bodies
    }

    fn arguments(&self, id: &str, delta: String) -> Vec<Body> {
        let call = self.calls.iter().find(|(theirs, _)| theirs == id);
        call.map(|(_, ours)| Body::ToolCallArgs { tool_call_id: ours.to_string(), delta })
            .into_iter()
            .collect()
    }

    fn end_call(&mut self, id: &str) -> Vec<Body> {
        let Some(at) = self.calls.iter().position(|(theirs, _)| theirs == id) else { return Vec::new() };
        let (_, ours) = self.calls.remove(at);
        vec![Body::ToolCallEnd { tool_call_id: ours.to_string() }]
    }

    fn closing(&mut self) -> Vec<Body> {
        let mut bodies = self.end_reasoning();
        bodies.extend(self.end_text());
        let calls = self.calls.drain(..);
        bodies.extend(calls.map(|(_, ours)| Body::ToolCallEnd { tool_call_id: ours.to_string() }));
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
