//! The kinds of files that a model can be shown, by its name.
//!
//! No protocol tells it, and a request with a file that the model cannot read is refused as a whole. So the table names the
//! families that can read files. A model that is not in it is sent text only: what can be extracted from a document, and a
//! note in place of an image.
//!
//! Sources: OpenAI, "Images and vision" and "PDF files" (models with vision read both); Anthropic, "Vision" and "PDF support"
//! (all models since Claude 3, PDF since 3.5); Google, "OpenAI compatibility" (images; no `file` part); the model cards of the
//! others on Hugging Face. Servers with OpenAI's protocol differ in `file` parts, so only OpenAI's own models get them.
//! The operator can state other abilities ([`AbilityTable`]).

mod table;

pub use table::{AbilityTable, InvalidAbilities};

use crate::{FileType, ModelName, Provider};

/// The kinds of files that a model can be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// PNG, JPEG, GIF and WebP.
    pub images: bool,
    /// Documents in PDF, with text and pictures.
    pub pdf: bool,
}

const NOTHING: Abilities = Abilities { images: false, pdf: false };
const IMAGES: Abilities = Abilities { images: true, pdf: false };
const ALL: Abilities = Abilities { images: true, pdf: true };

/// The beginnings of names, without the publisher (`meta-llama/`) and without Bedrock's region and vendor (`us.anthropic.`).
/// The first one that fits counts.
const FAMILIES: [(&str, Abilities); 38] = [
    ("gpt-3", NOTHING),
    ("gpt-4-turbo", IMAGES),
    ("gpt-4.5", ALL),
    ("gpt-4.1", ALL),
    ("gpt-4o", ALL),
    ("gpt-4", NOTHING),
    ("gpt-oss", NOTHING),
    ("gpt-", ALL),
    ("chatgpt-", ALL),
    ("o1-mini", NOTHING),
    ("o1-preview", NOTHING),
    ("o1", ALL),
    ("o3-mini", NOTHING),
    ("o3", ALL),
    ("o4", ALL),
    ("claude-2", NOTHING),
    ("claude-instant", NOTHING),
    ("claude-3-opus", IMAGES),
    ("claude-3-sonnet", IMAGES),
    ("claude-3-haiku", IMAGES),
    ("claude-", ALL),
    ("nova-micro", NOTHING),
    ("nova-", ALL),
    ("gemini-", IMAGES),
    ("gemma-3", IMAGES),
    ("gemma3", IMAGES),
    ("grok-4", IMAGES),
    ("grok-2-vision", IMAGES),
    ("llama-4", IMAGES),
    ("llama4", IMAGES),
    ("llama-3.2-11b", IMAGES),
    ("llama-3.2-90b", IMAGES),
    ("llava", IMAGES),
    ("pixtral", IMAGES),
    ("mistral-small-3", IMAGES),
    ("mistral-medium", IMAGES),
    ("phi-4-multimodal", IMAGES),
    ("internvl", IMAGES),
];

/// Parts of a name that tell that a model sees, whatever its family.
const SEEING: [&str; 4] = ["-vl", "vision", "multimodal", "-omni"];

impl Abilities {
    /// Returns the built-in abilities of a model.
    #[must_use]
    pub fn of(model: &ModelName) -> Self {
        let (provider, name) = model.split();
        if provider == Provider::Demo {
            return ALL; // it reads nothing, and shows how an answer to a message with files looks
        }
        let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        let name = vendorless(&name);
        let known = FAMILIES.iter().find(|(family, _)| name.starts_with(family));
        match known {
            Some((_, abilities)) => *abilities,
            None if SEEING.iter().any(|part| name.contains(part)) => IMAGES,
            None => NOTHING,
        }
    }

    /// Returns `true` if the model can be shown files of this type.
    #[must_use]
    pub fn reads(self, file_type: FileType) -> bool {
        if file_type.is_image() { self.images } else { self.pdf }
    }
}

/// Removes Bedrock's region and vendor from a name: `eu.anthropic.claude-sonnet-4` becomes `claude-sonnet-4`.
fn vendorless(name: &str) -> &str {
    const VENDORS: [&str; 6] = ["anthropic.", "amazon.", "meta.", "mistral.", "google.", "openai."];
    let found = VENDORS.iter().find_map(|vendor| name.split_once(vendor).map(|(_, rest)| rest));
    found.unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_abilities_and_an_unknown_model_reads_text_only() {
        let cases = [
            ("gpt-5.4-mini", ALL),
            ("gpt-4o-2024-08-06", ALL),
            ("gpt-3.5-turbo", NOTHING),
            ("o3-mini", NOTHING),
            ("openai/gpt-oss-120b", NOTHING),
            ("claude-sonnet-4-6", ALL),
            ("claude-3-haiku-20240307", IMAGES),
            ("claude-3-5-haiku-latest", ALL),
            ("openai/eu.anthropic.claude-sonnet-4-5-20250929-v1:0", ALL),
            ("openai/amazon.nova-micro-v1:0", NOTHING),
            ("meta-llama/Llama-4-Scout-17B", IMAGES),
            ("Qwen/Qwen2.5-VL-7B-Instruct", IMAGES),
            ("openai/google/gemini-3-flash", IMAGES),
            ("deepseek-chat", NOTHING),
            ("house-model", NOTHING),
            ("demo", ALL),
        ];
        for (name, abilities) in cases {
            assert_eq!(Abilities::of(&name.parse().unwrap()), abilities, "{name}");
        }
    }
}
