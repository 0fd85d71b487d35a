//! The report on what roles allow and no test uses. A permission may stay if a comment in the block of its resource in the
//! template says `No test uses ACTION` and why.

use std::collections::BTreeMap;
use std::path::Path;

use super::policy::Permission;
use super::roles::Roles;
use super::{Error, used};
use crate::template::Template;

/// Unused permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Number of permissions of the template.
    pub allowed: usize,
    /// Neither used nor explained.
    pub unused: Vec<Permission>,
    /// Not used, and explained in the template.
    pub explained: Vec<Permission>,
    /// Explained although used, or not in the template: the comment is wrong. As `OWNER ACTION`.
    pub outdated: Vec<String>,
}

/// Compares the roles of the template with the notes in the folder.
///
/// # Errors
/// If the template is not understood or the folder cannot be read.
pub fn report(path: &Path, folder: &Path) -> Result<Report, Box<dyn std::error::Error + Send + Sync>> {
    let text = std::fs::read_to_string(path)?;
    let local = [("Local", "true"), ("Stage", "dev"), ("AWS::StackName", "sequent-dev")];
    let local = local.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let template = Template::parse(&text, &BTreeMap::from(local))?;
    let permissions = permissions(&template)?;
    Ok(compare(permissions, &used::read(folder)?.into_iter().collect::<Vec<_>>(), &text))
}

fn permissions(template: &Template) -> Result<Vec<Permission>, Error> {
    Ok(Roles::imagined(template)?.permissions())
}

fn compare(permissions: Vec<Permission>, used: &[Permission], template: &str) -> Report {
    let explanations = explanations(template);
    let is_explained = |permission: &Permission| {
        explanations.iter().any(|(owner, action)| *owner == permission.owner && *action == permission.action)
    };
    let allowed = permissions.len();
    let unused = permissions.into_iter().filter(|permission| !used.contains(permission));
    let (explained, unused): (Vec<_>, Vec<_>) = unused.partition(is_explained);
    let applies = |(owner, action): &&(String, String)| {
        explained.iter().any(|permission| permission.owner == *owner && permission.action == *action)
    };
    let outdated = explanations.iter().filter(|explanation| !applies(explanation));
    let outdated = outdated.map(|(owner, action)| format!("{owner} {action}")).collect();
    Report { allowed, unused, explained, outdated }
}

/// Finds the comments `No test uses ACTION` and the resource to which each belongs.
fn explanations(template: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut owner = "";
    for line in template.lines() {
        let name = line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '#']));
        if let Some((name, _)) = name.and_then(|rest| rest.split_once(':')) {
            owner = name;
        }
        if let Some((_, rest)) = line.split_once("# No test uses ") {
            let action = rest.split_whitespace().next().unwrap_or_default().trim_end_matches([':', '.', ',']);
            found.push((owner.to_owned(), action.to_owned()));
        }
    }
    found
}

impl Report {
    /// Returns `true` if there is nothing to remove or to explain.
    pub fn is_clean(&self) -> bool {
        self.unused.is_empty() && self.outdated.is_empty()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut list = |title: &str, permissions: &[Permission]| -> std::fmt::Result {
            writeln!(f, "{title}: {}", permissions.len())?;
            permissions.iter().try_for_each(|Permission { owner, action, resource }| {
                writeln!(f, "  {owner}  {action}  {resource}")
            })
        };
        list("unused and explained in the template", &self.explained)?;
        list(
            "unused: remove it, or explain it by `# No test uses ACTION: ...` above its statement",
            &self.unused,
        )?;
        writeln!(f, "explanations of what is used or does not exist: {}", self.outdated.len())?;
        self.outdated.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        write!(f, "{} permissions", self.allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(owner: &str, action: &str) -> Permission {
        Permission {
            owner: owner.to_owned(),
            action: action.to_owned(),
            resource: "MainTable.Arn".to_owned(),
        }
    }

    #[test]
    fn an_unused_permission_is_listed_unless_a_comment_explains_it() {
        let template = "Resources:\n  AuthFunction:\n    # No test uses dynamodb:Scan: it needs a full table.\n  \
                        RunsFunction:\n    Type: x\n    # No test uses dynamodb:GetItem.\n";
        let all = ["dynamodb:GetItem", "dynamodb:Scan"];
        let all = ["AuthFunction", "RunsFunction"].map(|owner| all.map(|action| permission(owner, action)));
        let used =
            [permission("RunsFunction", "dynamodb:GetItem"), permission("AuthFunction", "dynamodb:GetItem")];
        let report = compare(all.concat(), &used, template);
        assert_eq!(report.unused, [permission("RunsFunction", "dynamodb:Scan")]);
        assert_eq!(report.explained, [permission("AuthFunction", "dynamodb:Scan")]);
        assert_eq!(report.outdated, ["RunsFunction dynamodb:GetItem"]);
        assert!(!report.is_clean());
    }
}
