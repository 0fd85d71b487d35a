//! Slides: documents of single pages.

use serde::{Deserialize, Serialize};

use crate::{Block, Source, Text};

/// A deck of slides. A title page is added automatically.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Slides {
    /// The version of the format: 1.
    pub version: u8,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtitle: Option<String>,
    #[serde(default)]
    pub theme: Theme,
    /// The main language, as a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    pub slides: Vec<Slide>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

/// The colours of a deck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// Dark text on a light background.
    #[default]
    Light,
    /// Light text on a dark background.
    Dark,
}

/// One page of a presentation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Slide {
    pub title: String,
    #[serde(default)]
    pub layout: Layout,
    #[serde(default)]
    pub blocks: Vec<Block>,
    /// Notes for the speaker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Text>,
}

/// The layout of a slide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// The blocks in one column below the title.
    #[default]
    Content,
    /// The two halves of the blocks in two columns.
    TwoColumns,
    /// The title of a part of the deck; blocks are small print.
    Section,
}
