//! The tool `save_artifact`, with which an agent stores a text as an artifact.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use sequent_tool::{Call, Effect, Error as ToolError, Handler, Output, Tool, ToolKind};
use serde::Deserialize;
use serde_json::json;

use crate::{Artifacts, Description, Error, Origin, derived_id};

/// The scope that the caller of a run needs for the run to store artifacts.
pub const SCOPE: &str = "artifacts:write";
/// Longest text in bytes, far above the output limits of models.
const LONGEST: usize = 1 << 20;

/// Makes the tool.
#[must_use]
pub fn tool(artifacts: &Artifacts) -> Tool {
    let parameters = json!({
        "type": "object",
        "properties": {
            "title": {"type": "string", "minLength": 1, "maxLength": 200, "description": "One line."},
            "content": {"type": "string", "minLength": 1, "maxLength": LONGEST, "description": "The whole text."},
            "media_type": {
                "type": "string", "maxLength": 100,
                "description": "Media type of the text, such as text/markdown (the default), text/html, text/csv or application/json."
            },
            "entity_type": {
                "type": "string", "pattern": "^[a-z0-9_.:-]{1,64}$",
                "description": "Kind of content, such as report, table or file (the default)."
            },
            "tags": {
                "type": "array", "maxItems": 10, "items": {"type": "string", "pattern": "^[a-z0-9_.:-]{1,64}$"},
                "description": "Words to find the file by."
            }
        },
        "required": ["title", "content"],
        "additionalProperties": false
    });
    let description = "Stores a text for the user as a file beside your answer: a report, a table, a page. Do not \
                       repeat the text in the answer.";
    Tool {
        // The artifact's id is derived from the call.
        idempotent: true,
        scope: Some(SCOPE),
        ..Tool::new(
            "save_artifact",
            description,
            parameters,
            ToolKind::Runs(Arc::new(Save(artifacts.clone()))),
        )
    }
}

struct Save(Artifacts);

#[derive(Deserialize)]
struct Arguments {
    title: String,
    content: String,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    entity_type: Option<String>,
    #[serde(default)]
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
