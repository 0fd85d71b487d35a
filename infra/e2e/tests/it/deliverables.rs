//! Runs that deliver documents, and the jobs that follow.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    audited::{audited, sweep},
    surface::{Call, Person},
    system::{Caller, PATIENCE, System, check_ended, is_end, of_kind, scaled},
};

/// All functions that work on a run and its jobs.
const WORKERS: [&str; 4] =
    ["AgentWorkerFunction", "JobWorkerFunction", "ExportWorkerFunction", "FanoutFunction"];

/// Starts a run with a deliverable and returns its log at the end.
pub(crate) async fn deliver(person: &Person, kind: &str, input: &str) -> (String, Vec<Value>) {
    let run =
        person.post(Call::to("/api/runs").body(json!({"input": input, "deliverable_type": kind}))).await;
    assert_eq!(run.status, 202, "{run:?}");
    let run = run.json()["id"].as_str().unwrap().to_owned();
    let ended = async {
        while !matches!(
            person.get(&format!("/api/runs/{run}")).await["status"].as_str(),
            Some("success" | "error")
        ) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, ended).await.expect("the run ends");
    let log = person.get(&format!("/api/runs/{run}/events?limit=1000")).await;
    (run, log["events"].as_array().unwrap().clone())
}

async fn content(person: &Person, artifact: &Value) -> Value {
    let id = artifact["artifactId"].as_str().or(artifact["id"].as_str()).unwrap();
    let call = Call::to(format!("/api/artifacts/{id}/content"));
    let bytes = person.send("GET", &call, &person.bearer()).await.bytes().await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// Encodes the arguments of a directive, which end at a space.
pub(crate) fn args(value: &Value) -> String {
    value.to_string().replace(' ', "\\u0020")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_delivered_with_citations_and_extracted_names() {
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "ada@example.com").await;
    let text = "Collect at most {{ max_entities }} names of these types: {{ types }}.";
    let prompt = json!({"name": "sequent-entities", "template": text});
    let prompt = person.post(Call::to("/api/prompts").body(prompt)).await;
    assert_eq!(prompt.status, 201, "{prompt:?}");
    let source = json!({"url": "https://tides.example/cuxhaven", "title": "Tide tables",
        "quote": "At Cuxhaven the tidal range is about three metres"});
    // The last line scripts the demo provider's response to the request for names in the report.
    let names = json!({"entities": [{"type": "place", "name": "Cuxhaven"}, {"type": "person", "name": "Nobody Real"}]});
    let report = json!({"type": "report", "version": 1, "title": "Tides of the North Sea", "sections": [
        {"heading": "Findings", "level": 1, "blocks": [
            {"type": "paragraph", "text": "At Cuxhaven the tidal range is three metres."},
            {"type": "code", "text": format!("\n/demo tool=record_entities args={}\n", args(&names))}
        ]}
    ]});
    let wrong = json!({"type": "report", "version": 1, "title": "Tides", "sections": [], "pages": 3});
    let said = format!(
        "Explain.\n/demo tokens=1 rate=0 tool=cite_source args={}\n/demo tokens=1 rate=0 tool=write_report args={}\n\
         /demo tokens=1 rate=0 tool=write_report args={}\n/demo tokens=3 rate=0",
        args(&source),
        args(&wrong),
        args(&report)
    );
    let (run, log) = deliver(&person, "report", &said).await;
    check_ended(&run, &log);
    let results = of_kind(&log, "TOOL_CALL_RESULT");
    assert!(results[1]["content"].as_str().unwrap().contains("pages"), "what is wrong is said: {results:?}");

    let made = of_kind(&log, "ARTIFACT_CREATED");
    let [written, bound] = made[..] else { panic!("a report, and one with citations: {log:#?}") };
    assert_eq!(content(&person, written).await["sections"], report["sections"]);
    let with_citations = content(&person, bound).await;
    assert_eq!(with_citations["sources"][0]["url"], "https://tides.example/cuxhaven");
    let claim = with_citations["sections"][0]["blocks"][0]["text"].as_str().unwrap();
    assert!(claim.ends_with("metres.[^s1]"), "{claim}");

    let found = of_kind(&log, "ENTITY_EXTRACTED");
    let [place] = found[..] else { panic!("what the report does not name is not there: {found:?}") };
    assert_eq!((&place["name"], &place["artifactId"]), (&json!("Cuxhaven"), &written["artifactId"]));
    let places = person.get("/api/entities?type=place").await;
    assert_eq!(places["items"][0]["name"], "Cuxhaven", "{places}");
    assert_eq!((&places["items"][0]["run_id"], &places["next_cursor"]), (&json!(run), &Value::Null));

    let jobs: BTreeSet<&str> =
        of_kind(&log, "JOB_ENQUEUED").iter().map(|job| job["jobType"].as_str().unwrap()).collect();
    assert_eq!(jobs, BTreeSet::from(["bind_citations", "extract_entities"]));
    assert!(of_kind(&log, "JOB_FINISHED").iter().all(|end| end["status"] == "success"), "{log:#?}");
    let enqueued = of_kind(&log, "JOB_ENQUEUED");
    let job = enqueued.iter().find(|job| job["jobType"] == "extract_entities").unwrap();
    let job = person.get(&format!("/api/jobs/{}", job["jobId"].as_str().unwrap())).await;
    assert_eq!(job["prompt"], "sequent-entities@1", "{job}");
    // The usage of the jobs' model calls belongs to the run.
    let responses: u64 =
        of_kind(&log, "USAGE_RECORDED").iter().map(|usage| usage["outputTokens"].as_u64().unwrap()).sum();
    let row = person.get(&format!("/api/runs/{run}")).await;
    assert!(row["usage"]["output_tokens"].as_u64().unwrap() > responses, "{row}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_only_answers_is_made_to_write_the_document() {
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "ada@example.com").await;
    for kind in ["report", "slides"] {
        let (run, log) = deliver(&person, kind, "Tell me of tides.\n/demo tokens=3 rate=0").await;
        check_ended(&run, &log);
        assert_eq!(log.last().unwrap()["outcome"]["type"], "success", "{log:#?}");
        let made = of_kind(&log, "ARTIFACT_CREATED");
        assert_eq!((made.len(), &made[0]["entityType"]), (1, &json!(kind)));
        assert_eq!(content(&person, made[0]).await["type"], kind);
        let named = of_kind(&log, "TOOL_CALL_START");
        assert_eq!(named[0]["toolCallName"], format!("write_{kind}"));
    }

    for (body, at) in [
        (json!({"input": "x", "deliverable_type": "poem"}), "/deliverable_type"),
        (json!({"input": "x", "deliverable_type": ""}), "/deliverable_type"),
    ] {
        let refused = person.read("POST", &Call::to("/api/runs").body(body), &person.bearer()).await;
        assert!(refused.status.is_client_error() && format!("{refused:?}").contains(at), "{refused:?}");
    }
}

/// The events of a website's run from the document to the end, in order.
const FLOW: [&str; 10] = [
    "ARTIFACT_CREATED",
    "TOOL_CALL_RESULT",
    "JOB_ENQUEUED",
    "ARTIFACT_CREATED",
    "JOB_FINISHED",
    "WEBSITE_GENERATION_DONE",
    "JOB_ENQUEUED",
    "ARTIFACT_CREATED",
    "JOB_FINISHED",
    "RUN_FINISHED",
];

/// All workers are killed once after each step, and each step still happens once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_website_and_its_report_survive_a_kill_between_any_two_steps() {
    let system = System::start(&[("LEASE_MS", "900"), ("LEASE_RENEW_MS", "250")]).await;
    // The messages of a killed worker stay invisible for a long time, which is too long for this test.
    for queue in ["RunsQueueUrl", "JobsQueueUrl", "ExportsQueueUrl"] {
        let url = &system.stack.deployed().outputs[queue];
        let impatient = json!({"QueueUrl": url, "Attributes": {"VisibilityTimeout": "3"}});
        system.stack.endpoint().json("sqs", "AmazonSQS.SetQueueAttributes", &impatient).await.unwrap();
    }
    let caller = system.sign_up("ada@example.com").await;
    let flow = async {
        for _ in 0..scaled(1, 5) {
            for step in 0..FLOW.len() {
                website(&system, &caller, step).await;
            }
        }
    };
    tokio::select! {
        () = flow => {}
        _ = sweep(&system) => unreachable!(),
    }
    audited(&system).await;
}

/// Runs the flow, kills all workers when `step` is in the log, and checks the result.
async fn website(system: &System, caller: &Caller, step: usize) {
    let body = json!({"input": "A page on tides.\n/demo tokens=2 rate=0", "deliverable_type": "website"});
    let answer = caller.request("POST", "/api/runs").json(&body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    let run = answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let mut killed = false;
    let ended = async {
        loop {
            let log = caller.log(&run).await;
            if !killed && flow(&log).len() > step {
                killed = true;
                for instance in system.stack.instances() {
                    if WORKERS.contains(&instance.function.as_str()) {
                        system.stack.kill(instance.pid);
                    }
                }
            }
            if log.last().is_some_and(is_end) {
                return log;
            }
            sleep(Duration::from_millis(2)).await;
        }
    };
    let log = timeout(PATIENCE, ended).await.unwrap_or_else(|_| panic!("{run} did not end: {step}"));
    check_ended(&run, &log);
    assert_eq!(flow(&log), FLOW, "{run}: killed after step {step}");
    let row = caller.get(&format!("/api/runs/{run}")).await;
    assert_eq!(row["status"], "success", "{row}");

    let made = of_kind(&log, "ARTIFACT_CREATED");
    let done = of_kind(&log, "WEBSITE_GENERATION_DONE")[0];
    assert_eq!((&done["documentId"], &done["artifactId"]), (&made[0]["artifactId"], &made[1]["artifactId"]));
    let ids = |values: Vec<&Value>, name: &str| -> BTreeSet<String> {
        values.iter().map(|value| value[name].as_str().unwrap().to_owned()).collect()
    };
    let manifest = caller.get(&format!("/api/runs/{run}/manifest")).await;
    let kept = manifest["items"].as_array().unwrap();
    assert_eq!(ids(kept.iter().collect(), "id"), ids(made.clone(), "artifactId"), "the rows are the log's");
    for job in of_kind(&log, "JOB_ENQUEUED") {
        let row = caller.get(&format!("/api/jobs/{}", job["jobId"].as_str().unwrap())).await;
        assert_eq!((&row["status"], &row["run_id"]), (&json!("success"), &json!(run)), "{row}");
    }
    let preview = format!("/api/artifacts/{}/preview", done["artifactId"].as_str().unwrap());
    let preview: Value = caller.request("POST", &preview).send().await.unwrap().json().await.unwrap();
    let shell = preview["url"].as_str().unwrap_or_else(|| panic!("{preview}"));
    let origin = system.stack.own_origin_url();
    let content = shell.replacen(origin, &format!("{origin}/content"), 1);
    // As the frame of the shell does.
    let page = reqwest::Client::new().get(content).header("sec-fetch-dest", "iframe").send().await.unwrap();
    assert!(page.text().await.unwrap().contains("An example of a website"));
    let report = caller.get(&format!("/api/artifacts?run={run}&tag=companion")).await;
    assert_eq!(report["items"][0]["entity_type"], "report", "{report}");
}

/// Returns the events of the flow in a log.
fn flow(log: &[Value]) -> Vec<&str> {
    let kinds = log.iter().map(|event| event["type"].as_str().unwrap());
    let from_document = kinds.skip_while(|kind| *kind != "ARTIFACT_CREATED");
    from_document.filter(|kind| FLOW.contains(kind)).collect()
}
