//! Agents with the label `production` as tools of `/mcp`.

use sequent_conversation::Runs;
use sequent_core::{TenantId, Timestamp, UserId};
use sequent_definitions::{Agents, LabelMove, NewAgent, NewVersion};
use serde_json::{Value, json};

use crate::{
    deployment::{Deployment, Person},
    endpoint::{call, failed, run_of, say, two},
};

async fn create(deployment: &Deployment, tenant: TenantId, name: &str, published: bool) {
    let agents = Agents::new(deployment.store().clone());
    let definition = json!({
        "description": "Answers questions about orders.",
        "instructions": "You help customers of {{ shop }}.",
        "variables": {"shop": {"type": "string", "description": "The shop.", "required": true}},
    });
    let content = serde_json::from_value(definition).unwrap();
    let version = NewVersion { content, change: None, user: UserId::new() };
    let new = NewAgent { name: name.parse().unwrap(), version };
    agents.create(tenant, &new, Timestamp::now()).await.unwrap();
    if published {
        let to = LabelMove { version: 1, expected: None };
        let label = "production".parse().unwrap();
        agents.set_label(tenant, &name.parse().unwrap(), &label, to, Timestamp::now()).await.unwrap();
    }
}

async fn tools(deployment: &Deployment, person: &Person) -> Vec<Value> {
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let listed = say(deployment, &person.token, &list).await.json();
    listed["result"]["tools"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_published_agent_is_a_tool_of_its_tenant() {
    let (deployment, ada, bob) = two().await;
    let before = tools(&deployment, &ada).await.len();
    create(&deployment, ada.tenant(), "support", true).await;
    create(&deployment, ada.tenant(), "draft", false).await;
    let listed = tools(&deployment, &ada).await;
    assert_eq!(listed.len(), before + 1, "{listed:?}");
    let tool = listed.last().unwrap();
    assert_eq!(tool["name"], "ask_support");
    assert!(tool["description"].as_str().unwrap().starts_with("Answers questions about orders."), "{tool}");
    assert_eq!(tool["inputSchema"]["properties"]["variables"]["required"], json!(["shop"]));
    assert_eq!(tool["inputSchema"]["required"], json!(["input", "variables"]));
    assert_eq!(tools(&deployment, &bob).await.len(), before);

    let arguments = json!({"input": "Where is it?", "variables": {"shop": "Tidal Books"}});
    let started = call(&deployment, &ada.token, "ask_support", arguments.clone()).await;
    let run = Runs::new(deployment.store(), ada.tenant()).get(run_of(&started)).await.unwrap();
    let agent = run.options.agent.unwrap();
    assert_eq!((agent.name.as_str(), agent.version), ("support", 1));
    assert_eq!(agent.variables["shop"], "Tidal Books");

    let missing = call(&deployment, &ada.token, "ask_support", json!({"input": "Where is it?"})).await;
    assert!(failed(&missing).contains("shop"), "{missing}");
    for (person, tool) in [(&bob, "ask_support"), (&ada, "ask_draft")] {
        let refused = call(&deployment, &person.token, tool, arguments.clone()).await;
        assert_eq!(refused["isError"], true, "{tool}: {refused}");
    }
}
