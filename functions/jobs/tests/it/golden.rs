//! Every golden event of this function, answered.

use crate::deployment::{Deployment, golden};

/// All golden events there are, so that none is forgotten below. In the order of their names a cancel comes first.
fn names() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .filter(|name| name.starts_with("jobs-"))
        .collect();
    names.sort();
    names
}

/// The status and, for a problem, its code.
fn expected(name: &str) -> (u16, &'static str) {
    match name {
        "jobs-list" | "jobs-list-admin" | "jobs-get" | "jobs-cancel" => (200, ""), // the job has ended
        "jobs-redrive" | "jobs-hello" | "jobs-hello-no-body" => (202, ""),
        "jobs-cancel-wrong-admin-key" => (401, "invalid_credential"),
        other => panic!("no expectation for {other}"),
    }
}

#[tokio::test]
async fn each_is_answered_as_expected() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.failed_job(&ada).await;
    for name in names() {
        let answer = deployment.send(&golden(&name, &ada)).await;
        let found = (answer.status.as_u16(), answer.code());
        assert_eq!((found.0, found.1.as_str()), expected(&name), "{name}: {}", answer.text());
        assert!(!answer.header("x-request-id").is_empty(), "{name}");
    }
}
