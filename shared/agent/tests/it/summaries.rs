//! The summary in the place of older turns: its failures, its size and its price.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sequent_agent::{Engine, execute};
use sequent_conversation::{NewRun, RunLimits, RunOptions};
use sequent_core::ProjectId;
use sequent_event::{Compaction, Phase, State};
use sequent_model::{Client, Config, price};
use serde_json::Value;

use crate::{
    bench::Bench,
    scripted::{Answer, ScriptedServer},
    window::{asking, bench, config, is_summary, messages, run, succeeded},
};

const WINDOW: u64 = 16_384;
const SUMMARY: &str = "They spoke about tides.";

/// A server that says `summary` for a summary, and `answer` for anything else.
fn server(
    summary: impl Fn() -> Answer + Send + 'static,
    answer: impl Fn(usize) -> Answer + Send + 'static,
) -> ScriptedServer {
    ScriptedServer::start(move |number, request| if is_summary(request) { summary() } else { answer(number) })
}

fn long_answer(number: usize) -> Answer {
    Answer::Text(format!("{number}: {}", "tide ".repeat(1_500)))
}

/// Talks until a run has compacted the conversation. Returns the state of that run.
async fn talk(bench: &Bench, project: ProjectId) -> State {
    for turn in 0..20 {
        let (_, state) = run(bench, project, &format!("Question {turn}?")).await;
        if !state.compactions.is_empty() {
            return state;
        }
        assert!(succeeded(&state), "{:?}", state.phase);
    }
    panic!("nothing was covered");
}

fn only(state: &State) -> &Compaction {
    let [made] = state.compactions.as_slice() else { panic!("{:?}", state.compactions) };
    made
}

/// The requests for a summary so far.
fn summaries(server: &ScriptedServer) -> Vec<Value> {
    let requests = server.requests();
    let requests = requests.iter().map(|request| serde_json::from_slice(request).unwrap());
    requests.filter(is_summary).collect()
}

/// The texts of the last request.
fn last_texts(server: &ScriptedServer) -> Vec<String> {
    let last = messages(server.requests().last().unwrap());
    last.iter().map(|message| message["content"].to_string()).collect()
}

#[tokio::test]
async fn a_refusal_of_the_model_is_no_summary() {
    let refusal = || Answer::Ended("I can't help with that.".to_owned(), "content_filter");
    let server = server(refusal, long_answer);
    let bench = bench(&server, WINDOW, 10).await;
    let state = talk(&bench, bench.project().await.id).await;
    assert!(succeeded(&state), "{:?}", state.phase);
    let made = only(&state);
    assert_eq!((&made.summary, made.usage.is_some(), made.provisional), (&None, true, false));
    let texts = last_texts(&server);
    assert!(texts.iter().all(|text| !text.contains("I can't help")), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("up to here is left out.)")), "{texts:?}");
}

#[tokio::test]
async fn a_model_that_has_no_output_left_has_not_written_a_summary() {
    let nothing = || Answer::Ended(String::new(), "length");
    let server = server(nothing, long_answer);
    let bench = bench(&server, WINDOW, 10).await;
    let state = talk(&bench, bench.project().await.id).await;
    assert!(only(&state).summary.is_none() && only(&state).provisional, "{:?}", only(&state));
}

#[tokio::test]
async fn a_summary_that_could_not_be_written_is_written_by_a_later_turn() {
    let is_up = Arc::new(AtomicBool::new(false));
    let server = server(
        {
            let is_up = is_up.clone();
            move || {
                if is_up.load(Ordering::SeqCst) {
                    Answer::Text(SUMMARY.to_owned())
                } else {
                    Answer::Overloaded
                }
            }
        },
        long_answer,
    );
    let bench = bench(&server, WINDOW, 10).await;
    let project = bench.project().await.id;
    let state = talk(&bench, project).await;
    assert!(succeeded(&state), "a run does not end because of it: {:?}", state.phase);
    assert!(only(&state).provisional && only(&state).summary.is_none());
    is_up.store(true, Ordering::SeqCst);
    let (_, next) = run(&bench, project, "And now?").await;
    assert_eq!(only(&next).summary.as_deref(), Some(SUMMARY));
    let material = summaries(&server).pop().unwrap()["messages"][1]["content"].to_string();
    assert!(material.contains("Question 0?"), "nothing was forgotten");
    let (_, last) = run(&bench, project, "And then?").await;
    assert!(succeeded(&last) && last.compactions.is_empty(), "{:?}", last.compactions);
    assert!(last_texts(&server).iter().any(|text| text.contains(SUMMARY)));
}

#[tokio::test]
async fn the_summary_of_a_run_without_an_answer_serves_the_next_turns() {
    let is_broken = Arc::new(AtomicBool::new(false));
    let server = server(
        {
            let is_broken = is_broken.clone();
            move || {
                is_broken.store(true, Ordering::SeqCst);
                Answer::Text(SUMMARY.to_owned())
            }
        },
        move |number| match is_broken.swap(false, Ordering::SeqCst) {
            true => Answer::Refusal("The request is broken."),
            false => long_answer(number),
        },
    );
    let bench = bench(&server, WINDOW, 10).await;
    let project = bench.project().await.id;
    let state = talk(&bench, project).await;
    assert!(matches!(state.phase, Phase::Failed { .. }), "{:?}", state.phase);
    assert_eq!(only(&state).summary.as_deref(), Some(SUMMARY));
    let (_, next) = run(&bench, project, "And now?").await;
    assert!(succeeded(&next) && next.compactions.is_empty(), "{:?}", next.compactions);
    assert_eq!(summaries(&server).len(), 1, "it is paid once");
    let texts = last_texts(&server);
    assert!(texts.iter().any(|text| text.contains(SUMMARY)), "{texts:?}");
    assert!(texts.iter().all(|text| !text.contains("Question 0?")), "{texts:?}");
}

#[tokio::test]
async fn a_summary_without_end_is_cut_and_counted() {
    let server = server(|| Answer::Text("\u{2014}".repeat(100_000)), long_answer);
    let bench = bench(&server, WINDOW, 10).await;
    let state = talk(&bench, bench.project().await.id).await;
    assert!(succeeded(&state), "{:?}", state.phase);
    let made = &state.compactions[0];
    let bytes = made.summary.as_ref().unwrap().len();
    assert!((1_000..=32_000).contains(&bytes), "{bytes} bytes");
    assert!(made.usage.as_ref().unwrap().output_tokens > 0);
}

#[tokio::test]
async fn a_run_that_could_not_pay_its_answer_after_the_summary_does_not_pay_the_summary() {
    let server = server(|| Answer::Text(SUMMARY.to_owned()), long_answer);
    let bench = bench(&server, WINDOW, 10).await;
    let prices = r#"{"scripted": {"input": 1000000, "output": 10000000, "max_output": 2000}}"#;
    let prices = price::Table::from_json(prices).unwrap();
    let models = Client::new(Config { prices, ..config(&server, WINDOW) });
    let bench = Bench { engine: Engine { models, ..bench.engine }, ..bench };
    let project = bench.project().await.id;
    let budget = RunLimits { max_cost_micro_usd: Some(40_000), ..RunLimits::default() };
    for turn in 0..20 {
        let options = RunOptions { budget, ..RunOptions::default() };
        let asking = NewRun { options, ..asking(&bench, project, &format!("Question {turn}?")) };
        let writer = bench.owned(&asking).await;
        execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
        let state = bench.state(asking.run).await;
        assert!(succeeded(&state), "{:?}", state.phase);
        if let Some(made) = state.compactions.first() {
            assert!(made.provisional && made.usage.is_none());
            assert_eq!(summaries(&server).len(), 0);
            return;
        }
    }
    panic!("nothing was covered");
}

#[tokio::test]
async fn the_next_summary_is_written_of_the_whole_summary_before() {
    let summary = format!("{}The budget is 4711 euros.", "They spoke about tides. ".repeat(160));
    let server = server(
        {
            let summary = summary.clone();
            move || Answer::Text(summary.clone())
        },
        long_answer,
    );
    let bench = bench(&server, WINDOW, 10).await;
    let project = bench.project().await.id;
    for _ in 0..2 {
        assert!(succeeded(&talk(&bench, project).await));
    }
    let requests = summaries(&server);
    assert_eq!(requests.len(), 2);
    let material = requests[1]["messages"][1]["content"].as_str().unwrap();
    assert!(material.contains(&summary), "{material}");
    let (_, next) = run(&bench, project, "And now?").await;
    assert!(succeeded(&next));
}
