//! Slides.

use serde::{Deserialize, Serialize};

use crate::{Block, Source, Text};

/// A deck of slides. The title page comes of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slides {
    /// The version of the format: 1.
    pub version: u8,
    /// The title.
    pub title: String,
    /// A second line to the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtitle: Option<String>,
    /// The look.
    #[serde(default)]
    pub theme: Theme,
    /// The main language, a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The slides.
    pub slides: Vec<Slide>,
    /// What they rest on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

/// The look of a deck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// Dark on light.
    #[default]
    Light,
    /// Light on dark.
    Dark,
}

/// One slide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slide {
    /// The title.
    pub title: String,
    /// The arrangement.
    #[serde(default)]
    pub layout: Layout,
    /// What stands on it.
    #[serde(default)]
    pub blocks: Vec<Block>,
    /// What the speaker says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Text>,
}

/// The arrangement of a slide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// The blocks below the title.
    #[default]
    Content,
    /// The first half of the blocks beside the second.
    TwoColumns,
    /// A title that opens a part; blocks are small print.
    Section,
}
