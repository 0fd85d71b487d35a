//! Rules for the calls of tools.

use futures::future::join_all;
use sequent_tool::ToolRule;

use super::*;

fn rules(items: Value) -> Vec<ToolRule> {
    serde_json::from_value(items).unwrap()
}

#[tokio::test]
async fn of_many_changes_at_once_each_revision_is_left_once() {
    let bench = Bench::new().await;
    assert_eq!(ToolRules::read(&bench.store, bench.tenant).await.unwrap(), ToolRules::default());
    for revision in [0, 1] {
        let changes = (1..=8_u32).map(|limit| {
            let items = rules(json!([{"tool": "web_fetch", "max_calls_per_run": limit}]));
            ToolRules::replace(&bench.store, bench.tenant, revision, items)
        });
        let mut changed = Vec::new();
        for outcome in join_all(changes).await {
            match outcome {
                Ok(rules) => changed.push(rules),
                Err(ToolRulesError::Changed(actual)) => assert_eq!(actual, revision + 1),
                Err(error) => panic!("{error:?}"),
            }
        }
        let stored = ToolRules::read(&bench.store, bench.tenant).await.unwrap();
        assert_eq!(changed, std::slice::from_ref(&stored));
        let repeated = ToolRules::replace(&bench.store, bench.tenant, revision, stored.items.clone()).await;
        assert_eq!(repeated.unwrap(), stored, "a repeated change succeeds");
    }
    let other = ToolRules::read(&bench.store, TenantId::new()).await.unwrap();
    assert_eq!(other, ToolRules::default(), "another tenant has none");
}

#[tokio::test]
async fn rules_that_are_not_allowed_are_named() {
    let bench = Bench::new().await;
    let faults = async |items: Value| match ToolRules::replace(&bench.store, bench.tenant, 0, rules(items))
        .await
    {
        Err(ToolRulesError::Invalid(fields)) => {
            fields.into_iter().map(|field| format!("{} {}", field.pointer, field.detail)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let broken = faults(json!([
        {"tool": "find order", "max_calls_per_run": 0},
        {"tool": "write_plan", "policy": "never", "max_calls_per_day": 1_000_001},
        {"tool": "refund"}, {"tool": "refund", "max_calls_per_run": 1001},
        {"tool": "ask_user", "max_calls_per_day": 5},
    ]));
    assert_eq!(
        broken.await,
        [
            "/items/0/tool must have 1 to 64 letters, digits, `_` or `-`",
            "/items/0/max_calls_per_run must be 1 to 1000, or null",
            "/items/1/tool is a tool by which runs write their plans and documents",
            "/items/1/max_calls_per_day must be 1 to 1000000, or null",
            "/items/3/tool is listed twice",
            "/items/3/max_calls_per_run must be 1 to 1000, or null",
            "/items/4/max_calls_per_day must be null for a tool that asks a person",
        ]
    );
    let many: Vec<Value> = (0..=100).map(|n| json!({"tool": format!("tool-{n}")})).collect();
    assert_eq!(faults(json!(many)).await, ["/items must have at most 100 items"]);
}

#[tokio::test]
async fn of_many_calls_at_once_exactly_the_limit_passes_each_day() {
    let bench = Bench::new().await;
    let count = |tool: &'static str, day: i64| {
        let now = Timestamp::from_millis(day * 86_400_000 + 5);
        count_call(&bench.store, bench.tenant, tool, 7, now)
    };
    let passed = async |tool: &'static str, day: i64| {
        let counted = join_all((0..20).map(|_| count(tool, day))).await;
        counted.into_iter().filter(|counted| *counted.as_ref().unwrap()).count()
    };
    assert_eq!(passed("refund", 20_000).await, 7);
    assert_eq!(passed("refund", 20_000).await, 0);
    assert_eq!(passed("refund", 20_001).await, 7, "another day");
    assert_eq!(passed("charge", 20_000).await, 7, "another tool");
}
