//! The golden events of this function and their responses: those of the MCP endpoint.

mod servers;

use insta::assert_snapshot;
use sequent_http::testing::golden::Golden;

use crate::deployment::{Deployment, golden};

async fn answer(case: &str) -> String {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let event = golden(case, &ada);
    let answer = deployment.send(&event).await;
    assert!(!answer.text().contains("example-token"), "{case}");
    Golden::new("mcp", &sequent_mcp_function::openapi()).render(&event, &answer)
}

#[test]
fn every_golden_event_is_tested() {
    let sources =
        concat!(include_str!("golden.rs"), include_str!("golden/servers.rs"), include_str!("endpoint.rs"));
    Golden::new("mcp", &sequent_mcp_function::openapi()).assert_all_tested(sources);
}

#[tokio::test]
async fn a_client_initializes() {
    assert_snapshot!(answer("initialize").await, @r#"
    200 application/json
    {
      "jsonrpc": "2.0",
      "id": 0,
      "result": {
        "protocolVersion": "2025-11-25",
        "capabilities": {
          "tools": {}
        },
        "serverInfo": {
          "name": "sequent",
          "version": "0.1.0"
        },
        "instructions": "Runs are tasks that Sequent's agents carry out in the background. Start one with start_run, or continue a conversation with send_message. Both return a run_id at once. Then call get_run every few seconds until the status is success, error, cancelled or interrupted. An interrupted run waits for a person's answer."
      }
    }
    "#);
}

#[tokio::test]
async fn a_notification_has_no_response() {
    assert_snapshot!(answer("notify-initialized").await, @"202");
}

#[tokio::test]
async fn the_tools_have_schemas() {
    assert_snapshot!(answer("list-tools").await, @r#"
    200 application/json
    {
      "jsonrpc": "2.0",
      "id": 1,
      "result": {
        "tools": [
          {
            "name": "start_run",
            "description": "Starts a task in the background and returns at once. Call get_run for its result.",
            "inputSchema": {
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "input": {
                  "type": "string",
                  "description": "The task.",
                  "minLength": 1,
                  "maxLength": 65536
                },
                "project_id": {
                  "type": "string",
                  "description": "The project. A new one is created if it is absent.",
                  "pattern": "^prj_"
                },
                "agent": {
                  "type": "string",
                  "description": "The agent that does the task: its name, or `name@label`. The default agent if it is absent."
                },
                "variables": {
                  "type": "object",
                  "additionalProperties": true,
                  "description": "The values of variables in the instructions of the agent.",
                  "default": {}
                },
                "model": {
                  "type": "string",
                  "description": "The model. The model of the agent, or the default model of the deployment, if it is absent."
                },
                "parameters": {
                  "type": "object",
                  "additionalProperties": true,
                  "description": "Parameters of the model: temperature, top_p, max_output_tokens, stop, reasoning_effort, seed.",
                  "default": {}
                },
                "output_schema": {
                  "type": "object",
                  "additionalProperties": true,
                  "description": "The JSON Schema of the answer. The answer is then one JSON document that matches it."
                },
                "orchestration": {
                  "type": "string",
                  "description": "plan: the run makes a plan and carries it out step by step, for long tasks.",
                  "enum": [
                    "direct",
                    "plan"
                  ]
                },
                "idempotency_key": {
                  "type": "string",
                  "description": "Any text of your choice. A repeated call with the same key returns the same run.",
                  "minLength": 1,
                  "maxLength": 255
                }
              },
              "required": [
                "input"
              ]
            },
            "outputSchema": {
              "type": "object",
              "required": [
                "run_id",
                "project_id"
              ],
              "properties": {
                "run_id": {
                  "type": "string"
                },
                "project_id": {
                  "type": "string"
                }
              }
            },
            "annotations": {
              "readOnlyHint": false,
              "destructiveHint": false,
              "idempotentHint": false,
              "openWorldHint": true
            }
          },
          {
            "name": "send_message",
            "description": "Sends a message to a project. A run in the background answers it, after the runs that were started before: call get_run for the answer.",
            "inputSchema": {
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "message": {
                  "type": "string",
                  "description": "The text of the message.",
                  "minLength": 1,
                  "maxLength": 65536
                },
                "project_id": {
                  "type": "string",
                  "description": "The project. A new one is created if it is absent.",
                  "pattern": "^prj_"
                },
                "agent": {
                  "type": "string",
                  "description": "The agent that answers: its name, or `name@label`. The default agent if it is absent."
                },
                "idempotency_key": {
                  "type": "string",
                  "description": "Any text of your choice. A repeated call with the same key returns the same run.",
                  "minLength": 1,
                  "maxLength": 255
                }
              },
              "required": [
                "message"
              ]
            },
            "outputSchema": {
              "type": "object",
              "required": [
                "run_id",
                "project_id"
              ],
              "properties": {
                "run_id": {
                  "type": "string"
                },
                "project_id": {
                  "type": "string"
                }
              }
            },
            "annotations": {
              "readOnlyHint": false,
              "destructiveHint": false,
              "idempotentHint": false,
              "openWorldHint": true
            }
          },
          {
            "name": "get_run",
            "description": "Returns the status of a run, and its answer.",
            "inputSchema": {
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "run_id": {
                  "type": "string",
                  "description": "The run_id that start_run or send_message returned.",
                  "pattern": "^run_"
                }
              },
              "required": [
                "run_id"
              ]
            },
            "outputSchema": {
              "type": "object",
              "required": [
                "run_id",
                "project_id",
                "status"
              ],
              "properties": {
                "run_id": {
                  "type": "string"
                },
                "project_id": {
                  "type": "string"
                },
                "status": {
                  "enum": [
                    "pending",
                    "running",
                    "interrupted",
                    "success",
                    "error",
                    "cancelled"
                  ]
                },
                "answer": {
                  "type": [
                    "string",
                    "null"
                  ]
                },
                "interrupts": {
                  "type": "array"
                },
                "usage": {
                  "type": "object"
                },
                "cost": {
                  "type": "object"
                },
                "error": {
                  "type": [
                    "object",
                    "null"
                  ]
                }
              }
            },
            "annotations": {
              "readOnlyHint": true,
              "openWorldHint": true
            }
          }
        ]
      }
    }
    "#);
}

#[tokio::test]
async fn a_call_starts_a_run() {
    assert_snapshot!(answer("call-start-run").await, @r#"
    200 application/json
    {
      "jsonrpc": "2.0",
      "id": 2,
      "result": {
        "content": [
          {
            "type": "text",
            "text": "{\"run_id\":\"run_1\",\"project_id\":\"prj_1\"}"
          }
        ],
        "structuredContent": {
          "run_id": "run_1",
          "project_id": "prj_1"
        },
        "isError": false
      }
    }
    "#);
}

#[tokio::test]
async fn a_call_needs_a_credential() {
    assert_snapshot!(answer("call-anonymous").await, @r#"
    401 application/problem+json
    {
      "type": "/api/errors#unauthenticated",
      "title": "Unauthorized",
      "status": 401,
      "code": "unauthenticated",
      "detail": "Sign in, or send a bearer token or an API key.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn there_is_no_stream() {
    assert_snapshot!(answer("listen").await, @r#"
    405 application/problem+json
    {
      "type": "/api/errors#method_not_allowed",
      "title": "Method Not Allowed",
      "status": 405,
      "code": "method_not_allowed",
      "detail": "The server has no streams and no sessions. Send MCP messages with POST.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn there_is_no_session() {
    assert_snapshot!(answer("leave").await, @r#"
    405 application/problem+json
    {
      "type": "/api/errors#method_not_allowed",
      "title": "Method Not Allowed",
      "status": 405,
      "code": "method_not_allowed",
      "detail": "The server has no streams and no sessions. Send MCP messages with POST.",
      "instance": "req_1"
    }
    "#);
}
