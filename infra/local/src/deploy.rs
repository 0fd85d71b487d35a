//! Deploys the template to the endpoint through CloudFormation, as `sam deploy` would, and reads the result.
//! The uploaded code is a placeholder, because our own execution environment runs the functions.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::aws::{self, Endpoint, xml_all, xml_text};
use crate::template::Template;

/// Time limit of one stack operation. A small one takes a second or two.
const LIMIT: Duration = Duration::from_secs(180);
/// Types that MiniStack refuses, even in resources whose condition is false.
const UNKNOWN_TYPES: [&str; 1] = ["AWS::Budgets::Budget"];
/// A zip archive without entries.
const EMPTY_ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Failures of a deployment.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "plain data")]
pub enum Error {
    /// A call to the endpoint failed.
    #[error(transparent)]
    Aws(#[from] aws::Error),
    /// Resources could not be created or changed.
    #[error("stack {stack} ended in {status}:\n{reasons}")]
    Failed {
        stack: String,
        status: String,
        /// One line per failed resource.
        reasons: String,
    },
    /// The operation did not end.
    #[error("stack {stack} is still {status} after {} s", LIMIT.as_secs())]
    Unfinished { stack: String, status: String },
}

/// The result of a deployment.
#[derive(Debug, Clone, Default)]
pub struct Deployed {
    /// Physical ids by logical id.
    pub resources: BTreeMap<String, String>,
    /// Outputs of the stack by name.
    pub outputs: BTreeMap<String, String>,
    /// Resolved environment variables by the function's logical id.
    pub environments: BTreeMap<String, BTreeMap<String, String>>,
}

/// Returns the name of a function: the declared name, or else one that is known before the deployment.
pub fn function_name(stack: &str, function: &crate::template::Function) -> String {
    function.name.clone().unwrap_or_else(|| format!("{stack}-{}", function.logical_id))
}

/// Creates the stack, or updates it if the template or a parameter has changed.
pub async fn deploy(
    endpoint: &Endpoint,
    stack: &str,
    template: &Template,
    functions: &[crate::template::Function],
    parameters: &BTreeMap<String, String>,
) -> Result<Deployed, Error> {
    let bucket = format!("{stack}-artifacts");
    let path = |key: &str| format!("/{bucket}/{key}");
    create_bucket(endpoint, &bucket).await?;
    endpoint.rest("s3", Method::PUT, &path("placeholder.zip"), Bytes::from_static(EMPTY_ZIP)).await?;
    let packaged = package(template, stack, functions, &format!("s3://{bucket}/placeholder.zip"));
    // Through S3, because a template in the request itself is limited to 51,200 bytes.
    endpoint.rest("s3", Method::PUT, &path("template.json"), Bytes::from(packaged.to_string())).await?;

    let declared: Vec<_> =
        parameters.iter().filter(|(name, _)| template.parameters().any(|p| p == *name)).collect();
    let url = format!("{}{}", endpoint.url(), path("template.json"));
    apply(endpoint, stack, &url, &declared).await?;
    read(endpoint, stack, functions).await
}

async fn create_bucket(endpoint: &Endpoint, bucket: &str) -> Result<(), aws::Error> {
    match endpoint.rest("s3", Method::PUT, &format!("/{bucket}"), Bytes::new()).await {
        Err(error) if !matches!(error.code(), Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists")) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Replaces the folder of each function's code by its location in S3, as `sam package` does.
fn package(template: &Template, stack: &str, functions: &[crate::template::Function], code: &str) -> Value {
    let mut document = template.document().clone();
    if let Some(resources) = document["Resources"].as_object_mut() {
        resources.retain(|_, resource| UNKNOWN_TYPES.iter().all(|unknown| resource["Type"] != *unknown));
    }
    for resource in document["Resources"].as_object_mut().into_iter().flatten().map(|(_, resource)| resource)
    {
        match resource["Type"].as_str() {
            Some("AWS::Serverless::Function") => resource["Properties"]["CodeUri"] = json!(code),
            // MiniStack compares this value as a number, but parameters are text.
            Some("AWS::Lambda::EventSourceMapping") => {
                let declared = &resource["Properties"]["ScalingConfig"]["MaximumConcurrency"];
                let most = template.resolve(declared).as_str().and_then(|text| text.parse::<u32>().ok());
                if let Some(most) = most {
                    resource["Properties"]["ScalingConfig"]["MaximumConcurrency"] = json!(most);
                }
            }
            _ => {}
        }
    }
    for function in functions {
        let properties = &mut document["Resources"][&function.logical_id]["Properties"];
        if properties.get("FunctionName").is_none() {
            properties["FunctionName"] = json!(function_name(stack, function));
        }
    }
    document
}

async fn apply(
    endpoint: &Endpoint,
    stack: &str,
    template_url: &str,
    parameters: &[(&String, &String)],
) -> Result<(), Error> {
    let before = status(endpoint, stack).await?;
    // A stack whose creation failed can only be deleted.
    let broken = matches!(before.as_deref(), Some("ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED"));
    if broken {
        endpoint.query("cloudformation", "DeleteStack", &[("StackName", stack)]).await?;
        settled(endpoint, stack).await?;
    }
    let exists = !broken && before.is_some_and(|status| status != "DELETE_COMPLETE");

    let mut fields =
        vec![("StackName".to_owned(), stack.to_owned()), ("TemplateURL".to_owned(), template_url.to_owned())];
    for (at, capability) in
        ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"].iter().enumerate()
    {
        fields.push((format!("Capabilities.member.{}", at + 1), (*capability).to_owned()));
    }
    for (at, (name, value)) in parameters.iter().enumerate() {
        let member = format!("Parameters.member.{}", at + 1);
        fields.push((format!("{member}.ParameterKey"), (*name).clone()));
        fields.push((format!("{member}.ParameterValue"), (*value).clone()));
    }
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let action = if exists { "UpdateStack" } else { "CreateStack" };
    match endpoint.query("cloudformation", action, &fields).await {
        Err(aws::Error::Refused { message, .. }) if message.contains("No updates are to be performed") => {
            return Ok(());
        }
        other => other?,
    };
    match settled(endpoint, stack).await?.as_deref() {
        Some("CREATE_COMPLETE" | "UPDATE_COMPLETE") => Ok(()),
        other => Err(Error::Failed {
            stack: stack.to_owned(),
            status: other.unwrap_or("DELETE_COMPLETE").to_owned(),
            reasons: failures(endpoint, stack).await?,
        }),
    }
}

/// Waits until no operation is in progress.
async fn settled(endpoint: &Endpoint, stack: &str) -> Result<Option<String>, Error> {
    let give_up = tokio::time::Instant::now() + LIMIT;
    loop {
        let status = status(endpoint, stack).await?;
        match status {
            Some(status) if status.ends_with("_IN_PROGRESS") => {
                if tokio::time::Instant::now() > give_up {
                    return Err(Error::Unfinished { stack: stack.to_owned(), status });
                }
            }
            settled => return Ok(settled),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn status(endpoint: &Endpoint, stack: &str) -> Result<Option<String>, aws::Error> {
    match endpoint.query("cloudformation", "DescribeStacks", &[("StackName", stack)]).await {
        Ok(xml) => Ok(xml_text(&xml, "StackStatus")),
        Err(aws::Error::Refused { message, .. }) if message.contains("does not exist") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lists the resources that failed themselves, in the order of their failures.
async fn failures(endpoint: &Endpoint, stack: &str) -> Result<String, aws::Error> {
    let xml = endpoint.query("cloudformation", "DescribeStackEvents", &[("StackName", stack)]).await?;
    let mut lines: Vec<_> = xml_all(&xml, "member")
        .filter(|event| xml_text(event, "ResourceStatus").is_some_and(|status| status.ends_with("_FAILED")))
        .map(|event| {
            let text = |name| xml_text(event, name).unwrap_or_default();
            format!(
                "  {} ({}): {}",
                text("LogicalResourceId"),
                text("ResourceType"),
                text("ResourceStatusReason")
            )
        })
        .filter(|line| !line.contains("cancelled"))
        .collect();
    lines.reverse();
    lines.dedup();
    Ok(lines.join("\n"))
}

async fn read(
    endpoint: &Endpoint,
    stack: &str,
    functions: &[crate::template::Function],
) -> Result<Deployed, Error> {
    let mut deployed = Deployed::default();
    let mut token: Option<String> = None;
    loop {
        let mut fields = vec![("StackName", stack)];
        fields.extend(token.as_deref().map(|token| ("NextToken", token)));
        let xml = endpoint.query("cloudformation", "ListStackResources", &fields).await?;
        for member in xml_all(&xml, "member") {
            if let (Some(logical), Some(physical)) =
                (xml_text(member, "LogicalResourceId"), xml_text(member, "PhysicalResourceId"))
            {
                deployed.resources.insert(logical, physical);
            }
        }
        token = xml_text(&xml, "NextToken").filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    let xml = endpoint.query("cloudformation", "DescribeStacks", &[("StackName", stack)]).await?;
    for member in xml_all(&xml, "member") {
        // The elements are nested, but only outputs contain this pair.
        if let (Some(key), Some(value)) = (xml_text(member, "OutputKey"), xml_text(member, "OutputValue")) {
            deployed.outputs.insert(key, value);
        }
    }
    for function in functions {
        let path = format!("/2015-03-31/functions/{}/configuration", function_name(stack, function));
        let configuration = endpoint.rest("lambda", Method::GET, &path, Bytes::new()).await?;
        let configuration: Value = serde_json::from_slice(&configuration)
            .map_err(|e| aws::Error::Malformed { operation: path, reason: e.to_string() })?;
        let variables = configuration["Environment"]["Variables"].as_object().into_iter().flatten();
        let variables =
            variables.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        deployed.environments.insert(function.logical_id.clone(), variables.collect());
    }
    Ok(deployed)
}
