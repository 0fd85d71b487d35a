//! Runs of a tenant with rules for the calls of tools.

use sequent_agent::{Executed, sent_context};
use sequent_conversation::RunStatus;
use sequent_definitions::ToolRules;
use serde_json::{Value, json};

use crate::{
    bench::Bench,
    tools::{bench, reply, results, resume, start},
};

const CHARGES: &str = "/demo tokens=1 rate=0 tool=charge\n/demo tokens=1 rate=0";

async fn set(bench: &Bench, revision: u32, items: Value) {
    let items = serde_json::from_value(items).unwrap();
    ToolRules::replace(bench.engine.store(), bench.tenant, revision, items).await.unwrap();
}

#[tokio::test]
async fn the_policies_of_a_tenant_hold_from_the_next_execution_on_and_the_context_stays_what_it_was() {
    let (bench, counter) = bench().await;
    let ask = json!([{"tool": "charge", "policy": "ask"}, {"tool": "wire", "policy": "never"}]);
    set(&bench, 0, ask.clone()).await;
    let (asking, _) = start(&bench, CHARGES).await;
    assert_eq!(bench.status(asking.run).await, RunStatus::Interrupted);
    let context = async || {
        let key = bench.key(asking.run);
        let sent = sent_context(&bench.engine.storage, key, Some(asking.project), Some(1)).await;
        format!("{:?}", sent.unwrap().unwrap().request)
    };
    let before = context().await;
    assert!(before.starts_with("Exact") && before.contains("\"charge\""), "{before}");
    assert!(!before.contains("\"wire\""), "{before}");

    set(&bench, 1, json!([{"tool": "charge", "policy": "never"}])).await;
    assert_eq!(context().await, before);
    reply(&bench, &asking, json!({"approved": true})).await;
    assert_eq!(resume(&bench, &asking).await, Executed::Closed);
    assert_eq!(results(&bench.state(asking.run).await), ["There is no tool `charge`."]);
    assert_eq!(counter.calls(), 0);
    assert_eq!(context().await, before);

    set(&bench, 2, ask).await;
    let (asking, _) = start(&bench, CHARGES).await;
    reply(&bench, &asking, json!({"approved": true})).await;
    resume(&bench, &asking).await;
    assert_eq!(results(&bench.state(asking.run).await), ["run 1"]);
}

#[tokio::test]
async fn a_call_beyond_a_limit_tells_the_model_so() {
    let (bench, counter) = bench().await;
    set(&bench, 0, json!([{"tool": "charge", "max_calls_per_run": 2, "max_calls_per_day": 3}])).await;
    let call = "/demo tokens=1 rate=0 tool=charge\n";
    let run = async || {
        let (asking, _) = start(&bench, &format!("{}/demo tokens=1 rate=0", call.repeat(3))).await;
        assert_eq!(bench.status(asking.run).await, RunStatus::Success);
        results(&bench.state(asking.run).await)
    };
    let of_run = "The limit of calls of `charge` in one run is 2, and it is reached. Continue without it.";
    let of_day = "The limit of calls of `charge` on one day is 3 for this account, and it is reached until midnight in UTC. \
                  Continue without it.";
    assert_eq!(run().await, ["run 1", "run 2", of_run]);
    assert_eq!(run().await, ["run 3", of_day, of_run]);
    assert_eq!(counter.calls(), 3);
}
