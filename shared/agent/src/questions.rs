//! The questions that one execution asks: as many as one event can list, with quotes that are no longer than that allows.

use sequent_core::InterruptId;
use sequent_event::{Interrupt, Question, ToolCall};
use sequent_tool::cut;

/// Questions that are asked together at most. The others are asked when these have been answered.
pub const MAX_QUESTIONS: usize = 64;
/// Bytes of the questions that are asked together, as JSON: the event that ends the execution lists them all.
const MAX_BYTES: usize = 90_000;
/// Bytes of a question about a call besides the quoted arguments.
const FRAME: usize = 720;
/// Bytes of a call's arguments that a question quotes at most, as JSON. A person reads them, and every list of runs returns
/// them.
const MAX_QUOTE: usize = 16_000;
/// Bytes that are quoted even if there are many questions.
const MIN_QUOTE: usize = 200;

/// Quotes the arguments of `call` in one of at most `count` questions.
pub(crate) fn quote(call: &ToolCall, count: usize) -> String {
    let share = MAX_BYTES / count.clamp(1, MAX_QUESTIONS) - FRAME;
    let limit = share.clamp(MIN_QUOTE, MAX_QUOTE);
    let what = format!("the log holds the arguments of {} under its id; the whole text", call.id);
    cut(call.arguments.clone(), limit, limit, &what)
}

/// Takes the questions that can be asked together: at least the first.
pub(crate) fn take(questions: Vec<Question>) -> Vec<Interrupt> {
    let mut room = MAX_BYTES;
    let asked = questions.into_iter().map(|question| Interrupt { id: InterruptId::new(), question });
    let fits = |(at, interrupt): &(usize, Interrupt)| {
        let bytes = serde_json::to_string(interrupt).map_or(0, |text| text.len());
        let fits = bytes <= room;
        room = room.saturating_sub(bytes);
        fits || *at == 0
    };
    asked.take(MAX_QUESTIONS).enumerate().take_while(fits).map(|(_, interrupt)| interrupt).collect()
}

#[cfg(test)]
mod tests {
    use sequent_core::{ProjectId, RunId};
    use sequent_event::{Body, Reason, RunOutcome, size};

    use super::*;

    fn asked(sizes: &[usize]) -> Vec<Interrupt> {
        let call = |size: &usize| ToolCall {
            id: sequent_core::ToolCallId::new().to_string(),
            name: "wire".into(),
            arguments: serde_json::json!({ "memo": "\"".repeat(*size) }).to_string(),
        };
        let question = |call: ToolCall| Question {
            reason: Reason::Approval,
            message: format!("Do you approve a call of the tool `wire`? {}", quote(&call, sizes.len())),
            tool_call_id: Some(call.id),
            call: None,
            response_schema: Some(
                serde_json::json!({"type": "object", "properties": {"approved": {"type": "boolean"}}}),
            ),
            expires_at: Some(sequent_core::Timestamp::from_millis(1_000_000_000_000)),
        };
        take(sizes.iter().map(call).map(question).collect())
    }

    #[test]
    fn the_questions_of_one_execution_fit_its_last_event() {
        for (count, size, expected) in
            [(1, 45_000, 1), (4, 12_000, 4), (40, 1_500, 40), (64, 20, 64), (200, 3_000, 64)]
        {
            let interrupts = asked(&vec![size; count]);
            assert_eq!(interrupts.len(), expected, "{count} of {size} bytes");
            let outcome = RunOutcome::Interrupt { interrupts };
            let end = Body::RunFinished { thread_id: ProjectId::new(), run_id: RunId::new(), outcome };
            assert!(
                end.encoded_bytes() <= size::MAX_EVENT_BYTES,
                "{count} of {size}: {}",
                end.encoded_bytes()
            );
        }
    }

    #[test]
    fn a_quote_is_cut_only_if_it_must_be() {
        let question = |sizes: &[usize]| asked(sizes)[0].question.message.clone();
        assert!(!question(&[1_500; 8]).contains("[Cut"));
        let cut = question(&[45_000]);
        assert!(cut.contains("[Cut: the log holds the arguments of call_"), "{}", &cut[cut.len() - 200..]);
    }
}
