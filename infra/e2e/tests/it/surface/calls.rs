//! The calls of each route, the expected response to a stranger, and a check that all routes are known.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Access, Belongings, Header, Person,
    document::{Route, routes},
    table::table,
};

/// Expected result if another tenant makes a call with one tenant's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// The ids are not found.
    Missing,
    /// There is no such agent.
    NoAgent,
    /// There is no such prompt.
    NoPrompt,
    /// The request is refused, because an object that its body names counts as missing.
    Refused,
    /// The cursor does not belong to the caller's list.
    BadCursor,
    /// The call succeeds and concerns only the caller's own data.
    Own,
    /// The response is the same for every caller.
    Same,
    /// Registration reveals that an address is taken, and nothing else.
    Taken,
}

/// A call of a route.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Option<Value>,
    pub(crate) foreign: Foreign,
}

impl Call {
    /// Returns a call that concerns only the caller.
    pub(crate) fn to(path: impl Into<String>) -> Self {
        Self { path: path.into(), headers: Vec::new(), body: None, foreign: Foreign::Own }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn is(self, foreign: Foreign) -> Self {
        Self { foreign, ..self }
    }
}

/// A route in the table and in the document.
pub(crate) struct Entry {
    /// `METHOD /path` as in the document.
    pub(crate) route: &'static str,
    /// Every parameter and every member of the body, separated by spaces.
    names: &'static str,
    /// Calls with each member that can hold an id, the most important one first.
    pub(crate) calls: fn(&Belongings) -> Vec<Call>,
    pub(crate) access: Access,
}

/// Returns an entry of the table. The document decides whether the route requires a credential.
pub(super) fn entry(route: &'static str, names: &'static str, calls: fn(&Belongings) -> Vec<Call>) -> Entry {
    Entry { route, names, calls, access: Access::Required }
}

impl Entry {
    pub(crate) fn method(&self) -> &'static str {
        self.route.split_once(' ').unwrap().0
    }
}

/// Returns the table after comparing it with the served document: no route and no name may be missing on
/// either side. Reads come first and deletions last, so that an owner can make all calls in this order.
pub(crate) async fn entries(person: &Person) -> Vec<Entry> {
    let mut documented: BTreeMap<String, Route> = routes(&person.get("/api/openapi.json").await)
        .into_iter()
        .map(|route| (route.name.clone(), route))
        .collect();
    let mut entries = table();
    for entry in &mut entries {
        let route = documented.remove(entry.route);
        let route =
            route.unwrap_or_else(|| panic!("{} is not in the document: forget it here too", entry.route));
        let known: BTreeSet<String> = entry.names.split_whitespace().map(str::to_owned).collect();
        assert_eq!(route.names, known, "{}: say here what a stranger gets with each name", entry.route);
        entry.access = route.access;
    }
    assert!(documented.is_empty(), "say here what a stranger gets from {:?}", documented.keys());
    let order =
        |entry: &Entry| ["GET", "POST", "PUT", "PATCH", "DELETE"].iter().position(|m| *m == entry.method());
    entries.sort_by_key(|entry| order(entry).expect("a method that has its place in the order"));
    entries
}
