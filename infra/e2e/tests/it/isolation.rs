//! Tenants cannot read or change each other's data, whatever ids they use.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{
    stripe::selling,
    surface::{Access, Answer, Belongings, Call, Entry, Foreign, Header, Person, entries},
    system::PATIENCE,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

/// Switches billing on, with more credits than a test can spend.
const PAID: [(&str, &str); 2] =
    [("BILLING_WELCOME", "1000000000000"), ("BILLING_PLANS", r#"{"pro":{"concurrent_runs":1000}}"#)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_of_another_tenant_do_not_exist() {
    let (stripe, system) = selling(&PAID).await;
    let (alice, bob) = tokio::join!(
        Person::sign_up(&system, "alice@example.com"),
        Person::sign_up(&system, "bob@example.com")
    );
    for person in [&alice, &bob] {
        stripe.subscribed(person).await;
    }
    let (alices, bobs) = tokio::join!(Belongings::of(&alice), Belongings::of(&bob));
    let before = alices.snapshot(&alice).await;
    let said_before = log(&alice, &alices.live_run).await;
    let traces = alices.traces(&alice, &before);
    let mut entries = entries(&alice).await;
    // The calls share their sessions.
    entries.retain(|entry| !entry.route.ends_with("/logout"));

    let key = json!({"name": "all", "scopes":
        ["projects:read", "projects:write", "chat", "runs:read", "runs:write", "agents:read",
            "agents:write", "evaluations:read", "evaluations:write", "schedules:read", "schedules:write", "tools:read", "tools:write", "artifacts:read", "artifacts:write", "webhooks:read", "webhooks:write", "account"]});
    let key = bob.post(Call::to("/api/auth/api-keys").body(key)).await.json();
    let by_key = vec![("x-api-key", key["key"].as_str().unwrap().to_owned())];
    let stranger = Stranger { bob: &bob, alices: alices.called_from(&bobs.home), traces: &traces };
    let tries = entries.iter().map(async |entry| {
        let tried = stranger.tries(entry, &bob.bearer()).await;
        // One after the other, because a key in use is a conflict, also between two credentials of one
        // tenant.
        let again = entry.access != Access::Public;
        tried + if again { stranger.tries(entry, &by_key).await } else { 0 }
    });
    let counts: Vec<usize> = stream::iter(tries).buffer_unordered(4).collect().await;
    let calls: usize = counts.iter().sum();
    println!("{calls} calls on {} routes, {} traces looked for", entries.len(), traces.len());

    assert_eq!(alices.snapshot(&alice).await, before, "nothing of hers has changed");
    let said = log(&alice, &alices.live_run).await;
    assert_eq!(said[..said_before.len()], said_before[..], "her run goes on from where it was");
    assert!(said.iter().all(|event| event["type"] != "CANCEL_REQUESTED" && event["type"] != "RUN_FINISHED"));
    let theirs = bobs.snapshot(&bob).await.to_string();
    assert_eq!(leaked(&theirs, &traces), None, "his lists hold nothing of hers");

    the_owner_is_served(&alice, &alices, &entries).await;
}

/// Checks that the owner's calls succeed. Otherwise a malformed call would look like a refusal. Deletions come last, and those
/// of parts before those of the whole.
async fn the_owner_is_served(alice: &Person, alices: &Belongings, entries: &[Entry]) {
    let mut ordered: Vec<&Entry> = entries.iter().collect();
    ordered.sort_by_key(|entry| {
        (entry.method() == "DELETE", std::cmp::Reverse(entry.route.matches('/').count()))
    });
    for entry in ordered {
        for call in (entry.calls)(alices) {
            if matches!(call.foreign, Foreign::Same | Foreign::Taken) {
                continue;
            }
            let status = alice.send(entry.method(), &call, &alice.bearer()).await.status();
            // A conflict with a live run also shows that the owner's project was found.
            assert!(
                status.is_success() || status == 409 || status == 422,
                "{}: its owner gets {status} from {call:?}",
                entry.route
            );
        }
    }
}

/// Bob, who knows every id of Alice's.
struct Stranger<'a> {
    bob: &'a Person,
    alices: Belongings,
    traces: &'a BTreeSet<String>,
}

impl Stranger<'_> {
    /// Makes all calls of a route, each with Alice's ids and once more with unknown ids.
    async fn tries(&self, entry: &Entry, credential: &[Header]) -> usize {
        let hers = (entry.calls)(&self.alices);
        let nobodys = (entry.calls)(&self.alices.nobodys());
        let count = hers.len();
        for (hers, nobodys) in hers.into_iter().zip(nobodys) {
            let foreign = hers.foreign;
            let what = format!("{} {hers:?}", entry.method());
            let answer = self.bob.read(entry.method(), &hers, credential).await;
            check(foreign, &answer, &what);
            let text = format!("{:?} {}", answer.headers, answer.body);
            assert_eq!(leaked(&text, self.traces), None, "{what}: {answer:?}");
            if foreign != Foreign::Taken {
                let expected = self.bob.read(entry.method(), &nobodys, credential).await.shape();
                let mut shape = answer.shape();
                // A chat of his own may still be live because of an earlier call.
                let asked = Instant::now();
                while foreign == Foreign::Own && shape != expected && asked.elapsed() < PATIENCE {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    shape = self.bob.read(entry.method(), &hers, credential).await.shape();
                }
                assert_eq!(shape, expected, "{what}: the response differs from that for an unknown id");
            }
        }
        count
    }
}

fn check(foreign: Foreign, answer: &Answer, what: &str) {
    let problem = |status: u16, code: &str| {
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        assert_eq!(answer.json()["code"], code, "{what}");
    };
    match foreign {
        Foreign::Missing => problem(404, "not_found"),
        Foreign::NoAgent => problem(404, "agent_not_found"),
        Foreign::NoPrompt => problem(404, "prompt_not_found"),
        Foreign::Refused => problem(422, "attachment_not_found"),
        Foreign::BadCursor => problem(400, "invalid_cursor"),
        Foreign::Taken => problem(409, "email_taken"),
        // Only sessions have a CSRF token, so an API key gets this problem.
        Foreign::Own if answer.status == 400 => problem(400, "no_session"),
        Foreign::Own => assert!(answer.status.is_success(), "{what}: {answer:?}"),
        Foreign::Same => assert!(!answer.status.is_server_error(), "{what}: {answer:?}"),
    }
}

/// Returns the first trace in a text.
fn leaked<'a>(text: &str, traces: &'a BTreeSet<String>) -> Option<&'a String> {
    traces.iter().find(|trace| text.contains(*trace))
}

async fn log(person: &Person, run: &str) -> Vec<Value> {
    let page = person.get(&format!("/api/runs/{run}/events?limit=1000")).await;
    page["events"].as_array().unwrap().clone()
}
