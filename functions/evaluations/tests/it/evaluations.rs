//! Evaluations from their start to their results.

use sequent_definitions::Agents;
use serde_json::{Value, json};

use crate::deployment::{Deployment, request};

#[tokio::test]
async fn an_evaluation_is_started_once_carried_out_and_shown() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let eve = deployment.sign_up("eve@example.com").await;
    deployment.define(&ada).await;
    let (body, started) = deployment.evaluate(&ada).await;
    assert_eq!((&started["status"], &started["summary"]), (&json!("pending"), &Value::Null), "{started}");
    assert_eq!(started["agent"]["version"], json!(1));
    let path = format!("/api/evaluations/{}", started["id"].as_str().unwrap());
    let progress = deployment.read(&ada, &path).await;
    let summary = &progress["summary"];
    assert_eq!((&summary["answers"], &summary["evaluated"]), (&json!(2), &json!(0)), "{progress}");

    deployment.work(&ada).await;
    let shown = deployment.read(&ada, &path).await;
    let summary = &shown["summary"];
    assert_eq!((&shown["status"], &summary["evaluated"]), (&json!("success"), &json!(2)), "{shown}");
    assert_eq!(
        (&summary["failed"], &summary["means"]),
        (&json!(0), &json!([0.0, 0.0])),
        "nothing is expected"
    );
    let dataset = started["dataset_id"].as_str().unwrap();
    let listed = deployment.read(&ada, &format!("/api/evaluations?dataset={dataset}")).await;
    assert_eq!(listed["items"], json!([shown]));
    assert_eq!(deployment.read(&ada, "/api/evaluations").await, listed);
    let other = "/api/evaluations?dataset=dat_01K9Z3TB6W1X2Y3Z4A5B6C7D8E";
    assert_eq!(deployment.read(&ada, other).await["items"], json!([]));

    let first = deployment.read(&ada, &format!("{path}/results?limit=1")).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = deployment.read(&ada, &format!("{path}/results?limit=1&cursor={cursor}")).await;
    assert_eq!((&first["items"][0]["item"], &second["items"][0]["item"]), (&json!(1), &json!(2)));
    assert_eq!((&second["items"][0]["error"], &second["next_cursor"]), (&Value::Null, &Value::Null));
    assert_eq!(second["items"][0]["scores"].as_array().unwrap().len(), 2);
    let forged = deployment.send(&request("GET", &format!("{path}/results?cursor=3.1"), &ada)).await;
    assert_eq!(forged.status, 400, "{}", forged.text());

    for path in [&path, &format!("{path}/results")] {
        assert_eq!(deployment.send(&request("GET", path, &eve)).await.status, 404, "{path}");
    }
    assert_eq!(deployment.read(&eve, "/api/evaluations").await["items"], json!([]));
    let theirs = deployment.call(&eve, "POST", "/api/evaluations", body).await;
    assert_eq!(theirs.status, 404, "{}", theirs.text());
}

#[tokio::test]
async fn a_repeated_request_leads_to_the_same_evaluation() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.define(&ada).await;
    let (body, _) = deployment.evaluate(&ada).await;
    let keyed = request("POST", "/api/evaluations", &ada).json(&body).header("idempotency-key", "once");
    let first = deployment.send(&keyed).await;
    let again = deployment.send(&keyed).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (202, "true"));
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert_eq!(deployment.read(&ada, "/api/evaluations").await["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_request_is_answered_again_after_its_dataset_and_agent_were_deleted() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.define(&ada).await;
    let (body, _) = deployment.evaluate(&ada).await;
    let keyed = request("POST", "/api/evaluations", &ada).json(&body).header("idempotency-key", "once");
    let first = deployment.send(&keyed).await;
    let dataset = format!("/api/datasets/{}", body["dataset_id"].as_str().unwrap());
    assert_eq!(deployment.send(&request("DELETE", &dataset, &ada)).await.status, 204);
    Agents::new(deployment.engine().storage.store().clone())
        .delete(ada.tenant(), &"support".parse().unwrap())
        .await
        .unwrap();
    let again = deployment.send(&keyed).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (202, "true"));
    assert_eq!(first.json()["id"], again.json()["id"]);
    let unkeyed = deployment.call(&ada, "POST", "/api/evaluations", body).await;
    assert_eq!(unkeyed.status, 404, "{}", unkeyed.text());
}

#[tokio::test]
async fn an_evaluation_has_items_and_a_bounded_number_of_runs() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.define(&ada).await;
    let given: Vec<Value> = (0..51).map(|n| json!({"input": format!("Question {n}?")})).collect();
    for (items, named) in [(vec![], "with items"), (given, "would need 510 runs")] {
        let dataset = json!({"name": "tides", "items": {"given": items}});
        let dataset = deployment.call(&ada, "POST", "/api/datasets", dataset).await.json();
        let body = json!({
            "dataset_id": dataset["id"], "agent": "support", "scorers": [{"type": "exact"}], "repetitions": 10,
        });
        let refused = deployment.call(&ada, "POST", "/api/evaluations", body).await;
        assert_eq!(refused.status, 422);
        assert!(refused.text().contains(named), "{}", refused.text());
    }
    let body = |scorer: Value| json!({"dataset_id": "dat_01K9Z3TB6W1X2Y3Z4A5B6C7D8E", "agent": "support", "scorers": [scorer]});
    for (scorer, at) in [
        (json!({"type": "pointer", "pointer": "city"}), "#/scorers/0/pointer"),
        (json!({"type": "judge", "agent": "support", "criteria": " "}), "#/scorers/0/criteria"),
        (json!({"type": "guess"}), "#/scorers/0"),
    ] {
        let refused = deployment.call(&ada, "POST", "/api/evaluations", body(scorer)).await;
        assert_eq!(refused.status, 422);
        assert!(refused.text().contains(at), "{}", refused.text());
    }
}
