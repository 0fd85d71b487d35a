//! The answer of a server, and the text that a model reads of it.

use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use reqwest::Response;
use sequent_tool::{cut, text_of_html};
use serde_json::Value;

use crate::{HttpTool, failure::CallFailure, sealed::ToolSecrets};

/// Bytes of an answer that are read at most.
const MAX_BODY: usize = 1 << 20;
/// Bytes that are quoted of an answer that reports a failure at most.
const MAX_QUOTE: usize = 2_000;

/// An answer as far as it was read.
#[derive(Debug)]
pub(crate) struct ServerAnswer {
    status: StatusCode,
    media_type: String,
    body: String,
    is_whole: bool,
}

impl ServerAnswer {
    /// Reads an answer up to the limit of its bytes.
    pub(crate) async fn read(mut response: Response) -> Result<Self, CallFailure> {
        let status = response.status();
        let coding = header(response.headers(), CONTENT_ENCODING);
        if !matches!(coding.as_str(), "" | "identity") {
            let why = format!("The answer is compressed (`{coding}`), which the request did not allow.");
            return Err(CallFailure::Answered(status, why));
        }
        let media_type = header(response.headers(), CONTENT_TYPE);
        let mut body = Vec::new();
        let mut is_whole = true;
        while let Some(chunk) = response.chunk().await.map_err(|error| CallFailure::of_client(&error))? {
            let room = MAX_BODY - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                is_whole = false;
                break;
            }
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Self { status, media_type, body, is_whole })
    }

    /// Returns the text that the model reads, without the secrets of the tool.
    pub(crate) fn text(self, tool: &HttpTool, secrets: &ToolSecrets) -> Result<String, CallFailure> {
        let status = self.status;
        if !status.is_success() {
            return Err(CallFailure::Answered(status, secrets.redact(self.failure())));
        }
        match self.content(&tool.result_pointer) {
            Ok(text) => Ok(secrets.redact(text)),
            Err(why) => Err(CallFailure::Answered(status, secrets.redact(why))),
        }
    }

    /// Describes an answer that reports a failure.
    fn failure(self) -> String {
        let status = self.status;
        if status.is_redirection() {
            return format!("The server answered {status}, and redirects are not followed.");
        }
        match self.readable() {
            Ok(text) if text.trim().is_empty() => format!("The server answered {status}."),
            Ok(text) => format!("The server answered {status}: {}", quote(text)),
            Err(_) => format!("The server answered {status}."),
        }
    }

    /// Returns the content of a successful answer, or the part of it at `pointer`.
    fn content(self, pointer: &str) -> Result<String, String> {
        if self.body.is_empty() {
            return Ok(format!("The server answered {} without content.", self.status));
        }
        if pointer.is_empty() {
            return self.readable();
        }
        if !self.is_whole {
            return Err(format!(
                "The answer has more than {MAX_BODY} bytes, so no part can be taken from it."
            ));
        }
        let Ok(document) = serde_json::from_str::<Value>(&self.body) else {
            return Err(format!(
                "The answer is not JSON, so it has no part `{pointer}`. It begins: {}",
                quote(self.body)
            ));
        };
        match document.pointer(pointer) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(part) => Ok(part.to_string()),
            None => Err(format!("The answer has no part `{pointer}`. It begins: {}", quote(self.body))),
        }
    }

    /// Returns the body if it is a text.
    fn readable(self) -> Result<String, String> {
        let media_type = self.media_type.as_str();
        match media_type {
            "text/html" | "application/xhtml+xml" => Ok(text_of_html(&self.body)),
            "" | "application/json" | "application/xml" | "application/x-ndjson" => Ok(self.body),
            _ if media_type.starts_with("text/")
                || media_type.ends_with("+json")
                || media_type.ends_with("+xml") =>
            {
                Ok(self.body)
            }
            _ => Err(format!("The answer is `{media_type}`, and neither JSON nor text.")),
        }
    }
}

/// Returns the value of a header without parameters, in lower case. Empty if it is missing.
fn header(headers: &HeaderMap, name: http::HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

fn quote(text: String) -> String {
    cut(text, MAX_QUOTE, usize::MAX, "the answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(media_type: &str, body: &str) -> ServerAnswer {
        ServerAnswer {
            status: StatusCode::OK,
            media_type: media_type.to_owned(),
            body: body.to_owned(),
            is_whole: true,
        }
    }

    #[test]
    fn a_pointer_takes_a_part_of_an_answer() {
        let body = r#"{"order":{"state":"sent","items":[1,2]}}"#;
        let content = |pointer: &str| answer("application/json", body).content(pointer);
        assert_eq!(content("").unwrap(), body);
        assert_eq!(content("/order/state").unwrap(), "sent");
        assert_eq!(content("/order/items").unwrap(), "[1,2]");
        assert!(content("/none").unwrap_err().starts_with("The answer has no part `/none`. It begins: {"));
        assert!(answer("text/plain", "x").content("/a").unwrap_err().contains("is not JSON"));
        let cut = ServerAnswer { is_whole: false, ..answer("application/json", body) };
        assert!(cut.content("/order").unwrap_err().contains("more than 1048576 bytes"));
        assert_eq!(answer("", "").content("/a").unwrap(), "The server answered 200 OK without content.");
    }

    #[test]
    fn only_texts_are_read() {
        for media_type in ["", "text/csv", "application/json", "application/problem+json", "image/svg+xml"] {
            assert_eq!(answer(media_type, "x").content("").unwrap(), "x", "{media_type}");
        }
        assert_eq!(answer("text/html", "<h1>A</h1><p>b").content("").unwrap().trim(), "# A\n\nb");
        let image = answer("image/png", "x").content("").unwrap_err();
        assert_eq!(image, "The answer is `image/png`, and neither JSON nor text.");
    }

    #[test]
    fn a_failure_is_quoted_up_to_a_limit() {
        let failure = |status: u16, media_type: &str, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            ServerAnswer { status, ..answer(media_type, body) }.failure()
        };
        assert_eq!(
            failure(404, "application/json", r#"{"error":"no"}"#),
            r#"The server answered 404 Not Found: {"error":"no"}"#
        );
        assert_eq!(failure(500, "image/png", "x"), "The server answered 500 Internal Server Error.");
        assert!(failure(307, "", "").contains("redirects are not followed"));
        let long = failure(400, "text/plain", &"x".repeat(100_000));
        assert!(long.len() < 2_100 && long.contains("[Cut: the answer has 100000 bytes"), "{long}");
    }
}
