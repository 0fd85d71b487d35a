//! What a model is told: the conversation so far and the new message.

use sequent_data::Store;
use sequent_domain::TenantId;
use sequent_event::State;
use sequent_model::Message;
use sequent_project::{Projects, Role};
use sequent_run::{Error, Run};

/// Most earlier messages sent along.
const MESSAGES: u32 = 100;
/// Most bytes of earlier messages sent along; the oldest are left out first.
const BYTES: usize = 200_000;

/// Earlier exchanges of the project, then what people said to this run.
pub(crate) async fn conversation(
    store: &Store,
    tenant: TenantId,
    run: &Run,
    state: &State,
) -> Result<Vec<Message>, Error> {
    let rows = Projects::new(store, tenant).latest_messages(run.project_id, MESSAGES).await;
    let rows = rows.map_err(|error| match error {
        sequent_project::Error::Data(error) => Error::Data(error),
        _ => Error::NoProject,
    })?;
    let mut room = BYTES;
    // Exchanges of later runs cannot be known to this one: it may be a take-over of an old run.
    let earlier = rows.iter().rev().filter(|row| row.run_id < run.id).take_while(|row| {
        room = room.saturating_sub(row.content.len());
        room > 0
    });
    let mut messages: Vec<Message> = earlier
        .map(|row| match row.role {
            Role::User => Message::user(row.content.clone()),
            Role::Assistant => Message::assistant(row.content.clone()),
        })
        .collect();
    messages.reverse();
    messages.extend(state.prompts.iter().map(|prompt| Message::user(prompt.text.clone())));
    Ok(messages)
}
