//! The parts that the API descriptions of all functions share, and the merging of them into one document.
//!
//! Handlers are annotated with `#[utoipa::path(...)]` and name [`Problems`] among their responses. The crate of each
//! function exposes `openapi()`, made with its router. One function merges the descriptions and serves the result.

use std::collections::BTreeMap;

use sequent_core::{
    ApiKeyId, ArtifactId, JobId, MessageId, ProjectId, RunId, SessionId, TenantId, Timestamp, UserId,
};
use utoipa::openapi::{
    Components, ComponentsBuilder, Content, Info, InfoBuilder, License, ObjectBuilder, OpenApi,
    OpenApiBuilder, Paths, Ref, RefOr, ResponseBuilder, Server,
    header::HeaderBuilder,
    schema::{AdditionalProperties, ArrayBuilder, Schema, SchemaType, Type},
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    tag::{Tag, TagBuilder},
};

use crate::{credential::ACCESS_COOKIE, problem::MEDIA_TYPE};

/// The failures of any route, for the `responses(...)` of `#[utoipa::path]`.
#[derive(Debug, Clone, Copy)]
pub struct Problems;

impl utoipa::IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        [("401", "Unauthenticated"), ("429", "RateLimited"), ("default", "Problem")]
            .map(|(status, name)| (status.to_owned(), Ref::from_response_name(name).into()))
            .into()
    }
}

/// A document with the shared components and no paths yet. Start a function's `OpenApiRouter` from it:
/// `OpenApiRouter::with_openapi(sequent_http::openapi::base())`.
#[must_use]
pub fn base() -> OpenApi {
    OpenApiBuilder::new()
        .info(info())
        .servers(Some([Server::new("/")]))
        .tags(Some(TAGS.map(tag)))
        .paths(Paths::new())
        .components(Some(components()))
        .security(Some(credentials()))
        .build()
}

/// The name of the security scheme of API keys.
pub(crate) const API_KEY: &str = "apiKey";

/// The credentials of callers, of which any one is accepted.
pub(crate) fn credentials() -> Vec<SecurityRequirement> {
    ["bearer", API_KEY, "cookie"].map(|name| SecurityRequirement::new(name, Vec::<String>::new())).to_vec()
}

/// The groups of operations, in the order of the document.
const TAGS: [(&str, &str); 14] = [
    ("auth", "Accounts, sessions and API keys."),
    ("chat", "Messages that are answered in a stream, and streams that are resumed."),
    ("projects", "Conversations and their messages."),
    ("runs", "Executions of the agent in the background, and their control."),
    ("agents", "Agents and prompts: named definitions in versions, with labels."),
    ("schedules", "Schedules, which start runs at the times that they name."),
    ("evaluations", "Feedback, what is counted of agents, and datasets to compare them with."),
    ("feed", "What has changed for the tenant."),
    ("artifacts", "Files that people upload or runs create, and exports of them."),
    ("jobs", "Background tasks."),
    ("billing", "Credits, plans, invoices and the ledger."),
    (
        "mcp",
        "The Model Context Protocol: this deployment as a server, and servers whose tools the agent may use.",
    ),
    (
        "webhooks",
        "Addresses that events are sent to, what became of each delivery, and addresses that start runs.",
    ),
    ("meta", "The health of the deployment, this document and the catalogue of errors."),
];

fn tag((name, description): (&str, &str)) -> Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}

fn info() -> Info {
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    let description = "The API of a Sequent deployment: a backend for AI agents and chat.\n\n\
        Every answer of the agent is an append-only log of events, so a stream can be resumed at the event where it \
        stopped. A failed request is answered with problem details (RFC 9457), whose `code` is one of the catalogue \
        at `/api/errors`. A write can be repeated safely with the header `Idempotency-Key`. Lists are paged with \
        `limit` and `cursor`.";
    InfoBuilder::new()
        .title("Sequent")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description))
        .license(Some(license))
        .build()
}

/// Merges the descriptions of the functions into one document.
///
/// # Panics
/// If two types have the same schema name.
#[must_use]
pub fn merge(documents: impl IntoIterator<Item = OpenApi>) -> OpenApi {
    documents.into_iter().fold(base(), |merged, document| {
        let collisions = collisions(&merged, &document);
        assert!(collisions.is_empty(), "two types have the same schema name: {collisions:?}");
        merged.merge_from(document)
    })
}

/// The schema names that mean different types in the two documents.
fn collisions(one: &OpenApi, other: &OpenApi) -> Vec<String> {
    let (Some(one), Some(other)) = (&one.components, &other.components) else { return Vec::new() };
    let differs =
        |name: &str, schema: &RefOr<Schema>| one.schemas.get(name).is_some_and(|known| known != schema);
    other
        .schemas
        .iter()
        .filter(|(name, schema)| differs(name, schema))
        .map(|(name, _)| name.clone())
        .collect()
}

fn components() -> Components {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The access token of register, login or refresh."))
        .build();
    let cookie = "Set by register, login and refresh. Writes also need the header X-CSRF-Token.";
    shared_types(ComponentsBuilder::new())
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .security_scheme(
            API_KEY,
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                "x-api-key",
                "A key has the scopes that its creator chose. An operation lists those that a key needs.",
            ))),
        )
        .security_scheme(
            "adminKey",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                "x-admin-key",
                "The key of the operator of the deployment. A few routes accept it.",
            ))),
        )
        .security_scheme(
            "cookie",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(ACCESS_COOKIE, cookie))),
        )
        .schema("Problem", problem_schema())
        .schema("FieldError", field_error_schema())
        .response("Problem", response("The request failed. `code` names the reason."))
        .response(
            "Unauthenticated",
            response("No valid credential was sent.").header("WWW-Authenticate", string("The challenge.")),
        )
        .response(
            "RateLimited",
            response("Too many requests.").header("Retry-After", string("Seconds until the next attempt.")),
        )
        .build()
}

/// Types of the vocabulary. `utoipa` collects the schemas of bodies, but not those of parameters.
fn shared_types(components: ComponentsBuilder) -> ComponentsBuilder {
    components
        .schema_from::<ApiKeyId>()
        .schema_from::<ArtifactId>()
        .schema_from::<JobId>()
        .schema_from::<MessageId>()
        .schema_from::<ProjectId>()
        .schema_from::<RunId>()
        .schema_from::<SessionId>()
        .schema_from::<TenantId>()
        .schema_from::<Timestamp>()
        .schema_from::<UserId>()
}

fn response(description: &str) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(description)
        .content(MEDIA_TYPE, Content::new(Some(Ref::from_schema_name("Problem"))))
        .header("X-Request-Id", string("The id of this request in the logs."))
}

fn string(description: &str) -> utoipa::openapi::Header {
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new().schema(Some(Schema::Object(schema))).description(Some(description)).build()
}

fn property(of: impl Into<SchemaType>, description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(of).description(Some(description))
}

fn problem_schema() -> Schema {
    let errors = ArrayBuilder::new()
        .items(Ref::from_schema_name("FieldError"))
        .description(Some("The parts of the input that are wrong."));
    let object = ObjectBuilder::new()
        .description(Some(
            "Problem details (RFC 9457). Some codes add members of their own, such as `run_id`.",
        ))
        .property("type", property(Type::String, "URI reference of the entry in the catalogue of errors."))
        .property("title", property(Type::String, "The status in words."))
        .property("status", property(Type::Integer, "The HTTP status."))
        .property(
            "code",
            property(
                Type::String,
                "Stable name of the kind of problem, to match on. The catalogue at `/api/errors` lists all.",
            ),
        )
        .property("detail", property(Type::String, "Explanation for people."))
        .property("instance", property(Type::String, "The request id."))
        .property("errors", errors)
        .required("type")
        .required("title")
        .required("status")
        .required("code")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)));
    Schema::Object(object.build())
}

fn field_error_schema() -> Schema {
    let object = ObjectBuilder::new()
        .property("pointer", property(Type::String, "JSON pointer into the body, as a URI fragment."))
        .property("parameter", property(Type::String, "Name of a query or path parameter."))
        .property("detail", property(Type::String, "The mistake."))
        .required("detail");
    Schema::Object(object.build())
}

#[cfg(test)]
mod tests {
    use utoipa::IntoResponses as _;

    use super::*;

    #[test]
    fn the_document_is_3_1_and_every_reference_resolves() {
        let document = serde_json::to_value(base()).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        for response in Problems::responses().values() {
            let pointer = serde_json::to_value(response).unwrap()["$ref"].as_str().unwrap()[1..].to_owned();
            let found = document.pointer(&pointer).unwrap_or_else(|| panic!("{pointer} is missing"));
            let schema = &found["content"][MEDIA_TYPE]["schema"]["$ref"];
            assert!(document.pointer(&schema.as_str().unwrap()[1..]).is_some(), "{schema}");
        }
    }
}
