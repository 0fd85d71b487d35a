//! Properties of the traces of all logs.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sequent_event::{
    Body, Event, Seq,
    testing::{GeneratedLog, MOVES, task},
};

use super::{key, value};
use crate::{RunTrace, Span, SpanId, otlp};

/// A log of these moves, each after a time that may be negative: the next owner's clock is behind.
fn generated(moves: &[(u8, i64)], tick: i64, end: u8) -> GeneratedLog {
    let mut log = GeneratedLog::new(vec![task()]);
    log.tick = tick;
    for (kind, wait) in moves {
        log.clock += wait;
        log.advance(*kind);
    }
    log.end(end);
    log
}

fn check(events: &[Event], trace: &RunTrace) {
    let (root, others) = trace.spans.split_first().expect("a run has a span");
    assert_eq!(root.parent, None);
    let by_id: BTreeMap<SpanId, &Span> = trace.spans.iter().map(|span| (span.span_id, span)).collect();
    assert_eq!(by_id.len(), trace.spans.len(), "ids are unique");
    for span in others {
        assert!(span.start <= span.end, "{span:?}");
        let parent = by_id[&span.parent.expect("only the run has no parent")];
        assert!(parent.start <= span.start, "{span:?} begins before {parent:?}");
        assert!(root.end >= span.end || span.name.starts_with("job "), "{span:?} outlives the run");
    }
    let names: BTreeSet<_> = trace.spans.iter().map(|span| value(span, "sequent.run.id")).collect();
    assert_eq!(names.len(), 1);
    assert!(events.len() >= others.len());
}

/// The number of spans whose names begin with this word.
fn count(trace: &RunTrace, word: &str) -> usize {
    trace.spans.iter().filter(|span| span.name.split(' ').next() == Some(word)).count()
}

proptest! {
    #[test]
    fn a_trace_is_complete_and_always_the_same(
        moves in prop::collection::vec((0..MOVES, -500_i64..500), 0..12),
        tick in 0_i64..50,
        end in 0_u8..3,
    ) {
        let log = generated(&moves, tick, end);
        let trace = RunTrace::of(key(), &log.events, true).unwrap();
        check(&log.events, &trace);
        let of = |is_counted: fn(&Body) -> bool| {
            log.events.iter().filter_map(Event::body).filter(|body| is_counted(body)).count()
        };
        prop_assert_eq!(count(&trace, "chat"), of(|body| body.usage().is_some()));
        prop_assert_eq!(count(&trace, "execute_tool"), of(|body| matches!(body, Body::ToolCallEnd { .. })));
        prop_assert_eq!(count(&trace, "step"), of(|body| matches!(body, Body::StepStarted { .. })));
        prop_assert_eq!(count(&trace, "job"), of(|body| matches!(body, Body::JobEnqueued(_))));
        let again = RunTrace::of(key(), &log.events, true).unwrap();
        prop_assert_eq!(otlp::encode(&trace), otlp::encode(&again));

        // A beginning of a log has a trace, whose spans end.
        for length in (0..log.events.len()).step_by(9) {
            let part = RunTrace::of(key(), &log.events[..length], false).unwrap();
            prop_assert!(part.spans.iter().all(|span| span.start <= span.end));
        }
    }

    #[test]
    fn a_replay_shows_nothing_of_the_run_that_it_repeats(
        moves in prop::collection::vec((0..MOVES, 0_i64..500), 0..8),
        own in prop::collection::vec((0..MOVES, 0_i64..500), 0..4),
    ) {
        let mut first = GeneratedLog::new(vec![task()]);
        moves.iter().for_each(|(kind, _)| first.advance(*kind));
        let mut replay = first.replayed();
        replay.ids = 1_000;
        let copied = replay.state.copied_through;
        own.iter().for_each(|(kind, _)| replay.advance(*kind));
        replay.end(0);
        let trace = RunTrace::of(key(), &replay.events, true).unwrap();
        check(&replay.events, &trace);
        let own = replay.events.iter().filter(|event| event.seq > copied);
        let calls = own.filter_map(Event::body).filter(|body| body.usage().is_some()).count();
        prop_assert_eq!(count(&trace, "chat"), calls);
    }
}

#[test]
fn the_ids_of_spans_differ_between_runs_and_positions() {
    let ids: BTreeSet<SpanId> = (0..100)
        .flat_map(|seq| [1, 2].map(|run| SpanId::of(sequent_core::RunId::from_bits(run), Seq(seq))))
        .collect();
    assert_eq!(ids.len(), 200);
}
