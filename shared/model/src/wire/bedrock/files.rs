//! Bedrock's limits on the files of a request. A conversation keeps its files, so that one request above a limit would be
//! followed by no other.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Documents in a request at most. See
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html>.
const MAX_DOCUMENTS: usize = 5;
/// Images and documents in a request at most.
const MAX_FILES: usize = 20;
/// The text in place of a file that is not sent.
const LEFT_OUT: &str = "(A file is left out here, because the conversation has too many.)";

/// Replaces the oldest files above the limits by a note, and gives each document a name of its own: Bedrock refuses two with
/// the same name, also in different turns.
pub(super) fn fit(messages: &mut [Value]) {
    let mut documents = 0;
    let mut files = 0;
    for block in blocks(messages).rev() {
        let is_document = block.get("document").is_some();
        if !is_document && block.get("image").is_none() {
            continue;
        }
        if files == MAX_FILES || (is_document && documents == MAX_DOCUMENTS) {
            *block = json!({"text": LEFT_OUT});
            continue;
        }
        files += 1;
        documents += usize::from(is_document);
    }
    let mut names = BTreeSet::new();
    for block in blocks(messages) {
        let Some(name) = block["document"]["name"].as_str() else { continue };
        let others = (2..).map(|number| format!("{name} {number}"));
        let free =
            std::iter::once(name.to_owned()).chain(others).find(|name| names.insert(name.to_lowercase()));
        block["document"]["name"] = free.into();
    }
}

/// Returns the blocks of all messages, oldest first.
fn blocks(messages: &mut [Value]) -> impl DoubleEndedIterator<Item = &mut Value> {
    messages.iter_mut().filter_map(|message| message["content"].as_array_mut()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(name: &str) -> Value {
        json!({"document": {"format": "pdf", "name": name, "source": {"bytes": ""}}})
    }

    fn turn(blocks: Vec<Value>) -> Value {
        json!({"role": "user", "content": blocks})
    }

    fn shown(messages: &mut [Value]) -> Vec<String> {
        let shown = |block: &mut Value| match (&block["document"]["name"], &block["text"]) {
            (Value::String(name), _) => name.clone(),
            (_, Value::String(text)) => text.clone(),
            _ => "image".to_owned(),
        };
        blocks(messages).map(shown).collect()
    }

    #[test]
    fn documents_with_one_name_get_numbers() {
        let mut messages = [
            turn(vec![document("tides"), document("Tides")]),
            turn(vec![document("tides 2"), document("tides")]),
        ];
        fit(&mut messages);
        assert_eq!(shown(&mut messages), ["tides", "Tides 2", "tides 2 2", "tides 3"]);
    }

    #[test]
    fn the_newest_files_stay_and_the_others_become_notes() {
        let text = json!({"text": "look"});
        let image = json!({"image": {"format": "png"}});
        let old: Vec<Value> = ["a", "b"].map(document).into_iter().chain(vec![image.clone(); 14]).collect();
        let new = ["c", "d", "e", "f"].map(document).into_iter().chain([image, text]).collect();
        let mut messages = [turn(old), json!({"role": "assistant", "content": [{"text": "yes"}]}), turn(new)];
        fit(&mut messages);
        let shown = shown(&mut messages);
        let expected =
            [vec![LEFT_OUT, "b"], vec!["image"; 14], vec!["yes", "c", "d", "e", "f", "image", "look"]];
        assert_eq!(shown, expected.concat());

        let mut many = [turn(vec![json!({"image": {}}); 22])];
        fit(&mut many);
        assert_eq!(super::blocks(&mut many).filter(|block| block.get("text").is_some()).count(), 2);
    }
}
