//! Agents that keep notes about people.

use sequent_agent::{PreviewedRun, SentRequest, execute, preview};
use sequent_conversation::{Continues, Destination, NewRun, OnConflict, RunChoices, RunRequest, RunSetup};
use sequent_core::{Principal, RunId, UserId};
use sequent_event::{Phase, RunOutcome};
use sequent_memory::{Memory, MemoryKey, Note};
use serde_json::{Value, json};

use crate::bench::Bench;

const REMEMBER: &str = r#"/demo tokens=1 rate=0 tool=remember args={"note":"Likes\u0020tea."}"#;

impl Bench {
    fn memory(&self) -> Memory {
        Memory::new(self.engine.store().clone())
    }

    async fn memory_key(&self) -> MemoryKey {
        let agent = self.engine.agents.get(self.tenant, &"support".parse().unwrap()).await.unwrap().id;
        MemoryKey { tenant: self.tenant, agent, user: self.user }
    }

    async fn notes(&self) -> Vec<Note> {
        self.memory().notes(self.memory_key().await).await.unwrap()
    }

    /// Sets up a run of the agent for this caller.
    async fn set_up_for(&self, caller: &Principal, agent: &str) -> RunSetup {
        let choices = RunChoices { agent: Some(agent.parse().unwrap()), ..RunChoices::default() };
        self.starter().set_up(caller, choices, None).await.unwrap()
    }

    /// Has the agent make a note in a conversation of its own.
    async fn remember(&self) -> RunId {
        let asking = self.asking_agent(json!({})).await;
        let asking = NewRun { content: REMEMBER.into(), ..asking };
        self.execute(&asking).await;
        asking.run
    }
}

fn parts(request: SentRequest) -> (String, Vec<String>) {
    let SentRequest::Exact { system, tools, .. } = request else { panic!("{request:?}") };
    (system, tools.into_iter().map(|tool| tool.name).collect())
}

#[tokio::test]
async fn a_note_is_told_in_later_conversations_and_what_they_were_told_stays() {
    let bench = Bench::new().await;
    bench.agent(json!({"instructions": "You help.", "tools": [], "memory": {}})).await;
    let first = bench.remember().await;
    let (system, tools) = parts(bench.exact(first).await);
    assert!(!system.contains("Notes that you made"), "{system}");
    assert_eq!(tools, ["forget", "remember"], "the agent need not name them");
    let [note] = bench.notes().await.try_into().unwrap();
    assert_eq!((note.text.as_str(), note.run_id), ("Likes tea.", first));

    let second = bench.asking_agent(json!({})).await;
    bench.execute(&second).await;
    let told = bench.exact(second.run).await;
    let (system, _) = parts(told.clone());
    let (before, notes) = system.split_once("\n\nNotes that you made in earlier conversations").unwrap();
    assert!(before.ends_with("\n\nYou help."), "after the instructions of the agent: {system}");
    assert!(
        notes.contains("information and no orders")
            && notes.contains(&format!("- {}: \"Likes tea.\"", note.id))
    );
    let rows = sequent_tables::testing::all_rows(bench.engine.store()).await;
    let is_offer = |row: &&sequent_tables::Item| format!("{row:?}").contains("#offers");
    let offers: Vec<_> = rows.iter().filter(is_offer).collect();
    assert!(!offers.is_empty() && !format!("{offers:?}").contains("Likes tea."), "the log alone has notes");

    bench.memory().delete(bench.memory_key().await, note.id).await.unwrap();
    bench.change(json!({"instructions": "You do something else."})).await;
    assert_eq!(bench.exact(second.run).await, told, "byte for byte");
    bench.change(json!({"instructions": "You help.", "memory": {"max_notes": 3}})).await;
    let third = bench.asking_agent(json!({})).await;
    assert_eq!(third.options.notes, []);
    assert_eq!(third.options.agent.unwrap().max_notes, Some(3));
}

#[tokio::test]
async fn a_preview_shows_the_notes_and_the_tools_of_the_memory() {
    let bench = Bench::new().await;
    bench.agent(json!({"instructions": "You help.", "memory": {}})).await;
    bench.remember().await;
    let setup = bench.set_up_for(&bench.caller(), "support").await;
    let request = RunRequest {
        caller: bench.caller(),
        project: Destination::or_new(None),
        prompt: "Where is my order?".to_owned().try_into().unwrap(),
        setup,
        on_conflict: OnConflict::default(),
        continues: Continues::default(),
        replay: None,
        idempotency: None,
    };
    let opening = bench.starter().opening(&request).await.unwrap();
    let run = PreviewedRun { opening, model: None, earlier: Vec::new() };
    let previewed = preview(&bench.engine, bench.tenant, run).await.unwrap();
    let asking = bench.asking_agent(json!({})).await;
    bench.execute(&asking).await;
    let (system, tools) = parts(bench.exact(asking.run).await);
    let previewed_tools: Vec<String> = previewed.tools.into_iter().map(|tool| tool.name).collect();
    assert_eq!((&previewed.system, &previewed_tools), (&system, &tools));
    assert!(system.contains("Likes tea.") && tools.contains(&"remember".to_owned()), "{system} {tools:?}");
}

#[tokio::test]
async fn another_person_and_another_agent_are_told_nothing() {
    let bench = Bench::new().await;
    bench.agent(json!({"instructions": "You help.", "memory": {}})).await;
    bench.remember().await;
    bench.named_agent("other", json!({"memory": {}})).await;
    bench.named_agent("forgetful", json!({})).await;
    let notes =
        async |caller: &Principal, agent: &str| bench.set_up_for(caller, agent).await.options.notes.len();
    let colleague = Principal { user: UserId::new(), ..bench.caller() };
    assert_eq!(notes(&bench.caller(), "support").await, 1);
    assert_eq!(notes(&colleague, "support").await, 0);
    assert_eq!(notes(&bench.caller(), "other").await, 0);
    assert_eq!(notes(&bench.caller(), "forgetful").await, 0);
    let stranger = Bench::of_process(&bench);
    let stranger = Bench { tenant: sequent_core::TenantId::new(), ..stranger };
    stranger.agent(json!({"memory": {}})).await;
    assert_eq!(stranger.set_up_for(&stranger.caller(), "support").await.options.notes, []);
}

#[tokio::test]
async fn the_policies_of_the_agent_hold_for_the_tools_of_its_memory() {
    let bench = Bench::new().await;
    let never = json!({"name": "remember", "policy": "never"});
    let ask = json!({"name": "remember", "policy": "ask"});
    let definition = |tool: &Value| json!({"tools": [tool], "memory": {}});
    bench.agent(definition(&never)).await;
    let asking = bench.asking_agent(json!({})).await;
    bench.execute(&NewRun { content: REMEMBER.into(), ..asking.clone() }).await;
    assert_eq!(parts(bench.exact(asking.run).await).1, ["forget"]);
    assert_eq!(bench.notes().await, []);

    bench.change(definition(&ask)).await;
    let asking = bench.asking_agent(json!({})).await;
    let asking = NewRun { content: REMEMBER.into(), ..asking };
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    let phase = bench.state(asking.run).await.phase;
    assert!(matches!(phase, Phase::Finished(RunOutcome::Interrupt { .. })), "{phase:?}");
    assert_eq!(bench.notes().await, []);
}

#[tokio::test]
async fn a_run_without_a_memory_and_a_child_run_are_not_offered_the_tools() {
    let bench = Bench::new().await;
    bench.agent(json!({"instructions": "You help.", "memory": {}})).await;
    bench.remember().await;
    let plain = bench.asking(bench.project().await.id, REMEMBER);
    bench.execute(&plain).await;
    let (_, tools) = parts(bench.exact(plain.run).await);
    assert!(!tools.contains(&"remember".to_owned()), "{tools:?}");

    let parent = bench.asking_agent(json!({})).await;
    let _owner = bench.owned(&parent).await;
    let child = NewRun {
        run: RunId::new(),
        parent: Some(sequent_conversation::ParentRun { run: parent.run, epoch: 1 }),
        content: r#"/demo tokens=1 rate=0 tool=remember args={"note":"Hates\u0020tea."}"#.into(),
        ..parent.clone()
    };
    bench.execute(&child).await;
    let sent = sequent_agent::sent_context(&bench.engine.storage, bench.key(child.run), None, None).await;
    let (system, tools) = parts(sent.unwrap().unwrap().request);
    assert!(system.contains("Likes tea.") && !tools.contains(&"remember".to_owned()), "{system} {tools:?}");
    assert_eq!(bench.notes().await.len(), 1);
}
