//! The tool `save_artifact`, with which an agent stores a text as an artifact.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use schemars::JsonSchema;
use sequent_core::Scope;
use sequent_tool::{Call, Effect, Error as ToolError, Handler, Output, Tool, ToolKind, schema};
use serde::Deserialize;
use serde_json::json;

use crate::{Artifacts, Description, Error, Origin, derived_id};

/// The scope that the caller of a run needs for the run to store artifacts.
pub const SCOPE: Scope = Scope::ArtifactsWrite;
/// Longest text in bytes, far above the output limits of models.
const LONGEST: usize = 1 << 20;

/// Makes the tool `save_artifact`.
#[must_use]
pub fn tool(artifacts: &Artifacts) -> Tool {
    let description = "Stores a text for the user as a file beside your answer: a report, a table, a page. Do not \
                       repeat the text in the answer.";
    Tool {
        // The artifact's id is derived from the call.
        idempotent: true,
        scope: Some(SCOPE),
        ..Tool::new(
            "save_artifact",
            description,
            schema::of::<Arguments>(),
            ToolKind::Runs(Arc::new(Save(artifacts.clone()))),
        )
    }
}

struct Save(Artifacts);

#[derive(Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Arguments {
    /// The title, in one line.
    #[schemars(length(min = 1, max = 200))]
    title: String,
    /// The whole text of the file.
    #[schemars(length(min = 1, max = LONGEST))]
    content: String,
    /// Media type of the text, such as text/markdown (the default), text/html, text/csv or application/json.
    #[serde(default)]
    #[schemars(with = "String", length(max = 100))]
    media_type: Option<String>,
    /// Kind of content, such as report, table or file (the default).
    #[serde(default)]
    #[schemars(with = "String", regex(pattern = "^[a-z0-9_.:-]{1,64}$"))]
    entity_type: Option<String>,
    /// Words to find the file by.
    #[serde(default)]
    #[schemars(length(max = 10), inner(regex(pattern = "^[a-z0-9_.:-]{1,64}$")))]
    tags: Vec<String>,
}

impl Handler for Save {
    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Output, ToolError>> {
        self.save(call).boxed()
    }
}

impl Save {
    async fn save(&self, mut call: Call<'_>) -> Result<Output, ToolError> {
        let Arguments { title, content, media_type, entity_type, tags } = call.parse()?;
        if content.len() > LONGEST {
            return Err(ToolError::Refused(format!("The content has more than {LONGEST} bytes.")));
        }
        let description = Description {
            title,
            entity_type: entity_type.unwrap_or_else(|| "file".to_owned()),
            tags,
            media_type: media_type.unwrap_or_else(|| "text/markdown".to_owned()),
        };
        let id = derived_id(call.run, &call.idempotency_key);
        let origin = Origin { run: Some(call.run), tool_call: Some(call.id.to_owned()), ..Origin::default() };
        let artifact =
            self.0.save(call.tenant, id, description, origin, content.into()).await.map_err(tool_error)?;
        let content = json!({"artifact_id": artifact.id, "sha256": artifact.sha256, "size": artifact.size});
        Ok(Output { content: content.to_string(), effects: vec![Effect::Saved(artifact.event())] })
    }
}

/// Explains a failure to the model.
fn tool_error(error: Error) -> ToolError {
    match error {
        Error::Description(invalid) => ToolError::Refused(format!("The {invalid}.")),
        Error::StorageLimit { .. } => {
            ToolError::Refused("The user's storage is full. Nothing was stored.".to_owned())
        }
        Error::Taken => ToolError::Refused("This call has stored another text before.".to_owned()),
        error => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not store the artifact of a tool call"
            );
            ToolError::Unavailable("The artifact could not be stored.".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_have_the_limits_of_artifacts() {
        let name = json!({"type": "string", "pattern": "^[a-z0-9_.:-]{1,64}$"});
        let schema = schema::of::<Arguments>();
        assert_eq!(schema["required"], json!(["title", "content"]));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["title"]["maxLength"], 200);
        assert_eq!(schema["properties"]["entity_type"]["pattern"], name["pattern"]);
        assert_eq!(schema["properties"]["tags"]["items"], name);
        assert_eq!(schema["properties"]["tags"]["maxItems"], 10);
    }
}
