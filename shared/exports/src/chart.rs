//! Charts as SVG images. A PDF and an HTML page contain the same image.
//!
//! plotters maps coordinates and writes the SVG. The layout is ours, because plotters has no grouped or
//! stacked bars, its legend is a box over the data, and its labels overlap.

mod frame;
mod pie;
mod plot;
mod scale;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use sequent_documents::Chart;
use sequent_documents::chart::ChartKind;

use crate::Error;

/// The colours of text, grid and background.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    ink: RGBColor,
    soft: RGBColor,
    rule: RGBColor,
    paper: RGBColor,
}

impl Look {
    pub(crate) const LIGHT: Self = Self {
        ink: RGBColor(0x1B, 0x20, 0x27),
        soft: RGBColor(0x5D, 0x66, 0x73),
        rule: RGBColor(0xDD, 0xE1, 0xE6),
        paper: RGBColor(0xFF, 0xFF, 0xFF),
    };
    pub(crate) const DARK: Self = Self {
        ink: RGBColor(0xEE, 0xF1, 0xF5),
        soft: RGBColor(0xA4, 0xAD, 0xBA),
        rule: RGBColor(0x3A, 0x43, 0x50),
        paper: RGBColor(0x14, 0x18, 0x1F),
    };
}

/// Colours of the series, distinguishable with any colour vision: the palette of Okabe and Ito without its
/// yellow and black, which are hard to see on paper and among text, followed by Tol's muted palette.
const PALETTE: [RGBColor; 12] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x6A, 0x5A, 0xCD),
    RGBColor(0x99, 0x99, 0x33),
    RGBColor(0xAA, 0x44, 0x66),
    RGBColor(0x44, 0xAA, 0x99),
    RGBColor(0x8A, 0x8F, 0x98),
    RGBColor(0xDD, 0xCC, 0x77),
];

/// The width of the image: twice the displayed size, because plotters only draws on whole units.
const WIDTH: i32 = 1440;
const HEIGHT: i32 = 660;
const FONT: f64 = 26.0;

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws the chart as an SVG image.
pub(crate) fn svg(chart: &Chart, look: &Look) -> Result<String, Error> {
    let mut svg = String::new();
    {
        let size = (WIDTH.unsigned_abs(), HEIGHT.unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        match chart.kind {
            ChartKind::Pie => pie::draw(&area, chart, look)?,
            _ => plot::draw(&area, chart, look)?,
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// Describes the chart in words, for people who cannot see it.
pub(crate) fn description(chart: &Chart) -> String {
    let kind = match chart.kind {
        ChartKind::Bar => "Bar chart",
        ChartKind::StackedBar => "Stacked bar chart",
        ChartKind::Line => "Line chart",
        ChartKind::Area => "Area chart",
        ChartKind::Scatter => "Scatter chart",
        ChartKind::Pie => "Pie chart",
    };
    let names: Vec<_> = chart.series.iter().map(|series| series.name.as_str()).collect();
    let ends = [chart.labels.first(), chart.labels.last()];
    let ends: Vec<_> = ends.into_iter().flatten().map(String::as_str).collect();
    format!("{kind}: {}; {}", names.join(", "), ends.join(" – "))
}

/// Estimates the width of a text in digits, precisely enough to lay out labels.
pub(crate) fn width(text: &str) -> f64 {
    let of = |c: char| match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 0.5,
        'f' | 'r' | 't' => 0.7,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 1.5,
        '\u{300}'..='\u{36F}' | '\u{591}'..='\u{5BD}' | '\u{64B}'..='\u{65F}' | '\u{200B}'..='\u{200F}' => {
            0.0
        }
        '\u{1100}'..='\u{11FF}'
        | '\u{2E80}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{FF00}'..='\u{FF60}' => 1.75,
        '\u{1F000}'.. => 2.0,
        c if c.is_uppercase() => 1.15,
        _ => 1.0,
    };
    text.chars().map(of).sum()
}

/// Estimates the width of a text of this size in units of the image.
fn pixels(text: &str, size: f64) -> i32 {
    (width(text) * size * 0.572).ceil() as i32
}

/// Returns the text, cut with an ellipsis if it does not fit.
fn cut(text: &str, size: f64, room: i32) -> String {
    if pixels(text, size) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if pixels(&short, size) + pixels("…", size) > room {
            short.pop();
            break;
        }
    }
    short.truncate(short.trim_end().len());
    short + "…"
}

fn color(at: usize) -> RGBColor {
    PALETTE[at % PALETTE.len()]
}

/// The position of a text: a point, and the side of the text that is at the point.
#[derive(Clone, Copy)]
struct Spot {
    at: (i32, i32),
    side: HPos,
}

fn write(area: &Area<'_>, text: &str, spot: Spot, size: f64, color: RGBColor) -> Result<(), Error> {
    // The backend divides the size by this factor.
    let font = ("Noto Sans", size * 1.24).into_font();
    let style = TextStyle::from(font).color(&color).pos(Pos::new(spot.side, VPos::Center));
    area.draw(&Text::new(text.to_owned(), spot.at, style)).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Renderer(format!("chart: {error}"))
}

#[cfg(test)]
mod tests;
