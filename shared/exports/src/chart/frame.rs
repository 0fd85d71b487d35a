//! The parts of a chart around the data: titles, legend, grid and labels.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;
use sequent_documents::Chart;

use super::scale::Scale;
use super::{Area, FONT, HEIGHT, Look, Spot, WIDTH, color, cut, failed, pixels, write};
use crate::Error;

const SMALL: f64 = FONT * 0.92;
const LINE: i32 = 40;

/// The rectangle of the data, in units of the image.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlotFrame {
    pub(super) left: i32,
    pub(super) right: i32,
    pub(super) top: i32,
    pub(super) bottom: i32,
}

impl PlotFrame {
    /// Draws the title of the y axis and the legend, and leaves room for the labels.
    pub(super) fn new(area: &Area<'_>, chart: &Chart, look: &Look, y: &Scale) -> Result<Self, Error> {
        let mut top = 12;
        if let Some(title) = y_title(chart) {
            let spot = Spot { at: (4, top + 14), side: HPos::Left };
            write(area, &cut(&title, SMALL, WIDTH - 8), spot, SMALL, look.soft)?;
            top += LINE;
        }
        if chart.series.len() > 1 {
            let names: Vec<_> = chart.series.iter().map(|series| series.name.as_str()).collect();
            top = legend(area, &names, top, look)? + 6;
        }
        let widest = y.ticks().iter().map(|tick| pixels(&y.label(*tick), FONT)).max().unwrap_or(0);
        let title = if chart.x_title.is_some() { LINE + 4 } else { 0 };
        Ok(Self {
            left: widest + 26,
            right: WIDTH - 22,
            top: top + 18,
            bottom: HEIGHT - 2 * LINE + 24 - title,
        })
    }

    /// Draws the grid along the y axis with its labels.
    pub(super) fn grid(&self, area: &Area<'_>, y: &Scale, look: &Look) -> Result<(), Error> {
        for tick in y.ticks() {
            let share = (tick - y.low) / (y.high - y.low);
            let at = self.bottom - (share * f64::from(self.bottom - self.top)).round() as i32;
            let style = if tick.abs() < y.step / 1e6 { look.soft } else { look.rule };
            let line = PathElement::new(vec![(self.left, at), (self.right, at)], style.stroke_width(2));
            area.draw(&line).map_err(failed)?;
            let spot = Spot { at: (self.left - 14, at), side: HPos::Right };
            write(area, &y.label(tick), spot, FONT, look.soft)?;
        }
        Ok(())
    }

    /// Draws labels at these positions along the x axis: as many as fit, on up to two lines.
    pub(super) fn labels(&self, area: &Area<'_>, labels: &[(i32, &str)], look: &Look) -> Result<(), Error> {
        let span = f64::from(self.right - self.left);
        let slot = (span / labels.len().max(1) as f64) as i32;
        let widest = labels.iter().map(|(_, label)| pixels(label, FONT)).max().unwrap_or(1);
        // A few labels are names, which must all be shown, so they share the width. Many labels are a
        // sequence, of which some may be left out.
        let few = labels.len() <= 14;
        let every = if few { 1 } else { ((widest + 24) / slot.max(1) + 1).max(1) as usize };
        let room = if few { slot - 4 } else { widest };
        let size = if widest > room { FONT * 0.82 } else { FONT };
        for (at, label) in labels.iter().step_by(every) {
            for (line, text) in two_lines(label, size, room).into_iter().enumerate() {
                let y = self.bottom + 30 + 32 * i32::from(line > 0);
                write(area, &text, Spot { at: (*at, y), side: HPos::Center }, size, look.soft)?;
            }
        }
        Ok(())
    }

    /// Draws the title of the x axis.
    pub(super) fn x_title(&self, area: &Area<'_>, chart: &Chart, look: &Look) -> Result<(), Error> {
        let Some(title) = &chart.x_title else { return Ok(()) };
        let spot = Spot { at: (i32::midpoint(self.left, self.right), HEIGHT - 20), side: HPos::Center };
        write(area, &cut(title, SMALL, self.right - self.left), spot, SMALL, look.soft)
    }
}

fn y_title(chart: &Chart) -> Option<String> {
    match (&chart.y_title, &chart.unit) {
        (Some(title), Some(unit)) => Some(format!("{title} ({unit})")),
        (Some(title), None) => Some(title.clone()),
        (None, Some(unit)) => Some(unit.clone()),
        (None, None) => None,
    }
}

/// Draws the names in rows from `top`. Returns the end of the last row.
pub(super) fn legend(area: &Area<'_>, names: &[&str], top: i32, look: &Look) -> Result<i32, Error> {
    let mut x = 4;
    let mut y = top;
    for (at, name) in names.iter().enumerate() {
        let name = cut(name, FONT, WIDTH / 2);
        let wide = pixels(&name, FONT) + 74;
        if x > 4 && x + wide > WIDTH {
            x = 4;
            y += LINE;
        }
        let swatch = Rectangle::new([(x, y + 5), (x + 22, y + 27)], color(at).filled());
        area.draw(&swatch).map_err(failed)?;
        write(area, &name, Spot { at: (x + 34, y + 16), side: HPos::Left }, FONT, look.ink)?;
        x += wide;
    }
    Ok(y + LINE)
}

/// Puts a label on one line, or on two lines that are broken between words or cut.
fn two_lines(label: &str, size: f64, room: i32) -> Vec<String> {
    if pixels(label, size) <= room {
        return vec![label.to_owned()];
    }
    let breaks = label.match_indices(' ').map(|(at, _)| at);
    let longer = |at: &usize| pixels(&label[..*at], size).max(pixels(&label[at + 1..], size));
    match breaks.min_by_key(longer) {
        Some(at) => vec![cut(&label[..at], size, room), cut(&label[at + 1..], size, room)],
        None => vec![cut(label, size, room)],
    }
}
