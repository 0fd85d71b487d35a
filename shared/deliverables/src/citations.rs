//! `bind_citations`: the job that binds the claims of a report to the sources that its run has cited.

use std::time::Duration;

use sequent_artifacts::{Artifacts, Origin};
use sequent_core::ArtifactId;
use sequent_documents::Document;
use sequent_event::State;
use sequent_jobs::{Context, Done, Failed, JobKind};
use sequent_runlog::{LogKey, Segment, read_all};
use serde::{Deserialize, Serialize};

use crate::{
    bind::{Bound, bind},
    failed, read,
    write::described,
};

/// The job kind `bind_citations`.
#[derive(Debug, Clone)]
pub struct BindCitations(pub Artifacts);

/// The input of [`BindCitations`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CitationsInput {
    /// The artifact with the report.
    pub artifact_id: ArtifactId,
}

impl JobKind for BindCitations {
    const TYPE: &'static str = "bind_citations";
    const TIMEOUT: Duration = Duration::from_secs(120);
    type Input = CitationsInput;

    fn key(input: &Self::Input) -> Option<String> {
        Some(input.artifact_id.to_string())
    }

    async fn run(&self, input: Self::Input, context: Context) -> Result<Done, Failed> {
        let Some(run) = context.run else {
            return Err(Failed::Poison(
                "The job belongs to no run, so there are no citations to bind.".to_owned(),
            ));
        };
        let Document::Report(mut report) = read(&self.0, context.tenant, input.artifact_id).await? else {
            return Err(Failed::Poison("The document is not a report.".to_owned()));
        };
        let segments = read_all(&context.storage, LogKey { tenant: context.tenant, run }).await;
        let segments = segments.map_err(Failed::retry)?;
        let events: Vec<_> = segments.iter().flat_map(Segment::events).collect();
        let cited = State::of(&events).map_err(Failed::retry)?.citations;
        let before = report.clone();
        let bound = bind(&mut report, &cited);
        let result = summary(&bound);
        if report == before {
            return Ok(Done::text(result));
        }
        let report = Document::Report(report);
        // Checked before it is stored, so that it can be read again.
        if let Err(invalid) = Document::parse(report.to_json()) {
            return Err(Failed::Poison(format!("The report is not valid with its citations: {invalid}")));
        }
        let id = ArtifactId::from_bits(context.job.bits());
        let origin = Origin { run: Some(run), job: Some(context.job), ..Origin::default() };
        let description = described(&report, &["cited"]);
        let bytes = report.to_json().into();
        let done = self.0.leave(context.tenant, id, description, origin, bytes).await.map_err(failed)?;
        Ok(Done { result, ..done })
    }
}

fn summary(bound: &Bound) -> String {
    let mut summary = format!("{} claims were bound to sources.", bound.claims);
    for (label, sources) in [
        ("Listed in the report, but not cited by the run", &bound.uncited),
        ("Cited by the run, but used by no claim", &bound.unused),
    ] {
        if !sources.is_empty() {
            summary += &format!(" {label}: {}.", sources.join(", "));
        }
    }
    summary
}
