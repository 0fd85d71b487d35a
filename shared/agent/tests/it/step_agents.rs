//! Steps of a plan that name the agent which carries them out.

use sequent_agent::{SentRequest, execute, sent_context};
use sequent_conversation::NewRun;
use sequent_core::Timestamp;
use sequent_definitions::{LabelMove, NewAgent, NewVersion};
use sequent_event::{Body, ChildEnd, Orchestration, Phase, Plan, RunOutcome, Step, StepAgent, StepStatus};
use sequent_runlog::{Claim, claim};
use serde_json::json;

use crate::{bench::Bench, plans::work};

impl Bench {
    /// Creates an agent with the label `production`.
    pub(crate) async fn publish(&self, name: &str, definition: serde_json::Value) {
        let content = serde_json::from_value(definition).unwrap();
        let version = NewVersion { content, change: None, user: self.user };
        let new = NewAgent { name: name.parse().unwrap(), version };
        let agents = &self.engine.agents;
        agents.create(self.tenant, &new, Timestamp::now()).await.unwrap();
        let production = "production".parse().unwrap();
        let to = LabelMove { version: 1, expected: None };
        agents
            .set_label(self.tenant, &name.parse().unwrap(), &production, to, Timestamp::now())
            .await
            .unwrap();
    }

    /// A run with a plan of one step, which names this agent.
    async fn asking_for_step_of(&self, agent: &str) -> NewRun {
        let instructions = "/demo\u{1}tokens=4\u{1}rate=0";
        let step = json!({"id": "east", "title": "East", "instructions": instructions, "agent": agent});
        let plan = json!({"steps": [step]}).to_string().replace("\\u0001", "\\u0020");
        let script = format!("Compare.\n/demo tokens=1 rate=0 tool=write_plan args={plan}");
        let mut asking = self.asking(self.project().await.id, &script);
        asking.options.orchestration = Orchestration::Plan;
        asking.options.tools = Some(vec!["web_fetch".to_owned()]);
        asking
    }
}

#[tokio::test]
async fn an_agent_carries_out_the_step_that_names_it() {
    let bench = Bench::new().await;
    let definition = json!({
        "description": "Knows maps.",
        "instructions": "You are the cartographer.",
        "tools": [{"name": "web_fetch"}, {"name": "cite_source"}],
        "budget": {"max_steps": 3},
    });
    bench.publish("cartographer", definition).await;
    let asking = bench.asking_for_step_of("cartographer").await;
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    Box::pin(work(&bench, &asking)).await;

    let state = bench.state(asking.run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
    let step = &state.plan.as_ref().unwrap().steps[0];
    assert_eq!((step.status, step.independent), (StepStatus::Done, true));
    let child = bench.state(state.children[0].run).await;
    let agent = child.configuration.agent.as_deref().expect("an agent");
    assert_eq!((agent.name.as_str(), agent.version), ("cartographer", 1));
    assert_eq!(child.configuration.tools.as_deref(), Some(&["web_fetch".to_owned()][..]), "of the run, too");
    assert_eq!(child.configuration.budget.max_steps, Some(3));
    let sent = |run| sent_context(&bench.engine.storage, bench.key(run), None, None);
    let sent = sent(state.children[0].run).await.unwrap().unwrap().request;
    let SentRequest::Exact { system, .. } = sent else { panic!("{sent:?}") };
    assert!(system.contains("You are the cartographer."), "{system}");
}

#[tokio::test]
async fn a_step_of_an_agent_that_is_gone_fails_and_the_run_goes_on() {
    let bench = Bench::new().await;
    bench.publish("cartographer", json!({"instructions": "You are the cartographer."})).await;
    let asking = bench.asking_for_step_of("cartographer").await;
    let writer = bench.owned(&asking).await;
    // The plan is written, and then the agent is deleted.
    let plan = Plan { steps: vec![step_of(&bench, "cartographer").await] };
    writer.append(Body::PlanUpdated { plan }).await.unwrap();
    bench.engine.agents.delete(bench.tenant, &"cartographer".parse().unwrap()).await.unwrap();
    writer.release().await.unwrap();
    let Bench { engine, .. } = &bench;
    let claimed = claim(&engine.storage, bench.key(asking.run), engine.settings, true, None).await;
    let Claim::Won(writer) = claimed.unwrap() else { panic!("the run has no owner") };
    execute(engine, bench.key(asking.run), *writer, None).await.unwrap();

    let state = bench.state(asking.run).await;
    assert_eq!(state.plan.as_ref().unwrap().steps[0].status, StepStatus::Failed);
    assert!(
        matches!(&state.children[0].ended, Some(ChildEnd::Failure { code, .. }) if code == "agent_unavailable"),
        "{:?}",
        state.children
    );
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
}

async fn step_of(bench: &Bench, agent: &str) -> Step {
    let agent = bench.engine.agents.get(bench.tenant, &agent.parse().unwrap()).await.unwrap();
    let agent = StepAgent { id: agent.id, name: agent.name.to_string(), version: 1 };
    Step {
        id: "east".to_owned(),
        title: "East".to_owned(),
        instructions: "Draw the east.".to_owned(),
        independent: true,
        agent: Some(Box::new(agent)),
        status: StepStatus::Pending,
    }
}

#[tokio::test]
async fn a_plan_cannot_name_an_agent_that_is_not_offered() {
    let bench = Bench::new().await;
    let required = json!({"variables": {"shop": {"type": "string", "required": true}}});
    bench.publish("needs-a-shop", required).await;
    for name in ["needs-a-shop", "unknown"] {
        let asking = bench.asking_for_step_of(name).await;
        let writer = bench.owned(&asking).await;
        execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
        let state = bench.state(asking.run).await;
        assert_eq!((state.plan.as_ref(), state.children.len()), (None, 0), "{name}");
    }
}
