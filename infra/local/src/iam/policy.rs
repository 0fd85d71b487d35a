//! Reads policy documents into statements.

use serde::Serialize;
use serde_json::{Map, Value};

use super::arn::Resources;
use super::condition::{Circumstances, Condition};
use super::pattern;
use super::request::Need;

/// One permission as the template states it: an action on a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
pub struct Permission {
    /// Logical id of the function, or of the policy that functions share.
    pub owner: String,
    /// The action, which may have wildcards.
    pub action: String,
    /// The resource in the words of the template, and one of the partitions to which the statement limits requests.
    pub resource: String,
}

/// A statement that applies to functions.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    owner: String,
    pub(super) denies: bool,
    actions: Actions,
    resources: Vec<Target>,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone)]
enum Actions {
    /// `Action`.
    These(Vec<String>),
    /// `NotAction`.
    AllBut(Vec<String>),
}

#[derive(Debug, Clone)]
struct Target {
    label: String,
    arn: String,
}

impl Statement {
    /// Reads the statements of a document. Leaves out those for AWS services, which are no functions.
    pub(super) fn all(owner: &str, document: &Value, resources: Resources<'_>) -> Result<Vec<Self>, String> {
        let document = resources.template.resolve(document);
        let statements = match &document["Statement"] {
            Value::Array(statements) => statements.as_slice(),
            statement @ Value::Object(_) => std::slice::from_ref(statement),
            _ => return Err("a policy has no statements".to_owned()),
        };
        let read = statements.iter().map(|statement| Self::read(owner, statement, resources));
        let read: Result<Vec<Option<Self>>, String> = read.collect();
        Ok(read?.into_iter().flatten().collect())
    }

    fn read(owner: &str, statement: &Value, resources: Resources<'_>) -> Result<Option<Self>, String> {
        let fields = statement.as_object().ok_or("a statement must be a mapping")?;
        let known = ["Sid", "Effect", "Action", "NotAction", "Resource", "Condition", "Principal"];
        if let Some(field) = fields.keys().find(|field| !known.contains(&field.as_str())) {
            return Err(format!("{field} is not understood in a statement"));
        }
        if fields.get("Principal").is_some_and(|principal| !is_everyone(principal)) {
            return concerns_no_function(&fields["Principal"]).map(|()| None);
        }
        let denies = match fields.get("Effect").and_then(Value::as_str) {
            Some("Allow") => false,
            Some("Deny") => true,
            _ => return Err("a statement must have the effect Allow or Deny".to_owned()),
        };
        let named = list(fields.get("Resource"));
        let targets: Result<Vec<Vec<Target>>, String> =
            named.iter().map(|resource| Target::all(resource, resources)).collect();
        Ok(Some(Self {
            owner: owner.to_owned(),
            denies,
            actions: Actions::read(fields, resources)?,
            resources: targets?.concat(),
            conditions: conditions(fields, resources)?,
        }))
    }

    /// Returns the permissions of the statement that the need makes use of. Returns none if the statement does not match.
    pub(super) fn matching(&self, need: &Need) -> Vec<Permission> {
        if !self.conditions.iter().all(|condition| condition.holds(&need.circumstances)) {
            return Vec::new();
        }
        let actions = self.actions.matching(&need.action);
        let targets =
            self.resources.iter().filter(|target| pattern::matches_arn(&target.arn, &need.resource));
        let pairs = targets.flat_map(|target| actions.iter().map(move |action| (action, target)));
        pairs.flat_map(|(action, target)| self.each(action, target, Some(&need.circumstances))).collect()
    }

    /// Returns all permissions of the statement.
    pub(super) fn permissions(&self) -> Vec<Permission> {
        let actions = self.actions.labels();
        let pairs =
            self.resources.iter().flat_map(|target| actions.iter().map(move |action| (action, target)));
        pairs.flat_map(|(action, target)| self.each(action, target, None)).collect()
    }

    /// Returns one permission for each partition to which the statement is limited, or just one if it is not limited.
    fn each(&self, action: &str, target: &Target, request: Option<&Circumstances>) -> Vec<Permission> {
        let permission =
            |resource: String| Permission { owner: self.owner.clone(), action: action.to_owned(), resource };
        match self.conditions.iter().find_map(|condition| condition.partitions(request)) {
            Some(partitions) if !partitions.is_empty() => {
                partitions.iter().map(|name| permission(format!("{} of {name}", target.label))).collect()
            }
            _ => vec![permission(target.label.clone())],
        }
    }
}

impl Actions {
    fn read(fields: &Map<String, Value>, resources: Resources<'_>) -> Result<Self, String> {
        let read = |name: &str| -> Result<Vec<String>, String> {
            list(fields.get(name)).iter().map(|action| resources.text(action)).collect()
        };
        match (fields.contains_key("Action"), fields.contains_key("NotAction")) {
            (true, false) => Ok(Self::These(read("Action")?)),
            (false, true) => Ok(Self::AllBut(read("NotAction")?)),
            _ => Err("a statement must have either Action or NotAction".to_owned()),
        }
    }

    /// Returns the labels of the actions that include this one.
    fn matching(&self, action: &str) -> Vec<String> {
        let includes = |pattern: &&String| pattern::matches(&pattern.to_lowercase(), &action.to_lowercase());
        match self {
            Self::These(actions) => actions.iter().filter(includes).cloned().collect(),
            Self::AllBut(actions) if actions.iter().any(|pattern| includes(&pattern)) => Vec::new(),
            Self::AllBut(_) => self.labels(),
        }
    }

    fn labels(&self) -> Vec<String> {
        match self {
            Self::These(actions) => actions.clone(),
            Self::AllBut(actions) => vec![format!("all but {}", actions.join(", "))],
        }
    }
}

impl Target {
    /// Reads a resource, or a list that is made of a text.
    fn all(value: &Value, resources: Resources<'_>) -> Result<Vec<Self>, String> {
        let label = label(value);
        resources.texts(value)?.into_iter().map(|arn| Self::read(&label, arn)).collect()
    }

    fn read(label: &str, arn: String) -> Result<Self, String> {
        if arn != "*" && arn.splitn(6, ':').count() != 6 {
            return Err(format!("{arn} is not an ARN; a statement names ARNs or *"));
        }
        if arn.contains("${") {
            return Err(format!("the variable in {arn} is not understood"));
        }
        Ok(Self { label: label.to_owned(), arn })
    }
}

/// Returns a resource in the words of the template.
fn label(value: &Value) -> String {
    let named = value["Ref"].as_str().or_else(|| value["Fn::Sub"].as_str()).or_else(|| value.as_str());
    match (named, value["Fn::GetAtt"].as_array().map(Vec::as_slice)) {
        (Some(text), _) => text.to_owned(),
        (None, Some([Value::String(id), Value::String(attribute)])) => format!("{id}.{attribute}"),
        _ => value.to_string(),
    }
}

fn conditions(fields: &Map<String, Value>, resources: Resources<'_>) -> Result<Vec<Condition>, String> {
    let operators = fields.get("Condition").and_then(Value::as_object).into_iter().flatten();
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        for (key, values) in keys.as_object().into_iter().flatten() {
            let mut read: Vec<Value> = Vec::new();
            for value in list(Some(values)) {
                if value.is_object() {
                    read.extend(resources.texts(&value)?.into_iter().map(Value::String));
                } else {
                    read.push(value);
                }
            }
            conditions.push(Condition::read(operator, key, &Value::Array(read))?);
        }
    }
    Ok(conditions)
}

fn list(value: Option<&Value>) -> Vec<Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(values)) => values.clone(),
        Some(value) => vec![value.clone()],
    }
}

fn is_everyone(principal: &Value) -> bool {
    principal == "*" || principal["AWS"] == "*"
}

/// Accepts principals that are services or the account itself, which delegates to the policies of roles.
fn concerns_no_function(principal: &Value) -> Result<(), String> {
    let kinds = principal.as_object().ok_or("a principal must be * or a mapping")?;
    let delegates = |value: &Value| list(Some(value)).iter().all(|one| one.to_string().contains(":root"));
    let is_other =
        |(kind, value): (&String, &Value)| kind == "Service" || (kind == "AWS" && delegates(value));
    if kinds.iter().all(is_other) {
        Ok(())
    } else {
        Err(format!("the principal {principal} is not understood"))
    }
}
