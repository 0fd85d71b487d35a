//! Parameters that servers have refused, so that the next requests of the process leave them out at once.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use crate::{
    Request,
    wire::{Omitted, Parameter, Protocol, sent},
};

/// Refusals that are remembered at most. Callers choose the values.
const MAX: usize = 256;

/// The refusals of all models, each of one value.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashSet<(String, Parameter, String)>>);

impl Refusals {
    /// Returns the parameters of the request that its model has refused with the same values.
    pub(crate) fn of(&self, protocol: Protocol, request: &Request) -> Omitted {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |(parameter, value): &(Parameter, String)| {
            !known.is_empty() && known.contains(&(request.model.to_string(), *parameter, value.clone()))
        };
        Omitted::refused(sent(protocol, request).filter(is_known).map(|(parameter, _)| parameter))
    }

    /// Remembers the parameters without which the request was accepted, unless they were refused because of the conversation.
    pub(crate) fn remember(&self, protocol: Protocol, request: &Request, omitted: &Omitted) {
        let of_server = |(parameter, _): &(Parameter, String)| omitted.has_refused_always(*parameter);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX {
            known.clear();
        }
        let refused = sent(protocol, request).filter(of_server);
        known.extend(refused.map(|(parameter, value)| (request.model.to_string(), parameter, value)));
    }
}
