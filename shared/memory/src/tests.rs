//! Notes in real tables, made by the calls of runs.

use futures::future::join_all;
use sequent_core::{AgentId, ProjectId, RunId, TenantId, UserId};
use sequent_event::RunAgent;
use sequent_tables::{
    Row, Store,
    key::{self, DefinitionKind},
};
use sequent_tool::{Call, Error as ToolError};
use serde_json::{Value, json};

use crate::{FORGET, Memory, MemoryKey, Note, REMEMBER, tools};

struct Bench {
    store: Store,
    memory: Memory,
    key: MemoryKey,
}

impl Bench {
    async fn new() -> Self {
        let store = sequent_tables::testing::store().await;
        let key = MemoryKey { tenant: TenantId::new(), agent: AgentId::new(), user: UserId::new() };
        let bench = Self { memory: Memory::new(store.clone()), store, key };
        bench.create_agent(key.agent).await;
        bench
    }

    async fn create_agent(&self, agent: AgentId) {
        let head = key::definition(self.key.tenant, DefinitionKind::Agent, agent);
        self.store.put(Row::new(&head, &json!({"name": "support"})).unwrap()).await.unwrap();
    }

    /// Creates a run of this person, whose agent keeps so many notes.
    async fn run_of(&self, of: MemoryKey, max_notes: Option<u32>) -> RunId {
        let agent = RunAgent {
            id: of.agent,
            name: "support".to_owned(),
            version: 1,
            prompts: Vec::new(),
            variables: Default::default(),
            turns: None,
            max_notes,
        };
        let run = RunId::new();
        let row = json!({"user_id": of.user, "project_id": ProjectId::new(), "agent": agent});
        self.store.put(Row::new(&key::run(of.tenant, run), &row).unwrap()).await.unwrap();
        run
    }

    async fn run(&self) -> RunId {
        self.run_of(self.key, Some(20)).await
    }

    async fn call(&self, run: RunId, id: &str, tool: &str, arguments: Value) -> Result<String, ToolError> {
        let known = tools(&self.store).into_iter().find(|known| known.spec.name == tool).unwrap();
        let call = Call::new(self.key.tenant, run, id, arguments);
        sequent_tool::run(&known, call).await.map(|output| output.content)
    }

    async fn remember(&self, run: RunId, id: &str, note: &str) -> Result<String, ToolError> {
        self.call(run, id, REMEMBER, json!({"note": note})).await
    }

    async fn notes(&self) -> Vec<Note> {
        self.memory.notes(self.key).await.unwrap()
    }

    async fn texts(&self) -> Vec<String> {
        self.notes().await.into_iter().map(|note| note.text).collect()
    }
}

fn refused(outcome: Result<String, ToolError>) -> String {
    match outcome {
        Err(ToolError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_repeated_call_makes_one_note() {
    let bench = Bench::new().await;
    let run = bench.run().await;
    let first = bench.remember(run, "call_1", "Likes tea.").await.unwrap();
    assert_eq!(bench.remember(run, "call_1", "Likes tea.").await.unwrap(), first);
    let other = bench.run().await;
    assert_eq!(bench.remember(other, "call_1", "Likes tea.").await.unwrap(), first, "it is known already");
    bench.remember(other, "call_2", "Lives in Bern.").await.unwrap();
    assert_eq!(bench.texts().await, ["Likes tea.", "Lives in Bern."]);
    let [note, _] = bench.notes().await.try_into().unwrap();
    assert_eq!((note.run_id, first), (run, format!("Noted for later conversations as {}.", note.id)));
}

#[tokio::test]
async fn a_call_that_is_repeated_does_not_bring_back_a_deleted_note() {
    let bench = Bench::new().await;
    let run = bench.run().await;
    bench.remember(run, "call_1", "Likes tea.").await.unwrap();
    bench.memory.clear(bench.key).await.unwrap();
    assert!(refused(bench.remember(run, "call_1", "Likes tea.").await).contains("has deleted"));
    assert!(bench.notes().await.is_empty());
    bench.remember(run, "call_2", "Likes tea.").await.unwrap();
    assert_eq!(bench.texts().await, ["Likes tea."], "another call may note it again");
}

#[tokio::test]
async fn of_runs_that_make_notes_at_once_none_is_lost() {
    let bench = Bench::new().await;
    let make = async |number: usize| {
        let run = bench.run().await;
        bench.remember(run, "call_1", &format!("Note {number}.")).await.unwrap();
    };
    join_all((0..12).map(make)).await;
    let mut texts = bench.texts().await;
    texts.sort();
    let mut expected: Vec<String> = (0..12).map(|number| format!("Note {number}.")).collect();
    expected.sort();
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn a_full_memory_shows_the_model_its_notes_and_takes_one_after_one_is_forgotten() {
    let bench = Bench::new().await;
    let run = bench.run_of(bench.key, Some(2)).await;
    for number in 0..2 {
        bench.remember(run, &format!("call_{number}"), &format!("Note {number}.")).await.unwrap();
    }
    let why = refused(bench.remember(run, "call_2", "Likes tea.").await);
    let [first, _] = bench.notes().await.try_into().unwrap();
    assert!(why.contains(&format!("- {}: \"Note 0.\"", first.id)) && why.contains("`forget`"), "{why}");
    for _ in 0..2 {
        let gone = bench.call(run, "call_3", FORGET, json!({"note_id": first.id})).await.unwrap();
        assert_eq!(gone, format!("There is no note {} any more.", first.id));
    }
    bench.remember(run, "call_4", "Likes tea.").await.unwrap();
    assert_eq!(bench.texts().await, ["Note 1.", "Likes tea."]);
}

#[tokio::test]
async fn all_notes_have_so_many_bytes_at_most_and_fit_the_log_of_a_run() {
    let bench = Bench::new().await;
    let run = bench.run_of(bench.key, Some(50)).await;
    let mut made = 0;
    // Each character has four bytes.
    while bench
        .remember(run, &format!("call_{made}"), &format!("{}{made:03}", "🍵".repeat(297)))
        .await
        .is_ok()
    {
        made += 1;
    }
    let texts = bench.texts().await;
    assert_eq!((texts.len(), made), (6, 6));
    assert!(texts.concat().len() <= 8_000);
}

#[tokio::test]
async fn notes_are_of_one_agent_about_one_person_of_one_tenant() {
    let bench = Bench::new().await;
    let run = bench.run().await;
    bench.remember(run, "call_1", "Likes tea.").await.unwrap();
    let note = bench.notes().await.remove(0);
    let other_user = MemoryKey { user: UserId::new(), ..bench.key };
    let other_agent = MemoryKey { agent: AgentId::new(), ..bench.key };
    let other_tenant = MemoryKey { tenant: TenantId::new(), ..bench.key };
    bench.create_agent(other_agent.agent).await;
    for other in [other_user, other_agent, other_tenant] {
        assert!(bench.memory.notes(other).await.unwrap().is_empty(), "{other:?}");
        bench.memory.clear(other).await.unwrap();
        assert!(bench.memory.delete(other, note.id).await.is_err(), "{other:?}");
    }
    // The run of another person does not reach the note with its id.
    let theirs = bench.run_of(other_user, Some(20)).await;
    bench.call(theirs, "call_1", FORGET, json!({"note_id": note.id})).await.unwrap();
    bench.remember(theirs, "call_2", "Likes coffee.").await.unwrap();
    assert_eq!(bench.texts().await, ["Likes tea."]);
}

#[tokio::test]
async fn a_run_without_a_memory_and_a_deleted_run_make_no_notes() {
    let bench = Bench::new().await;
    let without = bench.run_of(bench.key, None).await;
    refused(bench.remember(without, "call_1", "Likes tea.").await);
    let run = bench.run().await;
    let noting = bench.memory.of_run(bench.key.tenant, run).await.unwrap();
    bench.store.delete(&key::run(bench.key.tenant, run)).await.unwrap();
    let text = "Likes tea.".to_owned().try_into().unwrap();
    let late = bench.memory.add(&noting, sequent_core::NoteId::new(), text, sequent_core::Timestamp::now());
    assert!(matches!(late.await, Err(crate::Error::NoMemory)), "the run was read before it was deleted");
    refused(bench.remember(run, "call_1", "Likes tea.").await);
    assert!(bench.notes().await.is_empty());
}

#[tokio::test]
async fn a_deleted_agent_has_no_notes_and_makes_no_more() {
    let bench = Bench::new().await;
    let other = MemoryKey { agent: AgentId::from_bits(bench.key.agent.bits() + 1), ..bench.key };
    bench.create_agent(other.agent).await;
    for of in [bench.key, MemoryKey { user: UserId::new(), ..bench.key }, other] {
        let run = bench.run_of(of, Some(20)).await;
        bench.remember(run, "call_1", "Likes tea.").await.unwrap();
    }
    let run = bench.run().await;
    let head = key::definition(bench.key.tenant, DefinitionKind::Agent, bench.key.agent);
    bench.store.delete(&head).await.unwrap();
    bench.memory.delete_of_agent(bench.key.tenant, bench.key.agent).await.unwrap();
    refused(bench.remember(run, "call_2", "Lives in Bern.").await);
    let rows =
        bench.store.page_items(&sequent_tables::PageRequest::new(key::memories(bench.key.tenant))).await;
    let rows = rows.unwrap().items;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(bench.memory.notes(other).await.unwrap().len(), 1, "those of other agents stay");
}

#[tokio::test]
async fn the_notes_of_a_run_are_deleted_alone() {
    let bench = Bench::new().await;
    let run = bench.run().await;
    bench.remember(run, "call_1", "Likes tea.").await.unwrap();
    bench.remember(bench.run().await, "call_1", "Lives in Bern.").await.unwrap();
    bench.memory.delete_of_run(bench.key, run).await.unwrap();
    assert_eq!(bench.texts().await, ["Lives in Bern."]);
}
