//! Instances are frozen between invocations, as on Lambda.

use std::time::Duration;

use crate::harness::{Gate, Held, PATIENCE, Site, json};

/// Waits until the process is frozen, or until it is not.
async fn until_frozen(pid: u32, frozen: bool) {
    let reached = async {
        while is_frozen(pid) != frozen {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("the process was not frozen or thawed");
}

/// The third field of `stat` is the state: `T` is stopped by a signal.
fn is_frozen(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.starts_with('T')
}

/// Makes an instance leave a task behind, and waits until it is frozen.
async fn frozen(site: &Site, gate: &Gate) -> Held {
    let path = format!("/api/items/1?do=leave&gate={}", gate.address());
    let (response, held) = tokio::join!(site.get(&path), gate.held());
    assert_eq!(response.status(), 200);
    until_frozen(held.pid, true).await;
    held
}

#[tokio::test]
async fn a_task_left_after_the_answer_makes_no_progress_until_the_next_invocation() {
    let site = Site::start().await;
    let gate = Gate::new().await;
    let mut held = frozen(&site, &gate).await;
    held.drain();
    tokio::time::timeout(Duration::from_millis(50), held.acknowledged())
        .await
        .expect_err("the task goes on although the instance has nothing to do");
    assert!(is_frozen(held.pid));

    // During the next invocation, in the same process, it goes on.
    let waiting = Gate::new().await;
    let path = format!("/api/items/1?do=gate&gate={}", waiting.address());
    let (response, ()) = tokio::join!(site.get(&path), async {
        let next = waiting.held().await;
        assert_eq!(next.pid, held.pid);
        held.acknowledged().await;
    });
    assert_eq!(json(response).await["pid"], held.pid);
    until_frozen(held.pid, true).await;
}

#[tokio::test]
async fn a_frozen_instance_can_be_killed() {
    let site = Site::start().await;
    let held = frozen(&site, &Gate::new().await).await;
    assert!(site.runtime.kill(held.pid));
    site.until(|instances| instances.is_empty()).await;
}

#[tokio::test]
async fn a_frozen_instance_ends_in_order_when_the_stack_stops() {
    let site = Site::start().await;
    let held = frozen(&site, &Gate::new().await).await;
    tokio::time::timeout(PATIENCE, site.runtime.stop()).await.unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{}", held.pid)).exists());
}

#[tokio::test]
async fn an_instance_works_on_after_many_freezes() {
    let site = Site::start().await;
    let pid = json(site.get("/api/items/1").await).await["pid"].clone();
    for _ in 0..30 {
        until_frozen(pid.as_u64().unwrap().try_into().unwrap(), true).await;
        assert_eq!(json(site.get("/api/items/1").await).await["pid"], pid);
    }
}
