//! Runs that are run again from an event of another one.

use std::sync::Arc;

use sequent_agent::{execute, kept_events};
use sequent_conversation::{
    Continues, Error, NewRun, ReplayedRun, RunStatus, Runs, TurnRequest, claim, create,
};
use sequent_core::RunId;
use sequent_event::{Body, Seq};

use crate::{
    bench::Bench,
    scripted::{Answer, ScriptedServer},
    window::{bench, context, run},
};

/// Runs `of` again from the event `from`, with another model if one is given.
async fn replay(bench: &Bench, of: &NewRun, from: Seq, content: &str) -> NewRun {
    let kept = kept_events(&bench.engine.storage, bench.key(of.run), from).await.unwrap();
    let kept = ReplayedRun::after(of.run, &kept, None).unwrap();
    let again = NewRun {
        continues: Continues::Beside(of.run),
        replay: Some(Arc::new(kept)),
        ..bench.asking(of.project, content)
    };
    let runs = bench.engine.runs();
    create(&runs, &again, TurnRequest::Claim).await.unwrap();
    let row = Runs::new(runs.tables(), bench.tenant).get(again.run).await.unwrap();
    assert_eq!((row.status, row.usage.input_tokens), (RunStatus::Pending, 0));
    assert_eq!(row.replay.map(|replay| (replay.run_id, replay.seq)), Some((of.run, Some(from))));
    let writer = claim(&runs, bench.key(again.run), &row, None).await.unwrap().unwrap();
    execute(&bench.engine, bench.key(again.run), *writer, None).await.unwrap();
    again
}

/// The positions of the results of calls in the log of the run.
async fn results(bench: &Bench, run: RunId) -> Vec<Seq> {
    let events = bench.events(run).await;
    let is_result = |body: &Body| matches!(body, Body::ToolCallResult { .. });
    events.iter().filter(|event| event.body().is_some_and(is_result)).map(|event| event.seq).collect()
}

#[tokio::test]
async fn a_replay_asks_the_model_what_it_was_asked_there_and_does_nothing_again() {
    let server = ScriptedServer::start(|number, _| match number {
        1 | 2 => Answer::Call("fetch"),
        _ => Answer::Text(format!("Answer {number}.")),
    });
    let bench = bench(&server, 128_000, 40).await;
    let project = bench.project().await.id;
    run(&bench, project, "Hello.").await;
    let (first, state) = run(&bench, project, "Read two pages.").await;
    let from = results(&bench, first.run).await;
    let again = replay(&bench, &first, from[1], "Read two pages.").await;
    let sent = server.requests();
    assert_eq!(sent.len(), 5);
    assert!(sent[4] == sent[3], "the last request of the first run, byte for byte");

    let log = bench.state(again.run).await;
    assert_eq!(log.answer_text(), "Answer 4.");
    assert_eq!((log.model_calls, state.model_calls), (1, 3), "the copied calls are those of the first run");
    let row = Runs::new(bench.engine.store(), bench.tenant).get(again.run).await.unwrap();
    assert_eq!(row.usage.input_tokens, u64::try_from(sent[4].len() / 3).unwrap());
    for step in 1..=3 {
        let [ours, theirs] = [again.run, first.run].map(|run| context(&bench, run, Some(step)));
        let ours = ours.await.unwrap();
        assert_eq!(ours.request, theirs.await.unwrap().request, "step {step}");
        assert_eq!(ours.steps, 3);
    }
    let messages = bench.projects().messages(project).await.unwrap();
    let shown: Vec<RunId> = messages.iter().map(|message| message.run_id).collect();
    assert_eq!(shown[2..], [again.run, again.run], "the replay is the branch that is shown");
}

#[tokio::test]
async fn a_replay_of_a_replay_with_another_task_keeps_its_own_work() {
    let server = ScriptedServer::start(|number, _| match number {
        0 => Answer::Call("fetch"),
        1 => Answer::Text("One.".to_owned()),
        2 => Answer::Call("fetch"),
        3 => Answer::Text("Two.".to_owned()),
        _ => Answer::Text("Three.".to_owned()),
    });
    let bench = bench(&server, 128_000, 40).await;
    let project = bench.project().await.id;
    let (first, _) = run(&bench, project, "Read a page.").await;
    let from = results(&bench, first.run).await;
    let second = replay(&bench, &first, from[0], "Read another page.").await;
    let from = results(&bench, second.run).await;
    assert_eq!(from.len(), 2, "the copied one and its own");
    for (from, expected) in [(from[1], "Three."), (from[0], "Three.")] {
        let third = replay(&bench, &second, from, "Read another page.").await;
        assert_eq!(bench.state(third.run).await.answer_text(), expected);
    }
    let bodies: Vec<String> =
        server.requests().iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect();
    assert!(bodies[2..].iter().all(|body| body.contains("another page") && !body.contains("Read a page")));
    assert_eq!(bodies[4], bodies[3], "after both pages");
    assert_eq!(bodies[5], bodies[2], "after the first page");
}

#[tokio::test]
async fn another_position_is_refused_with_the_nearest() {
    let server = ScriptedServer::start(|number, _| match number {
        0 => Answer::Call("fetch"),
        _ => Answer::Text("Done.".to_owned()),
    });
    let bench = bench(&server, 128_000, 40).await;
    let (first, state) = run(&bench, bench.project().await.id, "Read a page.").await;
    let result = results(&bench, first.run).await[0];
    let start = Seq(3);
    for (from, expected) in [
        (Seq(0), (None, Some(start))),
        (Seq(result.0 - 1), (Some(start), Some(result))),
        (state.last, (Some(result), None)),
        (Seq(u64::MAX), (Some(result), None)),
    ] {
        let refused = kept_events(&bench.engine.storage, bench.key(first.run), from).await;
        let Err(Error::NoReplayPoint { before, after }) = refused else { panic!("{refused:?}") };
        assert_eq!((before, after), expected, "{from}");
    }
}
