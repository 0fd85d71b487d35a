//! HTTP tools of a tenant, with a real server that verifies what it receives.

use sequent_core::SecretString;
use sequent_e2e::shop::{Shop, TOKEN};
use sequent_webhooks::signature::SigningSecret;
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::timeout};

use crate::{
    background::{create, epochs, instances},
    system::{Caller, PATIENCE, System, of_kind},
};

/// A shop that listens, and a system whose functions may call it.
struct Scene {
    shop: Shop,
    base: String,
    system: System,
}

impl Scene {
    async fn set() -> Self {
        let shop = Shop::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = shop.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let env = [("SSRF_ALLOW", address.as_str()), ("LEASE_MS", "900"), ("LEASE_RENEW_MS", "250")];
        Self { shop, base: format!("http://{address}"), system: System::start(&env).await }
    }

    /// Creates a tool that refunds an order. The shop trusts its secret, which is returned.
    async fn refund_tool(&self, of: &Caller) -> String {
        let tool = json!({"name": "refund_order", "description": "Refunds an order.", "method": "POST", "idempotent": true,
            "policy": "always", "url": format!("{}/orders/{{id}}/refunds", self.base), "result_pointer": "/refund",
            "headers": [{"name": "Authorization", "value": TOKEN, "secret": true}],
            "input_schema": {"type": "object", "properties": {"id": {"type": "string"}, "reason": {"type": "string"}}, "required": ["id"]}});
        let (status, created) = post(of, "/api/tools", &tool).await;
        assert_eq!(status, 201, "{created}");
        let secret = created["signing_secret"].as_str().unwrap().to_owned();
        self.shop.trust(SigningSecret::parse(&SecretString::from(secret.as_str())).unwrap());
        secret
    }
}

async fn post(caller: &Caller, path: &str, body: &Value) -> (u16, Value) {
    let answer = caller.request("POST", path).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_has_its_effect_once_although_its_worker_is_killed_and_no_secret_is_left_behind() {
    let scene = Scene::set().await;
    let alice = scene.system.sign_up("alice@example.com").await;
    let secret = scene.refund_tool(&alice).await;
    let agent = json!({"name": "support", "definition": {"tools": [{"name": "refund_order"}]}});
    assert_eq!(post(&alice, "/api/agents", &agent).await.0, 201);

    scene.shop.open(false);
    let arguments = json!({"id": "10/04", "reason": "late"});
    let input = format!("/demo tokens=2 rate=0 tool=refund_order args={arguments}\n/demo tokens=2 rate=0");
    let run = create(&alice, &json!({"input": input, "agent": "support"})).await;
    let id = run["id"].as_str().unwrap();
    let called = async {
        while scene.shop.received().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, called).await.expect("the tool is called");
    for (pid, _) in instances(&scene.system, "AgentWorkerFunction") {
        scene.system.stack.kill(pid);
    }
    scene.shop.open(true);
    let log = alice.follow(id, Vec::new(), PATIENCE).await;

    assert!(epochs(&log) > 1, "another owner continued");
    let received = scene.shop.received();
    assert!(received.len() > 1, "the call was repeated");
    for request in &received {
        assert_eq!(request.line, "POST /orders/10%2F04/refunds");
        assert_eq!(request.key, received[0].key, "each attempt has the same key");
        assert_eq!(request.signed.as_ref(), Some(&request.key));
    }
    assert_eq!(scene.shop.refunds(), 1);
    let results = of_kind(&log, "TOOL_CALL_RESULT");
    assert_eq!(results.len(), 1, "{log:?}");
    let result: Value = serde_json::from_str(results[0]["content"].as_str().unwrap()).unwrap();
    assert_eq!(result, json!({"number": 1, "order": "10/04", "reason": "late"}));
    for word in ["shop-token", &secret["whsec_".len()..]] {
        assert!(scene.system.places_of(word).await.is_empty(), "{word}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_is_its_tenants_own_and_is_gone_when_it_is_deleted() {
    let scene = Scene::set().await;
    let alice = scene.system.sign_up("alice@example.com").await;
    let bob = scene.system.sign_up("bob@example.com").await;
    scene.refund_tool(&alice).await;
    let trial = json!({"arguments": {"id": "7"}});
    let (status, tried) = post(&alice, "/api/tools/refund_order/test", &trial).await;
    assert_eq!((status, &tried["succeeded"]), (200, &json!(true)), "{tried}");

    assert_eq!(bob.get("/api/tools").await, json!({"items": []}));
    assert_eq!(post(&bob, "/api/tools/refund_order/test", &trial).await.0, 404);
    let input = json!({"input": "/demo tokens=2 rate=0 tool=refund_order args={\"id\":\"7\"}\n/demo tokens=2 rate=0"});
    let outcome = async |caller: &Caller| {
        let run = create(caller, &input).await;
        let log = caller.follow(run["id"].as_str().unwrap(), Vec::new(), PATIENCE).await;
        // The demo calls only what it is offered.
        of_kind(&log, "TOOL_CALL_RESULT").first().map(|result| result["content"].to_string())
    };
    assert_eq!(outcome(&bob).await, None);
    let refunded = outcome(&alice).await.unwrap();
    assert!(refunded.contains(r#"\"order\":\"7\""#), "{refunded}");
    let delete = alice.request("DELETE", "/api/tools/refund_order").send().await.unwrap();
    assert_eq!(delete.status(), 204);
    assert_eq!(outcome(&alice).await, None);

    let private = json!({"name": "metadata", "description": "Reads.", "method": "GET", "url": "http://169.254.169.254/latest/",
        "input_schema": {"type": "object"}});
    let (status, refused) = post(&alice, "/api/tools", &private).await;
    assert_eq!((status, &refused["code"]), (422, &json!("validation_failed")));
    assert_eq!(refused["errors"][0]["detail"], "the address is not on the public internet");
}
