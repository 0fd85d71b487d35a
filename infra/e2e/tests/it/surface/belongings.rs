//! One object of every kind that a tenant can have.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Call, Person};

/// Crockford's alphabet, which ids use.
const CROCKFORD: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ULID: usize = 26;

/// Ids, cursors and keys of one tenant.
#[derive(Debug, Clone)]
pub(crate) struct Belongings {
    pub(crate) email: String,
    /// A project with an ended run.
    pub(crate) project: String,
    pub(crate) run: String,
    /// The message with the answer of the run.
    pub(crate) answer: String,
    /// A project with a run that stays live for the whole test.
    pub(crate) live_project: String,
    pub(crate) live_run: String,
    /// The chat id of that project for AI SDK clients.
    pub(crate) chat: String,
    /// A session other than that of the access token.
    pub(crate) session: String,
    pub(crate) api_key: String,
    pub(crate) mcp_server: String,
    /// The id of an agent with two versions, of which the first is in production.
    pub(crate) agent: String,
    pub(crate) agent_name: String,
    /// A note of the agent about the person.
    pub(crate) note: String,
    /// The name of a prompt of the same kind.
    pub(crate) prompt: String,
    /// The name of an HTTP tool.
    pub(crate) tool: String,
    pub(crate) schedule: String,
    /// A dataset with two items.
    pub(crate) dataset: String,
    /// An evaluation with the dataset, which has ended.
    pub(crate) evaluation: String,
    pub(crate) tenant: String,
    /// A webhook with deliveries that have failed.
    pub(crate) webhook: String,
    pub(crate) delivery: String,
    /// The id of a hook.
    pub(crate) hook: String,
    /// A job that has ended.
    pub(crate) job: String,
    pub(crate) artifact: String,
    /// An upload that has not been completed.
    pub(crate) upload: String,
    /// An `Idempotency-Key` that has been used with every route that takes one.
    pub(crate) idempotency_key: String,
    pub(crate) cursors: Cursors,
    /// A project of the caller's own.
    pub(crate) home: String,
    /// Text that occurs only in the tenant's messages and names.
    word: String,
}

/// Cursors to the second page of each list.
#[derive(Debug, Clone)]
pub(crate) struct Cursors {
    pub(crate) projects: String,
    pub(crate) messages: String,
    pub(crate) agents: String,
    pub(crate) agent_versions: String,
    pub(crate) prompts: String,
    pub(crate) prompt_versions: String,
    pub(crate) schedules: String,
    pub(crate) feedback: String,
    pub(crate) datasets: String,
    pub(crate) dataset_items: String,
    pub(crate) evaluations: String,
    pub(crate) runs: String,
    pub(crate) my_runs: String,
    pub(crate) sessions: String,
    pub(crate) api_keys: String,
    pub(crate) audit: String,
    pub(crate) jobs: String,
    pub(crate) deliveries: String,
    pub(crate) artifacts: String,
    pub(crate) artifacts_of_type: String,
    pub(crate) ledger: String,
    pub(crate) invoices: String,
}

impl Belongings {
    /// Creates one object of every kind.
    pub(crate) async fn of(person: &Person) -> Self {
        let word = format!("heron{:016x}", fastrand::u64(..));
        let said = json!({"message": {"content": format!("{word}\n/demo tokens=3 rate=0")}});
        let sent = person.post(Call::to("/api/chat/send").body(said)).await;
        assert!(sent.body.contains("RUN_FINISHED"), "{sent:?}");
        let project = sent.header("x-project-id").to_owned();
        let run = sent.header("x-run-id").to_owned();

        let chat = random_id("chat");
        let message = json!({"role": "user", "parts": [
            {"type": "text", "text": format!("{word}\n/demo tokens=100000 rate=1")},
        ]});
        let live = Call::to("/api/chat").body(json!({"id": chat, "messages": [message]}));
        let live = person.send("POST", &live, &person.bearer()).await; // it goes on without a reader
        let of_live = |name: &str| live.headers()[name].to_str().unwrap().to_owned();

        let key = json!({"name": word, "scopes": ["projects:read"]});
        person.post(Call::to("/api/auth/api-keys").body(key.clone())).await;
        let key = person.post(Call::to("/api/auth/api-keys").body(key)).await.json();
        let mcp_server = random_server();
        let server = json!({"name": mcp_server, "url": format!("https://{word}.example/mcp"), "token": word, "enabled": false});
        let added = person.post(Call::to("/api/mcp-servers").body(server)).await;
        assert_eq!(added.status, 201, "{added:?}");
        let tool = random_server();
        let body = json!({"name": tool, "description": word, "input_schema": {"type": "object"}, "method": "GET",
            "url": format!("https://{word}.example/"), "headers": [{"name": "a", "value": word, "secret": true}]});
        let added = person.post(Call::to("/api/tools").body(body)).await;
        assert_eq!(added.status, 201, "{added:?}");
        let hello = Call::to("/v1/admin/jobs/hello").body(json!({"name": word}));
        let first = person.post(hello.clone()).await.json();
        let job = person.post(hello).await.json();
        for job in [&first, &job] {
            let path = format!("/api/jobs/{}", job["id"].as_str().unwrap());
            while person.get(&path).await["status"] != "success" {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
        let (agent, agent_name, prompt) = define(person, &word).await;
        let schedule = plan(person, &word).await;
        let answer = rate(person, &word, &run).await;
        let dataset = collect(person, &word).await;
        let evaluation = evaluate(person, &word, &dataset, &agent).await;
        let note = remember(person, &agent, &word).await;
        let (webhook, delivery) = subscribe(person, &word).await;
        let hook = json!({"name": word, "input": word});
        let hook = person.post(Call::to("/api/hooks").body(hook)).await.json();
        let artifact = keep(person, &word).await;
        let upload = offer(person, &format!("{word} later"), &word).await;
        person.sign_in().await;
        let sessions = person.get("/api/auth/sessions").await;
        let mut sessions = sessions["items"].as_array().unwrap().iter();
        let session = sessions.find(|session| session["current"] == false).unwrap();

        let belongings = Self {
            email: person.email.clone(),
            home: project.clone(),
            cursors: Cursors::of(person, &project, &agent, &prompt, &dataset, &webhook).await,
            project,
            run,
            answer,
            live_project: of_live("x-project-id"),
            live_run: of_live("x-run-id"),
            chat,
            session: session["id"].as_str().unwrap().to_owned(),
            api_key: key["id"].as_str().unwrap().to_owned(),
            mcp_server,
            agent,
            agent_name,
            note,
            prompt,
            tool,
            schedule,
            dataset,
            evaluation,
            tenant: person.get("/api/auth/me").await["tenant_id"].as_str().unwrap().to_owned(),
            job: job["id"].as_str().unwrap().to_owned(),
            webhook,
            delivery,
            hook: hook["id"].as_str().unwrap().to_owned(),
            artifact,
            upload: upload["id"].as_str().unwrap().to_owned(),
            idempotency_key: random_id("idem"),
            word,
        };
        belongings.use_key(person).await;
        belongings
    }

    /// Uses the key twice with every route that accepts one, so that its record exists.
    async fn use_key(&self, person: &Person) {
        for call in super::table::repeatable(self) {
            person.post(call.clone()).await;
            let again = person.post(call).await;
            assert_eq!(again.header("idempotency-replayed"), "true", "{again:?}");
        }
        // Wait for the background runs. Afterwards only the one live run changes.
        let at_work = |run: &Value| run["status"] == "pending" || run["status"] == "running";
        loop {
            let runs = person.get("/api/runs?limit=100").await["items"].as_array().unwrap().clone();
            if runs.iter().filter(|run| at_work(run) && run["id"] != self.live_run.as_str()).count() == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Returns unknown ids, cursors and keys of the same forms.
    pub(crate) fn nobodys(&self) -> Self {
        let other = |id: &str| random_id(id.split_once('_').unwrap().0);
        let Cursors {
            projects,
            messages,
            agents,
            agent_versions,
            prompts,
            prompt_versions,
            schedules,
            feedback,
            datasets,
            dataset_items,
            evaluations,
            runs,
            my_runs,
            sessions,
            api_keys,
            audit,
            jobs,
            deliveries,
            artifacts,
            artifacts_of_type,
            ledger,
            invoices: _,
        } = &self.cursors;
        Self {
            email: format!("{}@example.com", random_id("nobody").to_lowercase()),
            project: other(&self.project),
            run: other(&self.run),
            answer: other(&self.answer),
            live_project: other(&self.live_project),
            live_run: other(&self.live_run),
            chat: other(&self.chat),
            session: other(&self.session),
            api_key: other(&self.api_key),
            mcp_server: random_server(),
            agent: other(&self.agent),
            agent_name: random_server(),
            note: other(&self.note),
            prompt: random_server(),
            tool: random_server(),
            schedule: other(&self.schedule),
            dataset: other(&self.dataset),
            evaluation: other(&self.evaluation),
            tenant: other(&self.tenant),
            job: other(&self.job),
            webhook: other(&self.webhook),
            delivery: other(&self.delivery),
            hook: other(&self.hook),
            artifact: other(&self.artifact),
            upload: other(&self.upload),
            idempotency_key: other(&self.idempotency_key),
            cursors: Cursors {
                projects: resealed(projects),
                messages: resealed(messages),
                agents: resealed(agents),
                agent_versions: resealed(agent_versions),
                prompts: resealed(prompts),
                prompt_versions: resealed(prompt_versions),
                schedules: resealed(schedules),
                feedback: resealed(feedback),
                datasets: resealed(datasets),
                dataset_items: resealed(dataset_items),
                evaluations: resealed(evaluations),
                runs: resealed(runs),
                my_runs: resealed(my_runs),
                sessions: resealed(sessions),
                api_keys: resealed(api_keys),
                audit: resealed(audit),
                jobs: resealed(jobs),
                deliveries: resealed(deliveries),
                artifacts: resealed(artifacts),
                artifacts_of_type: resealed(artifacts_of_type),
                ledger: resealed(ledger),
                invoices: random_id("in"),
            },
            home: self.home.clone(),
            word: String::new(),
        }
    }

    /// Returns the same for a caller whose own project is `home`.
    pub(crate) fn called_from(&self, home: &str) -> Self {
        Self { home: home.to_owned(), ..self.clone() }
    }

    /// Reads everything of the tenant, except the progress of the live run.
    pub(crate) async fn snapshot(&self, person: &Person) -> Value {
        let Self { project, run, live_project, live_run, .. } = self;
        let mut seen = json!({});
        for path in [
            "/api/auth/me".to_owned(),
            "/api/auth/sessions?limit=100".to_owned(),
            "/api/auth/api-keys?limit=100".to_owned(),
            "/api/mcp-servers".to_owned(),
            "/api/tools".to_owned(),
            "/api/tool-policies".to_owned(),
            "/api/agents?limit=100".to_owned(),
            format!("/api/agents/{}/versions?limit=100", self.agent),
            format!("/api/agents/{}/versions/1", self.agent),
            format!("/api/agents/{}/memory", self.agent),
            "/api/default-agent".to_owned(),
            "/api/prompts?limit=100".to_owned(),
            format!("/api/prompts/{}/versions/1", self.prompt),
            "/api/schedules?limit=100".to_owned(),
            format!("/api/schedules/{}", self.schedule),
            "/api/feedback?limit=100".to_owned(),
            "/api/datasets?limit=100".to_owned(),
            format!("/api/datasets/{}/items?limit=100", self.dataset),
            "/api/evaluations?limit=100".to_owned(),
            format!("/api/evaluations/{}/results?limit=100", self.evaluation),
            format!("/api/jobs/{}", self.job),
            "/api/webhooks".to_owned(),
            "/api/hooks".to_owned(),
            format!("/api/webhooks/{}/deliveries/{}", self.webhook, self.delivery),
            "/api/artifacts?limit=100".to_owned(),
            format!("/api/artifacts/{}", self.artifact),
            "/api/projects?limit=100".to_owned(),
            format!("/api/projects/{project}"),
            format!("/api/projects/{project}/messages?limit=100"),
            format!("/api/projects/{live_project}"),
            format!("/api/projects/{live_project}/messages?limit=100"),
            "/api/runs?limit=100".to_owned(),
            format!("/api/runs/{run}"),
            format!("/api/runs/{run}/events?limit=1000"),
            format!("/api/runs/{live_run}"),
        ] {
            seen[&path] = person.get(&path).await;
        }
        seen
    }

    /// Returns texts that identify the tenant's data: every id in a snapshot, names, secrets, messages.
    pub(crate) fn traces(&self, person: &Person, snapshot: &Value) -> BTreeSet<String> {
        let mut traces = BTreeSet::from([
            self.email.clone(),
            self.word.clone(),
            self.idempotency_key.clone(),
            self.chat.clone(),
            self.mcp_server.clone(),
            self.tool.clone(),
            self.agent_name.clone(),
            self.prompt.clone(),
            person.token.clone(),
            person.refresh_token.clone(),
        ]);
        ids(snapshot, &mut traces);
        for id in [
            &self.project,
            &self.run,
            &self.live_project,
            &self.live_run,
            &self.session,
            &self.api_key,
            &self.agent,
            &self.schedule,
            &self.dataset,
            &self.evaluation,
            &self.note,
            &self.artifact,
            &self.webhook,
            &self.delivery,
            &self.hook,
        ] {
            assert!(traces.contains(id), "the snapshot shows {id}");
        }
        traces
    }
}

impl Cursors {
    async fn of(
        person: &Person,
        project: &str,
        agent: &str,
        prompt: &str,
        dataset: &str,
        webhook: &str,
    ) -> Self {
        let messages = format!("/api/projects/{project}/messages?limit=1");
        Self {
            projects: next(person, "/api/projects?limit=1").await,
            messages: next(person, &messages).await,
            agents: next(person, "/api/agents?limit=1").await,
            agent_versions: next(person, &format!("/api/agents/{agent}/versions?limit=1")).await,
            prompts: next(person, "/api/prompts?limit=1").await,
            prompt_versions: next(person, &format!("/api/prompts/{prompt}/versions?limit=1")).await,
            schedules: next(person, "/api/schedules?limit=1").await,
            feedback: next(person, "/api/feedback?limit=1").await,
            datasets: next(person, "/api/datasets?limit=1").await,
            dataset_items: next(person, &format!("/api/datasets/{dataset}/items?limit=1")).await,
            evaluations: next(person, "/api/evaluations?limit=1").await,
            runs: next(person, "/api/runs?limit=1").await,
            my_runs: next(person, "/api/runs?mine=true&limit=1").await,
            sessions: next(person, "/api/auth/sessions?limit=1").await,
            api_keys: next(person, "/api/auth/api-keys?limit=1").await,
            audit: next(person, "/api/audit?limit=1").await,
            jobs: next(person, "/api/jobs?limit=1").await,
            deliveries: next(person, &format!("/api/webhooks/{webhook}/deliveries?limit=1")).await,
            artifacts: next(person, "/api/artifacts?limit=1").await,
            artifacts_of_type: next(person, "/api/entities?type=page&limit=1").await,
            ledger: next(person, "/api/billing/ledger?limit=1").await,
            invoices: next(person, "/api/billing/invoices?limit=1").await,
        }
    }
}

/// Creates a webhook and sends two tests to it. Then disables it, so that nothing is sent while others call, and waits until both
/// have failed. Returns the ids of the webhook and of one delivery.
async fn subscribe(person: &Person, word: &str) -> (String, String) {
    let new =
        json!({"url": format!("https://{word}.example/"), "events": ["run.failed"], "description": word});
    let webhook = person.post(Call::to("/api/webhooks").body(new)).await.json()["id"].clone();
    let path = format!("/api/webhooks/{}", webhook.as_str().unwrap());
    let mut delivery = json!(null);
    for _ in 0..2 {
        delivery = person.post(Call::to(format!("{path}/test"))).await.json()["id"].clone();
    }
    let disable = Call::to(&path).body(json!({"enabled": false}));
    person.read("PATCH", &disable, &person.bearer()).await;
    let failed = format!("{path}/deliveries?status=failed");
    while person.get(&failed).await["items"].as_array().unwrap().len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    (webhook.as_str().unwrap().to_owned(), delivery.as_str().unwrap().to_owned())
}

/// Announces an upload of `content`.
async fn offer(person: &Person, content: &str, word: &str) -> Value {
    let sha256 = sequent_artifacts::Digest::of(content.as_bytes());
    let body = json!({"sha256": sha256, "size": content.len(), "title": word, "media_type": "text/html",
        "entity_type": "page", "tags": [word]});
    person.post(Call::to("/api/artifacts/uploads").body(body)).await.json()
}

/// Creates an agent and a prompt with two versions each, and others of both, so that there are second pages. Returns the id and
/// the name of the agent and the name of the prompt.
async fn define(person: &Person, word: &str) -> (String, String, String) {
    let [agent_name, prompt] = ["agent", "prompt"].map(|kind| format!("{kind}-{word}"));
    for name in [&format!("another-{word}"), &prompt] {
        let body = json!({"name": name, "template": word, "change": word});
        person.post(Call::to("/api/prompts").body(body)).await;
    }
    let text = json!({"template": format!("{word} again")});
    person.post(Call::to(format!("/api/prompts/{prompt}/versions")).body(text)).await;
    let definition = json!({"description": word, "instructions": word, "prompts": [prompt], "memory": {}});
    let mut agent = json!(null);
    for name in [&format!("another-{word}"), &agent_name] {
        let body = json!({"name": name, "definition": definition, "change": word});
        agent = person.post(Call::to("/api/agents").body(body)).await.json()["id"].clone();
    }
    let agent = agent.as_str().unwrap().to_owned();
    let version = json!({"definition": definition});
    person.post(Call::to(format!("/api/agents/{agent}/versions")).body(version)).await;
    for path in [format!("/api/agents/{agent}"), format!("/api/prompts/{prompt}")] {
        let label = Call::to(format!("{path}/labels/production")).body(json!({"version": 1}));
        let set = person.read("PUT", &label, &person.bearer()).await;
        assert!(set.status.is_success(), "{set:?}");
    }
    (agent, agent_name, prompt)
}

/// Creates two schedules that are not due in this century, so that there is a second page. Returns one of them.
async fn plan(person: &Person, word: &str) -> String {
    let body = json!({"name": word, "input": word, "cron": "0 9 * * *", "starts_at": "2120-01-01T00:00:00Z"});
    person.post(Call::to("/api/schedules").body(body.clone())).await;
    let schedule = person.post(Call::to("/api/schedules").body(body)).await;
    schedule.json()["id"].as_str().unwrap().to_owned()
}

/// Rates the run and its answer, so that there is a second page. Returns the answer.
async fn rate(person: &Person, word: &str, run: &str) -> String {
    let shown = person.get(&format!("/api/runs/{run}/events?limit=100")).await;
    let events = shown["events"].as_array().unwrap();
    let started = events.iter().find(|event| event["type"] == "TEXT_MESSAGE_START").unwrap();
    let answer = started["messageId"].as_str().unwrap();
    for path in [format!("/api/runs/{run}/feedback"), format!("/api/runs/{run}/messages/{answer}/feedback")] {
        let rate = Call::to(path).body(json!({"thumb": "up", "comment": word}));
        let rated = person.read("PUT", &rate, &person.bearer()).await;
        assert!(rated.status.is_success(), "{rated:?}");
    }
    answer.to_owned()
}

/// Creates two datasets of two items each, so that there are second pages. Returns the last one.
async fn collect(person: &Person, word: &str) -> String {
    let mut dataset = json!(null);
    for _ in 0..2 {
        let items = json!({"given": [{"input": word}, {"input": word, "expected": word}]});
        let body = json!({"name": word, "items": items});
        dataset = person.post(Call::to("/api/datasets").body(body)).await.json()["id"].clone();
    }
    dataset.as_str().unwrap().to_owned()
}

/// Starts two evaluations, so that there is a second page, and waits for their ends. Returns one of them.
async fn evaluate(person: &Person, word: &str, dataset: &str, agent: &str) -> String {
    let body =
        json!({"name": word, "dataset_id": dataset, "agent": agent, "scorers": [{"type": "contains"}]});
    let mut evaluation = json!(null);
    for _ in 0..2 {
        evaluation = person.post(Call::to("/api/evaluations").body(body.clone())).await.json()["id"].clone();
        let path = format!("/api/evaluations/{}", evaluation.as_str().unwrap());
        while person.get(&path).await["completed_at"].is_null() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    evaluation.as_str().unwrap().to_owned()
}

/// Has the agent make a note about the person. Returns the id of the note.
async fn remember(person: &Person, agent: &str, word: &str) -> String {
    let call = format!("/demo tokens=1 rate=0 tool=remember args={}", json!({"note": word}));
    let said = json!({"agent": agent, "message": {"content": call}});
    let sent = person.post(Call::to("/api/chat/send").body(said)).await;
    let notes = person.get(&format!("/api/agents/{agent}/memory")).await;
    notes["items"][0]["id"].as_str().unwrap_or_else(|| panic!("no note was made: {sent:?}")).to_owned()
}

/// Stores two artifacts of the same bytes, so that there is a second page. Returns the first.
async fn keep(person: &Person, word: &str) -> String {
    let offered = offer(person, word, word).await;
    let put = &offered["put"];
    let mut upload = reqwest::Client::new().put(put["url"].as_str().unwrap()).body(word.to_owned());
    for (name, value) in put["headers"].as_object().unwrap() {
        if !matches!(name.as_str(), "host" | "content-length") {
            upload = upload.header(name, value.as_str().unwrap());
        }
    }
    assert!(upload.send().await.unwrap().status().is_success());
    let id = offered["id"].as_str().unwrap().to_owned();
    person.post(Call::to(format!("/api/artifacts/uploads/{id}/complete"))).await;
    assert!(offer(person, word, word).await["artifact"].is_object(), "the bytes are there");
    id
}

async fn next(person: &Person, path: &str) -> String {
    let page = person.get(path).await;
    page["next_cursor"].as_str().unwrap_or_else(|| panic!("{path} has one page: {page}")).to_owned()
}

/// Returns an unknown id.
fn random_id(prefix: &str) -> String {
    // The first character of a ULID is at most 7, because it holds three bits.
    let first = char::from(CROCKFORD[fastrand::usize(..8)]);
    let rest: String = (1..ULID).map(|_| char::from(CROCKFORD[fastrand::usize(..CROCKFORD.len())])).collect();
    format!("{prefix}_{first}{rest}")
}

/// Returns an unused name for an MCP server.
pub(super) fn random_server() -> String {
    format!("notes-{:016x}", fastrand::u64(..))
}

/// Returns a cursor to the same place with a forged signature.
fn resealed(cursor: &str) -> String {
    let seal: String = (0..20).map(|_| fastrand::alphanumeric()).collect();
    format!("{seal}{}", &cursor[20..])
}

fn ids(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let is_ulid =
                |text: &str| text.len() == ULID && text.bytes().all(|byte| CROCKFORD.contains(&byte));
            if text.split_once('_').is_some_and(|(_, rest)| is_ulid(rest)) {
                found.insert(text.clone());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| ids(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| ids(field, found)),
        _ => {}
    }
}
