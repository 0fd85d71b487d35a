//! The lists of a server, which come in pages.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::{Failure, link::Link};

/// Time limit for all pages of a list.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_PAGES: usize = 20;

/// A list that a server has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    method: &'static str,
    /// The member of a page with the entries.
    member: &'static str,
    /// Entries that are read at most.
    max: usize,
}

/// The entries that were read of a list.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Listed {
    pub(crate) entries: Vec<Value>,
    /// The reason why there may be more entries.
    pub(crate) incomplete: Option<String>,
    pub(crate) pages: usize,
}

impl List {
    /// The known model providers accept 128 tools at most, and the built-in tools need some of them.
    pub(crate) const TOOLS: Self = Self { method: "tools/list", member: "tools", max: 100 };
    pub(crate) const RESOURCES: Self = Self { method: "resources/list", member: "resources", max: 200 };
    pub(crate) const TEMPLATES: Self =
        Self { method: "resources/templates/list", member: "resourceTemplates", max: 100 };
    pub(crate) const PROMPTS: Self = Self { method: "prompts/list", member: "prompts", max: 200 };
}

impl Link {
    /// Reads a list. If a page cannot be read, the pages before it count.
    pub(crate) async fn list(&self, list: List) -> Result<Listed, Failure> {
        let mut listed = Listed::default();
        let failure = match timeout(TIMEOUT, self.read(list, &mut listed)).await {
            Ok(Ok(())) => return Ok(listed),
            Ok(Err(failure)) => failure,
            Err(_elapsed) => Failure::Unreached(format!(
                "The server did not list its {} in time. Try again later.",
                list.member
            )),
        };
        if listed.pages == 0 {
            return Err(failure);
        }
        listed.incomplete = Some(failure.to_string());
        Ok(listed)
    }

    async fn read(&self, list: List, listed: &mut Listed) -> Result<(), Failure> {
        let mut seen = BTreeSet::new();
        let mut params = json!({});
        while let Some(cursor) = listed.add(list, self.request(list.method, params).await?) {
            if !seen.insert(cursor.clone()) {
                listed.incomplete = Some("The server repeats the cursor of an earlier page.".to_owned());
                break;
            }
            params = json!({"cursor": cursor});
        }
        Ok(())
    }
}

impl Listed {
    /// Adds a page. Returns the cursor of the next one, if there is one to read.
    fn add(&mut self, list: List, page: Value) -> Option<String> {
        self.pages += 1;
        let List { member, max, .. } = list;
        let outcome = self.add_page(member, page);
        if self.entries.len() > max || (self.entries.len() == max && matches!(outcome, Ok(Some(_)))) {
            self.entries.truncate(max);
            self.incomplete = Some(format!("The server lists more than {max} {member}."));
            return None;
        }
        match outcome {
            Ok(Some(_)) if self.pages == MAX_PAGES => {
                self.incomplete = Some(format!("The list has more than {MAX_PAGES} pages."));
                None
            }
            Ok(cursor) => cursor,
            Err(reason) => {
                self.incomplete = Some(reason);
                None
            }
        }
    }

    fn add_page(&mut self, member: &str, page: Value) -> Result<Option<String>, String> {
        let number = self.pages;
        let Value::Object(mut page) = page else { return Err(format!("Page {number} is not an object.")) };
        match page.remove(member) {
            Some(Value::Array(entries)) => self.entries.extend(entries),
            _ => return Err(format!("Page {number} has no list `{member}`.")),
        }
        next_cursor(&page)
    }
}

fn next_cursor(page: &Map<String, Value>) -> Result<Option<String>, String> {
    match page.get("nextCursor") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(cursor)) => Ok(Some(cursor.clone()).filter(|cursor| !cursor.is_empty())),
        Some(_) => Err("The cursor of the next page is not a text.".to_owned()),
    }
}
