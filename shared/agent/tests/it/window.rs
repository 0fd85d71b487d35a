//! Requests and the context window of their model.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::future::BoxFuture;
use sequent_agent::{Engine, SentContext, SentRequest, execute, sent_context};
use sequent_conversation::{NewRun, Runs};
use sequent_core::{ProjectId, RunId};
use sequent_event::{Body, Compaction, CompactionReason, Phase, RunOutcome, State};
use sequent_model::{AbilityTable, Client, Config, Context, Request, config::Endpoint};
use sequent_runlog::{Claim, claim};
use sequent_tables::key;
use sequent_tool::{Call, Error, Handler, Output, Registry, Tool, ToolKind};
use serde_json::{Value, json};

use crate::{
    bench::Bench,
    scripted::{Answer, ScriptedServer},
};

/// A tool that returns another page at each call.
struct Pages {
    bytes: usize,
    calls: AtomicUsize,
}

impl Handler for Pages {
    fn call<'a>(&'a self, _: Call<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let line = format!("Page {number} of the archive says much about the tides. ");
        let page = line.repeat(self.bytes.div_ceil(line.len()));
        Box::pin(async move { Ok(Output::text(page[..self.bytes].to_owned())) })
    }
}

/// A bench whose model has this window, with the tool `fetch`, which returns pages of this size.
pub(crate) async fn bench(server: &ScriptedServer, window: u64, bytes: usize) -> Bench {
    let bench = Bench::new().await;
    let pages = Arc::new(Pages { bytes, calls: AtomicUsize::new(0) });
    let fetch =
        Tool::new("fetch", "Fetches the next page.", json!({"type": "object"}), ToolKind::Runs(pages));
    let tools = Arc::new(Registry::new([Tool { idempotent: true, ..fetch }]).unwrap());
    let models = Client::new(config(server, window));
    Bench { engine: Engine { models, tools, ..bench.engine }, ..bench }
}

/// The configuration of models whose default one has this window.
pub(crate) fn config(server: &ScriptedServer, window: u64) -> Config {
    let abilities = json!({"scripted": {"window": window}}).to_string();
    let mut config = Config {
        openai: Some(Endpoint::new(&server.url, None).unwrap()),
        default_model: "scripted".parse().unwrap(),
        abilities: AbilityTable::from_json(&abilities).unwrap(),
        ..Config::demo()
    };
    config.retry.attempts = 1;
    config
}

/// A run whose id comes before those of the earlier turns, as if the clocks of the machines that made them differed.
pub(crate) fn asking(bench: &Bench, project: ProjectId, content: &str) -> NewRun {
    static LEFT: AtomicUsize = AtomicUsize::new(1_000_000);
    let id = LEFT.fetch_sub(1, Ordering::SeqCst) as u128;
    let run = RunId::from_bits((1_790_000_000_000 << 80) | id);
    NewRun { run, ..bench.asking(project, content) }
}

pub(crate) async fn run(bench: &Bench, project: ProjectId, content: &str) -> (NewRun, State) {
    let asking = asking(bench, project, content);
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    let state = bench.state(asking.run).await;
    (asking, state)
}

pub(crate) fn succeeded(state: &State) -> bool {
    state.phase == Phase::Finished(RunOutcome::Success)
}

fn code(state: &State) -> &str {
    match &state.phase {
        Phase::Failed { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn is_summary(request: &Value) -> bool {
    request["messages"][0]["content"].as_str().is_some_and(|text| text.starts_with("You write the summary"))
}

/// The messages of a recorded request.
pub(crate) fn messages(request: &[u8]) -> Vec<Value> {
    let mut request: Value = serde_json::from_slice(request).unwrap();
    request["messages"].as_array_mut().unwrap().drain(..).collect()
}

/// The request of a model call of the run, as far as it can be rebuilt.
pub(crate) async fn context(bench: &Bench, run: RunId, step: Option<u32>) -> Option<SentContext> {
    let project = Runs::new(bench.engine.store(), bench.tenant).get(run).await.unwrap().project_id;
    sent_context(&bench.engine.storage, bench.key(run), Some(project), step).await.unwrap()
}

/// Rebuilds the request of every `nth` model call of the run, and sends it again: the server must get the same bytes.
async fn check_rebuilt(bench: &Bench, server: &ScriptedServer, run: RunId, before: usize, nth: usize) {
    let sent = server.requests();
    let calls = u32::try_from(sent.len() - before).unwrap();
    for step in (1..=calls).step_by(nth) {
        let context = context(bench, run, Some(step)).await.unwrap();
        assert_eq!((context.step, context.steps), (step, calls));
        let SentRequest::Exact { system, tools, must_call, parameters, output_schema, messages } =
            context.request
        else {
            panic!("step {step}: {:?}", context.request)
        };
        let record = context.usage.request.unwrap();
        let request = Request {
            system: Some(system),
            tools,
            must_call,
            parameters: *parameters,
            output_schema,
            max_output_tokens: record.max_output_tokens,
            ..Request::new(context.usage.model.parse().unwrap(), messages)
        };
        // The script of the server may refuse it by now.
        let _ = bench.engine.models.stream(request, Context::default()).await;
        let again = server.requests().pop().unwrap();
        let index = before + step as usize - 1;
        assert!(again == sent[index], "step {step} is rebuilt byte for byte");
    }
    assert!(context(bench, run, Some(calls + 1)).await.is_none());
}

#[tokio::test]
async fn a_long_run_stays_in_its_window_and_sends_a_linear_number_of_tokens() {
    const STEPS: usize = 20;
    const WINDOW: usize = 128_000;
    let server = ScriptedServer::start(|number, request| {
        let tokens = request.to_string().len() / 3;
        match number {
            _ if tokens > WINDOW => Answer::Refusal("This model's maximum context length is 128000 tokens."),
            0..STEPS => Answer::Call("fetch"),
            _ => Answer::Text("The tides turn twice a day.".to_owned()),
        }
    });
    let bench = bench(&server, WINDOW as u64, 60_000).await;
    let project = bench.project().await.id;
    let (asking, state) = run(&bench, project, "Read the archive.").await;
    assert!(succeeded(&state), "{:?}", state.phase);
    let requests = server.requests();
    assert_eq!(requests.len(), STEPS + 1, "nothing was refused, and no summary was needed");
    let tokens: Vec<usize> = requests.iter().map(|request| request.len() / 3).collect();
    let mut sum = 0;
    println!("step  tokens  sum");
    for (step, tokens) in tokens.iter().enumerate() {
        sum += tokens;
        println!("{:4} {tokens:7} {sum:8}", step + 1);
    }
    assert!(tokens.iter().all(|tokens| *tokens <= WINDOW), "{tokens:?}");
    let half = |range: std::ops::Range<usize>| tokens[range].iter().sum::<usize>();
    assert!(
        half(STEPS / 2..STEPS) < half(0..STEPS / 2) * 3 / 2,
        "a step late in the run costs as much as an early one"
    );

    let compactions = state.compactions.len();
    assert!((2..=8).contains(&compactions), "{compactions} compactions");
    let begins_alike = |pair: &[Vec<u8>]| messages(&pair[1]).starts_with(&messages(&pair[0]));
    let breaks = requests.windows(2).filter(|pair| !begins_alike(pair)).count();
    assert!(breaks <= compactions, "{breaks} requests begin differently after {compactions} compactions");
    check_rebuilt(&bench, &server, asking.run, 0, 6).await;
}

/// A server that says `answer` for a summary, and a long text for anything else.
fn talkative(summary: impl Fn() -> Answer + Send + 'static) -> ScriptedServer {
    ScriptedServer::start(move |number, request| {
        if is_summary(request) {
            summary()
        } else {
            Answer::Text(format!("{number}: {}", "tide ".repeat(1_500)))
        }
    })
}

/// Talks until a run has covered a part of the conversation. Returns that run.
async fn talk(bench: &Bench, project: ProjectId) -> (NewRun, State, usize) {
    for turn in 0..12 {
        let (asking, state) = run(bench, project, &format!("Question {turn}?")).await;
        assert!(succeeded(&state), "{:?}", state.phase);
        if state.compactions.iter().any(|made| made.covers.is_some()) {
            return (asking, state, turn);
        }
    }
    panic!("nothing was covered");
}

#[tokio::test]
async fn older_turns_become_a_summary_that_is_counted_and_serves_the_next_turns() {
    let server = talkative(|| Answer::Text("They spoke about tides.".to_owned()));
    let bench = bench(&server, 16_384, 10).await;
    let project = bench.project().await.id;
    let (asking, state, turns) = talk(&bench, project).await;
    let [made] = state.compactions.as_slice() else { panic!("{:?}", state.compactions) };
    assert_eq!(made.summary.as_deref(), Some("They spoke about tides."));
    let usage = made.usage.as_ref().unwrap();
    assert_eq!(
        (usage.model.as_str(), state.model_calls),
        ("scripted", 2),
        "the summary is a call of the run"
    );
    assert!(state.totals.input_tokens > usage.input_tokens && usage.input_tokens > 1_000);
    assert_eq!(server.requests().len(), turns + 2);
    check_rebuilt(&bench, &server, asking.run, turns, 1).await;

    let before = server.requests().len();
    let (_, next) = run(&bench, project, "And now?").await;
    assert!(succeeded(&next) && next.compactions.is_empty(), "{:?}", next.compactions);
    let requests = server.requests();
    assert_eq!(requests.len(), before + 1, "it is not written again");
    let texts: Vec<String> =
        messages(&requests[before]).iter().map(|message| message["content"].to_string()).collect();
    assert_eq!(texts.iter().filter(|text| text.contains("They spoke about tides.")).count(), 1);
    assert!(texts.iter().all(|text| !text.contains("Question 0?")), "{texts:?}");
}

#[tokio::test]
async fn without_a_summary_a_mark_says_that_something_is_left_out() {
    let server = talkative(|| Answer::Refusal("The summary cannot be written."));
    let bench = bench(&server, 16_384, 10).await;
    let (_, state, ..) = talk(&bench, bench.project().await.id).await;
    let [Compaction { summary, usage, covers, provisional, .. }] = state.compactions.as_slice() else {
        panic!()
    };
    assert_eq!((summary, usage, *provisional), (&None, &None, true));
    assert!(covers.is_some());
    let last = messages(server.requests().last().unwrap());
    assert!(last.iter().any(|message| message["content"].to_string().contains("up to here is left out.)")));
}

#[tokio::test]
async fn a_message_that_is_larger_than_the_window_ends_the_run_before_a_model_is_asked() {
    let server = talkative(|| Answer::Text("No.".to_owned()));
    let bench = bench(&server, 8_192, 10).await;
    let (_, state) = run(&bench, bench.project().await.id, &"tide ".repeat(9_000)).await;
    assert_eq!(code(&state), "model_context_too_long");
    assert_eq!(server.requests().len(), 0);
}

/// The reasons of the run's compactions.
fn reasons(state: &State) -> Vec<CompactionReason> {
    state.compactions.iter().map(|made| made.reason).collect()
}

#[tokio::test]
async fn a_provider_that_has_a_smaller_window_than_we_know_is_asked_once_more_with_less() {
    const LIMIT: usize = 20_000;
    let server = ScriptedServer::start(|number, request| match request.to_string().len() / 3 {
        tokens if tokens > LIMIT => Answer::Refusal("prompt is too long: 30000 tokens > 20000 maximum"),
        _ if number < 5 => Answer::Call("fetch"),
        _ => Answer::Text("Done.".to_owned()),
    });
    let bench = bench(&server, 128_000, 20_000).await;
    let project = bench.project().await.id;
    let (_, state) = run(&bench, project, "Read.").await;
    assert!(succeeded(&state), "{:?}", state.phase);
    assert_eq!(reasons(&state)[0], CompactionReason::Refused);
    let refused = server.requests().iter().filter(|request| request.len() / 3 > LIMIT).count();
    assert_eq!(refused, 1, "the run remembers it");
}

#[tokio::test]
async fn a_provider_that_refuses_the_smaller_request_too_ends_the_run() {
    let server = ScriptedServer::start(|number, _| match number {
        0..3 => Answer::Call("fetch"),
        _ => Answer::Refusal("The input token count exceeds the maximum number of tokens allowed"),
    });
    let bench = bench(&server, 128_000, 20_000).await;
    let (_, state) = run(&bench, bench.project().await.id, "Read.").await;
    assert_eq!(code(&state), "model_context_too_long");
    assert_eq!((reasons(&state), server.requests().len()), (vec![CompactionReason::Refused], 5));
}

#[tokio::test]
async fn a_request_whose_conversation_was_changed_since_is_not_shown() {
    let server = talkative(|| Answer::Text("No.".to_owned()));
    let bench = bench(&server, 128_000, 10).await;
    let project = bench.project().await.id;
    let (first, _) = run(&bench, project, "First?").await;
    let (second, _) = run(&bench, project, "Second?").await;
    let shown = async || context(&bench, second.run, None).await.unwrap().request;
    assert!(matches!(shown().await, SentRequest::Exact { messages, .. } if messages.len() == 3));
    let place = key::message(bench.tenant, project, 0, first.run, 1);
    bench.engine.store().delete(&place).await.unwrap();
    assert_eq!(shown().await, SentRequest::Changed);
    let offers = bench.events(second.run).await;
    let record = offers.iter().find_map(|event| event.body().and_then(Body::usage)).unwrap();
    let digest = &record.request.as_ref().unwrap().offer;
    bench.engine.store().delete(&key::offer(bench.tenant, digest)).await.unwrap();
    assert_eq!(shown().await, SentRequest::NotRecorded);
}

#[tokio::test]
async fn of_many_turns_with_calls_only_the_latest_have_them_and_a_later_turn_sends_the_same() {
    let server = ScriptedServer::start(|number, _| match number % 2 {
        0 => Answer::Call("fetch"),
        _ => Answer::Text("The page says so.".to_owned()),
    });
    let bench = bench(&server, 128_000, 40).await;
    let project = bench.project().await.id;
    let mut marks = Vec::new();
    for turn in 0..15 {
        let before = server.requests().len();
        let (asking, state) = run(&bench, project, &format!("Question {turn}?")).await;
        assert!(succeeded(&state), "{:?}", state.phase);
        marks.extend(state.compactions.iter().map(|made| (turn, made.reason, made.words.is_some())));
        if turn == 14 {
            check_rebuilt(&bench, &server, asking.run, before, 1).await;
        }
    }
    assert_eq!(
        marks,
        [(13, CompactionReason::Turns, true)],
        "the fourteenth turn leaves calls out, and the next keeps to it"
    );
    let last = messages(&server.requests()[28]);
    let calls = last.iter().filter(|message| message["role"] == "tool").count();
    assert_eq!(calls, 7, "six turns, and the one that left the others out");
}

#[tokio::test]
async fn a_summary_is_not_written_again_by_the_next_owner() {
    let (unblock, blocked) = std::sync::mpsc::channel::<()>();
    let mut summaries = 0;
    let blocked = std::sync::Mutex::new(blocked);
    let server = ScriptedServer::start({
        let summaries = AtomicUsize::new(0);
        move |number, request| {
            if is_summary(request) {
                summaries.fetch_add(1, Ordering::SeqCst);
                return Answer::Text("They spoke about tides.".to_owned());
            }
            if summaries.load(Ordering::SeqCst) == 1 {
                let _ = blocked.lock().unwrap().recv();
            }
            Answer::Text(format!("{number}: {}", "tide ".repeat(1_500)))
        }
    });
    let bench = bench(&server, 16_384, 10).await;
    let project = bench.project().await.id;
    for turn in 0..12 {
        let asking = asking(&bench, project, &format!("Question {turn}?"));
        let key = bench.key(asking.run);
        let writer = bench.owned(&asking).await;
        let engine = bench.engine.clone();
        let first = tokio::spawn(async move { execute(&engine, key, *writer, None).await });
        let compacted = loop {
            let state = bench.state(asking.run).await;
            if !state.compactions.is_empty() || first.is_finished() {
                break !state.compactions.is_empty();
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        };
        if !compacted {
            continue;
        }
        first.abort();
        assert!(first.await.is_err(), "the owner is lost while the model answers");
        unblock.send(()).unwrap();
        unblock.send(()).unwrap();
        let writer = loop {
            match claim(&bench.engine.storage, key, bench.engine.settings, false, None).await.unwrap() {
                Claim::Won(writer) => break writer,
                _ => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        };
        execute(&bench.engine, key, *writer, None).await.unwrap();
        let state = bench.state(asking.run).await;
        assert!(succeeded(&state) && state.compactions.len() == 1, "{:?}", state.phase);
        summaries = server
            .requests()
            .iter()
            .filter(|body| is_summary(&serde_json::from_slice(body).unwrap()))
            .count();
        break;
    }
    assert_eq!(summaries, 1);
}
