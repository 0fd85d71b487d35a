//! The answers to the golden events.

mod agents;
mod memory;
mod prompts;
mod tool_policies;
mod tools;

use sequent_agents_function::openapi;
use sequent_http::testing::golden::Golden;

use crate::deployment::{Deployment, Person, golden};

struct Bench {
    deployment: Deployment,
    ada: Person,
}

impl Bench {
    /// A deployment in which the agent and the prompt of the golden events are Ada's.
    async fn new() -> Self {
        let deployment = Deployment::new().await;
        let ada = deployment.sign_up("ada@example.com").await;
        deployment.furnish(&ada).await;
        Self { deployment, ada }
    }

    async fn answer(&self, case: &str) -> String {
        let event = golden(case, &self.ada);
        goldens().render(&event, &self.deployment.send(&event).await)
    }
}

fn goldens() -> Golden {
    Golden::new("agents", &openapi())
        .redact_member("instance")
        .redact("whsec_[A-Za-z0-9+/=]+", "[signing secret]")
        .redact(r#""latency_ms": [0-9]+"#, r#""latency_ms": 1"#)
}

#[test]
fn every_golden_event_has_a_test() {
    goldens().assert_all_tested(concat!(
        include_str!("golden.rs"),
        include_str!("golden/agents.rs"),
        include_str!("golden/memory.rs"),
        include_str!("golden/prompts.rs"),
        include_str!("golden/tool_policies.rs"),
        include_str!("golden/tools.rs"),
    ));
}

#[tokio::test]
async fn the_starters_are_listed() {
    let bench = Bench::new().await;
    let answer = bench.answer("list-starters").await;
    assert!(answer.starts_with("200 application/json"), "{answer}");
    for name in ["assistant", "researcher", "report-writer", "data-extractor"] {
        assert!(answer.contains(&format!("\"name\": \"{name}\"")), "{name}: {answer}");
    }
}

#[tokio::test]
async fn what_is_deleted_is_not_found() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("delete").await, @"204");
    insta::assert_snapshot!(bench.answer("delete-prompt").await, @"204");
    for case in [
        "get",
        "rename",
        "delete",
        "list-versions",
        "get-version",
        "set-label",
        "delete-label",
        "list-notes",
        "delete-notes",
        "delete-note",
    ] {
        let answer = bench.answer(case).await;
        assert!(answer.starts_with("404") && answer.contains("agent_not_found"), "{case}: {answer}");
    }
    for case in ["get-prompt", "delete-prompt", "list-prompt-versions", "diff", "set-prompt-label"] {
        let answer = bench.answer(case).await;
        assert!(answer.starts_with("404") && answer.contains("prompt_not_found"), "{case}: {answer}");
    }
}
