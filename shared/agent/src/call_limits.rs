//! The limits of a tenant for the calls of a tool. The log of a run tells how many it has made, and a counter those of a day.

use sequent_conversation::Error;
use sequent_core::Timestamp;
use sequent_definitions::count_call;
use sequent_event::{State, ToolCall, TranscriptEntry};
use sequent_tool::Tool;

use crate::{
    execution::Execution,
    verdict::{CallResult, Verdict},
};

/// Returns the result of a call that is one too many for its run. Every earlier call counts, whatever its result was.
pub(crate) fn beyond_run(state: &State, tool: &Tool, call: &ToolCall) -> Option<String> {
    let limit = tool.limits.per_run?;
    let made: Vec<&ToolCall> = state.transcript.iter().flat_map(calls).collect();
    let place = made.iter().rposition(|made| made.id == call.id).unwrap_or(made.len());
    let before = made[..place].iter().filter(|made| made.name == call.name).count();
    (before >= limit as usize).then(|| {
        format!(
            "The limit of calls of `{}` in one run is {limit}, and it is reached. Continue without it.",
            call.name
        )
    })
}

fn calls(entry: &TranscriptEntry) -> &[ToolCall] {
    match entry {
        TranscriptEntry::Assistant { calls, .. } => calls,
        _ => &[],
    }
}

/// Counts a call that is about to start, if its tool has a limit per day. A call beyond the limit gets a result instead. A call that
/// the next owner makes again is counted again.
pub(crate) async fn within_day(
    execution: &Execution<'_>,
    call: &ToolCall,
    decided: Verdict,
) -> Result<Verdict, Error> {
    let limit = execution.tools.get(&call.name).and_then(|tool| tool.limits.per_day);
    let Some(limit) = limit.filter(|_| starts(&execution.state, call, &decided)) else { return Ok(decided) };
    let store = execution.engine.store();
    if count_call(store, execution.key.tenant, &call.name, limit, Timestamp::now()).await? {
        return Ok(decided);
    }
    Ok(Verdict::Answer(CallResult::refused(format!(
        "The limit of calls of `{}` on one day is {limit} for this account, and it is reached until midnight in UTC. Continue \
         without it.",
        call.name
    ))))
}

/// Returns `true` if the call starts now. A job that is in the log was started before.
fn starts(state: &State, call: &ToolCall, decided: &Verdict) -> bool {
    match decided {
        Verdict::Run(..) => true,
        Verdict::Job(..) => state.jobs.iter().all(|job| job.job.tool_call_id.as_ref() != Some(&call.id)),
        Verdict::Answer(_) | Verdict::Plan(_) | Verdict::Ask(_) | Verdict::Wait => false,
    }
}

#[cfg(test)]
mod tests {
    use sequent_core::MessageId;
    use sequent_tool::{CallLimits, ToolKind};
    use serde_json::json;

    use super::*;

    fn call(id: &str, name: &str) -> ToolCall {
        ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: "{}".to_owned() }
    }

    fn response(calls: Vec<ToolCall>) -> TranscriptEntry {
        TranscriptEntry::Assistant {
            id: MessageId::new(),
            text: String::new(),
            calls,
            told: 0,
            is_cut: false,
            origin: None,
        }
    }

    #[test]
    fn the_calls_of_a_run_are_counted_in_their_order() {
        let charge = |limit: Option<u32>| Tool {
            limits: CallLimits { per_run: limit, per_day: None },
            ..Tool::new("charge", "Charges.", json!({}), ToolKind::AsksPerson)
        };
        let made = [("1", "charge"), ("2", "wire"), ("3", "charge"), ("4", "charge")];
        let made = made.map(|(id, name)| call(id, name));
        let transcript = vec![response(made[..2].to_vec()), response(made[2..].to_vec())];
        let state = State { transcript, ..State::default() };
        let beyond = |limit: Option<u32>| {
            let charges = made.iter().filter(|made| made.name == "charge");
            let beyond = charges.filter(|made| beyond_run(&state, &charge(limit), made).is_some());
            beyond.map(|made| made.id.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(beyond(Some(1)), ["3", "4"]);
        assert_eq!(beyond(Some(2)), ["4"]);
        assert!(beyond(Some(3)).is_empty() && beyond(None).is_empty());
        let text = beyond_run(&state, &charge(Some(1)), &made[3]).unwrap();
        assert_eq!(
            text,
            "The limit of calls of `charge` in one run is 1, and it is reached. Continue without it."
        );
    }
}
