//! Concurrent answers to a run that waits, under every fault: each question gets one answer, and every caller
//! learns which.

use std::{sync::Arc, time::Duration};

use sequent_core::InterruptId;
use sequent_event::{AnswerStatus, Body, Interrupt, InterruptAnswer, Question, Reason, RunOutcome, State};
use sequent_runlog::{Claim, Decision, Settings, claim, create_claimed, decide};
use serde_json::json;
use tokio::{sync::Mutex, task::JoinSet, time::Instant};

use crate::{
    memory::{Closed, Faults, Rows, Table, finished, key, question, started},
    process::Process,
    simulation::mutation::Mutation,
};

const QUESTIONS: u128 = 3;
const PEOPLE: u64 = 6;

fn interrupt(id: u128) -> Interrupt {
    let question = Question {
        reason: Reason::Question,
        message: "Which?".into(),
        tool_call_id: None,
        call: None,
        response_schema: None,
        expires_at: None,
    };
    Interrupt { id: InterruptId::from_bits(id), question }
}

/// Creates a log that waits for answers to all questions.
pub(crate) async fn create_waiting(process: &Process) {
    let writer = create_claimed(
        process,
        key(),
        Settings::default(),
        vec![question()],
        vec![started()],
        Rows::default(),
        None,
    );
    let writer = writer.await.unwrap();
    let interrupts: Vec<Interrupt> = (0..QUESTIONS).map(interrupt).collect();
    let mut bodies: Vec<Body> = interrupts
        .iter()
        .map(|asked| Body::ClarificationNeeded { interrupt_id: asked.id, question: asked.question.clone() })
        .collect();
    bodies.push(finished(RunOutcome::Interrupt { interrupts }));
    let known = *writer.signals().borrow();
    let rows = |state: &State| Rows { close: Some(Closed::of(state)), ..Rows::default() };
    writer.finish(known, bodies, rows).await.unwrap();
}

/// Returns the events of the first answer to `interrupt`. Returns `Err` with the first answer if there is
/// one.
pub(crate) fn answer(
    state: &State,
    interrupt: InterruptId,
    person: u64,
) -> Result<Vec<Body>, Box<InterruptAnswer>> {
    let asked = state.asked.iter().find(|asked| asked.interrupt.id == interrupt).unwrap();
    if let Some(first) = &asked.answer {
        return Err(Box::new(first.clone()));
    }
    let remaining = u32::try_from(state.open_interrupts().count() - 1).unwrap();
    let payload = Some(json!(person));
    let status = AnswerStatus::Resolved;
    let answered = InterruptAnswer { interrupt_id: interrupt, status, payload, by: None, remaining };
    Ok(vec![Body::ClarificationAnswered(answered)])
}

async fn race(seed: u64) -> u64 {
    fastrand::seed(seed);
    let until = Instant::now() + Duration::from_secs(5);
    let rate = || fastrand::choice([0.0, 0.05, 0.15]).unwrap();
    let faults = Faults {
        throttle: rate(),
        lost_response: rate(),
        dropped: rate(),
        late: rate(),
        read: rate(),
        pause: 0.0,
        until,
        latency: 0..=fastrand::u64(1..30),
        lag: Duration::from_millis(fastrand::u64(..500)),
        gap: rate(),
    };
    let quiet = Table::new(Faults::none(1), Mutation::None);
    create_waiting(&quiet.process(0)).await;
    let table = Table::new(faults, Mutation::None);
    for segment in quiet.segments() {
        table.put(&[segment], &Rows::default()).unwrap();
    }
    let learnt = Arc::new(Mutex::new(Vec::new()));
    let mut people = JoinSet::new();
    for person in 0..PEOPLE {
        let process = table.process(0);
        let learnt = learnt.clone();
        people.spawn(async move {
            for question in 0..QUESTIONS {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..50))).await;
                let id = InterruptId::from_bits(question);
                let decided = decide(&process, key(), |state| {
                    answer(state, id, person).map(|bodies| (bodies, Rows::default()))
                });
                match decided.await {
                    Ok(Decision::Stored(_)) => learnt.lock().await.push((id, json!(person))),
                    Ok(Decision::Refused(first)) => learnt.lock().await.push((id, first.payload.unwrap())),
                    Ok(Decision::Missing) => panic!("seed {seed}: the log is missing"),
                    Err(_) => {} // the outcome is unknown to this person
                }
            }
        });
    }
    while let Some(joined) = people.join_next().await {
        joined.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(10)).await; // for delayed writes
    let state = table.state();
    let counted =
        table.events().iter().filter(|event| event.entry.type_name() == "CLARIFICATION_ANSWERED").count();
    assert!(counted <= usize::try_from(QUESTIONS).unwrap(), "seed {seed}: a question was answered twice");
    let learnt = learnt.lock().await;
    for (id, payload) in learnt.iter() {
        let asked = state.asked.iter().find(|asked| asked.interrupt.id == *id).unwrap();
        let first = asked.answer.as_ref().and_then(|answer| answer.payload.as_ref());
        assert_eq!(first, Some(payload), "seed {seed}: a caller got an answer that does not count");
    }
    let claimed = claim(&table.process(0), key(), Settings::default(), false, None).await.unwrap();
    match claimed {
        Claim::Won(writer) => assert!(writer.opening().is_resumable() || counted == 3, "seed {seed}"),
        Claim::Closed => assert!(counted < 3, "seed {seed}: nothing is left to wait for"),
        other => panic!("seed {seed}: {other:?}"),
    }
    learnt.len() as u64
}

#[test]
fn one_of_many_answers_counts_and_every_caller_learns_which() {
    let mut learnt = 0;
    for seed in 0..200 {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        learnt += runtime.block_on(race(seed));
    }
    let asked = u64::try_from(QUESTIONS).unwrap() * PEOPLE * 200;
    assert!(learnt > asked / 2, "{learnt} of {asked} callers got an answer");
}
