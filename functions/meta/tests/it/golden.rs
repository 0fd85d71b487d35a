//! Every golden event of this function, answered.

use insta::assert_snapshot;
use sequent_http::testing::golden::Golden;
use sequent_tables::testing;

use crate::deployment::{Manager, app, environment, secrets};

async fn answer(case: &str) -> String {
    let golden = Golden::new("meta", &sequent_meta_function::openapi());
    let golden = golden.redact(r#""latency_ms": [0-9]+"#, r#""latency_ms": "[ms]""#);
    let app = app(testing::store().await, Manager::new(secrets()).client(), environment);
    let event = golden.event(case, &[]);
    golden.render(&event, &event.send(&app).await)
}

#[test]
fn every_golden_event_is_tested() {
    let sources = concat!(include_str!("golden.rs"), include_str!("documents.rs"));
    Golden::new("meta", &sequent_meta_function::openapi()).assert_all_tested(sources);
}

#[tokio::test]
async fn the_health_report_has_the_documented_shape() {
    assert_snapshot!(answer("health").await, @r#"
    200 application/json
    {
      "status": "ok",
      "checks": {
        "events_table": {
          "status": "ok",
          "latency_ms": "[ms]"
        },
        "main_table": {
          "status": "ok",
          "latency_ms": "[ms]"
        },
        "model": {
          "status": "ok",
          "latency_ms": "[ms]",
          "provider": "openai",
          "demo": false
        },
        "origin_secret": {
          "status": "ok",
          "latency_ms": "[ms]"
        },
        "secret": {
          "status": "ok",
          "latency_ms": "[ms]"
        }
      }
    }
    "#);
}

#[tokio::test]
async fn a_preflight_of_any_route_is_answered() {
    assert_snapshot!(answer("preflight").await, @"200");
}
