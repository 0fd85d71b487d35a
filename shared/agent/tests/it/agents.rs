//! Runs of agents: they work as the version of their agent says, whatever becomes of the agent.

use sequent_agent::{PreviewedRun, SentRequest, execute, preview};
use sequent_conversation::{
    Continues, Destination, NewRun, OnConflict, RunChoices, RunRequest, RunSetup, RunStarter,
};
use sequent_core::{Principal, RunId, Scopes, Timestamp, UserId, Via};
use sequent_definitions::{AgentDefinition, NewAgent, NewVersion};
use sequent_event::{Phase, RunOutcome};
use sequent_model::Message;
use serde_json::{Value, json};

use crate::{
    bench::Bench,
    scripted::{Answer, ScriptedServer},
    server::{ModelServer, completion},
    window,
};

const SUPPORT: &str = "support";

fn version(definition: Value) -> NewVersion<AgentDefinition> {
    NewVersion { content: serde_json::from_value(definition).unwrap(), change: None, user: UserId::new() }
}

impl Bench {
    pub(crate) async fn agent(&self, definition: Value) {
        self.named_agent(SUPPORT, definition).await;
    }

    pub(crate) async fn named_agent(&self, name: &str, definition: Value) {
        let new = NewAgent { name: name.parse().unwrap(), version: version(definition) };
        self.engine.agents.create(self.tenant, &new, Timestamp::now()).await.unwrap();
    }

    pub(crate) async fn change(&self, definition: Value) {
        let agents = &self.engine.agents;
        let new = version(definition);
        agents.add_version(self.tenant, &SUPPORT.parse().unwrap(), &new, Timestamp::now()).await.unwrap();
    }

    async fn prompt(&self, text: &str) {
        let prompts = self.engine.agents.prompts();
        let version = NewVersion { content: text.to_owned(), change: None, user: self.user };
        let name = "house-style".parse().unwrap();
        if prompts.add_version(self.tenant, &name, &version, Timestamp::now()).await.is_err() {
            let new = sequent_definitions::NewPrompt { name, version };
            prompts.create(self.tenant, &new, Timestamp::now()).await.unwrap();
        }
    }

    pub(crate) fn starter(&self) -> RunStarter {
        let credits = sequent_billing::Credits::new(self.engine.store().clone(), None, Default::default());
        RunStarter::new(self.engine.runs(), credits).with_agents(self.engine.agents.clone())
    }

    pub(crate) fn caller(&self) -> Principal {
        Principal {
            tenant: self.tenant,
            user: self.user,
            session: None,
            api_key: None,
            scopes: Scopes::ALL,
            via: Via::Bearer,
        }
    }

    async fn set_up(&self, variables: Value) -> RunSetup {
        let choices = RunChoices {
            agent: Some(SUPPORT.parse().unwrap()),
            variables: serde_json::from_value(variables).unwrap(),
            ..RunChoices::default()
        };
        self.starter().set_up(&self.caller(), choices, None).await.unwrap()
    }

    /// A run of the agent, as a request with these variables sets it up.
    pub(crate) async fn asking_agent(&self, variables: Value) -> NewRun {
        let setup = self.set_up(variables).await;
        NewRun {
            model: setup.model.map(|model| model.to_string()),
            options: setup.options,
            ..self.asking(self.project().await.id, "Where is my order?")
        }
    }

    pub(crate) async fn execute(&self, asking: &NewRun) {
        let writer = self.owned(asking).await;
        execute(&self.engine, self.key(asking.run), *writer, None).await.unwrap();
        let phase = self.state(asking.run).await.phase;
        assert_eq!(phase, Phase::Finished(RunOutcome::Success), "the run answers");
    }

    pub(crate) async fn exact(&self, run: RunId) -> SentRequest {
        let request = window::context(self, run, None).await.unwrap().request;
        assert!(matches!(request, SentRequest::Exact { .. }), "{request:?}");
        request
    }
}

fn system(request: &[u8]) -> String {
    window::messages(request)[0]["content"].as_str().unwrap().to_owned()
}

fn names_of_tools(request: &[u8]) -> Vec<String> {
    let request: Value = serde_json::from_slice(request).unwrap();
    let tools = request["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_run_works_as_its_agent_says() {
    let server = ScriptedServer::start(|_, _| Answer::Text("It is on its way.".to_owned()));
    let bench = window::bench(&server, 128_000, 40).await;
    bench.prompt("Use short sentences.").await;
    bench
        .agent(json!({
            "persona": {"display_name": "Mira", "manner": "Friendly and brief."},
            "instructions": "You help customers of {{ shop }}. {% include \"house-style\" %}",
            "prompts": ["house-style"],
            "variables": {"shop": {"type": "string", "default": "the shop"}},
            "model": "scripted-large",
            "parameters": {"temperature": 0.5},
            "tools": [],
        }))
        .await;
    let asking = bench.asking_agent(json!({"shop": "Tidal Books"})).await;
    bench.execute(&asking).await;
    let sent = server.requests().remove(0);
    let body: Value = serde_json::from_slice(&sent).unwrap();
    assert_eq!((&body["model"], &body["temperature"]), (&json!("scripted-large"), &json!(0.5)));
    assert!(names_of_tools(&sent).is_empty(), "{body}");
    let system = system(&sent);
    assert!(system.starts_with("The user messages are from the person whom you help."), "{system}");
    for said in ["Mira", "Friendly and brief.", "customers of Tidal Books. Use short sentences."] {
        assert!(system.contains(said), "{said} in {system}");
    }
}

#[tokio::test]
async fn a_preview_is_what_a_run_sends() {
    let server = ScriptedServer::start(|_, _| Answer::Text("It is on its way.".to_owned()));
    let bench = window::bench(&server, 128_000, 40).await;
    bench
        .agent(json!({
            "instructions": "You help customers of {{ shop }} on {{ date }}.",
            "variables": {"shop": {"type": "string", "required": true}},
            "tools": [{"name": "fetch"}],
            "parameters": {"temperature": 0.5},
            "output_schema": {"type": "object", "properties": {"answer": {"type": "string"}}},
        }))
        .await;
    let variables = json!({"shop": "Tidal Books"});
    let setup = bench.set_up(variables.clone()).await;
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
    let previewed = preview(&bench.engine, bench.tenant, run.clone()).await.unwrap();
    assert!(server.requests().is_empty(), "no model was asked");

    let asking = bench.asking_agent(variables).await;
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    let sent = window::context(&bench, asking.run, Some(1)).await.unwrap();
    assert_eq!(previewed.tokens, sent.usage.request.as_deref().unwrap().tokens);
    let expected = SentRequest::Exact {
        system: previewed.system,
        tools: previewed.tools,
        must_call: previewed.must_call,
        parameters: Box::new(previewed.parameters),
        output_schema: previewed.output_schema,
        messages: previewed.messages,
    };
    assert_eq!(expected, sent.request);

    // Earlier turns come before the question, as many as the agent wants.
    bench.change(json!({"instructions": "You help.", "history": {"turns": 1}})).await;
    let setup = bench.set_up(json!({})).await;
    let opening = bench.starter().opening(&RunRequest { setup, ..request }).await.unwrap();
    let earlier = ["One", "Two"].map(|said| [Message::user(said), Message::assistant("Yes.")]).concat();
    let run = PreviewedRun { opening, earlier, ..run };
    let previewed = preview(&bench.engine, bench.tenant, run).await.unwrap();
    let marked = Message::assistant("(The conversation up to here is left out.)");
    let user = Message::user("Two");
    assert_eq!(
        previewed.messages,
        [marked, user, Message::assistant("Yes."), Message::user("Where is my order?")]
    );
}

#[tokio::test]
async fn the_context_of_a_run_stays_the_same_while_its_agent_changes_and_is_deleted() {
    let server = ScriptedServer::start(|_, _| Answer::Text("It is on its way.".to_owned()));
    let bench = window::bench(&server, 128_000, 40).await;
    bench.prompt("Style 0.").await;
    let definition = |number: u32| {
        let instructions = format!("You are version {number}. {{% include \"house-style\" %}}");
        json!({"instructions": instructions, "prompts": ["house-style"], "history": {"turns": 3}})
    };
    bench.agent(definition(0)).await;
    let first = bench.asking_agent(json!({})).await;
    bench.execute(&first).await;
    let before = bench.exact(first.run).await;
    for number in 1..=10 {
        bench.prompt(&format!("Style {number}.")).await;
        bench.change(definition(number)).await;
    }
    bench.engine.agents.delete(bench.tenant, &SUPPORT.parse().unwrap()).await.unwrap();
    assert_eq!(bench.exact(first.run).await, before);

    // A run with the same record is sent the same by a process that has read nothing before.
    let other = Bench::of_process(&bench);
    let agents = sequent_definitions::Agents::new(other.engine.store().clone());
    let other = Bench { engine: sequent_agent::Engine { agents, ..other.engine.clone() }, ..other };
    let again = NewRun {
        options: first.options.clone(),
        ..other.asking(other.project().await.id, "Where is my order?")
    };
    other.execute(&again).await;
    let sent = server.requests();
    assert!(sent[0] == sent[1], "byte for byte: {}", system(&sent[1]));
    assert!(system(&sent[1]).contains("You are version 0. Style 0."), "{}", system(&sent[1]));
}

#[tokio::test]
async fn a_person_decides_about_calls_for_which_the_agent_must_ask() {
    let server = ScriptedServer::start(|number, _| match number {
        0 => Answer::Call("fetch"),
        _ => Answer::Text("Done.".to_owned()),
    });
    let bench = window::bench(&server, 128_000, 40).await;
    bench.agent(json!({"tools": [{"name": "fetch", "policy": "ask"}]})).await;
    let asking = bench.asking_agent(json!({})).await;
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    let state = bench.state(asking.run).await;
    assert!(
        matches!(&state.phase, Phase::Finished(RunOutcome::Interrupt { interrupts }) if interrupts.len() == 1)
    );
    assert_eq!(names_of_tools(&server.requests()[0]), ["fetch"]);
}

#[tokio::test]
async fn fallbacks_of_the_agent_answer_for_its_model() {
    let server = ScriptedServer::start(|_, request| match request["model"].as_str() {
        Some("scripted-spare") => Answer::Text("Here.".to_owned()),
        _ => Answer::Overloaded,
    });
    let bench = window::bench(&server, 128_000, 40).await;
    bench.agent(json!({"model": "scripted-main", "fallbacks": ["scripted-other", "scripted-spare"]})).await;
    bench.execute(&bench.asking_agent(json!({})).await).await;
    let requests = server.requests();
    let models = requests.iter().map(|request| {
        let request: Value = serde_json::from_slice(request).unwrap();
        request["model"].as_str().unwrap().to_owned()
    });
    assert_eq!(models.collect::<Vec<_>>(), ["scripted-main", "scripted-other", "scripted-spare"]);
}

#[tokio::test]
async fn a_run_whose_agent_cannot_be_read_ends_with_a_code() {
    let server = ScriptedServer::start(|_, _| Answer::Text("Here.".to_owned()));
    let bench = window::bench(&server, 128_000, 40).await;
    bench.agent(json!({"instructions": "You help."})).await;
    let mut asking = bench.asking_agent(json!({})).await;
    asking.options.agent.as_mut().unwrap().version = 7;
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    let state = bench.state(asking.run).await;
    assert!(
        matches!(&state.phase, Phase::Failed { code, .. } if code == "agent_unavailable"),
        "{:?}",
        state.phase
    );
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_person_decides_about_pages_if_the_agent_must_ask_for_them() {
    let function = json!({"name": "web_fetch", "arguments": "{\"url\": \"https://a.example/\"}"});
    let call =
        json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]});
    let server = ModelServer::start(vec![
        completion(&[call], "tool_calls"),
        completion(&[json!({"content": "Done."})], "stop"),
    ]);
    let bench = server.bench(|_| ()).await;
    bench.agent(json!({"model": "m", "tools": [{"name": "web_fetch", "policy": "ask"}]})).await;
    // The person names the address, so it is known.
    let asking = bench.asking_agent(json!({})).await;
    let asking = NewRun { content: "Read https://a.example/ please.".into(), ..asking };
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    let phase = bench.state(asking.run).await.phase;
    assert!(
        matches!(&phase, Phase::Finished(RunOutcome::Interrupt { interrupts }) if interrupts.len() == 1),
        "{phase:?}"
    );
}
