//! Agents and prompts with a real table.

mod labels;
mod limits;
mod runs;
mod service;
mod tool_rules;

use sequent_core::{TenantId, Timestamp, UserId};
use sequent_tables::{CursorKey, Store, testing};
use serde_json::{Map, Value, json};

use crate::*;

/// A tenant with agents and prompts of its own.
struct Bench {
    store: Store,
    agents: Agents,
    tenant: TenantId,
}

impl Bench {
    async fn new() -> Self {
        let store = testing::store().await;
        Self { agents: Agents::new(store.clone()), store, tenant: TenantId::new() }
    }

    async fn create(&self, name: &str, definition: Value) -> Result<Agent, Error> {
        let new = NewAgent { name: parsed(name), version: version(definition) };
        self.agents.create(self.tenant, &new, Timestamp::now()).await
    }

    async fn add(&self, agent: &str, definition: Value) -> Result<Agent, Error> {
        self.agents.add_version(self.tenant, &parsed(agent), &version(definition), Timestamp::now()).await
    }

    async fn prompt(&self, name: &str, text: &str) -> Result<NamedPrompt, Error> {
        let new = NewPrompt { name: parsed(name), version: text_version(text) };
        self.agents.prompts().create(self.tenant, &new, Timestamp::now()).await
    }

    async fn add_text(&self, name: &str, text: &str) -> Result<NamedPrompt, Error> {
        let prompts = self.agents.prompts();
        prompts.add_version(self.tenant, &parsed(name), &text_version(text), Timestamp::now()).await
    }

    async fn label(&self, agent: &str, label: &str, to: u32, expected: Option<u32>) -> Result<Agent, Error> {
        let to = LabelMove { version: to, expected };
        self.agents.set_label(self.tenant, &parsed(agent), &parsed(label), to, Timestamp::now()).await
    }

    async fn choose(&self, reference: &str, variables: Value) -> Result<Option<ChosenAgent>, Error> {
        let reference: Option<AgentReference> = (!reference.is_empty()).then(|| parsed(reference));
        let variables: Map<String, Value> = serde_json::from_value(variables).unwrap();
        let surroundings = Surroundings::on(Timestamp::from_millis(1_700_000_000_123));
        self.agents.choose(self.tenant, reference.as_ref(), &variables, &surroundings).await
    }

    async fn instructions(&self, chosen: &ChosenAgent) -> Result<String, Error> {
        self.agents.instructions(self.tenant, &chosen.agent).await
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn version(definition: Value) -> NewVersion<AgentDefinition> {
    let content = serde_json::from_value(definition).unwrap();
    NewVersion { content, change: None, user: UserId::new() }
}

fn text_version(text: &str) -> NewVersion<String> {
    NewVersion { content: text.to_owned(), change: Some("a note".to_owned()), user: UserId::new() }
}

fn cursors() -> CursorKey {
    CursorKey::new("a key for tests".to_owned().into())
}

/// The place and the line of a refused template.
fn flaw(refused: Result<impl std::fmt::Debug, Error>) -> (String, Option<u32>, String) {
    match refused.unwrap_err() {
        Error::Template(InvalidField { pointer, line, detail }) => (pointer, line, detail),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_agent_is_created_renamed_found_and_deleted() {
    let bench = Bench::new().await;
    let created = bench.create("support", json!({"description": "Helps."})).await.unwrap();
    assert_eq!((created.latest_version, created.description.as_str()), (1, "Helps."));
    let get = async |key: &str| bench.agents.get(bench.tenant, &parsed(key)).await;
    assert_eq!(get("support").await.unwrap(), created);
    assert_eq!(get(&created.id.to_string()).await.unwrap(), created);
    assert!(matches!(bench.create("support", json!({})).await, Err(Error::NameTaken(_))));
    bench.create("sales", json!({})).await.unwrap();

    let rename = async |from: &str, to: &str| {
        bench.agents.rename(bench.tenant, &parsed(from), &parsed(to), Timestamp::now()).await
    };
    assert!(matches!(rename("support", "sales").await, Err(Error::NameTaken(_))));
    assert_eq!(rename("support", "help").await.unwrap().id, created.id);
    assert_eq!(rename("help", "help").await.unwrap().id, created.id);
    assert!(matches!(get("support").await, Err(Error::AgentNotFound)));
    bench.create("support", json!({})).await.unwrap();

    bench.agents.delete(bench.tenant, &parsed("help")).await.unwrap();
    assert!(matches!(get("help").await, Err(Error::AgentNotFound)));
    assert!(matches!(get(&created.id.to_string()).await, Err(Error::AgentNotFound)));
    assert!(matches!(bench.add(&created.id.to_string(), json!({})).await, Err(Error::AgentNotFound)));
    let kept = bench.agents.version(bench.tenant, created.id, 1).await.unwrap();
    assert_eq!(kept.description, "Helps.");
    bench.create("help", json!({})).await.unwrap();
    let page = bench.agents.list(bench.tenant, &cursors(), None, None).await.unwrap();
    let names: Vec<&str> = page.items.iter().map(|agent| agent.name.as_str()).collect();
    assert_eq!(names, ["help", "support", "sales"], "the newest first");
}

#[tokio::test]
async fn another_tenant_has_none_of_them() {
    let mut bench = Bench::new().await;
    let agent = bench.create("support", json!({})).await.unwrap();
    bench.prompt("tone", "Be kind.").await.unwrap();
    bench.tenant = TenantId::new();
    for key in ["support".to_owned(), agent.id.to_string()] {
        assert!(matches!(bench.agents.get(bench.tenant, &parsed(&key)).await, Err(Error::AgentNotFound)));
        assert!(matches!(bench.choose(&key, json!({})).await, Err(Error::AgentNotFound)));
    }
    let version = bench.agents.version(bench.tenant, agent.id, 1).await;
    assert!(matches!(version, Err(Error::VersionNotFound(1))));
    let uses = bench.create("mine", json!({"prompts": ["tone"]})).await;
    assert!(matches!(uses, Err(Error::PromptNotFound)));
}

#[tokio::test]
async fn versions_are_listed_in_pages_the_newest_first() {
    let bench = Bench::new().await;
    for name in ["first", "second", "third"] {
        bench.create(name, json!({})).await.unwrap();
        for _ in 0..4 {
            bench.add(name, json!({})).await.unwrap();
        }
    }
    let page = async |agent: &str, cursor: Option<&str>| {
        bench.agents.versions(bench.tenant, &parsed(agent), &cursors(), cursor, Some(3)).await
    };
    for agent in ["first", "second", "third"] {
        let newest = page(agent, None).await.unwrap();
        let cursor = newest.next_cursor(&cursors()).unwrap();
        let oldest = page(agent, Some(&cursor)).await.unwrap();
        let numbers: Vec<u32> = newest.items.iter().chain(&oldest.items).map(|one| one.version).collect();
        assert_eq!(numbers, [5, 4, 3, 2, 1]);
        assert_eq!(oldest.next_cursor(&cursors()), None);
        let elsewhere = if agent == "first" { "second" } else { "first" };
        assert!(matches!(page(elsewhere, Some(&cursor)).await, Err(Error::Cursor(_))));
    }
}

#[tokio::test]
async fn a_prompt_that_is_created_again_continues_its_numbers() {
    let bench = Bench::new().await;
    let prompts = bench.agents.prompts();
    let name: DefinitionName = parsed("tone");
    bench.prompt("tone", "Be kind.").await.unwrap();
    bench.add_text("tone", "Be brief.").await.unwrap();
    assert!(matches!(bench.prompt("tone", "x").await, Err(Error::NameTaken(_))));
    bench
        .create("support", json!({"instructions": "{% include \"tone\" %}", "prompts": ["tone@1"]}))
        .await
        .unwrap();
    let chosen = bench.choose("support", json!({})).await.unwrap().unwrap();

    prompts.delete(bench.tenant, &name).await.unwrap();
    assert!(matches!(prompts.get(bench.tenant, &name).await, Err(Error::PromptNotFound)));
    assert!(matches!(prompts.version(bench.tenant, &name, 1).await, Err(Error::PromptNotFound)));
    assert!(matches!(bench.choose("support", json!({})).await, Err(Error::PromptNotFound)));
    assert_eq!(bench.prompt("tone", "Be exact.").await.unwrap().latest_version, 3);
    assert_eq!(bench.instructions(&chosen).await.unwrap(), "Be kind.");
    let difference = prompts.diff(bench.tenant, &name, 2, 3).await.unwrap();
    let texts: Vec<&str> = difference.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["Be brief.", "Be exact."]);
}

#[test]
fn the_starters_are_agents() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        name: DefinitionName,
        definition: AgentDefinition,
        change: String,
    }
    let starters = starters();
    assert_eq!(starters.len(), 4);
    for starter in starters {
        let Body { name, definition, change } = serde_json::from_value(starter).unwrap();
        crate::check::check(&definition).unwrap();
        let outline = crate::template::parse(&definition.instructions).unwrap();
        let samples = crate::variable::samples(&definition.variables);
        assert!(outline.variables.keys().all(|name| samples.contains_key(name)), "{name}");
        assert!(!definition.description.is_empty() && !definition.starters.is_empty() && !change.is_empty());
        let none =
            crate::variable::complete(&definition.variables, &Map::new(), &Surroundings::default()).unwrap();
        let rendered = crate::template::render(&definition.instructions, [], &none).unwrap();
        assert!(rendered.len() > 500 && !rendered.contains("{%"), "{name}: {rendered}");
    }
}
