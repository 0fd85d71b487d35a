//! The service that `lambda_http` calls: a router with the pipeline around it.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use axum::{Router, extract::Request, response::Response, routing::future::RouteFuture};
use bytes::Bytes;
use http::Uri;
use tower::Service;

/// A router with the pipeline around it.
#[derive(Debug, Clone)]
pub struct App(Router);

impl App {
    pub(super) fn new(router: Router) -> Self {
        Self(router)
    }
}

impl<B> Service<http::Request<B>> for App
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let mut request = request.map(axum::body::Body::new);
        if let Some(uri) = without_trailing_slash(request.uri()) {
            *request.uri_mut() = uri; // before routing, so this cannot be a layer of the router
        }
        Service::<Request>::call(&mut self.0, request)
    }
}

/// Removes the slashes at the end of the path. Returns `None` if there are none.
fn without_trailing_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let trimmed = path.trim_end_matches('/');
    if trimmed.len() == path.len() || path == "/" {
        return None;
    }
    let path = if trimmed.is_empty() { "/" } else { trimmed };
    let path_and_query = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_go_and_the_query_stays() {
        let cases = [
            ("/a/", Some("/a")),
            ("/a//?x=1/", Some("/a?x=1/")),
            ("https://h/a/b/", Some("https://h/a/b")),
            ("/a", None),
            ("/", None),
            ("//", Some("/")),
            ("/a?next=/b/", None),
        ];
        for (from, to) in cases {
            let trimmed = without_trailing_slash(&from.parse().unwrap());
            assert_eq!(trimmed.map(|uri| uri.to_string()).as_deref(), to, "{from}");
        }
    }
}
