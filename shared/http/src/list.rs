//! Lists: the query of a list route, and the page it answers with.

use std::borrow::Cow;

use sequent_tables::{CursorKey, InvalidCursor, Page, PageRequest, key::Partition};
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, Ref, RefOr,
        schema::{ArrayBuilder, Schema, SchemaType, Type},
    },
};

/// The query of a list route. A list with filters repeats the two fields beside them.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Maximum number of items; 50 if not given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    pub limit: Option<Limit>,
    /// `next_cursor` of the previous page.
    pub cursor: Option<String>,
}

impl ListQuery {
    /// The request for this page of a list, newest first.
    ///
    /// # Errors
    /// [`InvalidCursor`] if the cursor is not one of this list.
    pub fn page_of(&self, partition: Partition, key: &CursorKey) -> Result<PageRequest, InvalidCursor> {
        let request = PageRequest::new(partition).limit(self.limit.map(Limit::get));
        request.cursor(key, self.cursor.as_deref())
    }
}

/// The maximum number of items of a page: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct Limit(u32);

impl Limit {
    /// Returns the limit as a number.
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

/// One page of a list as it is sent: `{ "items": [..], "next_cursor": ".." }`.
///
/// A route names its page with an alias, `type RunList = ListResponse<Run>;`, which is also the name of the schema.
#[derive(Debug, Clone, Serialize)]
pub struct ListResponse<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl<T> ListResponse<T> {
    /// The page with the cursor of the next one.
    #[must_use]
    pub fn new(page: Page<T>, key: &CursorKey) -> Self {
        Self { next_cursor: page.next_cursor(key), items: page.items }
    }

    /// A page of a list that another service keeps.
    #[must_use]
    pub fn from_parts(items: Vec<T>, next_cursor: Option<String>) -> Self {
        Self { items, next_cursor }
    }
}

impl<T: ToSchema> PartialSchema for ListResponse<T> {
    fn schema() -> RefOr<Schema> {
        let cursor = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("The start of the next page; null at the end of the list."));
        let object = ObjectBuilder::new()
            .description(Some("One page of a list."))
            .property("items", ArrayBuilder::new().items(Ref::from_schema_name(T::name())))
            .property("next_cursor", cursor)
            .required("items")
            .required("next_cursor");
        object.into()
    }
}

impl<T: ToSchema> ToSchema for ListResponse<T> {
    fn name() -> Cow<'static, str> {
        Cow::Owned(format!("{}List", T::name()))
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::FromRequestParts as _;
    use sequent_core::{Code, RunId};

    use super::*;
    use crate::{Problem, Query};

    async fn parse(query: &str) -> Result<ListQuery, Problem> {
        let (mut parts, ()) = http::Request::get(format!("/?{query}")).body(()).unwrap().into_parts();
        Query::from_request_parts(&mut parts, &()).await.map(|Query(query)| query)
    }

    #[tokio::test]
    async fn a_limit_is_1_to_100_and_unknown_parameters_are_refused() {
        assert_eq!(parse("").await.unwrap().limit, None);
        assert_eq!(parse("limit=100&cursor=c").await.unwrap().limit, Some(Limit(100)));
        for query in ["limit=0", "limit=101", "limit=-1", "limit=", "limit=ten", "limit=1&limit=2", "page=2"]
        {
            assert_eq!(parse(query).await.unwrap_err().code(), Code::InvalidQuery, "{query}");
        }
    }

    #[test]
    fn the_schema_is_named_for_its_items() {
        assert_eq!(ListResponse::<RunId>::name(), "RunIdList");
        let mut schemas = Vec::new();
        ListResponse::<RunId>::schemas(&mut schemas);
        assert_eq!(schemas[0].0, "RunId");
    }
}
