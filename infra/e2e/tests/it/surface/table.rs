//! The table of all routes.

mod accounts;
mod agents;
mod billing;
mod evaluations;
mod feed;
mod hooks;
mod mcp;
mod schedules;
mod tools;
mod webhooks;

use sequent_core::MessageId;
use serde_json::{Value, json};

use super::{Belongings, Call, Entry, Foreign, calls::entry};

pub(super) fn table() -> Vec<Entry> {
    let of_runs =
        [runs(), evaluations::evaluations(), artifacts(), jobs(), billing::billing(), webhooks::webhooks()]
            .into_iter()
            .flatten();
    [
        accounts::accounts(),
        projects(),
        agents::agents(),
        agents::prompts(),
        tools::tools(),
        chats(),
        feed::feed(),
        mcp::mcp(),
        schedules::schedules(),
        hooks::hooks(),
        operation(),
    ]
    .into_iter()
    .flatten()
    .chain(of_runs)
    .collect()
}

fn projects() -> Vec<Entry> {
    vec![
        entry("GET /api/projects", "limit cursor", |of| list("/api/projects", &of.cursors.projects)),
        entry("POST /api/projects", "Idempotency-Key name", |of| {
            [vec![Call::to("/api/projects").body(json!({"name": "another"}))], keyed(of, "/api/projects")]
                .concat()
        }),
        entry("GET /api/projects/{id}", "id", |of| each_project(of, "")),
        entry("PATCH /api/projects/{id}", "id name head revoked_tools", |of| {
            let body = json!({"name": "theirs", "head": of.run, "revoked_tools": ["refund"]});
            each_project(of, "").into_iter().map(|call| call.body(body.clone())).collect()
        }),
        entry("DELETE /api/projects/{id}", "id", |of| each_project(of, "")),
        entry("POST /api/projects/{id}/fork", "Idempotency-Key id from name", |of| {
            let body = json!({"from": of.run, "name": "theirs"});
            each_project(of, "/fork").into_iter().map(|call| call.body(body.clone())).collect()
        }),
        entry("POST /api/projects/{id}/generate_name", "id", |of| each_project(of, "/generate_name")),
        entry("GET /api/projects/{id}/messages", "id limit cursor format branch", |of| {
            let cursor = &of.cursors.messages;
            let mut calls = each_project(of, "/messages");
            calls.extend(each_project(of, "/messages?format=ui"));
            calls.extend(each_project(of, &format!("/messages?branch={}", of.run)));
            calls.push(missing(format!("/api/projects/{}/messages?cursor={cursor}", of.project)));
            calls.extend(list(&format!("/api/projects/{}/messages", of.home), cursor));
            calls
        }),
    ]
}

fn chats() -> Vec<Entry> {
    vec![
        entry(
            "POST /api/chat/send",
            "Idempotency-Key project_id message content artifact_id data name text type model agent variables client_tools description input_schema expires_in_seconds \
             on_conflict after output_schema \
             parameters temperature top_p max_output_tokens stop reasoning_effort seed",
            |of| {
                let send = |project: &String, on_conflict: &str| {
                    let body = json!({"project_id": project, "message": {"content": QUESTION}, "on_conflict": on_conflict, "after": of.run});
                    missing("/api/chat/send".to_owned()).body(body)
                };
                let mut calls = vec![send(&of.project, "reject")];
                calls.extend(ON_CONFLICT.map(|on_conflict| send(&of.live_project, on_conflict)));
                calls.push(
                    send(&of.project, "reject")
                        .header("idempotency-key", &format!("{}-2", of.idempotency_key)),
                );
                calls.extend(keyed(of, "/api/chat/send"));
                calls.push(
                    Call::to("/api/chat/send")
                        .body(json!({"message": {"content": file(of)}}))
                        .is(Foreign::Refused),
                );
                calls.extend(as_agents(of, "/api/chat/send", &json!({"message": {"content": QUESTION}})));
                calls
            },
        ),
        entry(
            "POST /api/chat",
            "Idempotency-Key v id messages message role parts type text content metadata trigger messageId model agent variables approve_always name client_tools description input_schema expires_in_seconds on_conflict output_schema \
             parameters temperature top_p max_output_tokens stop reasoning_effort seed",
            |of| {
                let submit = |id: &String, trigger: &str, on_conflict: &str| {
                    let body = json!({
                        "id": id, "messages": [ui_message()], "trigger": trigger, "on_conflict": on_conflict,
                    });
                    missing("/api/chat".to_owned()).body(body)
                };
                let mut calls = vec![
                    submit(&of.project, "submit-message", "reject"),
                    submit(&of.project, "regenerate-message", "reject"),
                    missing("/api/chat".to_owned())
                        .body(json!({"id": of.project, "messages": [ui_message()], "messageId": of.run})),
                    submit(&of.chat, "submit-message", "reject").is(Foreign::Own),
                    submit(&of.run, "submit-message", "reject").is(Foreign::Own),
                ];
                let live =
                    ON_CONFLICT.map(|on_conflict| submit(&of.live_project, "submit-message", on_conflict));
                calls.extend(live);
                calls.extend(keyed(of, "/api/chat"));
                let message = json!({"id": format!("{}-agent", of.idempotency_key), "message": ui_message()});
                calls.extend(as_agents(of, "/api/chat", &message));
                calls
            },
        ),
        entry("GET /api/chat/{id}/stream", "id startIndex answerTo v", |of| {
            let chat = |id: &String, query: &str| Call::to(format!("/api/chat/{id}/stream{query}"));
            let mut calls = vec![chat(&of.run, "").is(Foreign::Missing)];
            for id in [&of.project, &of.run, &of.live_project, &of.live_run] {
                calls.extend(
                    ["", "?startIndex=1", "?startIndex=-1"].map(|from| chat(id, from).is(Foreign::Missing)),
                );
            }
            calls.push(chat(&of.chat, ""));
            let answer = format!("?answerTo={}", MessageId::new());
            calls.push(chat(&of.live_project, &answer).is(Foreign::Missing));
            calls.push(chat(&of.chat, &answer));
            calls
        }),
        entry(
            "GET /api/projects/{id}/messages/stream",
            "id content model agent on_conflict Last-Event-ID",
            |of| {
                let ask = |project: &String, query: &str| {
                    let content = QUESTION.replace(' ', "%20");
                    missing(format!("/api/projects/{project}/messages/stream?content={content}{query}"))
                };
                let mut calls = vec![ask(&of.project, "")];
                calls.extend(
                    ON_CONFLICT.map(|answer| ask(&of.live_project, &format!("&on_conflict={answer}"))),
                );
                for (project, run) in
                    [(&of.project, &of.run), (&of.live_project, &of.live_run), (&of.home, &of.run)]
                {
                    calls.push(ask(project, "").header("last-event-id", &format!("{run}:1")));
                }
                calls
            },
        ),
    ]
}

fn runs() -> Vec<Entry> {
    vec![
        entry("GET /api/runs", "mine limit cursor", |of| {
            let mut calls = list("/api/runs", &of.cursors.runs);
            calls.extend(list("/api/runs?mine=true", &of.cursors.my_runs));
            calls
        }),
        entry(
            "POST /api/runs",
            "Idempotency-Key project_id input artifact_id data name text type model agent variables client_tools description input_schema expires_in_seconds \
             on_conflict after orchestration \
             deliverable_type tools budget max_steps max_tokens max_cost_micro_usd max_seconds output_schema parameters \
             temperature top_p max_output_tokens stop reasoning_effort seed",
            |of| {
                let create = |project: &String, on_conflict: &str| {
                    let body = json!({"project_id": project, "input": QUESTION, "on_conflict": on_conflict, "after": of.run});
                    missing("/api/runs".to_owned()).body(body)
                };
                let mut calls = vec![create(&of.project, "reject")];
                calls.extend(ON_CONFLICT.map(|on_conflict| create(&of.live_project, on_conflict)));
                calls.extend(keyed(of, "/api/runs"));
                calls.push(Call::to("/api/runs").body(json!({"input": file(of)})).is(Foreign::Refused));
                calls.extend(as_agents(of, "/api/runs", &json!({"input": QUESTION})));
                calls
            },
        ),
        entry("GET /api/runs/{id}", "id", |of| each_run(of, "")),
        entry("GET /api/runs/{id}/context", "id step from", |of| each_run(of, "/context")),
        entry("POST /api/runs/{id}/cancel", "id", |of| each_run(of, "/cancel")),
        entry(
            "POST /api/runs/{id}/replay",
            "Idempotency-Key id from project_id input artifact_id data name text type model agent variables on_conflict parameters \
             temperature top_p max_output_tokens stop reasoning_effort seed",
            |of| {
                let body =
                    json!({"input": QUESTION, "on_conflict": "enqueue", "project_id": of.project, "from": 4});
                each_run(of, "/replay").into_iter().map(|call| call.body(body.clone())).collect()
            },
        ),
        entry("POST /api/runs/{id}/messages", "id content artifact_id data name text type", |of| {
            each_run(of, "/messages")
                .into_iter()
                .map(|call| call.body(json!({"content": QUESTION})))
                .collect()
        }),
        entry("PUT /api/runs/{id}/feedback", "id thumb scores comment", |of| {
            each_run(of, "/feedback").into_iter().map(|call| call.body(json!({"thumb": "up"}))).collect()
        }),
        entry("DELETE /api/runs/{id}/feedback", "id", |of| each_run(of, "/feedback")),
        entry("PUT /api/runs/{id}/messages/{message}/feedback", "id message thumb scores comment", |of| {
            vec![answer_feedback(of).body(json!({"thumb": "up"}))]
        }),
        entry("DELETE /api/runs/{id}/messages/{message}/feedback", "id message", |of| {
            vec![answer_feedback(of)]
        }),
        entry("POST /api/runs/{id}/resume", "id answers interrupt_id status payload", |of| {
            each_run(of, "/resume").into_iter().map(|call| call.body(json!({"answers": answers()}))).collect()
        }),
        entry("POST /agent/resume", "thread_id answers interrupt_id status payload", |of| {
            let resume = |project| {
                missing("/agent/resume".to_owned()).body(json!({"thread_id": project, "answers": answers()}))
            };
            [&of.project, &of.live_project].map(resume).into()
        }),
        entry(
            "POST /api/v1/agent/chat",
            "Idempotency-Key thread_id message artifact_id data name text type model agent variables client_tools description input_schema expires_in_seconds \
             on_conflict after output_schema parameters \
             temperature top_p max_output_tokens stop reasoning_effort seed",
            |of| {
                let send = |on_conflict| {
                    let body = json!({"thread_id": of.live_project, "message": QUESTION, "on_conflict": on_conflict, "after": of.run});
                    missing("/api/v1/agent/chat".to_owned()).body(body)
                };
                let mut calls: Vec<Call> = ON_CONFLICT.map(send).into();
                calls.push(
                    Call::to("/api/v1/agent/chat").body(json!({"message": file(of)})).is(Foreign::Refused),
                );
                calls.extend(as_agents(of, "/api/v1/agent/chat", &json!({"message": QUESTION})));
                calls
            },
        ),
        entry("GET /api/runs/{id}/events", "id after limit Last-Event-ID", |of| {
            let mut calls = each_run(of, "/events");
            calls.extend(each_run(of, "/events?after=1"));
            calls.extend(each_run(of, "/events").into_iter().map(|call| call.header("last-event-id", "1")));
            let json = |call: Call| call.header("accept", "application/json");
            calls.extend(each_run(of, "/events?limit=1000").into_iter().map(json));
            calls
        }),
    ]
}

fn jobs() -> Vec<Entry> {
    vec![
        entry("GET /api/jobs", "tenant_id limit cursor", |of| {
            let mut calls = list("/api/jobs", &of.cursors.jobs);
            calls.push(missing(format!("/api/jobs?tenant_id={}", of.tenant)));
            calls
        }),
        entry("GET /api/jobs/{id}", "id tenant_id", |of| each_job(of, "/api/jobs", "")),
        entry("POST /api/admin/jobs/{id}/redrive", "id tenant_id", |of| {
            each_job(of, "/api/admin/jobs", "/redrive")
        }),
        entry("POST /api/admin/jobs/{id}/cancel", "id tenant_id", |of| {
            each_job(of, "/api/admin/jobs", "/cancel")
        }),
        entry("POST /v1/admin/jobs/hello", "tenant_id name key pause_ms", |of| {
            let hello = json!({"name": "nobody", "key": "theirs", "pause_ms": 0});
            let elsewhere = format!("/v1/admin/jobs/hello?tenant_id={}", of.tenant);
            vec![missing(elsewhere).body(hello.clone()), Call::to("/v1/admin/jobs/hello").body(hello)]
        }),
    ]
}

fn artifacts() -> Vec<Entry> {
    vec![
        entry("GET /api/artifacts", "run entity_type tag limit cursor", |of| {
            let mut calls = list("/api/artifacts", &of.cursors.artifacts);
            calls.extend(list("/api/artifacts?entity_type=page", &of.cursors.artifacts_of_type));
            // A filter with a foreign run or tag matches nothing.
            calls.extend([&of.run, &of.live_run].map(|run| Call::to(format!("/api/artifacts?run={run}"))));
            calls.push(Call::to("/api/artifacts?tag=draft&entity_type=page"));
            calls
        }),
        entry("GET /api/entities", "type limit cursor", |of| {
            list("/api/entities?type=page", &of.cursors.artifacts_of_type)
        }),
        entry("GET /api/artifacts/{id}", "id", |of| each_artifact(of, "")),
        entry("GET /api/artifacts/{id}/content", "id", |of| each_artifact(of, "/content")),
        entry("POST /api/artifacts/{id}/preview", "id", |of| each_artifact(of, "/preview")),
        entry("DELETE /api/artifacts/{id}", "id", |of| each_artifact(of, "")),
        entry("POST /api/exports", "artifact_id run_id project_id format", |of| {
            let export = |body| missing("/api/exports".to_owned()).body(body);
            vec![
                export(json!({"artifact_id": of.artifact, "format": "pdf"})),
                export(json!({"run_id": of.run, "format": "jsonl"})),
                export(json!({"run_id": of.live_run, "format": "html"})),
                export(json!({"project_id": of.project, "format": "zip"})),
            ]
        }),
        entry("GET /api/runs/{id}/manifest", "id", |of| each_run(of, "/manifest")),
        entry("POST /api/artifacts/uploads", "sha256 size title media_type entity_type tags run_id", |of| {
            let offer = |run: &String| {
                let body = json!({"sha256": "0".repeat(64), "size": 1, "title": "theirs", "media_type": "text/html",
                    "entity_type": "page", "tags": ["theirs"], "run_id": run});
                missing("/api/artifacts/uploads".to_owned()).body(body)
            };
            [&of.run, &of.live_run].map(offer).into()
        }),
        entry("POST /api/artifacts/uploads/{id}/complete", "id", |of| {
            let complete = |id: &String| missing(format!("/api/artifacts/uploads/{id}/complete"));
            [&of.artifact, &of.upload].map(complete).into()
        }),
    ]
}

fn operation() -> Vec<Entry> {
    vec![
        entry("GET /.well-known/jwks.json", "", |_| vec![same("/.well-known/jwks.json")]),
        entry("GET /api/errors", "", |_| vec![same("/api/errors")]),
        entry("GET /api/health", "", |_| vec![same("/api/health")]),
        entry("GET /api/openapi.json", "", |_| vec![same("/api/openapi.json")]),
    ]
}

/// Returns the calls that are repeated with an `Idempotency-Key`.
pub(super) fn repeatable(of: &Belongings) -> Vec<Call> {
    let chat = json!({"id": format!("{}-keyed", of.idempotency_key), "message": ui_message()});
    let calls = [
        Call::to("/api/chat").body(chat),
        Call::to("/api/chat/send").body(json!({"message": {"content": QUESTION}})),
        Call::to("/api/projects").body(json!({"name": "keyed"})),
        Call::to("/api/runs").body(json!({"input": QUESTION})),
    ];
    let calls = calls
        .into_iter()
        .chain(agents::repeatable(of))
        .chain(schedules::repeatable(of))
        .chain(evaluations::repeatable(of));
    calls.map(|call| call.header("idempotency-key", &of.idempotency_key)).collect()
}

/// Returns requests for runs that are to have an agent, by its id, its name and its label.
fn as_agents(of: &Belongings, path: &str, body: &Value) -> Vec<Call> {
    let at_label = format!("{}@production", of.agent);
    let call = |agent: &String| {
        let mut body = body.clone();
        body["agent"] = json!(agent);
        Call::to(path).body(body).is(Foreign::NoAgent)
    };
    [&of.agent, &of.agent_name, &at_label].map(call).into()
}

/// Returns the content of a message with a file.
fn file(of: &Belongings) -> Value {
    json!([{"type": "file", "artifact_id": of.artifact}])
}

/// Returns answers to an unknown question.
fn answers() -> Value {
    json!([{"interrupt_id": "int_01K9Z3V5C4D3E2F1G0H9J8K7M6", "payload": "b"}])
}

const QUESTION: &str = "/demo tokens=3 rate=0";
const ON_CONFLICT: [&str; 4] = ["reject", "enqueue", "interrupt", "rollback"];

fn ui_message() -> Value {
    json!({"role": "user", "parts": [{"type": "text", "text": QUESTION}]})
}

fn same(path: &str) -> Call {
    Call::to(path).is(Foreign::Same)
}

fn each_project(of: &Belongings, rest: &str) -> Vec<Call> {
    [&of.project, &of.live_project].map(|id| missing(format!("/api/projects/{id}{rest}"))).into()
}

fn each_job(of: &Belongings, before: &str, rest: &str) -> Vec<Call> {
    let path = format!("{before}/{}{rest}", of.job);
    vec![missing(path.clone()), missing(format!("{path}?tenant_id={}", of.tenant))]
}

fn each_run(of: &Belongings, rest: &str) -> Vec<Call> {
    [&of.run, &of.live_run].map(|id| missing(format!("/api/runs/{id}{rest}"))).into()
}

fn answer_feedback(of: &Belongings) -> Call {
    missing(format!("/api/runs/{}/messages/{}/feedback", of.run, of.answer))
}

fn each_artifact(of: &Belongings, rest: &str) -> Vec<Call> {
    vec![missing(format!("/api/artifacts/{}{rest}", of.artifact))]
}

/// Returns the repeated call of a route.
fn keyed(of: &Belongings, path: &str) -> Vec<Call> {
    repeatable(of).into_iter().filter(|call| call.path == path).collect()
}

fn missing(path: String) -> Call {
    Call::to(path).is(Foreign::Missing)
}

fn list(path: &str, cursor: &str) -> Vec<Call> {
    let and = if path.contains('?') { '&' } else { '?' };
    vec![
        Call::to(path),
        Call::to(format!("{path}{and}limit=100")),
        Call::to(format!("{path}{and}cursor={cursor}")).is(Foreign::BadCursor),
    ]
}
