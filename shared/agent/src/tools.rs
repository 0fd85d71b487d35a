//! Carries out the tool calls of a response.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures::{StreamExt, stream};
use sequent_conversation::{Error, closing_bodies};
use sequent_core::{MessageId, Timestamp, pace::scaled};
use sequent_event::{Artifact, Body, Citation, Question, Reason, RunOutcome, ToolCall, size::MAX_TEXT_BYTES};
use sequent_runlog::{DynamoStorage, LogKey, Writer};
use sequent_tool::{Effect, Output, Tool, cut};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    call_limits,
    execution::{Execution, Flow, StopSignal, append, at, stop_error, stop_signal},
    jobs::{self, JobRequest, RunJobs},
    questions,
    verdict::{CallResult, Verdict, verdict},
    web::WebRules,
};

/// Retries of a call that fails for a temporary reason: after 250 to 500 ms, and after 500 to 1000 ms.
const RETRIES: ExponentialBuilder =
    ExponentialBuilder::new().with_min_delay(Duration::from_millis(250)).with_max_times(2).with_jitter();

/// Time in which an owner counts as new, with all of its time left.
const NEW_OWNER: Duration = Duration::from_secs(2);

/// A call that is ready to run.
struct ReadyCall {
    call: ToolCall,
    tool: Tool,
    arguments: Value,
}

/// Carries out every call that has no result. The calls run in parallel; the questions of all calls to people
/// end the execution together.
pub(crate) async fn carry_out(execution: &mut Execution<'_>, jobs: &mut RunJobs) -> Result<Flow, Error> {
    let allowed = execution.offering().allowed();
    let mut ready: Vec<ReadyCall> = Vec::new();
    let mut questions: Vec<Question> = Vec::new();
    let mut requests: Vec<JobRequest> = Vec::new();
    let mut has_asked = false;
    let web = WebRules::load(execution).await?;
    for id in execution.state.pending_tools.clone() {
        let Some(call) = execution.state.tool_call(&id).cloned() else {
            // Without a result the run would come back here for ever.
            let refused = CallResult::refused("The call is not known.".to_owned());
            execution.append(result_event(&id, refused)).await?;
            continue;
        };
        let decided = verdict(execution.offering(), &allowed, &web, &call);
        match call_limits::within_day(execution, &call, decided).await? {
            Verdict::Run(tool, arguments) => ready.push(ReadyCall { call, tool, arguments }),
            Verdict::Answer(result) => execution.append(result_event(&id, result)).await?,
            Verdict::Plan(plan) => {
                let noted = result_event(&id, CallResult::done("The plan is noted.".to_owned()));
                execution.append_all([Body::PlanUpdated { plan }, noted]).await?;
            }
            Verdict::Ask(question) => questions.push(question),
            Verdict::Job(job_type, arguments) => {
                requests.push(jobs::of_call(&execution.state, &id, job_type, arguments));
            }
            Verdict::Wait => has_asked = true,
        }
    }
    let has_jobs = !requests.is_empty();
    // Jobs are created first: they work while the other calls run, and while people are asked.
    jobs.create(execution, requests).await?;
    if !ready.is_empty() {
        run_all(execution, ready).await
    } else if has_asked {
        // The last owner was lost between its questions and its end, or a message came between.
        Ok(ask(execution, Vec::new()))
    } else if !questions.is_empty() {
        Ok(ask(execution, questions))
    } else if has_jobs {
        jobs::wait(execution).await
    } else {
        Ok(Flow::Continue)
    }
}

async fn run_all(execution: &mut Execution<'_>, ready: Vec<ReadyCall>) -> Result<Flow, Error> {
    let Execution { engine, key, writer, state, started, hand_over, .. } = execution;
    // A call that must not run twice only starts if there is time to see its end. A new owner has all the
    // time there is.
    let is_too_late = |ready: &ReadyCall| {
        let latest_end = Instant::now() + ready.tool.timeout;
        !ready.tool.idempotent && hand_over.is_some_and(|at| latest_end > at)
    };
    if started.elapsed() > NEW_OWNER && ready.iter().any(is_too_late) {
        return Ok(Flow::HandOver);
    }
    let calls = ready.into_iter().map(|ready| async {
        let outcome = run(writer, *key, &ready).await;
        (ready.call, outcome)
    });
    let mut calls = Box::pin(stream::iter(calls).buffer_unordered(engine.bounds.parallel_tools));
    loop {
        let ended = tokio::select! {
            biased;
            signal = stop_signal(writer) => match signal {
                // Dropping the calls cancels them. The execution's loop ends the run.
                StopSignal::Cancelled(_) => break,
                StopSignal::WriterStopped => return Err(stop_error(writer).await),
            },
            () = at(*hand_over) => return Ok(Flow::HandOver),
            ended = calls.next() => ended,
        };
        let Some((call, outcome)) = ended else { break };
        for body in outcome_events(&call, outcome?) {
            append(writer, state, body).await?;
        }
    }
    drop(calls);
    // The calls have appended events of their own (`ToolCallDispatched`), which `state` does not contain yet.
    execution.flush().await?;
    Ok(Flow::Continue)
}

/// Ends the execution with questions to people: those that were asked already, and as many new ones as fit.
fn ask(execution: &Execution<'_>, questions: Vec<Question>) -> Flow {
    let now = Timestamp::now();
    let questions = questions
        .into_iter()
        .map(|question| Question { expires_at: Some(now + lifetime(execution, &question)), ..question });
    let asked = questions::take(questions.collect());
    let mut bodies = closing_bodies(&execution.state);
    bodies.extend(asked.iter().map(|interrupt| Body::ClarificationNeeded {
        interrupt_id: interrupt.id,
        question: interrupt.question.clone(),
    }));
    let interrupts = execution.state.open_interrupts().cloned().chain(asked).collect();
    bodies.push(execution.run_finished(RunOutcome::Interrupt { interrupts }));
    Flow::End(bodies)
}

/// Returns the time after which the run continues without an answer to the question.
fn lifetime(execution: &Execution<'_>, question: &Question) -> Duration {
    let longest = execution.engine.bounds.question;
    let is_for_client = question.reason == Reason::ClientTool;
    let call = question.call.as_ref().filter(|_| is_for_client);
    let tool = call.and_then(|call| execution.state.configuration.client_tool(&call.tool_name));
    let own = tool.and_then(|tool| tool.expires_in_seconds);
    own.map_or(longest, |seconds| scaled(Duration::from_secs(seconds.into())).min(longest))
}

/// The outcome of a call.
enum CallOutcome {
    Succeeded(Output),
    Failed(CallResult),
    /// The call may have had its effect. It stays without a result, and a person is asked.
    Unknown,
}

/// Runs one call. A call that must not run twice is recorded in the log before it runs.
async fn run(
    writer: &Writer<DynamoStorage>,
    key: LogKey,
    ReadyCall { call, tool, arguments }: &ReadyCall,
) -> Result<CallOutcome, Error> {
    if !tool.idempotent {
        writer.append(Body::ToolCallDispatched { tool_call_id: call.id.clone() }).await?;
        writer.flush().await?;
    }
    let started = Instant::now();
    let attempt =
        || sequent_tool::run(tool, sequent_tool::Call::new(key.tenant, key.run, &call.id, arguments.clone()));
    let output = attempt
        .retry(RETRIES)
        .when(|error| matches!(error, sequent_tool::Error::Unavailable(_)))
        .notify(|error, delay| {
            tracing::info!(run = %key.run, tool = tool.spec.name, %error, ?delay, "the tool is unavailable; retrying");
        })
        .await;
    tracing::info!(
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = tool.spec.name,
        gen_ai.tool.call.id = call.id,
        error.type = output.as_ref().err().map(sequent_tool::Error::code),
        latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        run = %key.run,
        "tool call"
    );
    Ok(match output {
        Ok(output) => CallOutcome::Succeeded(output),
        Err(sequent_tool::Error::Unknown(_)) => CallOutcome::Unknown,
        Err(error) => CallOutcome::Failed(CallResult::failed(error.code(), error.message().to_owned())),
    })
}

/// The events that record a call's outcome.
fn outcome_events(call: &ToolCall, outcome: CallOutcome) -> Vec<Body> {
    match outcome {
        CallOutcome::Succeeded(output) => {
            let effects = output.effects.into_iter().map(|effect| effect_event(call, effect));
            effects.chain([result_event(&call.id, CallResult::done(output.content))]).collect()
        }
        CallOutcome::Failed(result) => vec![result_event(&call.id, result)],
        CallOutcome::Unknown => Vec::new(),
    }
}

fn effect_event(call: &ToolCall, effect: Effect) -> Body {
    let tool_call_id = Some(call.id.clone());
    match effect {
        Effect::Cited(source) => Body::SourceCited(Citation {
            url: source.url,
            title: source.title,
            quote: source.quote,
            tool_call_id,
        }),
        Effect::Saved(artifact) => Body::ArtifactCreated(Artifact { tool_call_id, ..artifact }),
    }
}

/// The event of a call's result.
fn result_event(tool_call_id: &str, CallResult { content, error }: CallResult) -> Body {
    Body::ToolCallResult {
        message_id: MessageId::new(),
        tool_call_id: tool_call_id.to_owned(),
        content: cut(content, Tool::MAX_RESULT_BYTES, MAX_TEXT_BYTES, "the result"),
        error: error.map(str::to_owned),
    }
}
