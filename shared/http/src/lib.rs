//! The HTTP pipeline that every HTTP function shares.
//!
//! A function is an axum router; [`Pipeline::around`] puts around it what must hold for all of them, so that a handler
//! reads top to bottom and cannot forget it: every failure is a [`Problem`], every request has an id and one log line,
//! a [`Caller`] exists only for a verified credential that may write, and every input has a limit.
//!
//! ```no_run
//! # use sequent_http::{Caller, Pipeline, Problem, Json, Scope, axum::{Router, routing::get}};
//! async fn whoami(Caller(caller): Caller) -> Result<Json<String>, Problem> {
//!     caller.require(Scope::Account)?;
//!     Ok(Json(caller.user.to_string()))
//! }
//!
//! # async fn serve(identity: sequent_identity::Identity) -> Result<(), sequent_http::Error> {
//! let router = Router::new().route("/api/whoami", get(whoami));
//! sequent_http::run(Pipeline::new("auth")?.identity(identity), router).await
//! # }
//! ```

mod authenticate;
pub mod catalogue;
mod config;
mod cors;
mod credential;
mod credential_watch;
pub mod csrf;
mod event_path;
mod extract;
pub mod idempotency;
mod limit;
mod list;
pub mod notify;
pub mod openapi;
mod operator;
mod origin;
mod pipeline;
pub mod problem;
pub mod rate_limit;
mod request_context;
mod scoped;
mod serve;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use authenticate::{Caller, Reauthenticated};
pub use config::Config;
pub use credential::{ACCESS_COOKIE, PLAIN_ACCESS_COOKIE, cookie};

pub use extract::{BodyLimit, Json, Path, Query, UnlabelledJson, from_json, optional_json};
pub use lambda_http::Error;
pub use list::{Limit, ListQuery, ListResponse};
pub use operator::{ADMIN_KEY, Operator};
pub use pipeline::{App, Pipeline};
pub use problem::Problem;
pub use request_context::{PublicOrigin, REQUEST_ID, RequestContext};
pub use scoped::{guarded, scoped};
pub use sequent_core::{Principal, Scope, Scopes, UnknownScope, Via};
pub use serve::{on_shutdown, run, run_streaming};

pub use axum;
