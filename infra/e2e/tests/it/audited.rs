//! The sweeps that continue what a killed process left, and the audit that ends the tests with kills.

use std::time::Duration;

use sequent_audit::Auditor;
use sequent_core::Timestamp;
use sequent_runlog::DynamoStorage;
use tokio::time::{sleep, timeout};

use crate::system::{PATIENCE, System};

/// Sweeps like the schedule of the deployment, but more often.
pub(crate) async fn sweep(system: &System) -> ! {
    let scheduler =
        system.stack.runtime().function("SchedulerFunction").expect("the template has it").clone();
    loop {
        drop(scheduler.invoke("{}".into()).await); // the next one finds what this one did not
        sleep(Duration::from_millis(500)).await;
    }
}

/// Waits until the audit finds nothing that is stuck. The last jobs may still be on their way.
pub(crate) async fn audited(system: &System) {
    let auditor = Auditor::new(DynamoStorage::new(system.store()));
    // As of later, so that no work may wait any more.
    let audit = async || auditor.audit_all(Timestamp::now() + Duration::from_secs(2 * 3600)).await.unwrap();
    let clean = async {
        while !audit().await.is_clean() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        _ = sweep(system) => unreachable!(),
        clean = timeout(PATIENCE, clean) => {
            if clean.is_err() {
                panic!("stuck: {:#?}", audit().await);
            }
        }
    }
}
