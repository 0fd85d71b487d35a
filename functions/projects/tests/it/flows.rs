//! Sequences of requests, and requests that are refused.

use crate::deployment::{Deployment, PROJECT, Person, get, golden, request};
use sequent_core::{MicroUsd, ProjectId, RunId};
use sequent_http::{Scope, testing::Event};
use sequent_tables::{Key, attribute_of, key};
use serde_json::{Value, json};

async fn create(deployment: &Deployment, of: &Person, body: Value) -> Value {
    let answer = deployment.send(&request("POST", "/api/projects", of).json(&body)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn pages_follow_each_other_without_gaps_or_duplicates() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let mut made = Vec::new();
    for n in 0..7 {
        made.push(create(&deployment, &ada, json!({ "name": format!("Project {n}") })).await["id"].clone());
    }
    let mut seen = Vec::new();
    let mut path = "/api/projects/?limit=3".to_owned();
    let mut pages = 0;
    loop {
        let page = deployment.send(&get(&path, &ada)).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|project| project["id"].clone()));
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/projects?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    made.sort_by_key(|id| std::cmp::Reverse(id.to_string())); // newest first: ids begin with their time
    assert_eq!((seen, pages), (made, 3));
}

#[tokio::test]
async fn messages_are_paged_oldest_first() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let project: ProjectId = PROJECT.parse().unwrap();
    deployment.converse(&ada, project, "Hello").await;
    let path = format!("/api/projects/{project}/messages?limit=1");
    let first = deployment.send(&get(&path, &ada)).await.json();
    assert_eq!(first["items"][0]["role"], "user");
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = deployment.send(&get(&format!("{path}&cursor={cursor}"), &ada)).await.json();
    assert_eq!((&second["items"][0]["role"], &second["next_cursor"]), (&json!("assistant"), &Value::Null));
}

#[tokio::test]
async fn a_project_with_a_live_run_is_deleted_at_once() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let project: ProjectId = PROJECT.parse().unwrap();
    let owner = deployment.ask(&ada, project, "Hello").await;
    assert_eq!(deployment.send(&golden("delete", &ada)).await.status, 204);
    for case in ["get", "messages", "change", "delete"] {
        assert_eq!(deployment.send(&golden(case, &ada)).await.status, 404, "{case}");
    }
    let list = deployment.send(&get("/api/projects", &ada)).await.json();
    assert_eq!(list["items"], json!([]));
    drop(owner);
}

#[tokio::test]
async fn a_stored_response_is_named_by_the_project_that_it_quotes() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let create = request("POST", "/api/projects", &ada).header("idempotency-key", "key-1");
    let answer = deployment.send(&create.json(&json!({ "name": "Xylophones" }))).await.json();
    let rows = sequent_tables::testing::all_rows(deployment.store()).await;
    let quoting = rows.iter().filter(|row| format!("{row:?}").contains("Xylophones"));
    let keys: Vec<Key> = quoting.filter_map(Key::of_item).collect();
    assert_eq!(keys.len(), 2, "the project and the response");
    let id: ProjectId = answer["id"].as_str().unwrap().parse().unwrap();
    let row = deployment.store().get_item(&key::project(ada.tenant(), id)).await.unwrap().unwrap();
    let named: Vec<Key> = attribute_of(&row, "claimed").unwrap();
    assert!(named.iter().all(|key| keys.contains(key)) && named.len() == 1, "{named:?}");
}

#[tokio::test]
async fn the_demo_provider_labels_its_names() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.converse(&ada, PROJECT.parse().unwrap(), "When is\nhigh tide?").await;
    let named = deployment.send(&golden("generate-name", &ada)).await;
    assert_eq!((named.status.as_u16(), &named.json()["name"]), (200, &json!("Demo: When is high tide?")));
    assert_eq!(deployment.send(&golden("get", &ada)).await.json(), named.json(), "the name is stored");

    let empty = create(&deployment, &ada, json!({})).await;
    assert_eq!(empty["name"], "New conversation");
    let path = format!("/api/projects/{}/generate_name/", empty["id"].as_str().unwrap());
    let refused = deployment.send(&request("POST", &path, &ada)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "no_messages"));
}

#[tokio::test]
async fn a_generated_name_counts_against_the_daily_limit_of_the_tenant() {
    // A call of the demo counts as the smallest amount.
    let deployment = Deployment::with_daily_limit(MicroUsd(2)).await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.converse(&ada, PROJECT.parse().unwrap(), "When is high tide?").await;
    let path = format!("/api/projects/{PROJECT}/generate_name");
    for _ in 0..2 {
        assert_eq!(deployment.send(&request("POST", &path, &ada)).await.status, 200);
    }
    let refused = deployment.send(&request("POST", &path, &ada)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "daily_limit"));
}

#[tokio::test]
async fn wrong_input_is_named() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let post = |body: Value| request("POST", "/api/projects", &ada).json(&body);
    for body in [json!({ "name": "  " }), json!({ "name": "a\u{7}b" }), json!({ "name": 7 })] {
        let answer = deployment.send(&post(body)).await;
        let problem = answer.json();
        assert_eq!(
            (answer.status.as_u16(), &problem["errors"][0]["pointer"]),
            (422, &json!("#/name")),
            "{problem}"
        );
    }
    assert_eq!(deployment.send(&post(json!({ "nmae": "x" }))).await.code(), "validation_failed");
    assert_eq!(deployment.send(&post(json!({})).body("{")).await.code(), "invalid_json");
    for query in ["limit=0", "limit=101", "limit=x", "page=2"] {
        let answer = deployment.send(&get(&format!("/api/projects?{query}"), &ada)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_query"), "{query}");
    }
    for cursor in ["", "x", "eyJmb3JnZWQiOnRydWV9.AAAA", &"A".repeat(5000)] {
        let answer = deployment.send(&get(&format!("/api/projects?cursor={cursor}"), &ada)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_cursor"), "{cursor}");
    }
    let nameless = request("PATCH", &format!("/api/projects/{PROJECT}"), &ada).json(&json!({}));
    assert_eq!(deployment.send(&nameless).await.code(), "validation_failed");
    assert_eq!(deployment.send(&request("PUT", "/api/projects", &ada)).await.code(), "method_not_allowed");
}

#[tokio::test]
async fn another_tenant_finds_nothing_and_changes_nothing() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let eve = deployment.sign_up("eve@example.com").await;
    deployment.converse(&ada, PROJECT.parse().unwrap(), "A secret plan").await;
    create(&deployment, &ada, json!({ "name": "Another" })).await;
    create(&deployment, &eve, json!({ "name": "Eve's own" })).await;
    let before = deployment.send(&golden("get", &ada)).await.json();

    for name in ["get", "messages", "change", "generate-name", "delete"] {
        let answer = deployment.send(&golden(name, &eve)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"), "{name}");
        assert!(!answer.text().contains("secret plan"), "{name}");
    }
    let projects = deployment.send(&get("/api/projects", &eve)).await.json();
    assert_eq!(projects["items"].as_array().unwrap().len(), 1);
    assert_eq!(projects["items"][0]["name"], "Eve's own");

    // A cursor is valid only for the tenant and the list that issued it.
    let projects = deployment.send(&get("/api/projects?limit=1", &ada)).await.json();
    let messages =
        deployment.send(&get(&format!("/api/projects/{PROJECT}/messages?limit=1"), &ada)).await.json();
    let projects = projects["next_cursor"].as_str().unwrap();
    let messages = messages["next_cursor"].as_str().unwrap();
    for (path, cursor, caller) in [
        ("/api/projects", projects, &eve),
        ("/api/projects", messages, &eve),
        ("/api/projects", messages, &ada),
        (&format!("/api/projects/{PROJECT}/messages"), projects, &ada),
    ] {
        let answer = deployment.send(&get(&format!("{path}?cursor={cursor}"), caller)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_cursor"), "{path}");
    }
    assert_eq!(deployment.send(&golden("get", &ada)).await.json(), before);

    // Two tenants can use the same Idempotency-Key.
    let first = deployment.send(&golden("create", &ada)).await;
    let second = deployment.send(&golden("create", &eve)).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    assert_ne!(first.json()["id"], second.json()["id"]);
}

#[tokio::test]
async fn an_api_key_needs_the_scopes_of_the_route() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.converse(&ada, PROJECT.parse().unwrap(), "Hello").await;
    let needed = [
        ("list", vec![Scope::ProjectsRead]),
        ("get", vec![Scope::ProjectsRead]),
        ("messages", vec![Scope::ProjectsRead]),
        ("create", vec![Scope::ProjectsWrite]),
        ("change", vec![Scope::ProjectsWrite]),
        ("generate-name", vec![Scope::ProjectsWrite, Scope::Chat]),
        ("delete", vec![Scope::ProjectsWrite]),
    ];
    for (name, scopes) in needed {
        for missing in &scopes {
            let others = Scope::ALL.into_iter().filter(|scope| scope != missing);
            let key = deployment.api_key(&ada, others).await;
            let refused = deployment.send(&golden(name, &ada).bearer(&key)).await;
            assert_eq!(
                (refused.status.as_u16(), refused.code().as_str()),
                (403, "insufficient_scope"),
                "{name}"
            );
            assert_eq!(refused.json()["scope"], missing.as_str(), "{name}");
        }
        let key = deployment.api_key(&ada, scopes).await;
        let answer = deployment.send(&golden(name, &ada).bearer(&key)).await;
        assert!(answer.status.is_success(), "{name}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_stored_response_is_repeated_only_to_a_key_that_may_make_the_request() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    assert_eq!(deployment.send(&golden("create", &ada)).await.status, 201);
    let reader = deployment.api_key(&ada, [Scope::ProjectsRead]).await;
    let refused = deployment.send(&golden("create", &ada).bearer(&reader)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "insufficient_scope"));
    let writer = deployment.api_key(&ada, [Scope::ProjectsWrite]).await;
    let repeated = deployment.send(&golden("create", &ada).bearer(&writer)).await;
    assert_eq!((repeated.status.as_u16(), repeated.header("idempotency-replayed")), (201, "true"));
}

#[tokio::test]
async fn a_request_needs_a_credential_and_the_secret_of_the_cdn() {
    let deployment = Deployment::new().await;
    for (method, path) in [
        ("GET", "/api/projects".to_owned()),
        ("POST", "/api/projects".to_owned()),
        ("GET", format!("/api/projects/{PROJECT}")),
        ("PATCH", format!("/api/projects/{PROJECT}")),
        ("DELETE", format!("/api/projects/{PROJECT}")),
        ("GET", format!("/api/projects/{PROJECT}/messages")),
        ("POST", format!("/api/projects/{PROJECT}/generate_name")),
    ] {
        let event = Event::new(method, &path).header("x-origin-verify", "example-origin-secret");
        assert_eq!(deployment.send(&event).await.code(), "unauthenticated", "{method} {path}");
        assert_eq!(
            deployment.send(&Event::new(method, &path)).await.code(),
            "wrong_origin",
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn the_head_of_a_project_moves_to_a_run_of_it_alone() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let project: ProjectId = PROJECT.parse().unwrap();
    deployment.converse(&ada, project, "Hello").await;
    let path = format!("/api/projects/{project}");
    let head = deployment.send(&get(&path, &ada)).await.json()["head"].clone();
    let change = async |body: Value| deployment.send(&request("PATCH", &path, &ada).json(&body)).await;
    let moved = change(json!({"head": head, "name": "Tides"})).await;
    assert_eq!((&moved.json()["head"], &moved.json()["name"]), (&head, &json!("Tides")));
    let refused = change(json!({"head": RunId::new()})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "validation_failed"));
    assert_eq!(change(json!({})).await.status, 422);
    let list = async |run: &str| deployment.send(&get(&format!("{path}/messages?branch={run}"), &ada)).await;
    assert_eq!(list(head.as_str().unwrap()).await.json()["items"].as_array().unwrap().len(), 2);
    assert_eq!(list(&RunId::new().to_string()).await.status, 422);
}

#[tokio::test]
async fn a_turn_of_another_project_of_the_caller_is_refused_in_every_place() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let project: ProjectId = PROJECT.parse().unwrap();
    let other = ProjectId::new();
    deployment.converse(&ada, project, "Hello").await;
    deployment.converse(&ada, other, "Another matter").await;
    let messages = deployment.send(&get(&format!("/api/projects/{other}/messages"), &ada)).await.json();
    let run = messages["items"][1]["run_id"].clone();
    let message = messages["items"][1]["id"].clone();
    let path = format!("/api/projects/{project}");
    let before = deployment.send(&get(&path, &ada)).await.json();
    let fork = |from: &Value| request("POST", &format!("{path}/fork"), &ada).json(&json!({"from": from}));
    for event in [
        request("PATCH", &path, &ada).json(&json!({"head": run})),
        get(&format!("{path}/messages?branch={}", run.as_str().unwrap()), &ada),
        fork(&run),
        fork(&message),
    ] {
        let refused = deployment.send(&event).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "validation_failed"));
        assert!(refused.text().contains("no such run or message"), "{}", refused.text());
    }
    assert_eq!(deployment.send(&get(&path, &ada)).await.json(), before);
    let list = deployment.send(&get("/api/projects", &ada)).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "no fork was left");
}

#[tokio::test]
async fn a_fork_shows_the_same_messages_in_both_forms() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let project: ProjectId = PROJECT.parse().unwrap();
    deployment.converse(&ada, project, "Hello").await;
    let list = async |project: &str, query: &str| {
        let path = format!("/api/projects/{project}/messages{query}");
        deployment.send(&get(&path, &ada)).await.json()["items"].as_array().unwrap().clone()
    };
    let messages = list(PROJECT, "").await;
    let fork = format!("/api/projects/{project}/fork");
    let body = json!({"from": messages[1]["id"], "name": "Another way"});
    let forked = deployment.send(&request("POST", &fork, &ada).json(&body)).await;
    assert_eq!((forked.status.as_u16(), &forked.json()["name"]), (201, &json!("Another way")));
    let id = forked.json()["id"].as_str().unwrap().to_owned();
    assert_ne!(id, PROJECT);
    assert_eq!(forked.json()["head"], messages[1]["run_id"]);
    let parts =
        |messages: &[Value]| messages.iter().map(|message| message["parts"].clone()).collect::<Vec<_>>();
    assert_eq!(parts(&list(&id, "").await), parts(&messages));
    let mut shown = list(&id, "?format=ui").await;
    assert_eq!(shown[1]["metadata"]["projectId"], json!(id), "the next message goes to the fork");
    shown[1]["metadata"]["projectId"] = json!(PROJECT);
    assert_eq!(shown, list(PROJECT, "?format=ui").await);
    for from in [json!("start"), json!(RunId::new()), json!("x"), Value::Null] {
        let refused = deployment.send(&request("POST", &fork, &ada).json(&json!({"from": from}))).await;
        assert_eq!(refused.status, 422, "{from}");
    }
}
