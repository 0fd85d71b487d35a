//! A project as an archive: its messages, the events of its runs, the artifacts of the runs, and the files that people attached.

use std::collections::BTreeSet;

use sequent_artifacts::{Artifact, Artifacts, Error as ArtifactError};
use sequent_conversation::{Error as ConversationError, Message, MessageRole, Project, Projects};
use sequent_core::{ArtifactId, ProjectId, RunId};
use sequent_event::{Body, Event, UserContent, UserPart};
use sequent_jobs::{Context, Failed};
use serde_json::json;

use super::{File, computed, failed, one_line, run};
use crate::{
    archive,
    transcript::{self, PartContent, Transcript, TranscriptPart},
};

/// Limit of the total size of the files. They are held in memory.
const MAX_BYTES: u64 = 200 << 20;
/// Limit of the artifacts of one run; the rest is left out.
const MAX_ARTIFACTS: usize = 500;

/// Builds the archive of a conversation.
pub(super) async fn file(artifacts: &Artifacts, context: &Context, id: ProjectId) -> Result<File, Failed> {
    let projects = Projects::new(context.store(), context.tenant);
    let project = projects.get(id).await.map_err(gone)?;
    let messages = projects.messages(id).await.map_err(gone)?;
    let title = project.name.as_str().to_owned();
    let mut files =
        Files { left: MAX_BYTES, files: Vec::new(), packed: BTreeSet::new(), warnings: Vec::new() };
    let about = json!({"project": project, "messages": messages});
    files.add("project.json".to_owned(), serde_json::to_vec_pretty(&about).map_err(Failed::retry)?)?;
    files.add("conversation.md".to_owned(), conversation(&project, &messages).into_bytes())?;
    let runs: BTreeSet<RunId> = messages.iter().map(|message| message.run_id).collect();
    let mut attached: BTreeSet<ArtifactId> = BTreeSet::new();
    for (at, run_id) in runs.iter().enumerate() {
        let percent = u8::try_from(10 + 70 * at / runs.len().max(1)).unwrap_or(80);
        context.progress.report(percent, format!("Run {} of {}.", at + 1, runs.len()));
        let events = run::events(context, *run_id).await?;
        files.add(format!("runs/{run_id}.jsonl"), run::jsonl(&events))?;
        attached.extend(attached_in(&events));
        let made = artifacts.of_run(context.tenant, *run_id, MAX_ARTIFACTS).await.map_err(failed)?;
        for artifact in made.items {
            files.add_artifact(artifacts, context, &artifact).await?;
        }
    }
    // Last, so that they take no room from the conversation itself.
    for id in attached {
        match artifacts.get(context.tenant, id).await {
            Ok(artifact) => files.add_attachment(artifacts, context, &artifact).await?,
            Err(ArtifactError::NotFound) => {} // deleted, and the messages say what it was
            Err(error) => return Err(failed(error)),
        }
    }
    let Files { files, warnings, .. } = files;
    let bytes = computed(move || archive::zip(files)).await?;
    Ok(File { title: one_line(&title), bytes, warnings })
}

/// The files that people attached to the messages of a run. They may belong to another run, or to none.
fn attached_in(events: &[Event]) -> impl Iterator<Item = ArtifactId> {
    let parts = events.iter().filter_map(|event| match event.body()? {
        Body::UserMessage { content: UserContent::Parts(parts), .. } => Some(parts),
        _ => None,
    });
    parts.flatten().filter_map(|part| match part {
        UserPart::Image(file) | UserPart::File(file) => Some(file.artifact_id),
        UserPart::Text { .. } | UserPart::Data(_) => None,
    })
}

struct Files {
    /// Bytes that may still be added.
    left: u64,
    files: Vec<(String, Vec<u8>)>,
    packed: BTreeSet<ArtifactId>,
    warnings: Vec<String>,
}

impl Files {
    fn add(&mut self, path: String, bytes: Vec<u8>) -> Result<(), Failed> {
        self.spend(bytes.len() as u64)?;
        self.files.push((path, bytes));
        Ok(())
    }

    async fn add_artifact(
        &mut self,
        artifacts: &Artifacts,
        context: &Context,
        artifact: &Artifact,
    ) -> Result<(), Failed> {
        if !self.packed.insert(artifact.id) {
            return Ok(());
        }
        self.spend(artifact.size)?;
        match artifacts.bytes(context.tenant, artifact, MAX_BYTES).await {
            Ok(bytes) => {
                let path = format!("artifacts/{}/{}", artifact.id, file_name(&artifact.title));
                self.files.push((path, bytes.to_vec()));
                Ok(())
            }
            Err(ArtifactError::NotFound) => Ok(()), // deleted in the meantime
            Err(error) => Err(failed(error)),
        }
    }

    /// Adds a file that belongs to no run of the project. It is left out with a warning if it does not fit: the person has it.
    async fn add_attachment(
        &mut self,
        artifacts: &Artifacts,
        context: &Context,
        artifact: &Artifact,
    ) -> Result<(), Failed> {
        if artifact.size > self.left && !self.packed.contains(&artifact.id) {
            self.warnings.push(format!("The attached file {} is left out: it is too large.", artifact.id));
            return Ok(());
        }
        self.add_artifact(artifacts, context, artifact).await
    }

    fn spend(&mut self, bytes: u64) -> Result<(), Failed> {
        let too_large =
            || Failed::Poison(format!("The project and its files are too large: at most {MAX_BYTES} bytes."));
        self.left = self.left.checked_sub(bytes).ok_or_else(too_large)?;
        Ok(())
    }
}

fn gone(error: ConversationError) -> Failed {
    match error {
        ConversationError::ProjectNotFound => {
            Failed::Poison("The project does not exist any more.".to_owned())
        }
        error => Failed::retry(error),
    }
}

fn conversation(project: &Project, messages: &[Message]) -> String {
    let part = |message: &Message| TranscriptPart {
        author: match message.role {
            MessageRole::User => "Person".to_owned(),
            MessageRole::Assistant => "Agent".to_owned(),
        },
        at: message.created_at.to_string(),
        content: PartContent::Text(text(message)),
    };
    // An answer may have calls alone.
    let spoken = messages.iter().filter(|message| !message.readable().trim().is_empty());
    let parts = spoken.map(part).collect();
    transcript::markdown(&Transcript { title: project.name.as_str().to_owned(), parts })
}

/// The text of the message. If the conversation keeps only a part of it, names the file that has all of it.
fn text(message: &Message) -> String {
    let content = message.readable();
    match message.truncated {
        true => format!("{content}\n\n[The rest is in runs/{}.jsonl.]", message.run_id),
        false => content.into_owned(),
    }
}

/// Turns the title into a file name that is valid on any system.
fn file_name(title: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || " ._-()".contains(c) { c } else { '_' };
    let name: String = title.chars().map(plain).take(100).collect();
    let name = name.trim_matches(['.', ' ']);
    if name.is_empty() { "file".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use sequent_conversation::MessageStatus;
    use sequent_core::{MessageId, Timestamp};
    use sequent_event::Lineage;

    use super::*;

    #[test]
    fn a_message_that_was_cut_names_the_file_with_the_rest() {
        let mut message = Message {
            id: MessageId::new(),
            project_id: ProjectId::new(),
            run_id: RunId::new(),
            lineage: Lineage::default(),
            role: MessageRole::Assistant,
            content: "Tides".to_owned(),
            parts: Vec::new(),
            truncated: false,
            has_calls: false,
            compacts: false,
            status: MessageStatus::Complete,
            created_at: Timestamp::from_millis(0),
        };
        assert_eq!(text(&message), "Tides");
        message.truncated = true;
        assert_eq!(text(&message), format!("Tides\n\n[The rest is in runs/{}.jsonl.]", message.run_id));
    }

    #[test]
    fn a_title_cannot_contain_a_path() {
        for (title, name) in [
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..", "file"),
            ("Q3: a\\b.csv", "Q3_ a_b.csv"),
            ("潮汐", "潮汐"),
        ] {
            assert_eq!(file_name(title), name);
        }
    }
}
