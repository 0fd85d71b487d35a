//! `extract_entities`: the job that collects the people, organizations and other entities that a report
//! names.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use schemars::JsonSchema;
use sequent_artifacts::{Artifacts, ENTITY_TYPES as TYPES, Entity, Mention};
use sequent_core::{ArtifactId, Timestamp};
use sequent_definitions::{ServicePrompt, ServicePrompts, enclose};
use sequent_documents::Document;
use sequent_event::{Body, Budget};
use sequent_jobs::{Context, Done, Failed, JobKind};
use sequent_model::{Client, ToolSpec};
use sequent_tables::{Row, Transaction, Write, key};
use sequent_tool::schema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ask::{DataRequest, ask},
    read,
};

/// Time limit for all requests to the model.
const TIME: Duration = Duration::from_secs(240);
/// Bytes of the report that the model reads at most.
const MAX_MATERIAL: usize = 100_000;
/// Entities of a report at most. Their rows are written in one transaction with the end of the job, and a
/// transaction has at most 100 writes (DynamoDB, `TransactWriteItems`).
const MAX_ENTITIES: usize = 80;
/// Characters of a name at most.
const MAX_NAME: usize = 200;

/// The job kind `extract_entities`.
#[derive(Debug, Clone)]
pub struct ExtractEntities {
    artifacts: Artifacts,
    models: Option<Client>,
    prompts: ServicePrompts,
}

/// The input of [`ExtractEntities`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitiesInput {
    /// The artifact with the report.
    pub artifact_id: ArtifactId,
    /// The model that reads the report. The default is the deployment's model.
    pub model: Option<String>,
    /// Limits of the model calls of all attempts.
    #[serde(default, skip_serializing_if = "Budget::is_unlimited")]
    pub budget: Budget,
}

/// The arguments of `record_entities`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, extend("examples" = [{"entities": []}]))]
struct EntitiesArguments {
    #[schemars(length(max = MAX_ENTITIES))]
    entities: Vec<Named>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Named {
    #[serde(rename = "type")]
    #[schemars(extend("enum" = TYPES))]
    entity_type: String,
    #[schemars(length(min = 1, max = MAX_NAME))]
    name: String,
}

impl ExtractEntities {
    /// Creates the job kind for reports in `artifacts`. `models` reads them, as one of the `prompts` says.
    #[must_use]
    pub fn new(artifacts: Artifacts, models: Option<Client>, prompts: ServicePrompts) -> Self {
        Self { artifacts, models, prompts }
    }
}

impl JobKind for ExtractEntities {
    const TYPE: &'static str = "extract_entities";
    const TIMEOUT: Duration = Duration::from_secs(300);
    type Input = EntitiesInput;

    fn key(input: &Self::Input) -> Option<String> {
        Some(input.artifact_id.to_string())
    }

    async fn run(&self, input: Self::Input, context: Context) -> Result<Done, Failed> {
        context.progress.report(5, "Reading the report.");
        let Document::Report(report) = read(&self.artifacts, context.tenant, input.artifact_id).await? else {
            return Err(Failed::Poison("The document is not a report.".to_owned()));
        };
        let text = report.plain();
        let material = &text[..text.floor_char_boundary(MAX_MATERIAL)];
        let values = [("types", TYPES.join(", ").into()), ("max_entities", MAX_ENTITIES.into())];
        let prompt = ServicePrompt::Entities;
        let instructions = self.prompts.instructions(context.tenant, prompt, values, Timestamp::now());
        let instructions = Box::pin(instructions).await.map_err(Failed::retry)?;
        let data_request = DataRequest {
            model: input.model,
            system: instructions.text,
            material: enclose("report", material),
            tool: tool(),
            budget: input.budget,
            time: TIME,
        };
        let named = ask(self.models.as_ref(), &context, data_request, parse).await?;
        let now = Timestamp::now();
        let entities: Vec<Entity> = found(material, named)
            .into_iter()
            .map(|((entity_type, name), mentions)| {
                let mention = Mention { entity_type, name, count: mentions };
                Entity::found(mention, input.artifact_id, context.run, context.job, now)
            })
            .collect();
        let rows = entities.iter().map(|entity| Row::new(&entity.key(context.tenant), entity));
        let rows: Vec<Row> = rows.collect::<Result<_, _>>().map_err(Failed::retry)?;
        let events = entities.iter().filter_map(Entity::event).map(Body::EntityExtracted).collect();
        // Without the report nothing would lead to its entities, and they would outlast it.
        let report = Write::require(&key::artifact(context.tenant, input.artifact_id));
        let writes = move |writes: Transaction| {
            rows.iter().cloned().map(Write::put).chain([report.clone()]).fold(writes, Transaction::write)
        };
        let names: Vec<&str> = entities.iter().map(|entity| entity.name.as_str()).collect();
        let result = format!("{} entities: {}", names.len(), names.join(", "));
        let prompt = Some(instructions.prompt);
        Ok(Done { events, writes: Some(Arc::new(writes)), prompt, ..Done::text(result) })
    }
}

fn tool() -> ToolSpec {
    ToolSpec {
        name: "record_entities".to_owned(),
        description: "Records the entities that the report names.".to_owned(),
        parameters: schema::of::<EntitiesArguments>(),
    }
}

/// The entities in a model's arguments.
fn parse(arguments: Value) -> Result<Vec<Named>, String> {
    let EntitiesArguments { entities } = serde_json::from_value(arguments)
        .map_err(|error| format!("`entities` must be a list of objects with `type` and `name`: {error}."))?;
    match entities.iter().find(|named| !TYPES.contains(&named.entity_type.as_str())) {
        Some(named) => Err(format!("`{}` is not one of {}.", named.entity_type, TYPES.join(", "))),
        None => Ok(entities),
    }
}

/// Returns the entities that the text really names, with their number of mentions, most frequent first.
fn found(text: &str, named: Vec<Named>) -> Vec<((String, String), u32)> {
    let text = text.to_lowercase();
    let mut found = BTreeMap::new();
    for Named { entity_type, name } in named {
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        let mentions = u32::try_from(count(&text, &name.to_lowercase())).unwrap_or(u32::MAX);
        if mentions > 0 && name.chars().count() <= MAX_NAME && !name.chars().any(char::is_control) {
            found.insert((entity_type, name), mentions);
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_key(|(_, mentions)| std::cmp::Reverse(*mentions));
    found.truncate(MAX_ENTITIES);
    found
}

/// Counts the occurrences of `name` in `text` as a separate word.
fn count(text: &str, name: &str) -> usize {
    let is_boundary = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    let is_separate = |(at, _): &(usize, &str)| {
        is_boundary(text[..*at].chars().next_back()) && is_boundary(text[at + name.len()..].chars().next())
    };
    if name.is_empty() { 0 } else { text.match_indices(name).filter(is_separate).count() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_entities_in_the_text_are_found() {
        let named = |names: &[(&str, &str)]| {
            let named =
                names.iter().map(|(of, name)| Named { entity_type: (*of).into(), name: (*name).into() });
            named.collect::<Vec<_>>()
        };
        let text = "Ada Lovelace wrote to Babbage. BABBAGE answered Ada from Köln; Adam did not.";
        let names = named(&[
            ("person", "Babbage"),
            ("person", "Ada"),
            ("person", "Ada  Lovelace"),
            ("place", "köln"),
            ("person", "Turing"),
            ("other", " "),
        ]);
        let found = found(text, names);
        let mentions: Vec<_> = found.iter().map(|((_, name), mentions)| (name.as_str(), *mentions)).collect();
        assert_eq!(mentions, [("Ada", 2), ("Babbage", 2), ("Ada Lovelace", 1), ("köln", 1)]);
    }

    #[test]
    fn the_tool_as_the_model_sees_it() {
        insta::with_settings!({sort_maps => true}, {
            insta::assert_json_snapshot!(tool().parameters, @r#"
            {
              "additionalProperties": false,
              "examples": [
                {
                  "entities": []
                }
              ],
              "properties": {
                "entities": {
                  "items": {
                    "additionalProperties": false,
                    "properties": {
                      "name": {
                        "maxLength": 200,
                        "minLength": 1,
                        "type": "string"
                      },
                      "type": {
                        "enum": [
                          "person",
                          "organization",
                          "place",
                          "product",
                          "event",
                          "work",
                          "other"
                        ],
                        "type": "string"
                      }
                    },
                    "required": [
                      "type",
                      "name"
                    ],
                    "type": "object"
                  },
                  "maxItems": 80,
                  "type": "array"
                }
              },
              "required": [
                "entities"
              ],
              "type": "object"
            }
            "#);
        });
    }

    #[test]
    fn arguments_that_are_not_a_list_of_entities_are_refused() {
        for written in
            [json!({}), json!({"entities": [1]}), json!({"entities": [{"type": "x", "name": "y"}]})]
        {
            assert!(parse(written).is_err());
        }
        assert_eq!(parse(json!({"entities": [{"type": "place", "name": "Köln"}]})).unwrap().len(), 1);
    }
}
