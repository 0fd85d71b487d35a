//! Names and ids of calls in the form that every model server accepts.
//!
//! Servers refuse a whole request for one name in its history that their own tools could not have, although a model may call a
//! tool that does not exist. The call stays a part of the conversation, so that each later request would be refused, too.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

/// Characters of a name or id at most.
const MAX_NAME: usize = 64;

/// Returns a name that every server accepts. Names of tools that exist stay as they are.
pub(super) fn accepted_name(name: &str) -> Cow<'_, str> {
    if is_accepted(name) {
        return name.into();
    }
    let accepted = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = name.chars().map(accepted).take(MAX_NAME).collect();
    if name.is_empty() { "unnamed".into() } else { name.into() }
}

/// Returns an id that Bedrock accepts. Another server, from which the call may be, has other rules for its ids.
pub(super) fn accepted_id(id: &str) -> Cow<'_, str> {
    if is_accepted(id) { id.into() } else { format!("call_{:016x}", hash(id)).into() }
}

/// Returns an id of the form that Mistral takes: nine letters and digits.
pub(super) fn nine_characters(id: &str) -> String {
    if id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return id.to_owned();
    }
    format!("{:09x}", hash(id) >> 28)
}

fn is_accepted(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(allowed)
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tools_stay_and_others_are_made_acceptable() {
        for name in ["search", "github__list-issues", &"x".repeat(64)] {
            assert_eq!(accepted_name(name), name);
        }
        for (name, accepted) in [
            ("multi_tool_use.parallel", "multi_tool_use_parallel"),
            ("web search</arg>", "web_search__arg_"),
            ("größe", "gr__e"),
            ("", "unnamed"),
            (&"x".repeat(65), &"x".repeat(64)),
        ] {
            assert_eq!(accepted_name(name), accepted);
        }
    }

    #[test]
    fn ids_with_the_same_end_stay_apart() {
        let ids = ["step_10_ABCDEFGH", "step_20_ABCDEFGH", "ABCDEFGH", "0ABCDEFGH"].map(nine_characters);
        assert_eq!(ids[3], "0ABCDEFGH", "an id of Mistral's own");
        for (at, id) in ids.iter().enumerate() {
            assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
            assert!(!ids[..at].contains(id), "{ids:?}");
        }
    }
}
