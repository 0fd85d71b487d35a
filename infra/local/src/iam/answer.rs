//! Refusals in the form and the words of each service.

use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::roles::Reason;
use crate::respond::{self, Body, full};

/// Returns the message of a denied request. It does not name the policy, as AWS's does not.
pub(super) fn message(caller: &str, action: &str, resource: &str, reason: Reason) -> String {
    // Two services spell their actions differently here.
    let action = match action.split_once(':') {
        Some(("sqs", _)) => action.to_lowercase(),
        Some(("sns", name)) => format!("SNS:{name}"),
        _ => action.to_owned(),
    };
    let because = match reason {
        Reason::NotAllowed => format!("because no identity-based policy allows the {action} action"),
        Reason::OutsideBoundary => format!("because no permissions boundary allows the {action} action"),
        Reason::DeniedByRole => "with an explicit deny in an identity-based policy".to_owned(),
        Reason::DeniedByResource => "with an explicit deny in a resource-based policy".to_owned(),
    };
    format!("User: {caller} is not authorized to perform: {action} on resource: {resource} {because}")
}

/// Returns the answer to a denied request of this service.
pub(super) fn denied(service: &str, message: &str) -> Response<Body> {
    match service {
        "s3" => s3("AccessDenied", message),
        "sns" => query("AuthorizationError", message),
        "sts" | "monitoring" => query("AccessDenied", message),
        _ => json_error(service, "AccessDeniedException", message),
    }
}

/// Returns the answer to a request with an access key that does not exist.
pub(super) fn unrecognized(service: &str) -> Response<Body> {
    let invalid = "The security token included in the request is invalid.";
    match service {
        "s3" => s3("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
        "sns" | "sts" | "monitoring" => query("InvalidClientTokenId", invalid),
        _ => json_error(service, "UnrecognizedClientException", invalid),
    }
}

/// Returns the answer to a request without credentials.
pub(super) fn unsigned() -> Response<Body> {
    s3("AccessDenied", "Access Denied")
}

fn json_error(service: &str, code: &'static str, message: &str) -> Response<Body> {
    // DynamoDB, Secrets Manager and Systems Manager answer 400, the others 403.
    let status = match service {
        "dynamodb" | "secretsmanager" | "ssm" => StatusCode::BAD_REQUEST,
        _ => StatusCode::FORBIDDEN,
    };
    let kind = format!("com.amazon.coral.service#{code}");
    let mut response =
        respond::json(status, &json!({"__type": kind, "Message": message, "message": message}));
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(code));
    response
}

fn s3(code: &str, message: &str) -> Response<Body> {
    let id = crate::request_id();
    let message = escape(message);
    xml(format!("<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{id}</RequestId></Error>"))
}

fn query(code: &str, message: &str) -> Response<Body> {
    let id = crate::request_id();
    let message = escape(message);
    xml(format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>{id}</RequestId></ErrorResponse>"
    ))
}

fn xml(document: String) -> Response<Body> {
    let mut response = Response::new(full(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{document}")));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/xml"));
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
