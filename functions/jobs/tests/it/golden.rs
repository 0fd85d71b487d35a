//! Every golden event of this function, answered.

use crate::deployment::{Deployment, golden};
use sequent_core::golden::cases;

/// The status and, for a problem, its code.
fn expected(name: &str) -> (u16, &'static str) {
    match name {
        "list" | "list-admin" | "get" | "cancel" => (200, ""), // the job has ended
        "redrive" | "hello" | "hello-no-body" => (202, ""),
        "cancel-wrong-admin-key" => (401, "invalid_credential"),
        other => panic!("no expectation for {other}"),
    }
}

#[tokio::test]
async fn each_is_answered_as_expected() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.failed_job(&ada).await;
    for name in cases("jobs") {
        let answer = deployment.send(&golden(&name, &ada)).await;
        let found = (answer.status.as_u16(), answer.code());
        assert_eq!((found.0, found.1.as_str()), expected(&name), "{name}: {}", answer.text());
        assert!(!answer.header("x-request-id").is_empty(), "{name}");
    }
}
