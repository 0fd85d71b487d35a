//! Resolves `Ref`, `Fn::GetAtt`, `Fn::Sub`, `Fn::Join` and `Fn::Split` of policies to the ARNs of deployed resources.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::template::Template;

/// The account that emulators use.
pub(super) const ACCOUNT: &str = "000000000000";

/// The resources of a deployment by their logical ids.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resources<'a> {
    pub(super) template: &'a Template,
    /// Physical ids by logical id.
    pub(super) ids: &'a BTreeMap<String, String>,
    pub(super) region: &'a str,
}

impl Resources<'_> {
    /// Resolves a value that is a text or becomes one.
    pub(super) fn text(&self, value: &Value) -> Result<String, String> {
        if let Value::String(text) = value {
            return Ok(text.clone());
        }
        let intrinsic = value.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next());
        let (name, argument) = intrinsic.ok_or_else(|| format!("{value} is not a text"))?;
        match (name.as_str(), argument) {
            ("Ref", Value::String(id)) => self.reference(id),
            ("Fn::GetAtt", Value::Array(path)) => match path.as_slice() {
                [Value::String(id), Value::String(attribute)] => self.attribute(id, attribute),
                _ => Err(format!("{value} does not name an attribute")),
            },
            ("Fn::Sub", Value::String(text)) => self.substitute(text),
            ("Fn::Join", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(separator), Value::Array(items)] => {
                    let items: Result<Vec<String>, String> =
                        items.iter().map(|item| self.text(item)).collect();
                    Ok(items?.join(separator))
                }
                [Value::String(separator), split @ Value::Object(_)] => {
                    Ok(self.texts(split)?.join(separator))
                }
                _ => Err(format!("{value} is not a separator and a list")),
            },
            _ => Err(format!("{name} is not understood in a policy")),
        }
    }

    /// Resolves a value that is a text, or the list that `Fn::Split` makes of one.
    pub(super) fn texts(&self, value: &Value) -> Result<Vec<String>, String> {
        match value["Fn::Split"].as_array().map(Vec::as_slice) {
            Some([Value::String(separator), source]) => {
                Ok(self.text(source)?.split(separator).map(str::to_owned).collect())
            }
            Some(_) => Err(format!("{value} is not a separator and a text")),
            None => Ok(vec![self.text(value)?]),
        }
    }

    /// Resolves `${Resource}`, `${Resource.Attribute}` and `${Parameter}`.
    fn substitute(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, next) = after.split_once('}').ok_or_else(|| format!("{text} has an open brace"))?;
            out.push_str(before);
            out.push_str(&match name.split_once('.') {
                Some((id, attribute)) => self.attribute(id, attribute)?,
                None => self.reference(name)?,
            });
            rest = next;
        }
        Ok(out + rest)
    }

    fn reference(&self, id: &str) -> Result<String, String> {
        if let Value::String(parameter) = self.template.resolve(&serde_json::json!({"Ref": id})) {
            return Ok(parameter);
        }
        match self.kind(id) {
            "AWS::SecretsManager::Secret" => self.attribute(id, "Arn"),
            _ => Ok(self.physical(id)?.to_owned()),
        }
    }

    fn attribute(&self, id: &str, attribute: &str) -> Result<String, String> {
        let kind = self.kind(id);
        let name = self.physical(id)?;
        let arn = |service: &str, rest: &str| format!("arn:aws:{service}:{}:{ACCOUNT}:{rest}", self.region);
        Ok(match (kind, attribute) {
            ("AWS::DynamoDB::Table", "Arn") => arn("dynamodb", &format!("table/{name}")),
            // The label is a time on AWS. Only Lambda's poller reads streams, and it is judged with the same label.
            ("AWS::DynamoDB::Table", "StreamArn") => arn("dynamodb", &format!("table/{name}/stream/latest")),
            ("AWS::S3::Bucket", "Arn") => format!("arn:aws:s3:::{name}"),
            ("AWS::SQS::Queue", "Arn") => arn("sqs", name.rsplit('/').next().unwrap_or(name)),
            ("AWS::SQS::Queue", "QueueName") => name.rsplit('/').next().unwrap_or(name).to_owned(),
            ("AWS::Logs::LogGroup", "Arn") => arn("logs", &format!("log-group:{name}:*")),
            ("AWS::KMS::Key", "Arn") => arn("kms", &format!("key/{name}")),
            ("AWS::SNS::Topic", "TopicArn") => name.to_owned(),
            ("AWS::Serverless::Function" | "AWS::Lambda::Function", "Arn") => {
                arn("lambda", &format!("function:{name}"))
            }
            ("AWS::SecretsManager::Secret", "Arn" | "Id") => self.secret(name),
            _ => return Err(format!("the attribute {attribute} of {id} ({kind}) is not understood")),
        })
    }

    /// Returns the ARN of a secret. Its last six characters are chosen at random when the secret is created, so that they
    /// stay open here, as in the ARN with which AWS judges a request that has only the name.
    fn secret(&self, physical: &str) -> String {
        let named = physical.rsplit_once(":secret:").and_then(|(_, id)| Some(id.rsplit_once('-')?.0));
        secret_arn(self.region, named.unwrap_or(physical))
    }

    pub(super) fn kind(&self, id: &str) -> &str {
        self.template.document()["Resources"][id]["Type"].as_str().unwrap_or_default()
    }

    pub(super) fn physical(&self, id: &str) -> Result<&str, String> {
        self.ids.get(id).map(String::as_str).ok_or_else(|| format!("{id} is not a deployed resource"))
    }
}

/// Returns the ARN with which a secret is judged if only its name is known.
pub(super) fn secret_arn(region: &str, name: &str) -> String {
    format!("arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}-??????")
}

/// Returns the physical ids that a deployment of the template could have, to read its policies without deploying it.
pub(super) fn imagined(template: &Template) -> BTreeMap<String, String> {
    let resources = template.document()["Resources"].as_object().into_iter().flatten();
    let id = |(id, resource): (&String, &Value)| {
        let physical = match resource["Type"].as_str() {
            Some("AWS::SNS::Topic") => format!("arn:aws:sns:us-east-1:{ACCOUNT}:{id}"),
            Some("AWS::SQS::Queue") => format!("http://localhost/{ACCOUNT}/{id}"),
            Some("AWS::Logs::LogGroup") => {
                declared(template, resource, "LogGroupName").unwrap_or_else(|| id.clone())
            }
            Some("AWS::Serverless::Function") => {
                declared(template, resource, "FunctionName").unwrap_or_else(|| id.clone())
            }
            _ => id.clone(),
        };
        (id.clone(), physical)
    };
    resources.map(id).collect()
}

fn declared(template: &Template, resource: &Value, property: &str) -> Option<String> {
    template.resolve(&resource["Properties"][property]).as_str().map(str::to_owned)
}
