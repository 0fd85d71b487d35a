//! Sequences of requests, and requests that are refused.

use serde_json::{Value, json};

use crate::deployment::{Deployment, Person, golden, request};

async fn furnished() -> (Deployment, Person) {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.furnish(&ada).await;
    (deployment, ada)
}

#[tokio::test]
async fn a_release_and_its_rollback() {
    let (deployment, ada) = furnished().await;
    let label = "/api/agents/support/labels/production";
    let set = async |body: Value| {
        let answer = deployment.call(&ada, "PUT", label, body).await;
        (answer.status.as_u16(), answer.json())
    };
    let (status, agent) = set(json!({"version": 2, "expected": 1})).await;
    assert_eq!((status, &agent["labels"]), (200, &json!({"production": 2})));
    let (status, refused) = set(json!({"version": 2, "expected": null})).await;
    assert_eq!(status, 200, "it has the version already: {refused}");
    let (status, refused) = set(json!({"version": 1, "expected": 2})).await;
    assert_eq!(status, 200, "{refused}");
    let (status, refused) = set(json!({"version": 2})).await;
    assert_eq!((status, &refused["code"], &refused["version"]), (409, &json!("label_moved"), &json!(1)));
    let (status, refused) = set(json!({"version": 3, "expected": 1})).await;
    assert_eq!((status, &refused["code"]), (404, &json!("version_not_found")));
}

#[tokio::test]
async fn an_agent_has_an_id_and_a_name() {
    let (deployment, ada) = furnished().await;
    let by_name = deployment.read(&ada, "/api/agents/support").await;
    let path = format!("/api/agents/{}", by_name["id"].as_str().unwrap());
    assert_eq!(deployment.read(&ada, &path).await, by_name);
    deployment.made(&ada, "PATCH", &path, json!({"name": "help"})).await;
    assert_eq!(deployment.read(&ada, "/api/agents/help").await["id"], by_name["id"]);
    for path in ["/api/agents/support", "/api/agents/Support", "/api/agents/agt_1"] {
        let answer = deployment.send(&request("GET", path, &ada)).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn the_starters_can_be_created_as_they_are() {
    let (deployment, ada) = furnished().await;
    let starters = deployment.read(&ada, "/api/agent-starters").await;
    for starter in starters["items"].as_array().unwrap() {
        let agent = deployment.made(&ada, "POST", "/api/agents", starter.clone()).await;
        let path = format!("/api/agents/{}/versions/1", agent["id"].as_str().unwrap());
        let version = deployment.read(&ada, &path).await;
        assert_eq!(version["definition"]["instructions"], starter["definition"]["instructions"]);
    }
    for prompt in starters["prompts"].as_array().unwrap() {
        deployment.made(&ada, "POST", "/api/prompts", prompt.clone()).await;
    }
    let page = deployment.read(&ada, "/api/agents?limit=3").await;
    let rest = format!("/api/agents?limit=3&cursor={}", page["next_cursor"].as_str().unwrap());
    let rest = deployment.read(&ada, &rest).await;
    let names: Vec<&str> = [&page, &rest]
        .into_iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .map(|agent| agent["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["data-extractor", "report-writer", "researcher", "assistant", "support"]);
}

#[tokio::test]
async fn a_repeated_creation_has_the_first_answer_and_is_deleted_with_the_account() {
    let (deployment, ada) = furnished().await;
    let made = async |case: &str| {
        let first = deployment.send(&golden(case, &ada)).await;
        let again = deployment.send(&golden(case, &ada)).await;
        assert_eq!((again.status.as_u16(), again.json()), (201, first.json()), "{case}: {}", first.text());
        assert_eq!(again.header("idempotency-replayed"), "true", "{case}");
    };
    for case in ["create", "add-version", "create-prompt", "add-prompt-version"] {
        made(case).await;
    }
    let store = deployment.store();
    let responses = async || {
        let rows = sequent_tables::testing::all_rows(store).await;
        let keys = rows.iter().filter_map(sequent_tables::Key::of_item);
        keys.filter(|key| key.pk().contains("#idempotency#")).count()
    };
    assert_eq!(responses().await, 4);
    for list in sequent_tables::key::plain_lists(ada.tenant()) {
        store.empty(list).await.unwrap();
    }
    assert_eq!(responses().await, 0, "the deletion of an account finds them");
}

#[tokio::test]
async fn what_is_another_tenants_does_not_exist() {
    let (deployment, ada) = furnished().await;
    let eve = deployment.sign_up("eve@example.com").await;
    let id = deployment.read(&ada, "/api/agents/support").await["id"].clone();
    let id = id.as_str().unwrap();
    let version = json!({"definition": {}});
    for (method, path, body, code) in [
        ("GET", format!("/api/agents/{id}"), Value::Null, "agent_not_found"),
        ("GET", "/api/agents/support".to_owned(), Value::Null, "agent_not_found"),
        ("PATCH", format!("/api/agents/{id}"), json!({"name": "mine"}), "agent_not_found"),
        ("DELETE", format!("/api/agents/{id}"), Value::Null, "agent_not_found"),
        ("GET", format!("/api/agents/{id}/versions"), Value::Null, "agent_not_found"),
        ("POST", format!("/api/agents/{id}/versions"), version, "agent_not_found"),
        ("GET", format!("/api/agents/{id}/versions/1"), Value::Null, "agent_not_found"),
        (
            "PUT",
            format!("/api/agents/{id}/labels/production"),
            json!({"version": 2, "expected": 1}),
            "agent_not_found",
        ),
        ("DELETE", format!("/api/agents/{id}/labels/production"), Value::Null, "agent_not_found"),
        ("GET", format!("/api/agents/{id}/memory"), Value::Null, "agent_not_found"),
        ("DELETE", format!("/api/agents/{id}/memory"), Value::Null, "agent_not_found"),
        ("PUT", "/api/default-agent".to_owned(), json!({"agent": id}), "agent_not_found"),
        ("GET", "/api/prompts/house-style".to_owned(), Value::Null, "prompt_not_found"),
        ("GET", "/api/prompts/house-style/versions/1".to_owned(), Value::Null, "prompt_not_found"),
        ("GET", "/api/prompts/house-style/diff?from=1&to=2".to_owned(), Value::Null, "prompt_not_found"),
        ("DELETE", "/api/prompts/house-style".to_owned(), Value::Null, "prompt_not_found"),
    ] {
        let event = request(method, &path, &eve);
        let event = if body.is_null() { event } else { event.json(&body) };
        let answer = deployment.send(&event).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, code), "{method} {path}");
    }
    for list in ["/api/agents", "/api/prompts"] {
        assert_eq!(deployment.read(&eve, list).await, json!({"items": [], "next_cursor": null}));
    }
}

#[tokio::test]
async fn the_default_agent_needs_its_member() {
    let (deployment, ada) = furnished().await;
    let refused = deployment.call(&ada, "PUT", "/api/default-agent", json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "validation_failed"));
    let refused = deployment.call(&ada, "PUT", "/api/default-agent", json!({"agent": "support@none"})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (404, "label_not_found"));
}
