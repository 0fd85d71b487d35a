//! Parts of a request that a server has refused, and that are left out when the request is repeated.
//!
//! Servers of one protocol accept different parameters, and even a parameter that a model has may refuse a value: reasoning
//! models take no temperature, and none takes a forced call while it reasons. Which it is cannot be known before.

use super::{Protocol, schema::refused_tool};
use crate::{Part, Request};

/// A part of a request without which an answer is still useful.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Parameter {
    Temperature,
    TopP,
    Stop,
    Seed,
    ForcedCall,
    /// The reasoning and the data that the model gets back.
    Reasoning,
    ReasoningEffort,
    CachePoints,
    /// The mode in which the answer is JSON.
    OutputFormat,
    /// The request for usage in the stream.
    StreamOptions,
    /// The usual name of the output's limit. The other name is sent in its place.
    LimitName,
    /// The parts of the tools' schemas that not every server takes. Plain schemas are sent in their place.
    ToolSchemas,
}

impl Parameter {
    /// All parameters, in the order in which an error that names several is understood.
    const ALL: [Self; 12] = [
        Self::ToolSchemas,
        Self::Temperature,
        Self::TopP,
        Self::Stop,
        Self::Seed,
        Self::ForcedCall,
        Self::CachePoints,
        Self::OutputFormat,
        Self::StreamOptions,
        Self::LimitName,
        Self::Reasoning,
        Self::ReasoningEffort,
    ];

    /// Words and phrases of an error that name the parameter.
    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::ToolSchemas => &[
                "input_schema",
                "inputschema",
                "function_declarations",
                "invalid_function_parameters",
                "schema for function",
                "schema for tool",
                "function.parameters",
                "tool schema",
                "tool parameter",
                "schema conversion",
            ],
            Self::Temperature => &["temperature"],
            Self::TopP => &["top_p", "topp"],
            Self::Stop => &["stop", "stop_sequences", "stopsequences"],
            Self::Seed => &["seed"],
            Self::ForcedCall => &["tool_choice", "toolchoice"],
            Self::CachePoints => &["cache_control", "cachepoint", "caching"],
            Self::OutputFormat => {
                &["response_format", "json_schema", "output_format", "additionalproperties"]
            }
            Self::StreamOptions => &["stream_options", "include_usage"],
            Self::LimitName => &["max_tokens", "max_completion_tokens"],
            Self::Reasoning => &[
                "signature",
                "reasoning_content",
                "reasoning_details",
                "reasoning",
                "thinking_blocks",
                "extra_content",
                "provider_specific_fields",
            ],
            Self::ReasoningEffort => &[
                "reasoning_effort",
                "effort",
                "thinking",
                "budget_tokens",
                "reasoningconfig",
                "maxreasoningeffort",
            ],
        }
    }

    /// Words of an error that may mean the parameter, if the error names none.
    const fn hints(self) -> &'static [&'static str] {
        match self {
            Self::OutputFormat => &["output_config", "grammar", "schema"],
            Self::ReasoningEffort => &["output_config"],
            _ => &[],
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ToolSchemas => "tool_schemas",
            _ => self.words()[0],
        }
    }

    /// Returns the value in the request, as text. Returns `None` if the request does not have the parameter.
    pub(crate) fn value(self, protocol: Protocol, request: &Request) -> Option<String> {
        let parameters = &request.parameters;
        let is_openai = protocol == Protocol::OpenAi;
        let present = |is_present: bool| is_present.then(String::new);
        match self {
            Self::Temperature => parameters.temperature.map(|temperature| f64::from(temperature).to_string()),
            Self::TopP => parameters.top_p.map(|top_p| f64::from(top_p).to_string()),
            Self::Stop => (!parameters.stop.is_empty()).then(|| parameters.stop.as_slice().join("\n")),
            Self::Seed => present(parameters.seed.is_some()),
            Self::ForcedCall => present(request.must_call && !request.tools.is_empty()),
            Self::CachePoints => present(!is_openai),
            Self::OutputFormat => request.output_schema.as_ref().map(serde_json::Value::to_string),
            Self::StreamOptions => present(is_openai),
            Self::LimitName => present(is_openai && request.max_output_tokens.is_some()),
            Self::ToolSchemas => present(!request.tools.is_empty()),
            Self::Reasoning => {
                present(request.messages.iter().flat_map(|message| &message.parts).any(goes_back))
            }
            Self::ReasoningEffort => parameters.reasoning_effort.map(|effort| effort.as_str().to_owned()),
        }
    }
}

fn goes_back(part: &Part) -> bool {
    match part {
        Part::Reasoning(_) => true,
        Part::ToolCall(call) => call.origin.is_some(),
        _ => false,
    }
}

/// The parameters that are left out of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Omitted {
    /// The server has refused them.
    refused: Vec<Parameter>,
    /// Those of `refused` that the server has refused because of what is in the conversation.
    of_conversation: Vec<Parameter>,
    /// The names of the tools that the server has refused.
    tools: Vec<String>,
    /// The operator says of them whether the model takes them.
    stated: Vec<(Parameter, bool)>,
}

impl Omitted {
    /// The parameters that the server has refused.
    pub(crate) fn refused(parameters: impl IntoIterator<Item = Parameter>) -> Self {
        Self { refused: parameters.into_iter().collect(), ..Self::default() }
    }

    /// Adds the parameters of which the operator says whether the model takes them.
    pub(crate) fn with_stated(self, stated: impl IntoIterator<Item = (Parameter, bool)>) -> Self {
        Self { stated: stated.into_iter().collect(), ..self }
    }

    /// Returns `true` if the parameter is left out.
    pub(crate) fn has(&self, parameter: Parameter) -> bool {
        self.has_refused(parameter) || self.stated.contains(&(parameter, false))
    }

    /// Returns `true` if the parameter is sent to a model of which its name tells, or does not tell, that it takes the
    /// parameter. The operator knows better than the name.
    pub(crate) fn sends(&self, parameter: Parameter, by_name: bool) -> bool {
        !self.has(parameter) && (by_name || self.stated.contains(&(parameter, true)))
    }

    /// Returns `true` if the server has refused the parameter.
    pub(crate) fn has_refused(&self, parameter: Parameter) -> bool {
        self.refused.contains(&parameter)
    }

    /// Returns `true` if the server will refuse the parameter of other conversations, too.
    pub(crate) fn has_refused_always(&self, parameter: Parameter) -> bool {
        self.has_refused(parameter) && !self.of_conversation.contains(&parameter)
    }

    /// Returns `true` if the server has refused the tool.
    pub(crate) fn has_refused_tool(&self, name: &str) -> bool {
        self.tools.iter().any(|refused| refused == name)
    }

    /// Leaves out the tool that the error names, if the server has refused even a plain schema. Returns its name.
    pub(crate) fn refuse_tool(&mut self, error: &str, request: &Request) -> Option<&str> {
        if !self.has_refused(Parameter::ToolSchemas) {
            return None;
        }
        let tool = refused_tool(error, request, self)?;
        self.tools.push(tool);
        self.tools.last().map(String::as_str)
    }

    /// Leaves out the parameter that the error names. Returns `None` if it names none that was sent.
    pub(crate) fn refuse(&mut self, error: &str, protocol: Protocol, request: &Request) -> Option<Parameter> {
        let error = error.to_ascii_lowercase();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words: Vec<&str> = error.split(|c: char| !is_word(c)).collect();
        let is_sent = |parameter: Parameter| {
            let is_left = parameter != Parameter::LimitName || says_unknown(&error);
            is_left && !self.has(parameter) && parameter.value(protocol, request).is_some()
        };
        let has = |name: &&str| words.contains(name) || (!name.chars().all(is_word) && error.contains(*name));
        let named = |names: fn(Parameter) -> &'static [&'static str]| {
            let mut all = Parameter::ALL.into_iter();
            all.find(|parameter| names(*parameter).iter().any(&has) && is_sent(*parameter))
        };
        // A schema that the error does not describe further is that of a tool, if none of the answer was sent.
        let is_of_schema = ["schema", "schemas", "grammar"].iter().any(|word| words.contains(word));
        let unnamed = || Some(Parameter::ToolSchemas).filter(|tools| is_of_schema && is_sent(*tools));
        let refused = named(Parameter::words).or_else(|| named(Parameter::hints)).or_else(unnamed)?;
        if self.is_of_conversation(refused, &error) {
            self.of_conversation.push(refused);
        }
        self.refused.push(refused);
        Some(refused)
    }

    /// Returns `true` if another conversation may have the parameter. A model that reasons refuses turns that do not begin with
    /// its reasoning, which is so after another model has answered or after a summary.
    fn is_of_conversation(&self, parameter: Parameter, error: &str) -> bool {
        let names_message = ["messages.", "messages["].iter().any(|place| error.contains(place));
        match parameter {
            Parameter::Reasoning => true,
            Parameter::ReasoningEffort => names_message || self.has_refused(Parameter::Reasoning),
            _ => false,
        }
    }
}

/// Returns `true` if an error says that the server does not have a parameter. Otherwise, the error is about its value.
fn says_unknown(error: &str) -> bool {
    const PHRASES: [&str; 9] = [
        "unsupported",
        "not support",
        "unrecognized",
        "unknown",
        "unexpected",
        "extra_forbidden",
        "not permitted",
        "not allowed",
        "instead",
    ];
    PHRASES.iter().any(|phrase| error.contains(phrase))
}

/// All parameters that a request has.
pub(crate) fn sent(protocol: Protocol, request: &Request) -> impl Iterator<Item = (Parameter, String)> {
    Parameter::ALL
        .into_iter()
        .filter_map(move |parameter| Some((parameter, parameter.value(protocol, request)?)))
}

#[cfg(test)]
mod tests;
