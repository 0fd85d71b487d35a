//! Tools that are set up or changed, and the rules that they keep.

use std::collections::{BTreeMap, BTreeSet};

use sequent_core::{SecretString, Timestamp, UserId};
use sequent_tool::{
    Guard, Tool, ToolKind, ToolPolicy,
    tenant_tool::{self, MAX_DESCRIPTION},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Error, HttpTool, NewHeader, RequestMethod, ToolHeader, ToolName, UrlTemplate,
    header::{MAX_HEADERS, is_value},
};

const MAX_TIMEOUT: u32 = 60;
const DEFAULT_TIMEOUT: u32 = 30;
const MIN_RESULT: u32 = 100;
const MAX_RESULT: u32 = 64 << 10;
const MAX_POINTER: usize = 500;

/// A tool to set up.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewHttpTool {
    /// The name, unique within the tenant. It never changes, because agents name the tool by it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[a-zA-Z0-9_-]{1,64}$", example = "find_order"))]
    pub name: ToolName,
    /// The description for the model, of at most 4,096 bytes.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 4096, example = "Finds an order by its number.")
    )]
    pub description: String,
    /// The JSON Schema of the arguments, of at most 16 KB. It describes an object.
    #[cfg_attr(feature = "openapi", schema(value_type = Object, example = json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]})))]
    pub input_schema: Value,
    /// The method of the requests.
    pub method: RequestMethod,
    /// The address on the public internet, which begins with `https://`. `{name}` in its path or its query is the argument with
    /// that name, percent-encoded. Arguments that it does not name are sent in the query of `GET` and `DELETE`, and otherwise in a
    /// JSON body.
    #[cfg_attr(feature = "openapi", schema(value_type = String, max_length = 2048, example = "https://api.example.com/orders/{id}"))]
    pub url: UrlTemplate,
    /// Headers that requests have beside the usual ones.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 20))]
    pub headers: Vec<NewHeader>,
    /// The time after which a call is given up: 1 to 60 seconds, 30 if it is absent.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 60))]
    pub timeout_seconds: Option<u32>,
    /// A call may be repeated with the same `Idempotency-Key`, because it has its effect once. True for `GET` if it is absent, and
    /// false for other methods.
    #[serde(default)]
    pub idempotent: Option<bool>,
    /// The policy for calls. `always` for `GET` if it is absent, and `ask` for other methods.
    #[serde(default)]
    pub policy: Option<ToolPolicy>,
    /// The JSON pointer (RFC 6901) to the part of an answer that the model reads. Empty for the whole answer.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_length = 500, example = "/order"))]
    pub result_pointer: String,
    /// Bytes of an answer that the model reads at most: 100 to 65,536, and as many if it is absent.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 100, maximum = 65536))]
    pub max_result_bytes: Option<u32>,
}

/// A change of a tool. What is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HttpToolChange {
    /// The description for the model.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 4096))]
    pub description: Option<String>,
    /// The JSON Schema of the arguments.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub input_schema: Option<Value>,
    /// The method of the requests.
    pub method: Option<RequestMethod>,
    /// The address. If its host changes, the values of all secret headers must be sent again.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 2048))]
    pub url: Option<UrlTemplate>,
    /// All headers, in the place of the present ones. A secret one without a value keeps it.
    #[cfg_attr(feature = "openapi", schema(max_items = 20))]
    pub headers: Option<Vec<NewHeader>>,
    /// The time after which a call is given up.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 60))]
    pub timeout_seconds: Option<u32>,
    /// A call may be repeated, because it has its effect once.
    pub idempotent: Option<bool>,
    /// The policy for calls.
    pub policy: Option<ToolPolicy>,
    /// The JSON pointer to the part of an answer that the model reads. Empty for the whole answer.
    #[cfg_attr(feature = "openapi", schema(max_length = 500))]
    pub result_pointer: Option<String>,
    /// Bytes of an answer that the model reads at most.
    #[cfg_attr(feature = "openapi", schema(minimum = 100, maximum = 65536))]
    pub max_result_bytes: Option<u32>,
}

impl NewHttpTool {
    /// Returns the tool without its headers, and the headers.
    pub(crate) fn into_tool(self, user: UserId, now: Timestamp) -> (HttpTool, Vec<NewHeader>) {
        let is_read = self.method == RequestMethod::Get;
        let policy = if is_read { ToolPolicy::Always } else { ToolPolicy::Ask };
        let tool = HttpTool {
            name: self.name,
            description: self.description,
            input_schema: self.input_schema,
            method: self.method,
            url: self.url,
            headers: Vec::new(),
            timeout_seconds: self.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT),
            idempotent: self.idempotent.unwrap_or(is_read),
            policy: self.policy.unwrap_or(policy),
            result_pointer: self.result_pointer,
            max_result_bytes: self.max_result_bytes.unwrap_or(MAX_RESULT),
            user_id: user,
            created_at: now,
            updated_at: now,
        };
        (tool, self.headers)
    }
}

impl HttpToolChange {
    /// Returns the changed tool with its present headers.
    pub(crate) fn apply(&self, tool: &HttpTool, now: Timestamp) -> HttpTool {
        let change = self.clone();
        let tool = tool.clone();
        HttpTool {
            description: change.description.unwrap_or(tool.description),
            input_schema: change.input_schema.unwrap_or(tool.input_schema),
            method: change.method.unwrap_or(tool.method),
            url: change.url.unwrap_or(tool.url),
            timeout_seconds: change.timeout_seconds.unwrap_or(tool.timeout_seconds),
            idempotent: change.idempotent.unwrap_or(tool.idempotent),
            policy: change.policy.unwrap_or(tool.policy),
            result_pointer: change.result_pointer.unwrap_or(tool.result_pointer),
            max_result_bytes: change.max_result_bytes.unwrap_or(tool.max_result_bytes),
            updated_at: now,
            ..tool
        }
    }
}

/// The headers of a tool, and the values of the secret ones.
pub(crate) struct AcceptedHeaders {
    pub(crate) shown: Vec<ToolHeader>,
    pub(crate) secrets: BTreeMap<String, SecretString>,
}

/// Checks the headers of a tool. A secret one without a value has that of `known`.
pub(crate) fn accept_headers(
    headers: Vec<NewHeader>,
    known: &BTreeMap<String, SecretString>,
) -> Result<AcceptedHeaders, Error> {
    if headers.len() > MAX_HEADERS {
        return Err(invalid("/headers", format!("must have at most {MAX_HEADERS} items")));
    }
    let mut accepted = AcceptedHeaders { shown: Vec::new(), secrets: BTreeMap::new() };
    let mut names = BTreeSet::new();
    for (place, header) in headers.into_iter().enumerate() {
        let at = |member: &str| format!("/headers/{place}/{member}");
        let Some(name) = header.accepted_name() else {
            return Err(invalid(&at("name"), "must be the name of a header that a tool may set".to_owned()));
        };
        if !names.insert(name.clone()) {
            return Err(invalid(&at("name"), "is listed twice".to_owned()));
        }
        let kept = known.get(&name).filter(|_| header.secret).cloned();
        let Some(value) = header.value.or(kept) else {
            return Err(invalid(&at("value"), "is missing".to_owned()));
        };
        if !is_value(&value) {
            let rule = "must have 1 to 4096 visible ASCII characters and spaces, none of them at an end";
            return Err(invalid(&at("value"), rule.to_owned()));
        }
        accepted.add(name, value, header.secret);
    }
    Ok(accepted)
}

impl AcceptedHeaders {
    fn add(&mut self, name: String, value: SecretString, secret: bool) {
        use sequent_core::ExposeSecret as _;
        let shown = (!secret).then(|| value.expose_secret().to_owned());
        self.shown.push(ToolHeader { name: name.clone(), value: shown, secret });
        if secret {
            self.secrets.insert(name, value);
        }
    }
}

/// Checks everything of a tool but its headers.
pub(crate) fn check(tool: &HttpTool, guard: &Guard) -> Result<(), Error> {
    let bytes = tool.description.len();
    if tool.description.trim().is_empty() || bytes > MAX_DESCRIPTION {
        return Err(invalid("/description", format!("must have 1 to {MAX_DESCRIPTION} bytes")));
    }
    let offered =
        Tool::new(tool.name.as_str(), &tool.description, tool.input_schema.clone(), ToolKind::AsksPerson);
    tenant_tool::accept(&offered)
        .map_err(|unusable| invalid("/input_schema", format!("cannot be used: {unusable}")))?;
    check_address(tool, guard)?;
    if !(1..=MAX_TIMEOUT).contains(&tool.timeout_seconds) {
        return Err(invalid("/timeout_seconds", format!("must be 1 to {MAX_TIMEOUT}")));
    }
    if !(MIN_RESULT..=MAX_RESULT).contains(&tool.max_result_bytes) {
        return Err(invalid("/max_result_bytes", format!("must be {MIN_RESULT} to {MAX_RESULT}")));
    }
    let pointer = &tool.result_pointer;
    if !(pointer.is_empty() || pointer.starts_with('/')) || pointer.len() > MAX_POINTER {
        let rule = format!("must be empty, or begin with `/` and have at most {MAX_POINTER} bytes");
        return Err(invalid("/result_pointer", rule));
    }
    Ok(())
}

fn check_address(tool: &HttpTool, guard: &Guard) -> Result<(), Error> {
    let admitted = guard.admit(tool.url.base()).map_err(|refusal| invalid("/url", refusal.to_string()))?;
    if !admitted.keeps_secrets() {
        return Err(invalid("/url", "must begin with https://".to_owned()));
    }
    let schema = &tool.input_schema;
    let is_property = |name: &&str| schema["properties"].get(*name).is_some();
    if let Some(name) = tool.url.parameters().find(|name| !is_property(name)) {
        return Err(invalid(
            "/url",
            format!("has the parameter `{name}`, which is no property of input_schema"),
        ));
    }
    let is_required =
        |name: &&str| schema["required"].as_array().is_some_and(|all| all.iter().any(|other| other == name));
    match tool.url.path_parameters().find(|name| !is_required(name)) {
        Some(name) => {
            let rule = format!("has the parameter `{name}` in its path, which input_schema must require");
            Err(invalid("/url", rule))
        }
        None => Ok(()),
    }
}

fn invalid(pointer: &str, rule: String) -> Error {
    Error::Invalid { pointer: pointer.to_owned(), rule }
}
