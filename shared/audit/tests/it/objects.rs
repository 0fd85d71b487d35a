//! Objects without a reference that stay.

use sequent_audit::FindingKind;
use sequent_core::Timestamp;
use sequent_tables::{Update, key};

use crate::bench::{Bench, HOUR};

const DIGEST: [u8; 32] = [7; 32];

#[tokio::test]
async fn an_object_that_no_collector_deletes_is_found() {
    let bench = Bench::new().await;
    let object = || Update::of(&key::object(bench.tenant, &DIGEST)).set("standing", "stored").set("size", 1);
    let now = Timestamp::now();
    bench.update(object().set("refs", 0).gsi2(&key::garbage(bench.tenant, &DIGEST, now))).await;
    assert_eq!(
        bench.found_at(now + 24 * HOUR).await,
        [],
        "its day is over, and the next collection deletes it"
    );
    assert_eq!(bench.found_at(now + 72 * HOUR).await, [FindingKind::ObjectLeft]);
    bench.update(object().remove_gsi2()).await;
    assert_eq!(bench.found_at(now).await, [FindingKind::ObjectLeft]);
    bench.update(object().set("refs", 1)).await;
    assert_eq!(bench.found_at(now).await, []);
}
