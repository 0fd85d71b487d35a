//! The routing table of the one origin, read from the CloudFront distribution of production. An origin leads
//! to the resource that its domain name refers to. The distribution itself is not deployed on one machine, so
//! its condition is ignored here.

use serde_json::Value;

use super::{Function, Scope};

/// The destination of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The routes of the HTTP API.
    HttpApi,
    /// The function URL of the function with this logical id.
    FunctionUrl(String),
    /// An origin that is not served on one machine yet, such as an S3 bucket.
    Elsewhere(String),
}

/// A cache behaviour of the distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behavior {
    /// CloudFront path pattern: `*` is any run of characters, `?` any single one.
    pub pattern: String,
    /// Destination of matching paths.
    pub target: Target,
    /// `true` if a CloudFront function changes the request first.
    pub edge: bool,
}

/// Cache behaviours in their order of precedence, then the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Behaviours in the order of precedence: the first that matches is used.
    pub behaviors: Vec<Behavior>,
    /// Serves all other paths. Its pattern is `*`.
    pub default: Behavior,
}

impl Distribution {
    /// Creates the distribution of a function URL that is an origin of its own.
    pub fn of_url(function: &Function) -> Self {
        let target = Target::FunctionUrl(function.logical_id.clone());
        Self { behaviors: Vec::new(), default: Behavior { pattern: "*".to_owned(), target, edge: false } }
    }

    /// Returns `true` if a behaviour leads to the function's URL.
    pub fn leads_to(&self, function: &Function) -> bool {
        let target = Target::FunctionUrl(function.logical_id.clone());
        self.behaviors.iter().chain([&self.default]).any(|behavior| behavior.target == target)
    }

    /// Returns the behaviour that serves a path.
    pub fn behavior(&self, path: &str) -> &Behavior {
        self.behaviors
            .iter()
            .find(|behavior| matches(behavior.pattern.as_bytes(), path.as_bytes()))
            .unwrap_or(&self.default)
    }
}

pub(super) fn read(document: &Value, scope: &Scope) -> Distribution {
    let config = document["Resources"]
        .as_object()
        .into_iter()
        .flatten()
        .find(|(_, resource)| resource["Type"] == "AWS::CloudFront::Distribution")
        .map(|(_, resource)| scope.resolve(&resource["Properties"]["DistributionConfig"]));
    // Without a distribution, the HTTP API serves all paths.
    let Some(config) = config else {
        let default = Behavior { pattern: "*".to_owned(), target: Target::HttpApi, edge: false };
        return Distribution { behaviors: Vec::new(), default };
    };
    let behavior = |behavior: &Value| Behavior {
        pattern: behavior["PathPattern"].as_str().unwrap_or("*").to_owned(),
        target: target(document, &config, &behavior["TargetOriginId"]),
        edge: behavior["FunctionAssociations"].as_array().is_some_and(|list| !list.is_empty()),
    };
    Distribution {
        behaviors: config["CacheBehaviors"].as_array().into_iter().flatten().map(behavior).collect(),
        default: behavior(&config["DefaultCacheBehavior"]),
    }
}

fn target(document: &Value, config: &Value, origin_id: &Value) -> Target {
    let elsewhere = || Target::Elsewhere(origin_id.as_str().unwrap_or_default().to_owned());
    let Some(origin) =
        config["Origins"].as_array().into_iter().flatten().find(|origin| &origin["Id"] == origin_id)
    else {
        return elsewhere();
    };
    let mut ids = Vec::new();
    references(&origin["DomainName"], &mut ids);
    ids.iter().find_map(|id| resource_target(document, id)).unwrap_or_else(elsewhere)
}

fn resource_target(document: &Value, id: &str) -> Option<Target> {
    let resources = &document["Resources"];
    match resources[id]["Type"].as_str() {
        Some("AWS::Serverless::HttpApi" | "AWS::ApiGatewayV2::Api") => return Some(Target::HttpApi),
        Some("AWS::Lambda::Url") => {
            let mut ids = Vec::new();
            references(&resources[id]["Properties"]["TargetFunctionArn"], &mut ids);
            return ids.into_iter().next().map(Target::FunctionUrl);
        }
        _ => {}
    }
    // SAM names its implicit API `ServerlessHttpApi`, and the URL of function `X` `XUrl`.
    if id == "ServerlessHttpApi" {
        return Some(Target::HttpApi);
    }
    let function = id.strip_suffix("Url")?;
    resources[function]["Properties"]["FunctionUrlConfig"]
        .is_object()
        .then(|| Target::FunctionUrl(function.to_owned()))
}

/// Collects the logical ids that a value refers to through `Ref`, `Fn::GetAtt` or `Fn::Sub`.
fn references(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, out)),
        Value::Object(map) => {
            for (key, inner) in map {
                match (key.as_str(), inner) {
                    ("Ref", Value::String(id)) => out.push(id.clone()),
                    ("Fn::GetAtt", Value::Array(parts)) => {
                        out.extend(parts.first().and_then(Value::as_str).map(str::to_owned));
                    }
                    ("Fn::Sub", Value::String(text)) => substitutions(text, out),
                    ("Fn::Sub", Value::Array(parts)) => {
                        substitutions(parts.first().and_then(Value::as_str).unwrap_or_default(), out);
                        references(parts.get(1).unwrap_or(&Value::Null), out);
                    }
                    _ => references(inner, out),
                }
            }
        }
        _ => {}
    }
}

fn substitutions(text: &str, out: &mut Vec<String>) {
    for part in text.split("${").skip(1) {
        let name = part.split(['}', '.']).next().unwrap_or_default();
        out.push(name.to_owned());
    }
}

/// Matches the whole path as CloudFront does. A pattern may omit the leading slash.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let pattern = pattern.strip_prefix(b"/").unwrap_or(pattern);
    let path = path.strip_prefix(b"/").unwrap_or(path);
    glob(pattern, path)
}

/// Matches iteratively: after a mismatch, the last `*` takes one more character.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let mut p = 0;
    let mut t = 0;
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    p = *at + 1;
                    t = *taken;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}
