//! The first request of a run that is not started: what its model would be sent.

use sequent_conversation::Error;
use sequent_core::{RunId, TenantId, Timestamp};
use sequent_event::{Body, Entry, State, TurnPosition};
use sequent_model::{Message, ModelName, ModelParameters, Role, ToolSpec};
use sequent_runlog::Stopped;
use serde_json::Value;

use crate::{
    Engine,
    conversation::{Conversation, Turn, mark},
    delegates,
    execution::tools_of_run,
    next::{Next, Purpose, next},
    offer::Offering,
    prompt::{Basis, Prepared, prepare},
    role::AgentRole,
};

/// A run that is not started.
#[derive(Debug, Clone)]
pub struct PreviewedRun {
    /// The events that its log would begin with.
    pub opening: Vec<Body>,
    /// The model. The default model of the deployment if absent.
    pub model: Option<ModelName>,
    /// The earlier messages of the conversation, oldest first.
    pub earlier: Vec<Message>,
}

/// The first request of a run, as it would be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewedRequest {
    /// The model that would be asked first.
    pub model: ModelName,
    /// The purpose of the request, as in the record of a request that was sent.
    pub purpose: String,
    /// The instructions as the model would read them.
    pub system: String,
    /// The tools that the request would offer.
    pub tools: Vec<ToolSpec>,
    /// The model has to call one of them.
    pub must_call: bool,
    /// The parameters of the call.
    pub parameters: ModelParameters,
    /// The JSON Schema of the answer, if it has to be JSON.
    pub output_schema: Option<Value>,
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// The estimated tokens of all of it.
    pub tokens: u64,
}

/// Computes the first request of a run. No model is asked and nothing is stored. MCP servers may be asked for their tools.
///
/// # Errors
/// If the agent of the run cannot be read.
pub async fn preview(
    engine: &Engine,
    tenant: TenantId,
    run: PreviewedRun,
) -> Result<PreviewedRequest, Error> {
    let state = opened(run.opening)?;
    let configuration = &state.configuration;
    let role = match configuration.agent.as_deref() {
        Some(agent) => Some(AgentRole::read(&engine.agents, tenant, agent).await?),
        None => None,
    };
    let tools = tools_of_run(engine, tenant, configuration, role.as_ref()).await?;
    let agents = delegates::of_run(engine, tenant, &state).await?;
    let model = match run.model {
        Some(model) => model,
        None => engine.models.default_model().await,
    };
    let purpose = match next(&state) {
        Next::Ask(purpose) => purpose,
        _ => Purpose::Answer,
    };
    let limit = configuration.agent.as_ref().and_then(|agent| agent.turns);
    let conversation = Conversation::of(turns(run.earlier, limit), &[], &state);
    let basis = Basis {
        offering: Offering { state: &state, tools: &tools, agents: &agents },
        role: role.as_ref().map(|role| role.instructions.as_str()),
        abilities: &engine.models.abilities().known(),
    };
    Ok(PreviewedRequest::of(prepare(&basis, purpose, &model, &conversation)))
}

impl PreviewedRequest {
    fn of(prepared: Prepared) -> Self {
        let Prepared { request, record, .. } = prepared;
        Self {
            model: request.model,
            purpose: record.purpose,
            system: request.system.unwrap_or_default(),
            tools: request.tools,
            must_call: request.must_call,
            parameters: request.parameters,
            output_schema: request.output_schema,
            messages: request.messages,
            tokens: record.tokens,
        }
    }
}

/// The state of a log that begins with these events.
fn opened(bodies: Vec<Body>) -> Result<State, Error> {
    let mut state = State::default();
    for body in bodies {
        let event = Entry::new(Timestamp::now(), body).at_seq(state.next());
        state.apply(&event).map_err(Stopped::from)?;
    }
    Ok(state)
}

/// The turns of earlier messages, each of which begins with a message of a person: the latest ones if the agent limits them.
fn turns(messages: Vec<Message>, limit: Option<u32>) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for message in messages {
        let answered = |turn: &Turn| turn.messages.last().is_some_and(|last| last.role == Role::Assistant);
        let begins = message.role == Role::User && turns.last().is_none_or(answered);
        match turns.last_mut().filter(|_| !begins) {
            Some(turn) => turn.messages.push(message),
            None => turns.push(Turn { at: at(turns.len()), messages: vec![message] }),
        }
    }
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let left_out = turns.len().saturating_sub(limit);
    let last = turns.drain(..left_out).next_back();
    let marked = last.map(|turn| Turn { at: turn.at, messages: vec![mark()] });
    turns.splice(0..0, marked);
    turns
}

fn at(index: usize) -> TurnPosition {
    TurnPosition { depth: u32::try_from(index).unwrap_or(u32::MAX), run: RunId::new() }
}
