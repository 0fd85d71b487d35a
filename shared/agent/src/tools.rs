//! Carrying out the tool calls of a response.

use std::time::Duration;

use futures::{StreamExt, stream};
use sequent_conversation::{Error, closing_bodies};
use sequent_core::{InterruptId, MessageId, Timestamp};
use sequent_deliverables::{tool_name, wanted};
use sequent_documents::Kind;
use sequent_event::{Artifact, Body, Call, Citation, Interrupt, Outcome, Question};
use sequent_model::ToolSpec;
use sequent_runlog::{DynamoStorage, Writer};
use sequent_tool::{Effect, Output, Tool};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    execute::{Ended, Execution, News, append, at, news},
    jobs::Handed,
    next::Purpose,
    planning,
    verdict::{Verdict, verdict},
};

/// Attempts at a call that fails for a passing reason.
const ATTEMPTS: u32 = 3;

/// How long an owner is new.
const FRESH: Duration = Duration::from_secs(2);

/// A call about to run.
struct Running {
    call: Call,
    tool: Tool,
    arguments: Value,
}

impl Execution<'_> {
    /// The tools a request offers.
    pub(crate) fn tools(&self, purpose: Purpose) -> Vec<ToolSpec> {
        match purpose {
            Purpose::Plan => vec![planning::spec()],
            Purpose::Conclude => self.writing().into_iter().collect(),
            Purpose::Deliver(_) => self.writing().into_iter().collect(),
            Purpose::Answer => self.offered(),
            // The document comes when all steps are done.
            Purpose::Step => self.researching().into_iter().chain([planning::spec()]).collect(),
        }
    }

    /// Everything it may call but its plan.
    fn offered(&self) -> Vec<ToolSpec> {
        self.researching().into_iter().chain(self.writing()).collect()
    }

    /// What the deployment, the run's request, its caller's scopes and its place allow. A child has nobody to ask.
    fn researching(&self) -> Vec<ToolSpec> {
        let (tools, configuration) = (&self.tools, &self.state.configuration);
        let mut specs = tools.specs(configuration.tools.as_deref());
        specs.retain(|spec| Kind::ALL.into_iter().all(|kind| tool_name(kind) != spec.name));
        let needs = |spec: &ToolSpec| tools.get(&spec.name).and_then(|tool| tool.scope);
        specs.retain(|spec| needs(spec).is_none_or(|scope| configuration.has_scope(scope)));
        if self.state.parent.is_some() {
            let asks =
                |spec: &ToolSpec| tools.get(&spec.name).is_none_or(|tool| tool.asks() || tool.needs_approval);
            specs.retain(|spec| !asks(spec));
        }
        specs
    }

    /// The tool that delivers what the run is to deliver.
    fn writing(&self) -> Option<ToolSpec> {
        let tool = self.tools.get(tool_name(wanted(&self.state)?))?;
        let may = tool.scope.is_none_or(|scope| self.state.configuration.has_scope(scope));
        may.then(|| tool.spec.clone())
    }

    /// Carries out every call that has no result: side by side where they run, and with one end to the execution for
    /// all that people have to say first.
    pub(crate) async fn carry_out(&mut self) -> Result<Option<Ended>, Error> {
        let mut allowed: Vec<String> = self.offered().into_iter().map(|spec| spec.name).collect();
        if self.state.configuration.orchestration == sequent_event::Orchestration::Plan {
            allowed.push(planning::NAME.to_owned());
        }
        let (mut running, mut questions, mut jobs) = (Vec::new(), Vec::new(), Vec::new());
        for id in self.state.pending_tools.clone() {
            let Some(call) = self.state.tool_call(&id).cloned() else { continue };
            match verdict(&self.state, &self.tools, &allowed, &call) {
                Verdict::Run(tool, arguments) => running.push(Running { call, tool, arguments }),
                Verdict::Answer(content) => self.append(result(&id, content)).await?,
                Verdict::Plan(plan) => {
                    self.append(Body::PlanUpdated { plan }).await?;
                    self.append(result(&id, "The plan is noted.".to_owned())).await?;
                }
                Verdict::Ask(question) => questions.push(question),
                Verdict::Job(job_type, arguments) => jobs.push(Handed { call: id, job_type, arguments }),
                Verdict::Wait => {}
            }
        }
        // Begun first: a job works while the others run, and while people are asked.
        self.hand_over_calls(&jobs).await?;
        match () {
            () if !running.is_empty() => self.run_all(running).await,
            () if !questions.is_empty() => self.ask(questions).await,
            () if !jobs.is_empty() => self.await_jobs().await,
            () => Ok(None),
        }
    }

    async fn run_all(&mut self, running: Vec<Running>) -> Result<Option<Ended>, Error> {
        let Self { engine, key, writer, state, began, hand_over, .. } = self;
        // What must not run twice is not begun when there is no time to see it end; a new owner has all there is.
        let too_late = |running: &Running| {
            let until = Instant::now() + running.tool.timeout;
            !running.tool.idempotent && hand_over.is_some_and(|at| until > at)
        };
        if began.elapsed() > FRESH && running.iter().any(too_late) {
            return Ok(Some(Ended::HandedOver));
        }
        let calls = running.into_iter().map(|running| async {
            let output = run(writer, *key, &running).await;
            (running.call, output)
        });
        let mut calls = Box::pin(stream::iter(calls).buffer_unordered(engine.bounds.parallel_tools));
        loop {
            let done = tokio::select! {
                biased;
                news = news(writer) => match news {
                    // Dropping the calls gives them up; the loop of the execution ends the run.
                    News::Cancelled(_) => break,
                    News::Stopped => return Err(News::stopped(writer).await),
                },
                () = at(*hand_over) => return Ok(Some(Ended::HandedOver)),
                done = calls.next() => done,
            };
            let Some((call, output)) = done else { break };
            for body in told(&call, output?) {
                append(writer, state, body).await?;
            }
        }
        drop(calls);
        // The calls have noted in the log that they ran.
        *state = writer.flush().await?;
        Ok(None)
    }

    /// Ends the execution with questions to people.
    async fn ask(&mut self, questions: Vec<Question>) -> Result<Option<Ended>, Error> {
        let expires_at = Some(Timestamp::now() + self.engine.bounds.question);
        let asked: Vec<Interrupt> = questions
            .into_iter()
            .map(|question| Interrupt {
                id: InterruptId::new(),
                question: Question { expires_at, ..question },
            })
            .collect();
        let mut bodies = closing_bodies(&self.state);
        bodies.extend(asked.iter().map(|interrupt| Body::ClarificationNeeded {
            interrupt_id: interrupt.id,
            question: interrupt.question.clone(),
        }));
        let interrupts = self.state.open_interrupts().cloned().chain(asked).collect();
        bodies.push(self.finished(Outcome::Interrupt { interrupts }));
        self.end(bodies).await
    }
}

/// What became of a call.
enum Came {
    Output(Output),
    /// The text for the model.
    Failed(String),
    /// It may have had its effect: the call stays without a result, and a person is asked.
    Unknown,
}

/// Runs one call. What must not run twice is noted in the log before it runs.
async fn run(
    writer: &Writer<DynamoStorage>,
    key: sequent_runlog::LogKey,
    running: &Running,
) -> Result<Came, Error> {
    let Running { call, tool, arguments } = running;
    if !tool.idempotent {
        writer.append(Body::ToolCallDispatched { tool_call_id: call.id.clone() }).await?;
        writer.flush().await?;
    }
    let began = Instant::now();
    let mut attempt = 1;
    let output = loop {
        let call = sequent_tool::Call::new(key.tenant, key.run, &call.id, arguments.clone());
        match sequent_tool::run(tool, call).await {
            Err(sequent_tool::Error::Unavailable(why)) if attempt < ATTEMPTS => {
                tracing::info!(run = %key.run, tool = tool.spec.name, attempt, why, "a tool is tried again");
                let most = 250.0 * f64::from(1_u32 << attempt);
                tokio::time::sleep(Duration::from_secs_f64(fastrand::f64() * most / 1000.0)).await;
                attempt += 1;
            }
            output => break output,
        }
    };
    tracing::info!(
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = tool.spec.name,
        gen_ai.tool.call.id = call.id,
        error.type = output.as_ref().err().map(sequent_tool::Error::code),
        latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        run = %key.run,
        "tool call"
    );
    Ok(match output {
        Ok(output) => Came::Output(output),
        Err(sequent_tool::Error::Unknown(_)) => Came::Unknown,
        Err(error) => Came::Failed(error.message().to_owned()),
    })
}

/// The events of a call's end.
fn told(call: &Call, came: Came) -> Vec<Body> {
    match came {
        Came::Output(output) => {
            let effects = output.effects.into_iter().map(|effect| match effect {
                Effect::Cited(source) => Body::SourceCited(Citation {
                    url: source.url,
                    title: source.title,
                    quote: source.quote,
                    tool_call_id: Some(call.id.clone()),
                }),
                Effect::Saved(artifact) => {
                    Body::ArtifactCreated(Artifact { tool_call_id: Some(call.id.clone()), ..artifact })
                }
            });
            effects.chain([result(&call.id, output.content)]).collect()
        }
        Came::Failed(why) => vec![result(&call.id, why)],
        Came::Unknown => Vec::new(),
    }
}

fn result(tool_call_id: &str, content: String) -> Body {
    Body::ToolCallResult { message_id: MessageId::new(), tool_call_id: tool_call_id.to_owned(), content }
}
