//! Recording the model call of an owner that was lost in the middle of the response.

use sequent_conversation::{Error, LostCall};
use sequent_event::Usage;
use sequent_model::ModelName;
use sequent_runlog::read_all;

use crate::{
    ask_model::model_of,
    compact,
    execution::Execution,
    next::{Next, Purpose, next},
    requests::Requests,
    room,
};

/// Records the call if there was one. This owner asks the model again, so its own request shows the input of the call.
pub(crate) async fn record_lost_call(execution: &mut Execution<'_>) -> Result<(), Error> {
    if !execution.state.call_in_flight {
        return Ok(());
    }
    let model = model_of(execution).await.ok();
    let input_tokens = match &model {
        Some(model) => Some(input_tokens(execution, model).await?),
        None => None,
    };
    let segments = read_all(&execution.engine.storage, execution.key).await?;
    let call = LostCall { model, input_tokens, finish_reason: Usage::ABANDONED };
    let recorded = call.recorded(&execution.engine.models.pricing(), &execution.state, &segments);
    execution.append(recorded).await
}

/// The input of the request that this owner would send, with the files that it would show.
async fn input_tokens(execution: &mut Execution<'_>, model: &ModelName) -> Result<u64, Error> {
    execution.load_tools().await?;
    let purpose = match next(&execution.state) {
        Next::Ask(purpose) => purpose,
        _ => Purpose::Answer,
    };
    let request = compact::draft(execution, purpose, model).await?.request;
    let without_files = request.input_tokens();
    let room = room::of(execution, model);
    let requests = Requests::new(execution, request, room).await;
    Ok(requests.map_or(without_files, |requests| requests.to(model).input_tokens()))
}
