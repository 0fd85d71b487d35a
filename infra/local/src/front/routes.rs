//! The HTTP API's route table. API Gateway chooses the most specific route: a literal segment before a
//! variable, a variable before a greedy one, a method before `ANY`, and `$default` if nothing else matches.

use std::collections::BTreeMap;

use crate::template::{Function, Source};

/// All routes, the most specific first.
#[derive(Debug, Default)]
pub(super) struct Routes(Vec<Route>);

#[derive(Debug)]
struct Route {
    function: String,
    method: String,
    key: String,
    segments: Vec<Segment>,
}

/// A segment of a path. The variants are in the order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Variable(String),
    Greedy(String),
}

/// A route that matched.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Matched<'a> {
    /// Logical id of the function.
    pub(super) function: &'a str,
    /// `METHOD /path` as the template declares it.
    pub(super) key: &'a str,
    /// Values of the variables.
    pub(super) parameters: BTreeMap<String, String>,
}

impl Routes {
    pub(super) fn new(functions: &[Function]) -> Self {
        let mut routes: Vec<_> = functions
            .iter()
            .flat_map(|function| function.sources.iter().map(move |source| (function, source)))
            .filter_map(|(function, source)| match source {
                Source::HttpApi { method, path } => Some(route(&function.logical_id, method, path)),
                Source::Schedule { .. } | Source::Other(_) => None,
            })
            .collect();
        routes.sort_by(|a, b| {
            let rank =
                |route: &Route| (route.segments.iter().map(kind).collect::<Vec<_>>(), route.method == "ANY");
            rank(a).cmp(&rank(b))
        });
        Self(routes)
    }

    /// Finds the route of a request.
    pub(super) fn find(&self, method: &str, path: &str) -> Option<Matched<'_>> {
        self.0.iter().find_map(|route| {
            let method_fits = route.method == "ANY" || route.method == method;
            let parameters = method_fits.then(|| capture(&route.segments, path)).flatten()?;
            Some(Matched { function: &route.function, key: &route.key, parameters })
        })
    }
}

fn route(function: &str, method: &str, path: &str) -> Route {
    if path == "$default" {
        let segments = vec![Segment::Greedy(String::new())];
        return Route {
            function: function.to_owned(),
            method: "ANY".to_owned(),
            key: path.to_owned(),
            segments,
        };
    }
    let segments = path.trim_start_matches('/').split('/').map(|segment| {
        match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => match name.strip_suffix('+') {
                Some(name) => Segment::Greedy(name.to_owned()),
                None => Segment::Variable(name.to_owned()),
            },
            None => Segment::Literal(segment.to_owned()),
        }
    });
    let segments = segments.collect();
    Route {
        function: function.to_owned(),
        method: method.to_owned(),
        key: format!("{method} {path}"),
        segments,
    }
}

/// Returns the rank of a segment. It ignores the text, so that sorting keeps the declared order among equals.
fn kind(segment: &Segment) -> u8 {
    match segment {
        Segment::Literal(_) => 0,
        Segment::Variable(_) => 1,
        Segment::Greedy(_) => 2,
    }
}

/// Returns the values of the variables if the path matches. A trailing slash makes another path.
fn capture(segments: &[Segment], path: &str) -> Option<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    let mut rest = Some(path.strip_prefix('/').unwrap_or(path));
    for segment in segments {
        let text = rest?;
        let (head, tail) = match text.split_once('/') {
            Some((head, tail)) => (head, Some(tail)),
            None => (text, None),
        };
        match segment {
            Segment::Literal(literal) if literal == head => rest = tail,
            Segment::Variable(name) if !head.is_empty() => {
                parameters.insert(name.clone(), head.to_owned());
                rest = tail;
            }
            Segment::Greedy(name) if !text.is_empty() || name.is_empty() => {
                if !name.is_empty() {
                    parameters.insert(name.clone(), text.to_owned());
                }
                return Some(parameters);
            }
            _ => return None,
        }
    }
    rest.is_none().then_some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(declared: &[(&str, &str)]) -> Routes {
        let sources = declared
            .iter()
            .map(|(method, path)| Source::HttpApi { method: (*method).into(), path: (*path).into() });
        Routes::new(&[Function {
            logical_id: "F".into(),
            name: None,
            binary: "f".into(),
            timeout_s: 3,
            memory_mb: 128,
            reserved_concurrency: None,
            url: None,
            sources: sources.collect(),
        }])
    }

    fn key<'a>(routes: &'a Routes, method: &str, path: &str) -> Option<&'a str> {
        routes.find(method, path).map(|matched| matched.key)
    }

    #[test]
    fn the_most_specific_route_wins_in_any_order() {
        let all = [
            ("ANY", "$default"),
            ("ANY", "/api/{proxy+}"),
            ("GET", "/api/pets/{id}"),
            ("ANY", "/api/pets/dog"),
            ("GET", "/api/pets/dog"),
        ];
        let reversed: Vec<_> = all.iter().rev().copied().collect();
        for routes in [routes(&all), routes(&reversed)] {
            assert_eq!(key(&routes, "GET", "/api/pets/dog"), Some("GET /api/pets/dog"));
            assert_eq!(key(&routes, "POST", "/api/pets/dog"), Some("ANY /api/pets/dog"));
            assert_eq!(key(&routes, "GET", "/api/pets/cat"), Some("GET /api/pets/{id}"));
            assert_eq!(key(&routes, "POST", "/api/pets/cat"), Some("ANY /api/{proxy+}"));
            assert_eq!(key(&routes, "GET", "/"), Some("$default"));
        }
    }

    #[test]
    fn variables_are_captured_and_paths_match_exactly() {
        let routes = routes(&[("GET", "/a/{x}/b/{y}"), ("GET", "/g/{rest+}")]);
        let matched = routes.find("GET", "/a/1/b/2").unwrap();
        assert_eq!(matched.parameters, BTreeMap::from([("x".into(), "1".into()), ("y".into(), "2".into())]));
        assert_eq!(routes.find("GET", "/g/1/2/3").unwrap().parameters["rest"], "1/2/3");
        for miss in ["/a/1/b", "/a/1/b/2/", "/a//b/2", "/a/1/b/2/c", "/g/", "/g", "/"] {
            assert_eq!(routes.find("GET", miss), None, "{miss}");
        }
    }
}
