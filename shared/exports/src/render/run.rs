//! A run as a file: its events as JSON lines, or their transcript as HTML or Markdown.

use std::collections::HashMap;

use sequent_core::RunId;
use sequent_documents::Format;
use sequent_event::{Body, Event};
use sequent_jobs::{Context, Failed};
use sequent_runlog::{LogKey, Segment, read_all};

use super::{File, RunEvents, computed};
use crate::transcript::{self, PartContent, Transcript, TranscriptPart};

/// Renders the run as a file.
pub(super) async fn file(context: &Context, run: RunId, format: Format) -> Result<File, Failed> {
    let events = events(context, run).await?;
    context.progress.report(50, "Rendering the transcript.");
    let title = format!("Run {run}");
    let heading = title.clone();
    let bytes = computed(move || match format {
        Format::Jsonl => Ok(jsonl(&events)),
        Format::Html => Ok(transcript::html(&transcript(&heading, &events)).into_bytes()),
        _ => Ok(transcript::markdown(&transcript(&heading, &events)).into_bytes()),
    });
    Ok(File { title, bytes: bytes.await?, warnings: Vec::new() })
}

/// Reads the run's events up to now.
pub(super) async fn events(context: &Context, run: RunId) -> Result<RunEvents, Failed> {
    let key = LogKey { tenant: context.tenant, run };
    let segments = read_all(&context.storage, key).await.map_err(Failed::retry)?;
    Ok(segments.iter().flat_map(Segment::events).collect())
}

/// Writes one event per line, in the form of streams and lists.
pub(super) fn jsonl(events: &[Event]) -> Vec<u8> {
    transcript::jsonl(events.iter().map(|event| serde_json::to_string(event).unwrap_or_default()))
}

/// Builds the transcript. Its parts are in the order in which they began.
pub(super) fn transcript(title: &str, events: &[Event]) -> Transcript {
    let mut builder = Builder::default();
    for event in events {
        if let Some(body) = event.body() {
            builder.push(&event.entry.at.to_string(), body);
        }
    }
    Transcript { title: title.to_owned(), parts: builder.finish() }
}

/// A transcript that is being built.
#[derive(Default)]
struct Builder {
    /// `None` replaces a message that was abandoned.
    parts: Vec<Option<BuiltPart>>,
    /// Indices of the messages and calls that later events may extend, by message or call id.
    indices: HashMap<String, usize>,
    /// Names of tools, by call id.
    tools: HashMap<String, String>,
    /// Number of complete responses.
    responses: usize,
}

/// A part that is being built.
struct BuiltPart {
    part: TranscriptPart,
    /// The response that the part is a text of.
    text_of: Option<usize>,
}

const PERSON: &str = "Person";
const AGENT: &str = "Agent";

impl Builder {
    fn push(&mut self, at: &str, body: &Body) {
        match body {
            Body::UserMessage { content, .. } => {
                self.add(PERSON, at, PartContent::Text(content.readable().into_owned()));
            }
            Body::TextMessageStart { message_id, .. } => {
                self.indices.insert(message_id.to_string(), self.parts.len());
                self.add(AGENT, at, PartContent::Text(String::new()));
                let text = self.parts.last_mut().and_then(Option::as_mut);
                text.into_iter().for_each(|text| text.text_of = Some(self.responses));
            }
            Body::UsageRecorded(usage) if usage.is_of_response() => self.responses += 1,
            Body::TextMessageContent { message_id, delta } => {
                if let Some(PartContent::Text(text)) = self.content_mut(&message_id.to_string()) {
                    text.push_str(delta);
                }
            }
            Body::MessageAbandoned { message_id } => {
                if let Some(index) = self.indices.remove(&message_id.to_string()) {
                    self.parts[index] = None;
                }
            }
            Body::ToolCallStart { tool_call_id, tool_call_name, .. } => {
                self.tools.insert(tool_call_id.clone(), tool_call_name.clone());
                self.indices.insert(tool_call_id.clone(), self.parts.len());
                let call = PartContent::Call { tool: tool_call_name.clone(), arguments: String::new() };
                self.add(AGENT, at, call);
            }
            Body::ToolCallArgs { tool_call_id, delta } => {
                if let Some(PartContent::Call { arguments, .. }) = self.content_mut(tool_call_id) {
                    arguments.push_str(delta);
                }
            }
            Body::ToolCallResult { tool_call_id, content, error, .. } => {
                let tool = self.tools.get(tool_call_id).cloned().unwrap_or_default();
                self.add(&tool, at, result(&tool, error.is_some(), content));
            }
            Body::SubagentFinished { result, .. } => {
                self.add("Child run", at, PartContent::Text(result.clone()));
            }
            Body::SubagentError { message, .. } => self.add("Child run", at, result("run", true, message)),
            Body::ClarificationNeeded { question, .. } => {
                self.add(AGENT, at, PartContent::Question(question.message.clone()));
            }
            Body::ClarificationAnswered(answer) => {
                let text = match &answer.payload {
                    Some(serde_json::Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                    None => "(no answer)".to_owned(),
                };
                self.add(PERSON, at, PartContent::Text(text));
            }
            Body::RunError { message, code } => self.add("Run", at, result(code, true, message)),
            _ => {}
        }
    }

    fn add(&mut self, author: &str, at: &str, content: PartContent) {
        let part = TranscriptPart { author: author.to_owned(), at: at.to_owned(), content };
        self.parts.push(Some(BuiltPart { part, text_of: None }));
    }

    fn content_mut(&mut self, id: &str) -> Option<&mut PartContent> {
        let index = *self.indices.get(id)?;
        self.parts.get_mut(index)?.as_mut().map(|built| &mut built.part.content)
    }

    /// Returns the parts. Texts of one response that follow each other are one: only reasoning was between them.
    fn finish(self) -> Vec<TranscriptPart> {
        let is_empty =
            |built: &BuiltPart| matches!(&built.part.content, PartContent::Text(text) if text.is_empty());
        let mut parts: Vec<BuiltPart> = Vec::new();
        for built in self.parts.into_iter().flatten().filter(|built| !is_empty(built)) {
            let last =
                parts.last_mut().filter(|last| last.text_of.is_some() && last.text_of == built.text_of);
            match (last.map(|last| &mut last.part.content), &built.part.content) {
                (Some(PartContent::Text(before)), PartContent::Text(text)) => before.push_str(text),
                _ => parts.push(built),
            }
        }
        parts.into_iter().map(|built| built.part).collect()
    }
}

fn result(tool: &str, failed: bool, content: &str) -> PartContent {
    PartContent::Result { tool: tool.to_owned(), failed, content: content.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sequent_core::{MessageId, Timestamp};
    use sequent_event::{Entry, Role, Seq};

    #[test]
    fn an_abandoned_message_is_left_out_and_pieces_of_one_response_are_joined() {
        let cut = MessageId::from_bits(1);
        let whole = MessageId::from_bits(2);
        let more = MessageId::from_bits(4);
        let start = |message_id| Body::TextMessageStart { message_id, role: Role::Assistant };
        let content = |message_id, delta: &str| Body::TextMessageContent { message_id, delta: delta.into() };
        let call = || "c".to_owned();
        let bodies = [
            Body::UserMessage {
                message_id: MessageId::from_bits(3),
                content: "Hi".into(),
                by: None,
                model: None,
            },
            start(cut),
            content(cut, "Hel"),
            Body::MessageAbandoned { message_id: cut },
            start(whole),
            content(whole, "Hel"),
            start(more),
            content(more, "lo"),
            Body::ToolCallStart {
                tool_call_id: call(),
                tool_call_name: "look".into(),
                parent_message_id: None,
            },
            Body::ToolCallArgs { tool_call_id: call(), delta: "{\"a\"".into() },
            Body::ToolCallArgs { tool_call_id: call(), delta: ":1}".into() },
            Body::ToolCallResult {
                message_id: cut,
                tool_call_id: call(),
                content: "there".into(),
                error: None,
            },
        ];
        let events: Vec<Event> = bodies
            .into_iter()
            .zip(1..)
            .map(|(body, seq)| Entry::new(Timestamp::from_millis(0), body).at_seq(Seq(seq)))
            .collect();
        let transcript = transcript("Run", &events);
        let parts: Vec<(&str, &PartContent)> =
            transcript.parts.iter().map(|part| (&*part.author, &part.content)).collect();
        let expected = [
            (PERSON, &PartContent::Text("Hi".into())),
            (AGENT, &PartContent::Text("Hello".into())),
            (AGENT, &PartContent::Call { tool: "look".into(), arguments: "{\"a\":1}".into() }),
            ("look", &PartContent::Result { tool: "look".into(), failed: false, content: "there".into() }),
        ];
        assert_eq!(parts, expected);
        let lines = String::from_utf8(jsonl(&events)).unwrap();
        assert_eq!(lines.lines().count(), 12);
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!((&first["seq"], &first["type"]), (&1.into(), &"USER_MESSAGE".into()), "{lines}");
    }
}
