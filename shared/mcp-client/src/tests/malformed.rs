//! Servers whose lists, messages and schemas are not as they should be.

use sequent_tool::Registry;

use super::*;
use crate::testing::Reply;

fn names(listing: &ToolListing) -> Vec<&str> {
    listing.tools.iter().map(|offer| offer.name.as_str()).collect()
}

/// Sets the server up for a tenant of its own.
async fn listed(remote: &Scripted) -> ToolListing {
    let store = testing::store().await;
    let servers = servers(&store, &[remote]);
    add(&servers, TenantId::new(), new("s", &remote.url())).await.unwrap().1
}

#[tokio::test]
async fn a_malformed_tool_is_shown_with_the_reason_and_hides_none_of_the_others() {
    let malformed = [
        (json!({"name": "bad", "inputSchema": null}), "`inputSchema` is null"),
        (json!({"inputSchema": {"type": "object"}}), "`name` is missing"),
        (json!({"name": ["bad"], "inputSchema": {"type": "object"}}), "`name` is a list"),
        (json!({"name": "bad", "inputSchema": true}), "`inputSchema` is a truth value"),
        (json!([]), "it is a list, not an object"),
    ];
    for (bad, problem) in malformed {
        let result = json!({"tools": [tool("one"), bad, tool("two"), tool("three")]});
        for reply in [Reply::result(&result), Reply::event(&result)] {
            let remote = Scripted::start(json!([])).await;
            remote.script("tools/list", [reply]);
            let store = testing::store().await;
            let servers = servers(&store, &[&remote]);
            let tenant = TenantId::new();
            let (_, listing) = add(&servers, tenant, new("s", &remote.url())).await.unwrap();
            assert_eq!(names(&listing), ["one", "two", "three"], "{bad}");
            assert!(
                listing.tools.iter().all(|offer| offer.usable && offer.problems.is_empty()),
                "{listing:?}"
            );
            assert_eq!(
                (listing.malformed_tools[0].position, listing.malformed_tools[0].problem.as_str()),
                (1, problem)
            );
            assert_eq!(listing.incomplete, None);
            let tools = servers.tools(tenant).await.unwrap();
            assert_eq!(call(&tools, "s__two", json!({"n": 1})).await.unwrap().content, r#"{"n":1}"#);
            let (_, seen) = Box::pin(servers.inspect(tenant, &name("s"))).await.unwrap();
            assert_eq!(seen, listing);
        }
    }
}

#[tokio::test]
async fn a_tool_with_odd_optional_members_is_usable_and_its_problems_are_shown() {
    let odd = json!({"name": "odd", "inputSchema": {"type": "object"}, "description": 7, "annotations": "safe", "x-vendor": {"a": [1]}});
    let listing = listed(&Scripted::start(json!([odd])).await).await;
    let [offer] = &listing.tools[..] else { panic!("{listing:?}") };
    let ignored = |name: &str| format!("`{name}` has the wrong type and is ignored");
    assert_eq!(offer.problems, [ignored("description"), ignored("annotations")]);
    assert!(offer.usable && offer.needs_approval && offer.description.is_empty());
}

#[tokio::test]
async fn a_listing_that_cannot_be_read_to_its_end_has_what_was_read_and_the_reason() {
    let page = |tools: Value, cursor: Value| Reply::result(&json!({"tools": tools, "nextCursor": cursor}));
    let first = || page(json!([tool("one")]), json!("a"));
    let endless = (0..40).map(|n| page(json!([tool(&format!("t{n}"))]), json!(format!("c{n}"))));
    let cases: Vec<(Vec<Reply>, usize, &str)> = vec![
        (vec![first(), page(json!([tool("two")]), json!("a"))], 2, "repeats the cursor"),
        (endless.collect(), 20, "more than 20 pages"),
        (vec![first(), page(json!([tool("two")]), json!(7))], 2, "cursor of the next page is not a text"),
        (vec![first(), Reply::result(&json!("page"))], 1, "Page 2 is not an object"),
        (vec![first(), Reply::result(&json!({"tools": null}))], 1, "Page 2 has no list `tools`"),
        (vec![first(), Reply::raw(500, "text/html", "<html>")], 1, "The server answered 500"),
        (
            vec![page((0..150).map(|n| tool(&format!("t{n}"))).collect(), Value::Null)],
            100,
            "more than 100 tools",
        ),
        (vec![Reply::result(&json!([]))], 0, "Page 1 is not an object"),
    ];
    for (pages, count, reason) in cases {
        let remote = Scripted::start(json!([])).await;
        remote.script("tools/list", pages);
        let listing = listed(&remote).await;
        assert_eq!(listing.tools.len(), count, "{reason}");
        assert!(
            listing.incomplete.as_ref().is_some_and(|why| why.contains(reason)),
            "{reason}: {:?}",
            listing.incomplete
        );
    }
    for last in [json!(null), json!("")] {
        let remote = Scripted::start(json!([])).await;
        remote.script("tools/list", [first(), page(json!([tool("two"), tool("one")]), last)]);
        let listing = listed(&remote).await;
        assert_eq!((names(&listing), &listing.incomplete), (vec!["one", "two"], &None));
        assert_eq!(listing.malformed_tools[0].problem, "another tool before it has this name");
        assert_eq!(remote.received("tools/list")[1].1["params"]["cursor"], "a");
    }
}

#[tokio::test]
async fn any_success_accepts_a_notification() {
    for reply in [
        Reply::raw(200, "text/plain", "OK"),
        Reply::raw(200, "application/json", "null"),
        Reply::raw(200, "application/json", "{}"),
        Reply::raw(200, "text/event-stream", ": nothing\n\n"),
        Reply::raw(201, "text/html", "<p>created</p>"),
        Reply::raw(202, "text/plain", ""),
        Reply::raw(204, "text/plain", ""),
    ] {
        let remote = Scripted::start(json!([tool("note")])).await;
        remote.script("notifications/initialized", [reply]);
        assert_eq!(names(&listed(&remote).await), ["note"]);
        assert_eq!(remote.received("notifications/initialized").len(), 1);
    }
}

#[tokio::test]
async fn answers_with_what_is_wrong_around_the_result_are_read() {
    let result = json!({"tools": [tool("note")]});
    let bodies = [
        format!(r#"{{"jsonrpc":"2.0","id":null,"result":{result},"error":null}}"#),
        format!(r#"{{"id":"$ID","result":{result}}}"#),
        format!(
            r#"[{{"jsonrpc":"2.0","method":"notifications/message"}},{{"jsonrpc":"2.0","id":$ID,"result":{result}}}]"#
        ),
    ];
    for body in bodies {
        for (kind, body) in [("text/plain", body.clone()), ("text/event-stream", format!("data: {body}\n\n"))]
        {
            let remote = Scripted::start(json!([])).await;
            remote.script(
                "initialize",
                [Reply::result(&json!({"serverInfo": {"name": 7}, "capabilities": {"tools": []}}))],
            );
            remote.script("tools/list", [Reply::raw(200, kind, body)]);
            assert_eq!(names(&listed(&remote).await), ["note"]);
        }
    }
}

#[tokio::test]
async fn a_schema_that_providers_refuse_is_rewritten_and_calls_are_checked_by_the_whole() {
    let find = json!({"name": "find", "inputSchema": {"type": "object", "properties": {"id": {"type": ["string", "null"]}, "query": {"$ref": "#/$defs/Query"}},
        "anyOf": [{"required": ["id"]}, {"required": ["query"]}], "$defs": {"Query": {"type": "string", "minLength": 3}}}});
    let remote = Scripted::start(
        json!([find, {"name": "text", "inputSchema": {"type": "string"}}, {"name": "named", "inputSchema":
        {"type": "object", "properties": {"größe": {}}, "required": ["größe"]}}]),
    )
    .await;
    let store = testing::store().await;
    let servers = servers(&store, &[&remote]);
    let tenant = TenantId::new();
    let (_, listing) = add(&servers, tenant, new("s", &remote.url())).await.unwrap();
    let problems: Vec<_> =
        listing.tools.iter().map(|offer| (offer.usable, offer.problems.join(" "))).collect();
    assert_eq!(problems[0], (true, String::new()));
    assert_eq!(problems[1], (false, "its parameters are not a JSON object".to_owned()));
    assert!(!problems[2].0 && problems[2].1.contains("`größe`"), "{problems:?}");

    let tools = Registry::new(servers.tools(tenant).await.unwrap()).unwrap();
    let offered = tools.specs(None)[0].offered_parameters().unwrap();
    assert_eq!(
        offered,
        json!({"type": "object", "properties": {"id": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "query": {"type": "string", "minLength": 3}}})
    );
    assert!(tools.check("s__find", r#"{"id": null}"#).is_ok());
    for wrong in ["{}", r#"{"query": "ab"}"#] {
        assert!(tools.check("s__find", wrong).is_err(), "{wrong}");
    }
}
