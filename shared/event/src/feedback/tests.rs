use proptest::prelude::*;
use sequent_core::{ProjectId, RunId};

use super::*;
use crate::{
    Body, Entry, Event, RunOutcome, Seq, State, copies,
    testing::{GeneratedLog, MOVES, task},
};

fn rating(name: &str, comment: Option<&str>) -> Rating {
    let scores = BTreeMap::from([(name.to_owned(), Score(1))]);
    Rating { thumb: None, scores, comment: comment.map(str::to_owned) }
}

#[test]
fn scores_are_exact_to_three_decimals() {
    for (number, thousandths) in [(0.0, 0), (0.1, 100), (-0.0004, 0), (0.0006, 1), (-1_000.0, -1_000_000)] {
        let score = Score::try_from(number).unwrap();
        assert_eq!(score.thousandths(), thousandths, "{number}");
        let json = serde_json::to_string(&score).unwrap();
        assert_eq!(serde_json::from_str::<Score>(&json).unwrap(), score, "{json}");
    }
    for number in [1_000.001, f64::NAN, f64::INFINITY, -1e300] {
        assert_eq!(Score::try_from(number), Err(InvalidScore), "{number}");
    }
    assert_eq!(serde_json::from_str::<Score>("1").unwrap(), Score(1_000));
}

#[test]
fn a_rating_is_bounded() {
    assert_eq!(Rating::default().checked(), Err(InvalidRating::Empty));
    for name in ["helpful", "a.b-c_9"] {
        assert!(rating(name, Some("Good.")).checked().is_ok(), "{name}");
    }
    for name in ["", "Helpful", "a b", &"a".repeat(41)] {
        assert!(matches!(rating(name, None).checked(), Err(InvalidRating::ScoreName { .. })), "{name}");
    }
    for comment in ["", " \n", &"a".repeat(4_001)] {
        assert_eq!(rating("a", Some(comment)).checked(), Err(InvalidRating::Comment), "{comment}");
    }
    let scores = (0..11).map(|n| (n.to_string(), Score(n))).collect();
    assert_eq!(Rating { scores, ..Rating::default() }.checked(), Err(InvalidRating::TooManyScores));
}

/// Feedback of one person on the run or on one of its answers.
fn change(by: u128, message_id: Option<MessageId>, comment: Option<&str>, run: RunStage) -> Body {
    let rating = comment.map(|comment| Rating { comment: Some(comment.into()), ..Rating::default() });
    Body::FeedbackGiven(FeedbackChange { by: UserId::from_bits(by), message_id, rating, run })
}

/// Applies an event at the end of a log.
fn push(events: &mut Vec<Event>, state: &mut State, at: Timestamp, body: Body) {
    let event = Entry::new(at, body).at_seq(state.next());
    state.apply(&event).unwrap_or_else(|error| panic!("{error}: {event:?}"));
    events.push(event);
}

/// The log with feedback on the run and on its last answer before the event at `place`, or at its end.
fn rated(log: &GeneratedLog, place: usize) -> (Vec<Event>, State) {
    let mut events = Vec::new();
    let mut state = State::default();
    let rate = |events: &mut Vec<Event>, state: &mut State, at| {
        let answer = state.answers.last().map(|answer| Some(answer.id));
        for on in [None].into_iter().chain(answer) {
            let stage = state.stage();
            push(events, state, at, change(1, on, Some("Good."), stage));
        }
    };
    for (position, event) in log.events.iter().enumerate() {
        if position == place {
            rate(&mut events, &mut state, event.entry.at);
        }
        push(&mut events, &mut state, event.entry.at, event.body().unwrap().clone());
    }
    if place >= log.events.len() {
        let at = state.last_at.unwrap();
        rate(&mut events, &mut state, at);
    }
    (events, state)
}

proptest! {
    /// A reader of the tail sees the same end with feedback as without it, and the agent does the same.
    #[test]
    fn feedback_at_any_point_changes_nothing_else(
        moves in prop::collection::vec(0..MOVES, 1..8),
        place in 0_usize..60,
        ends in any::<bool>(),
    ) {
        let mut log = GeneratedLog::new(vec![task()]);
        moves.into_iter().for_each(|kind| log.advance(kind));
        if log.is_at_rest() && ends {
            let outcome = RunOutcome::Success;
            log.push(Body::RunFinished { thread_id: ProjectId::from_bits(1), run_id: RunId::from_bits(1), outcome });
        }
        let (events, state) = rated(&log, place);
        prop_assert!(!state.feedback.is_empty());
        let without = |state: State| {
            State { last: Seq::START, last_at: None, feedback: Vec::new(), feedback_changes: 0, ..state }
        };
        prop_assert_eq!(without(state), without(log.state.clone()));
        let kinds = |bodies: Vec<Body>| bodies.iter().map(Body::type_name).collect::<Vec<_>>();
        prop_assert_eq!(kinds(copies(&events, None)), kinds(copies(&log.events, None)));
        for pair in events.windows(2).filter(|pair| matches!(pair[1].body(), Some(Body::FeedbackGiven(_)))) {
            let waits = |event: &Event| event.body().is_some_and(Body::waits_for_people);
            prop_assert_eq!(pair[1].leaves_closed(), pair[0].leaves_closed());
            prop_assert_eq!(waits(&pair[1]), waits(&pair[0]));
        }
    }
}

#[test]
fn feedback_replaces_that_of_the_same_person_on_the_same_thing() {
    let mut log = GeneratedLog::new(vec![task()]);
    log.advance(0);
    let answer = Some(log.state.answers[0].id);
    for (by, on, comment) in [
        (1, None, Some("Good.")),
        (1, answer, Some("Long.")),
        (2, None, Some("Bad.")),
        (1, None, Some("Fine.")),
        (2, None, None),
    ] {
        log.push(change(by, on, comment, RunStage::Live));
    }
    let comment = |given: &GivenFeedback| given.rating.as_ref().and_then(|rating| rating.comment.clone());
    let comments: Vec<_> = log.state.feedback.iter().map(comment).collect();
    assert_eq!(comments, [Some("Fine.".to_owned()), Some("Long.".to_owned()), None]);
    assert_eq!(log.state.feedback_changes, 5);
    let unknown = Some(MessageId::from_bits(9_999));
    for refused in [change(1, unknown, None, RunStage::Live), change(1, None, None, RunStage::Ended)] {
        let event = Entry::new(Timestamp::from_millis(1), refused).at_seq(log.state.next());
        assert!(log.state.clone().apply(&event).is_err(), "{event:?}");
    }
}
