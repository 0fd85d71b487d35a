//! How a route is called, what a stranger must get from that, and that all routes are known.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Access, Belongings, Header, Person,
    document::{Route, routes},
    table::table,
};

/// What a call that names one tenant's belongings must come to when another tenant makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// They are not found.
    Missing,
    /// The cursor is not one of the caller's list.
    BadCursor,
    /// It succeeds, and has to do with nothing but what is the caller's.
    Own,
    /// It is the same whoever asks, and whomever it names.
    Same,
    /// Whether an address has an account is told to who tries to take it; nothing else is.
    Taken,
}

/// One way to call a route.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Option<Value>,
    pub(crate) foreign: Foreign,
}

impl Call {
    /// A call that has to do with the caller alone.
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

/// What the table says of a route, and the document.
pub(crate) struct Entry {
    /// `METHOD /path` as in the document.
    pub(crate) route: &'static str,
    /// Every parameter, and every member of the body, separated by spaces.
    names: &'static str,
    /// Calls with each of those that can name something, the most telling first.
    pub(crate) calls: fn(&Belongings) -> Vec<Call>,
    pub(crate) access: Access,
}

/// An entry of the table. Whether the route asks for a credential the document tells.
pub(super) fn entry(route: &'static str, names: &'static str, calls: fn(&Belongings) -> Vec<Call>) -> Entry {
    Entry { route, names, calls, access: Access::Required }
}

impl Entry {
    pub(crate) fn method(&self) -> &'static str {
        self.route.split_once(' ').unwrap().0
    }
}

/// The table, held against the document that is served: no route and no name may be missing on either side. Reads come
/// first and deletions last, so that an owner can make all calls in this order.
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
