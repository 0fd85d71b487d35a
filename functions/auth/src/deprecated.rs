//! Deprecated paths, which older clients use. They have the handlers of the paths below `/api/auth`.

use sequent_http::axum::{
    Router,
    routing::{get, post},
};
use utoipa::openapi::{Deprecated, OpenApi};

use crate::{App, account, me, sign_in};

/// Each deprecated path and its successor.
const RENAMED: [(&str, &str); 4] = [
    ("/api/users", "/api/auth/register"),
    ("/api/login", "/api/auth/login"),
    ("/api/logout", "/api/auth/logout"),
    ("/api/check_session", "/api/auth/me"),
];

/// Adds the deprecated paths.
pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router
        .route("/api/users", post(account::sign_up))
        .route("/api/login", post(sign_in::sign_in))
        .route("/api/logout", post(sign_in::sign_out))
        .route("/api/check_session", get(me::me))
}

/// Describes the deprecated paths.
pub(crate) fn document(mut api: OpenApi) -> OpenApi {
    for (deprecated, successor) in RENAMED {
        let Some(mut item) = api.paths.paths.get(successor).cloned() else { continue };
        item.delete = None;
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            operation.deprecated = Some(Deprecated::True);
            operation.operation_id = operation.operation_id.take().map(|id| format!("{id}_deprecated"));
            operation.description = Some(format!("Use `{successor}`, which does the same."));
        }
        api.paths.paths.insert(deprecated.to_owned(), item);
    }
    api
}
