//! The list that a tenant reads: without the jobs that serve the deployment.

use sequent_core::{JobId, TenantId, Timestamp};
use sequent_tables::{CursorKey, Store, testing};

use crate::{
    Jobs, NewJob, enqueue,
    kinds::{HelloInput, HelloWorld},
};

async fn add(store: &Store, tenant: TenantId, number: u128, internal: bool) -> JobId {
    // In the order of their numbers.
    let id = JobId::from_bits(number << 64);
    let job = NewJob { id, internal, ..NewJob::of::<HelloWorld>(tenant, &HelloInput::default()) };
    enqueue(store, &job, Timestamp::now()).await.unwrap();
    id
}

#[tokio::test]
async fn a_tenant_lists_its_own_jobs_through_any_number_of_internal_ones_and_the_operator_lists_all() {
    let store = testing::store().await;
    let tenant = TenantId::new();
    let mut own = Vec::new();
    for number in 1..=160 {
        // One of seven, and a long stretch without any.
        let internal = number % 7 != 0 || (20..150).contains(&number);
        let id = add(&store, tenant, number, internal).await;
        own.extend((!internal).then_some(id));
    }
    own.reverse();
    let cursors = CursorKey::new("a key of cursors".into());
    let jobs = Jobs::new(&store, tenant);
    for limit in [1, 2, 3, 50] {
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = jobs.list_of_tenant(&cursors, cursor.as_deref(), Some(limit)).await.unwrap();
            assert!(page.items.len() <= limit as usize);
            seen.extend(page.items.iter().map(|job| job.id));
            cursor = page.next_cursor(&cursors);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, own, "pages of {limit}");
    }
    let all = jobs.list(&cursors, None, Some(100)).await.unwrap();
    assert_eq!(all.items.len(), 100);
    assert!(all.items.iter().any(|job| job.internal));
}
