//! Jobs through the stack: a greeting on request, and a storm of messages at workers that are killed and
//! paused.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::{StreamExt, stream};
use sequent_core::{TenantId, Timestamp};
use sequent_jobs::{
    Delivery, NewJob, enqueue,
    kinds::{HelloInput, HelloWorld},
};
use sequent_tables::{Store, Tables, key, testing};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    audited::audited,
    background::instances,
    system::{PATIENCE, System, scaled},
};

const ADMIN_KEY: &str = "a key for tests of 32 characters";
const WORKER: &str = "JobWorkerFunction";

async fn start(env: &[(&str, &str)]) -> System {
    System::start_with(env, |options| options.admin_key = Some(ADMIN_KEY.to_owned())).await
}

/// A client with the deployment's admin key.
struct Operator {
    client: reqwest::Client,
    origin: String,
}

impl Operator {
    fn of(system: &System) -> Self {
        let origin = system.stack.origin_url().trim_end_matches('/').to_owned();
        Self { client: reqwest::Client::new(), origin }
    }

    async fn send(&self, method: &str, path: &str) -> (u16, Value) {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.origin));
        let answer = request.header("x-admin-key", ADMIN_KEY).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Lists all jobs of a tenant by id.
    async fn jobs(&self, tenant: TenantId) -> BTreeMap<String, Value> {
        let mut jobs = BTreeMap::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/jobs?limit=100&tenant_id={tenant}{cursor}");
            let (status, page) = self.send("GET", &path).await;
            if status == 503 {
                // No person has signed in, so the first sweep makes the keys of the deployment.
                sleep(Duration::from_millis(500)).await;
                continue;
            }
            assert_eq!(status, 200, "{page}");
            for job in page["items"].as_array().unwrap() {
                jobs.insert(job["id"].as_str().unwrap().to_owned(), job.clone());
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return jobs,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_greeting_job_runs_and_is_shown_and_only_administrators_may_manage_it() {
    let system = start(&[]).await;
    let operator = Operator::of(&system);
    let ada = system.sign_up("ada@example.com").await;
    let (status, job) = operator.send("POST", "/v1/admin/jobs/hello").await;
    assert_eq!((status, &job["status"]), (202, &json!("pending")), "{job}");
    let path = format!("/api/jobs/{}", job["id"].as_str().unwrap());
    let done = async {
        loop {
            let (_, job) = operator.send("GET", &path).await;
            if job["status"] == "success" {
                return job;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let done = timeout(PATIENCE, done).await.expect("a worker runs the job");
    assert_eq!((&done["result"], &done["attempt"]), (&json!("Hello, world!"), &json!(1)));
    assert_eq!(ada.request("GET", &path).send().await.unwrap().status(), 404, "it is not hers");

    // The owner of a tenant manages its jobs. Progress can be read during the attempt, which lasts for a minute.
    let hello = json!({"name": "Ada", "key": "once", "pause_ms": 60_000});
    let send = || ada.request("POST", "/v1/admin/jobs/hello").json(&hello).send();
    let job: Value = send().await.unwrap().json().await.unwrap();
    let again: Value = send().await.unwrap().json().await.unwrap();
    assert_eq!(job["id"], again["id"], "one job per key");
    let path = format!("/api/jobs/{}", job["id"].as_str().unwrap());
    let reporting = async {
        while ada.get(&path).await["progress"]["percent"].is_null() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, reporting).await.expect("the job reports its progress");
    let cancel = path.replace("/api/", "/api/admin/") + "/cancel";
    let cancelled: Value = ada.request("POST", &cancel).send().await.unwrap().json().await.unwrap();
    assert_eq!((&cancelled["status"], &cancelled["error"]["code"]), (&json!("error"), &json!("cancelled")));
    let redrive = path.replace("/api/", "/api/admin/") + "/redrive";
    assert_eq!(ada.request("POST", &redrive).send().await.unwrap().status(), 202);
    assert_eq!(ada.request("POST", &redrive).send().await.unwrap().status(), 409, "once");

    // No other caller can manage jobs.
    let plain = reqwest::Client::new();
    let url = format!("{}{cancel}", operator.origin);
    assert_eq!(plain.post(&url).send().await.unwrap().status(), 401);
    let wrong =
        plain.post(&url).header("x-admin-key", "a key for testing of 32 letters.").send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    let eve = system.sign_up("eve@example.com").await;
    assert_eq!(eve.request("POST", &cancel).send().await.unwrap().status(), 404);
}

/// The jobs and messages of a storm, and its expected result.
#[derive(Default)]
struct Plan {
    /// Names that sound jobs greet.
    sound: Vec<String>,
    /// Jobs to enqueue, some twice.
    jobs: Vec<NewJob>,
    /// Messages in addition to those of the outbox.
    messages: Vec<String>,
    /// Messages that must become dead letters.
    poison: BTreeSet<String>,
}

impl Plan {
    fn of(size: usize, tenant: TenantId) -> Self {
        let mut plan = Self::default();
        for n in 0..size {
            let name = format!("guest {n}");
            let pause_ms = if n % 4 == 0 { fastrand::u32(0..600) } else { 0 };
            let input = HelloInput { name: Some(name.clone()), key: Some(name.clone()), pause_ms };
            let mut new = NewJob::of::<HelloWorld>(tenant, &input);
            let message = Delivery { tenant_id: tenant, job_id: new.id }.to_json();
            // One in a hundred is poison, of three kinds.
            match (n % 100, n / 100 % 3) {
                (50, 0) => {
                    new.job_type = "from_the_future".to_owned();
                    plan.poison.insert(message.clone());
                }
                (50, 1) => {
                    new.input = json!({"name": {"first": "Ada"}});
                    plan.poison.insert(message.clone());
                }
                (50, _) => {
                    let unreadable = format!("not a message of ours, number {n}");
                    plan.poison.insert(unreadable.clone());
                    plan.messages.push(unreadable);
                    continue;
                }
                _ => plan.sound.push(name),
            }
            // Three in ten are enqueued twice and delivered three times. For one in ten a message is sent
            // before the job exists.
            if n % 10 < 3 {
                plan.jobs.push(NewJob { id: sequent_core::JobId::new(), ..new.clone() });
                plan.messages.push(message.clone());
            }
            if n % 10 == 3 {
                plan.messages.insert(0, message);
            }
            plan.jobs.push(new);
        }
        fastrand::shuffle(&mut plan.jobs[..]);
        plan
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_messages_for_dying_workers_has_each_effect_once() {
    let size = scaled(300, 10_000);
    let system = start(&[("LEASE_MS", "1500"), ("LEASE_RENEW_MS", "400")]).await;
    let operator = Operator::of(&system);
    let tenant = TenantId::new();
    let outputs = &system.stack.deployed().outputs;
    let tables = Tables {
        main: outputs["MainTableName"].clone().into(),
        events: outputs["EventsTableName"].clone().into(),
    };
    let store = testing::deployed(system.stack.endpoint_url(), tables);
    // The messages of a killed worker stay invisible for an hour and a half, which is too long for this test.
    let impatient = json!({"QueueUrl": outputs["JobsQueueUrl"], "Attributes": {"VisibilityTimeout": "10"}});
    system.stack.endpoint().json("sqs", "AmazonSQS.SetQueueAttributes", &impatient).await.unwrap();

    let plan = Plan::of(size, tenant);
    // If a key is enqueued twice, the first job counts and the second has no row.
    let begun = Instant::now();
    let calm = AtomicBool::new(false);
    let storm = async {
        let (early, late) = plan.messages.split_at(plan.messages.len() / 2);
        send(&system, early).await;
        let enqueued: Vec<_> = stream::iter(&plan.jobs)
            .map(|new| async { enqueue(&store, new, Timestamp::now()).await.unwrap().into_job() })
            .buffer_unordered(16)
            .collect()
            .await;
        send(&system, late).await;
        let rows: BTreeSet<_> = enqueued.iter().map(|job| job.id).collect();
        let expected = rows.len();
        let unreadable = plan.poison.iter().filter(|p| !p.starts_with('{')).count();
        let ended = |jobs: &BTreeMap<String, Value>| {
            jobs.values().filter(|job| matches!(job["status"].as_str(), Some("success" | "error"))).count()
        };
        while ended(&operator.jobs(tenant).await) < expected
            || ended(&operator.jobs(TenantId::SYSTEM).await) < unreadable
        {
            sleep(Duration::from_millis(500)).await;
        }
        enqueued
    };
    let limit = Duration::from_secs(if size > 1000 { 3600 } else { 900 });
    let storming = async {
        let stormed = timeout(limit, storm).await;
        calm.store(true, Ordering::SeqCst);
        stormed
    };
    let (stormed, (killed, paused), swept) =
        tokio::join!(storming, chaos(&system, &calm), sweeping(&system, &calm));
    let enqueued = stormed.expect("every job ends");
    println!("{size} messages, {killed} kills, {paused} pauses, {swept} sweeps in {:?}", begun.elapsed());
    assert!(killed > 0 && paused > 0, "there was a storm");

    // A job whose key was claimed by its twin has no row. The dead letters name the twin's id.
    let of_row: BTreeSet<String> =
        enqueued.iter().map(|job| Delivery { tenant_id: tenant, job_id: job.id }.to_json()).collect();
    let poison: BTreeSet<String> = operator
        .jobs(tenant)
        .await
        .into_iter()
        .filter(|(_, job)| job["status"] == "error")
        .map(|(id, job)| {
            assert_eq!(job["error"]["code"], "poison", "{job}");
            Delivery { tenant_id: tenant, job_id: id.parse().unwrap() }.to_json()
        })
        .collect();
    assert!(poison.is_subset(&of_row));
    assert_eq!(poison.len(), plan.poison.iter().filter(|message| message.starts_with('{')).count());
    let unreadable = plan.poison.iter().filter(|message| !message.starts_with('{')).cloned();
    let expected: BTreeSet<String> = poison.into_iter().chain(unreadable).collect();
    check_effects(&store, tenant, &plan).await;
    assert_eq!(dead_letters(&system, &expected).await, expected);

    // Redriving the poison changes only the number of attempts.
    let mut redriven = 0;
    for tenant in [tenant, TenantId::SYSTEM] {
        for (id, job) in operator.jobs(tenant).await {
            if job["status"] == "error" {
                let path = format!("/api/admin/jobs/{id}/redrive?tenant_id={tenant}");
                assert_eq!(operator.send("POST", &path).await.0, 202);
                redriven += 1;
            }
        }
    }
    assert_eq!(redriven, expected.len());
    assert_eq!(dead_letters(&system, &expected).await, expected);
    check_effects(&store, tenant, &plan).await;
    audited(&system).await;
}

async fn send(system: &System, messages: &[String]) {
    let queue = &system.stack.deployed().outputs["JobsQueueUrl"];
    for message in messages {
        let body = json!({"QueueUrl": queue, "MessageBody": message});
        system.stack.endpoint().json("sqs", "AmazonSQS.SendMessage", &body).await.unwrap();
    }
}

/// Kills workers, and pauses others for longer than their lease, until the storm is over.
async fn chaos(system: &System, calm: &AtomicBool) -> (usize, usize) {
    let mut killed = 0;
    let mut paused = 0;
    while !calm.load(Ordering::SeqCst) {
        sleep(Duration::from_millis(fastrand::u64(100..500))).await;
        let busy: Vec<u32> = instances(system, WORKER)
            .into_iter()
            .filter(|(_, state)| state == "busy")
            .map(|(pid, _)| pid)
            .collect();
        let Some(&pid) = fastrand::choice(&busy) else { continue };
        // A storm may be short, so the rarer fault comes first.
        if killed < paused || (killed == paused && fastrand::bool()) {
            killed += usize::from(system.stack.kill(pid));
        } else if signal("-STOP", pid) {
            sleep(Duration::from_millis(2500)).await;
            signal("-CONT", pid);
            paused += 1;
        }
    }
    (killed, paused)
}

fn signal(signal: &str, pid: u32) -> bool {
    let sent = std::process::Command::new("kill").args([signal, &pid.to_string()]).output().unwrap();
    sent.status.success()
}

/// Invokes the scheduler once per second.
async fn sweeping(system: &System, calm: &AtomicBool) -> usize {
    let scheduler =
        system.stack.runtime().function("SchedulerFunction").expect("the template has it").clone();
    let mut swept = 0;
    while !calm.load(Ordering::SeqCst) {
        scheduler.invoke("{}".into()).await.unwrap();
        swept += 1;
        sleep(Duration::from_secs(1)).await;
    }
    swept
}

/// Checks that each name was greeted once.
async fn check_effects(store: &Store, tenant: TenantId, plan: &Plan) {
    #[derive(Deserialize)]
    struct Greeting {
        greeted: u32,
    }
    let counts: Vec<(&String, u32)> = stream::iter(&plan.sound)
        .map(|name| async move {
            let greeting: Option<Greeting> = store.get(&key::greeting(tenant, name)).await.unwrap();
            (name, greeting.map_or(0, |greeting| greeting.greeted))
        })
        .buffer_unordered(16)
        .collect()
        .await;
    let wrong: Vec<_> = counts.iter().filter(|(_, count)| *count != 1).collect();
    assert!(wrong.is_empty(), "greeted once each, except {wrong:?}");
}

/// Receives dead letters, each with its cause, until all expected ones have arrived.
async fn dead_letters(system: &System, expected: &BTreeSet<String>) -> BTreeSet<String> {
    let queue = &system.stack.deployed().outputs["JobsDeadLettersUrl"];
    let endpoint = system.stack.endpoint();
    let receive = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1, "MessageAttributeNames": ["All"]});
    let mut found = BTreeSet::new();
    let mut quiet = 0;
    let begun = Instant::now();
    // Wait until no more arrive, because a surplus letter is as wrong as a missing one.
    while (quiet < 3 || !expected.is_subset(&found)) && begun.elapsed() < PATIENCE {
        let answer = endpoint.json("sqs", "AmazonSQS.ReceiveMessage", &receive).await.unwrap();
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        quiet = if messages.is_empty() { quiet + 1 } else { 0 };
        for message in messages {
            let cause = message["MessageAttributes"]["cause"]["StringValue"].as_str();
            assert!(cause.is_some_and(|cause| cause.starts_with("poison: ")), "{message}");
            found.insert(message["Body"].as_str().unwrap().to_owned());
            let done = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
            endpoint.json("sqs", "AmazonSQS.DeleteMessage", &done).await.unwrap();
        }
    }
    found
}
