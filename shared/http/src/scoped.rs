//! The scopes of routes: one declaration is checked for every request and stated in the API document.

use axum::{
    extract::{OptionalFromRequestParts, Request},
    middleware::{Next, from_fn},
    response::Response,
    routing::MethodRouter,
};
use sequent_core::Scope;
use utoipa::openapi::{
    path::{Operation, PathItem},
    security::SecurityRequirement,
};
use utoipa_axum::router::UtoipaMethodRouter;

use crate::{Caller, Problem, openapi};

/// Requires these scopes of the callers of the routes, and states them in the API document as the scopes of an API key.
///
/// The check comes before the handler and before the layers that the routes already have. A stored response, for example,
/// is repeated only to a caller who may make the request. A request without the credential of a caller goes on to the
/// handler, which refuses it or accepts another credential, such as the operator's key.
pub fn scoped<S: Clone + Send + Sync + 'static>(
    scopes: &'static [Scope],
    routes: UtoipaMethodRouter<S>,
) -> UtoipaMethodRouter<S> {
    let (schemas, mut paths, router) = routes;
    for operation in paths.paths.values_mut().flat_map(operations) {
        state(operation, scopes);
    }
    (schemas, paths, guarded(scopes, router))
}

/// Requires these scopes of the callers of routes that the API document does not describe.
pub fn guarded<S: Clone + Send + Sync + 'static>(
    scopes: &'static [Scope],
    routes: MethodRouter<S>,
) -> MethodRouter<S> {
    routes.route_layer(from_fn(move |request: Request, next: Next| check(scopes, request, next)))
}

async fn check(scopes: &'static [Scope], request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let caller = <Caller as OptionalFromRequestParts<()>>::from_request_parts(&mut parts, &()).await?;
    if let Some(Caller(caller)) = caller {
        scopes.iter().try_for_each(|scope| caller.require(*scope))?;
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// States the scopes at the credential that can lack one. A session has every scope.
fn state(operation: &mut Operation, scopes: &[Scope]) {
    let any_key = SecurityRequirement::new(openapi::API_KEY, Vec::<String>::new());
    let accepted = operation.security.take().unwrap_or_else(openapi::credentials);
    let stated = accepted.into_iter().map(|requirement| {
        if requirement == any_key {
            SecurityRequirement::new(openapi::API_KEY, scopes.iter().map(|scope| scope.as_str()))
        } else {
            requirement
        }
    });
    operation.security = Some(stated.collect());
}
