use sequent_event::{Body, ClaimReason, Entry, Usage};

use super::*;
use crate::{PersonWaits, RunCost, RunOptions, RunStatus, TokenUsage, testing::response};

/// The log of a run with one message, and its state.
struct Log(State);

impl Log {
    fn new() -> Self {
        let mut log = Self(State::default());
        log.ask();
        log.push(Body::RunClaimed { epoch: 1, writer: "w".into(), reason: ClaimReason::Start });
        let run = run();
        log.push(Body::RunStarted { thread_id: run.project_id, run_id: run.id, parent_run_id: None });
        log
    }

    fn push(&mut self, body: Body) {
        let event = Entry::new(Timestamp::from_millis(1), body).at_seq(self.0.next());
        self.0.apply(&event).unwrap();
    }

    fn ask(&mut self) {
        let message_id = MessageId::new();
        self.push(Body::UserMessage { message_id, content: "?".into(), by: None, model: None });
    }

    fn say(&mut self, text: &str, told: u32, finish_reason: &str) {
        response(text, told, finish_reason).into_iter().for_each(|body| self.push(body));
    }

    fn call(&mut self) {
        let id = ulid::Ulid::generate().to_string();
        let start = Body::ToolCallStart {
            tool_call_id: id.clone(),
            tool_call_name: "t".into(),
            parent_message_id: None,
        };
        self.push(start);
        self.push(Body::ToolCallEnd { tool_call_id: id });
    }

    /// Ends the run. Returns the position, text and status of each answer.
    fn end(mut self, outcome: RunOutcome) -> Vec<(usize, String, MessageStatus)> {
        let run = run();
        self.push(Body::RunFinished { thread_id: run.project_id, run_id: run.id, outcome });
        let answers = answers(&run, &self.0, Timestamp::from_millis(1));
        answers
            .into_iter()
            .map(|PlacedAnswer { ordinal, message }| (ordinal, message.content, message.status))
            .collect()
    }
}

fn run() -> Run {
    Run {
        id: sequent_core::RunId::from_bits(1),
        project_id: sequent_core::ProjectId::from_bits(1),
        user_id: sequent_core::UserId::from_bits(1),
        parent_run_id: None,
        after: None,
        status: RunStatus::Running,
        model: None,
        options: RunOptions::default(),
        interrupts: Vec::new(),
        usage: TokenUsage::default(),
        cost: RunCost::default(),
        error: None,
        replay: None,
        opens_project: false,
        lineage: sequent_event::Lineage::default(),
        waiting: None,
        person_waits: PersonWaits::default(),
        created_at: Timestamp::from_millis(0),
        started_at: None,
        completed_at: None,
    }
}

fn complete(ordinal: usize, text: &str) -> (usize, String, MessageStatus) {
    (ordinal, text.to_owned(), MessageStatus::Complete)
}

fn partial(ordinal: usize, text: &str) -> (usize, String, MessageStatus) {
    (ordinal, text.to_owned(), MessageStatus::Partial)
}

#[test]
fn a_success_leaves_all_its_text_to_each_group_of_messages() {
    let mut log = Log::new();
    log.say("draft", 1, "stop");
    log.say("one", 1, "stop");
    log.ask();
    log.ask();
    log.say("three", 3, "stop");
    let answers = log.end(RunOutcome::Success);
    assert_eq!(answers, [complete(1, "draft\n\none"), complete(5, "three")]);
}

#[test]
fn a_response_that_was_overtaken_by_a_message_comes_before_it() {
    let mut log = Log::new();
    log.ask();
    log.say("one", 1, "stop");
    log.say("two", 2, "stop");
    assert_eq!(log.end(RunOutcome::Success), [complete(1, "one"), complete(3, "two")]);
}

#[test]
fn texts_beside_tool_calls_are_parts_of_the_answer() {
    let mut log = Log::new();
    log.call();
    log.say("Let me look.", 1, "tool_calls");
    log.ask();
    log.call();
    log.say("Let me look again.", 2, "tool_calls");
    log.say("Found.", 2, "stop");
    let expected = [complete(1, "Let me look."), complete(3, "Let me look again.\n\nFound.")];
    assert_eq!(log.end(RunOutcome::Success), expected);
}

#[test]
fn a_blank_closing_response_does_not_hide_the_text_beside_the_last_call() {
    let mut log = Log::new();
    log.call();
    log.say("Here is the report.", 1, "tool_calls");
    log.say("\n", 1, "stop");
    assert_eq!(log.end(RunOutcome::Success), [complete(1, "Here is the report.")]);
}

#[test]
fn pieces_between_reasoning_are_one_text() {
    let mut log = Log::new();
    for text in ["The capital ", "is Paris."] {
        let mut pieces = response(text, 1, "stop");
        let usage = pieces.pop().unwrap();
        pieces.into_iter().for_each(|body| log.push(body));
        if text.ends_with('.') {
            log.push(usage);
        }
    }
    assert_eq!(log.0.answer_text(), "The capital is Paris.");
    assert_eq!(log.end(RunOutcome::Success), [complete(1, "The capital is Paris.")]);
}

#[test]
fn an_answer_of_calls_alone_has_no_text() {
    let mut log = Log::new();
    log.call();
    log.push(response("", 1, "tool_calls").pop().unwrap());
    assert_eq!(log.end(RunOutcome::Cancelled), [partial(1, "")]);
}

#[test]
fn the_steps_of_a_plan_are_no_answers_if_there_is_another() {
    let mut log = Log::new();
    log.push(Body::StepStarted { step_name: "a".into() });
    log.say("the step", 1, "stop");
    log.push(Body::StepFinished { step_name: "a".into() });
    log.ask();
    log.say("the end", 2, "stop");
    assert_eq!(log.end(RunOutcome::Success), [complete(1, ""), complete(3, "the end")]);
}

#[test]
fn a_cancelled_run_leaves_all_that_it_has_said_since_its_last_answer() {
    let mut log = Log::new();
    log.say("one", 1, "stop");
    log.ask();
    log.call();
    log.say("Let me look.", 2, "tool_calls");
    log.say("tw", 2, Usage::CANCELLED);
    assert_eq!(log.end(RunOutcome::Cancelled), [complete(1, "one"), partial(3, "Let me look.\n\ntw")]);
}

#[test]
fn a_response_that_was_cut_is_partial_even_if_a_message_came_after_it() {
    let mut log = Log::new();
    log.say("on", 1, Usage::CANCELLED);
    log.ask();
    assert_eq!(log.end(RunOutcome::Cancelled), [partial(1, "on")]);
}

#[test]
fn a_run_without_words_leaves_no_answer() {
    assert_eq!(Log::new().end(RunOutcome::Success), []);
}

#[test]
fn all_answers_of_a_run_fit_one_transaction() {
    let mut log = Log::new();
    let all = 1 + u32::try_from(crate::MAX_STEERING_MESSAGES).unwrap();
    for told in 1..=all {
        log.say(&"é".repeat(200_000), told, "stop");
        if told < all {
            log.ask();
        }
    }
    let answers = log.end(RunOutcome::Success);
    assert_eq!(answers.len(), 33);
    let bytes: usize = answers.iter().map(|(_, text, _)| text.len()).sum();
    assert!(bytes > MAX_TEXT_OF_RUN - 100 && bytes <= MAX_TEXT_OF_RUN, "{bytes}");
}
