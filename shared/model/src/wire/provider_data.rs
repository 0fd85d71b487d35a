//! Data of a provider that belongs to reasoning or to a call, and goes back to the same model unchanged.

use super::json::Object;
use crate::{Chunk, chunk::MAX_PROVIDER_DATA};

/// The field with the provider's own id of a call.
pub(super) const ID: &str = "id";

/// Returns the chunk with `data`. Returns `None` if there is no data, or too much.
pub(super) fn chunk(call_id: Option<String>, data: Object) -> Option<Chunk> {
    if data.is_empty() {
        return None;
    }
    let data = serde_json::Value::Object(data).to_string();
    if data.len() > MAX_PROVIDER_DATA {
        tracing::warn!(
            bytes = data.len(),
            "the data that a provider sent for later is too long; it is not kept"
        );
        return None;
    }
    Some(Chunk::ProviderData { call_id, data })
}

/// Returns the fields of a chunk's data. They are empty if it is not a JSON object.
pub(super) fn fields(data: Option<&str>) -> Object {
    data.and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default()
}
