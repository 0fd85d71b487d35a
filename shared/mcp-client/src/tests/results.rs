//! The results of calls, and the resources and prompts of servers.

use super::*;
use crate::{Approval, testing::Reply};

#[tokio::test]
async fn the_model_reads_text_and_structured_content_of_a_result() {
    let remote = Scripted::start(json!([tool("search")])).await;
    let items = json!({"items": [{"id": 1}, {"id": 2}]});
    let found = json!({"content": [{"type": "text", "text": "Found 2 items."}, {"type": "resource_link", "uri": "notes://1", "name": "First"}, {}],
        "structuredContent": items});
    let failed = json!({"content": "No.", "isError": true});
    let asking = json!({"resultType": "input_required", "inputRequests": {}});
    remote.script("tools/call", [&found, &failed, &asking].map(Reply::result));
    let store = testing::store().await;
    let servers = servers(&store, &[&remote]);
    let tenant = TenantId::new();
    add(&servers, tenant, new("s", &remote.url())).await.unwrap();
    let tools = servers.tools(tenant).await.unwrap();
    let found = call(&tools, "s__search", json!({})).await.unwrap();
    assert_eq!(
        found.content,
        format!(
            "Found 2 items.\n\n[First](notes://1)\n\n\
        [content of an unknown kind: not shown]\n\nStructured content: {items}"
        )
    );
    assert_eq!(call(&tools, "s__search", json!({})).await, Err(ToolError::Refused("No.".to_owned())));
    let asked = call(&tools, "s__search", json!({})).await.unwrap_err();
    assert!(asked.message().contains("asks for more than its arguments"), "{asked}");
}

#[tokio::test]
async fn resources_and_prompts_are_read_with_tools() {
    let remote = Scripted::start(json!([tool("note")])).await;
    remote.state_capabilities(json!({"tools": {}, "resources": {}, "prompts": {"listChanged": true}}));
    let resources = json!({"resources": [{"uri": "notes://1", "name": "First", "mimeType": "text/plain"}, {"name": "lost"}, 7], "nextCursor": 7});
    remote.script("resources/list", [Reply::result(&resources)]);
    let templates = json!({"resourceTemplates": [{"uriTemplate": "notes://{day}", "name": "Day"}]});
    remote.script("resources/templates/list", [Reply::result(&templates)]);
    let contents = json!({"contents": [{"uri": "notes://1", "mimeType": "text/plain", "text": "Buy milk"}]});
    remote.script("resources/read", [Reply::event(&contents)]);
    let arguments = json!([{"name": "code", "required": true}, {"name": "tone"}]);
    let prompts =
        json!({"prompts": [{"name": "review", "description": "Reviews code.", "arguments": arguments}]});
    remote.script("prompts/list", [Reply::result(&prompts)]);
    let prompt =
        json!({"messages": [{"role": "user", "content": {"type": "text", "text": "Review x = 1."}}]});
    remote.script("prompts/get", [Reply::result(&prompt)]);

    let store = testing::store().await;
    let servers = servers(&store, &[&remote]);
    let tenant = TenantId::new();
    let (server, listing) = add(&servers, tenant, new("s", &remote.url())).await.unwrap();
    let listed: Vec<_> =
        listing.tools.iter().map(|offer| (offer.name.as_str(), offer.usable, offer.needs_approval)).collect();
    assert_eq!(listed, [("note", true, true), ("read_resource", true, false), ("get_prompt", true, false)]);
    assert_eq!(server.approval, Approval::UnlessReadOnly);
    let tools = servers.tools(tenant).await.unwrap();
    assert!(find(&tools, "s__read_resource").idempotent);
    let read = async |tool: &str, arguments: Value| call(&tools, tool, arguments).await.unwrap().content;
    assert_eq!(
        read("s__read_resource", json!({})).await,
        "- notes://1: First, text/plain\n- notes://{day} (replace what is in braces): Day\n\
         (There may be more. The cursor of the next page is not a text.)"
    );
    assert_eq!(
        read("s__read_resource", json!({"uri": "notes://1"})).await,
        "[notes://1, text/plain]\nBuy milk"
    );
    assert_eq!(remote.received("resources/read")[0].1["params"]["uri"], "notes://1");
    assert_eq!(read("s__get_prompt", json!({})).await, "- review(code, tone?): Reviews code.");
    let asked = json!({"name": "review", "arguments": {"code": "x = 1"}});
    assert_eq!(read("s__get_prompt", asked).await, "user: Review x = 1.");
    assert_eq!(remote.received("prompts/get")[0].1["params"]["arguments"], json!({"code": "x = 1"}));
}

#[tokio::test]
async fn a_server_without_tools_has_its_resources_and_a_tool_of_its_own_comes_first() {
    let refused = Reply::raw(
        200,
        "application/json",
        r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32601,"message":"Method not found"}}"#,
    );
    let remote = Scripted::start(json!([])).await;
    remote.state_capabilities(json!({"resources": {}}));
    remote.script("tools/list", [refused]);
    remote.script("resources/list", [Reply::result(&json!({"resources": []}))]);
    let own = Scripted::start(
        json!([{"name": "read_resource", "description": "Mine.", "inputSchema": {"type": "object"}}]),
    )
    .await;
    own.state_capabilities(json!({"tools": {}, "resources": {}}));
    let store = testing::store().await;
    let servers = servers(&store, &[&remote, &own]);
    let tenant = TenantId::new();
    add(&servers, tenant, new("files", &remote.url())).await.unwrap();
    let (_, listing) = add(&servers, tenant, new("own", &own.url())).await.unwrap();
    assert_eq!(listing.tools.len(), 1);
    assert_eq!(listing.tools[0].description, "Mine.");
    let tools = servers.tools(tenant).await.unwrap();
    let empty = call(&tools, "files__read_resource", json!({})).await.unwrap();
    assert_eq!(empty.content, "The server has no resources.");
    call(&tools, "own__read_resource", json!({})).await.unwrap();
    assert_eq!(own.received("tools/call").len(), 1);
}
