//! Time and memory of a report with twenty pages and six charts as PDF, made by the deployed function.

use std::time::Duration;

use anyhow::{Context, ensure};
use http::Method;
use sequent_core::Timestamp;
use sequent_documents::testing;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    background::Background,
    client::Client,
    process,
    report::{Report, Row},
    sample::Sample,
};

const LOOK: Duration = Duration::from_millis(20);

pub(crate) async fn measure(system: &Background, quick: bool, report: &mut Report) -> anyhow::Result<()> {
    let client = system.sign_up().await?;
    let mut first = None;
    let mut worked = Vec::new();
    let mut bytes = 0;
    for n in 0..=if quick { 2 } else { 10 } {
        let id = upload(&client, n).await?;
        let job = export(&client, &id).await?;
        let time = |name: &str| -> anyhow::Result<Timestamp> {
            serde_json::from_value(job[name].clone()).context("the job has not ended")
        };
        let ms = (time("completed_at")?.millis() - time("started_at")?.millis()) as f64;
        match first {
            None => first = Some(ms), // has no parsed fonts yet
            Some(_) => worked.push(ms),
        }
        let file = job["artifacts"][0].as_str().context("a job without a file")?;
        let file = client.json(Method::GET, &format!("/api/artifacts/{file}"), None).await?;
        bytes = file["size"].as_u64().unwrap_or_default();
    }
    let instances = system.instances("ExportWorkerFunction");
    let peak = instances.into_iter().map(process::peak).max().unwrap_or_default();
    let sample = Sample::of_ms(worked);
    report.add(Row::new("PDF of 20 pages, 6 charts, p50", sample.median(), "ms").note(format!(
        "by the job's row, storing it in the emulator's S3 included; {}; the first of an instance {:.0} ms; {} KiB",
        sample.summary(),
        first.unwrap_or_default(),
        bytes / 1024
    )));
    let mib = peak as f64 / f64::from(1 << 20);
    report.add(
        Row::new("PDF of 20 pages, 6 charts, peak memory", mib, "MiB")
            .at_most(2048.0)
            .note("of the function's process; the target is what it is given"),
    );
    Ok(())
}

/// Uploads a report that differs each time, because equal reports are exported once.
async fn upload(client: &Client, n: usize) -> anyhow::Result<String> {
    let mut document = serde_json::to_value(testing::report())?;
    document["subtitle"] = json!(format!("Number {n}"));
    let bytes = serde_json::to_vec(&document)?;
    let offer = json!({"sha256": sha256(&bytes), "size": bytes.len(), "title": "Report", "media_type": "application/json",
        "entity_type": "report"});
    let offered = client.json(Method::POST, "/api/artifacts/uploads", Some(&offer)).await?;
    client.put(&offered["put"], bytes).await?;
    let id = offered["id"].as_str().context("an offer without an id")?.to_owned();
    client.json(Method::POST, &format!("/api/artifacts/uploads/{id}/complete"), None).await?;
    Ok(id)
}

/// Returns the digest of bytes as an upload announces it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Exports an artifact and returns the finished job.
async fn export(client: &Client, id: &str) -> anyhow::Result<Value> {
    let asked = json!({"artifact_id": id, "format": "pdf"});
    let mut job = client.json(Method::POST, "/api/exports", Some(&asked)).await?;
    while matches!(job["status"].as_str(), Some("pending" | "running")) {
        tokio::time::sleep(LOOK).await;
        let path = format!("/api/jobs/{}", job["id"].as_str().unwrap_or_default());
        job = client.json(Method::GET, &path, None).await?;
    }
    ensure!(job["status"] == "success", "the export failed: {job}");
    Ok(job)
}
