//! Services with a JSON body: SQS, Secrets Manager and Systems Manager name the operation in a header, Lambda and SES in the
//! path.

use bytes::Bytes;
use http::Method;
use http::request::Parts;
use serde_json::Value;

use super::{Need, Unknown, World};
use crate::iam::arn::secret_arn;
use crate::iam::condition::FROM_ADDRESS;

pub(super) fn needs(
    world: &World,
    service: &str,
    operation: &str,
    body: &Bytes,
) -> Result<Vec<Need>, Unknown> {
    let unknown = |reason: &str| Unknown::new(service, operation, reason);
    let request: Value = serde_json::from_slice(body).map_err(|_| unknown("the body is not JSON"))?;
    match service {
        "sqs" => {
            let queue = request["QueueUrl"].as_str().ok_or_else(|| unknown("there is no QueueUrl"))?;
            let action = queue_action(operation).ok_or_else(|| unknown("the operation is not known"))?;
            Ok(vec![Need::new(action, &world.arn("sqs", queue.rsplit('/').next().unwrap_or(queue)))])
        }
        "secretsmanager" => {
            let id = request["SecretId"].as_str().ok_or_else(|| unknown("there is no SecretId"))?;
            let known = [
                "DescribeSecret",
                "GetSecretValue",
                "PutSecretValue",
                "UpdateSecret",
                "UpdateSecretVersionStage",
            ];
            if !known.contains(&operation) {
                return Err(unknown("the operation is not known"));
            }
            let arn = if id.starts_with("arn:") { id.to_owned() } else { secret_arn(&world.region, id) };
            Ok(vec![Need::new(&format!("secretsmanager:{operation}"), &arn)])
        }
        _ => parameters(world, operation, &request),
    }
}

/// Batches have no actions of their own.
fn queue_action(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "SendMessage" | "SendMessageBatch" => "sqs:SendMessage",
        "DeleteMessage" | "DeleteMessageBatch" => "sqs:DeleteMessage",
        "ChangeMessageVisibility" | "ChangeMessageVisibilityBatch" => "sqs:ChangeMessageVisibility",
        "ReceiveMessage" => "sqs:ReceiveMessage",
        "GetQueueAttributes" => "sqs:GetQueueAttributes",
        _ => return None,
    })
}

/// The operations of Parameter Store.
fn parameters(world: &World, operation: &str, request: &Value) -> Result<Vec<Need>, Unknown> {
    let names: Vec<&Value> = match operation {
        "GetParameter" | "PutParameter" | "DeleteParameter" => vec![&request["Name"]],
        "GetParameters" => request["Names"].as_array().into_iter().flatten().collect(),
        "GetParametersByPath" => vec![&request["Path"]],
        _ => return Err(Unknown::new("ssm", operation, "the operation is not known")),
    };
    let need = |name: &Value| {
        let name = name.as_str().ok_or_else(|| Unknown::new("ssm", operation, "a name is missing"))?;
        // A name may end in the version or label of the parameter.
        let name = name.split(':').next().unwrap_or(name).trim_start_matches('/');
        Ok(Need::new(&format!("ssm:{operation}"), &world.arn("ssm", &format!("parameter/{name}"))))
    };
    names.into_iter().map(need).collect()
}

/// Services that name the operation in the path.
pub(super) fn rest(world: &World, service: &str, parts: &Parts, body: &Bytes) -> Result<Vec<Need>, Unknown> {
    let path = parts.uri.path().to_owned();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (service, &parts.method, segments.as_slice()) {
        (
            "lambda",
            &Method::POST,
            [_, "functions", name, "invocations" | "response-streaming-invocations"],
        ) => {
            let name = name.replace("%3A", ":");
            let arn = if name.starts_with("arn:") {
                name
            } else {
                world.arn("lambda", &format!("function:{name}"))
            };
            Ok(vec![Need::new("lambda:InvokeFunction", &arn)])
        }
        ("ses", &Method::POST, ["v2", "email", "outbound-emails"]) => mail(world, body),
        _ => Err(Unknown::new(service, &format!("{} {path}", parts.method), "the operation is not known")),
    }
}

/// SES judges the identity from which a mail is sent: the address if it is verified by itself, otherwise its domain, as
/// here.
fn mail(world: &World, body: &Bytes) -> Result<Vec<Need>, Unknown> {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let from = request["FromEmailAddress"].as_str().unwrap_or_default();
    // `Name <address>` or the address alone.
    let address = from.rsplit('<').next().unwrap_or(from).trim_end_matches('>');
    let domain = address.rsplit('@').next().filter(|domain| !domain.is_empty());
    let domain = domain.ok_or_else(|| Unknown::new("ses", "SendEmail", "there is no FromEmailAddress"))?;
    let identity = format!("identity/{}", domain.to_lowercase());
    let need = Need::new("ses:SendEmail", &world.arn("ses", &identity));
    Ok(vec![need.with(FROM_ADDRESS, vec![address.to_owned()])])
}
