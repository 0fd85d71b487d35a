//! Starting an evaluation: checks the request, and starts the run that carries it out.

use sequent_conversation::{
    Continues, Destination, OnConflict, Prompt, RunLimits, RunOptions, RunRequest, RunRows, RunSetup,
    RunStarter,
};
use sequent_core::{DatasetId, Principal, ProjectId, Timestamp};
use sequent_definitions::{AgentReference, Agents, NamedAgent};
use sequent_event::{EvaluationSetup, Scorer};
use sequent_model::ModelName;
use sequent_tables::idempotency::Request;
use sequent_tool::OutputSchema;
use serde::{Deserialize, Serialize};

use crate::{Dataset, Datasets, Error, Evaluation, EvaluationRun, Evaluations};

/// Child runs of an evaluation at most: answers, and judgements of them. All of them are in one log.
pub const MAX_CHILD_RUNS: usize = 500;
const MAX_REPETITIONS: u32 = 10;
const MAX_SCORERS: usize = 10;
/// Bytes of the scorers in JSON at most: they are in an event, and in each item of a list.
const MAX_SCORER_BYTES: usize = 16_000;
const MAX_NAME: usize = 200;

/// A rule that scores the answers of an evaluation from 0 to 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum NewScorer {
    /// The answer is the expected one, apart from blanks around it. An expected value that is no text is compared as JSON.
    Exact,
    /// The answer contains the expected text, or all texts of an expected list.
    Contains,
    /// The answer is JSON that matches this schema.
    Schema {
        /// A JSON Schema, as for the answers of runs.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        schema: OutputSchema,
    },
    /// The answer is JSON with the expected value at this place.
    Pointer {
        /// A JSON pointer (RFC 6901). The expected value is at the same place if the item expects an object or a list.
        pointer: String,
    },
    /// An agent judges the answer.
    Judge {
        /// The agent, as in `POST /api/runs`.
        agent: AgentReference,
        /// The measure by which the agent judges.
        criteria: String,
    },
}

/// An evaluation to start.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "plain data")]
pub struct NewEvaluation {
    /// The agent, its version and the dataset if absent.
    pub name: Option<String>,
    pub dataset: DatasetId,
    pub agent: AgentReference,
    pub scorers: Vec<NewScorer>,
    pub repetitions: u32,
    /// The limits of the whole evaluation.
    pub budget: RunLimits,
    pub idempotency: Option<Request>,
}

/// An evaluation that was started.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "plain data")]
pub struct StartedEvaluation {
    pub started: EvaluationRun,
    /// An earlier request with the same idempotency key started it.
    pub replayed: bool,
}

/// The setup of an evaluation, with the models of all its agents.
struct FixedSetup {
    setup: EvaluationSetup,
    models: Vec<ModelName>,
}

impl NewEvaluation {
    /// Starts the run that carries out the evaluation. Its row is stored in the transaction that creates the run. The labels of
    /// agents and the items of the dataset are those of this moment.
    ///
    /// # Errors
    /// [`Error::NotAllowed`], [`Error::DatasetNotFound`], [`Error::Agent`] if there is no such agent, or as
    /// [`RunStarter::submit`].
    pub async fn start(&self, starter: &RunStarter, caller: &Principal) -> Result<StartedEvaluation, Error> {
        self.check()?;
        let tenant = caller.tenant;
        let store = starter.runs().tables();
        // The dataset or an agent may have been deleted since.
        if let Some(earlier) = starter.replayed(self.idempotency.as_ref()).await? {
            let started = Evaluations::new(store, tenant).get(earlier.run).await?;
            return Ok(StartedEvaluation { started, replayed: true });
        }
        let dataset = Datasets::new(store, tenant).get(self.dataset).await?;
        let FixedSetup { setup, models } = self.fixed(starter.agents(), caller, &dataset).await?;
        let agent = &setup.agent;
        let title = format!("{}@{} with {}", agent.name, agent.version, dataset.name);
        let prompt = Prompt::try_from(format!("Evaluate {title}."));
        let options = RunOptions {
            evaluation: Some(Box::new(setup.clone())),
            budget: self.budget,
            ..RunOptions::default()
        };
        let request = RunRequest {
            caller: caller.clone(),
            project: Destination::NewProject { id: ProjectId::new(), name: None },
            prompt: prompt.map_err(|error| not_allowed("/name", error))?,
            // The plan of the account has to allow the models of all agents, as if each could answer.
            setup: RunSetup { fallbacks: models, options, ..RunSetup::default() },
            on_conflict: OnConflict::default(),
            continues: Continues::Head,
            replay: None,
            idempotency: self.idempotency.clone(),
        };
        let name = self.name.clone().unwrap_or(title);
        let user_id = caller.user;
        let created_at = Timestamp::now();
        let rows = RunRows::new(move |id| {
            let name = name.clone();
            let setup = setup.clone();
            let evaluation = Evaluation { id, name, setup, user_id, created_at, summary: None };
            Ok(vec![evaluation.insert(tenant)?])
        });
        let started = Box::pin(starter.with_rows(Some(rows)).submit(&request)).await?;
        let replayed = started.replayed;
        let started = Evaluations::new(store, tenant).get(started.run).await?;
        Ok(StartedEvaluation { started, replayed })
    }

    /// Checks what can be checked without reading anything.
    fn check(&self) -> Result<(), Error> {
        let is_name = |name: &String| !name.trim().is_empty() && name.chars().count() <= MAX_NAME;
        if !self.name.iter().all(is_name) {
            return Err(not_allowed("/name", format!("must have 1 to {MAX_NAME} characters")));
        }
        if !(1..=MAX_REPETITIONS).contains(&self.repetitions) {
            return Err(not_allowed("/repetitions", format!("must be 1 to {MAX_REPETITIONS}")));
        }
        let bytes = serde_json::to_string(&self.scorers).map_or(usize::MAX, |text| text.len());
        if !(1..=MAX_SCORERS).contains(&self.scorers.len()) || bytes > MAX_SCORER_BYTES {
            let reason = format!("must be 1 to {MAX_SCORERS}, of at most {MAX_SCORER_BYTES} bytes in JSON");
            return Err(not_allowed("/scorers", reason));
        }
        for (number, scorer) in self.scorers.iter().enumerate() {
            let at = |member| format!("/scorers/{number}/{member}");
            match scorer {
                NewScorer::Pointer { pointer } if !pointer.is_empty() && !pointer.starts_with('/') => {
                    return Err(not_allowed(at("pointer"), "must be empty or begin with `/`"));
                }
                NewScorer::Judge { criteria, .. } if criteria.trim().is_empty() => {
                    return Err(not_allowed(at("criteria"), "must not be empty"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Replaces references by the versions that they name now.
    async fn fixed(
        &self,
        agents: &Agents,
        caller: &Principal,
        dataset: &Dataset,
    ) -> Result<FixedSetup, Error> {
        let NamedAgent { agent, definition } = agents.find(caller.tenant, &self.agent).await?;
        let mut models: Vec<ModelName> =
            definition.model.iter().chain(&definition.fallbacks).cloned().collect();
        let mut scorers = Vec::new();
        for scorer in self.scorers.iter().cloned() {
            scorers.push(match scorer {
                NewScorer::Exact => Scorer::Exact,
                NewScorer::Contains => Scorer::Contains,
                NewScorer::Schema { schema } => Scorer::Schema { schema: schema.into() },
                NewScorer::Pointer { pointer } => Scorer::Pointer { pointer },
                NewScorer::Judge { agent, criteria } => {
                    let NamedAgent { agent, definition } = agents.find(caller.tenant, &agent).await?;
                    models.extend(definition.model.iter().chain(&definition.fallbacks).cloned());
                    Scorer::Judge { agent, criteria }
                }
            });
        }
        let repetitions = self.repetitions;
        let setup =
            EvaluationSetup { dataset_id: dataset.id, items: dataset.items, repetitions, agent, scorers };
        match setup.child_runs() {
            0 => Err(not_allowed("/dataset_id", "must be a dataset with items")),
            1..=MAX_CHILD_RUNS => Ok(FixedSetup { setup, models }),
            runs => {
                let reason = format!(
                    "would need {runs} runs: the items, times the repetitions, times the judges and one. At most {MAX_CHILD_RUNS} are allowed"
                );
                Err(not_allowed("/dataset_id", reason))
            }
        }
    }
}

fn not_allowed(at: impl Into<String>, reason: impl ToString) -> Error {
    Error::NotAllowed(at.into(), reason.to_string())
}
