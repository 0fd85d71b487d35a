//! The console: the files of a folder, in place of the bucket and of the edge function that leads views to the page.

use std::path::{Component, Path};

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::respond::{self, Body, full};

/// Returns the file at a path. A path whose last part has no extension is a view of the page.
pub(super) async fn file(folder: &Path, path: &str) -> Response<Body> {
    let last = path.rsplit('/').next().unwrap_or_default();
    let name = if last.contains('.') { path.trim_start_matches('/') } else { "index.html" };
    match read(folder, name).await {
        Some(bytes) => found(name, bytes),
        None => respond::message(StatusCode::NOT_FOUND, "Not Found"),
    }
}

async fn read(folder: &Path, name: &str) -> Option<Bytes> {
    let name = Path::new(name);
    // Other components, such as `..`, lead out of the folder.
    let inside = name.components().all(|part| matches!(part, Component::Normal(_)));
    if !inside {
        return None;
    }
    tokio::fs::read(folder.join(name)).await.ok().map(Bytes::from)
}

fn found(name: &str, bytes: Bytes) -> Response<Body> {
    let builder =
        Response::builder().header("content-type", media_type(name)).header("cache-control", "no-cache");
    builder.body(full(bytes)).unwrap_or_else(|_| respond::message(StatusCode::INTERNAL_SERVER_ERROR, name))
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn views_lead_to_the_page_and_nothing_leads_out_of_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.txt"), "secret").unwrap();
        let folder = outside.path().join("console");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("index.html"), "<h1>").unwrap();
        std::fs::write(folder.join("style.css"), "b{}").unwrap();
        for (path, status, kind) in [
            ("/", 200, "text/html; charset=utf-8"),
            ("/projects/7", 200, "text/html; charset=utf-8"),
            ("/style.css", 200, "text/css; charset=utf-8"),
            ("/missing.js", 404, "application/json"),
            ("/../secret.txt", 404, "application/json"),
            ("//../secret.txt", 404, "application/json"),
        ] {
            let response = file(&folder, path).await;
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(response.headers()["content-type"], kind, "{path}");
        }
    }
}
