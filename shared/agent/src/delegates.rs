//! The agents that can carry out steps of a plan: those that the tenant has published.

use sequent_conversation::Error;
use sequent_core::TenantId;
use sequent_definitions::{AgentDefinition, PublishedAgent};
use sequent_event::{Configuration, Orchestration, State, StepAgent};
use sequent_model::ModelName;

use crate::Engine;

/// Agents that are offered at most, in the order of their names.
const MAX_OFFERED: usize = 20;
/// Bytes of a description that are offered at most.
const MAX_DESCRIPTION: usize = 300;

/// An agent that can carry out a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delegate {
    pub(crate) agent: StepAgent,
    pub(crate) description: String,
}

/// Reads the agents that can carry out steps of the run. A run without a plan, and a child run, have none.
///
/// # Errors
/// If the table fails.
pub(crate) async fn of_run(engine: &Engine, tenant: TenantId, state: &State) -> Result<Vec<Delegate>, Error> {
    if state.configuration.orchestration != Orchestration::Plan || state.parent.is_some() {
        return Ok(Vec::new());
    }
    let published = engine.agents.published(tenant).await?;
    let usable = published.into_iter().filter(|agent| {
        let AgentDefinition { model, fallbacks, .. } = &*agent.definition;
        can_begin(&agent.definition) && may_ask(engine, &state.configuration, model.iter().chain(fallbacks))
    });
    Ok(usable.take(MAX_OFFERED).map(delegate).collect())
}

fn delegate(agent: PublishedAgent) -> Delegate {
    let PublishedAgent { id, name, version, definition } = agent;
    let mut description = definition.description.trim().to_owned();
    description.truncate(description.floor_char_boundary(MAX_DESCRIPTION));
    Delegate { agent: StepAgent { id, name: name.to_string(), version }, description }
}

/// Returns `true` if the instructions of the agent can be rendered: a step gives no values to variables.
fn can_begin(definition: &AgentDefinition) -> bool {
    definition.variables.values().all(|variable| !variable.required)
}

/// Returns `true` if the deployment and the plan of the account allow the models of an agent.
pub(crate) fn may_ask<'m>(
    engine: &Engine,
    configuration: &Configuration,
    mut models: impl Iterator<Item = &'m ModelName>,
) -> bool {
    let planned = |model: &ModelName| {
        let fits = |pattern: &String| sequent_model::matches(pattern, model.as_str());
        configuration.models.as_ref().is_none_or(|patterns| patterns.iter().any(fits))
    };
    models.all(|model| engine.models.allows(model) && planned(model))
}

#[cfg(test)]
mod tests {
    use sequent_core::{AgentId, Timestamp, UserId};
    use sequent_definitions::{LabelMove, NewAgent, NewVersion};
    use sequent_model::{Client, Config};
    use sequent_runlog::DynamoStorage;
    use serde_json::{Value, json};

    use super::*;

    async fn publish(engine: &Engine, tenant: TenantId, name: &str, definition: Value) -> AgentId {
        let content = serde_json::from_value(definition).unwrap();
        let version = NewVersion { content, change: None, user: UserId::new() };
        let new = NewAgent { name: name.parse().unwrap(), version };
        let now = Timestamp::now();
        let agent = engine.agents.create(tenant, &new, now).await.unwrap();
        let production = "production".parse().unwrap();
        let to = LabelMove { version: 1, expected: None };
        engine.agents.set_label(tenant, &name.parse().unwrap(), &production, to, now).await.unwrap();
        agent.id
    }

    #[tokio::test]
    async fn agents_are_offered_whose_models_the_plan_of_the_account_allows() {
        let storage = DynamoStorage::new(sequent_tables::testing::store().await);
        let engine = Engine::new(storage, Client::new(Config::demo()));
        let tenant = TenantId::new();
        let cheap = publish(&engine, tenant, "cheap", json!({"description": " Is brief. "})).await;
        publish(&engine, tenant, "dear", json!({"fallbacks": ["openai/dear-1"]})).await;
        let models = Some(vec!["openai/cheap-*".to_owned()]);
        let configuration =
            Configuration { orchestration: Orchestration::Plan, models, ..Configuration::default() };
        let state = State { configuration, ..State::default() };
        let agent = StepAgent { id: cheap, name: "cheap".to_owned(), version: 1 };
        let expected = Delegate { agent, description: "Is brief.".to_owned() };
        assert_eq!(of_run(&engine, tenant, &state).await.unwrap(), [expected]);

        let any = Configuration { models: None, ..state.configuration.clone() };
        let state = State { configuration: any, ..state };
        assert_eq!(of_run(&engine, tenant, &state).await.unwrap().len(), 2);
        let direct = State::default();
        assert!(of_run(&engine, tenant, &direct).await.unwrap().is_empty(), "there is no plan");
    }
}
