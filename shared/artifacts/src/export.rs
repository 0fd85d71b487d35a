//! What may be exported, and the one job there is of it.

use sequent_core::{ArtifactId, JobId, ProjectId, RunId, TenantId};
use sequent_documents::Format;
use sequent_jobs::{New, Queue};
use serde::{Deserialize, Serialize};

use crate::Digest;

/// Something to be made a file of: the input of the job `render_export`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// What.
    pub source: Source,
    /// Of the content as it was when somebody asked: other content is another export.
    pub version: Digest,
    /// In which format.
    pub format: Format,
    /// How often the file was made, and deleted, before.
    #[serde(default)]
    pub again: u32,
}

/// What a file can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A document that is kept as an artifact.
    Artifact(ArtifactId),
    /// What happened in a run.
    Run(RunId),
    /// A conversation with its runs and what they made.
    Project(ProjectId),
}

impl Source {
    /// The formats there are. Not every type of document has all of a document's.
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

    /// The same for the same content, format and renderer, and for no others.
    ///
    /// # Panics
    /// Never: an export is plain data.
    #[must_use]
    pub fn key(&self) -> String {
        let text = serde_json::to_vec(&(self, Format::RENDERERS)).expect("an export is plain data");
        Digest::of(&text).to_string()
    }

    /// The job that makes the file.
    ///
    /// # Panics
    /// Never: an export is plain data.
    #[must_use]
    pub fn job(&self, tenant: TenantId) -> New {
        New {
            tenant,
            id: JobId::new(),
            job_type: Self::TYPE.to_owned(),
            job_key: Some(self.key()),
            queue: Queue::Exports,
            input: serde_json::to_value(self).expect("an export is plain data"),
            run: None,
            tool_call_id: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_that_of_its_content_and_format() {
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
        let new = export.job(TenantId::from_bits(3));
        assert_eq!(serde_json::from_value::<Export>(new.input).unwrap(), export);
    }
}
