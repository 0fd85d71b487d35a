//! Sequences of requests about datasets and feedback.

use sequent_conversation::{FeedbackTarget, give_feedback};
use sequent_core::RunId;
use sequent_event::{Rating, Thumb};
use serde_json::{Value, json};

use crate::deployment::{Deployment, Person, request};

async fn rate(deployment: &Deployment, of: &Person, run: RunId, thumb: Thumb) {
    let rating = Some(Rating { thumb: Some(thumb), ..Rating::default() });
    let on = FeedbackTarget { run, message: None };
    let storage = &deployment.engine().storage;
    Box::pin(give_feedback(storage, of.tenant(), on, of.user(), rating)).await.unwrap();
}

#[tokio::test]
async fn feedback_is_listed_counted_and_becomes_items() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.define(&ada).await;
    let mut runs = Vec::new();
    for question in ["When is high tide?", "When is low tide?", "Why?"] {
        runs.push(deployment.answered(&ada, &format!("{question}\n/demo tokens=3 rate=0")).await);
    }
    rate(&deployment, &ada, runs[0], Thumb::Up).await;
    rate(&deployment, &ada, runs[1], Thumb::Down).await;

    let listed = deployment.read(&ada, "/api/feedback?agent=support&version=1").await;
    let of: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|given| &given["run_id"]).collect();
    assert_eq!(of, [&json!(runs[1]), &json!(runs[0])], "newest runs first");
    assert_eq!(deployment.read(&ada, "/api/feedback").await, listed);
    assert_eq!(deployment.read(&ada, "/api/feedback?agent=support&version=2").await["items"], json!([]));

    let counted = deployment.read(&ada, "/api/agents/support/versions/1/statistics").await;
    assert_eq!((&counted["runs"], &counted["succeeded"]), (&json!(3), &json!(3)), "{counted}");
    assert_eq!(counted["thumbs"], json!({"up": 1, "down": 1}));

    let rated = json!({"rated": {"agent": "support", "version": 1, "thumb": "up"}, "runs": [runs[2]]});
    let body = json!({"name": "from runs", "items": rated});
    let created = deployment.call(&ada, "POST", "/api/datasets", body).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let path = format!("/api/datasets/{}/items", created.json()["id"].as_str().unwrap());
    let items = deployment.read(&ada, &path).await;
    let of: Vec<&Value> = items["items"].as_array().unwrap().iter().map(|item| &item["run_id"]).collect();
    assert_eq!(of, [&json!(runs[2]), &json!(runs[0])]);
    let item = &items["items"][1];
    assert_eq!(item["variables"], json!({"name": "Bob"}), "without the date and other values of the day");
    assert!(item["expected"].as_str().is_some_and(|answer| !answer.is_empty()), "{item}");
    assert!(item["input"].as_str().unwrap().starts_with("When is high tide?"), "{item}");
}

#[tokio::test]
async fn a_dataset_grows_and_is_deleted() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let eve = deployment.sign_up("eve@example.com").await;
    let created = deployment.call(&ada, "POST", "/api/datasets", json!({"name": "tides"})).await;
    let path = format!("/api/datasets/{}", created.json()["id"].as_str().unwrap());
    let items = format!("{path}/items");
    for n in 1..=2 {
        let given = json!({"given": [{"input": format!("Question {n}?"), "expected": {"n": n}}]});
        let added = deployment.call(&ada, "POST", &items, given).await;
        assert_eq!((added.status.as_u16(), &added.json()["items"]), (200, &json!(n)), "{}", added.text());
    }
    let first = deployment.read(&ada, &format!("{items}?limit=1")).await;
    assert_eq!(first["items"][0]["number"], json!(1));
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = deployment.read(&ada, &format!("{items}?limit=1&cursor={cursor}")).await;
    assert_eq!(
        (&second["items"][0]["expected"], &second["items"][0]["number"]),
        (&json!({"n": 2}), &json!(2))
    );
    for (method, path) in [("GET", &path), ("GET", &items), ("DELETE", &path)] {
        assert_eq!(deployment.send(&request(method, path, &eve)).await.status, 404, "{method} {path}");
    }
    assert_eq!(deployment.send(&request("DELETE", &path, &ada)).await.status, 204);
    assert_eq!(deployment.send(&request("GET", &items, &ada)).await.status, 404);
    assert_eq!(deployment.read(&ada, "/api/datasets").await["items"], json!([]));
}
