//! Tools that the client carries out.

use sequent_agent::{Executed, SentRequest, execute, sent_context};
use sequent_conversation::{
    AnswerToQuestion, Error, NewRun, ResumeBy, RunOptions, RunStatus, Runs, answer, expire,
};
use sequent_core::Timestamp;
use sequent_event::{AnswerStatus, ClientTool, Phase, Reason, RunOutcome, State, TranscriptEntry};
use serde_json::{Value, json};

use crate::{
    bench::Bench,
    tools::{reply, resume},
};

/// A tool of the client with this name. Its arguments need a city, and its result is a number.
fn declared(name: &str) -> ClientTool {
    ClientTool {
        name: name.into(),
        description: "Measures.".into(),
        input_schema: json!({
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]
        }),
        output_schema: Some(json!({"type": "number"})),
        expires_in_seconds: Some(60),
    }
}

/// Starts a run with the tools `heat` and `wind` of the client.
async fn start(bench: &Bench, script: &str) -> NewRun {
    let client_tools = vec![declared("heat"), declared("wind")];
    let options = RunOptions { client_tools, ..RunOptions::default() };
    let asking = NewRun { options, ..bench.asking(bench.project().await.id, script) };
    let writer = bench.owned(&asking).await;
    let ended = execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    assert_eq!(ended, Executed::Closed);
    asking
}

const CALLS: &str = r#"/demo tokens=1 rate=0 tool=heat args={"city":"Bern"} tool=cite_source args={"url":"https://a.example/","title":"A"} tool=wind args={"city":"Basel"}
/demo tokens=3 rate=0"#;

fn results(state: &State) -> Vec<&str> {
    let results = state.transcript.iter().filter_map(|entry| match entry {
        TranscriptEntry::Tool { content, .. } => Some(content.as_str()),
        _ => None,
    });
    results.collect()
}

#[tokio::test]
async fn calls_of_the_client_wait_together_while_the_others_run() {
    let bench = Bench::new().await;
    let asking = start(&bench, CALLS).await;
    let state = bench.state(asking.run).await;
    assert_eq!(results(&state).len(), 1, "the source was cited");
    let open: Vec<_> = state.open_interrupts().map(|open| &open.question).collect();
    assert_eq!(open.len(), 2);
    let call = open[0].call.as_ref().unwrap();
    assert_eq!((open[0].reason, call.tool_name.as_str()), (Reason::ClientTool, "heat"));
    assert_eq!(call.arguments, Some(json!({"city": "Bern"})));
    assert_eq!(open[0].response_schema, Some(json!({"type": "number"})));
    let left = open[0].expires_at.unwrap().since(Timestamp::now());
    assert!(left.as_secs() <= 60, "{left:?}");
    let row = Runs::new(bench.engine.store(), bench.tenant).get(asking.run).await.unwrap();
    assert_eq!(row.interrupts[1].tool_name.as_deref(), Some("wind"));
    assert_eq!(row, row.clone().projected(&state), "the row repeats the log, without the declarations");

    reply(&bench, &asking, json!(21.5)).await;
    assert_eq!(resume(&bench, &asking).await, Executed::Closed);
    let state = bench.state(asking.run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
    assert_eq!(results(&state)[1..], ["21.5", "21.5"]);
}

#[tokio::test]
async fn an_error_of_the_client_and_a_late_answer_are_results_for_the_model() {
    let bench = Bench::new().await;
    let asking = start(&bench, CALLS).await;
    let first = bench.state(asking.run).await.asked[0].interrupt.id;
    let failed = AnswerToQuestion {
        interrupt: first,
        status: AnswerStatus::Cancelled,
        payload: Some(json!("The sensor is broken.")),
    };
    let storage = &bench.engine.storage;
    let key = bench.key(asking.run);
    answer(storage, key, None, std::slice::from_ref(&failed), ResumeBy::Worker).await.unwrap();
    let other = AnswerToQuestion { payload: Some(json!("Another.")), ..failed };
    let refused = answer(storage, key, None, &[other], ResumeBy::Worker).await.unwrap_err();
    assert!(matches!(refused, Error::AlreadyAnswered(_)), "the first answer counts: {refused:?}");
    let later = Timestamp::now() + std::time::Duration::from_secs(61);
    assert!(expire(storage, key, later).await.unwrap(), "nothing is left to wait for");
    resume(&bench, &asking).await;
    let state = bench.state(asking.run).await;
    assert_eq!(
        results(&state)[1..],
        [
            "`heat` failed: The sensor is broken.",
            "There was no result of `wind` in time. Continue without it."
        ]
    );
    assert_eq!(bench.status(asking.run).await, RunStatus::Success);
}

#[tokio::test]
async fn arguments_that_do_not_match_are_for_the_model_and_not_for_the_client() {
    let bench = Bench::new().await;
    let asking = start(&bench, "/demo tokens=1 rate=0 tool=heat\n/demo tokens=1 rate=0").await;
    let state = bench.state(asking.run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
    assert!(results(&state)[0].contains("missing properties `city`"), "{:?}", results(&state));
}

#[tokio::test]
async fn long_arguments_are_whole_in_the_log_and_cut_in_the_question() {
    let bench = Bench::new().await;
    let city = "x".repeat(40_000);
    let script = format!("/demo tokens=1 rate=0 tool=heat args={{\"city\":\"{city}\"}}");
    let asking = start(&bench, &script).await;
    let state = bench.state(asking.run).await;
    let question = &state.open_interrupts().next().unwrap().question;
    let arguments = question.call.as_ref().unwrap().arguments.as_ref().unwrap();
    assert!(matches!(arguments, Value::String(text) if text.len() < 17_000 && text.contains("[Cut")));
    let call = state.tool_call(question.tool_call_id.as_deref().unwrap()).unwrap();
    assert!(call.arguments.contains(&city));
}

/// The declarations belong to the conversation and are deleted with it, so the record of the request has only that they were
/// offered.
#[tokio::test]
async fn the_request_of_a_call_is_shown_with_the_tools_of_the_client() {
    let bench = Bench::new().await;
    let asking = start(&bench, "/demo tokens=1 rate=0").await;
    let key = bench.key(asking.run);
    let sent = sent_context(&bench.engine.storage, key, Some(asking.project), None).await.unwrap().unwrap();
    let SentRequest::Exact { tools, .. } = sent.request else { panic!("{sent:?}") };
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["ask_user", "cite_source", "web_fetch", "heat", "wind"]);
}

#[tokio::test]
async fn a_person_who_denies_a_call_tells_the_model_why() {
    let (bench, _) = crate::tools::bench().await;
    let (asking, _) =
        crate::tools::start(&bench, "/demo tokens=1 rate=0 tool=wire\n/demo tokens=1 rate=0").await;
    reply(&bench, &asking, json!({"approved": false, "reason": "Wrong account."})).await;
    resume(&bench, &asking).await;
    let state = bench.state(asking.run).await;
    assert_eq!(
        results(&state),
        ["The person did not approve `wire`, so it did not run. The reason: Wrong account."]
    );
}

#[tokio::test]
async fn a_call_that_is_approved_for_the_conversation_is_not_asked_about_again() {
    let (bench, counter) = crate::tools::bench().await;
    let script = "/demo tokens=1 rate=0 tool=wire\n/demo tokens=1 rate=0 tool=wire\n/demo tokens=1 rate=0";
    let (asking, _) = crate::tools::start(&bench, script).await;
    reply(&bench, &asking, json!({"approved": true, "always": true})).await;
    resume(&bench, &asking).await;
    assert_eq!(
        bench.status(asking.run).await,
        RunStatus::Success,
        "the second call of the run needed no answer"
    );
    let later = bench.asking(asking.project, "/demo tokens=1 rate=0 tool=wire\n/demo tokens=1 rate=0");
    let writer = bench.owned(&later).await;
    execute(&bench.engine, bench.key(later.run), *writer, None).await.unwrap();
    let state = bench.state(later.run).await;
    let approved = &state.configuration.approved_tools;
    assert_eq!(
        (approved.len(), approved[0].name.as_str()),
        (1, "wire"),
        "the log says by what the call was allowed"
    );
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
    assert_eq!(counter.calls(), 3);

    let (elsewhere, _) = crate::tools::start(&bench, script).await;
    assert_eq!(bench.status(elsewhere.run).await, RunStatus::Interrupted, "another conversation asks");
}

/// An address carries text to its server, so the approval of one address is none of another.
#[tokio::test]
async fn an_address_cannot_be_approved_for_the_conversation() {
    let (bench, _) = crate::tools::bench().await;
    let (asking, _) = crate::tools::start(&bench, crate::tools::FETCHES).await;
    let state = bench.state(asking.run).await;
    let question = &state.open_interrupts().next().unwrap().question;
    assert_eq!(question.response_schema.as_ref().unwrap()["properties"]["always"], Value::Null);
    reply(&bench, &asking, json!({"approved": true, "always": true})).await;
    assert!(bench.projects().get(asking.project).await.unwrap().approved_tools.is_empty());
}
