//! The error that a server reports in a document, and the classes of errors that its names and phrases stand for.

use serde_json::Value;

use crate::{
    Error,
    wire::json::{self, Object},
};

/// A server's error: `{"error": {"message", "type", "code"}}`, with variations.
#[derive(Debug, Default)]
pub(super) struct Report {
    message: String,
    /// The names of the kind of error.
    kinds: Vec<String>,
    /// The HTTP status in the document.
    status: Option<u16>,
}

const QUOTA: &[&str] = &[
    "insufficient_quota",
    "billing_error",
    "billing_hard_limit_reached",
    "insufficient_balance",
    "credit_exhausted",
    "servicequotaexceededexception",
    "1008",
    "1113",
];
const FILTERED: &[&str] = &[
    "content_filter",
    "content_policy_violation",
    "data_inspection_failed",
    "responsibleaipolicyviolation",
    "1301",
];
const TOO_LONG: &[&str] =
    &["context_length_exceeded", "exceed_context_size_error", "model_context_window_exceeded"];
const RATE: &[&str] = &[
    "rate_limit_error",
    "rate_limit_exceeded",
    "throttlingexception",
    "too_many_requests",
    "1002",
    "1302",
    "1303",
];
const OVERLOADED: &[&str] = &[
    "overloaded_error",
    "server_overloaded",
    "engine_overloaded",
    "engine_overloaded_error",
    "serviceunavailableexception",
    "modelnotreadyexception",
    "capacity_exceeded",
    "1305",
];
const UNAUTHORIZED: &[&str] = &[
    "authentication_error",
    "permission_error",
    "invalid_api_key",
    "accessdeniedexception",
    "unrecognizedclientexception",
    "1004",
    "2049",
];
const UNKNOWN_MODEL: &[&str] =
    &["not_found_error", "model_not_found", "resourcenotfoundexception", "model_not_exist"];
const BAD_REQUEST: &[&str] = &[
    "invalid_request_error",
    "request_too_large",
    "badrequesterror",
    "validationexception",
    "invalid_argument",
    "invalid_function_call",
    "2013",
];
/// The model has made a call that its server does not understand. Another attempt may succeed.
const FAILED_CALL: &[&str] = &["tool_use_failed", "modelerrorexception"];

/// Phrases with which servers say that the input does not fit the model's context window. Few have a code for it.
const TOO_LONG_PHRASES: &[&str] = &[
    "maximum context length",
    "context length",
    "context window",
    "context size",
    "prompt is too long",
    "input is too long",
    "maximum prompt length",
    "exceed context limit",
    "maximum number of tokens allowed",
    "maximum model length",
    "too long to fit into the model",
    "too many input tokens",
    "less than max_seq_len",
    "reduce the length of the messages",
    "exceed context limit",
    "input tokens exceeded",
];
/// Phrases with which Bedrock, Anthropic, DeepSeek and xAI say that a quota or the account's credit is used up. They have no
/// codes for it, and Anthropic names it a request that is not valid.
const QUOTA_PHRASES: &[&str] = &[
    "too many tokens per day",
    "credit balance is too low",
    "reached your specified api usage limits",
    "insufficient balance",
    "used all available credits",
    "monthly spending limit",
];
/// A phrase with which Bedrock says that it has no such model. It has no code for it.
const UNKNOWN_MODEL_PHRASES: &[&str] = &["model identifier is invalid"];
/// Phrases with which OpenRouter says that a moderator has refused the input. Its status is that of a refused key.
const FILTERED_PHRASES: &[&str] = &["requires moderation", "input was flagged"];

impl Report {
    pub(super) fn of(body: &Value) -> Self {
        match body {
            Value::Object(object) => Self::of_object(object),
            Value::Array(list) => list.first().map(Self::of).unwrap_or_default(),
            Value::String(text) => Self { message: text.clone(), ..Self::default() },
            _ => Self::default(),
        }
    }

    pub(super) fn of_object(document: &Object) -> Self {
        let mut inner = document;
        // Gateways wrap the error of the server behind them.
        while let Some(error) = json::object(inner, "error") {
            inner = error;
        }
        if let Some(first) = json::elements(inner.get("errors")).first().and_then(Value::as_object) {
            inner = first;
        }
        let of_minimax = json::object(inner, "base_resp");
        let message = [
            "message",
            "Message",
            "originalMessage",
            "error",
            "msg",
            "detail",
            "details",
            "status_msg",
            "error_message",
        ];
        let message = message.iter().find_map(|name| json::text(inner.get(*name)));
        let kinds = ["type", "code", "status", "error", "__type"]
            .iter()
            .filter_map(|name| json::text(inner.get(*name)));
        let of_minimax =
            of_minimax.into_iter().filter(|base| json::number(base.get("status_code")) != Some(0));
        let codes = of_minimax.clone().filter_map(|base| json::text(base.get("status_code")));
        let said = of_minimax.filter_map(|base| json::text(base.get("status_msg"))).next();
        let status = ["code", "status", "status_code", "statusCode", "http_code", "http_status_code"];
        let status = json::first_number(inner, &status).or_else(|| json::first_number(document, &status));
        // FastAPI and Mistral describe what is wrong with a request as JSON.
        let described = || {
            let names = ["detail", "message"].into_iter().filter_map(|name| inner.get(name));
            names.filter(|value| value.is_object() || value.is_array()).map(Value::to_string).next()
        };
        let message = message.or(said).or_else(described).unwrap_or_default();
        Self {
            message: with_parameter(message, json::text(inner.get("param"))),
            kinds: kinds.chain(codes).map(|kind| kind.to_ascii_lowercase()).collect(),
            status: status
                .and_then(|status| u16::try_from(status).ok())
                .filter(|status| (400..600).contains(status)),
        }
    }

    /// Returns `true` if the document, which has no field that names it an error, is one.
    pub(super) fn is_an_error(&self, document: &Object) -> bool {
        let failed = document.get("success") == Some(&Value::Bool(false));
        let of_minimax = json::object(document, "base_resp")
            .and_then(|base| json::number(base.get("status_code")))
            .is_some_and(|code| code != 0);
        let says_why = !self.message.is_empty() && (self.status.is_some() || !self.kinds.is_empty());
        let listed = !json::elements(document.get("errors")).is_empty();
        failed || of_minimax || listed || says_why || document.contains_key("detail")
    }

    pub(super) fn without_status(self) -> Self {
        Self { status: None, ..self }
    }

    /// Adds a name of the kind of error that is not in its document.
    pub(super) fn with_kind(mut self, kind: Option<&str>) -> Self {
        self.kinds.extend(kind.map(str::to_ascii_lowercase));
        self
    }

    fn is(&self, kinds: &[&str]) -> bool {
        self.kinds.iter().any(|kind| kinds.contains(&kind.as_str()))
    }

    fn says(&self, phrases: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        phrases.iter().any(|phrase| message.contains(phrase))
    }

    fn is_too_long(&self) -> bool {
        self.is(TOO_LONG) || self.says(TOO_LONG_PHRASES)
    }

    /// Classifies the error. Kinds that only one class can have come before the status.
    pub(super) fn error(self, status: Option<u16>) -> Error {
        let status = status.or(self.status);
        let is_request = status.is_none_or(|status| matches!(status, 400 | 413 | 422 | 500));
        if self.is(QUOTA) || self.says(QUOTA_PHRASES) {
            return Error::QuotaExhausted;
        }
        if self.is(FILTERED) {
            return Error::ContentFiltered;
        }
        if self.is(FAILED_CALL) {
            return Error::Unavailable(self.message);
        }
        if is_request && self.is_too_long() {
            return Error::ContextTooLong;
        }
        if is_request && self.says(UNKNOWN_MODEL_PHRASES) {
            return Error::UnknownModel;
        }
        match status {
            Some(status) => self.by_status(status),
            None => self.by_kind(),
        }
    }

    fn by_status(self, status: u16) -> Error {
        match status {
            403 if self.says(FILTERED_PHRASES) => Error::ContentFiltered,
            401 | 403 => Error::Unauthorized,
            402 => Error::QuotaExhausted,
            404 => Error::UnknownModel,
            408 | 409 | 424 | 425 => Error::Unavailable(format!("HTTP {status}")),
            429 => Error::RateLimited { retry_after: None },
            498 | 503 | 529 => Error::Overloaded { retry_after: None },
            400..=499 if self.is(UNKNOWN_MODEL) => Error::UnknownModel,
            400..=499 => Error::BadRequest(self.explained(status)),
            500..=599 => Error::Unavailable(self.explained(status)),
            _ => Error::InvalidAnswer(format!("HTTP {status}")),
        }
    }

    fn by_kind(self) -> Error {
        if self.is(RATE) {
            Error::RateLimited { retry_after: None }
        } else if self.is(OVERLOADED) {
            Error::Overloaded { retry_after: None }
        } else if self.is(UNAUTHORIZED) {
            Error::Unauthorized
        } else if self.is(UNKNOWN_MODEL) {
            Error::UnknownModel
        } else if self.is(BAD_REQUEST) {
            Error::BadRequest(self.message)
        } else {
            Error::Unavailable(self.message)
        }
    }

    fn explained(self, status: u16) -> String {
        if self.message.trim().is_empty() { format!("HTTP {status}") } else { self.message }
    }
}

/// Adds the name of the parameter that is wrong, unless the message has it.
fn with_parameter(message: String, parameter: Option<String>) -> String {
    match parameter.filter(|parameter| !message.contains(parameter.as_str())) {
        Some(parameter) => format!("{message} ({parameter})"),
        None => message,
    }
}
