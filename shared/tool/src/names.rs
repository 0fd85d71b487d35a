//! The names of tools: those that models can call, those that a tenant may give, and those that the deployment has.

/// The names of the tools of every deployment. A tool that a deployment adds belongs into this list, so that neither a client
/// nor a tenant can give its name to another tool.
const OF_DEPLOYMENT: [&str; 11] = [
    "ask_user",
    "cite_source",
    "delegate_step",
    "forget",
    "remember",
    "save_artifact",
    "web_fetch",
    "write_plan",
    "write_report",
    "write_slides",
    "write_website",
];

/// The names of the tools by which a run writes its plan and its document. It cannot do without them.
const OF_RUNS: [&str; 5] = ["delegate_step", "write_plan", "write_report", "write_slides", "write_website"];

/// Returns `true` if a tenant can have a rule for the calls of a tool with this name.
#[must_use]
pub fn can_have_rule(name: &str) -> bool {
    is_tool_name(name) && !OF_RUNS.contains(&name)
}

/// Returns `true` if the known model providers accept the name.
#[must_use]
pub fn is_tool_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (1..=64).contains(&name.len()) && name.chars().all(plain)
}

/// Returns `true` if the name has the form of the name of a client's or a tenant's tool. Two underscores join the name of an MCP
/// server and that of its tool.
#[must_use]
pub fn is_own_name(name: &str) -> bool {
    is_tool_name(name) && !name.contains("__")
}

/// Returns `true` if a tool of the deployment has the name.
#[must_use]
pub fn is_of_deployment(name: &str) -> bool {
    OF_DEPLOYMENT.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Guard;

    #[test]
    fn the_built_in_tools_have_names_of_the_deployment() {
        for tool in crate::built_in(&Guard::default()) {
            assert!(is_of_deployment(&tool.spec.name), "{}", tool.spec.name);
        }
        assert!(!is_of_deployment("get_location"));
    }

    #[test]
    fn tools_of_tenants_and_most_of_the_deployment_can_have_rules() {
        assert!(OF_RUNS.iter().all(|name| is_of_deployment(name) && !can_have_rule(name)));
        assert!(["web_fetch", "ask_user", "notes__search", "refund"].into_iter().all(can_have_rule));
        assert!(!can_have_rule("find order"));
    }

    #[test]
    fn own_names_are_no_names_of_an_mcp_servers_tools() {
        for name in ["a", "get_location", "get-location", &"x".repeat(64)] {
            assert!(is_own_name(name), "{name}");
        }
        for name in ["", "notes__search", "a b", "ä", &"x".repeat(65)] {
            assert!(!is_own_name(name), "{name}");
        }
    }
}
