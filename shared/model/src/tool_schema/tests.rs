//! Schemas of real tools, and what models are offered in their place.

use proptest::prelude::*;

use super::*;

fn common(schema: &Value) -> Value {
    offered(schema, Dialect::Common).unwrap_or_else(|why| panic!("{why}: {schema}"))
}

fn plain_of(schema: &Value) -> Value {
    offered(schema, Dialect::Plain).unwrap()
}

/// The schema of one parameter.
fn parameter(schema: &Value) -> Value {
    common(&json!({"type": "object", "properties": {"it": schema}}))["properties"]["it"].clone()
}

#[test]
fn a_plain_schema_stays_as_it_is() {
    let plain = json!({"type": "object", "properties": {"q": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "n": {"type": "integer", "minimum": 1, "default": 3}, "at": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "uniqueItems": true}},
        "required": ["q"], "additionalProperties": false});
    assert_eq!(common(&plain), plain);
    assert_eq!(common(&json!({})), json!({"type": "object", "properties": {}}));
}

#[test]
fn alternatives_at_the_top_become_one_object() {
    let by_id = json!({"type": "object", "properties": {"id": {"type": "string"}, "deep": {"type": "boolean"}},
        "required": ["id", "deep"], "additionalProperties": false});
    let by_name = json!({"type": "object", "properties": {"name": {"type": "string"}, "deep": {"type": "boolean"}},
        "required": ["name", "deep"]});
    let properties =
        json!({"id": {"type": "string"}, "deep": {"type": "boolean"}, "name": {"type": "string"}});
    for name in ["anyOf", "oneOf"] {
        let expected = json!({"type": "object", "properties": properties, "required": ["deep"]});
        assert_eq!(common(&json!({name: [by_id, by_name]})), expected, "{name}");
        let nested = json!({name: [{name: [by_id]}, {"oneOf": [by_name, by_id]}, {"type": "null"}]});
        assert_eq!(common(&nested), expected, "alternatives within alternatives");
    }
    let expected = json!({"type": "object", "properties": properties, "required": ["id", "deep", "name"],
        "additionalProperties": false});
    assert_eq!(common(&json!({"allOf": [by_id, by_name]})), expected);

    let at_least_one = json!({"type": "object", "properties": {"route": {"type": "string"}, "file": {"type": "string"}},
        "anyOf": [{"required": ["route"]}, {"required": ["file"]}]});
    let expected =
        json!({"type": "object", "properties": {"route": {"type": "string"}, "file": {"type": "string"}}});
    assert_eq!(common(&at_least_one), expected);
}

#[test]
fn a_property_that_tells_alternatives_apart_has_the_values_of_all() {
    let action = |name: &str, more: &str| {
        json!({"type": "object", "additionalProperties": false,
        "properties": {"action": {"const": name}, more: {"type": "string"}}, "required": ["action", more]})
    };
    let schema = common(&json!({"oneOf": [action("get", "id"), action("find", "query")]}));
    assert_eq!(schema["properties"]["action"], json!({"enum": ["get", "find"], "type": "string"}));
    assert_eq!((&schema["required"], &schema["additionalProperties"]), (&json!(["action"]), &json!(false)));
}

#[test]
fn references_are_replaced_by_what_they_refer_to() {
    let kind = json!({"enum": ["aws", "flow"], "title": "DiagramType", "type": "string"});
    let schema = common(&json!({"$ref": "#/$defs/Args", "$defs": {
        "Args": {"type": "object", "properties": {"kind": {"$ref": "#/$defs/Kind", "default": "flow", "description": "Which."},
            "node": {"$ref": "#/$defs/Node"}, "lost": {"$ref": "#/$defs/None", "description": "?"}}},
        "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node", "description": "More."}}},
        "Kind": kind}}));
    assert_eq!(
        schema["properties"]["kind"],
        json!({"default": "flow", "description": "Which.",
        "enum": ["aws", "flow"], "title": "DiagramType", "type": "string"})
    );
    assert_eq!(
        schema["properties"]["node"]["properties"]["next"],
        json!({"description": "More.", "type": "object"})
    );
    assert_eq!(schema["properties"]["lost"], json!({"description": "?"}));
    assert!(!schema.to_string().contains("$"), "{schema}");
}

#[test]
fn a_document_that_refers_to_itself_very_often_has_a_bounded_size() {
    let twice = |level: usize| {
        let next = json!({"$ref": format!("#/$defs/a{}", level + 1), "description": "x".repeat(100)});
        (format!("a{level}"), json!({"properties": {"l": next, "r": next}}))
    };
    let definitions: Value = (0..60).map(twice).collect::<SchemaObject>().into();
    let schema = common(&json!({"$defs": definitions, "$ref": "#/$defs/a0"}));
    assert!(schema.to_string().len() < 200_000, "{}", schema.to_string().len());
}

#[test]
fn lists_of_types_become_alternatives_and_absent_types_are_inferred() {
    let cases = [
        (
            json!({"type": ["string", "null"], "description": "d", "maxLength": 9}),
            json!({"description": "d", "anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]}),
        ),
        (
            json!({"type": ["array", "null"]}),
            json!({"anyOf": [{"type": "array", "items": {}}, {"type": "null"}]}),
        ),
        (json!({"type": ["string"]}), json!({"type": "string"})),
        (
            json!({"type": ["string", "null"], "enum": ["a", null]}),
            json!({"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]}),
        ),
        (json!({"enum": [1, 2]}), json!({"enum": [1, 2], "type": "integer"})),
        (json!({"const": "a"}), json!({"enum": ["a"], "type": "string"})),
        (json!({"required": ["a"]}), json!({"required": ["a"], "type": "object", "properties": {"a": {}}})),
        (json!({"description": "Any."}), json!({"description": "Any."})),
        (json!(true), json!({})),
    ];
    for (schema, expected) in cases {
        assert_eq!(parameter(&schema), expected, "{schema}");
    }
}

#[test]
fn what_some_server_refuses_is_left_out() {
    let cases = [
        // An array has items. Lists of them are of older drafts.
        (json!({"type": "array"}), json!({"type": "array", "items": {}})),
        (json!({"type": "array", "items": [{"type": "string"}]}), json!({"type": "array", "items": {}})),
        // Draft 4, and numbers beyond 32 bits.
        (
            json!({"type": "integer", "minimum": 0, "exclusiveMinimum": true, "maximum": 9_007_199_254_740_991_i64}),
            json!({"type": "integer", "minimum": 0}),
        ),
        (
            json!({"type": "string", "format": "uri-template", "nullable": true, "$comment": "x"}),
            json!({"type": "string"}),
        ),
        // A type beside alternatives.
        (
            json!({"type": "string", "anyOf": [{"format": "date"}, {"type": "string", "pattern": "^a$"}]}),
            json!({"anyOf": [{"format": "date", "type": "string"}, {"type": "string", "pattern": "^a$"}]}),
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}),
        ),
        (
            json!({"type": "object", "properties": {"a": {}}, "patternProperties": {"^x": {}}, "not": {"required": ["b"]},
            "if": {}, "then": {}, "dependentRequired": {"a": ["b"]}}),
            json!({"type": "object", "properties": {"a": {}}}),
        ),
        (json!({"anyOf": [{"type": "string"}, {"description": "Anything."}]}), json!({})),
        (json!({"anyOf": [{"type": "string"}]}), json!({"type": "string"})),
    ];
    for (schema, expected) in cases {
        assert_eq!(parameter(&schema), expected, "{schema}");
    }
}

#[test]
fn optional_parameters_with_refused_names_are_left_out_and_required_ones_make_the_tool_unusable() {
    let odd = json!({"type": "object", "properties": {"größe": {}, "$filter": {}, "a.b-c_1": {}}});
    assert_eq!(common(&odd), json!({"type": "object", "properties": {"a.b-c_1": {}}}));
    let required = json!({"type": "object", "properties": {"größe": {}}, "required": ["größe"]});
    assert_eq!(offered(&required, Dialect::Common), Err(NotOffered::Name("größe".to_owned())));
}

#[test]
fn a_tool_whose_arguments_are_no_object_is_not_offered() {
    for schema in [
        json!({"type": "string"}),
        json!({"type": ["array", "null"]}),
        json!({"anyOf": [{"type": "array"}, {"type": "string"}]}),
        json!({"enum": ["a"]}),
        json!([]),
        json!(true),
        Value::Null,
    ] {
        assert_eq!(offered(&schema, Dialect::Common), Err(NotOffered::NotAnObject), "{schema}");
    }
}

#[test]
fn the_plain_dialect_has_types_descriptions_and_lists_of_texts_alone() {
    let schema = json!({"type": "object", "description": "Top.", "additionalProperties": false, "required": ["a"], "properties": {
        "a": {"type": ["object", "null"], "properties": {"n": {"type": "integer", "minimum": 1}}, "additionalProperties": {}},
        "b": {"anyOf": [{"type": "string", "format": "date"}, {"type": "array", "items": {"type": "number"}}], "description": "B."},
        "c": {"type": "string", "enum": ["x", "y"], "pattern": "^\\d$", "title": "C"},
        "d": {"enum": [1, 2]},
        "e": {"description": "Any."},
        "f": {"type": "null"},
    }});
    assert_eq!(
        plain_of(&schema),
        json!({"type": "object", "description": "Top.", "required": ["a"], "properties": {
            "a": {"type": "object", "properties": {"n": {"type": "integer"}}, "nullable": true},
            "b": {"anyOf": [{"type": "string", "description": "B."}, {"type": "array", "items": {"type": "number"}}]},
            "c": {"type": "string", "enum": ["x", "y"]},
            "d": {"type": "integer"},
            "e": {"description": "Any.", "type": "string"},
            "f": {"type": "string", "nullable": true},
        }})
    );
}

/// A schema of any form, valid or not.
fn any_schema() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec!["object", "array", "string", "integer", "null", "strnig"]);
    let leaf = prop_oneof![
        kind.clone().prop_map(|kind| json!({"type": kind})),
        prop::collection::vec(kind, 0..3).prop_map(|kinds| json!({"type": kinds})),
        Just(json!({"$ref": "#"})),
        Just(json!({"$ref": "#/properties/a"})),
        Just(json!({"enum": [1, "a", null, {}]})),
        Just(json!({"const": 3, "required": ["a", 7], "properties": 7, "items": [], "anyOf": {}})),
        Just(json!(true)),
        Just(json!(7)),
        Just(Value::Null),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let name = prop::sample::select(vec![
            "anyOf",
            "oneOf",
            "allOf",
            "items",
            "properties",
            "not",
            "additionalProperties",
        ]);
        let member = (name, prop::collection::vec(inner, 0..3)).prop_map(|(name, schemas)| {
            let value = match name {
                "properties" => ["a", "b", "ü"]
                    .iter()
                    .map(|name| (*name).to_owned())
                    .zip(schemas)
                    .collect::<SchemaObject>()
                    .into(),
                "items" | "not" | "additionalProperties" => schemas.into_iter().next().unwrap_or_default(),
                _ => Value::Array(schemas),
            };
            (name.to_owned(), value)
        });
        prop::collection::vec(member, 1..4)
            .prop_map(|members| members.into_iter().collect::<SchemaObject>().into())
    })
}

/// Asserts what every server wants of a schema and of all within it.
fn assert_taken(schema: &Value, is_top: bool) {
    let keywords = schema.as_object().unwrap_or_else(|| panic!("{schema}"));
    for refused in ["oneOf", "allOf", "not", "const", "$ref", "$defs", "patternProperties"] {
        assert!(!keywords.contains_key(refused), "{schema}");
    }
    if is_top {
        assert!(
            schema["type"] == "object" && schema["properties"].is_object() && !keywords.contains_key("anyOf"),
            "{schema}"
        );
    }
    assert!(schema.get("type").is_none_or(Value::is_string), "{schema}");
    assert!(!keywords.contains_key("type") || !keywords.contains_key("anyOf"), "{schema}");
    if schema["type"] == "array" {
        assert!(schema["items"].is_object(), "{schema}");
    }
    for name in list(keywords, "required") {
        assert!(schema["properties"].get(name.as_str().unwrap()).is_some(), "{schema}");
    }
    let named =
        keywords.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(_, schema)| schema);
    let items = ["items", "additionalProperties"]
        .iter()
        .filter_map(|name| keywords.get(*name))
        .filter(|value| value.is_object());
    named.chain(items).chain(list(keywords, "anyOf")).for_each(|inner| assert_taken(inner, false));
}

proptest! {
    #[test]
    fn every_schema_is_offered_in_a_form_that_servers_take_or_left_out(schema in any_schema()) {
        for dialect in [Dialect::Common, Dialect::Plain] {
            if let Ok(rewritten) = offered(&schema, dialect) {
                assert_taken(&rewritten, true);
                prop_assert_eq!(offered(&rewritten, Dialect::Common).map(|again| again["properties"].is_object()), Ok(true));
            }
        }
        if let Ok(rewritten) = offered(&schema, Dialect::Common) {
            prop_assert_eq!(offered(&rewritten, Dialect::Common), Ok(rewritten.clone()), "a second rewriting changes nothing");
        }
    }
}
