//! An artifact's row, and what may be said of one.

use sequent_core::{ArtifactId, JobId, RunId, Timestamp, UserId};
use sequent_tables::key::ListedBy;
use serde::{Deserialize, Serialize};

use crate::Digest;

const LONGEST_TITLE: usize = 200;
const LONGEST_NAME: usize = 64;
const LONGEST_MEDIA_TYPE: usize = 100;
const MOST_TAGS: usize = 10;

/// Bytes that are kept, and what they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Artifact {
    /// Its id.
    pub id: ArtifactId,
    /// What it is called.
    pub title: String,
    /// What it is, such as `report` or `file`.
    pub entity_type: String,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Of the bytes (RFC 6838).
    pub media_type: String,
    /// How many bytes.
    pub size: u64,
    /// Of the bytes.
    pub sha256: Digest,
    /// The run that made it.
    #[serde(default)]
    pub run_id: Option<RunId>,
    /// The tool call that made it.
    #[serde(default)]
    pub tool_call_id: Option<String>,
    /// The job that made it.
    #[serde(default)]
    pub job_id: Option<JobId>,
    /// Who uploaded it.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// What the bytes are, as whoever stores them says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// What they are called.
    pub title: String,
    /// What they are.
    pub entity_type: String,
    /// Words to find them by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What reads them.
    pub media_type: String,
}

/// Who makes an artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The run.
    #[serde(default)]
    pub run: Option<RunId>,
    /// The run's tool call.
    #[serde(default)]
    pub tool_call: Option<String>,
    /// The job.
    #[serde(default)]
    pub job: Option<JobId>,
    /// The person who uploads it.
    #[serde(default)]
    pub user: Option<UserId>,
}

/// What is wrong with a description, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct Invalid {
    /// The field.
    pub field: &'static str,
    /// What it must be.
    pub why: String,
}

impl Description {
    /// The same with tags sorted and without repetitions, if all of it can be taken.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn checked(mut self) -> Result<Self, Invalid> {
        let invalid = |field, why: String| Err(Invalid { field, why });
        let length = self.title.chars().count();
        let is_line = !self.title.chars().any(char::is_control) && !self.title.trim().is_empty();
        if !is_line || length > LONGEST_TITLE {
            return invalid("title", format!("must be one line of 1 to {LONGEST_TITLE} characters"));
        }
        let name = format!("must have 1 to {LONGEST_NAME} of the characters a-z, 0-9, `_`, `-`, `.` and `:`");
        if !is_name(&self.entity_type) {
            return invalid("entity_type", name);
        }
        if !self.tags.iter().all(|tag| is_name(tag)) {
            return invalid("tags", name);
        }
        self.tags.sort_unstable();
        self.tags.dedup();
        if self.tags.len() > MOST_TAGS {
            return invalid("tags", format!("must have at most {MOST_TAGS} items"));
        }
        if !is_media_type(&self.media_type) {
            return invalid(
                "media_type",
                "must be `type/subtype`, with `; charset=utf-8` or without".to_owned(),
            );
        }
        Ok(self)
    }
}

/// Types and tags are parts of keys, and of addresses.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b':');
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(plain)
}

/// RFC 6838, 4.2, in lower case, with the one parameter that is worth keeping.
fn is_media_type(text: &str) -> bool {
    let essence = text.strip_suffix("; charset=utf-8").unwrap_or(text);
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'&' | b'^' | b'_' | b'.' | b'+' | b'-');
    let is_restricted = |part: &str| !part.is_empty() && part.bytes().all(plain);
    text.len() <= LONGEST_MEDIA_TYPE
        && essence.split_once('/').is_some_and(|(kind, sub)| is_restricted(kind) && is_restricted(sub))
}

impl Artifact {
    /// An artifact of `size` bytes with this digest.
    #[must_use]
    pub fn new(
        id: ArtifactId,
        description: Description,
        origin: Origin,
        (sha256, size): (Digest, u64),
        now: Timestamp,
    ) -> Self {
        let Description { title, entity_type, tags, media_type } = description;
        let Origin { run, tool_call, job, user } = origin;
        Self {
            id,
            title,
            entity_type,
            tags,
            media_type,
            size,
            sha256,
            run_id: run,
            tool_call_id: tool_call,
            job_id: job,
            user_id: user,
            created_at: now,
        }
    }

    /// The lists it is in, beside that of all.
    pub(crate) fn lists(&self) -> impl Iterator<Item = ListedBy<'_>> {
        let tags = self.tags.iter().map(|tag| ListedBy::Tag(tag));
        let run = self.run_id.map(ListedBy::Run);
        run.into_iter().chain([ListedBy::EntityType(&self.entity_type)]).chain(tags)
    }

    /// As an event tells of it.
    #[must_use]
    pub fn event(&self) -> sequent_event::Artifact {
        sequent_event::Artifact {
            artifact_id: self.id,
            title: self.title.clone(),
            entity_type: self.entity_type.clone(),
            media_type: self.media_type.clone(),
            size: self.size,
            sha256: self.sha256.to_string(),
            tool_call_id: self.tool_call_id.clone(),
            job_id: self.job_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(change: impl FnOnce(&mut Description)) -> Result<Description, &'static str> {
        let mut description = Description {
            title: "Q3 report".into(),
            entity_type: "report".into(),
            tags: vec!["q3".into(), "a".into(), "q3".into()],
            media_type: "text/markdown; charset=utf-8".into(),
        };
        change(&mut description);
        description.checked().map_err(|invalid| invalid.field)
    }

    #[test]
    fn tags_are_a_set() {
        assert_eq!(described(|_| ()).unwrap().tags, ["a", "q3"]);
    }

    #[test]
    fn what_cannot_be_taken_is_named() {
        for title in ["", " ", "a\nb", "a\u{0}", &"x".repeat(201)] {
            assert_eq!(described(|of| of.title = title.into()).unwrap_err(), "title", "{title:?}");
        }
        for name in ["", "a b", "A", "a#b", "a/b", &"x".repeat(65)] {
            assert_eq!(described(|of| of.entity_type = name.into()).unwrap_err(), "entity_type", "{name}");
            assert_eq!(described(|of| of.tags = vec![name.into()]).unwrap_err(), "tags", "{name}");
        }
        assert_eq!(described(|of| of.tags = (0..11).map(|n| format!("t{n}")).collect()).unwrap_err(), "tags");
        for media_type in ["", "text", "text/", "/plain", "text/html\r\nx: y", "Text/plain", "a/b; charset=x"]
        {
            let refused = described(|of| of.media_type = media_type.into());
            assert_eq!(refused.unwrap_err(), "media_type", "{media_type:?}");
        }
    }
}
