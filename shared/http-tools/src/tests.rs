//! Tools with a real table and real connections.

mod calls;
mod server;

use std::collections::BTreeMap;

use sequent_core::{TenantId, Timestamp, UserId};
use sequent_identity::Vault;
use sequent_tables::{Store, testing};
use sequent_tool::{
    Guard, ToolPolicy,
    guard::{Allow, System},
};
use serde_json::{Value, json};

use crate::{Error, HttpTool, HttpTools, NewHttpTool, RequestMethod, ToolName};

/// A tool with this address.
pub(crate) fn tool(url: &str) -> HttpTool {
    HttpTool {
        name: name("find_order"),
        description: "Finds an order.".to_owned(),
        input_schema: json!({"type": "object"}),
        method: RequestMethod::Get,
        url: url.to_owned().try_into().unwrap(),
        headers: Vec::new(),
        timeout_seconds: 30,
        idempotent: true,
        policy: ToolPolicy::Always,
        result_pointer: String::new(),
        max_result_bytes: 65_536,
        user_id: UserId::new(),
        created_at: Timestamp::now(),
        updated_at: Timestamp::now(),
    }
}

fn name(text: &str) -> ToolName {
    ToolName::try_from(text.to_owned()).unwrap()
}

fn vault() -> Vault {
    Vault::fixed(&json!({"seed": "tests"}).to_string().into()).unwrap()
}

/// Tools that may call the server at `address`.
fn tools(store: &Store, address: &str) -> HttpTools {
    HttpTools::new(store.clone(), vault(), Guard::new(Allow::parse_list(address).unwrap(), System))
}

fn new(body: Value) -> NewHttpTool {
    serde_json::from_value(body).unwrap()
}

/// A tool that reads an order, with these members in place of the usual ones.
fn find_order(base: &str, members: Value) -> NewHttpTool {
    let mut body = json!({"name": "find_order", "description": "Finds an order.", "method": "GET",
        "url": format!("{base}/orders/{{id}}"), "headers": [{"name": "Authorization", "value": "Bearer s3cret-token", "secret": true}],
        "input_schema": {"type": "object", "properties": {"id": {"type": "string"}, "view": {"type": "string"}}, "required": ["id"]}});
    let members: BTreeMap<String, Value> = serde_json::from_value(members).unwrap();
    for (member, value) in members {
        body[member] = value;
    }
    new(body)
}

async fn refused(tools: &HttpTools, new: NewHttpTool) -> (String, String) {
    match tools.create(TenantId::new(), UserId::new(), new, Timestamp::now()).await {
        Err(Error::Invalid { pointer, rule }) => (pointer, rule),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_tool_keeps_the_rules_of_its_members() {
    let store = testing::store().await;
    let tools = tools(&store, "");
    let base = "https://api.example.com";
    let long = "x".repeat(5_000);
    let large: serde_json::Map<_, _> =
        (0..600).map(|n| (format!("property-{n}"), json!({"type": "string"}))).collect();
    for (members, pointer, rule) in [
        (json!({"description": " "}), "/description", "1 to 4096 bytes"),
        (json!({"description": long}), "/description", "1 to 4096 bytes"),
        (json!({"input_schema": {"type": "nothing"}}), "/input_schema", "not a usable JSON Schema"),
        (json!({"input_schema": {"type": "string"}}), "/input_schema", "cannot be used"),
        (json!({"input_schema": {"type": "object", "properties": large}}), "/input_schema", "16384 bytes"),
        (json!({"url": "http://api.example.com/orders/{id}"}), "/url", "https://"),
        (json!({"url": "ftp://api.example.com/"}), "/url", "only http and https"),
        (json!({"url": "https://10.0.0.1/orders/{id}"}), "/url", "public internet"),
        (json!({"url": "https://169.254.169.254/latest/{id}"}), "/url", "public internet"),
        (json!({"url": "https://localhost/orders/{id}"}), "/url", "public internet"),
        (json!({"url": "https://me@api.example.com/"}), "/url", "credentials"),
        (json!({"url": "https://api.example.com/{number}"}), "/url", "no property"),
        (json!({"url": "https://api.example.com/{view}"}), "/url", "must require"),
        (json!({"timeout_seconds": 61}), "/timeout_seconds", "1 to 60"),
        (json!({"timeout_seconds": 0}), "/timeout_seconds", "1 to 60"),
        (json!({"max_result_bytes": 99}), "/max_result_bytes", "100 to 65536"),
        (json!({"result_pointer": "order"}), "/result_pointer", "begin with `/`"),
        (json!({"headers": [{"name": "Host", "value": "x"}]}), "/headers/0/name", "may set"),
        (
            json!({"headers": [{"name": "a", "value": "x"}, {"name": "A", "value": "x"}]}),
            "/headers/1/name",
            "twice",
        ),
        (json!({"headers": [{"name": "a", "secret": true}]}), "/headers/0/value", "is missing"),
        (json!({"headers": [{"name": "a", "value": "x\r\nb: c"}]}), "/headers/0/value", "visible ASCII"),
    ] {
        let (at, broken) = refused(&tools, find_order(base, members.clone())).await;
        assert!(at == pointer && broken.contains(rule), "{members}: {at} {broken}");
    }
    for members in
        [json!({"name": "web_fetch"}), json!({"url": "https://{host}/"}), json!({"execute": "code"})]
    {
        let mut body = json!({"name": "a", "description": "b", "method": "GET", "url": base, "input_schema": {"type": "object"}});
        for (member, value) in members.as_object().unwrap() {
            body[member] = value.clone();
        }
        assert!(serde_json::from_value::<NewHttpTool>(body).is_err(), "{members}");
    }
}

#[tokio::test]
async fn a_reading_tool_asks_no_person_and_another_one_does_unless_its_tenant_says_otherwise() {
    let store = testing::store().await;
    let tools = tools(&store, "");
    let tenant = TenantId::new();
    let policy = async |called: &str, members: Value| {
        let new = NewHttpTool { name: name(called), ..find_order("https://api.example.com", members) };
        let (tool, _) = tools.create(tenant, UserId::new(), new, Timestamp::now()).await.unwrap();
        (tool.policy, tool.idempotent)
    };
    assert_eq!(policy("a", json!({})).await, (ToolPolicy::Always, true));
    assert_eq!(policy("b", json!({"method": "POST"})).await, (ToolPolicy::Ask, false));
    assert_eq!(
        policy("c", json!({"method": "PUT", "policy": "always", "idempotent": true})).await,
        (ToolPolicy::Always, true)
    );
    assert_eq!(policy("d", json!({"policy": "never"})).await.0, ToolPolicy::Never);
    let offered = tools.tools(tenant).await.unwrap();
    let offered: Vec<_> = offered.iter().map(|tool| (tool.spec.name.as_str(), tool.needs_approval)).collect();
    assert_eq!(offered, [("a", false), ("b", true), ("c", false)], "one that is never called is not offered");
}

#[tokio::test]
async fn the_tools_of_a_tenant_are_its_own_and_few() {
    let store = testing::store().await;
    let tools = tools(&store, "");
    let tenant = TenantId::new();
    let other = TenantId::new();
    let create = async |called: &str| {
        let new = NewHttpTool { name: name(called), ..find_order("https://api.example.com", json!({})) };
        tools.create(tenant, UserId::new(), new, Timestamp::now()).await
    };
    for n in 0..HttpTools::MAX {
        create(&format!("tool-{n:02}")).await.unwrap();
    }
    assert!(matches!(create("tool-00").await, Err(Error::NameTaken)));
    assert!(matches!(create("another").await, Err(Error::TooMany)));
    let listed = tools.list(tenant).await.unwrap();
    assert!(listed.is_sorted_by_key(|tool| tool.name.clone()) && listed.len() == 20);

    let first = name("tool-00");
    assert!(tools.list(other).await.unwrap().is_empty() && tools.tools(other).await.unwrap().is_empty());
    let change = crate::HttpToolChange::default();
    assert!(matches!(tools.get(other, &first).await, Err(Error::NotFound)));
    assert!(matches!(tools.change(other, &first, &change, Timestamp::now()).await, Err(Error::NotFound)));
    assert!(matches!(tools.rotate(other, &first, Timestamp::now()).await, Err(Error::NotFound)));
    assert!(matches!(tools.try_call(other, &first, "{}").await, Err(Error::NotFound)));
    assert!(matches!(tools.delete(other, &first).await, Err(Error::NotFound)));
    tools.delete(tenant, &first).await.unwrap();
    assert!(matches!(tools.get(tenant, &first).await, Err(Error::NotFound)));
    create("another").await.unwrap();
}

#[tokio::test]
async fn secrets_are_sealed_for_their_tool_and_host_and_never_shown() {
    let store = testing::store().await;
    let tools = tools(&store, "");
    let tenant = TenantId::new();
    let order = find_order("https://api.example.com", json!({}));
    let shown = format!("{order:?}");
    let (tool, signing) = tools.create(tenant, UserId::new(), order, Timestamp::now()).await.unwrap();
    let signing = sequent_core::ExposeSecret::expose_secret(&signing).to_owned();
    assert!(signing.starts_with("whsec_"));
    let row: Value = store.get(&sequent_tables::key::http_tool(tenant, "find_order")).await.unwrap().unwrap();
    for text in [shown, serde_json::to_string(&tool).unwrap(), row.to_string()] {
        assert!(!text.contains("s3cret") && !text.contains(&signing[6..]), "{text}");
    }
    assert_eq!(tool.headers[0].name, "authorization");
    let sealed = row["sealed"].as_str().unwrap();
    let keys = vault().sealing().await.unwrap();
    let opens = |tenant, called: &str, base: &str| {
        crate::sealed::ToolSecrets::open(&keys, sealed, &crate::sealed::purpose(tenant, &name(called), base))
            .is_ok()
    };
    assert!(opens(tenant, "find_order", "https://api.example.com"));
    assert!(!opens(tenant, "find_order", "https://evil.example.com"));
    assert!(!opens(tenant, "other", "https://api.example.com"));
    assert!(!opens(TenantId::new(), "find_order", "https://api.example.com"));
}

#[tokio::test]
async fn a_changed_tool_keeps_its_secrets_but_does_not_take_them_to_another_host() {
    let store = testing::store().await;
    let tools = tools(&store, "");
    let tenant = TenantId::new();
    let find = name("find_order");
    let order = find_order("https://api.example.com", json!({}));
    tools.create(tenant, UserId::new(), order, Timestamp::now()).await.unwrap();
    let change = async |body: Value| {
        let change = serde_json::from_value(body).unwrap();
        tools.change(tenant, &find, &change, Timestamp::now()).await
    };
    let changed = change(json!({"description": "Reads an order.", "policy": "ask"})).await.unwrap();
    assert_eq!((changed.description.as_str(), changed.policy), ("Reads an order.", ToolPolicy::Ask));
    let keeps = json!({"url": "https://api.example.com/v2/orders/{id}",
        "headers": [{"name": "authorization", "secret": true}, {"name": "x-shop", "value": "7"}]});
    let changed = change(keeps).await.unwrap();
    assert_eq!(changed.headers.len(), 2);
    for body in [
        json!({"url": "https://evil.example.com/orders/{id}"}),
        json!({"url": "https://api.example.com:8443/orders/{id}"}),
        json!({"url": "https://evil.example.com/{id}", "headers": [{"name": "authorization", "secret": true}]}),
        // A secret cannot be made readable.
        json!({"headers": [{"name": "authorization"}]}),
    ] {
        let refused = change(body.clone()).await;
        assert!(
            matches!(&refused, Err(Error::Invalid { pointer, .. }) if pointer == "/headers/0/value"),
            "{body}"
        );
    }
    let moved = json!({"url": "https://evil.example.com/orders/{id}",
        "headers": [{"name": "authorization", "secret": true, "value": "Bearer another"}]});
    assert_eq!(change(moved).await.unwrap().headers.len(), 1);
    assert_eq!(
        tools.get(tenant, &find).await.unwrap().url,
        "https://evil.example.com/orders/{id}".to_owned().try_into().unwrap()
    );
}
