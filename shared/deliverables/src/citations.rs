//! `bind_citations`: the claims of a report are bound to the sources that its run has cited.

use std::time::Duration;

use sequent_artifacts::{Artifacts, Origin};
use sequent_core::ArtifactId;
use sequent_documents::Document;
use sequent_event::State;
use sequent_jobs::{Context, Done, Failed, Kind};
use sequent_runlog::{LogKey, Segment, read_all};
use serde::{Deserialize, Serialize};

use crate::{
    bind::{Bound, bind},
    failed, read,
    write::described,
};

/// Binds citations.
#[derive(Debug, Clone)]
pub struct BindCitations(pub Artifacts);

/// In which report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CitationsInput {
    /// The report.
    pub artifact_id: ArtifactId,
}

impl Kind for BindCitations {
    const TYPE: &'static str = "bind_citations";
    const TIMEOUT: Duration = Duration::from_secs(120);
    type Input = CitationsInput;

    fn key(input: &Self::Input) -> Option<String> {
        Some(input.artifact_id.to_string())
    }

    async fn run(&self, input: Self::Input, context: Context) -> Result<Done, Failed> {
        let Some(run) = context.run else {
            return Err(Failed::Poison(
                "Citations are those of a run, and no run asked for this.".to_owned(),
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
        let result = told(&bound);
        if report == before {
            return Ok(Done::text(result));
        }
        let report = Document::Report(report);
        // What is stored can be read again.
        if let Err(invalid) = Document::parse(report.to_json()) {
            return Err(Failed::Poison(format!(
                "With its citations the report does not hold its rules: {invalid}"
            )));
        }
        let id = ArtifactId::from_bits(context.job.bits());
        let origin = Origin { run: Some(run), job: Some(context.job), ..Origin::default() };
        let (described, bytes) = (described(&report, &["cited"]), report.to_json().into());
        let left = self.0.leave(context.tenant, id, described, origin, bytes).await.map_err(failed)?;
        Ok(Done { result, ..left })
    }
}

fn told(bound: &Bound) -> String {
    let mut told = format!("{} claims were bound to sources.", bound.claims);
    for (what, sources) in [
        ("Named in the report, but not cited by the run", &bound.unknown),
        ("Cited by the run, but no claim rests on it", &bound.idle),
    ] {
        if !sources.is_empty() {
            told += &format!(" {what}: {}.", sources.join(", "));
        }
    }
    told
}
