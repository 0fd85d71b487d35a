//! A plan of independent steps, each executed by a child run, through the whole stack.

use std::time::Duration;

use anyhow::ensure;
use sequent_core::RunId;
use sequent_event::Body;
use sequent_runlog::LogKey;
use serde_json::json;

use crate::{
    background::Background,
    report::{Report, Row},
    runs::{Log, now_ms, submit},
    sample::Sample,
};

const LOOK: Duration = Duration::from_millis(100);

/// A child run, from its entry in the parent's log to its end.
struct Child {
    run: RunId,
    written: f64,
    claimed: f64,
    finished: f64,
}

/// Measures duration, rate and write units.
pub(crate) async fn measure(system: &Background, quick: bool, report: &mut Report) -> anyhow::Result<()> {
    let count = if quick { 10 } else { 50 };
    let client = system.sign_up().await?;
    // Start the instances that the children of the first plan need.
    let warm = submit(&client, &planned(5)).await?;
    Log::ended(system.store(), warm, LOOK).await?;

    let asked = now_ms();
    let key = submit(&client, &planned(count)).await?;
    let parent = Log::ended(system.store(), key, LOOK).await?;
    let children = children(system, key, &parent).await?;
    ensure!(children.len() == count, "{} of {count} children succeeded", children.len());

    let seconds = |from: f64, to: f64| (to - from) / 1e3;
    let written = children.iter().map(|child| child.written).fold(f64::MAX, f64::min);
    let last = children.iter().map(|child| child.finished).fold(0.0, f64::max);
    let reports = parent.bodies().filter(|(_, body)| matches!(body, Body::SubagentFinished { .. }));
    let taken_in = reports.last().map_or(last, |(at, _)| at.millis() as f64);
    let end = parent.finished()?;
    report.add(Row::new(format!("fan-out of {count}, to the parent's end"), seconds(asked, end), "s").note(
        format!(
            "claimed after {:.2} s, first child written down after {:.2}, last one ended after {:.2}, taken in after {:.2}; {} at once; stream and queue are the emulator's",
            seconds(asked, parent.claimed()?),
            seconds(asked, written),
            seconds(asked, last),
            seconds(asked, taken_in),
            most_at_once(&parent),
        ),
    ));
    let waited = Sample::of_ms(children.iter().map(|child| child.claimed - child.written));
    let worked = Sample::of_ms(children.iter().map(|child| child.finished - child.claimed));
    let pace = count as f64 / seconds(written, last);
    report.add(Row::new(format!("children a second, of {count}"), pace, "1/s").note(format!(
        "to its claim a child waited {}; it executed {}",
        waited.summary(),
        worked.summary()
    )));
    report.add(price(&parent, count));
    Ok(())
}

/// Returns the write units of the parent's log, and the part with updates of the plan.
fn price(parent: &Log, count: usize) -> Row {
    let plans = |segment: &sequent_runlog::Segment| {
        let updates = |body: &Body| matches!(body, Body::PlanUpdated { .. } | Body::PlanStepUpdated { .. });
        segment.events().filter(|event| event.body().is_some_and(updates)).count()
    };
    let planned = parent.segments.iter().zip(&parent.units).filter(|(segment, _)| plans(segment) > 0);
    let updates: usize = parent.segments.iter().map(plans).sum();
    let claims = parent.bodies().filter(|(_, body)| matches!(body, Body::RunClaimed { .. })).count();
    Row::new(format!("write units, log of the {count}'s parent"), parent.units.iter().sum(), "units").note(
        format!(
            "{} segments, {} of the units in those with one of {updates} updates of the plan; {claims} claims; by the items' sizes, transactions twice, rows of main not counted",
            parent.segments.len(),
            planned.map(|(_, units)| units).sum::<f64>(),
        ),
    )
}

/// Returns a request for `count` independent steps. A directive gives the demo its plan.
pub(crate) fn planned(count: usize) -> serde_json::Value {
    let steps = (0..count).map(|n| {
        let instructions = "/demo tokens=20 rate=0";
        json!({"id": format!("step{n}"), "title": format!("Part {n}"), "instructions": instructions, "independent": true})
    });
    // The argument of a directive contains no spaces.
    let plan = json!({"steps": steps.collect::<Vec<_>>()}).to_string().replace(' ', "\\u0020");
    let script =
        format!("Do all parts.\n/demo tokens=5 rate=0 tool=write_plan args={plan}\n/demo tokens=20 rate=0");
    json!({"input": script, "model": "demo", "orchestration": "plan"})
}

/// Returns the children in the parent's log, with times from their own logs.
async fn children(system: &Background, key: LogKey, parent: &Log) -> anyhow::Result<Vec<Child>> {
    let mut children = Vec::new();
    for (at, body) in parent.bodies() {
        match body {
            Body::SubagentStarted { subagent_run_id, .. } => {
                let run = *subagent_run_id;
                let written = at.millis() as f64;
                children.push(Child { run, written, claimed: 0.0, finished: 0.0 });
            }
            Body::SubagentError { message, code, .. } => anyhow::bail!("a child failed: {code}: {message}"),
            _ => {}
        }
    }
    for child in &mut children {
        let log = Log::ended(system.store(), LogKey { run: child.run, ..key }, LOOK).await?;
        (child.claimed, child.finished) = (log.claimed()?, log.finished()?);
    }
    Ok(children)
}

/// Returns the largest number of children that were live at once.
fn most_at_once(parent: &Log) -> usize {
    let mut live = 0_usize;
    let mut most = 0;
    for (_, body) in parent.bodies() {
        match body {
            Body::SubagentStarted { .. } => live += 1,
            Body::SubagentFinished { .. } => live = live.saturating_sub(1),
            _ => {}
        }
        most = most.max(live);
    }
    most
}
