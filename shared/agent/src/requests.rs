//! One request in the forms in which the models that may answer it can read it.
//!
//! Models differ in the files that they can be shown. A fallback may have to read as text what the first model sees.

use std::sync::Arc;

use futures::FutureExt;
use sequent_attachments::{Files, Unavailable};
use sequent_conversation::{Error, closing_bodies};
use sequent_event::Body;
use sequent_model::{Abilities, AbilityTable, Message, ModelName, Part, Request, estimate::request_tokens};

use crate::execution::{Execution, Flow, StopSignal, at, run_error, stop_error};

/// A request, and its messages for each kind of model.
#[derive(Debug)]
pub(crate) struct Requests {
    /// The request without its messages.
    request: Request,
    /// The messages for models that are not in `forms`, because there are no files or none can be read.
    messages: Vec<Message>,
    forms: Forms,
    /// The abilities by which the forms were made. The operator may change them meanwhile.
    abilities: Arc<AbilityTable>,
    /// The files that are sent as they are.
    shown: usize,
}

/// The messages for each kind of model.
type Forms = Vec<(Abilities, Vec<Message>)>;

/// The reason for which the files of a request were not read.
#[derive(Debug)]
pub(crate) enum NotRead {
    Unavailable(Unavailable),
    Stopped(StopSignal),
    /// The invocation has no time left.
    HandOver,
}

impl NotRead {
    /// Ends the step that needs the request.
    pub(crate) async fn end(self, execution: &Execution<'_>) -> Result<Flow, Error> {
        match self {
            Self::Unavailable(error) => Ok(Flow::End(unavailable(execution, &error))),
            Self::HandOver => Ok(Flow::HandOver),
            Self::Stopped(StopSignal::Cancelled(_)) => Ok(Flow::Continue),
            Self::Stopped(StopSignal::WriterStopped) => Err(stop_error(&execution.writer).await),
        }
    }
}

/// The events that end a run whose files cannot be read at the moment. An answer without them could be wrong.
fn unavailable(execution: &Execution<'_>, error: &Unavailable) -> Vec<Body> {
    let run = execution.key.run;
    tracing::error!(%run, error = error as &dyn std::error::Error, "could not read the attached files; ending the run");
    let mut bodies = closing_bodies(&execution.state);
    bodies.push(run_error("attachment_unavailable", "An attached file could not be read. Try again."));
    bodies
}

impl Requests {
    /// Reads the files of `request` for its model and the fallbacks, as far as they fit `room` with the rest of the request. This
    /// takes up to a minute.
    ///
    /// # Errors
    /// If the files cannot be read at the moment, or the step must end.
    pub(crate) async fn new(
        execution: &mut Execution<'_>,
        mut request: Request,
        room: u64,
    ) -> Result<Self, NotRead> {
        let left = room.saturating_sub(request_tokens(&request));
        let messages = std::mem::take(&mut request.messages);
        let abilities = execution.engine.models.abilities().known();
        let mut forms = Forms::new();
        let mut shown = 0;
        if messages.iter().any(has_file)
            && let Some(mut files) = execution.files.take()
        {
            let models = execution.candidates(request.model.clone());
            let models = models.iter().map(|model| abilities.of(model)).collect();
            let reading = read(&mut files, models, &messages, left);
            let read = tokio::select! {
                biased;
                signal = execution.stop_signal() => Err(NotRead::Stopped(signal)),
                () = at(execution.hand_over) => Err(NotRead::HandOver),
                read = reading.boxed() => read.map_err(NotRead::Unavailable),
            };
            execution.files = Some(files);
            (forms, shown) = read?;
        }
        Ok(Self { request, messages, forms, abilities, shown })
    }

    /// The request, which has no files, for all models.
    pub(crate) fn without_files(mut request: Request) -> Self {
        let messages = std::mem::take(&mut request.messages);
        Self { request, messages, forms: Vec::new(), abilities: Arc::default(), shown: 0 }
    }

    /// The number of files that the request has as they are, for the model that can read most.
    pub(crate) fn shown_files(&self) -> usize {
        self.shown
    }

    /// Returns the request to this model.
    pub(crate) fn to(&self, model: &ModelName) -> Request {
        let abilities = self.abilities.of(model);
        let form = self.forms.iter().find(|(known, _)| *known == abilities);
        let messages = form.map_or(&self.messages, |(_, messages)| messages);
        Request { model: model.clone(), messages: messages.clone(), ..self.request.clone() }
    }
}

/// Shows the files to the models that may answer, in at most `tokens`. Returns also the number of files that are shown as they
/// are.
async fn read(
    files: &mut Files,
    models: Vec<Abilities>,
    messages: &[Message],
    tokens: u64,
) -> Result<(Forms, usize), Unavailable> {
    let mut forms = Forms::new();
    let mut most = 0;
    for abilities in models {
        if forms.iter().all(|(known, _)| *known != abilities) {
            let mut form = messages.to_vec();
            most = most.max(files.show(&mut form, abilities, tokens).await?);
            forms.push((abilities, form));
        }
    }
    Ok((forms, most))
}

fn has_file(message: &Message) -> bool {
    message.parts.iter().any(|part| matches!(part, Part::File(_)))
}
