//! The query of list routes.

use serde::Deserialize;
use utoipa::IntoParams;

/// Which page of a list. A list with filters of its own repeats the two fields beside them.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Most items of the page; 50 if not given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    pub limit: Option<Limit>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// How many items a page may have: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct Limit(u32);

impl Limit {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Limit {
    type Error = &'static str;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        (1..=100).contains(&number).then_some(Self(number)).ok_or("must be 1 to 100")
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::FromRequestParts as _;

    use super::*;
    use crate::{Problem, Query};

    async fn parse(query: &str) -> Result<ListQuery, Problem> {
        let (mut parts, ()) = http::Request::get(format!("/?{query}")).body(()).unwrap().into_parts();
        Query::from_request_parts(&mut parts, &()).await.map(|Query(query)| query)
    }

    #[tokio::test]
    async fn a_limit_is_1_to_100_and_nothing_else_is_taken() {
        assert_eq!(parse("").await.unwrap().limit, None);
        assert_eq!(parse("limit=100&cursor=c").await.unwrap().limit, Some(Limit(100)));
        for query in ["limit=0", "limit=101", "limit=-1", "limit=", "limit=ten", "limit=1&limit=2", "page=2"]
        {
            assert_eq!(parse(query).await.unwrap_err().code(), sequent_core::Code::InvalidQuery, "{query}");
        }
    }
}
