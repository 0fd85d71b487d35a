//! The boundary of a request: it adds the request id, the log line and, after a failure, the problem.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tracing::Instrument as _;

use super::Shared;
use crate::{
    Problem, RequestContext, limit,
    notify::{self, Incident},
    origin,
    request_context::REQUEST_ID,
};

pub(super) async fn boundary(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let checked = check_origin(&shared, request.headers()).await;
    let through_cdn = matches!(checked, Ok(true));
    let public_url = shared.config.public_origin.as_deref();
    let context = RequestContext::of(request.headers(), request.extensions(), through_cdn, public_url);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        request_id = context.request_id(),
        client_request_id = context.client_request_id(),
        trace_id = context.trace_id(),
        function = shared.function
    );
    async {
        let admitted = checked.and_then(|_| limit::headers(request.headers()));
        let response = match admitted {
            Ok(()) => answer(&shared, &context, request, next).await,
            Err(problem) => problem.into_response(),
        };
        let (mut response, problem) = with_problem(response, &context, &method);
        log(&context, &method, route, &response, started.elapsed(), problem.as_ref());
        if let Some(problem) = problem.filter(|problem| problem.status().is_server_error()) {
            notify_operators(&shared, &context, &method, route, &problem).await;
        }
        add_headers(&shared, &context, response.headers_mut());
        response
    }
    .instrument(span)
    .await
}

async fn check_origin(shared: &Shared, headers: &HeaderMap) -> Result<bool, Problem> {
    let Some(vault) = &shared.vault else { return Ok(false) };
    let known = origin::verify(vault.origin().await?.as_deref(), headers);
    if known.is_ok() || !headers.contains_key(origin::HEADER) {
        return known;
    }
    // CloudFront may have got a new secret while this instance was frozen.
    match vault.reread_origin().await? {
        Some(current) => origin::verify(Some(&current), headers),
        None => known,
    }
}

/// Runs the handler. A panic or a missed deadline becomes a problem.
async fn answer(
    shared: &Arc<Shared>,
    context: &RequestContext,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(context.clone());
    request.extensions_mut().insert(Arc::clone(shared));
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    limit::time(&shared.config, context, async {
        // The panic hook has logged the message. The payload may quote input.
        answer.await.unwrap_or_else(|_| Problem::internal("the handler panicked").into_response())
    })
    .await
}

/// Makes every failed response a problem with the request id.
fn with_problem(
    mut response: Response,
    context: &RequestContext,
    method: &Method,
) -> (Response, Option<Problem>) {
    let status = response.status();
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None if is_bare_error(&response) => Problem::of_status(status),
        None => return (response, None),
    };
    let mut rendered = problem.render(Some(context.request_id()));
    let own = rendered.headers().clone();
    for (name, value) in response.headers() {
        if !matches!(*name, header::CONTENT_TYPE | header::CONTENT_LENGTH) && !own.contains_key(name) {
            rendered.headers_mut().append(name.clone(), value.clone()); // such as Allow, or cookies being cleared
        }
    }
    if method == Method::HEAD {
        *rendered.body_mut() = Body::empty();
    }
    (rendered, Some(problem))
}

/// Returns `true` if a library made the failed response, with plain text or an empty body.
fn is_bare_error(response: &Response) -> bool {
    let failed = response.status().is_client_error() || response.status().is_server_error();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    failed && kind.is_none_or(|kind| kind.starts_with("text/plain"))
}

/// Writes the one log line of the request.
fn log(
    context: &RequestContext,
    method: &Method,
    route: &str,
    response: &Response,
    latency: Duration,
    problem: Option<&Problem>,
) {
    let status = response.status();
    let caller = context.caller();
    let code = problem.map(|problem| problem.code().as_str());
    // The detail of a 4xx may quote input, so it is not logged.
    let error = problem.and_then(Problem::cause).map(|cause| cause as &(dyn std::error::Error + 'static));
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                method = method.as_str(),
                route,
                status = status.as_u16(),
                latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
                tenant = caller.map(|caller| display(caller.tenant)),
                user = caller.map(|caller| display(caller.user)),
                via = caller.map(|caller| tracing::field::debug(caller.via)),
                client = context.client(),
                invocation_id = context.invocation_id(),
                code,
                error,
                "request"
            )
        };
    }
    if status.is_server_error() {
        line!(error);
    } else {
        line!(info);
    }
}

async fn notify_operators(
    shared: &Shared,
    context: &RequestContext,
    method: &Method,
    route: &str,
    problem: &Problem,
) {
    let cause = problem.cause().map(causes).unwrap_or_default();
    let incident = Incident {
        function: shared.function,
        code: problem.code().as_str(),
        status: problem.status().as_u16(),
        route: &format!("{method} {route}"),
        request_id: context.request_id(),
        cause: &cause,
    };
    let left = context.deadline().map_or(notify::TIMEOUT, |at| at.since(sequent_core::Timestamp::now()));
    // The rest of the invocation is a limit, too. Its margin is reserved for this.
    let _ =
        tokio::time::timeout(left.max(Duration::from_millis(250)), shared.notifier.notify(&incident)).await;
}

fn causes(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Adds the headers of every response. Those that a handler has set are kept, except the request id.
fn add_headers(shared: &Shared, context: &RequestContext, headers: &mut HeaderMap) {
    let fixed: [(HeaderName, &str); 6] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains"),
    ];
    for (name, value) in fixed {
        if name == header::STRICT_TRANSPORT_SECURITY && shared.config.is_local {
            continue; // it would bind a developer's browser to HTTPS on localhost
        }
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.insert(REQUEST_ID, context.request_id_header());
}
