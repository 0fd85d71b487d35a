//! Charts, as the numbers that they show.

use serde::{Deserialize, Serialize};

use crate::Text;

/// A chart. Every series has as many values as there are labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// What it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<Text>,
    /// How it shows it.
    pub kind: Kind,
    /// The labels along x, or of the slices of a pie. For a scatter chart each is a number.
    pub labels: Vec<String>,
    /// The numbers.
    pub series: Vec<Series>,
    /// The unit of the values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What runs along x.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x_title: Option<String>,
    /// What runs along y.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y_title: Option<String>,
}

/// The kinds of charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Bars beside each other.
    Bar,
    /// Bars on top of each other.
    StackedBar,
    /// Lines.
    Line,
    /// Lines with the area below them filled, on top of each other.
    Area,
    /// Points.
    Scatter,
    /// Shares of a whole: one series without negative values.
    Pie,
}

/// One row of numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its values; `null` where there is none.
    pub values: Vec<Option<f64>>,
}
