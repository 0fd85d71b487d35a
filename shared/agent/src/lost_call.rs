//! Recording the model call of an owner that was lost in the middle of the response.

use sequent_conversation::{Error, LostCall};
use sequent_event::Usage;
use sequent_runlog::read_all;

use crate::{
    ask_model::model_of,
    compact,
    execution::Execution,
    next::{Next, Purpose, next},
};

/// Records the call if there was one. This owner asks the model again, so its own request shows the input of the call.
pub(crate) async fn record_lost_call(execution: &mut Execution<'_>) -> Result<(), Error> {
    if !execution.state.call_in_flight {
        return Ok(());
    }
    let model = model_of(execution).await.ok();
    let input_tokens = match &model {
        Some(model) => {
            execution.load_tools().await;
            let purpose = match next(&execution.state) {
                Next::Ask(purpose) => purpose,
                _ => Purpose::Answer,
            };
            Some(compact::draft(execution, purpose, model).await?.request.input_tokens())
        }
        None => None,
    };
    let segments = read_all(&execution.engine.storage, execution.key).await?;
    let call = LostCall { model, input_tokens, finish_reason: Usage::ABANDONED };
    let recorded = call.recorded(&execution.engine.models.pricing(), &execution.state, &segments);
    execution.append(recorded).await
}
