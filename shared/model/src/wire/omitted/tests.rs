//! Parameters that requests leave out.

use super::*;
use crate::{Message, ModelName};

fn request(parameters: &str) -> Request {
    let parameters = serde_json::from_str(parameters).unwrap();
    let messages = vec![Message::user("hi")];
    Request { parameters, max_output_tokens: Some(9), ..Request::new(ModelName::DEMO, messages) }
}

#[test]
fn an_error_names_the_parameter_that_is_left_out() {
    let all = r#"{"temperature":0.2,"top_p":0.5,"stop":["x"],"seed":1,"reasoning_effort":"low"}"#;
    for (error, parameter) in [
        (
            "Unsupported value: 'temperature' does not support 0.2 with this model.",
            Some(Parameter::Temperature),
        ),
        ("Unsupported parameter: 'stop' is not supported with this model.", Some(Parameter::Stop)),
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            Some(Parameter::LimitName),
        ),
        (r#"[{"type":"extra_forbidden","loc":["body","seed"]}]"#, Some(Parameter::Seed)),
        ("Thinking may not be enabled when tool_choice forces tool use.", Some(Parameter::ReasoningEffort)),
        ("Unrecognized request argument supplied: reasoning_effort", Some(Parameter::ReasoningEffort)),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", None),
        ("messages: at least one message is required", None),
        ("the nonstop temperatures", None),
    ] {
        let refused = Omitted::default().refuse(error, Protocol::OpenAi, &request(all));
        assert_eq!(refused, parameter, "{error}");
    }
    let mut omitted = Omitted::default();
    assert_eq!(omitted.refuse("temperature", Protocol::OpenAi, &request("{}")), None, "it was not sent");
    let hot = request(r#"{"temperature":2}"#);
    assert_eq!(omitted.refuse("temperature", Protocol::OpenAi, &hot), Some(Parameter::Temperature));
    assert_eq!(omitted.refuse("temperature", Protocol::OpenAi, &hot), None, "once");
}

#[test]
fn a_schema_that_a_server_cannot_follow_and_an_effort_are_told_apart() {
    for (error, parameter) in [
        (
            "output_config.format.schema: For 'array' type, 'minItems' values other than 0 or 1 are not supported",
            Parameter::OutputFormat,
        ),
        (
            "The compiled grammar is too large, which would cause performance issues. Simplify your tool schemas.",
            Parameter::OutputFormat,
        ),
        ("Invalid schema for response_format 'answer': 'allOf' is not permitted.", Parameter::OutputFormat),
        ("output_config: Extra inputs are not permitted", Parameter::OutputFormat),
        ("output_config.effort: Input should be 'low' or 'high'", Parameter::ReasoningEffort),
    ] {
        let request = Request {
            output_schema: Some(serde_json::json!({"type": "object"})),
            ..request(r#"{"reasoning_effort":"low"}"#)
        };
        let refused = Omitted::default().refuse(error, Protocol::Anthropic, &request);
        assert_eq!(refused, Some(parameter), "{error}");
    }
}

#[test]
fn an_error_about_the_schema_of_a_tool_is_recognized_in_the_words_of_each_server() {
    let tool = |name: &str| crate::ToolSpec {
        name: name.to_owned(),
        description: String::new(),
        parameters: serde_json::json!({}),
    };
    let request = Request {
        output_schema: Some(serde_json::json!({"type": "object"})),
        tools: vec![tool("notes__add"), tool("stop"), tool("notes__add_all")],
        ..request(r#"{"stop":["x"]}"#)
    };
    for (error, named) in [
        (
            "Invalid schema for function 'stop': In context=('properties', 'seed'), array schema missing items.",
            Some("stop"),
        ),
        (
            "tools.2.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12",
            Some("notes__add_all"),
        ),
        (
            "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.",
            Some("notes__add"),
        ),
        (
            r#"Invalid JSON payload received. Unknown name "additionalProperties" at 'tools[0].function_declarations[1].parameters'"#,
            Some("stop"),
        ),
        ("notes__add_all: tool parameter root must be an object type", Some("notes__add_all")),
        ("tools.function.parameters is not a valid moonshot flavored json schema", None),
        ("Invalid tool schema: {'type': 'object'} is not valid under any of the given schemas", None),
        ("JSON schema conversion failed: Unrecognized schema: {\"description\":\"x\"}", None),
    ] {
        let mut omitted = Omitted::default();
        assert_eq!(omitted.refuse_tool(error, &request), None, "the plain schemas are tried first");
        let refused = omitted.refuse(error, Protocol::OpenAi, &request);
        assert_eq!(refused, Some(Parameter::ToolSchemas), "{error}");
        assert_eq!(omitted.refuse_tool(error, &request), named, "{error}");
        let is_left = |name: &str| omitted.has_refused_tool(name);
        assert_eq!(
            request.tools.iter().filter(|tool| is_left(&tool.name)).count(),
            usize::from(named.is_some())
        );
    }
    let mut omitted = Omitted::default();
    let grammar = "Failed to initialize samplers: failed to parse grammar";
    assert_eq!(omitted.refuse(grammar, Protocol::OpenAi, &request), Some(Parameter::OutputFormat));
    assert_eq!(omitted.refuse(grammar, Protocol::OpenAi, &request), Some(Parameter::ToolSchemas));
    assert_eq!(omitted.refuse(grammar, Protocol::OpenAi, &request), None);
}

#[test]
fn a_refusal_because_of_a_conversation_says_nothing_about_others() {
    let effort = request(r#"{"reasoning_effort":"low"}"#);
    let lasts = |error: &str| {
        let mut omitted = Omitted::default();
        assert_eq!(omitted.refuse(error, Protocol::Anthropic, &effort), Some(Parameter::ReasoningEffort));
        assert!(omitted.has(Parameter::ReasoningEffort));
        omitted.has_refused_always(Parameter::ReasoningEffort)
    };
    assert!(!lasts(
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`."
    ));
    assert!(lasts("This model does not support the effort parameter."));
}

#[test]
fn the_operator_knows_better_than_the_name_and_the_server_better_than_the_operator() {
    let stated = [(Parameter::OutputFormat, true), (Parameter::CachePoints, false)];
    let omitted = Omitted::refused([Parameter::ForcedCall]).with_stated(stated);
    assert!(omitted.sends(Parameter::OutputFormat, false));
    assert!(!omitted.sends(Parameter::CachePoints, true) && !omitted.has_refused(Parameter::CachePoints));
    assert!(!omitted.sends(Parameter::ForcedCall, true) && omitted.sends(Parameter::Seed, true));
    let refused = Omitted::refused([Parameter::OutputFormat]).with_stated(stated);
    assert!(!refused.sends(Parameter::OutputFormat, true));
}
