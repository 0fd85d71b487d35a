//! Services with the query protocol, whose body is a form: SNS, CloudWatch, and calls of STS that need no permission.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Need, Unknown, World};

pub(super) fn needs(world: &World, service: &str, body: &Bytes) -> Result<Vec<Need>, Unknown> {
    let fields: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
    let action = fields.get("Action").map(String::as_str).unwrap_or_default();
    match (service, action) {
        // Every identity may ask for its own name.
        ("sts", "GetCallerIdentity") => Ok(Vec::new()),
        ("sns", "Publish" | "PublishBatch") => {
            let target = fields.get("TopicArn").or_else(|| fields.get("TargetArn"));
            let topic = target.ok_or_else(|| Unknown::new(service, action, "there is no TopicArn"))?;
            Ok(vec![Need::new("sns:Publish", topic)])
        }
        ("monitoring", "PutMetricData") => Ok(vec![Need::new("cloudwatch:PutMetricData", "*")]),
        ("ses", "SendEmail" | "SendRawEmail") => {
            let source = fields.get("Source").map(String::as_str).unwrap_or_default();
            let domain = source.rsplit('@').next().unwrap_or_default().trim_end_matches('>');
            Ok(vec![Need::new(&format!("ses:{action}"), &world.arn("ses", &format!("identity/{domain}")))])
        }
        _ => Err(Unknown::new(service, action, "the operation is not known")),
    }
}
