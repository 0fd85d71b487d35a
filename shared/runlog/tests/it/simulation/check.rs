//! The guarantees that must hold for every run.

use std::collections::BTreeMap;

use sequent_event::{Body, Event, RunOutcome, Seq, State};
use sequent_runlog::{ControlOutcome, Segment};

use super::world::{History, World};
use crate::memory::{Closed, question, started};

pub(super) fn all(world: &World) {
    let segments = world.table.segments();
    let log: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    let history = world.history.lock().unwrap();
    let mut violations = Vec::new();
    let mut broken = |rule, how: String| violations.push((rule, how));

    order(&log, &mut broken);
    fencing(&segments, &mut broken);
    closing(world, &log, &mut broken);
    owners(&history, &segments, &log, &mut broken);
    controls(&history, &log, &mut broken);
    readers(&history, &log, &mut broken);
    drop(history);
    for (rule, how) in violations {
        world.table.violation(rule, how);
    }
}

type Broken<'a> = &'a mut dyn FnMut(&'static str, String);

/// Positions increase by one from 1, so there is neither a gap nor a duplicate, and the log can be folded.
fn order(log: &[Event], broken: Broken<'_>) {
    for (event, expected) in log.iter().zip(1..) {
        if event.seq != Seq(expected) {
            broken("order", format!("found {} at {expected}", event.seq));
            return;
        }
    }
    if let Err(error) = State::of(log) {
        broken("fold", error.to_string());
    }
}

/// No segment comes after the claim of a higher epoch, and every claim raises the epoch by one.
fn fencing(segments: &[Segment], broken: Broken<'_>) {
    let mut current = 0;
    for segment in segments {
        let claims = segment.entries.iter().filter_map(|entry| match entry.body() {
            Some(Body::RunClaimed { epoch, .. }) => Some(*epoch),
            _ => None,
        });
        for epoch in claims {
            if epoch != current + 1 || segment.epoch != epoch {
                broken("fencing", format!("claim of {epoch} after {current} at {}", segment.first));
            }
            current = epoch;
        }
        if segment.epoch != 0 && segment.epoch != current {
            broken("fencing", format!("epoch {} wrote {} in {current}", segment.epoch, segment.first));
        }
    }
}

/// The last event is the only terminal one, there is no success after a cancellation, and the row repeats the
/// log.
fn closing(world: &World, log: &[Event], broken: Broken<'_>) {
    let terminals = log.iter().filter(|event| event.is_terminal()).count();
    if terminals != 1 || !log.last().is_some_and(Event::is_terminal) {
        broken("one terminal", format!("{terminals} terminal events"));
    }
    let cancelled = log.iter().any(|event| matches!(event.body(), Some(Body::CancelRequested { .. })));
    let succeeded =
        |event: &&Event| matches!(event.body(), Some(Body::RunFinished { outcome: RunOutcome::Success, .. }));
    if cancelled && log.iter().any(|event| succeeded(&event)) {
        broken("no success after a cancel", "a success after a cancel".to_owned());
    }
    let state = State::of(log).unwrap_or_default();
    let row = world.table.lock().closed.clone();
    if row != Some(Closed::of(&state)) {
        broken("one transaction", format!("the row is {row:?}"));
    }
}

/// For each epoch, the log contains the first part of what its owner sent, and everything that was
/// acknowledged. The observer got the log from the claim on.
fn owners(history: &History, segments: &[Segment], log: &[Event], broken: Broken<'_>) {
    let mut stored: BTreeMap<u32, Vec<Body>> = BTreeMap::new();
    for segment in segments.iter().filter(|segment| segment.epoch > 0) {
        let bodies = segment.entries.iter().filter_map(|entry| entry.body()).cloned();
        stored.entry(segment.epoch).or_default().extend(bodies);
    }
    for (epoch, mut bodies) in stored.clone() {
        // The events that created the log were not sent by an owner.
        let opening: Vec<Body> = match bodies.first() {
            Some(Body::UserMessage { .. }) => vec![question(), bodies[1].clone(), started()],
            _ => bodies[..1].to_vec(),
        };
        if !bodies.starts_with(&opening)
            || !opening.iter().any(|body| matches!(body, Body::RunClaimed { .. }))
        {
            broken("claims", format!("epoch {epoch} does not start with its claim"));
            continue;
        }
        bodies.drain(..opening.len());
        let none = Default::default();
        let owner = history.owners.get(&epoch).unwrap_or(&none);
        if let Err(how) = begins(&joined(&owner.sent), &joined(&bodies)) {
            broken("only sent events are stored", format!("epoch {epoch}: {how}"));
        }
    }
    for (epoch, owner) in &history.owners {
        let bodies = stored.get(epoch).cloned().unwrap_or_default();
        let own: Vec<Body> = {
            let skip = bodies.iter().position(|body| matches!(body, Body::RunClaimed { .. }));
            let mut own: Vec<Body> = bodies.into_iter().skip(skip.map_or(0, |at| at + 1)).collect();
            if *epoch == 1 && own.first() == Some(&started()) && owner.sent.first() != own.first() {
                own.remove(0);
            }
            own
        };
        if let Err(how) = begins(&joined(&own), &joined(&owner.sent[..owner.acknowledged])) {
            broken("acknowledged is stored", format!("epoch {epoch}: {how}"));
        }
        same(&format!("observer of epoch {epoch}"), &owner.observed, log, broken);
        let first = owner.observed.first();
        let claims = |event: &Event| match event.body() {
            Some(Body::RunClaimed { epoch: claimed, .. }) => claimed == epoch,
            _ => event.seq == Seq(1),
        };
        if first.is_some_and(|event| !claims(event)) {
            broken("shown is stored", format!("the observer of epoch {epoch} did not start with its claim"));
        }
    }
}

/// An acknowledged control event is at the position that was returned, a refused one is not in the log, and
/// none is in the log twice.
fn controls(history: &History, log: &[Event], broken: Broken<'_>) {
    for (body, result) in &history.controls {
        let found: Vec<Seq> =
            log.iter().filter(|event| event.body() == Some(body)).map(|event| event.seq).collect();
        let correct = match result {
            Some(ControlOutcome::Appended(seq)) => found == [*seq],
            Some(ControlOutcome::Closed | ControlOutcome::Waiting | ControlOutcome::Missing) => {
                found.is_empty()
            }
            None => found.len() <= 1,
        };
        if !correct {
            broken("control events", format!("{result:?}, but found at {found:?}"));
        }
    }
}

/// Every reader got the log from its cursor to the end.
fn readers(history: &History, log: &[Event], broken: Broken<'_>) {
    for (begin, seen) in &history.readers {
        same(&format!("reader from {begin}"), seen, log, broken);
        let expected = log.len().saturating_sub(usize::try_from(begin.0).unwrap());
        if seen.len() != expected || seen.first().is_some_and(|event| event.seq != begin.next()) {
            broken("readers", format!("reader from {begin} saw {} of {expected}", seen.len()));
        }
    }
}

/// The events that a reader got are those of the log, without a gap.
fn same(reader: &str, seen: &[Event], log: &[Event], broken: Broken<'_>) {
    let mut before: Option<Seq> = None;
    for event in seen {
        if before.is_some_and(|before| event.seq != before.next()) {
            broken("readers", format!("{reader} got {} after {before:?}", event.seq));
        }
        before = Some(event.seq);
        let at = usize::try_from(event.seq.0).unwrap() - 1;
        if log.get(at) != Some(event) {
            broken("shown is stored", format!("{reader} got another event at {}", event.seq));
        }
    }
}

/// Merges the consecutive pieces of each message, as the writer may do.
fn joined(bodies: &[Body]) -> Vec<Body> {
    let mut all: Vec<Body> = Vec::new();
    for body in bodies {
        let separate = match all.last_mut() {
            None => Some(body.clone()),
            Some(last) => last.merge(body.clone(), usize::MAX),
        };
        all.extend(separate);
    }
    all
}

/// Returns an error unless `whole` starts with `part`. The last text of `part` may be incomplete.
fn begins(whole: &[Body], part: &[Body]) -> Result<(), String> {
    for (at, body) in part.iter().enumerate() {
        let fits = match (whole.get(at), body) {
            (
                Some(Body::TextMessageContent { message_id, delta }),
                Body::TextMessageContent { message_id: of, delta: short },
            ) if at + 1 == part.len() => message_id == of && delta.starts_with(short.as_str()),
            (whole, body) => whole == Some(body),
        };
        if !fits {
            let name = |body: Option<&Body>| body.map_or("nothing", Body::type_name);
            return Err(format!("{} {at} is {}", body.type_name(), name(whole.get(at))));
        }
    }
    Ok(())
}
