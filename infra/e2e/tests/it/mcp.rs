//! MCP in both directions, with the reference implementations of its authors on the other side.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, ChildStderr, Command, Stdio},
};

use crate::{
    clients::{drive, installed},
    system::{Caller, System, answer},
};
use sequent_core::{RunId, TenantId, Timestamp, UserId};
use sequent_identity::Vault;
use sequent_mcp_client::{Error, Failure, Name, NewServer, Servers, ToolListing};
use sequent_tables::testing;
use sequent_tool::{
    Call, Error as ToolError, Guard, Registry, Tool, built_in,
    guard::{Allow, System as Resolver},
    run,
};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_of_the_reference_server_are_called_and_found_again_when_it_restarts() {
    let mut reference = Reference::start();
    let tenant = TenantId::new();
    let servers = reference.servers().await;
    let few = NewServer {
        name: name("few"),
        allowed_tools: Some(vec!["echo".to_owned(), "no-such-tool".to_owned()]),
        ..reference.setup()
    };
    let (_, listing) = add(&servers, tenant, reference.setup()).await.unwrap();
    assert!(listing.tools.len() >= 10 && listing.tools.iter().all(|offer| offer.usable), "{listing:?}");
    add(&servers, tenant, few).await.unwrap();

    let tools = servers.tools(tenant).await.unwrap();
    assert_eq!(tools.iter().filter(|tool| tool.spec.name.starts_with("few__")).count(), 1, "one is allowed");
    let own = built_in(&Guard::default());
    let registry =
        Registry::new(tools.iter().cloned().chain(own)).expect("the tools fit beside the built-in ones");
    assert_eq!(
        registry.check("everything__get-sum", r#"{"a": 2, "b": 3}"#).unwrap(),
        json!({"a": 2, "b": 3})
    );
    assert!(registry.check("everything__get-sum", r#"{"a": "two"}"#).is_err());

    let call = async |called: &str, arguments: Value| {
        let tool: &Tool = registry.get(called).unwrap_or_else(|| panic!("no {called} in {tools:?}"));
        Box::pin(run(tool, Call::new(tenant, RunId::new(), "call_1", arguments)))
            .await
            .map(|output| output.content)
    };
    assert_eq!(call("few__echo", json!({"message": "Grüße"})).await.unwrap(), "Echo: Grüße");
    let sum = call("everything__get-sum", json!({"a": 2, "b": 3})).await.unwrap();
    assert_eq!(sum, "The sum of 2 and 3 is 5.");
    let image = call("everything__get-tiny-image", json!({})).await.unwrap();
    assert!(image.contains("[image, image/png, "), "{image}");
    let weather = call("everything__get-structured-content", json!({"location": "Chicago"})).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&weather).unwrap()["humidity"], 82);
    // This tool reports its progress in a stream before the result.
    let long = json!({"duration": 1, "steps": 4});
    let long = call("everything__trigger-long-running-operation", long).await.unwrap();
    assert!(long.contains("Steps: 4"), "{long}");
    let wrong = call("everything__get-sum", json!({"a": "two"})).await.unwrap_err();
    assert!(matches!(&wrong, ToolError::Refused(why) if why.contains("number")), "{wrong:?}");
    let treated = registry.get("everything__get-sum").unwrap();
    assert!(treated.idempotent && !treated.needs_approval, "as the tenant and the annotations say");

    reference.restart();
    let echoed = call("everything__echo", json!({"message": "again"})).await;
    assert_eq!(echoed.unwrap(), "Echo: again", "its sessions are gone, and nobody notices");
    reference.stop();
    let gone = call("everything__echo", json!({"message": "x"})).await.unwrap_err();
    assert!(matches!(gone, ToolError::Unavailable(_)), "{gone:?}");
    let setup = NewServer { name: name("late"), ..reference.setup() };
    assert!(matches!(add(&servers, tenant, setup).await, Err(Error::Server(Failure::Unreached(_)))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_sets_up_its_own_servers() {
    let reference = Reference::start();
    let system = System::start(&[("SSRF_ALLOW", &reference.address())]).await;
    let alice = system.sign_up("alice@example.com").await;
    let bob = system.sign_up("bob@example.com").await;
    let setup = json!({"name": "everything", "url": reference.url(), "token": "alices-token", "allowed_tools": ["echo"]});
    let (status, added) = post(&alice, "/api/mcp-servers", &setup).await;
    assert_eq!(status, 201, "{added}");
    let usable = added["tools"].as_array().unwrap().iter().filter(|tool| tool["usable"] == true);
    assert_eq!(usable.map(|tool| &tool["tool"]).collect::<Vec<_>>(), ["everything__echo"]);
    assert_eq!(added["has_token"], true);
    let listed = alice.get("/api/mcp-servers").await;
    assert_eq!(listed["items"][0]["name"], "everything");
    assert!(!format!("{added}{listed}").contains("alices-token"));

    let refused = async |setup: Value| {
        let (status, problem) = post(&alice, "/api/mcp-servers", &setup).await;
        (status, problem["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(refused(setup).await, (409, "mcp_server_exists".to_owned()));
    let private = json!({"name": "inside", "url": "http://169.254.169.254/mcp"});
    assert_eq!(refused(private).await, (422, "validation_failed".to_owned()));
    let elsewhere = json!({"name": "page", "url": format!("http://{}/", reference.address())});
    assert_eq!(refused(elsewhere).await, (422, "mcp_server_unreachable".to_owned()));

    assert_eq!(bob.get("/api/mcp-servers").await, json!({"items": []}));
    let delete = async |caller: &Caller| {
        let answer = caller.request("DELETE", "/api/mcp-servers/everything").send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(delete(&bob).await, 404);
    assert_eq!(delete(&alice).await, 204);
    assert_eq!(alice.get("/api/mcp-servers").await, json!({"items": []}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_client_starts_runs_and_reads_their_answers() {
    let system = System::start(&[]).await;
    let alice = system.sign_up("alice@example.com").await;
    let bob = system.sign_up("bob@example.com").await;
    let said = "/demo tokens=20 rate=0";
    let start =
        json!({"name": "start_run", "arguments": {"input": said, "idempotency_key": "one"}, "follow": true});
    let wrong = json!({"name": "start_run", "arguments": {"text": said}});
    let nothing = json!({"name": "stop_the_world", "arguments": {}});
    let spoken = speak(&alice, json!({"calls": [start, start, wrong, nothing]})).await;
    assert_eq!(spoken["version"], "2025-11-25");
    assert_eq!(spoken["server"]["name"], "sequent");
    assert!(spoken["instructions"].as_str().unwrap().contains("get_run"));
    let names: Vec<_> = spoken["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["start_run", "send_message", "get_run"]);

    let results = &spoken["results"];
    let run = &results[0]["run"];
    assert_eq!(run["status"], "success", "{results}");
    let id = run["run_id"].as_str().unwrap();
    assert_eq!(run["answer"], answer(&alice.log(id).await));
    assert!(run["usage"]["output_tokens"].as_u64().unwrap() > 0, "{run}");
    assert_eq!(results[1]["structured"], results[0]["structured"], "the same key is the same run");
    assert_eq!(results[2]["isError"], true);
    assert!(results[2]["content"][0]["text"].as_str().unwrap().contains("unknown field `text`"));
    assert_eq!(results[3]["code"], -32602);

    let project = &run["project_id"];
    let message = json!({"name": "send_message", "arguments": {"message": said, "project_id": project}, "follow": true});
    let look = json!({"name": "get_run", "arguments": {"run_id": id}});
    let spoken = speak(&alice, json!({"calls": [message]})).await;
    let second = &spoken["results"][0]["run"];
    assert_eq!((&second["status"], &second["project_id"]), (&json!("success"), project), "{spoken}");
    let messages = alice.get(&format!("/api/projects/{}/messages", project.as_str().unwrap())).await;
    assert_eq!(messages["items"].as_array().unwrap().len(), 4, "two questions and their answers");

    // Bob knows the ids, but they do not exist for him.
    let spoken = speak(&bob, json!({"calls": [look, message]})).await;
    for (result, what) in
        spoken["results"].as_array().unwrap().iter().zip(["no run with this id", "no project with this id"])
    {
        assert_eq!(result["isError"], true, "{result}");
        assert!(result["content"][0]["text"].as_str().unwrap().contains(what), "{result}");
    }
    assert_eq!(bob.get("/api/runs").await["items"], json!([]));

    let key = json!({"name": "reader", "scopes": ["runs:read"]});
    let (_, key) = post(&alice, "/api/auth/api-keys", &key).await;
    let spoken = speak(&bob, json!({"key": key["key"], "calls": [look, start]})).await;
    assert_eq!(spoken["results"][0]["structured"]["status"], "success", "the key is Alice's");
    assert_eq!(spoken["results"][1]["isError"], true, "and may only read: {spoken}");
}

async fn post(caller: &Caller, path: &str, body: &Value) -> (u16, Value) {
    let answer = caller.request("POST", path).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn speak(caller: &Caller, job: Value) -> Value {
    drive("mcp-client.mjs", caller, &[job]).await.remove(0)
}

fn name(text: &str) -> Name {
    Name::try_from(text.to_owned()).unwrap()
}

async fn add(
    servers: &Servers,
    tenant: TenantId,
    new: NewServer,
) -> Result<(sequent_mcp_client::Server, ToolListing), Error> {
    Box::pin(servers.add(tenant, UserId::new(), new, Timestamp::now())).await
}

/// The reference server as a process.
struct Reference {
    port: u16,
    process: Child,
    _output: BufReader<ChildStderr>,
}

impl Reference {
    fn start() -> Self {
        // It cannot report a port that it has chosen itself, so it gets one that is free now. Another process
        // may take the port before it does.
        let free = || TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        (0..10).find_map(|_| Self::start_at(free())).expect("the reference server starts")
    }

    /// Returns when the server listens, or `None` if it cannot.
    fn start_at(port: u16) -> Option<Self> {
        let mut process = Command::new("node")
            .args(["node_modules/@modelcontextprotocol/server-everything/dist/index.js", "streamableHttp"])
            .current_dir(installed())
            .env("PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("node starts");
        let mut output = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on port") {
            line.clear();
            if output.read_line(&mut line).unwrap() == 0 {
                process.wait().unwrap();
                return None;
            }
        }
        Some(Self { port, process, _output: output })
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        self.stop();
        *self = Self::start_at(self.port).expect("the reference server starts again");
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn url(&self) -> String {
        format!("http://{}/mcp", self.address())
    }

    fn setup(&self) -> NewServer {
        let repeatable_tools = ["get-sum".to_owned(), "echo".to_owned()].into();
        NewServer { repeatable_tools, ..NewServer::new(name("everything"), &self.url()) }
    }

    /// Returns a client that may reach only this server.
    async fn servers(&self) -> Servers {
        let vault = Vault::fixed(&json!({"seed": "tests"}).to_string().into()).unwrap();
        let guard = Guard::new(Allow::parse_list(&self.address()).unwrap(), Resolver);
        Servers::new(testing::store().await, vault, guard)
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may be stopped already
        let _ = self.process.wait();
    }
}
