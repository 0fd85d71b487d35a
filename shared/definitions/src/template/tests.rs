//! Templates that are allowed, templates that are not, and what they render to.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn rendered(source: &str, variables: Json) -> Result<String, Flaw> {
    let variables: Map<String, Json> = serde_json::from_value(variables).unwrap();
    parse(source)?;
    render(source, [("tone", "Be {{ mood|upper }}."), ("empty", "")], &variables)
}

#[test]
fn variables_conditions_and_prompts_are_rendered() {
    let source = "You help {{ user }}.\n\
                  {%- if is_member and level >= 2 %} They are a member.\n\
                  {%- elif not is_member %} They are a guest.\n\
                  {%- else %} They are new.\n\
                  {%- endif %}\n\
                  {#- a note #}\n\
                  {% include \"tone\" %}\n\
                  {% include 'empty' %}\
                  {{ 'evening' if late else 'day' }} {{ level }} {{ is_member }} [{{ nothing }}] {{ half }} {% raw %}{{ x }}{% endraw %}\n";
    let variables = json!({"user": "{{ secret }} <Ada>", "is_member": true, "level": 2, "mood": "kind", "late": false,
        "nothing": null, "half": 0.5});
    let expected = "You help {{ secret }} <Ada>. They are a member.\nBe KIND.\nday 2 true [] 0.5 {{ x }}";
    assert_eq!(rendered(source, variables).unwrap(), expected);
}

#[test]
fn a_template_names_what_it_uses() {
    let outline = parse(
        "{{ a }}\n{% if b == \"c\" and d in e %}{% include \"tone\" %}{% endif %}\n{{ a|trim }}{{ true }}",
    )
    .unwrap();
    let variables = [("a", 1), ("b", 2), ("d", 2), ("e", 2)];
    assert_eq!(outline.variables, variables.map(|(name, line)| (name.to_owned(), line)).into());
    assert_eq!(outline.includes, [("tone".to_owned(), 2)].into());
}

#[test]
fn whatever_multiplies_text_is_refused_at_its_line() {
    for part in [
        "{% for x in a %}{% endfor %}",
        "{% set x = a ~ a %}",
        "{% with x = a %}{% endwith %}",
        "{% macro x() %}{% endmacro %}",
        "{% block x %}{% endblock %}",
        "{% extends \"tone\" %}",
        "{% import \"tone\" as x %}",
        "{% include a %}",
        "{% include \"tone\" ignore missing %}",
        "{% include [\"tone\"] %}",
        "{% filter upper %}{% endfilter %}",
        "{{ a * 1000000000 }}",
        "{{ \"x\" * 1000000000 }}",
        "{{ a ~ a }}",
        "{{ a + a }}",
        "{{ 2 ** 99 }}",
        "{{ range(9) }}",
        "{{ (a)(9) }}",
        "{{ a.b }}",
        "{{ a[0] }}",
        "{{ [a, a] }}",
        "{{ {\"a\": a} }}",
        "{{ a|replace(\"a\", a) }}",
        "{{ a|upper(1) }}",
        "{{ a is defined }}",
        "{% if a %}",
        "{% endif %}",
        "{{ a",
        "{{ a b }}",
        "{{ }}",
        "{% %}",
    ] {
        let flaw = parse(&format!("first\nsecond {part}")).unwrap_err();
        assert_eq!(flaw.line, Some(2), "{part}: {flaw:?}");
    }
}

#[test]
fn deep_and_long_templates_do_not_exhaust_the_stack() {
    let long = format!("{{{{ a{} }}}}", " or a".repeat(6_000));
    let parentheses = format!("{{{{ {}a{} }}}}", "(".repeat(6_000), ")".repeat(6_000));
    let negations = format!("{{{{ {}a }}}}", "not ".repeat(6_000));
    let elifs = format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(2_000));
    let ifs = format!("{}{}", "{% if a %}".repeat(1_500), "{% endif %}".repeat(1_500));
    for source in [long, parentheses, negations, elifs, ifs] {
        assert!(parse(&source).unwrap_err().detail.contains("at most"), "{}", &source[..40]);
    }
    let deepest = format!("{}{}", "{% if a %}".repeat(32), "{% endif %}".repeat(32));
    assert!(rendered(&deepest, json!({"a": true})).is_ok());
    let many = "{% if a %}x{% elif b %}y{% endif %}".repeat(900);
    assert_eq!(rendered(&many, json!({"a": false, "b": true})).unwrap().len(), 900);
}

#[test]
fn the_output_and_the_work_are_bounded() {
    let value = "é".repeat(4_000);
    let source = "{{ a }}".repeat(9);
    let flaw = rendered(&source, json!({"a": value})).unwrap_err();
    assert!(flaw.detail.contains("64000 bytes"), "{flaw:?}");
    let nothing = "{% if a %}{% endif %}".repeat(1_400);
    let includes = "{% include \"nothing\" %}".repeat(1_000);
    let variables: Map<String, Json> = [("a".to_owned(), json!(true))].into_iter().collect();
    let flaw = render(&includes, [("nothing", nothing.as_str())], &variables).unwrap_err();
    assert!(flaw.detail.contains("too many steps"), "{flaw:?}");
}

#[test]
fn a_prompt_includes_nothing_and_a_missing_one_is_an_error() {
    let none = Map::new();
    assert!(render("{% include \"other\" %}", [("tone", "x")], &none).is_err());
    assert!(render("{{ unknown }}", [], &none).is_err());
}

proptest! {
    #[test]
    fn no_template_panics(source in "([{}%# a\"|()\n-]|if|elif|endif|include|raw|endraw){0,40}") {
        if parse(&source).is_ok() {
            let variables: Map<String, Json> = [("a".to_owned(), json!("a"))].into_iter().collect();
            let _ = render(&source, [("a", "x")], &variables);
        }
    }
}
