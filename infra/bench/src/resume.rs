//! The time that a client needs to read a run of 10,000 events from the start.

use std::time::Instant;

use anyhow::{Context, ensure};
use http::Method;
use http_body_util::BodyExt;
use sequent_conversation::{NewRun, Run, RunStore, Runs, closing_bodies, create_claimed, finish};
use sequent_core::{MessageId, ProjectId, RunId};
use sequent_event::{Body, Role, RunOutcome};
use sequent_runlog::{DynamoStorage, Finish, LogKey, Settings, read_all};

use crate::{
    client::Client,
    report::{Report, Row},
    sample::Sample,
    stack::Stack,
};

const TARGET_MS: f64 = 150.0;
const EVENTS: usize = 10_000;

/// Adds one row to the report.
pub(crate) async fn measure(
    stack: &Stack,
    client: &Client,
    quick: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let storage = DynamoStorage::new(stack.store());
    let key = LogKey { tenant: client.tenant.context("signed in")?, run: RunId::new() };
    write(&storage, client, key).await?;
    let mut times = Vec::new();
    let mut bytes = 0;
    for n in 0..if quick { 4 } else { 16 } {
        let began = Instant::now();
        let headers = [("last-event-id", "0"), ("accept", "text/event-stream")];
        let answer =
            client.call(Method::GET, &format!("/api/runs/{}/events", key.run), &headers, None).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        // The first request may have started an instance.
        if n > 0 {
            times.push(began.elapsed());
        }
        bytes = body.len();
        let events = String::from_utf8_lossy(&body).matches("\nevent: ").count();
        ensure!(events == EVENTS, "{events} events were replayed");
    }
    let began = Instant::now();
    read_all(&storage, key).await?;
    let read = began.elapsed().as_secs_f64() * 1e3;
    let times = Sample::new(times);
    report.add(Row::new("resume of 10,000 events", times.median(), "ms").at_most(TARGET_MS).note(format!(
        "{}; {:.1} MB; reading and decoding the log alone takes {read:.1} ms",
        times.summary(),
        bytes as f64 / 1e6
    )));
    Ok(())
}

/// Writes a finished run of that many small events, 64 per segment, like a run of an hour.
async fn write(storage: &DynamoStorage, client: &Client, key: LogKey) -> anyhow::Result<()> {
    let settings = Settings { merge: false, ..Settings::default() };
    let runs = RunStore::new(storage.clone(), settings);
    let user = client.user.context("signed in")?;
    let new = NewRun {
        run: key.run,
        new_project: true,
        ..NewRun::new(key.tenant, user, ProjectId::new(), "a long task")
    };
    let writer = create_claimed(&runs, &new, None).await?;
    let message_id = MessageId::new();
    writer.append(Body::TextMessageStart { message_id, role: Role::Assistant }).await?;
    // Before it come the message, the claim and the start; after it the ends of the message and of the run.
    for n in 0..EVENTS - 6 {
        writer.append(Body::TextMessageContent { message_id, delta: format!("word{n} ") }).await?;
    }
    writer.append(Body::TextMessageEnd { message_id }).await?;
    writer.flush().await?;
    let run: Run = Runs::new(storage.store(), key.tenant).get(key.run).await?;
    let mut bodies = closing_bodies(writer.opening());
    bodies.push(Body::RunFinished { thread_id: new.project, run_id: key.run, outcome: RunOutcome::Success });
    let known = *writer.signals().borrow();
    let done = finish(&writer, key.tenant, &run, known, bodies).await?;
    ensure!(matches!(done, Finish::Done(_)), "the run did not end");
    Ok(())
}
