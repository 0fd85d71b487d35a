//! The roles of the functions, as SAM makes them from the template, and the policies of resources.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Error;
use super::arn::{self, Resources};
use super::platform;
use super::policy::{Permission, Statement};
use super::request::Need;
use crate::template::Template;

/// The role of one function.
#[derive(Debug, Clone)]
pub struct Role {
    /// Logical id of the function.
    pub function: String,
    /// ARN of the caller in messages.
    pub(super) caller: String,
    statements: Vec<Statement>,
    /// Statements of the permissions boundary, which grants nothing but limits what the role grants.
    boundary: Option<Vec<Statement>>,
}

/// The roles of all functions of a deployment.
#[derive(Debug, Clone)]
pub struct Roles {
    roles: BTreeMap<String, Role>,
    /// Statements of the policies of buckets, queues and topics. They hold for every function.
    shared: Vec<Statement>,
}

/// Reason of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// No statement allows the action.
    NotAllowed,
    /// The role allows the action, but its permissions boundary does not.
    OutsideBoundary,
    /// A statement of the role denies it.
    DeniedByRole,
    /// A statement of the resource's policy denies it.
    DeniedByResource,
}

impl Roles {
    /// Reads the roles of a deployed template. `ids` are the physical ids by logical id.
    ///
    /// # Errors
    /// If a policy has a form that this module does not understand, or if a role lacks what Lambda itself needs.
    pub fn read(template: &Template, ids: &BTreeMap<String, String>, region: &str) -> Result<Self, Error> {
        let resources = Resources { template, ids, region };
        refuse_detached(template)?;
        let mut shared = Vec::new();
        for kind in ["AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"] {
            for (id, resource) in template.resources_of(kind) {
                let document = &resource["Properties"]["PolicyDocument"];
                shared
                    .extend(Statement::all(id, document, resources).map_err(|reason| Error::at(id, reason))?);
            }
        }
        let mut roles = BTreeMap::new();
        for (id, resource) in template.resources_of("AWS::Serverless::Function") {
            let role = role(id, resource, resources).map_err(|reason| Error::at(id, reason))?;
            roles.insert(id.to_owned(), role);
        }
        let roles = Self { roles, shared };
        platform::check(&roles, resources)?;
        Ok(roles)
    }

    /// Reads the roles without a deployment.
    pub(super) fn imagined(template: &Template) -> Result<Self, Error> {
        Self::read(template, &arn::imagined(template), "us-east-1")
    }

    /// Returns the role of a function.
    pub fn of(&self, function: &str) -> Option<&Role> {
        self.roles.get(function)
    }

    /// Iterates over all roles.
    pub fn iter(&self) -> impl Iterator<Item = &Role> {
        self.roles.values()
    }

    /// Decides as IAM does: a statement that denies wins, and without one that allows, the answer is no. Returns the
    /// permissions that allow it.
    pub(super) fn decide(&self, role: &Role, need: &Need) -> Result<Vec<Permission>, Reason> {
        let denies = |statements: &[Statement]| {
            statements.iter().any(|statement| statement.denies && !statement.matching(need).is_empty())
        };
        let boundary = role.boundary.as_deref();
        if denies(&role.statements) || boundary.is_some_and(denies) {
            return Err(Reason::DeniedByRole);
        }
        if denies(&self.shared) {
            return Err(Reason::DeniedByResource);
        }
        let all = role.statements.iter().chain(&self.shared).filter(|statement| !statement.denies);
        let allowing: Vec<Permission> = all.flat_map(|statement| statement.matching(need)).collect();
        let is_within = |boundary: &[Statement]| {
            boundary.iter().any(|statement| !statement.denies && !statement.matching(need).is_empty())
        };
        match allowing.is_empty() {
            true => Err(Reason::NotAllowed),
            false if boundary.is_none_or(is_within) => Ok(allowing),
            false => Err(Reason::OutsideBoundary),
        }
    }

    /// Returns every permission that the template's own policies give, once.
    pub(super) fn permissions(&self) -> Vec<Permission> {
        let own = self.roles.values().flat_map(|role| &role.statements).chain(&self.shared);
        let own = own.filter(|statement| !statement.denies).flat_map(Statement::permissions);
        let mut all: Vec<Permission> = own.filter(|permission| permission.owner != MANAGED).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Owner of the statements that are AWS's and not the template's.
const MANAGED: &str = "AWS";

fn role(id: &str, function: &Value, resources: Resources<'_>) -> Result<Role, String> {
    let properties = &function["Properties"];
    for name in ["Role", "Connectors"] {
        if !properties[name].is_null() || !function[name].is_null() {
            return Err(format!("{name} of a function is not understood"));
        }
    }
    let globals = &resources.template.document()["Globals"]["Function"];
    let traced = [properties, globals].iter().any(|place| place["Tracing"] == "Active");
    let mut statements = managed("AWSLambdaBasicExecutionRole", resources)?;
    if traced {
        statements.extend(managed("AWSXrayWriteOnlyAccess", resources)?);
    }
    for (_, event) in properties["Events"].as_object().into_iter().flatten() {
        match event["Type"].as_str() {
            Some("SQS") => statements.extend(managed("AWSLambdaSQSQueueExecutionRole", resources)?),
            Some("DynamoDB") => statements.extend(managed("AWSLambdaDynamoDBExecutionRole", resources)?),
            Some("HttpApi" | "Schedule" | "ScheduleV2" | "SNS" | "S3" | "EventBridgeRule") => {}
            kind => return Err(format!("the policy that an event of the type {kind:?} brings is not known")),
        }
    }
    let declared = resources.template.resolve(&properties["Policies"]);
    let policies = match &declared {
        Value::Array(policies) => policies.as_slice(),
        Value::Null => &[],
        one => std::slice::from_ref(one),
    };
    for policy in policies {
        statements.extend(attached(id, policy, resources)?);
    }
    // SAM's name for the role. Lambda names the session after the function.
    let role = format!("{id}Role");
    let role_name = resources.physical(&role).unwrap_or(&role);
    let session = resources.physical(id)?;
    let caller = format!("arn:aws:sts::{}:assumed-role/{role_name}/{session}", arn::ACCOUNT);
    let boundary = [properties, globals].into_iter().find(|place| !place["PermissionsBoundary"].is_null());
    let boundary = boundary.map(|place| limits(&place["PermissionsBoundary"], resources)).transpose()?;
    Ok(Role { function: id.to_owned(), caller, statements, boundary })
}

fn limits(boundary: &Value, resources: Resources<'_>) -> Result<Vec<Statement>, String> {
    shared_policy(&resources.template.resolve(boundary), resources).unwrap_or_else(|| {
        Err(format!("the permissions boundary {boundary} is not understood; name a policy of the template"))
    })
}

/// Returns the statements of the managed policy of the template that the value names.
fn shared_policy(value: &Value, resources: Resources<'_>) -> Option<Result<Vec<Statement>, String>> {
    let id = value["Ref"].as_str().filter(|id| resources.kind(id) == "AWS::IAM::ManagedPolicy")?;
    let document = &resources.template.document()["Resources"][id]["Properties"]["PolicyDocument"];
    Some(Statement::all(id, document, resources))
}

/// Reads one entry of `Policies`.
fn attached(function: &str, policy: &Value, resources: Resources<'_>) -> Result<Vec<Statement>, String> {
    if !policy["Statement"].is_null() {
        return Statement::all(function, policy, resources);
    }
    if let Some(name) = policy.as_str() {
        return managed(name.rsplit('/').next().unwrap_or(name), resources);
    }
    shared_policy(policy, resources).unwrap_or_else(|| {
        Err(format!("{policy} is not understood; write the policy as a document with statements"))
    })
}

/// Returns the statements of one of AWS's managed policies, as its page in the AWS Managed Policy Reference lists them.
fn managed(name: &str, resources: Resources<'_>) -> Result<Vec<Statement>, String> {
    let logs = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"];
    let more: &[&str] = match name {
        "AWSLambdaBasicExecutionRole" => &[],
        "AWSLambdaSQSQueueExecutionRole" => {
            &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
        }
        "AWSLambdaDynamoDBExecutionRole" => &[
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        ],
        "AWSXrayWriteOnlyAccess" | "AWSXRayDaemonWriteAccess" => &[
            "xray:PutTraceSegments",
            "xray:PutTelemetryRecords",
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
            "xray:GetSamplingStatisticSummaries",
        ],
        _ => {
            return Err(format!(
                "the managed policy {name} is not known; write its statements into the template"
            ));
        }
    };
    let logs: &[&str] = if name.contains("ray") || name.contains("Ray") { &[] } else { &logs };
    let actions = [logs, more].concat();
    let document = json!({"Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}});
    Statement::all(MANAGED, &document, resources)
}

/// Refuses resources that would give a function permissions from outside its `Policies`.
fn refuse_detached(template: &Template) -> Result<(), Error> {
    let detached =
        ["AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::Role", "AWS::Serverless::Connector"];
    for kind in detached {
        if let Some((id, _)) = template.resources_of(kind).next() {
            let reason =
                format!("a resource of the type {kind} is not understood; use Policies of the function");
            return Err(Error::at(id, reason));
        }
    }
    let attaches = |(_, policy): &(&str, &Value)| {
        ["Roles", "Users", "Groups"].iter().any(|name| !policy["Properties"][name].is_null())
    };
    match template.resources_of("AWS::IAM::ManagedPolicy").find(attaches) {
        Some((id, _)) => Err(Error::at(id, "name the policy in Policies of the function".to_owned())),
        None => Ok(()),
    }
}
