//! The form of spans and requests, and the contents of spans.

use sequent_core::MessageId;
use sequent_event::{Body, RunOutcome};
use serde_json::{Value, json};

use super::{
    golden::{asked, at, call, eventful, finished, log, text, trace, used},
    span, value,
};
use crate::{Attribute, Span, SpanStatus, otlp};

#[test]
fn contents_are_recorded_only_if_the_operator_asks_for_them() {
    let log = eventful();
    let without = otlp::encode(&trace(&log, false)).join("\n");
    for content in ["What color", "Let me look", "Blue", "is blue", "May I", "\"A\"", "Do it"] {
        assert!(!without.contains(content), "{content} is in {without}");
    }
    let with = trace(&log, true);
    let of = |name: &str, key: &str| value(span(&with, name), key).unwrap_or_default();
    let json = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    let question = json!([{"role": "user", "parts": [{"type": "text", "content": "What color is it?"}]}]);
    let run = "invoke_agent support";
    assert_eq!(json(of(run, "gen_ai.input.messages")), question);
    assert_eq!(json(of("chat nova", "gen_ai.input.messages")), question, "the first call");
    let answer = json!({"type": "text", "content": "Let me look.\n\nIt is blue."});
    let answer = json!([{"role": "assistant", "parts": [answer], "finish_reason": "success"}]);
    assert_eq!(json(of(run, "gen_ai.output.messages")), answer);
    let words = json!({"type": "text", "content": "Let me look."});
    let call = json!({"type": "tool_call", "id": "c1", "name": "look", "arguments": {"at": "it"}});
    let response = json!([{"role": "assistant", "parts": [words, call], "finish_reason": "tool_calls"}]);
    assert_eq!(json(of("chat nova", "gen_ai.output.messages")), response);
    assert_eq!(of("execute_tool look", "gen_ai.tool.call.arguments"), r#"{"at":"it"}"#);
    assert_eq!(of("execute_tool look", "gen_ai.tool.call.result"), "Blue.");
    let later: Vec<&Span> = with.spans.iter().filter(|span| span.name == "chat nova").skip(1).collect();
    let input = value(later[0], "gen_ai.input.messages").unwrap();
    assert!(input.contains("Blue.") && !input.contains("What color"), "only what is new: {input}");
}

#[test]
fn a_call_that_has_failed_is_a_failed_span_without_its_contents() {
    let mut log = log(vec![asked()]);
    at(&mut log, 200, call("c1"));
    at(&mut log, 250, [used(150, "tool_calls")]);
    let result = Body::ToolCallResult {
        message_id: MessageId::from_bits(30),
        tool_call_id: "c1".into(),
        content: "The host db.internal does not answer.".into(),
        error: Some("tool_unavailable".into()),
    };
    at(&mut log, 300, [result]);
    at(&mut log, 310, [finished(RunOutcome::Success)]);
    let trace = trace(&log, false);
    let failed = span(&trace, "execute_tool look");
    assert_eq!(value(failed, "error.type").as_deref(), Some("tool_unavailable"));
    assert_eq!(failed.status, SpanStatus::Error("The tool call has failed.".to_owned()));
    assert!(!otlp::encode(&trace).join("\n").contains("db.internal"));
    assert!(trace.spans.iter().filter(|span| span.status != SpanStatus::Unset).count() == 1);
}

#[test]
fn a_request_has_the_form_of_otlp() {
    let mut log = log(vec![asked()]);
    at(&mut log, 200, text(10, "Hello."));
    at(&mut log, 250, [used(150, "stop")]);
    at(&mut log, 260, [finished(RunOutcome::Success)]);
    let spans = otlp::encode(&trace(&log, false));
    let resource = [Attribute::new("service.name", "sequent")];
    let request: Value = serde_json::from_str(&otlp::request(&resource, &spans)).unwrap();
    insta::with_settings!({sort_maps => true}, {
        insta::assert_json_snapshot!(request, @r#"
        {
          "resourceSpans": [
            {
              "resource": {
                "attributes": [
                  {
                    "key": "service.name",
                    "value": {
                      "stringValue": "sequent"
                    }
                  }
                ]
              },
              "scopeSpans": [
                {
                  "scope": {
                    "name": "sequent",
                    "version": "0.1.0"
                  },
                  "spans": [
                    {
                      "attributes": [
                        {
                          "key": "gen_ai.operation.name",
                          "value": {
                            "stringValue": "invoke_agent"
                          }
                        },
                        {
                          "key": "gen_ai.provider.name",
                          "value": {
                            "stringValue": "aws.bedrock"
                          }
                        },
                        {
                          "key": "sequent.run.outcome",
                          "value": {
                            "stringValue": "success"
                          }
                        },
                        {
                          "key": "gen_ai.conversation.id",
                          "value": {
                            "stringValue": "prj_00000000000000000000000001"
                          }
                        },
                        {
                          "key": "session.id",
                          "value": {
                            "stringValue": "prj_00000000000000000000000001"
                          }
                        },
                        {
                          "key": "user.id",
                          "value": {
                            "stringValue": "usr_00000000000000000000000004"
                          }
                        },
                        {
                          "key": "sequent.tenant.id",
                          "value": {
                            "stringValue": "ten_00000000000000000000000002"
                          }
                        },
                        {
                          "key": "sequent.run.id",
                          "value": {
                            "stringValue": "run_00000000000000000000000001"
                          }
                        }
                      ],
                      "endTimeUnixNano": "260000000",
                      "kind": 1,
                      "name": "invoke_agent",
                      "spanId": "d72aafe4c3640833",
                      "startTimeUnixNano": "1000000",
                      "status": {},
                      "traceId": "00000000000000000000000000000001"
                    },
                    {
                      "attributes": [
                        {
                          "key": "gen_ai.operation.name",
                          "value": {
                            "stringValue": "chat"
                          }
                        },
                        {
                          "key": "gen_ai.provider.name",
                          "value": {
                            "stringValue": "aws.bedrock"
                          }
                        },
                        {
                          "key": "gen_ai.request.model",
                          "value": {
                            "stringValue": "nova"
                          }
                        },
                        {
                          "key": "gen_ai.request.stream",
                          "value": {
                            "boolValue": true
                          }
                        },
                        {
                          "key": "gen_ai.response.model",
                          "value": {
                            "stringValue": "nova"
                          }
                        },
                        {
                          "key": "gen_ai.response.finish_reasons",
                          "value": {
                            "arrayValue": {
                              "values": [
                                {
                                  "stringValue": "stop"
                                }
                              ]
                            }
                          }
                        },
                        {
                          "key": "gen_ai.usage.input_tokens",
                          "value": {
                            "intValue": "100"
                          }
                        },
                        {
                          "key": "gen_ai.usage.output_tokens",
                          "value": {
                            "intValue": "20"
                          }
                        },
                        {
                          "key": "gen_ai.usage.cache_read.input_tokens",
                          "value": {
                            "intValue": "60"
                          }
                        },
                        {
                          "key": "gen_ai.usage.reasoning.output_tokens",
                          "value": {
                            "intValue": "5"
                          }
                        },
                        {
                          "key": "langfuse.observation.usage_details",
                          "value": {
                            "stringValue": "{\"input\":40,\"output\":15,\"input_cached_tokens\":60,\"output_reasoning_tokens\":5}"
                          }
                        },
                        {
                          "key": "langfuse.observation.cost_details",
                          "value": {
                            "stringValue": "{\"total\":0.001200}"
                          }
                        },
                        {
                          "key": "sequent.request.purpose",
                          "value": {
                            "stringValue": "answer"
                          }
                        },
                        {
                          "key": "gen_ai.request.max_tokens",
                          "value": {
                            "intValue": "500"
                          }
                        },
                        {
                          "key": "gen_ai.response.time_to_first_chunk",
                          "value": {
                            "doubleValue": 0.1
                          }
                        },
                        {
                          "key": "langfuse.observation.completion_start_time",
                          "value": {
                            "stringValue": "1970-01-01T00:00:00.2Z"
                          }
                        },
                        {
                          "key": "gen_ai.conversation.id",
                          "value": {
                            "stringValue": "prj_00000000000000000000000001"
                          }
                        },
                        {
                          "key": "session.id",
                          "value": {
                            "stringValue": "prj_00000000000000000000000001"
                          }
                        },
                        {
                          "key": "user.id",
                          "value": {
                            "stringValue": "usr_00000000000000000000000004"
                          }
                        },
                        {
                          "key": "sequent.tenant.id",
                          "value": {
                            "stringValue": "ten_00000000000000000000000002"
                          }
                        },
                        {
                          "key": "sequent.run.id",
                          "value": {
                            "stringValue": "run_00000000000000000000000001"
                          }
                        }
                      ],
                      "endTimeUnixNano": "250000000",
                      "kind": 3,
                      "name": "chat nova",
                      "parentSpanId": "d72aafe4c3640833",
                      "spanId": "2823d5fc03116df8",
                      "startTimeUnixNano": "100000000",
                      "status": {},
                      "traceId": "00000000000000000000000000000001"
                    }
                  ]
                }
              ]
            }
          ]
        }
        "#);
    });
}
