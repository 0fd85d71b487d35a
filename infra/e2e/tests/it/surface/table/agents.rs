//! The routes of agents and prompts.

use serde_json::{Value, json};

use super::{Call, Entry, Foreign, entry, keyed, list};
use crate::surface::Belongings;

/// Returns the names of a route whose body has a definition.
macro_rules! with_definition {
    ($others:literal) => {
        concat!(
            $others,
            " definition description persona display_name picture manner instructions prompts variables type default required",
            " model fallbacks parameters temperature top_p max_output_tokens stop reasoning_effort seed tools name policy",
            " client_tools input_schema expires_in_seconds orchestration deliverable_type output_schema budget max_steps max_tokens",
            " max_cost_micro_usd max_seconds history turns memory max_notes starters change"
        )
    };
}

pub(super) fn agents() -> Vec<Entry> {
    vec![
        entry("GET /api/agents", "limit cursor", |of| list("/api/agents", &of.cursors.agents)),
        entry("POST /api/agents", with_definition!("Idempotency-Key"), |of| {
            let uses = json!({"name": "theirs", "definition": {"prompts": [of.prompt]}});
            let uses = Call::to("/api/agents").body(uses).is(Foreign::NoPrompt);
            [vec![uses], keyed(of, "/api/agents")].concat()
        }),
        entry("GET /api/agents/{id}", "id", |of| each_agent(of, "")),
        entry("PATCH /api/agents/{id}", "id name", |of| {
            each_agent(of, "").into_iter().map(|call| call.body(json!({"name": of.agent_name}))).collect()
        }),
        entry("GET /api/agents/{id}/versions", "id limit cursor", |of| {
            let after = format!("/versions?cursor={}", of.cursors.agent_versions);
            [each_agent(of, "/versions"), each_agent(of, &after)].concat()
        }),
        entry("POST /api/agents/{id}/versions", with_definition!("Idempotency-Key id"), |of| {
            let path = format!("/api/agents/{}/versions", of.agent);
            let add = |call: Call| call.body(json!({"definition": {}}));
            let added = each_agent(of, "/versions").into_iter().map(add);
            added.chain(keyed(of, &path)).collect()
        }),
        entry("GET /api/agents/{id}/versions/{version}", "id version", |of| each_agent(of, "/versions/1")),
        entry(
            "POST /api/agents/{id}/preview",
            "id messages role content variables model client_tools name description input_schema expires_in_seconds \
             output_schema parameters temperature top_p max_output_tokens stop reasoning_effort seed",
            |of| {
                let conversation = json!({"messages": [{"role": "user", "content": "Where is my order?"}]});
                let previews = each_agent(of, "/preview").into_iter();
                previews.map(|call| call.body(conversation.clone())).collect()
            },
        ),
        entry("PUT /api/agents/{id}/labels/{label}", "id label version expected", |of| {
            each_agent(of, "/labels/production").into_iter().map(|call| call.body(moved())).collect()
        }),
        entry("DELETE /api/agents/{id}/labels/{label}", "id label", |of| {
            vec![no_agent(format!("/api/agents/{}/labels/production", of.agent))]
        }),
        entry("GET /api/agents/{id}/memory", "id", |of| each_agent(of, "/memory")),
        entry("DELETE /api/agents/{id}/memory/{note}", "id note", |of| {
            vec![no_agent(format!("/api/agents/{}/memory/{}", of.agent, of.note))]
        }),
        entry("DELETE /api/agents/{id}/memory", "id", |of| each_agent(of, "/memory")),
        entry("DELETE /api/agents/{id}", "id", |of| vec![no_agent(format!("/api/agents/{}", of.agent))]),
        entry("GET /api/default-agent", "", |_| vec![Call::to("/api/default-agent")]),
        entry("PUT /api/default-agent", "agent", |of| {
            let set = |agent: &String| no_agent("/api/default-agent".into()).body(json!({"agent": agent}));
            let at_label = format!("{}@production", of.agent_name);
            [&of.agent, &of.agent_name, &at_label].map(set).into()
        }),
        entry("GET /api/agent-starters", "", |_| vec![Call::to("/api/agent-starters")]),
    ]
}

pub(super) fn prompts() -> Vec<Entry> {
    vec![
        entry("GET /api/prompts", "limit cursor", |of| list("/api/prompts", &of.cursors.prompts)),
        entry("POST /api/prompts", "Idempotency-Key name template change", |of| keyed(of, "/api/prompts")),
        entry("GET /api/prompts/{name}", "name", |of| vec![no_prompt(of, "")]),
        entry("GET /api/prompts/{name}/versions", "name limit cursor", |of| {
            let after = format!("/versions?cursor={}", of.cursors.prompt_versions);
            vec![no_prompt(of, "/versions"), no_prompt(of, &after)]
        }),
        entry("POST /api/prompts/{name}/versions", "Idempotency-Key name template change", |of| {
            let path = format!("/api/prompts/{}/versions", of.prompt);
            let add = no_prompt(of, "/versions").body(json!({"template": "Be kind."}));
            [vec![add], keyed(of, &path)].concat()
        }),
        entry("GET /api/prompts/{name}/versions/{version}", "name version", |of| {
            vec![no_prompt(of, "/versions/1")]
        }),
        entry("GET /api/prompts/{name}/diff", "name from to", |of| vec![no_prompt(of, "/diff?from=1&to=2")]),
        entry("PUT /api/prompts/{name}/labels/{label}", "name label version expected", |of| {
            vec![no_prompt(of, "/labels/production").body(moved())]
        }),
        entry("DELETE /api/prompts/{name}", "name", |of| vec![no_prompt(of, "")]),
    ]
}

/// Returns the creations that are repeated with an `Idempotency-Key`.
pub(super) fn repeatable(of: &Belongings) -> [Call; 4] {
    let name = of.idempotency_key.to_lowercase();
    let template = json!({"template": "Be kind."});
    [
        Call::to("/api/agents").body(json!({"name": name, "definition": {}})),
        no_agent(format!("/api/agents/{}/versions", of.agent)).body(json!({"definition": {}})),
        Call::to("/api/prompts").body(json!({"name": name, "template": "Be kind."})),
        no_prompt(of, "/versions").body(template),
    ]
}

/// A label that stays at its version.
fn moved() -> Value {
    json!({"version": 1, "expected": 1})
}

fn no_agent(path: String) -> Call {
    Call::to(path).is(Foreign::NoAgent)
}

fn no_prompt(of: &Belongings, rest: &str) -> Call {
    Call::to(format!("/api/prompts/{}{rest}", of.prompt)).is(Foreign::NoPrompt)
}

fn each_agent(of: &Belongings, rest: &str) -> Vec<Call> {
    [&of.agent, &of.agent_name].map(|agent| no_agent(format!("/api/agents/{agent}{rest}"))).into()
}
