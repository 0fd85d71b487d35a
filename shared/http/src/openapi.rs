//! What all functions' OpenAPI documents share, and how they become one.
//!
//! Handlers are annotated with `#[utoipa::path(...)]` and name [`Problems`] among their responses; the crate of each
//! function exposes `openapi()`, made with its router; `functions/openapi` merges them and serves the result.

use std::collections::BTreeMap;

use sequent_core::{
    ApiKeyId, ArtifactId, JobId, MessageId, ProjectId, RunId, SessionId, TenantId, Timestamp, UserId,
};
use utoipa::openapi::{
    Components, ComponentsBuilder, Content, Info, ObjectBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr,
    ResponseBuilder,
    header::HeaderBuilder,
    schema::{AdditionalProperties, ArrayBuilder, Schema, SchemaType, Type},
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use crate::{credential::ACCESS_COOKIE, problem::MEDIA_TYPE};

/// The failures any route can answer with; for the `responses(...)` of `#[utoipa::path]`.
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
        .info(Info::new("Sequent", env!("CARGO_PKG_VERSION")))
        .paths(Paths::new())
        .components(Some(components()))
        .security(Some(vec![
            SecurityRequirement::new("bearer", Vec::<String>::new()),
            SecurityRequirement::new("apiKey", Vec::<String>::new()),
            SecurityRequirement::new("cookie", Vec::<String>::new()),
        ]))
        .build()
}

/// One document out of those of the functions.
#[must_use]
pub fn merge(documents: impl IntoIterator<Item = OpenApi>) -> OpenApi {
    documents.into_iter().fold(base(), |all, document| all.merge_from(document))
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
        .security_scheme("apiKey", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("x-api-key"))))
        .security_scheme(
            "adminKey",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                "x-admin-key",
                "The key of whoever operates the deployment; a few routes take it.",
            ))),
        )
        .security_scheme(
            "cookie",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(ACCESS_COOKIE, cookie))),
        )
        .schema("Problem", problem())
        .schema("FieldError", field_error())
        .response("Problem", response("The request failed; `code` says why."))
        .response(
            "Unauthenticated",
            response("There is no valid credential.").header("WWW-Authenticate", string("The challenge.")),
        )
        .response(
            "RateLimited",
            response("Too many requests.").header("Retry-After", string("Seconds until the next try.")),
        )
        .build()
}

/// Types of the vocabulary. `utoipa` collects the schemas of bodies by itself, but not those of parameters.
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
        .header("X-Request-Id", string("Names this request in our logs."))
}

fn string(description: &str) -> utoipa::openapi::Header {
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new().schema(Some(Schema::Object(schema))).description(Some(description)).build()
}

fn property(of: impl Into<SchemaType>, description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(of).description(Some(description))
}

fn problem() -> Schema {
    let errors = ArrayBuilder::new()
        .items(Ref::from_schema_name("FieldError"))
        .description(Some("What is wrong with the input, and where."));
    let object = ObjectBuilder::new()
        .description(Some(
            "Problem details (RFC 9457). Some codes add members of their own, such as `run_id`.",
        ))
        .property("type", property(Type::String, "URI of the kind of problem; says the same as `code`."))
        .property("title", property(Type::String, "The status in words."))
        .property("status", property(Type::Integer, "The HTTP status."))
        .property("code", property(Type::String, "Stable name of the kind of problem, to match on."))
        .property("detail", property(Type::String, "What happened, for people."))
        .property("instance", property(Type::String, "The request id."))
        .property("errors", errors)
        .required("type")
        .required("title")
        .required("status")
        .required("code")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)));
    Schema::Object(object.build())
}

fn field_error() -> Schema {
    let object = ObjectBuilder::new()
        .property("pointer", property(Type::String, "JSON pointer into the body, as a URI fragment."))
        .property("parameter", property(Type::String, "Name of a query or path parameter."))
        .property("detail", property(Type::String, "What is wrong there."))
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
