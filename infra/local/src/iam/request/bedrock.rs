//! Bedrock, whose models are called by their own ids or by those of inference profiles.

use http::Method;
use http::request::Parts;

use super::{Need, Unknown, World};
use crate::iam::condition::PROFILE;

/// A profile is called in one Region of an account, and calls its model in others.
pub(super) fn needs(world: &World, parts: &Parts) -> Result<Vec<Need>, Unknown> {
    let path = parts.uri.path();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let unknown = || {
        let operation = format!("{} {path}", parts.method);
        Unknown::new("bedrock", &operation, "the operation is not known")
    };
    let ["model", id, operation] = segments.as_slice() else { return Err(unknown()) };
    let action = match *operation {
        "converse-stream" if parts.method == Method::POST => "bedrock:InvokeModelWithResponseStream",
        "converse" if parts.method == Method::POST => "bedrock:InvokeModel",
        _ => return Err(unknown()),
    };
    let id = id.replace("%3A", ":");
    let Some(model) = model_of_profile(&id) else {
        let model = format!("arn:aws:bedrock:{}::foundation-model/{id}", world.region);
        return Ok(vec![Need::new(action, &model)]);
    };
    let profile = world.arn("bedrock", &format!("inference-profile/{id}"));
    let model = Need::new(action, &format!("arn:aws:bedrock:eu-north-1::foundation-model/{model}"));
    Ok(vec![Need::new(action, &profile), model.with(PROFILE, vec![profile])])
}

/// Returns the model of a profile that AWS defines, whose id begins with a geography: `eu.` or `global.`.
fn model_of_profile(id: &str) -> Option<&str> {
    let (geography, model) = id.split_once('.')?;
    (geography.len() == 2 || ["apac", "global", "us-gov"].contains(&geography)).then_some(model)
}
