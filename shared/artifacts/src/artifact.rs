//! Artifact rows, and the rules for their descriptions.

use sequent_core::{ArtifactId, JobId, RunId, TenantId, Timestamp, UserId};
use sequent_tables::{
    Error as TableError, Row,
    attributes::QUEUED_AT,
    key::{self, ListedBy},
};
use serde::{Deserialize, Serialize};

use crate::{Content, Digest};

const LONGEST_TITLE: usize = 200;
const LONGEST_NAME: usize = 64;
const LONGEST_MEDIA_TYPE: usize = 100;
const MOST_TAGS: usize = 10;

/// Stored bytes and their description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct Artifact {
    pub id: ArtifactId,
    pub title: String,
    /// The kind of content, such as `report` or `file`.
    pub entity_type: String,
    /// Words to find the artifact by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Media type of the bytes (RFC 6838).
    pub media_type: String,
    /// Number of bytes of the object.
    pub size: u64,
    pub sha256: Digest,
    /// The run that created it.
    #[serde(default)]
    pub run_id: Option<RunId>,
    /// The tool call that created it.
    #[serde(default)]
    pub tool_call_id: Option<String>,
    /// The job that created it.
    #[serde(default)]
    pub job_id: Option<JobId>,
    /// The user who uploaded it.
    #[serde(default)]
    pub user_id: Option<UserId>,
    pub created_at: Timestamp,
}

/// The fields of an artifact that its creator chooses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `Artifact`")]
pub struct Description {
    pub title: String,
    pub entity_type: String,
    #[serde(default)]
    pub tags: Vec<String>,
    pub media_type: String,
}

/// The creator of an artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Origin {
    #[serde(default)]
    pub run: Option<RunId>,
    #[serde(default)]
    pub tool_call: Option<String>,
    #[serde(default)]
    pub job: Option<JobId>,
    /// The user who uploads it.
    #[serde(default)]
    pub user: Option<UserId>,
}

/// A field of a description has a value that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {rule}")]
pub struct InvalidDescription {
    /// Name of the field.
    pub field: &'static str,
    /// The rule that the value breaks: "must ...".
    pub rule: String,
}

/// The row of a new artifact. The mark of the outbox is there for webhooks.
pub(crate) fn new_row(tenant: TenantId, artifact: &Artifact) -> Result<Row, TableError> {
    let row = Row::new(&key::artifact(tenant, artifact.id), artifact)?;
    Ok(row.set(QUEUED_AT, artifact.created_at.millis()))
}

impl Description {
    /// Checks every field, and sorts the tags and removes duplicates.
    ///
    /// # Errors
    /// Returns the first field that is not allowed.
    pub fn checked(mut self) -> Result<Self, InvalidDescription> {
        let invalid = |field, rule: String| Err(InvalidDescription { field, rule });
        let length = self.title.chars().count();
        let is_line = !self.title.chars().any(char::is_control) && !self.title.trim().is_empty();
        if !is_line || length > LONGEST_TITLE {
            return invalid("title", format!("must be one line of 1 to {LONGEST_TITLE} characters"));
        }
        let name = format!("must have 1 to {LONGEST_NAME} of the characters a-z, 0-9, `_`, `-`, `.` and `:`");
        if !is_name(&self.entity_type) {
            return invalid("entity_type", name);
        }
        if self.tags.len() > MOST_TAGS {
            return invalid("tags", format!("must have at most {MOST_TAGS} items"));
        }
        if !self.tags.iter().all(|tag| is_name(tag)) {
            return invalid("tags", name);
        }
        self.tags.sort_unstable();
        self.tags.dedup();
        if !is_media_type(&self.media_type) {
            return invalid(
                "media_type",
                "must be `type/subtype`, optionally followed by `; charset=utf-8`".to_owned(),
            );
        }
        Ok(self)
    }
}

/// Returns `true` if the text can be an entity type or a tag. Both are parts of keys and of URLs.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b':');
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(plain)
}

/// Returns `true` for a media type in lower case (RFC 6838, section 4.2). The only parameter allowed is the
/// charset UTF-8.
fn is_media_type(text: &str) -> bool {
    let essence = text.strip_suffix("; charset=utf-8").unwrap_or(text);
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'&' | b'^' | b'_' | b'.' | b'+' | b'-');
    let is_restricted = |part: &str| !part.is_empty() && part.bytes().all(plain);
    text.len() <= LONGEST_MEDIA_TYPE
        && essence.split_once('/').is_some_and(|(kind, sub)| is_restricted(kind) && is_restricted(sub))
}

impl Artifact {
    /// Assembles the row of an artifact.
    #[must_use]
    pub fn new(
        id: ArtifactId,
        description: Description,
        origin: Origin,
        content: Content,
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
            size: content.size,
            sha256: content.sha256,
            run_id: run,
            tool_call_id: tool_call,
            job_id: job,
            user_id: user,
            created_at: now,
        }
    }

    /// The lists that contain the artifact, besides the list of all artifacts.
    pub(crate) fn lists(&self) -> impl Iterator<Item = ListedBy<'_>> {
        let tags = self.tags.iter().map(|tag| ListedBy::Tag(tag));
        let run = self.run_id.map(ListedBy::Run);
        run.into_iter().chain([ListedBy::EntityType(&self.entity_type)]).chain(tags)
    }

    /// The payload of the `ARTIFACT_CREATED` event.
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
    fn a_field_that_is_not_allowed_is_named() {
        for title in ["", " ", "a\nb", "a\u{0}", &"x".repeat(201)] {
            assert_eq!(described(|of| of.title = title.into()).unwrap_err(), "title", "{title:?}");
        }
        for name in ["", "a b", "A", "a#b", "a/b", &"x".repeat(65)] {
            assert_eq!(described(|of| of.entity_type = name.into()).unwrap_err(), "entity_type", "{name}");
            assert_eq!(described(|of| of.tags = vec![name.into()]).unwrap_err(), "tags", "{name}");
        }
        assert_eq!(described(|of| of.tags = (0..11).map(|n| format!("t{n}")).collect()).unwrap_err(), "tags");
        assert_eq!(described(|of| of.tags = vec!["same".into(); 11]).unwrap_err(), "tags");
        for media_type in ["", "text", "text/", "/plain", "text/html\r\nx: y", "Text/plain", "a/b; charset=x"]
        {
            let refused = described(|of| of.media_type = media_type.into());
            assert_eq!(refused.unwrap_err(), "media_type", "{media_type:?}");
        }
    }
}
