//! The tools that a run may call, and those that a request offers to the model.

use sequent_deliverables::{tool_name, wanted};
use sequent_documents::DocumentKind;
use sequent_event::{Orchestration, State};
use sequent_model::ToolSpec;
use sequent_tool::{Tool, client_tool};

use crate::{execution::Execution, next::Purpose, planning};

/// The tools that a request for this purpose offers.
pub(crate) fn tools(execution: &Execution<'_>, purpose: Purpose) -> Vec<ToolSpec> {
    match purpose {
        Purpose::Plan => vec![planning::spec()],
        Purpose::Conclude | Purpose::Deliver(_) => deliverable_tool(execution).into_iter().collect(),
        Purpose::Answer => answering_tools(execution),
        // The document is written when all steps are done.
        Purpose::Step => research_tools(execution).into_iter().chain([planning::spec()]).collect(),
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

/// The names of the tools that the run may call.
pub(crate) fn allowed(execution: &Execution<'_>) -> Vec<String> {
    let mut names: Vec<String> = answering_tools(execution).into_iter().map(|spec| spec.name).collect();
    names.extend(execution.state.configuration.client_tools.iter().map(|tool| tool.name.clone()));
    if execution.state.configuration.orchestration == Orchestration::Plan {
        names.push(planning::NAME.to_owned());
    }
    names
}

fn answering_tools(execution: &Execution<'_>) -> Vec<ToolSpec> {
    research_tools(execution).into_iter().chain(deliverable_tool(execution)).collect()
}

/// The tools that the deployment, the run's request and its scopes allow, without those of the client and those that deliver
/// a document. A child run cannot ask people, so it gets no tool that does.
fn research_tools(execution: &Execution<'_>) -> Vec<ToolSpec> {
    let configuration = &execution.state.configuration;
    let is_child = execution.state.parent.is_some();
    let mut specs = execution.tools.specs(configuration.tools.as_deref());
    specs.retain(|spec| {
        let delivers = DocumentKind::ALL.into_iter().any(|kind| tool_name(kind) == spec.name);
        execution.tools.get(&spec.name).is_some_and(|tool| {
            let has_scope = tool.scope.is_none_or(|scope| configuration.has_scope(scope));
            let is_for_others = delivers || tool.is_of_client() || (is_child && asks_people(tool));
            has_scope && !is_for_others
        })
    });
    specs
}

fn asks_people(tool: &Tool) -> bool {
    tool.asks() || tool.needs_approval
}

/// The tool that writes the document which the run has to deliver.
fn deliverable_tool(execution: &Execution<'_>) -> Option<ToolSpec> {
    let tool = execution.tools.get(tool_name(wanted(&execution.state)?))?;
    let has_scope = tool.scope.is_none_or(|scope| execution.state.configuration.has_scope(scope));
    has_scope.then(|| tool.spec.clone())
}
