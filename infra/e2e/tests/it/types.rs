//! A TypeScript client compiles against types that are generated from the API description, and the stack's
//! answers have these types.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    background::{create, until},
    clients::{drive, installed},
    system::System,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_generated_types_reads_runs_and_messages() {
    compile();
    let system = System::start(&[]).await;
    let caller = system.sign_up("types@example.com").await;
    let run = create(&caller, &json!({"input": "/demo tokens=3 rate=0"})).await;
    until(&caller, run["id"].as_str().unwrap(), |run| run["completed_at"].is_string()).await;

    let [seen] =
        drive("node_modules/.cache/typed/client.mjs", &caller, &[json!({})]).await.try_into().unwrap();
    let [run] = seen["runs"].as_array().unwrap().as_slice() else { panic!("one run: {seen}") };
    assert_eq!((&run["status"], &run["ended"]), (&json!("success"), &json!(true)));
    assert!(run["tokens"].as_u64().unwrap() > 0, "{run}");
    let mut roles: Vec<&str> = run["roles"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["assistant", "user"]);
    assert_eq!((&seen["next"], &seen["refused"]), (&Value::Null, &json!("not_found")));
}

/// Generates the types and compiles the client, both into a folder of `node_modules`, where the client finds
/// its packages.
fn compile() {
    let types = "node_modules/.cache/typed/sequent-api.d.ts";
    npx("openapi-typescript", &["../../../functions/meta/openapi.json", "--output", types]);
    npx("tsc", &["--project", "typed"]);
}

fn npx(program: &str, arguments: &[&str]) {
    let mut command = Command::new(installed().join("node_modules/.bin").join(program));
    let done = command.args(arguments).current_dir(installed()).output().unwrap();
    let output =
        format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{program}: {output}");
}
