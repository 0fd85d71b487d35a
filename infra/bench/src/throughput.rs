//! Complete turns per second with many concurrent clients, and the memory of the instances under that load.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::{
    client::Client,
    cold_start::mb,
    process,
    report::{Report, Row},
    sample::Sample,
    stack::Stack,
};

const TARGET: f64 = 80.0;
const CLIENTS: usize = 16;
pub(crate) const TOKENS: usize = 100;
/// Turns per conversation before a new one begins.
const CONVERSATION: usize = 10;

/// Measures turns per second, then the memory of the instances.
pub(crate) async fn measure(
    stack: &Stack,
    client: &Client,
    quick: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    // Start the instances and open the connections.
    run(client, Duration::from_secs(1), &plain()).await?;
    let chat = stack.instances("ChatFunction");
    let before = usage(stack, &chat);
    let began = Instant::now();
    let turns = run(client, Duration::from_secs(if quick { 3 } else { 15 }), &plain()).await?;
    let elapsed = began.elapsed().as_secs_f64();
    let after = usage(stack, &chat);
    // Repeat the load with counting, which costs a little. The database's time shows which side is the limit.
    stack.begin_count().await?;
    let counted = run(client, Duration::from_secs(2), &plain()).await?.len().max(1);
    let used = stack.end_count().await?;
    let writes = Sample::of_ms(used.write_ms.iter().copied());
    let cores = |who: usize| (after[who] - before[who]).as_secs_f64() / elapsed;
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let functions = cores(0);
    let database = cores(1);
    let bench = cores(2);
    report.add(
        Row::new("turns of 100 tokens, 16 clients", turns.len() as f64 / elapsed, "1/s").at_least(TARGET).note(format!(
            "{}; of {available} cores the functions used {functions:.2}, the database {database:.2}, clients and origin {bench:.2}; {:.1} writes a turn, at the database {}",
            Sample::new(turns).summary(),
            writes.len() as f64 / counted as f64,
            writes.summary()
        )),
    );
    let resident = Sample::of_ms(chat.iter().map(|pid| mb(process::memory(*pid).resident)));
    let anonymous = Sample::of_ms(chat.iter().map(|pid| mb(process::memory(*pid).anonymous)));
    report.add(Row::new("resident after load, chat", resident.median(), "MB").note(format!(
        "median of {} instances, largest {:.1}; {:.1} MB allocated each",
        chat.len(),
        resident.max(),
        anonymous.median()
    )));
    Ok(())
}

fn usage(stack: &Stack, chat: &[u32]) -> [Duration; 3] {
    let functions = chat.iter().map(|pid| process::cpu(*pid)).sum();
    [functions, process::cpu(stack.database_pid()), process::cpu(std::process::id())]
}

/// Returns the message of a turn without tools, at full speed.
pub(crate) fn plain() -> String {
    format!("/demo tokens={TOKENS} rate=0")
}

/// Lets clients send `content` repeatedly, and returns the duration of each turn that began within `time`.
pub(crate) async fn run(client: &Client, time: Duration, content: &str) -> anyhow::Result<Vec<Duration>> {
    let end = Arc::new(Instant::now() + time);
    let clients = (0..CLIENTS).map(|_| {
        let client = client.clone();
        let end = end.clone();
        let content = content.to_owned();
        tokio::spawn(async move {
            let mut turns = Vec::new();
            let mut project = None;
            while Instant::now() < *end {
                let began = Instant::now();
                project = Some(turn(&client, project.as_deref(), &content).await?);
                turns.push(began.elapsed());
                if turns.len() % CONVERSATION == 0 {
                    project = None;
                }
            }
            anyhow::Ok(turns)
        })
    });
    let mut turns = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        turns.extend(client.await??);
    }
    Ok(turns)
}

/// Makes one complete turn: sends the message and reads the response to its end.
async fn turn(client: &Client, project: Option<&str>, content: &str) -> anyhow::Result<String> {
    let mut body = json!({"message": {"content": content}, "model": "demo"});
    if let Some(project) = project {
        body["project_id"] = json!(project);
    }
    let mut stream = client.stream("/api/chat/send", &body).await?;
    let mut last = String::new();
    while let Some(event) = stream.next().await? {
        last = event.name;
    }
    ensure!(last == "RUN_FINISHED", "a turn ended with {last:?}");
    stream.project.context("the answer names its project")
}
