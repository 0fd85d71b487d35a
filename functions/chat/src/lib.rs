//! Sending messages and watching runs, over streams that survive everything.
//!
//! Every stream here is a projection of a run's log: what starts a run and what merely watches it end in the one
//! `stream` module, and a client that lost its connection continues any of them from its cursor.

mod begin;
mod chats;
mod events;
mod resume;
mod send;
mod simple;
mod stream;
mod ui;

use axum::extract::FromRef;
use sequent_agent::Engine;
use sequent_billing::Desk;
use sequent_http::{
    axum::{Extension, Router},
    csrf::Protection,
    openapi,
    rate_limit::Class,
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct Chat {
    /// What executes runs.
    pub engine: Engine,
    /// What runs are paid at.
    pub desk: Desk,
}

impl FromRef<Chat> for Engine {
    fn from_ref(chat: &Chat) -> Self {
        chat.engine.clone()
    }
}

/// The function's routes.
pub fn router(chat: Chat) -> Router {
    routed().split_for_parts().0.with_state(chat)
}

/// The function's part of the API's document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<Chat> {
    let starts = OpenApiRouter::new()
        .routes(routes!(send::send))
        .routes(routes!(ui::submit))
        .routes(routes!(resume::resume))
        .routes(routes!(resume::resume_thread))
        .routes(routes!(send::send_thread))
        .route_layer(Extension(Class::Chat));
    let starts_by_get = OpenApiRouter::new()
        .routes(routes!(simple::stream))
        .route_layer(Extension(Protection::TrustedPage))
        .route_layer(Extension(Class::Chat));
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(events::events))
        .routes(routes!(ui::resume))
        .merge(starts)
        .merge(starts_by_get)
}
