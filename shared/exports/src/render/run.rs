//! A run: its events, and the transcript that they tell.

use std::collections::HashMap;

use sequent_core::RunId;
use sequent_documents::Format;
use sequent_event::{Body, Event};
use sequent_jobs::{Context, Failed};
use sequent_runlog::{LogKey, Segment, read_all};

use super::{Events, File, computed};
use crate::transcript::{self, Entry, Transcript, What};

/// The run as a file.
pub(super) async fn file(context: &Context, run: RunId, format: Format) -> Result<File, Failed> {
    let events = events(context, run).await?;
    context.progress.report(50, "Writing it down.");
    let title = format!("Run {run}");
    let heading = title.clone();
    let bytes = computed(move || match format {
        Format::Jsonl => Ok(jsonl(&events)),
        Format::Html => Ok(transcript::html(&transcript(&heading, &events)).into_bytes()),
        _ => Ok(transcript::markdown(&transcript(&heading, &events)).into_bytes()),
    });
    Ok(File { title, bytes: bytes.await? })
}

/// The run's events so far.
pub(super) async fn events(context: &Context, run: RunId) -> Result<Events, Failed> {
    let key = LogKey { tenant: context.tenant, run };
    let segments = read_all(&context.storage, key).await.map_err(Failed::retry)?;
    Ok(segments.iter().flat_map(Segment::events).collect())
}

/// One event a line, in the form that streams and pages have.
pub(super) fn jsonl(events: &[Event]) -> Vec<u8> {
    transcript::jsonl(events.iter().map(|event| serde_json::to_string(event).unwrap_or_default()))
}

/// What the events tell, in the order in which each thing began.
pub(super) fn transcript(title: &str, events: &[Event]) -> Transcript {
    let mut telling = Telling::default();
    for event in events {
        if let Some(body) = event.body() {
            telling.tell(&event.entry.at.to_string(), body);
        }
    }
    let entries = telling.entries.into_iter().flatten();
    let is_something = |entry: &Entry| !matches!(&entry.what, What::Text(text) if text.is_empty());
    Transcript { title: title.to_owned(), entries: entries.filter(is_something).collect() }
}

/// A transcript that grows.
#[derive(Default)]
struct Telling {
    /// `None`: it was taken back.
    entries: Vec<Option<Entry>>,
    /// Where the messages and calls are that may grow.
    places: HashMap<String, usize>,
    /// What tool a call is of.
    tools: HashMap<String, String>,
}

const PERSON: &str = "Person";
const AGENT: &str = "Agent";

impl Telling {
    fn tell(&mut self, at: &str, body: &Body) {
        match body {
            Body::UserMessage { content, .. } => self.add(PERSON, at, What::Text(content.clone())),
            Body::TextMessageStart { message_id, .. } => {
                self.places.insert(message_id.to_string(), self.entries.len());
                self.add(AGENT, at, What::Text(String::new()));
            }
            Body::TextMessageContent { message_id, delta } => {
                if let Some(What::Text(text)) = self.growing(&message_id.to_string()) {
                    text.push_str(delta);
                }
            }
            Body::MessageAbandoned { message_id } => {
                if let Some(place) = self.places.remove(&message_id.to_string()) {
                    self.entries[place] = None;
                }
            }
            Body::ToolCallStart { tool_call_id, tool_call_name, .. } => {
                self.tools.insert(tool_call_id.clone(), tool_call_name.clone());
                self.places.insert(tool_call_id.clone(), self.entries.len());
                let (tool, arguments) = (tool_call_name.clone(), String::new());
                self.add(AGENT, at, What::Call { tool, arguments });
            }
            Body::ToolCallArgs { tool_call_id, delta } => {
                if let Some(What::Call { arguments, .. }) = self.growing(tool_call_id) {
                    arguments.push_str(delta);
                }
            }
            Body::ToolCallResult { tool_call_id, content, .. } => {
                let tool = self.tools.get(tool_call_id).cloned().unwrap_or_default();
                self.add(&tool.clone(), at, What::Result { tool, failed: false, content: content.clone() });
            }
            Body::SubagentFinished { result, .. } => {
                self.add("Child run", at, What::Text(result.clone()));
            }
            Body::SubagentError { message, .. } => {
                let (tool, content) = ("run".to_owned(), message.clone());
                self.add("Child run", at, What::Result { tool, failed: true, content });
            }
            Body::ClarificationNeeded { question, .. } => {
                self.add(AGENT, at, What::Question(question.message.clone()));
            }
            Body::ClarificationAnswered(answer) => {
                let said = match &answer.payload {
                    Some(serde_json::Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                    None => "(no answer)".to_owned(),
                };
                self.add(PERSON, at, What::Text(said));
            }
            Body::RunError { message, code } => {
                let (tool, content) = (code.clone(), message.clone());
                self.add("Run", at, What::Result { tool, failed: true, content });
            }
            _ => {}
        }
    }

    fn add(&mut self, who: &str, at: &str, what: What) {
        self.entries.push(Some(Entry { who: who.to_owned(), at: at.to_owned(), what }));
    }

    fn growing(&mut self, id: &str) -> Option<&mut What> {
        let place = *self.places.get(id)?;
        self.entries.get_mut(place)?.as_mut().map(|entry| &mut entry.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sequent_core::{MessageId, Timestamp};
    use sequent_event::{Entry as Logged, Role, Seq};

    #[test]
    fn a_message_that_was_given_up_is_not_told() {
        let (cut, whole) = (MessageId::from_bits(1), MessageId::from_bits(2));
        let start = |message_id| Body::TextMessageStart { message_id, role: Role::Assistant };
        let says = |message_id, delta: &str| Body::TextMessageContent { message_id, delta: delta.into() };
        let call = || "c".to_owned();
        let bodies = [
            Body::UserMessage {
                message_id: MessageId::from_bits(3),
                content: "Hi".into(),
                by: None,
                model: None,
            },
            start(cut),
            says(cut, "Hel"),
            Body::MessageAbandoned { message_id: cut },
            start(whole),
            says(whole, "Hel"),
            says(whole, "lo"),
            Body::ToolCallStart {
                tool_call_id: call(),
                tool_call_name: "look".into(),
                parent_message_id: None,
            },
            Body::ToolCallArgs { tool_call_id: call(), delta: "{\"a\"".into() },
            Body::ToolCallArgs { tool_call_id: call(), delta: ":1}".into() },
            Body::ToolCallResult { message_id: cut, tool_call_id: call(), content: "there".into() },
        ];
        let events: Vec<Event> = bodies
            .into_iter()
            .zip(1..)
            .map(|(body, seq)| Logged::new(Timestamp::from_millis(0), body).at_seq(Seq(seq)))
            .collect();
        let told = transcript("Run", &events);
        let whats: Vec<(&str, &What)> = told.entries.iter().map(|entry| (&*entry.who, &entry.what)).collect();
        let expected = [
            (PERSON, &What::Text("Hi".into())),
            (AGENT, &What::Text("Hello".into())),
            (AGENT, &What::Call { tool: "look".into(), arguments: "{\"a\":1}".into() }),
            ("look", &What::Result { tool: "look".into(), failed: false, content: "there".into() }),
        ];
        assert_eq!(whats, expected);
        let lines = String::from_utf8(jsonl(&events)).unwrap();
        assert_eq!(lines.lines().count(), 11);
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!((&first["seq"], &first["type"]), (&1.into(), &"USER_MESSAGE".into()), "{lines}");
    }
}
