//! The stack's database has the limits of DynamoDB.

use sequent_tables::testing::{self, conformance};

use crate::system::{System, scaled};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stack_refuses_what_dynamodb_refuses() {
    let system = System::start(&[]).await;
    let store = testing::deployed(system.stack.endpoint().database_url(), system.tables());
    assert_eq!(conformance::deviations(&store).await, [""; 0]);
    if scaled(0, 1) == 1 {
        assert!(conformance::leaves_keys_of_a_large_batch(&store).await);
    }
}
