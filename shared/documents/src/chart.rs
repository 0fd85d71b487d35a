//! Charts, as labels and numbers.

use serde::{Deserialize, Serialize};

use crate::Text;

/// A chart. Every series has as many values as there are labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Chart {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<Text>,
    pub kind: ChartKind,
    /// The labels along the x axis, or of the slices of a pie. In a scatter chart, each is a number.
    pub labels: Vec<String>,
    pub series: Vec<Series>,
    /// The unit of all values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The title of the x axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x_title: Option<String>,
    /// The title of the y axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y_title: Option<String>,
}

/// The kinds of charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChartKind {
    /// Bars side by side.
    Bar,
    /// Bars on top of each other.
    StackedBar,
    /// One line per series.
    Line,
    /// Stacked lines with filled areas.
    Area,
    /// Points at the positions of numeric labels.
    Scatter,
    /// Shares of a whole. It has one series without negative values.
    Pie,
}

/// A series of values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Series {
    pub name: String,
    /// One value per label, or `null` if there is none.
    pub values: Vec<Option<f64>>,
}
