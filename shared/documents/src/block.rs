//! What stands in a section or on a slide.

use serde::{Deserialize, Serialize};

use crate::{Chart, Text};

/// A block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    /// Running text.
    Paragraph {
        /// The text.
        text: Text,
    },
    /// A list.
    List {
        /// Numbered or not.
        #[serde(default)]
        ordered: bool,
        /// The items.
        items: Vec<Text>,
    },
    /// A table.
    Table(Table),
    /// A chart.
    Chart(Chart),
    /// Somebody else's words.
    Quote {
        /// The words.
        text: Text,
        /// Whose they are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Text>,
    },
    /// Code.
    Code {
        /// The language's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        language: Option<String>,
        /// The code.
        text: String,
    },
    /// What the reader must not miss.
    Callout {
        /// How it is meant.
        #[serde(default)]
        tone: Tone,
        /// A heading of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// The text.
        text: Text,
    },
}

impl Block {
    /// Its texts, in order.
    pub fn texts(&self) -> Vec<&Text> {
        match self {
            Self::Paragraph { text } | Self::Callout { text, .. } => vec![text],
            Self::List { items, .. } => items.iter().collect(),
            Self::Table(table) => {
                table.caption.iter().chain(&table.header).chain(table.rows.iter().flatten()).collect()
            }
            Self::Quote { text, source } => std::iter::once(text).chain(source).collect(),
            Self::Chart(chart) => chart.caption.iter().collect(),
            Self::Code { .. } => Vec::new(),
        }
    }

    /// What it says, without markup, in pieces.
    #[must_use]
    pub fn plain(&self) -> Vec<String> {
        let own = match self {
            Self::Code { text, .. } => vec![text.clone()],
            Self::Callout { title, .. } => title.iter().cloned().collect(),
            Self::Chart(chart) => chart.labels.clone(),
            _ => Vec::new(),
        };
        own.into_iter().chain(self.texts().into_iter().map(Text::plain)).collect()
    }
}

/// A table: every row has as many cells as the header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<Text>,
    /// The names of the columns.
    pub header: Vec<Text>,
    /// The rows.
    pub rows: Vec<Vec<Text>>,
    /// How each column is aligned; without it, columns of numbers to the end and others to the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<Vec<Align>>,
}

impl Table {
    /// The alignment of each column.
    #[must_use]
    pub fn alignment(&self) -> Vec<Align> {
        if let Some(align) = &self.align {
            return align.clone();
        }
        let column = |at: usize| {
            let cells: Vec<_> = self.rows.iter().filter_map(|row| row.get(at)).map(Text::plain).collect();
            let digits = cells.iter().any(|cell| cell.contains(char::is_numeric));
            match digits && cells.iter().all(|cell| is_number(cell)) {
                true => Align::End,
                false => Align::Start,
            }
        };
        (0..self.header.len()).map(column).collect()
    }
}

/// Whether a cell reads as a number with or without a unit: `-1,234.5 %`, `€ 20`, `n/a` does not.
fn is_number(cell: &str) -> bool {
    let digits = cell.chars().filter(|c| c.is_numeric()).count();
    let letters = cell.chars().filter(|c| c.is_alphabetic()).count();
    matches!(cell.trim(), "" | "-" | "–" | "—")
        || (digits > 0 && letters <= 2 && digits + 4 >= cell.chars().count() / 2)
}

/// The alignment of a column, in the direction of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// Where lines start.
    Start,
    /// The middle.
    Center,
    /// Where lines end.
    End,
}

/// How a callout is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Worth knowing.
    #[default]
    Note,
    /// It went well, or is advised.
    Success,
    /// Take care.
    Warning,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_numbers_are_aligned_to_the_end() {
        let row = |cells: [&str; 3]| cells.map(Text::from).to_vec();
        let rows = vec![row(["Peru", "1,204.5", ""]), row(["Chile", "–", ""])];
        let mut table = Table { caption: None, header: row(["a", "b", "c"]), rows, align: None };
        assert_eq!(table.alignment(), [Align::Start, Align::End, Align::Start]);
        table.align = Some(vec![Align::Center; 3]);
        assert_eq!(table.alignment(), [Align::Center; 3]);
    }
}
