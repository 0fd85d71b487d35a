//! Blocks: the content of sections and slides.

use serde::{Deserialize, Serialize};

use crate::{Chart, Text};

/// A block of a section or slide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "plain data")]
pub enum Block {
    Paragraph {
        text: Text,
    },
    List {
        /// The items are numbered.
        #[serde(default)]
        ordered: bool,
        items: Vec<Text>,
    },
    Table(Table),
    Chart(Chart),
    Quote {
        text: Text,
        /// The author of the quotation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Text>,
    },
    Code {
        /// The name of the programming language.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        language: Option<String>,
        text: String,
    },
    /// A highlighted text that the reader must not miss.
    Callout {
        #[serde(default)]
        tone: Tone,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        text: Text,
    },
}

impl Block {
    /// The texts of the block, in order.
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

    /// All texts, labels and code of the block, without markup.
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

/// A table. Every row has as many cells as the header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Table {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<Text>,
    /// The names of the columns.
    pub header: Vec<Text>,
    pub rows: Vec<Vec<Text>>,
    /// The alignment of each column. By default, columns of numbers are aligned to the end, others to the
    /// start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<Vec<Align>>,
}

impl Table {
    /// The alignment of each column, defaults included.
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

/// Returns `true` for a number with or without a unit, such as `-1,234.5 %` and `€ 20`, but not `n/a`.
fn is_number(cell: &str) -> bool {
    let digits = cell.chars().filter(|c| c.is_numeric()).count();
    let letters = cell.chars().filter(|c| c.is_alphabetic()).count();
    matches!(cell.trim(), "" | "-" | "–" | "—")
        || (digits > 0 && letters <= 2 && digits + 4 >= cell.chars().count() / 2)
}

/// The alignment of a column, relative to the direction of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "plain data")]
pub enum Align {
    /// The side on which lines start.
    Start,
    Center,
    /// The side on which lines end.
    End,
}

/// The tone of a callout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Useful information.
    #[default]
    Note,
    /// A success or a recommendation.
    Success,
    /// A danger or a mistake to avoid.
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
