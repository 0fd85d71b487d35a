//! Steps of a plan that child runs carry out.
//!
//! A child's id is in its parent's log before the child exists, so whoever continues the parent makes the same child or
//! finds it made. The parent's owner alone writes into the parent's log: it learns from the child's log what came of it.

use std::time::Duration;

use futures::future::try_join_all;
use sequent_conversation::{Error, Runs, Start, Work, enqueue};
use sequent_core::{RunId, Timestamp};
use sequent_event::{
    Body, Child, Configuration, Event, Orchestration, Outcome, Phase, State, Step, StepStatus,
};
use sequent_runlog::{LogKey, Segment, read_all};
use tokio::time::Instant;

use crate::{
    Engine,
    execute::{Ended, Execution, News, at, news},
};

/// How long an owner waits for children before it gives its process up.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(200);

impl Execution<'_> {
    /// Has `steps` done by child runs: starts what may start, takes in what has ended, and waits.
    pub(crate) async fn delegate(&mut self, steps: &[Step]) -> Result<Option<Ended>, Error> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if self.take_in().await? {
                return Ok(None); // the plan looks different now
            }
            self.start_children(steps).await?;
            if Instant::now() >= give_up {
                return Ok(Some(Ended::Waiting));
            }
            tokio::select! {
                biased;
                news = news(&self.writer) => return match news {
                    News::Cancelled(_) => Ok(None),
                    News::Stopped => Err(News::stopped(&self.writer).await),
                },
                () = at(self.hand_over) => return Ok(Some(Ended::Waiting)),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Writes down the children, then makes them: also those that a former owner wrote down and did not get to make.
    async fn start_children(&mut self, steps: &[Step]) -> Result<(), Error> {
        let of = |state: &State, step: &Step| state.children.iter().any(|child| child.name == step.id);
        let room = self.engine.bounds.parallel_children.saturating_sub(self.state.live_children().count());
        let new: Vec<Step> = steps.iter().filter(|step| !of(&self.state, step)).take(room).cloned().collect();
        if new.is_empty() && self.made {
            return Ok(());
        }
        for step in new {
            if !self.state.open_steps.contains(&step.id) {
                self.append(Body::StepStarted { step_name: step.id.clone() }).await?;
            }
            let (name, description) = (step.id.clone(), Some(step.title.clone()));
            self.append(Body::SubagentStarted { subagent_run_id: RunId::new(), name, description }).await?;
        }
        self.state = self.writer.flush().await?;
        let live: Vec<Child> = self.state.live_children().cloned().collect();
        for child in &live {
            if let Some(step) = steps.iter().find(|step| step.id == child.name) {
                let start = self.child(child.run, step, steps.len());
                Box::pin(enqueue(&self.engine.storage, self.engine.settings, &start)).await?;
            }
        }
        self.made = true;
        Ok(())
    }

    /// The run that carries out `step`.
    fn child(&self, run: RunId, step: &Step, shares: usize) -> Start {
        let configuration = Configuration {
            orchestration: Orchestration::Direct,
            deliverable_type: None,
            hold: None,
            tools: self.state.configuration.tools.clone(),
            budget: self.engine.bounds.share(&self.state, shares, Timestamp::now()),
            scopes: self.state.configuration.scopes.clone(),
        };
        let task =
            self.state.prompts.first().map_or("", |prompt| prompt.text.lines().next().unwrap_or_default());
        Start {
            tenant: self.key.tenant,
            user: self.run.user_id,
            run,
            project: self.run.project_id,
            new_project: false,
            content: format!("This is a part of a larger task: “{task}”.\n\n{}", step.instructions),
            model: self.run.model.clone(),
            work: Work::from(&configuration),
            parent: Some(self.run.id),
            claims: Vec::new(),
            held: None,
            replaces: None,
        }
    }

    /// Writes down what came of children that have ended. Whether any has.
    async fn take_in(&mut self) -> Result<bool, Error> {
        let live: Vec<Child> = self.state.live_children().cloned().collect();
        let mut any = false;
        for child in live {
            if !has_ended(self.engine, self.key, child.run).await? {
                continue;
            }
            let state = state_of(self.engine, self.key, child.run).await?;
            let (body, status) = report(&child, &state);
            let mut bodies = vec![body];
            bodies.extend(self.completed(&child.name, status));
            for body in bodies {
                self.append(body).await?;
            }
            any = true;
        }
        Ok(any)
    }

    /// Cancels the children that have not ended, and puts what they come to before the end in `bodies`.
    pub(crate) async fn cancel_children(&mut self, bodies: &mut Vec<Body>) -> Result<(), Error> {
        let live: Vec<Child> = self.state.live_children().cloned().collect();
        let Engine { storage, settings, .. } = self.engine;
        let reported = |bodies: &[Body], child: &Child| {
            bodies.iter().any(|body| match body {
                Body::SubagentError { subagent_run_id, .. } => *subagent_run_id == child.run,
                _ => false,
            })
        };
        // All at once: whoever cancelled is waiting.
        let going = live.iter().filter(|child| !reported(bodies, child));
        let going = going
            .map(|child| Box::pin(sequent_conversation::cancel_child(storage, *settings, self.key, child)));
        let gone = try_join_all(going).await?;
        bodies.splice(0..0, gone);
        Ok(())
    }
}

/// Whether one of the run's children has ended without its log knowing.
pub(crate) async fn one_has_ended(engine: &Engine, key: LogKey, state: &State) -> Result<bool, Error> {
    for child in state.live_children() {
        if has_ended(engine, key, child.run).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn has_ended(engine: &Engine, key: LogKey, child: RunId) -> Result<bool, Error> {
    match Runs::new(engine.store(), key.tenant).get(child).await {
        Ok(row) => Ok(row.has_ended()),
        Err(Error::NotFound) => Ok(false), // written down, not made yet
        Err(error) => Err(error),
    }
}

async fn state_of(engine: &Engine, key: LogKey, child: RunId) -> Result<State, Error> {
    let segments = read_all(&engine.storage, LogKey { run: child, ..key }).await?;
    let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    State::of(&events).map_err(|error| sequent_runlog::Stopped::from(error).into())
}

/// What a child's end is in its parent's log.
fn report(child: &Child, state: &State) -> (Body, StepStatus) {
    let (subagent_run_id, usage) = (child.run, state.totals);
    let failed = |code: &str, message: &str| {
        let (code, message) = (code.to_owned(), message.to_owned());
        (Body::SubagentError { subagent_run_id, message, code, usage }, StepStatus::Failed)
    };
    match &state.phase {
        Phase::Finished(Outcome::Success) => {
            let result = state.answers.last().map_or_else(String::new, |answer| answer.text.clone());
            (Body::SubagentFinished { subagent_run_id, result, usage }, StepStatus::Done)
        }
        Phase::Failed { code, message } => failed(code, message),
        _ => failed("cancelled", "The child run was cancelled."),
    }
}
