//! Converts a tool's result to the text that a model reads.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

const UNKNOWN: &str = "[content of an unknown kind]";

/// Joins the parts of a result. Parts that are not text are described, so that the model knows about them.
pub(crate) fn of_result(result: &CallToolResult) -> String {
    let parts: Vec<String> = result.content.iter().map(of_block).collect();
    match &result.structured_content {
        // Servers repeat structured content as text, for clients that only support text.
        Some(value) if parts.is_empty() => value.to_string(),
        _ => parts.join("\n\n"),
    }
}

fn of_block(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => describe("image", Some(&image.mime_type), &image.data),
        ContentBlock::Audio(audio) => describe("audio", Some(&audio.mime_type), &audio.data),
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => format!("[{uri}]\n{text}"),
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                describe(uri, mime_type.as_ref(), blob)
            }
            _ => UNKNOWN.to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[{}]({})", link.name, link.uri),
        _ => UNKNOWN.to_owned(),
    }
}

fn describe(what: &str, mime: Option<&String>, base64: &str) -> String {
    let kind = mime.map_or("of unknown type", String::as_str);
    format!("[{what}, {kind}, {} bytes: not shown]", base64.len() / 4 * 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_part_of_a_result_is_text_or_described() {
        let result = |value| of_result(&serde_json::from_value(value).unwrap());
        let text = result(json!({"content": [
            {"type": "text", "text": "Here it is."},
            {"type": "image", "data": "QUJD", "mimeType": "image/png"},
            {"type": "audio", "data": "QUJDQUJD", "mimeType": "audio/wav"},
            {"type": "resource", "resource": {"uri": "notes://1", "text": "Buy milk"}},
            {"type": "resource", "resource": {"uri": "notes://2", "blob": "QUJD"}},
            {"type": "resource_link", "uri": "notes://3", "name": "Third"},
        ]}));
        let expected = "Here it is.\n\n[image, image/png, 3 bytes: not shown]\n\n\
            [audio, audio/wav, 6 bytes: not shown]\n\n[notes://1]\nBuy milk\n\n\
            [notes://2, of unknown type, 3 bytes: not shown]\n\n[Third](notes://3)";
        assert_eq!(text, expected);
        assert_eq!(result(json!({"content": [], "structuredContent": {"n": 1}})), r#"{"n":1}"#);
        let both = json!({"content": [{"type": "text", "text": "{\"n\":1}"}], "structuredContent": {"n": 1}});
        assert_eq!(result(both), "{\"n\":1}");
    }
}
