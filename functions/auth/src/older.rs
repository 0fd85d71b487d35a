//! Paths from before `/api/auth`, kept for clients that use them. They are the same handlers under other names.

use sequent_http::axum::{
    Router,
    routing::{get, post},
};
use utoipa::openapi::{Deprecated, OpenApi};

use crate::{Auth, account, sign_in};

/// Older path, and the path it is now.
const RENAMED: [(&str, &str); 4] = [
    ("/api/users", "/api/auth/register"),
    ("/api/login", "/api/auth/login"),
    ("/api/logout", "/api/auth/logout"),
    ("/api/check_session", "/api/auth/me"),
];

/// Adds the older paths.
pub(crate) fn routes(router: Router<Auth>) -> Router<Auth> {
    router
        .route("/api/users", post(account::register))
        .route("/api/login", post(sign_in::login))
        .route("/api/logout", post(sign_in::logout))
        .route("/api/check_session", get(account::me))
}

/// Describes the older paths as what they are: deprecated names of the newer ones.
pub(crate) fn document(mut api: OpenApi) -> OpenApi {
    for (older, newer) in RENAMED {
        let Some(mut item) = api.paths.paths.get(newer).cloned() else { continue };
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            operation.deprecated = Some(Deprecated::True);
            operation.operation_id = operation.operation_id.take().map(|id| format!("{id}_older"));
            operation.description = Some(format!("The same as `{newer}`, which new clients should use."));
        }
        api.paths.paths.insert(older.to_owned(), item);
    }
    api
}
