//! Agents of runs: chosen once, and the same for ever.

use super::*;

#[tokio::test]
async fn a_run_has_the_same_instructions_after_everything_has_changed() {
    let bench = Bench::new().await;
    bench.prompt("tone", "Be {{ mood }}.").await.unwrap();
    let definition = json!({
        "instructions": "You work for {{ shop }}.{% if user_name %} Greet {{ user_name }}.{% endif %} {{ date }} {% include \"tone\" %}",
        "prompts": ["tone"],
        "variables": {"shop": {"type": "string", "required": true}, "mood": {"type": "string", "default": "kind"}},
    });
    bench.create("support", definition).await.unwrap();
    let chosen = bench.choose("support", json!({"shop": "{{ mood }} & Sons"})).await.unwrap().unwrap();
    let before = bench.instructions(&chosen).await.unwrap();
    assert_eq!(before, "You work for {{ mood }} & Sons. 2023-11-14 Be kind.");

    for n in 0..10 {
        let text = format!("Be strange {n}.");
        bench.add_text("tone", &text).await.unwrap();
        bench.add("support", json!({"instructions": text})).await.unwrap();
    }
    bench.agents.prompts().delete(bench.tenant, &parsed("tone")).await.unwrap();
    bench.agents.delete(bench.tenant, &parsed("support")).await.unwrap();
    bench.prompt("tone", "Be another.").await.unwrap();
    // As another process does, which has read nothing yet.
    let elsewhere = Bench { agents: Agents::new(bench.store.clone()), ..bench };
    assert_eq!(elsewhere.instructions(&chosen).await.unwrap(), before);
}

#[tokio::test]
async fn the_default_agent_is_that_of_runs_that_ask_for_none() {
    let bench = Bench::new().await;
    let chosen = async || {
        bench.choose("", json!({})).await.unwrap().map(|chosen| (chosen.agent.name, chosen.agent.version))
    };
    assert_eq!(chosen().await, None);
    assert_eq!(bench.choose("", json!({"shop": "x"})).await.unwrap(), None);
    bench.create("support", json!({})).await.unwrap();
    let set = async |reference: &str| bench.agents.set_default(bench.tenant, parsed(reference)).await;
    assert!(matches!(set("other").await, Err(Error::AgentNotFound)));
    assert!(matches!(set("support@staging").await, Err(Error::LabelNotFound(_))));
    bench.label("support", "staging", 1, None).await.unwrap();
    let default = set("support@staging").await.unwrap();
    assert_eq!(default.agent.to_string(), format!("{}@staging", default.agent_id));
    assert_eq!(bench.agents.default_agent(bench.tenant).await.unwrap(), Some(default));
    assert_eq!(chosen().await, Some(("support".to_owned(), 1)));

    bench.agents.rename(bench.tenant, &parsed("support"), &parsed("help"), Timestamp::now()).await.unwrap();
    assert_eq!(chosen().await, Some(("help".to_owned(), 1)));
    bench.agents.delete(bench.tenant, &parsed("help")).await.unwrap();
    assert_eq!(chosen().await, None);
    assert_eq!(bench.agents.default_agent(bench.tenant).await.unwrap(), None);
    bench.create("sales", json!({})).await.unwrap();
    set("sales").await.unwrap();
    bench.agents.clear_default(bench.tenant).await.unwrap();
    assert_eq!(chosen().await, None);
}

#[tokio::test]
async fn a_default_agent_does_not_make_requests_fail_that_ask_for_none() {
    let bench = Bench::new().await;
    let required = json!({"variables": {"shop": {"type": "string", "required": true}}});
    bench.create("strict", required).await.unwrap();
    let set = async |reference: &str| bench.agents.set_default(bench.tenant, parsed(reference)).await;
    assert!(matches!(set("strict").await, Err(Error::DefaultNeedsVariable(name)) if name.as_str() == "shop"));
    bench.create("support", json!({})).await.unwrap();
    bench.label("support", "staging", 1, None).await.unwrap();
    set("support@staging").await.unwrap();
    let agents = &bench.agents;
    let label = parsed("staging");
    agents.remove_label(bench.tenant, &parsed("support"), &label, Timestamp::now()).await.unwrap();
    assert_eq!(bench.choose("", json!({})).await.unwrap(), None);
}

#[tokio::test]
async fn requests_give_values_to_the_standard_variables_but_the_date() {
    let bench = Bench::new().await;
    let instructions = "{{ user_name }}, {{ locale }}, {{ date }}";
    bench.create("support", json!({"instructions": instructions})).await.unwrap();
    let given = json!({"user_name": "Ada\nLovelace", "locale": "de-AT"});
    let chosen = bench.choose("support", given).await.unwrap().unwrap();
    assert_eq!(chosen.instructions, "Ada Lovelace, de-AT, 2023-11-14");
    for given in [json!({"date": "2020-01-01"}), json!({"user_name": 7})] {
        assert!(matches!(bench.choose("support", given).await, Err(Error::Variables(_))));
    }
}

#[tokio::test]
async fn an_agent_whose_prompt_has_changed_beyond_it_is_refused_when_it_is_chosen() {
    let bench = Bench::new().await;
    bench.prompt("tone", "Be kind.").await.unwrap();
    let definition = json!({"instructions": "{% include \"tone\" %}", "prompts": ["tone"]});
    bench.create("support", definition).await.unwrap();
    bench.choose("support", json!({})).await.unwrap();
    bench.add_text("tone", "Be {{ mood }}.").await.unwrap();
    assert!(matches!(bench.choose("support", json!({})).await, Err(Error::NotRendered(_))));
    bench.add_text("tone", "Be brief.").await.unwrap();
    let chosen = bench.choose("support", json!({})).await.unwrap().unwrap();
    assert_eq!(chosen.agent.prompts[0].version, 3);
}
