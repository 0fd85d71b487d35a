//! Answers to the questions a run waits for.

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_core::{InterruptId, Timestamp, UserId};
use sequent_event::{AnswerStatus, Body, InterruptAnswer, State};
use sequent_runlog::{Decision, DynamoStorage, LogKey, TransactionRows, decide};
use sequent_tables::{Change, Transaction, key};
use serde_dynamo::to_attribute_value;

use crate::{Error, Question};

/// How long after the last answer the sweeper looks whether the run goes on.
const GRACE: Duration = Duration::from_secs(30);

/// One person's answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Which question.
    pub interrupt: InterruptId,
    /// How it is answered.
    pub status: AnswerStatus,
    /// The answer, as the question's schema wants it.
    pub payload: Option<serde_json::Value>,
}

/// Who goes on with the run once nothing is left to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Whoever takes it from the queue.
    Queue,
    /// The caller, who takes it over at once. Should it die before, the sweeper finds the run.
    Caller,
}

/// Why answers were not taken. Nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The run has asked no such question.
    Unknown(InterruptId),
    /// Another answer came first: this one.
    Taken(Box<InterruptAnswer>),
    /// The run ended without it.
    Ended,
}

/// Stores answers: all of them, or none. The first answer to a question is the one that counts.
///
/// The caller has checked the payloads against the questions' schemas.
///
/// # Errors
/// [`Error::NotFound`], or when the table or the log fails.
pub async fn answer(
    storage: &DynamoStorage,
    key: LogKey,
    by: Option<UserId>,
    replies: &[Reply],
    then: Then,
) -> Result<Result<State, Refused>, Error> {
    let decided = decide(storage, key, |state| {
        let mut after = state.clone();
        let mut bodies = Vec::with_capacity(replies.len());
        for reply in replies {
            let answered = answered(&after, reply, by)?;
            after.asked.iter_mut().filter(|asked| asked.interrupt.id == reply.interrupt).for_each(|asked| {
                asked.answer = Some(answered.clone());
            });
            bodies.push(Body::ClarificationAnswered(answered));
        }
        Ok((bodies, Some(rows(storage, key, after, then))))
    });
    match decided.await? {
        Decision::Stored(state) => Ok(Ok(*state)),
        Decision::Refused(why) => Ok(Err(why)),
        Decision::Missing => Err(Error::NotFound),
    }
}

/// Answers every question whose time is over with nothing, and queues the run if none is left.
///
/// # Errors
/// As [`answer`].
pub async fn expire(storage: &DynamoStorage, key: LogKey, now: Timestamp) -> Result<(), Error> {
    let decided = decide(storage, key, |state| {
        if !state.is_interrupted() {
            return Err(());
        }
        let over = |open: &&sequent_event::Interrupt| open.question.expires_at.is_some_and(|at| at <= now);
        let expired: Vec<InterruptId> = state.open_interrupts().filter(over).map(|open| open.id).collect();
        let mut after = state.clone();
        let mut bodies = Vec::with_capacity(expired.len());
        for interrupt in expired {
            let reply = Reply { interrupt, status: AnswerStatus::Expired, payload: None };
            let answered = answered(&after, &reply, None).map_err(|_| ())?;
            after.asked.iter_mut().filter(|asked| asked.interrupt.id == interrupt).for_each(|asked| {
                asked.answer = Some(answered.clone());
            });
            bodies.push(Body::ClarificationAnswered(answered));
        }
        if bodies.is_empty() { Err(()) } else { Ok((bodies, Some(rows(storage, key, after, Then::Queue)))) }
    });
    match decided.await? {
        // Somebody answered, or it was none of ours.
        Decision::Stored(_) | Decision::Refused(()) => Ok(()),
        Decision::Missing => Err(Error::NotFound),
    }
}

fn answered(state: &State, reply: &Reply, by: Option<UserId>) -> Result<InterruptAnswer, Refused> {
    let asked = state.asked.iter().find(|asked| asked.interrupt.id == reply.interrupt);
    let asked = asked.ok_or(Refused::Unknown(reply.interrupt))?;
    if let Some(first) = &asked.answer {
        return Err(Refused::Taken(Box::new(first.clone())));
    }
    if !state.is_interrupted() || state.cancel.is_some() {
        return Err(Refused::Ended);
    }
    let remaining = state.open_interrupts().count() - 1;
    Ok(InterruptAnswer {
        interrupt_id: reply.interrupt,
        status: reply.status,
        payload: reply.payload.clone(),
        by,
        remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
    })
}

/// The run's row as the answers leave it.
fn rows(storage: &DynamoStorage, key: LogKey, after: State, then: Then) -> TransactionRows {
    let (store, now) = (storage.store().clone(), Timestamp::now());
    let open: Vec<Question> = after.open_interrupts().map(Question::from).collect();
    let next = open.iter().filter_map(|question| question.expires_at).min();
    let done = open.is_empty();
    let questions: Value = to_attribute_value(&open).expect("a question serialises");
    Arc::new(move |transaction: Transaction| {
        let mut change = Change {
            update: "SET interrupts = :open".to_owned(),
            condition: Some("attribute_exists(pk)".to_owned()),
            values: vec![(":open", questions.clone())],
            ..Change::default()
        };
        if done && then == Then::Queue {
            change.update.push_str(", queued_at = :now");
            change.values.push((":now", Value::N(now.millis().to_string())));
        }
        // When the sweeper has to look: soon if the run should go on, else when the next question expires.
        let look = if done { Some(now + GRACE) } else { next };
        if let Some(look) = look {
            let index = key::active_run(key.run, look);
            change.update.push_str(", gsi2pk = :pk, gsi2sk = :sk");
            change.values.push((":pk", Value::S(index.pk().to_owned())));
            change.values.push((":sk", Value::S(index.sk().to_owned())));
        }
        transaction.update(&store, &key::run(key.tenant, key.run), change)
    })
}
