//! A rebuilt binary is used without a restart.

use crate::harness::{Gate, Site, chunk, install_probe, json};

#[tokio::test]
async fn new_invocations_run_the_new_binary_and_old_ones_finish() {
    let site = Site::start().await;
    let gate = Gate::new().await;
    let path = format!("/api/stream/x?gate={}", gate.address());
    let (mut response, mut held) = tokio::join!(site.get(&path), gate.held());
    let idle = json(site.get("/api/items/1").await).await["pid"].as_u64().unwrap();

    install_probe(site.bin.path());

    let (_second, fresh) = tokio::join!(site.get(&path), gate.held());
    assert_ne!(fresh.pid, held.pid);
    assert_ne!(json(site.get("/api/items/1").await).await["pid"].as_u64().unwrap(), idle);
    site.until(|instances| instances.iter().all(|i| u64::from(i.pid) != idle)).await;

    // The busy instance continues until it has answered.
    held.chunk("still here").await;
    assert_eq!(chunk(&mut response).await.unwrap().unwrap(), "still here\n");
    let old = held.pid;
    drop(held);
    assert!(chunk(&mut response).await.is_none());
    site.until(|instances| instances.iter().all(|i| i.pid != old)).await;
}
