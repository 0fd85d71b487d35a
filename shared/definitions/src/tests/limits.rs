//! Numbers of definitions, versions and labels, and definitions that are not allowed.

use futures::future::join_all;
use sequent_tables::{Update, key};

use super::*;

/// Sets the number of agents of the tenant.
async fn count(bench: &Bench, agents: u32) {
    let settings = Update::of(&key::definition_settings(bench.tenant)).set("agents", agents);
    bench.store.write(settings).await.unwrap();
}

#[tokio::test]
async fn the_number_of_agents_is_exact_under_contention() {
    let bench = Bench::new().await;
    count(&bench, MAX_DEFINITIONS - 3).await;
    let names: Vec<String> = (0..8).map(|n| format!("agent-{n}")).collect();
    let created = join_all(names.iter().map(|name| bench.create(name, json!({})))).await;
    assert_eq!(created.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    assert!(created.iter().all(|one| matches!(one, Ok(_) | Err(Error::TooManyDefinitions(_)))));
    let one = created.into_iter().find_map(Result::ok).unwrap();
    bench.agents.delete(bench.tenant, &AgentKey::Id(one.id)).await.unwrap();
    bench.create("another", json!({})).await.unwrap();
    assert!(matches!(bench.create("more", json!({})).await, Err(Error::TooManyDefinitions(_))));
    bench.prompt("tone", "Prompts are counted apart.").await.unwrap();
}

#[tokio::test]
async fn versions_have_so_many_bytes_together_whatever_is_deleted() {
    let bench = Bench::new().await;
    let settings = || Update::of(&key::definition_settings(bench.tenant));
    bench.store.write(settings().set("bytes", MAX_BYTES - 1)).await.unwrap();
    bench.create("support", json!({})).await.unwrap();
    bench.agents.delete(bench.tenant, &parsed("support")).await.unwrap();
    assert!(matches!(bench.create("another", json!({})).await, Err(Error::TooManyBytes)));
    assert!(matches!(bench.prompt("tone", "Be kind.").await, Err(Error::TooManyBytes)));
    bench.store.write(settings().set("bytes", MAX_BYTES - 1)).await.unwrap();
    bench.create("support", json!({})).await.unwrap();
    assert!(matches!(bench.add("support", json!({})).await, Err(Error::TooManyBytes)));
}

#[tokio::test]
async fn each_number_of_a_version_is_given_once() {
    let bench = Bench::new().await;
    bench.create("support", json!({})).await.unwrap();
    let added = join_all((0..8).map(|_| bench.add("support", json!({})))).await;
    let mut numbers: Vec<u32> = added.into_iter().map(|agent| agent.unwrap().latest_version).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (2..=9).collect::<Vec<_>>());
}

#[tokio::test]
async fn there_are_at_most_so_many_versions_and_labels() {
    let bench = Bench::new().await;
    let agent = bench.create("support", json!({})).await.unwrap();
    for n in 0..MAX_LABELS {
        bench.label("support", &format!("label-{n}"), 1, None).await.unwrap();
    }
    assert!(matches!(bench.label("support", "more", 1, None).await, Err(Error::TooManyLabels)));
    bench.label("support", "label-0", 1, Some(1)).await.unwrap();
    let head = key::definition(bench.tenant, key::DefinitionKind::Agent, agent.id);
    bench.store.write(Update::of(&head).set("latest_version", MAX_VERSIONS)).await.unwrap();
    assert!(matches!(bench.add("support", json!({})).await, Err(Error::TooManyVersions)));
}

#[tokio::test]
async fn fields_that_are_not_allowed_are_named() {
    let bench = Bench::new().await;
    let refused = async |definition: Value| match bench.create("support", definition).await {
        Err(Error::Invalid(fields)) => fields.into_iter().map(|field| field.pointer).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let tool = |name: &str| json!({"name": name});
    for (definition, pointers) in [
        (json!({"description": "x".repeat(1_001)}), vec!["/definition/description"]),
        (json!({"description": "a\u{7}"}), vec!["/definition/description"]),
        (json!({"instructions": "x".repeat(32_001)}), vec!["/definition/instructions"]),
        (json!({"persona": {"picture": "http://example.com/a.png"}}), vec!["/definition/persona/picture"]),
        (json!({"memory": {"max_notes": 0}}), vec!["/definition/memory/max_notes"]),
        (json!({"memory": {"max_notes": 51}}), vec!["/definition/memory/max_notes"]),
        (json!({"persona": {"picture": "javascript:alert(1)"}}), vec!["/definition/persona/picture"]),
        (json!({"prompts": ["tone", "tone@2"]}), vec!["/definition/prompts/1"]),
        (
            json!({"variables": {"date": {"type": "string"}, "n": {"type": "number", "default": "3"}}}),
            vec!["/definition/variables/date", "/definition/variables/n/default"],
        ),
        (
            json!({"variables": {"n": {"type": "number", "default": 3, "required": true}}}),
            vec!["/definition/variables/n/default"],
        ),
        (json!({"fallbacks": vec!["demo"; 6]}), vec!["/definition/fallbacks"]),
        (
            json!({"tools": [tool("a b"), tool("c"), tool("c")]}),
            vec!["/definition/tools/0/name", "/definition/tools/2/name"],
        ),
        (
            json!({"deliverable_type": "report", "output_schema": {"type": "object"}}),
            vec!["/definition/output_schema"],
        ),
        (json!({"history": {"turns": 1_001}}), vec!["/definition/history/turns"]),
        (
            json!({"starters": [" ", "x".repeat(501)]}),
            vec!["/definition/starters/0", "/definition/starters/1"],
        ),
        (
            json!({"instructions": "\"".repeat(32_000), "persona": {"manner": "\"".repeat(2_000)},
                "starters": vec!["\"".repeat(500); 10],
                "variables": (0..10).map(|n| (format!("v{n}"), json!({"type": "string", "default": "\"".repeat(4_000)})))
                    .collect::<Value>()}),
            vec!["/definition"],
        ),
    ] {
        assert_eq!(refused(definition.clone()).await, pointers, "{definition}");
    }
    let picture = json!({"persona": {"picture": "https://example.com/a.png"}});
    bench.create("support", picture).await.unwrap();
}

#[tokio::test]
async fn a_template_may_use_only_what_its_version_declares() {
    let bench = Bench::new().await;
    bench.prompt("tone", "Be kind.\nThe shop is {{ shop }}.").await.unwrap();
    let create = async |definition: Value| bench.create("support", definition).await;
    let (pointer, line, detail) = flaw(create(json!({"instructions": "Hello.\n{{ shop }}"})).await);
    assert_eq!((pointer.as_str(), line), ("/definition/instructions", Some(2)));
    assert!(detail.contains("`shop`"), "{detail}");
    let include = "{% include \"tone\" %}";
    let (pointer, line, _) = flaw(create(json!({"instructions": include})).await);
    assert_eq!((pointer.as_str(), line), ("/definition/instructions", Some(1)));
    let (pointer, line, detail) = flaw(create(json!({"instructions": include, "prompts": ["tone"]})).await);
    assert_eq!((pointer.as_str(), line), ("/definition/prompts/0", Some(2)));
    assert!(detail.contains("`tone` uses `shop`"), "{detail}");
    let (pointer, line, _) = flaw(create(json!({"instructions": "a\nb {% for x in y %}"})).await);
    assert_eq!((pointer.as_str(), line), ("/definition/instructions", Some(2)));

    let (pointer, ..) = flaw(bench.prompt("other", "{% include \"tone\" %}").await);
    assert_eq!(pointer, "/template");
    let (pointer, line, _) = flaw(bench.add_text("tone", "a\n\n{{ b").await);
    assert_eq!((pointer.as_str(), line), ("/template", Some(3)));
}
