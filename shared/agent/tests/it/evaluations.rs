//! Evaluations: child runs answer the items of a dataset, and others judge the answers.

use std::time::Duration;

use sequent_agent::{Engine, execute};
use sequent_conversation::{NewRun, Runs};
use sequent_core::{Timestamp, UserId};
use sequent_evaluations::{Datasets, EvaluationSummary, ItemText, NewDataset, NewItem};
use sequent_event::{EvaluationSetup, Phase, RunOutcome, Scorer, StepAgent};
use sequent_runlog::{Claim, claim};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    bench::Bench,
    bills::paying,
    scripted::{Answer, ScriptedServer},
    window::bench,
};

const ANSWER: &str = r#"{"tide":"noon"}"#;

/// A model that answers every question in the same way, and judges every answer in the same way.
fn model() -> ScriptedServer {
    ScriptedServer::start(|_, request| {
        let asks_judge = request.to_string().contains("Judge the answer below");
        let judgement = r#"{"score":0.75,"reason":"It is close."}"#;
        Answer::Text(if asks_judge { judgement } else { ANSWER }.to_owned())
    })
}

async fn agent(bench: &Bench, name: &str) -> StepAgent {
    bench.publish(name, json!({"instructions": "Answer."})).await;
    let agent = bench.engine.agents.get(bench.tenant, &name.parse().unwrap()).await.unwrap();
    StepAgent { id: agent.id, name: name.to_owned(), version: 1 }
}

/// An evaluation of five items, the last of which expects another answer.
async fn evaluation(bench: &Bench) -> NewRun {
    let item = |n: u32| NewItem {
        input: ItemText(format!("When is high tide {n}?")),
        expected: Some(json!(if n < 5 { ANSWER } else { "evening" })),
        ..NewItem::default()
    };
    let items: Vec<NewItem> = (1..=5).map(item).collect();
    let new = NewDataset { name: "tides".to_owned(), description: None, user: UserId::new() };
    let datasets = Datasets::new(bench.engine.store(), bench.tenant);
    let dataset = datasets.create(&new, &items, Timestamp::now()).await.unwrap();
    let schema = json!({"type": "object", "required": ["tide"]});
    let judge = Scorer::Judge { agent: agent(bench, "critic").await, criteria: "Is it right?".to_owned() };
    let setup = EvaluationSetup {
        dataset_id: dataset.id,
        items: dataset.items,
        repetitions: 1,
        agent: agent(bench, "support").await,
        scorers: vec![Scorer::Exact, Scorer::Contains, Scorer::Schema { schema }, judge],
    };
    let mut asking = bench.asking(bench.project().await.id, "Evaluate.");
    asking.options.evaluation = Some(Box::new(setup));
    asking
}

/// Executes the children that have no owner.
async fn work_children(bench: &Bench, of: &NewRun) {
    for child in bench.state(of.run).await.children {
        let row = Runs::new(bench.engine.store(), bench.tenant).get(child.run).await;
        let Ok(row) = row else { continue };
        let claimed =
            sequent_conversation::claim(&bench.engine.runs(), bench.key(child.run), &row, None).await;
        if let Some(writer) = claimed.unwrap() {
            execute(&bench.engine, bench.key(child.run), *writer, None).await.unwrap();
        }
    }
}

/// A bench whose runs do not wait for their children in their process.
async fn impatient(server: &ScriptedServer) -> Bench {
    let bench = bench(server, 16_384, 10).await;
    let bounds = sequent_agent::Bounds { patience: Duration::ZERO, ..bench.engine.bounds };
    let engine = Engine { bounds, ..bench.engine.clone() };
    Bench { engine, ..bench }
}

/// Executes the evaluation and its children until it has ended. Every second owner is killed after a while if `kills`, each a
/// little later than the one before.
async fn carry_out(bench: &Bench, asking: &NewRun, kills: bool) {
    bench.owned(asking).await.release().await.unwrap();
    let key = bench.key(asking.run);
    for round in 0_u64.. {
        assert!(round < 100, "the evaluation does not end");
        match claim(&bench.engine.storage, key, bench.engine.settings, true, None).await.unwrap() {
            Claim::Won(writer) if kills && round % 2 == 0 => {
                let _ = timeout(Duration::from_millis(2 * round), execute(&bench.engine, key, *writer, None))
                    .await;
            }
            Claim::Won(writer) => {
                execute(&bench.engine, key, *writer, None).await.unwrap();
            }
            Claim::Closed => break,
            Claim::Held => tokio::time::sleep(Duration::from_millis(20)).await,
            Claim::Missing => panic!("there is a log"),
        }
        work_children(bench, asking).await;
    }
}

#[tokio::test]
async fn a_judge_is_not_asked_whose_model_the_plan_of_the_account_does_not_allow() {
    let server = model();
    let bench = impatient(&server).await;
    let mut asking = evaluation(&bench).await;
    bench.publish("dear", json!({"instructions": "Judge.", "model": "openai/dear-1"})).await;
    let dear = bench.engine.agents.get(bench.tenant, &"dear".parse().unwrap()).await.unwrap();
    let judge = StepAgent { id: dear.id, name: "dear".to_owned(), version: 1 };
    let setup = asking.options.evaluation.as_deref_mut().unwrap();
    setup.scorers = vec![Scorer::Judge { agent: judge, criteria: "Is it right?".to_owned() }];
    let mut reservation = paying(&bench, "", 500_000).await.reservation.unwrap();
    reservation.plan.models = Some(vec!["openai/cheap-*".to_owned()]);
    asking.reservation = Some(reservation);
    carry_out(&bench, &asking, false).await;

    let state = bench.state(asking.run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
    assert_eq!((state.evaluated.len(), server.requests().len()), (5, 5), "only the items are answered");
    let reasons = state.evaluated.iter().map(|item| item.scores[0].reason.as_deref());
    assert!(reasons.eq([Some("the judge failed: model_not_allowed"); 5]), "{:?}", state.evaluated);
}

#[tokio::test]
async fn each_item_is_answered_and_judged_once_although_its_workers_are_killed() {
    let server = model();
    let bench = impatient(&server).await;
    let asking = evaluation(&bench).await;
    carry_out(&bench, &asking, true).await;

    let state = bench.state(asking.run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
    let mut names: Vec<&str> = state.children.iter().map(|child| child.name.as_str()).collect();
    names.sort_unstable();
    let expected: Vec<String> = (1..=5).flat_map(|n| [format!("{n}.1"), format!("{n}.1.judge3")]).collect();
    assert_eq!(names, expected);
    let asked: Vec<Value> =
        server.requests().iter().map(|request| serde_json::from_slice(request).unwrap()).collect();
    assert_eq!(asked.len(), 10, "each item is answered once and judged once");
    let mut evaluated = state.evaluated.clone();
    evaluated.sort_by_key(|item| item.item);
    let scores = |item: usize| -> Vec<i64> {
        evaluated[item].scores.iter().map(|scored| scored.score.thousandths()).collect()
    };
    assert_eq!((scores(0), scores(4)), (vec![1_000, 1_000, 1_000, 750], vec![0, 0, 1_000, 750]));
    let setup = state.configuration.evaluation.as_deref().unwrap();
    let summary = EvaluationSummary::of(setup, &state.evaluated);
    assert_eq!((summary.evaluated, summary.failed, summary.passed), (5, 0, 4));
    assert_eq!(summary.usage.input_tokens, state.totals.input_tokens);
}
