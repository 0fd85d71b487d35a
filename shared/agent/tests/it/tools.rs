//! Tools, and their questions to people.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::future::BoxFuture;
use sequent_agent::{Engine, Executed, execute};
use sequent_conversation::{AnswerToQuestion, NewRun, ResumeBy, RunStatus, Runs, answer};
use sequent_event::{AnswerStatus, Body, Event, Phase, Reason, RunOutcome, State};
use sequent_runlog::{Claim, claim};
use sequent_tables::{Row, key};
use sequent_tool::{Call, Error, Handler, Output, Registry, Tool, ToolKind, WebAccess};
use serde_json::{Value, json};

use crate::bench::Bench;

/// A tool that counts its calls.
#[derive(Default)]
pub(crate) struct Counter(AtomicUsize);

impl Counter {
    pub(crate) fn calls(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Handler for Counter {
    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        Box::pin(async move {
            let before = self.0.fetch_add(1, Ordering::SeqCst);
            if call.arguments["fails"] == json!(true) {
                return Err(Error::Unknown("the connection broke".into()));
            }
            if call.arguments["refuses"] == json!(true) {
                return Err(Error::Refused("The card has expired.".into()));
            }
            Ok(Output::text(format!("run {}", before + 1)))
        })
    }
}

/// A bench with `charge`, which must not run twice, and `wire`, which also needs the approval of a person.
pub(crate) async fn bench() -> (Bench, Arc<Counter>) {
    let mut bench = Bench::new().await;
    let counter = Arc::new(Counter::default());
    let charge = Tool::new("charge", "Charges.", json!({}), ToolKind::Runs(counter.clone()));
    let wire = Tool {
        needs_approval: true,
        spec: sequent_model::ToolSpec { name: "wire".into(), ..charge.spec.clone() },
        ..charge.clone()
    };
    let mut tools = sequent_tool::built_in(&sequent_tool::Guard::default());
    tools.extend([charge, wire]);
    bench.engine = Engine { tools: Arc::new(Registry::new(tools).unwrap()), ..bench.engine };
    (bench, counter)
}

pub(crate) async fn start(bench: &Bench, script: &str) -> (NewRun, Executed) {
    let asking = bench.asking(bench.project().await.id, script);
    let writer = bench.owned(&asking).await;
    let ended = execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    (asking, ended)
}

/// Answers all questions of a run with `payload`.
pub(crate) async fn reply(bench: &Bench, of: &NewRun, payload: Value) -> State {
    let open = Runs::new(bench.engine.store(), bench.tenant).get(of.run).await.unwrap().interrupts;
    let status = AnswerStatus::Resolved;
    let replies: Vec<AnswerToQuestion> = open
        .iter()
        .map(|open| AnswerToQuestion { interrupt: open.id, status, payload: Some(payload.clone()) })
        .collect();
    assert!(!replies.is_empty(), "there is no question");
    let storage = &bench.engine.storage;
    let key = bench.key(of.run);
    answer(storage, key, None, &replies, ResumeBy::Caller).await.unwrap()
}

pub(crate) async fn resume(bench: &Bench, of: &NewRun) -> Executed {
    let key = bench.key(of.run);
    let claimed = claim(&bench.engine.storage, key, bench.engine.settings, false, None).await.unwrap();
    let Claim::Won(writer) = claimed else { panic!("{claimed:?}") };
    execute(&bench.engine, key, *writer, None).await.unwrap()
}

pub(crate) fn results(state: &State) -> Vec<String> {
    let tools = state.transcript.iter().filter_map(|turn| match turn {
        sequent_event::TranscriptEntry::Tool { content, .. } => Some(content.clone()),
        _ => None,
    });
    tools.collect()
}

/// The codes of the failures of calls, in the order of their results.
async fn errors(bench: &Bench, of: &NewRun) -> Vec<Option<String>> {
    let error = |event: &Event| match event.body() {
        Some(Body::ToolCallResult { error, .. }) => Some(error.clone()),
        _ => None,
    };
    bench.events(of.run).await.iter().filter_map(error).collect()
}

#[tokio::test]
async fn the_log_tells_calls_that_have_failed_from_others() {
    let (bench, _) = bench().await;
    let refuses = r#"{"refuses":true}"#;
    let script = format!(
        "/demo tokens=1 rate=0 tool=charge\n/demo tokens=1 rate=0 tool=charge args={refuses}\n/demo tokens=1 rate=0"
    );
    let (asking, ended) = start(&bench, &script).await;
    assert_eq!(ended, Executed::Closed);
    assert_eq!(results(&bench.state(asking.run).await), ["run 1", "The card has expired."]);
    assert_eq!(errors(&bench, &asking).await, [None, Some("tool_refused".to_owned())]);
}

#[tokio::test]
async fn every_call_of_a_response_runs_once_and_the_model_gets_the_results() {
    let (bench, counter) = bench().await;
    let cite = r#"{"url":"https://example.com/","title":"Example"}"#;
    let script = format!(
        "/demo tokens=2 rate=0 tool=charge tool=cite_source args={cite} tool=charge tool=nothing\n/demo tokens=3 rate=0"
    );
    let (asking, ended) = start(&bench, &script).await;
    assert_eq!(ended, Executed::Closed);
    let state = bench.state(asking.run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
    assert_eq!(counter.0.load(Ordering::SeqCst), 2);
    assert_eq!(results(&state).len(), 3, "the demo does not call what it is not offered: {state:?}");
    assert_eq!(state.citations[0].url, "https://example.com/");
    assert_eq!((state.model_calls, state.answers.len()), (2, 2));
    let row = Runs::new(bench.engine.store(), bench.tenant).get(asking.run).await.unwrap();
    assert_eq!(row, row.clone().projected(&state), "the row repeats the log");
    let messages = bench.projects().latest_messages(asking.project, 10).await.unwrap();
    assert_eq!(messages.last().unwrap().content, state.answer_text(), "all its text is the answer");
}

#[tokio::test]
async fn a_question_ends_the_execution_and_its_answer_continues_the_run() {
    let (bench, counter) = bench().await;
    let ask = r#"{"question":"Which?","options":["a","b"]}"#;
    let script = format!(
        "/demo tokens=1 rate=0 tool=charge tool=ask_user args={ask} tool=wire\n/demo tokens=3 rate=0"
    );
    let (asking, ended) = start(&bench, &script).await;
    assert_eq!(ended, Executed::Closed);
    assert_eq!(counter.0.load(Ordering::SeqCst), 1, "a call that needs no person has run");
    let state = bench.state(asking.run).await;
    let asked: Vec<Reason> = state.open_interrupts().map(|open| open.question.reason).collect();
    assert_eq!(asked, [Reason::Question, Reason::Approval]);
    assert_eq!(bench.status(asking.run).await, RunStatus::Interrupted);
    assert_eq!(
        bench.projects().get(asking.project).await.unwrap().live_run_id,
        Some(asking.run),
        "the run still has the turn"
    );

    let storage = &bench.engine.storage;
    let key = bench.key(asking.run);
    let first = state.asked[0].interrupt.id;
    let one =
        [AnswerToQuestion { interrupt: first, status: AnswerStatus::Resolved, payload: Some(json!("b")) }];
    let after = answer(storage, key, None, &one, ResumeBy::Worker).await.unwrap();
    assert!(!after.is_resumable(), "the other question is still open");
    let held = claim(storage, key, bench.engine.settings, false, None).await.unwrap();
    assert!(matches!(held, Claim::Closed), "{held:?}");
    let again = answer(storage, key, None, &one, ResumeBy::Worker).await.unwrap_err();
    let sequent_conversation::Error::AlreadyAnswered(first) = &again else { panic!("{again:?}") };
    assert_eq!(first.payload, Some(json!("b")));

    reply(&bench, &asking, json!({"approved": true})).await;
    assert_eq!(resume(&bench, &asking).await, Executed::Closed);
    let state = bench.state(asking.run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
    assert_eq!(counter.0.load(Ordering::SeqCst), 2, "it was approved");
    assert!(results(&state).contains(&"b".to_owned()));
    assert_eq!(bench.status(asking.run).await, RunStatus::Success);
    assert_eq!(bench.projects().get(asking.project).await.unwrap().live_run_id, None);
}

#[tokio::test]
async fn a_call_that_a_person_refuses_does_not_run() {
    let (bench, counter) = bench().await;
    let (asking, _) = start(&bench, "/demo tokens=1 rate=0 tool=wire\n/demo tokens=1 rate=0").await;
    reply(&bench, &asking, json!({"approved": false})).await;
    assert_eq!(resume(&bench, &asking).await, Executed::Closed);
    assert_eq!(counter.0.load(Ordering::SeqCst), 0);
    assert!(results(&bench.state(asking.run).await)[0].contains("did not approve"));
}

#[tokio::test]
async fn a_call_that_may_have_run_is_repeated_only_if_a_person_agrees() {
    for (action, runs) in [("skip", 1), ("retry", 2)] {
        let (bench, counter) = bench().await;
        let script = "/demo tokens=1 rate=0 tool=charge args={\"fails\":true}\n/demo tokens=1 rate=0";
        let (asking, _) = start(&bench, script).await;
        let state = bench.state(asking.run).await;
        let reasons: Vec<Reason> = state.open_interrupts().map(|open| open.question.reason).collect();
        assert_eq!(reasons, [Reason::UnknownOutcome]);
        reply(&bench, &asking, json!({"action": action})).await;
        resume(&bench, &asking).await;
        assert_eq!(counter.0.load(Ordering::SeqCst), runs, "{action}");
        let asked_again = bench.status(asking.run).await == RunStatus::Interrupted;
        assert_eq!(asked_again, action == "retry", "a second unknown outcome is a second question");
    }
}

#[tokio::test]
async fn a_call_of_a_dead_owner_runs_once_or_is_asked_about() {
    let (bench, counter) = bench().await;
    for dispatched in [false, true] {
        let asking = bench
            .asking(bench.project().await.id, "/demo tokens=1 rate=0 tool=charge\n/demo tokens=1 rate=0");
        let writer = bench.owned(&asking).await;
        let id = sequent_core::ToolCallId::new().to_string();
        let call = Body::ToolCallStart {
            tool_call_id: id.clone(),
            tool_call_name: "charge".into(),
            parent_message_id: None,
        };
        writer.append(call).await.unwrap();
        writer.append(Body::ToolCallEnd { tool_call_id: id.clone() }).await.unwrap();
        writer.append(Body::UsageRecorded(usage())).await.unwrap();
        if dispatched {
            writer.append(Body::ToolCallDispatched { tool_call_id: id }).await.unwrap();
        }
        writer.release().await.unwrap();
        let before = counter.0.load(Ordering::SeqCst);
        assert_eq!(resume(&bench, &asking).await, Executed::Closed);
        let ran = counter.0.load(Ordering::SeqCst) - before;
        let status = bench.status(asking.run).await;
        match dispatched {
            false => assert_eq!((ran, status), (1, RunStatus::Success), "the call had not started"),
            true => assert_eq!((ran, status), (0, RunStatus::Interrupted), "the call may have run"),
        }
    }
}

#[tokio::test]
async fn a_waiting_run_can_be_cancelled() {
    let (bench, counter) = bench().await;
    let (asking, _) = start(&bench, "/demo tokens=1 rate=0 tool=wire").await;
    let reason = sequent_event::CancelReason::Requested;
    let runs = bench.engine.runs();
    let outcome = sequent_conversation::cancel(&runs, bench.key(asking.run), None, reason).await.unwrap();
    assert_eq!(outcome, sequent_conversation::Cancel::Done);
    assert_eq!(bench.status(asking.run).await, RunStatus::Cancelled);
    assert_eq!(counter.0.load(Ordering::SeqCst), 0);
    assert_eq!(bench.projects().get(asking.project).await.unwrap().live_run_id, None);
}

#[tokio::test]
async fn a_run_stops_at_its_limits() {
    let (bench, _) = bench().await;
    let endless = "/demo tokens=1 rate=0 tool=charge\n".repeat(20);
    let mut asking = bench.asking(bench.project().await.id, &endless);
    asking.options.budget.max_steps = Some(3);
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    let state = bench.state(asking.run).await;
    assert!(matches!(&state.phase, Phase::Failed { code, .. } if code == "step_limit"), "{:?}", state.phase);
    assert_eq!(state.model_calls, 3);
}

fn usage() -> sequent_event::Usage {
    serde_json::from_value(json!({
        "provider": "demo", "model": "demo", "inputTokens": 1, "outputTokens": 1, "latencyMs": 1, "finishReason": "tool_calls"
    }))
    .unwrap()
}

/// A script that fetches an address which the person has not written: its slashes are escaped.
pub(crate) const FETCHES: &str = r#"/demo tokens=1 rate=0 tool=web_fetch args={"url":"https:\u002f\u002fcomposed.example\u002fsecret"}
/demo tokens=1 rate=0"#;

#[tokio::test]
async fn an_address_that_the_model_composed_is_read_only_if_a_person_agrees() {
    let (bench, _) = bench().await;
    let (asking, _) = start(&bench, FETCHES).await;
    let state = bench.state(asking.run).await;
    let asked: Vec<_> = state.open_interrupts().map(|open| &open.question).collect();
    assert_eq!(asked.len(), 1, "{state:?}");
    assert_eq!(asked[0].reason, Reason::Approval);
    assert!(asked[0].message.starts_with("The address is neither in your messages"), "{}", asked[0].message);
    reply(&bench, &asking, json!({"approved": false})).await;
    assert_eq!(resume(&bench, &asking).await, Executed::Closed);
    assert!(results(&bench.state(asking.run).await)[0].contains("did not approve"));
}

#[tokio::test]
async fn a_tenant_can_keep_its_runs_off_the_web() {
    let (bench, _) = bench().await;
    let row = Row::new(&key::web_access(bench.tenant), &WebAccess::Off).unwrap();
    bench.engine.store().put(row).await.unwrap();
    let (asking, ended) = start(&bench, FETCHES).await;
    assert_eq!(ended, Executed::Closed);
    assert_eq!(errors(&bench, &asking).await, [Some("tool_refused".to_owned())]);
    let results = results(&bench.state(asking.run).await);
    assert_eq!(results, ["The settings of this account do not let runs read pages of the web."]);
}
