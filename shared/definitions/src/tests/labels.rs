//! Labels move by compare-and-swap.

use futures::future::join_all;

use super::*;

#[tokio::test]
async fn a_label_moves_only_from_the_version_that_is_expected() {
    let bench = Bench::new().await;
    bench.create("support", json!({})).await.unwrap();
    bench.add("support", json!({})).await.unwrap();
    let set = bench.label("support", "production", 1, None).await.unwrap();
    assert_eq!(serde_json::to_value(&set.labels).unwrap(), json!({"production": 1}));
    let moved = async |to, expected| match bench.label("support", "production", to, expected).await {
        Ok(agent) => Ok(agent.labels.values().copied().next()),
        Err(Error::LabelMoved(actual)) => Err(actual),
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(moved(2, None).await, Err(Some(1)));
    assert_eq!(moved(1, Some(2)).await, Ok(Some(1)), "it has the version already");
    assert_eq!(moved(2, Some(1)).await, Ok(Some(2)));
    assert_eq!(moved(2, Some(1)).await, Ok(Some(2)), "a request that is repeated has the same answer");
    assert_eq!(moved(1, Some(2)).await, Ok(Some(1)), "a rollback");
    assert!(matches!(bench.label("support", "production", 3, Some(1)).await, Err(Error::VersionNotFound(3))));
    assert!(matches!(bench.label("support", "staging", 0, None).await, Err(Error::VersionNotFound(0))));
    assert!(matches!(bench.label("support", "staging", 1, Some(1)).await, Err(Error::LabelMoved(None))));
    assert!(matches!(bench.label("other", "staging", 1, None).await, Err(Error::AgentNotFound)));

    let remove = async |label: &str| {
        bench.agents.remove_label(bench.tenant, &parsed("support"), &parsed(label), Timestamp::now()).await
    };
    assert!(remove("production").await.unwrap().labels.is_empty());
    assert!(matches!(remove("production").await, Err(Error::LabelNotFound(_))));
}

#[tokio::test]
async fn of_many_moves_at_once_each_expected_version_is_left_once() {
    let bench = Bench::new().await;
    bench.create("support", json!({})).await.unwrap();
    for _ in 0..9 {
        bench.add("support", json!({})).await.unwrap();
    }
    bench.label("support", "production", 1, None).await.unwrap();
    let moves = (2..=10).map(|to| bench.label("support", "production", to, Some(1)));
    let moved = join_all(moves).await;
    assert_eq!(moved.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(moved.iter().all(|outcome| matches!(outcome, Ok(_) | Err(Error::LabelMoved(Some(2..))))));
}

#[tokio::test]
async fn a_reference_without_a_version_means_production_or_else_the_latest() {
    let bench = Bench::new().await;
    bench.create("support", json!({})).await.unwrap();
    bench.add("support", json!({})).await.unwrap();
    bench.add("support", json!({})).await.unwrap();
    let version =
        async |reference: &str| bench.choose(reference, json!({})).await.unwrap().unwrap().agent.version;
    assert_eq!(version("support").await, 3);
    bench.label("support", "production", 1, None).await.unwrap();
    bench.label("support", "staging", 2, None).await.unwrap();
    assert_eq!((version("support").await, version("support@staging").await), (1, 2));
    assert_eq!((version("support@3").await, version("support@production").await), (3, 1));
    assert!(matches!(bench.choose("support@none", json!({})).await, Err(Error::LabelNotFound(_))));
    assert!(matches!(bench.choose("support@4", json!({})).await, Err(Error::VersionNotFound(4))));
}
