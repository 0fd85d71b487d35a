//! Exports: files made of a document, a run or a conversation, each by one job.

use sequent_core::{ArtifactId, JobId, ProjectId, RunId, TenantId};
use sequent_documents::Format;
use sequent_jobs::{NewJob, Queue};
use sequent_tables::{Write, attribute, attributes::DELETING, exists, key};
use serde::{Deserialize, Serialize};

use crate::Digest;

/// The input of the job `render_export`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Export {
    pub source: Source,
    /// Digest of the source's content at the time of the request: other content is another export.
    pub version: Digest,
    pub format: Format,
    /// Number of earlier exports of the same content that failed or had their file deleted.
    #[serde(default)]
    pub again: u32,
}

/// The source of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A document that is stored as an artifact.
    Artifact(ArtifactId),
    /// The events of a run.
    Run(RunId),
    /// A conversation with its runs and their artifacts.
    Project(ProjectId),
}

impl Source {
    /// Returns the id of the source as text.
    #[must_use]
    pub fn id(self) -> String {
        match self {
            Self::Artifact(id) => id.to_string(),
            Self::Run(id) => id.to_string(),
            Self::Project(id) => id.to_string(),
        }
    }

    /// The formats that the source can be exported to. Some types of documents have fewer.
    #[must_use]
    pub const fn formats(self) -> &'static [Format] {
        match self {
            Self::Artifact(_) => &[Format::Pdf, Format::Html, Format::Markdown, Format::Json, Format::Zip],
            Self::Run(_) => &[Format::Jsonl, Format::Html, Format::Markdown],
            Self::Project(_) => &[Format::Zip],
        }
    }
}

impl Export {
    /// The type of the job.
    pub const TYPE: &'static str = "render_export";

    /// The job key. Equal keys mean equal content, format and renderer.
    ///
    /// # Panics
    /// Never: an export is plain data.
    #[must_use]
    pub fn key(&self) -> String {
        let text = serde_json::to_vec(&(self, Format::RENDERERS)).expect("an export is plain data");
        Digest::of(&text).to_string()
    }

    /// The job that makes the file. `run` is the run of the document, if the source is a document of a run. The
    /// deletion of that run must find the job also if the document was deleted before.
    ///
    /// # Panics
    /// Never: an export is plain data.
    #[must_use]
    pub fn job(&self, tenant: TenantId, run: Option<RunId>) -> NewJob {
        NewJob {
            tenant,
            id: JobId::new(),
            job_type: Self::TYPE.to_owned(),
            job_key: Some(self.key()),
            queue: Queue::Exports,
            internal: false,
            input: serde_json::to_value(self).expect("an export is plain data"),
            about: Some(run.map_or_else(|| self.source.id(), |run| run.to_string())),
            run: None,
            tool_call_id: None,
        }
    }
}

impl Export {
    /// The condition that the source has not been deleted. A deletion removes the row of a run, and marks a project, before
    /// it looks for exports: what is enqueued under this condition is found. `run` is as in [`job`](Self::job).
    #[must_use]
    pub fn source_exists(&self, tenant: TenantId, run: Option<RunId>) -> Write {
        match (self.source, run) {
            (Source::Run(run), _) | (Source::Artifact(_), Some(run)) => {
                Write::require(&key::run(tenant, run)).when(exists())
            }
            (Source::Artifact(artifact), None) => {
                Write::require(&key::artifact(tenant, artifact)).when(exists())
            }
            (Source::Project(project), _) => {
                let is_kept = attribute(DELETING).is_absent();
                Write::require(&key::project(tenant, project)).when(exists()).when(is_kept)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_depends_on_content_and_format() {
        let export = Export {
            source: Source::Run(RunId::from_bits(1)),
            version: Digest::of(b"1"),
            format: Format::Jsonl,
            again: 0,
        };
        assert_eq!(export.key(), export.clone().key());
        let others = [
            Export { version: Digest::of(b"2"), ..export.clone() },
            Export { format: Format::Html, ..export.clone() },
            Export { source: Source::Run(RunId::from_bits(2)), ..export.clone() },
            Export { again: 1, ..export.clone() },
        ];
        assert!(others.iter().all(|other| other.key() != export.key()));
        let new = export.job(TenantId::from_bits(3), None);
        assert_eq!(new.about, Some(RunId::from_bits(1).to_string()), "the deletion of the run finds it");
        assert_eq!(serde_json::from_value::<Export>(new.input).unwrap(), export);
    }
}
