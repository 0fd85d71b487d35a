//! Plans, and the child runs that carry out their independent steps.

use sequent_agent::{Bounds, Engine, Executed, execute};
use sequent_conversation::{NewRun, RunStatus, Runs, cancel};
use sequent_event::{Body, Orchestration, Phase, RunOutcome, StepStatus};
use sequent_runlog::{Claim, claim};
use serde_json::json;

use crate::bench::Bench;

/// A plan with two independent steps and one that depends on them.
fn script() -> String {
    let step = |id: &str, independent: bool| json!({"id": id, "title": format!("Do_{id}"), "instructions": "/demo tokens=4 rate=0".replace(' ', "\u{1}"), "independent": independent});
    let plan = json!({"steps": [step("east", true), step("west", true), step("join", false)]});
    let plan = plan.to_string().replace("\\u0001", "\\u0020");
    format!("Compare the two.\n/demo tokens=1 rate=0 tool=write_plan args={plan}")
}

async fn planned(bench: &Bench) -> NewRun {
    let mut asking = bench.asking(bench.project().await.id, &script());
    asking.options.orchestration = Orchestration::Plan;
    asking
}

/// An engine whose owners release their process at once when they wait.
fn impatient(engine: Engine) -> Engine {
    let bounds = Bounds { patience: std::time::Duration::ZERO, ..engine.bounds };
    Engine { bounds, ..engine }
}

/// Executes every run that needs an owner, children first, until the parent has ended.
pub(crate) async fn work(bench: &Bench, of: &NewRun) {
    let key = bench.key(of.run);
    for _ in 0..50 {
        for child in bench.state(of.run).await.children {
            let row = Runs::new(bench.engine.store(), bench.tenant).get(child.run).await.unwrap();
            let runs = bench.engine.runs();
            let claimed = sequent_conversation::claim(&runs, bench.key(child.run), &row, None).await;
            if let Some(writer) = claimed.unwrap() {
                execute(&bench.engine, bench.key(child.run), *writer, None).await.unwrap();
            }
        }
        match claim(&bench.engine.storage, key, bench.engine.settings, true, None).await.unwrap() {
            Claim::Won(writer) => {
                execute(&bench.engine, key, *writer, None).await.unwrap();
            }
            Claim::Closed => return,
            other => panic!("{other:?}"),
        }
    }
    panic!("the run does not end");
}

#[tokio::test]
async fn children_carry_out_independent_steps_and_the_rest_runs_in_order() {
    let bench = Bench::new().await;
    let asking = planned(&bench).await;
    let writer = bench.owned(&asking).await;
    let ended = execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    assert_eq!(ended, Executed::Waiting, "the children have not been executed yet");
    assert_eq!(bench.state(asking.run).await.children.len(), 2);
    Box::pin(work(&bench, &asking)).await;

    let state = bench.state(asking.run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
    assert!(state.plan.as_ref().unwrap().steps.iter().all(|step| step.status == StepStatus::Done));
    let events = bench.watch(asking.run).await;
    let plans = events.iter().filter(|event| matches!(event.body(), Some(Body::PlanUpdated { .. })));
    assert_eq!(plans.count(), 1, "the end of a step does not repeat the plan");
    let mut totals = 0;
    for child in &state.children {
        let own = bench.state(child.run).await;
        assert_eq!(own.parent, Some(asking.run));
        assert_eq!(own.phase, Phase::Finished(RunOutcome::Success));
        totals += own.totals.output_tokens;
        assert!(
            matches!(&child.ended, Some(sequent_event::ChildEnd::Result(text)) if *text == own.answer_text())
        );
    }
    assert!(totals > 0 && state.totals.output_tokens > totals, "the usage of children counts");
    let row = Runs::new(bench.engine.store(), bench.tenant).get(asking.run).await.unwrap();
    assert_eq!(row, row.clone().projected(&state), "the row repeats the log");
    let messages = bench.projects().latest_messages(asking.project, 10).await.unwrap();
    assert_eq!(messages.len(), 2, "children write no messages");
}

/// The claims in the run's log.
async fn claims(bench: &Bench, of: &NewRun) -> u32 {
    bench.state(of.run).await.epoch
}

#[tokio::test]
async fn a_run_that_waits_is_not_taken_for_one_that_crashes() {
    let bench = Bench::new().await;
    let bench = Bench { engine: impatient(bench.engine), ..bench };
    let asking = planned(&bench).await;
    let key = bench.key(asking.run);
    let mut writer = bench.owned(&asking).await;
    for _ in 0..70 {
        assert_eq!(execute(&bench.engine, key, *writer, None).await.unwrap(), Executed::Waiting);
        let claimed = claim(&bench.engine.storage, key, bench.engine.settings, false, None).await.unwrap();
        let Claim::Won(next) = claimed else { panic!("{claimed:?}") };
        writer = next;
    }
    let state = bench.state(asking.run).await;
    assert_eq!((state.phase.clone(), state.stalled_owners), (Phase::Running, 0));
    assert_eq!(state.live_children().count(), 2, "the children were not cancelled");
}

#[tokio::test]
async fn a_run_whose_owners_are_lost_without_progress_is_ended() {
    let bench = Bench::new().await;
    let asking = planned(&bench).await;
    let key = bench.key(asking.run);
    bench.owned(&asking).await.release().await.unwrap();
    for _ in 0..50 {
        let claimed = claim(&bench.engine.storage, key, bench.engine.settings, false, None).await.unwrap();
        let Claim::Won(lost) = claimed else { panic!("{claimed:?}") };
        lost.release().await.unwrap();
    }
    let claimed = claim(&bench.engine.storage, key, bench.engine.settings, false, None).await.unwrap();
    let Claim::Won(writer) = claimed else { panic!("{claimed:?}") };
    assert_eq!(execute(&bench.engine, key, *writer, None).await.unwrap(), Executed::Closed);
    let state = bench.state(asking.run).await;
    assert!(
        matches!(&state.phase, Phase::Failed { code, .. } if code == "too_many_crashes"),
        "{:?}",
        state.phase
    );
}

#[tokio::test]
async fn a_waiting_run_is_claimed_only_when_there_is_news() {
    let bench = Bench::new().await;
    let bench = Bench { engine: impatient(bench.engine), ..bench };
    let asking = planned(&bench).await;
    let key = bench.key(asking.run);
    let runs = bench.engine.runs();
    let writer = bench.owned(&asking).await;
    assert_eq!(execute(&bench.engine, key, *writer, None).await.unwrap(), Executed::Waiting);
    let before = claims(&bench, &asking).await;
    let read = async |run| Runs::new(bench.engine.store(), bench.tenant).get(run).await.unwrap();
    for _ in 0..3 {
        let claimed = sequent_conversation::claim(&runs, key, &read(asking.run).await, None).await.unwrap();
        assert!(claimed.is_none(), "a message without news");
    }
    // A reader that stays for many of its polls.
    let watching = tokio::time::timeout(std::time::Duration::from_secs(2), bench.watch(asking.run));
    assert!(watching.await.is_err(), "the run does not end");
    assert_eq!(claims(&bench, &asking).await, before);

    let child = bench.state(asking.run).await.children[0].run;
    let claimed =
        sequent_conversation::claim(&runs, bench.key(child), &read(child).await, None).await.unwrap();
    execute(&bench.engine, bench.key(child), *claimed.unwrap(), None).await.unwrap();
    let claimed = sequent_conversation::claim(&runs, key, &read(asking.run).await, None).await.unwrap();
    let writer = claimed.expect("a child has ended");
    assert_eq!(execute(&bench.engine, key, *writer, None).await.unwrap(), Executed::Waiting);
    assert_eq!(bench.state(asking.run).await.live_children().count(), 1);
    assert!(read(asking.run).await.waiting.is_some(), "the run waits for the other child");

    let said = Body::UserMessage {
        message_id: sequent_core::MessageId::new(),
        content: "Hurry.".into(),
        by: Some(bench.user),
        model: None,
    };
    sequent_runlog::append_control(&bench.engine.storage, key, said).await.unwrap();
    let claimed = sequent_conversation::claim(&runs, key, &read(asking.run).await, None).await.unwrap();
    assert!(claimed.is_some(), "a message of a person");
    assert!(read(asking.run).await.waiting.is_none(), "the owner removes the mark");
}

#[tokio::test]
async fn a_cancel_ends_the_children() {
    let bench = Bench::new().await;
    let asking = planned(&bench).await;
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    let reason = sequent_event::CancelReason::Requested;
    cancel(&bench.engine.runs(), bench.key(asking.run), None, reason).await.unwrap();
    assert_eq!(bench.status(asking.run).await, RunStatus::Cancelled);
    let state = bench.state(asking.run).await;
    for child in &state.children {
        assert_eq!(bench.status(child.run).await, RunStatus::Cancelled);
        assert!(
            matches!(&child.ended, Some(sequent_event::ChildEnd::Failure { code, .. }) if code == "cancelled")
        );
    }
}

/// A plan with 40 steps that children carry out at the same time.
async fn wide(bench: Bench) -> (Bench, NewRun) {
    let bounds = Bounds { parallel_children: 40, ..bench.engine.bounds };
    let bench = Bench { engine: impatient(Engine { bounds, ..bench.engine }), ..bench };
    let step =
        |n: usize| json!({"id": format!("s{n}"), "title": "Go", "instructions": "Go.", "independent": true});
    let plan = json!({"steps": (0..40).map(step).collect::<Vec<_>>()});
    let script = format!("Do it.\n/demo tokens=1 rate=0 tool=write_plan args={plan}");
    let mut asking = bench.asking(bench.project().await.id, &script);
    asking.options.orchestration = Orchestration::Plan;
    let writer = bench.owned(&asking).await;
    let ended = execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    assert_eq!(ended, Executed::Waiting);
    assert_eq!(bench.state(asking.run).await.live_children().count(), 40);
    (bench, asking)
}

#[tokio::test]
async fn a_run_with_many_children_can_be_cancelled() {
    let (bench, asking) = wide(Bench::new().await).await;
    let reason = sequent_event::CancelReason::Requested;
    cancel(&bench.engine.runs(), bench.key(asking.run), None, reason).await.unwrap();
    assert_eq!(bench.status(asking.run).await, RunStatus::Cancelled);
    assert_eq!(bench.state(asking.run).await.live_children().count(), 0);
}

#[tokio::test]
async fn a_run_with_many_children_ends_at_its_limits() {
    let (bench, asking) = wide(Bench::new().await).await;
    let key = bench.key(asking.run);
    let bounds = Bounds { time: std::time::Duration::ZERO, ..bench.engine.bounds };
    let engine = Engine { bounds, ..bench.engine.clone() };
    let claimed = claim(&engine.storage, key, engine.settings, false, None).await.unwrap();
    let Claim::Won(writer) = claimed else { panic!("the lease was released") };
    assert_eq!(execute(&engine, key, *writer, None).await.unwrap(), Executed::Closed);
    let state = bench.state(asking.run).await;
    assert!(matches!(&state.phase, Phase::Failed { code, .. } if code == "time_limit"), "{:?}", state.phase);
    assert_eq!(state.live_children().count(), 0);
}

#[tokio::test]
async fn a_child_that_is_in_the_log_but_does_not_exist_is_created_by_the_next_owner() {
    let bench = Bench::new().await;
    let asking = planned(&bench).await;
    let writer = bench.owned(&asking).await;
    let plan = serde_json::from_value(json!({"steps": [
        {"id": "east", "title": "East", "instructions": "/demo tokens=2 rate=0", "independent": true}
    ]}));
    writer.append(Body::PlanUpdated { plan: plan.unwrap() }).await.unwrap();
    let child = sequent_core::RunId::new();
    let body = Body::SubagentStarted { subagent_run_id: child, name: "east".into(), description: None };
    writer.append(body).await.unwrap();
    writer.release().await.unwrap();
    let Claim::Won(writer) =
        claim(&bench.engine.storage, bench.key(asking.run), bench.engine.settings, true, None).await.unwrap()
    else {
        panic!("the lease was released")
    };
    let ended = execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    assert_eq!(ended, Executed::Waiting);
    assert_eq!(bench.status(child).await, RunStatus::Pending);
    Box::pin(work(&bench, &asking)).await;
    let state = bench.state(asking.run).await;
    assert_eq!(state.children.len(), 1, "the child in the log is the one that was created");
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
}

#[tokio::test]
async fn a_step_whose_child_has_ended_is_completed_by_the_next_owner() {
    let bench = Bench::new().await;
    let asking = planned(&bench).await;
    let writer = bench.owned(&asking).await;
    let plan = serde_json::from_value(json!({"steps": [
        {"id": "east", "title": "East", "instructions": "Go.", "independent": true}
    ]}));
    let subagent_run_id = sequent_core::RunId::new();
    // The owner was lost before it could complete the step.
    for body in [
        Body::PlanUpdated { plan: plan.unwrap() },
        Body::StepStarted { step_name: "east".into() },
        Body::SubagentStarted { subagent_run_id, name: "east".into(), description: None },
        Body::SubagentFinished { subagent_run_id, result: "Done.".into(), usage: Default::default() },
    ] {
        writer.append(body).await.unwrap();
    }
    writer.release().await.unwrap();
    let key = bench.key(asking.run);
    let claimed = claim(&bench.engine.storage, key, bench.engine.settings, false, None).await.unwrap();
    let Claim::Won(writer) = claimed else { panic!("the lease was released") };
    assert_eq!(execute(&bench.engine, key, *writer, None).await.unwrap(), Executed::Closed);
    let state = bench.state(asking.run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
    assert_eq!(state.plan.unwrap().steps[0].status, StepStatus::Done);
}

/// The log of a step that was answered, up to the event that marks the step in the plan.
fn answered_step() -> Vec<Body> {
    let plan =
        serde_json::from_value(json!({"steps": [{"id": "only", "title": "Only", "instructions": "Go."}]}));
    let usage = json!({"provider": "demo", "model": "demo", "inputTokens": 1, "outputTokens": 1, "latencyMs": 1,
        "finishReason": "stop"});
    let message_id = sequent_core::MessageId::new();
    vec![
        Body::PlanUpdated { plan: plan.unwrap() },
        Body::StepStarted { step_name: "only".into() },
        Body::TextMessageStart { message_id, role: sequent_event::Role::Assistant },
        Body::TextMessageContent { message_id, delta: "Done.".into() },
        Body::TextMessageEnd { message_id },
        Body::UsageRecorded(serde_json::from_value(usage).unwrap()),
        Body::StepFinished { step_name: "only".into() },
    ]
}

/// Executes a run whose owner was lost after these events, and checks that its step was carried out once.
async fn continues_after_step(bench: &Bench, events: Vec<Body>) {
    let asking = planned(bench).await;
    let writer = bench.owned(&asking).await;
    for body in events {
        writer.append(body).await.unwrap();
    }
    writer.release().await.unwrap();
    let key = bench.key(asking.run);
    let claimed = claim(&bench.engine.storage, key, bench.engine.settings, false, None).await.unwrap();
    let Claim::Won(writer) = claimed else { panic!("the lease was released") };
    assert_eq!(execute(&bench.engine, key, *writer, None).await.unwrap(), Executed::Closed);
    let state = bench.state(asking.run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
    assert_eq!(state.model_calls, 2, "the step, and the conclusion");
    assert_eq!(state.prompts_seen, state.prompts.len(), "the conclusion answers every message");
    assert_eq!(state.plan.unwrap().steps[0].status, StepStatus::Done);
}

#[tokio::test]
async fn a_step_that_was_answered_is_not_repeated_by_the_next_owner() {
    let bench = Bench::new().await;
    continues_after_step(&bench, answered_step()).await;
    let last = answered_step().len();
    for position in [last - 1, last] {
        let message_id = sequent_core::MessageId::new();
        let content = "Hurry.";
        let mut events = answered_step();
        events.insert(
            position,
            Body::UserMessage { message_id, content: content.into(), by: Some(bench.user), model: None },
        );
        continues_after_step(&bench, events).await;
    }
}

#[tokio::test]
async fn a_step_that_asked_a_person_continues_with_the_answer() {
    let bench = Bench::new().await;
    let instructions =
        "/demo tokens=1 rate=0 tool=ask_user args={\"question\":\"Which?\"}\n/demo tokens=2 rate=0";
    let plan = json!({"steps": [{"id": "only", "title": "Only", "instructions": instructions}]});
    let plan = plan.to_string().replace(' ', "\\u0020");
    let script = format!("Ask.\n/demo tokens=1 rate=0 tool=write_plan args={plan}");
    let mut asking = bench.asking(bench.project().await.id, &script);
    asking.options.orchestration = Orchestration::Plan;
    let writer = bench.owned(&asking).await;
    let key = bench.key(asking.run);
    execute(&bench.engine, key, *writer, None).await.unwrap();
    assert_eq!(bench.status(asking.run).await, RunStatus::Interrupted);
    let interrupt = bench.state(asking.run).await.asked[0].interrupt.id;
    let status = sequent_event::AnswerStatus::Resolved;
    let reply =
        sequent_conversation::AnswerToQuestion { interrupt, status, payload: Some(json!("this one")) };
    let answered = sequent_conversation::answer(
        &bench.engine.storage,
        key,
        None,
        &[reply],
        sequent_conversation::ResumeBy::Caller,
    )
    .await;
    assert!(answered.is_ok());
    let claimed = claim(&bench.engine.storage, key, bench.engine.settings, false, None).await.unwrap();
    let Claim::Won(writer) = claimed else { panic!("nothing is left to wait for") };
    execute(&bench.engine, key, *writer, None).await.unwrap();
    let state = bench.state(asking.run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
    assert_eq!(state.asked.len(), 1, "there is one question");
    assert_eq!(state.model_calls, 4, "the plan, the step before and after the answer, the conclusion");
}

#[tokio::test]
async fn a_run_that_reaches_its_limits_cancels_its_children() {
    let bench = Bench::new().await;
    let asking = planned(&bench).await;
    let writer = bench.owned(&asking).await;
    let key = bench.key(asking.run);
    assert_eq!(execute(&bench.engine, key, *writer, None).await.unwrap(), Executed::Waiting);
    let bounds = Bounds { time: std::time::Duration::ZERO, ..bench.engine.bounds };
    let engine = Engine { bounds, ..bench.engine.clone() };
    let claimed = claim(&engine.storage, key, engine.settings, false, None).await.unwrap();
    let Claim::Won(writer) = claimed else { panic!("the lease was released") };
    assert_eq!(execute(&engine, key, *writer, None).await.unwrap(), Executed::Closed);
    let state = bench.state(asking.run).await;
    assert!(matches!(&state.phase, Phase::Failed { code, .. } if code == "time_limit"), "{:?}", state.phase);
    assert_eq!(state.children.len(), 2);
    for child in &state.children {
        assert_eq!(bench.status(child.run).await, RunStatus::Cancelled);
    }
}
