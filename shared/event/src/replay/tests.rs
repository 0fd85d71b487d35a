//! A replay is in the state of the run that it repeats, whatever that run has done.

use proptest::prelude::*;
use sequent_core::Timestamp;

use super::*;
use crate::{
    ClaimReason, Entry, State, Totals, TranscriptEntry,
    testing::{GeneratedLog, MOVES, task},
};

/// The parts of a state that decide what a run does and what its model is sent, without the ids of messages.
fn outline(state: &State) -> Vec<String> {
    let entry = |entry: &TranscriptEntry| match entry {
        TranscriptEntry::User { content, .. } => format!("user {content:?}"),
        TranscriptEntry::Assistant { text, calls, told, is_cut, origin, .. } => {
            let blocks = origin.iter().flat_map(|origin| &origin.reasoning);
            let blocks: Vec<_> = blocks
                .map(|block| (&block.text, &block.data, block.text_before, block.calls_before))
                .collect();
            format!("assistant {text} {calls:?} {told} {is_cut} {blocks:?}")
        }
        other => format!("{other:?}"),
    };
    let mut outline: Vec<String> = state.transcript.iter().map(entry).collect();
    outline.push(format!("{:?} {:?} {:?}", state.plan, state.artifacts, state.citations));
    outline.push(format!("{:?} {:?} {:?}", state.asked, state.children, state.open_steps));
    // A replay may ask another model, so nothing is known of the size of its window.
    let mut compactions = state.compactions.clone();
    compactions.iter_mut().for_each(|made| made.reason = CompactionReason::Window);
    outline.push(format!("{compactions:?} {}", state.new_compactions));
    outline.push(format!("{} {}", state.prompts_seen, state.answer_text()));
    let jobs = state.jobs.iter().map(|job| (&job.job, job.ended.is_some()));
    outline.push(format!("{:?}", jobs.collect::<Vec<_>>()));
    outline
}

/// Checks that the log is that of a run which does not pay for the copies.
fn check_free(log: &GeneratedLog) {
    let state = &log.state;
    assert_eq!((state.totals, state.model_calls, state.usage_may_grow), (Totals::default(), 0, false));
    assert!(state.own_children().next().is_none() && state.own_jobs().next().is_none());
    let copies = log.events.iter().take_while(|event| event.seq <= state.copied_through);
    assert!(copies.last().is_none_or(|last| !last.leaves_closed()), "the pending run can be claimed");
}

proptest! {
    #[test]
    fn a_replay_has_the_state_of_the_run_and_does_not_pay_for_it(moves in prop::collection::vec(0..MOVES, 1..12)) {
        let mut log = GeneratedLog::new(vec![task()]);
        for kind in moves {
            log.advance(kind);
            if log.is_at_rest() {
                let replay = log.replayed();
                prop_assert_eq!(outline(&replay.state), outline(&log.state));
                check_free(&replay);
                let again = replay.replayed();
                prop_assert_eq!(outline(&again.state), outline(&log.state), "the replay of a replay");
                check_free(&again);
            }
        }
    }
}

#[test]
fn a_replay_pays_for_what_it_does_itself() {
    let mut log = GeneratedLog::new(vec![task()]);
    log.advance(1);
    let mut replay = log.replayed();
    replay.ids = 1_000;
    let before = replay.state.transcript.len();
    replay.advance(1);
    replay.advance(7);
    replay.advance(8);
    assert_eq!((replay.state.model_calls, replay.state.totals.input_tokens), (1, 7 + 3 * 5));
    assert_eq!((replay.state.own_children().count(), replay.state.own_jobs().count()), (2, 1));
    assert!(replay.state.usage_may_grow && replay.state.transcript.len() > before);
}

#[test]
fn messages_get_new_ids_and_pieces_are_joined() {
    let mut log = GeneratedLog::new(vec![task()]);
    log.advance(1);
    let copies = copies(&log.events, None);
    let deltas: Vec<&str> = copies
        .iter()
        .filter_map(|body| match body {
            Body::TextMessageContent { delta, .. } | Body::ToolCallArgs { delta, .. } => Some(&**delta),
            _ => None,
        })
        .collect();
    assert_eq!(deltas, ["Let me look.", "{\"a\":1}"]);
    let old: Vec<MessageId> = (1..=log.ids).map(MessageId::from_bits).collect();
    for mut copy in copies {
        assert!(message_id(&mut copy).is_none_or(|id| !old.contains(id)), "{copy:?}");
    }
}

#[test]
fn no_owner_begins_before_the_copies_are_complete() {
    let replay = Replay { run_id: RunId::from_bits(1), seq: Some(Seq(9)), copied: 2 };
    let configuration = Configuration { replay: Some(Box::new(replay)), ..Configuration::default() };
    let mut state = State::default();
    for body in [Body::RunConfigured(configuration.into()), task()] {
        state.apply(&Entry::new(Timestamp::from_millis(1), body).at_seq(state.next())).unwrap();
    }
    let claimed = Body::RunClaimed { epoch: 1, writer: "w".into(), reason: ClaimReason::Start };
    assert!(state.apply(&Entry::new(Timestamp::from_millis(1), claimed).at_seq(state.next())).is_err());
}
