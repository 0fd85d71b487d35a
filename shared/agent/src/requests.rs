//! One request in the forms in which the models that may answer it can read it.
//!
//! Models differ in the files that they can be shown. A fallback may have to read as text what the first model sees.

use std::sync::Arc;

use futures::FutureExt;
use sequent_attachments::Unavailable;
use sequent_model::{Abilities, AbilityTable, Message, ModelName, Part, Request};

use crate::execution::Execution;

/// A request, and its messages for each kind of model.
#[derive(Debug)]
pub(crate) struct Requests {
    /// The request without its messages.
    request: Request,
    /// The messages for models that are not in `forms`, because there are no files or none can be read.
    messages: Vec<Message>,
    forms: Vec<(Abilities, Vec<Message>)>,
    /// The abilities by which the forms were made. The operator may change them meanwhile.
    abilities: Arc<AbilityTable>,
}

impl Requests {
    /// Reads the files of `request` for its model and the fallbacks.
    ///
    /// # Errors
    /// [`Unavailable`] if the files cannot be read at the moment.
    pub(crate) async fn new(
        execution: &mut Execution<'_>,
        mut request: Request,
    ) -> Result<Self, Unavailable> {
        let messages = std::mem::take(&mut request.messages);
        let table = execution.engine.models.abilities().known();
        let mut forms: Vec<(Abilities, Vec<Message>)> = Vec::new();
        let has_files = messages.iter().any(has_file);
        if let Some(files) = execution.files.as_mut().filter(|_| has_files) {
            for model in execution.engine.models.candidates(request.model.clone()) {
                let abilities = table.of(&model);
                if forms.iter().all(|(known, _)| *known != abilities) {
                    let mut shown = messages.clone();
                    files.show(&mut shown, abilities).boxed().await?;
                    forms.push((abilities, shown));
                }
            }
        }
        Ok(Self { request, messages, forms, abilities: table })
    }

    /// The request, which has no files, for all models.
    pub(crate) fn without_files(mut request: Request) -> Self {
        let messages = std::mem::take(&mut request.messages);
        Self { request, messages, forms: Vec::new(), abilities: Arc::default() }
    }

    /// Returns the request to this model.
    pub(crate) fn to(&self, model: &ModelName) -> Request {
        let abilities = self.abilities.of(model);
        let form = self.forms.iter().find(|(known, _)| *known == abilities);
        let messages = form.map_or(&self.messages, |(_, messages)| messages);
        Request { model: model.clone(), messages: messages.clone(), ..self.request.clone() }
    }
}

fn has_file(message: &Message) -> bool {
    message.parts.iter().any(|part| matches!(part, Part::File(_)))
}
