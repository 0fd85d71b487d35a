//! The configuration of a tenant's servers.

use sequent_http::testing::{Answer, deployment::Person};
use serde_json::{Value, json};

use crate::deployment::{Deployment, request};

async fn send(deployment: &Deployment, of: &Person, method: &str, path: &str, body: Option<Value>) -> Answer {
    let event = request(method, path, &of.token);
    deployment.send(&body.map_or(event.clone(), |body| event.json(&body))).await
}

#[tokio::test]
async fn only_the_host_of_an_address_is_shown_because_the_rest_can_be_a_credential() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let server = json!({"name": "notes", "url": "https://notes.example.com:8443/s/key-in-path/mcp?key=in-query",
        "enabled": false});
    let created = send(&deployment, &ada, "POST", "/api/mcp-servers", Some(server)).await;
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(created.json()["approval"], "unless_read_only");
    let listed = send(&deployment, &ada, "GET", "/api/mcp-servers", None).await;
    let seen = send(&deployment, &ada, "GET", "/api/mcp-servers/notes", None).await;
    assert_eq!(seen.json(), created.json());
    assert_eq!(listed.json()["items"][0]["host"], "notes.example.com:8443");
    for answer in [created, listed, seen] {
        let text = answer.text();
        assert!(!text.contains("key-in-path") && !text.contains("in-query"), "{text}");
    }
    let key = sequent_tables::key::mcp_server(ada.tenant(), "notes");
    let row: Value = deployment.store().get(&key).await.unwrap().unwrap();
    assert!(!row.to_string().contains("key-in-path"), "{row}");
}

#[tokio::test]
async fn accepted_tools_have_names_and_digests() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let server = json!({"name": "notes", "url": "https://notes.example.com/mcp", "enabled": false});
    send(&deployment, &ada, "POST", "/api/mcp-servers", Some(server)).await;
    let path = "/api/mcp-servers/notes/tools";
    let accept = async |accepted: Value| {
        let answer = send(&deployment, &ada, "PUT", path, Some(json!({"accepted": accepted}))).await;
        answer.status.as_u16()
    };
    assert_eq!(accept(json!({"note": "0f".repeat(32)})).await, 200);
    assert_eq!(accept(json!({"note": "0f"})).await, 422);
    assert_eq!(accept(json!({"": "0f".repeat(32)})).await, 422);
    let many: serde_json::Map<_, _> =
        (0..101).map(|n| (format!("tool-{n}"), json!("0f".repeat(32)))).collect();
    assert_eq!(accept(Value::Object(many)).await, 422);
}

#[tokio::test]
async fn the_limit_of_web_pages_is_kept_and_belongs_to_its_tenant() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let eve = deployment.sign_up("eve@example.com").await;
    let set = async |body: Value| {
        send(&deployment, &ada, "PUT", "/api/web-fetch", Some(body)).await.status.as_u16()
    };
    assert_eq!(set(json!({"mode": "off"})).await, 200);
    let seen = async |of| send(&deployment, of, "GET", "/api/web-fetch", None).await.json()["mode"].clone();
    assert_eq!((seen(&ada).await, seen(&eve).await), (json!("off"), json!("on")));
    for wrong in [
        json!({"mode": "allowlist"}),
        json!({"mode": "on", "hosts": ["example.com"]}),
        json!({"mode": "allowlist", "hosts": ["https://example.com/"]}),
        json!({"mode": "sometimes"}),
        json!({"mode": "off", "more": 1}),
    ] {
        assert_eq!(set(wrong.clone()).await, 422, "{wrong}");
    }
    assert_eq!(seen(&ada).await, json!("off"));
}

#[tokio::test]
async fn requests_that_connect_to_a_server_have_the_rate_limit_of_expensive_requests() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let server = json!({"name": "notes", "url": "https://notes.example.com/mcp", "enabled": false});
    send(&deployment, &ada, "POST", "/api/mcp-servers", Some(server)).await;
    send(&deployment, &ada, "GET", "/api/mcp-servers/notes", None).await;
    assert_eq!(deployment.counted_classes().await, ["chat"]);
    send(&deployment, &ada, "GET", "/api/mcp-servers", None).await;
    assert_eq!(deployment.counted_classes().await, ["chat", "read"]);
}

#[tokio::test]
async fn a_sign_in_comes_back_to_a_page_of_the_deployment_and_is_finished_by_who_has_begun_it() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let server = json!({"name": "notes", "url": "https://10.0.0.1.example.invalid/mcp", "enabled": false});
    send(&deployment, &ada, "POST", "/api/mcp-servers", Some(server)).await;
    let path = "/api/mcp-servers/notes/authorize";
    let begin = async |redirect_uri: &str| {
        let body = json!({"redirect_uri": redirect_uri});
        send(&deployment, &ada, "POST", path, Some(body)).await.json()
    };
    for foreign in [
        "https://evil.example/",
        "https://chat.example.com.evil.example/",
        "http://chat.example.com/",
        "javascript:alert(1)",
        "",
        "https://chat.example.com/#x",
    ] {
        let problem = begin(foreign).await;
        assert_eq!(problem["errors"][0]["pointer"], "#/redirect_uri", "{foreign}: {problem}");
    }
    for own in ["https://chat.example.com/a?b=c", "http://127.0.0.1:4000/callback", "http://localhost/"] {
        assert_eq!(begin(own).await["code"], "mcp_server_unreachable", "{own}");
    }
    let unknown = json!({"code": "c", "state": "s"});
    let problem = send(&deployment, &ada, "PUT", path, Some(unknown)).await.json();
    assert_eq!(problem["errors"][0]["pointer"], "#/state", "{problem}");
}
