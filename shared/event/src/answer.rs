//! The text of an answer: all that the model wrote, joined as it wrote it.
//!
//! * The pieces of one response are one text, whatever came between them: reasoning or calls.
//! * A blank line separates responses. A response without words, such as a line break after a call, is left out.
//! * The steps of a plan are work on the way. Their texts are the answer as long as there is no other.

use std::borrow::Cow;

use sequent_core::MessageId;

use crate::Body;

const BETWEEN_RESPONSES: &str = "\n\n";

/// The text of an answer, as it grows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerText {
    outside: Responses,
    of_steps: Responses,
    open_steps: usize,
}

/// The effect of an event on the text of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerChange<'a> {
    /// The text is the same as before.
    None,
    /// The text has grown by this.
    Appended(Cow<'a, str>),
    /// The text is another one.
    Replaced,
}

impl AnswerText {
    /// Applies the next event of the log.
    pub fn apply<'a>(&mut self, body: &'a Body) -> AnswerChange<'a> {
        match body {
            Body::TextMessageContent { message_id, delta } => return self.append(*message_id, delta),
            Body::MessageAbandoned { message_id } => return self.abandon(*message_id),
            Body::UsageRecorded(usage) if usage.is_of_response() => self.end_response(),
            Body::StepStarted { .. } => self.open_steps += 1,
            Body::StepFinished { .. } => self.open_steps = self.open_steps.saturating_sub(1),
            body if body.is_terminal() => {
                self.end_response();
                self.open_steps = 0;
            }
            _ => {}
        }
        AnswerChange::None
    }

    /// Adds a whole response.
    pub fn add_response(&mut self, id: MessageId, text: &str, in_step: bool) {
        self.open_steps = usize::from(in_step);
        let _ = self.append(id, text);
        self.end_response();
    }

    /// Returns the text. It is empty if the answer has no words.
    #[must_use]
    pub fn text(&self) -> String {
        if self.outside.is_empty() { self.of_steps.text() } else { self.outside.text() }
    }

    fn append<'a>(&mut self, id: MessageId, piece: &'a str) -> AnswerChange<'a> {
        let was_empty = self.outside.is_empty();
        if self.open_steps > 0 {
            let grown = self.of_steps.append(id, piece);
            return if was_empty { grown } else { AnswerChange::None };
        }
        let grown = self.outside.append(id, piece);
        let replaces = was_empty && !self.outside.is_empty() && !self.of_steps.is_empty();
        if replaces { AnswerChange::Replaced } else { grown }
    }

    fn abandon<'a>(&mut self, id: MessageId) -> AnswerChange<'a> {
        let is_changed = self.outside.abandon(id) | self.of_steps.abandon(id);
        if is_changed { AnswerChange::Replaced } else { AnswerChange::None }
    }

    fn end_response(&mut self) {
        self.outside.end();
        self.of_steps.end();
    }
}

/// Responses, the last of which is being written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Responses {
    /// The complete responses, joined.
    done: String,
    /// The messages of the response that is being written.
    draft: Vec<(MessageId, String)>,
    /// The draft has words.
    has_words: bool,
}

impl Responses {
    fn is_empty(&self) -> bool {
        self.done.is_empty() && !self.has_words
    }

    fn append<'a>(&mut self, id: MessageId, piece: &'a str) -> AnswerChange<'a> {
        match self.draft.last_mut() {
            Some((last, text)) if *last == id => text.push_str(piece),
            _ => self.draft.push((id, piece.to_owned())),
        }
        if self.has_words {
            return if piece.is_empty() { AnswerChange::None } else { AnswerChange::Appended(piece.into()) };
        }
        let opening = self.draft_text();
        if opening.is_empty() {
            return AnswerChange::None;
        }
        self.has_words = true;
        AnswerChange::Appended(Cow::Owned(format!("{}{opening}", self.gap())))
    }

    /// Removes a message of the draft. Returns `true` if the text has changed.
    fn abandon(&mut self, id: MessageId) -> bool {
        let before = self.draft.len();
        let had_words = self.has_words;
        self.draft.retain(|(message, _)| *message != id);
        self.has_words = !self.draft_text().is_empty();
        had_words && self.draft.len() < before
    }

    fn end(&mut self) {
        self.done = self.text();
        self.draft.clear();
        self.has_words = false;
    }

    fn text(&self) -> String {
        if self.has_words {
            format!("{}{}{}", self.done, self.gap(), self.draft_text())
        } else {
            self.done.clone()
        }
    }

    fn gap(&self) -> &'static str {
        if self.done.is_empty() { "" } else { BETWEEN_RESPONSES }
    }

    /// Returns the draft without blank lines at its beginning. It is empty if the draft has no words.
    fn draft_text(&self) -> String {
        let mut text: String = self.draft.iter().map(|(_, text)| text.as_str()).collect();
        let Some(first) = text.find(|c: char| !c.is_whitespace()) else { return String::new() };
        let line = text[..first].rfind('\n').map_or(0, |at| at + 1);
        text.split_off(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(id: u128, text: &str) -> Body {
        Body::TextMessageContent { message_id: MessageId::from_bits(id), delta: text.into() }
    }

    fn step(is_start: bool) -> Body {
        let step_name = "a".to_owned();
        if is_start { Body::StepStarted { step_name } } else { Body::StepFinished { step_name } }
    }

    /// The text of the events. `None` is the end of a response.
    fn text(events: &[Option<Body>]) -> String {
        let mut answer = AnswerText::default();
        let mut shown = String::new();
        for event in events {
            let Some(body) = event else {
                answer.end_response();
                continue;
            };
            match answer.apply(body) {
                AnswerChange::None => {}
                AnswerChange::Appended(piece) => shown.push_str(&piece),
                AnswerChange::Replaced => shown = answer.text(),
            }
            assert_eq!(shown, answer.text());
        }
        answer.text()
    }

    #[test]
    fn pieces_of_one_response_are_joined_as_they_were_written() {
        assert_eq!(
            text(&[Some(said(1, "The capital ")), Some(said(2, "is Paris."))]),
            "The capital is Paris."
        );
    }

    #[test]
    fn a_blank_line_separates_responses_and_blank_ones_are_left_out() {
        let events = [
            Some(said(1, "\n\n  Let me ")),
            Some(said(1, "look.")),
            None,
            Some(said(2, " \n")),
            None,
            Some(said(3, "\n")),
            Some(said(3, "It is sunny.\n")),
            None,
        ];
        assert_eq!(text(&events), "  Let me look.\n\nIt is sunny.\n");
        assert_eq!(text(&events[..5]), "  Let me look.");
        assert_eq!(text(&[Some(said(1, "\n"))]), "");
    }

    #[test]
    fn steps_are_the_answer_until_there_is_another() {
        let mut events = vec![Some(step(true)), Some(said(1, "Work.")), None, Some(step(false))];
        assert_eq!(text(&events), "Work.");
        events.extend([Some(said(2, "Done.")), None]);
        assert_eq!(text(&events), "Done.");
    }

    #[test]
    fn an_abandoned_message_is_removed() {
        let abandoned = Body::MessageAbandoned { message_id: MessageId::from_bits(2) };
        let mut events = vec![Some(said(1, "One.")), None, Some(said(2, "Tw")), Some(abandoned)];
        assert_eq!(text(&events), "One.");
        events.extend([Some(said(3, "Two."))]);
        assert_eq!(text(&events), "One.\n\nTwo.");
    }
}
