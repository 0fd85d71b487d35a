//! The way in which a new run works: what its request chooses and, where that leaves something open, its agent.

use sequent_core::{Principal, Scope, Timestamp};
use sequent_definitions::{AgentDefinition, AgentReference, Agents, ChosenAgent, Surroundings, ToolPolicy};
use sequent_event::{Budget, ClientTool, Orchestration, RunNote};
use sequent_memory::{Memory, MemoryKey, TOOL_NAMES};
use sequent_model::{ModelName, ModelParameters};
use sequent_tables::{Key, PageRequest, idempotency, key};
use serde::Serialize;
use serde_json::{Map, Value};

use super::RunStarter;
use crate::{Error, RunLimits, RunOptions};

/// The choices of a request. What they leave open is chosen by the agent or, without one, by the deployment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RunChoices {
    /// The agent. The default agent of the tenant, if there is one, if absent.
    pub agent: Option<AgentReference>,
    /// Values of variables in the agent's instructions.
    pub variables: Map<String, Value>,
    /// The model that answers.
    pub model: Option<ModelName>,
    /// The order of model calls and tools.
    pub orchestration: Option<Orchestration>,
    /// The document that the run delivers. It replaces the schema and the document of the agent.
    pub deliverable_type: Option<String>,
    /// The tools that the model may call, as far as the agent may.
    pub tools: Option<Vec<String>>,
    /// The tools that the client carries out, which no other tool has the names of.
    pub client_tools: Vec<ClientTool>,
    /// The JSON Schema of the answer. It replaces the schema and the document of the agent.
    pub output_schema: Option<Value>,
    /// Parameters of the model calls.
    pub parameters: ModelParameters,
    /// Limits of the run. Where the agent has a lower one, that one applies.
    pub budget: RunLimits,
}

/// The way in which a new run works.
#[derive(Debug, Clone, Default)]
pub struct RunSetup {
    /// The model that answers. The default model if absent.
    pub model: Option<ModelName>,
    /// The models that the agent names for the case that the first cannot answer.
    pub fallbacks: Vec<ModelName>,
    /// The options of the run. Its scopes are those of the caller.
    pub options: RunOptions,
    /// The instructions of the agent, which are a part of what the first model call costs.
    pub instructions: String,
}

impl RunChoices {
    /// Completes the choices of `caller` with those of the agent, and reads the notes of the agent about the caller.
    pub(super) async fn complete(
        self,
        agents: &Agents,
        memory: &Memory,
        caller: &Principal,
    ) -> Result<RunSetup, Error> {
        let surroundings = Surroundings::on(Timestamp::now());
        let chosen =
            agents.choose(caller.tenant, self.agent.as_ref(), &self.variables, &surroundings).await?;
        let mut setup = match chosen {
            Some(agent) => self.declaring(&agent.definition)?.with_agent(agent),
            None if self.variables.is_empty() => self.without_agent(),
            None => return Err(Error::VariablesWithoutAgent),
        };
        if setup.options.deliverable_type.is_some() {
            caller.require(Scope::ArtifactsWrite)?;
        }
        if let Some(agent) = setup.options.agent.as_ref().filter(|agent| agent.max_notes.is_some()) {
            let of = MemoryKey { tenant: caller.tenant, agent: agent.id, user: caller.user };
            setup.options.notes = memory.notes(of).await?.into_iter().map(RunNote::from).collect();
        }
        Ok(setup)
    }

    /// Adds the tools of the client that the agent has.
    fn declaring(mut self, definition: &AgentDefinition) -> Result<Self, Error> {
        self.client_tools = definition.with_client_tools(self.client_tools)?;
        Ok(self)
    }

    fn without_agent(self) -> RunSetup {
        let options = RunOptions {
            orchestration: self.orchestration.unwrap_or_default(),
            deliverable_type: self.deliverable_type,
            tools: self.tools,
            client_tools: self.client_tools,
            output_schema: self.output_schema,
            parameters: self.parameters,
            budget: self.budget,
            scopes: None,
            evaluation: None,
            agent: None,
            schedule: None,
            hook: None,
            notes: Vec::new(),
        };
        RunSetup { model: self.model, options, ..RunSetup::default() }
    }

    /// Completes the choices with those of the agent.
    #[must_use]
    pub fn with_agent(mut self, agent: ChosenAgent) -> RunSetup {
        let ChosenAgent { agent, definition, instructions } = agent;
        if self.output_schema.is_none() && self.deliverable_type.is_none() {
            self.output_schema = definition.output_schema.clone().map(Into::into);
            self.deliverable_type = definition.deliverable_type.map(|kind| kind.to_string());
        }
        self.model = self.model.or_else(|| definition.model.clone());
        self.orchestration = self.orchestration.or(Some(definition.orchestration));
        self.tools = tools(self.tools, &definition);
        self.parameters = self.parameters.or(&definition.parameters);
        self.budget = self.budget.lower(Budget::from(definition.budget).into());
        let setup = self.without_agent();
        RunSetup {
            fallbacks: definition.fallbacks.clone(),
            options: RunOptions { agent: Some(agent), ..setup.options },
            instructions,
            ..setup
        }
    }
}

impl RunStarter {
    /// Completes the choices of a request with those of its agent. If the request has started a run before, with the same key,
    /// the agent may have been deleted since: the setup then does not matter.
    ///
    /// # Errors
    /// [`Error::Agent`] if there is no such agent, or its instructions cannot be rendered with these variables,
    /// [`Error::VariablesWithoutAgent`], [`Error::ClientToolTaken`], [`Error::Scope`] if the caller may not create the document that
    /// the run delivers.
    pub async fn set_up(
        &self,
        caller: &Principal,
        choices: RunChoices,
        key: Option<&idempotency::Request>,
    ) -> Result<RunSetup, Error> {
        match self.complete(choices, caller).await {
            Err(_) if self.replayed(key).await?.is_some() => Ok(RunSetup::default()),
            setup => setup,
        }
    }

    async fn complete(&self, choices: RunChoices, caller: &Principal) -> Result<RunSetup, Error> {
        let memory = Memory::new(self.runs.tables().clone());
        let setup = choices.complete(&self.agents, &memory, caller).await?;
        let declared = &setup.options.client_tools;
        if !declared.is_empty() {
            let request = PageRequest::new(key::http_tools(caller.tenant));
            let tools = self.runs.tables().page_items(&request).await?.items;
            let names: Vec<Key> = tools.iter().filter_map(Key::of_item).collect();
            if let Some(taken) = declared.iter().find(|tool| names.iter().any(|key| key.sk() == tool.name)) {
                return Err(Error::ClientToolTaken(taken.name.clone()));
            }
        }
        Ok(setup)
    }

    /// Returns the setup of a run that works as another one did, with the same version of its agent and the same notes.
    ///
    /// # Errors
    /// [`Error::Scope`] as [`set_up`](Self::set_up), [`Error::Agent`] if the agent cannot be read.
    pub async fn set_up_again(
        &self,
        caller: &Principal,
        model: Option<ModelName>,
        options: RunOptions,
    ) -> Result<RunSetup, Error> {
        if options.deliverable_type.is_some() {
            caller.require(Scope::ArtifactsWrite)?;
        }
        let options = RunOptions { scopes: None, schedule: None, hook: None, ..options };
        let Some(agent) = &options.agent else {
            return Ok(RunSetup { model, options, ..RunSetup::default() });
        };
        let definition = self.agents.version(caller.tenant, agent.id, agent.version).await?;
        let instructions = self.agents.instructions(caller.tenant, agent).await?;
        Ok(RunSetup { model, fallbacks: definition.fallbacks.clone(), options, instructions })
    }
}

/// The tools that the run may use: those of the agent, as far as the request does not leave them out. An agent with a memory need
/// not name the tools of its memory.
fn tools(requested: Option<Vec<String>>, definition: &AgentDefinition) -> Option<Vec<String>> {
    let Some(tools) = &definition.tools else { return requested };
    let usable = tools.iter().filter(|tool| tool.policy != Some(ToolPolicy::Never));
    let mut names: Vec<String> = usable.map(|tool| tool.name.to_string()).collect();
    let unnamed = |name: &&str| tools.iter().all(|tool| tool.name != *name);
    let of_memory = definition.memory.iter().flat_map(|_| TOOL_NAMES).filter(unnamed);
    names.extend(of_memory.map(str::to_owned));
    names.retain(|name| requested.as_ref().is_none_or(|requested| requested.contains(name)));
    Some(names)
}
