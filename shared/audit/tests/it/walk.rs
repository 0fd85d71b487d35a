//! Walks that are stopped and go on, and parts of a table.

use sequent_audit::Walk;
use sequent_core::Timestamp;

use crate::bench::{Bench, MINUTE};

#[tokio::test]
async fn the_parts_of_a_table_contain_every_row_once() {
    let bench = Bench::new().await;
    let mut runs = Vec::new();
    for _ in 0..20 {
        let new = bench.pending().await;
        bench.update(bench.row(&new).remove_gsi2()).await;
        runs.push(new.run.to_string());
    }
    runs.sort();
    let now = Timestamp::now() + MINUTE;
    let mut found = Vec::new();
    for part in 0..5 {
        found.extend(bench.found_in_steps(Walk::part(part, 5), now).await);
    }
    found.sort();
    assert_eq!(found, runs);
    let mut found = bench.found_in_steps(Walk::whole(), now).await;
    found.sort();
    assert_eq!(found, runs);
}
