//! The loop of an owner. In this crate nothing else closes a run's log or releases its lease, except
//! that a dropped writer releases the lease.

use sequent_conversation::{Error, Runs, closing_bodies, finish, has_news, queue, wake_next};
use sequent_core::Timestamp;
use sequent_event::{Body, Phase, RunOutcome, StepStatus};
use sequent_runlog::{DynamoStorage, Finish, LogKey, Stopped, Writer};

use crate::{
    Engine, Window,
    ask_model::ask_model,
    bounds::LimitReached,
    children,
    evaluate::evaluate,
    execution::{Execution, Flow, run_error},
    jobs::{self, RunJobs},
    lost_call::record_lost_call,
    next::{Next, next},
    tools,
};

/// Owners in a row that may be lost, or may hand the run over, without any progress. More of them end the run as fatal to
/// every process. An owner that waits for child runs or jobs does not count.
const MAX_STALLED_OWNERS: u32 = 50;

/// The result of an execution for its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executed {
    /// The log is closed: the run has ended, or waits for answers from people.
    Closed,
    /// Time was running out: the lease is released, and the run is queued for another process.
    HandedOver,
    /// The run waits for its children or its jobs, and the lease is released. Their end continues the run.
    Waiting,
}

/// Executes the run until its log is closed, until it only waits, or until its `window` closes. Then queues
/// the run if it goes on, or wakes the next run of its project.
///
/// # Errors
/// Fails if the writer was stopped, or the run's row or conversation cannot be read. The lease is then released,
/// so the next process tries again.
pub async fn execute(
    engine: &Engine,
    key: LogKey,
    writer: Writer<DynamoStorage>,
    window: Option<Window>,
) -> Result<Executed, Error> {
    let runs = Runs::new(engine.store(), key.tenant);
    let run = runs.get(key.run).await?;
    let project = run.project_id;
    let is_child = run.parent_run_id.is_some();
    let mut signals = writer.signals();
    let execution = Execution::new(engine, key, run, writer, window);
    let run_loop = RunLoop { execution, jobs: RunJobs::default() };
    let executed = Box::pin(run_loop.run()).await;
    // A writer that was dropped releases its lease in a task of its own. Lambda freezes the process after the response,
    // so the task ends first. An error means that it has ended.
    let _ = signals.wait_for(|signals| signals.stopped).await;
    let executed = executed?;
    match executed {
        Executed::HandedOver => queue(engine.store(), key).await?,
        Executed::Closed if !is_child => wake_next(engine.store(), key.tenant, project).await?,
        Executed::Closed | Executed::Waiting => {}
    }
    Ok(executed)
}

/// The work of a run's owner until the run ends, waits or is handed over.
struct RunLoop<'a> {
    execution: Execution<'a>,
    jobs: RunJobs,
}

impl RunLoop<'_> {
    async fn run(mut self) -> Result<Executed, Error> {
        self.open().await?;
        loop {
            self.execution.refresh().await?;
            let seen = self.execution.inbox();
            let flow = match self.stop_reason() {
                Some(bodies) => Flow::End(bodies),
                None if self.execution.is_late() => Flow::HandOver,
                None => self.step().await?,
            };
            match flow {
                Flow::Continue => {}
                Flow::End(bodies) => {
                    if self.end_or_fail(bodies).await? {
                        return Ok(Executed::Closed);
                    }
                }
                Flow::HandOver => return self.hand_over().await,
                Flow::Wait if self.execution.has_news_since(seen).await? => {}
                Flow::Wait => return Box::pin(self.wait()).await,
            }
        }
    }

    /// Completes what the former owner left open, so that the log is in a state in which work can start.
    async fn open(&mut self) -> Result<(), Error> {
        let execution = &mut self.execution;
        for message_id in execution.state.unfinished() {
            execution.append(Body::MessageAbandoned { message_id }).await?;
        }
        if execution.state.phase != Phase::Running {
            let started = Body::RunStarted {
                thread_id: execution.run.project_id,
                run_id: execution.run.id,
                parent_run_id: execution.run.parent_run_id,
            };
            execution.append(started).await?;
        }
        Box::pin(record_lost_call(execution)).await
    }

    /// Does what the log calls for. If the log cannot take an event of this step the run ends: every owner would write it
    /// again.
    async fn step(&mut self) -> Result<Flow, Error> {
        match self.perform(next(&self.execution.state)).await {
            Err(Error::Stopped(error @ (Stopped::TooLarge(_) | Stopped::Invalid(_)))) => {
                Ok(Flow::End(self.refused(&error).await?))
            }
            performed => performed,
        }
    }

    /// As [`RunLoop::end`]. If the log cannot take the events, the run ends with an error.
    async fn end_or_fail(&mut self, bodies: Vec<Body>) -> Result<bool, Error> {
        match self.end(bodies).await {
            Err(Error::Stopped(error @ (Stopped::TooLarge(_) | Stopped::Invalid(_)))) => {
                let bodies = self.refused(&error).await?;
                self.end(bodies).await
            }
            ended => ended,
        }
    }

    /// The events that end the run because the log refused an event of its owner. Fails if the writer has stopped, too.
    async fn refused(&mut self, error: &Stopped) -> Result<Vec<Body>, Error> {
        // The state may contain the event that was refused.
        self.execution.flush().await?;
        tracing::error!(run = %self.execution.key.run, %error, "the log refused an event; ending the run");
        let (code, message) = match error {
            Stopped::TooLarge(_) => ("event_too_large", "A result is too large to be stored."),
            _ => ("event_invalid", "The run cannot be continued because of an internal error."),
        };
        // The response that the event belongs to was not recorded.
        Box::pin(record_lost_call(&mut self.execution)).await?;
        let mut bodies = closing_bodies(&self.execution.state);
        bodies.push(run_error(code, message));
        Ok(bodies)
    }

    async fn perform(&mut self, next: Next) -> Result<Flow, Error> {
        let Self { execution, jobs } = self;
        if matches!(next, Next::Tools | Next::Ask(_)) {
            if let Some(flow) = execution.load_role().await? {
                return Ok(flow);
            }
            execution.load_tools().await?;
            execution.load_delegates().await?;
        }
        let bodies = match next {
            Next::Tools => return Box::pin(tools::carry_out(execution, jobs)).await,
            Next::Ask(purpose) => return Box::pin(ask_model(execution, purpose)).await,
            Next::Delegate(steps) => return Box::pin(children::delegate(execution, &steps)).await,
            Next::Evaluate(setup) => return Box::pin(evaluate(execution, &setup)).await,
            Next::FollowUp(requests) => return Box::pin(jobs.follow_up(execution, requests)).await,
            Next::Fail { code, message } => return Ok(Flow::End(vec![run_error(code, &message)])),
            Next::Finish => return Ok(Flow::End(vec![execution.run_finished(RunOutcome::Success)])),
            Next::Begin(step_name) => vec![Body::StepStarted { step_name }],
            Next::Complete(step) => execution.step_ended(&step, StepStatus::Done),
            Next::Announce { website, document } => {
                vec![Body::WebsiteGenerationDone { artifact_id: website, document_id: document }]
            }
        };
        execution.append_all(bodies).await?;
        Ok(Flow::Continue)
    }

    /// The events that end the run, if it must end now.
    fn stop_reason(&self) -> Option<Vec<Body>> {
        let execution = &self.execution;
        let state = &execution.state;
        let end = if state.cancel.is_some() {
            execution.run_finished(RunOutcome::Cancelled)
        } else if state.stalled_owners > MAX_STALLED_OWNERS {
            run_error("too_many_crashes", "Every process that executed this run was lost.")
        } else {
            let limit = self.limit_reached()?;
            run_error(limit.code, &limit.message)
        };
        let mut bodies = closing_bodies(state);
        bodies.push(end);
        Some(bodies)
    }

    /// The limit that keeps the run from its next step, if it has reached one. What a complete answer still needs is not
    /// limited, but its jobs are not waited for longer than the run may take.
    fn limit_reached(&self) -> Option<LimitReached> {
        let Execution { engine, state, .. } = &self.execution;
        match next(state) {
            Next::Ask(_) | Next::Delegate(_) | Next::Evaluate(_) => {
                engine.bounds.exhausted(state, Timestamp::now())
            }
            Next::Tools | Next::FollowUp(_) if state.open_jobs().next().is_some() => {
                engine.bounds.out_of_time(state, Timestamp::now())
            }
            _ => None,
        }
    }

    /// Closes the log with `bodies`, the last of which is terminal. Returns `false` if new events of others
    /// came first: then the bodies before the terminal one are appended, and the run continues with the new
    /// events.
    async fn end(&mut self, mut bodies: Vec<Body>) -> Result<bool, Error> {
        let execution = &mut self.execution;
        let waits =
            matches!(bodies.last(), Some(Body::RunFinished { outcome: RunOutcome::Interrupt { .. }, .. }));
        if !waits {
            // After its end, no owner records the results of the run's children and jobs.
            let results = children::cancel_all(execution, &bodies).await?;
            bodies.splice(0..0, results);
            jobs::cancel_all(execution).await?;
        }
        let mut bodies = execution.writer.make_room(bodies).await?;
        let closing = finish(
            &execution.writer,
            execution.key.tenant,
            &execution.run,
            execution.known(),
            bodies.clone(),
        );
        if let Finish::Done(_) = Box::pin(closing).await? {
            return Ok(true);
        }
        bodies.pop();
        // A question belongs to the end that was not stored.
        bodies.retain(|body| !matches!(body, Body::ClarificationNeeded { .. }));
        execution.append_all(bodies).await?;
        execution.flush().await?;
        Ok(false)
    }

    /// Stores what is buffered and releases the lease for the next owner.
    async fn hand_over(self) -> Result<Executed, Error> {
        self.execution.writer.release().await?;
        Ok(Executed::HandedOver)
    }

    /// Releases the lease until there is something to continue with. This owner has acted on all that it has read, and on
    /// nothing that only its writer has read since: that is something to continue with.
    async fn wait(self) -> Result<Executed, Error> {
        let state = &self.execution.state;
        if state.live_children().next().is_none() && state.open_jobs().next().is_none() {
            // Nothing would ever wake the run.
            return self.hand_over().await;
        }
        let Execution { engine, key, writer, state, .. } = self.execution;
        let now = Timestamp::now();
        let waiting = writer.wait(state.last, now + engine.bounds.time_left(&state, now)).await?;
        // It may have come while this process held the lease: a worker that received the run then has skipped it.
        let has_news = has_news(&engine.runs(), key, &waiting).await?;
        Ok(if has_news { Executed::HandedOver } else { Executed::Waiting })
    }
}

#[cfg(test)]
mod tests;
