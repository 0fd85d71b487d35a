//! The requests that Lambda itself makes with a function's role: it polls queues and streams, reports failed batches, and
//! writes logs and traces. The emulator does this without a role, so the role is judged once, when the stack starts. AWS
//! judges it when it creates the event-source mapping.

use serde_json::Value;

use super::Error;
use super::arn::{ACCOUNT, Resources};
use super::policy::Permission;
use super::request::Need;
use super::roles::{Role, Roles};

/// From "Using Lambda with Amazon SQS" in the Lambda developer guide.
const QUEUE: [&str; 3] = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
/// From "Using AWS Lambda with Amazon DynamoDB" in the Lambda developer guide.
const STREAM: [&str; 3] = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"];

/// Returns an error if a role does not allow what Lambda needs.
pub(super) fn check(roles: &Roles, resources: Resources<'_>) -> Result<(), Error> {
    used(roles, resources).map(drop)
}

/// Returns the permissions that Lambda uses.
pub(super) fn used(roles: &Roles, resources: Resources<'_>) -> Result<Vec<Permission>, Error> {
    let mut used = Vec::new();
    for (function, need) in needs(roles, resources)? {
        let role = roles.of(&function);
        let role =
            role.ok_or_else(|| Error::at(&function, "an event source names no function".to_owned()))?;
        let allowing = roles.decide(role, &need);
        used.extend(allowing.map_err(|_| Error::Platform { function, need: need.to_string() })?);
    }
    Ok(used)
}

fn needs(roles: &Roles, resources: Resources<'_>) -> Result<Vec<(String, Need)>, Error> {
    let mut needs: Vec<(String, Need)> = Vec::new();
    for Role { function, .. } in roles.iter() {
        let found = of_function(function, resources).map_err(|reason| Error::at(function, reason))?;
        needs.extend(found.into_iter().map(|need| (function.clone(), need)));
    }
    for (id, mapping) in resources.template.resources_of("AWS::Lambda::EventSourceMapping") {
        let properties = resources.template.resolve(&mapping["Properties"]);
        let found = of_mapping(&properties, resources).map_err(|reason| Error::at(id, reason))?;
        let function = properties["FunctionName"]["Ref"].as_str().unwrap_or_default();
        needs.extend(found.into_iter().map(|need| (function.to_owned(), need)));
    }
    Ok(needs)
}

/// Logs, and traces if the function is traced.
fn of_function(id: &str, resources: Resources<'_>) -> Result<Vec<Need>, String> {
    let document = resources.template.document();
    let places = [&document["Resources"][id]["Properties"], &document["Globals"]["Function"]];
    let group = places.iter().map(|place| &place["LoggingConfig"]["LogGroup"]).find(|group| !group.is_null());
    let group = match group {
        Some(group) => resources.text(&resources.template.resolve(group))?,
        None => format!("/aws/lambda/{}", resources.physical(id)?),
    };
    let stream = format!("arn:aws:logs:{}:{ACCOUNT}:log-group:{group}:log-stream:any", resources.region);
    let mut needs = vec![Need::new("logs:CreateLogStream", &stream), Need::new("logs:PutLogEvents", &stream)];
    if places.iter().any(|place| place["Tracing"] == "Active") {
        needs.push(Need::new("xray:PutTraceSegments", "*"));
        needs.push(Need::new("xray:PutTelemetryRecords", "*"));
    }
    Ok(needs)
}

fn of_mapping(properties: &Value, resources: Resources<'_>) -> Result<Vec<Need>, String> {
    let source = resources.text(&properties["EventSourceArn"])?;
    let mut needs = match source.split(':').nth(2) {
        Some("sqs") => QUEUE.map(|action| Need::new(action, &source)).to_vec(),
        Some("dynamodb") => {
            let mut needs = STREAM.map(|action| Need::new(action, &source)).to_vec();
            needs.push(Need::new("dynamodb:ListStreams", "*"));
            needs
        }
        _ => return Err(format!("the needs of a mapping of {source} are not known")),
    };
    let failed = &properties["DestinationConfig"]["OnFailure"]["Destination"];
    if !failed.is_null() {
        let destination = resources.text(failed)?;
        match destination.split(':').nth(2) {
            Some("sqs") => needs.push(Need::new("sqs:SendMessage", &destination)),
            Some("sns") => needs.push(Need::new("sns:Publish", &destination)),
            _ => return Err(format!("the needs of the destination {destination} are not known")),
        }
    }
    Ok(needs)
}
