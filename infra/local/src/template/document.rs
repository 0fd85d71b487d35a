//! Converts YAML with CloudFormation's short tags to the equivalent JSON.

use serde_json::{Map, Value as Json};
use serde_yaml_ng::Value as Yaml;

use super::Error;

/// Parses YAML and rewrites `!Ref`, `!Sub`, `!GetAtt` and the other short tags into their long forms.
pub(super) fn from_yaml(text: &str) -> Result<Json, Error> {
    convert(serde_yaml_ng::from_str(text)?)
}

fn convert(yaml: Yaml) -> Result<Json, Error> {
    Ok(match yaml {
        Yaml::Null => Json::Null,
        Yaml::Bool(b) => Json::Bool(b),
        Yaml::Number(n) => serde_json::to_value(n).map_err(|e| Error::Shape(e.to_string()))?,
        Yaml::String(s) => Json::String(s),
        Yaml::Sequence(items) => Json::Array(items.into_iter().map(convert).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                map.insert(key_text(key)?, convert(value)?);
            }
            Json::Object(map)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            intrinsic(tag.trim_start_matches('!'), convert(tagged.value)?)
        }
    })
}

fn key_text(key: Yaml) -> Result<String, Error> {
    match key {
        Yaml::String(s) => Ok(s),
        Yaml::Number(n) => Ok(n.to_string()),
        Yaml::Bool(b) => Ok(b.to_string()),
        other => Err(Error::Shape(format!("a mapping key must be a scalar, found {other:?}"))),
    }
}

fn intrinsic(tag: &str, value: Json) -> Json {
    let (name, value) = match tag {
        "Ref" | "Condition" => (tag.to_owned(), value),
        // The short form is one string. The JSON form is a list whose second item may contain dots.
        "GetAtt" => {
            let value = match value {
                Json::String(s) => {
                    let (resource, attribute) = s.split_once('.').unwrap_or((&s, ""));
                    serde_json::json!([resource, attribute])
                }
                other => other,
            };
            ("Fn::GetAtt".to_owned(), value)
        }
        other => (format!("Fn::{other}"), value),
    };
    Json::Object(Map::from_iter([(name, value)]))
}
