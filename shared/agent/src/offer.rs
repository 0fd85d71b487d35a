//! The tools that a run may call, and those that a request offers to the model.

use sequent_deliverables::{tool_name, wanted};
use sequent_documents::DocumentKind;
use sequent_event::{Orchestration, State};
use sequent_memory::TOOL_NAMES;
use sequent_model::ToolSpec;
use sequent_tool::{Registry, Tool, client_tool};

use crate::{delegates::Delegate, next::Purpose, planning};

/// The tools and agents that the models of a run can be offered.
#[derive(Clone, Copy)]
pub(crate) struct Offering<'a> {
    /// The state of the run.
    pub(crate) state: &'a State,
    /// The tools of the deployment, of the tenant and of the client.
    pub(crate) tools: &'a Registry,
    /// The agents that can carry out steps of a plan.
    pub(crate) agents: &'a [Delegate],
}

impl Offering<'_> {
    /// The tools that a request for this purpose offers.
    pub(crate) fn tools(&self, purpose: Purpose) -> Vec<ToolSpec> {
        let planning = || planning::spec(self.agents);
        match purpose {
            Purpose::Plan => vec![planning()],
            Purpose::Conclude | Purpose::Deliver(_) => self.deliverable_tool().into_iter().collect(),
            Purpose::Answer => self.answering_tools(),
            // The document is written when all steps are done.
            Purpose::Step => self.research_tools().into_iter().chain([planning()]).collect(),
        }
    }

    /// The names of the tools that the run may call.
    pub(crate) fn allowed(&self) -> Vec<String> {
        let configuration = &self.state.configuration;
        let mut names: Vec<String> = self.answering_tools().into_iter().map(|spec| spec.name).collect();
        names.extend(configuration.client_tools.iter().map(|tool| tool.name.clone()));
        if configuration.orchestration == Orchestration::Plan {
            names.push(planning::NAME.to_owned());
        }
        names
    }

    fn answering_tools(&self) -> Vec<ToolSpec> {
        self.research_tools().into_iter().chain(self.deliverable_tool()).collect()
    }

    /// The tools that the deployment, the run's request and its scopes allow, without those of the client and those that
    /// deliver a document. A child run cannot ask people, so it gets no tool that does. Only the run that a person talks to changes
    /// the notes of its agent.
    fn research_tools(&self) -> Vec<ToolSpec> {
        let configuration = &self.state.configuration;
        let is_child = self.state.parent.is_some();
        let keeps_notes = configuration.agent.as_ref().is_some_and(|agent| agent.max_notes.is_some());
        let mut specs = self.tools.specs(configuration.tools.as_deref());
        specs.retain(|spec| {
            let delivers = DocumentKind::ALL.into_iter().any(|kind| tool_name(kind) == spec.name);
            self.tools.get(&spec.name).is_some_and(|tool| {
                let has_scope = tool.scope.is_none_or(|scope| configuration.has_scope(scope));
                let is_for_others = delivers || tool.is_of_client() || (is_child && asks_people(tool));
                let is_of_memory = TOOL_NAMES.contains(&spec.name.as_str());
                has_scope && !is_for_others && (!is_of_memory || (keeps_notes && !is_child))
            })
        });
        specs
    }

    /// The tool that writes the document which the run has to deliver.
    fn deliverable_tool(&self) -> Option<ToolSpec> {
        let tool = self.tools.get(tool_name(wanted(self.state)?))?;
        let has_scope = tool.scope.is_none_or(|scope| self.state.configuration.has_scope(scope));
        has_scope.then(|| tool.spec.clone())
    }
}

/// The tools of the client that a request for this purpose offers. A child run has none.
pub(crate) fn client_tools(state: &State, purpose: Purpose) -> Vec<ToolSpec> {
    let declared = match purpose {
        Purpose::Answer | Purpose::Step => state.configuration.client_tools.as_slice(),
        Purpose::Plan | Purpose::Conclude | Purpose::Deliver(_) => &[],
    };
    declared.iter().map(|tool| client_tool::tool(tool).spec).collect()
}

fn asks_people(tool: &Tool) -> bool {
    tool.asks() || tool.needs_approval
}
