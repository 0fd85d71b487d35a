//! Pie charts, drawn as a ring with a legend at its side.

use std::f64::consts::{FRAC_PI_2, TAU};

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;
use sequent_documents::Chart;

use super::scale::number;
use super::{Area, FONT, HEIGHT, Look, Spot, WIDTH, color, cut, failed, write};
use crate::Error;

const CENTER: (f64, f64) = (380.0, 330.0);
const OUTER: f64 = 300.0;
const INNER: f64 = 170.0;
const LEGEND: i32 = 800;

pub(super) fn draw(area: &Area<'_>, chart: &Chart, look: &Look) -> Result<(), Error> {
    let values: Vec<f64> =
        chart.series.iter().take(1).flat_map(|series| &series.values).map(|v| v.unwrap_or(0.0)).collect();
    let sum: f64 = values.iter().sum();
    if sum <= 0.0 {
        return Err(failed("the values of a pie must have a sum above zero"));
    }
    let mut from = 0.0;
    for (at, value) in values.iter().enumerate() {
        let to = from + value / sum;
        if to > from {
            slice(area, from, to, at, look)?;
        }
        from = to;
    }
    if let Some(unit) = &chart.unit {
        let spot = Spot { at: (CENTER.0 as i32, CENTER.1 as i32), side: HPos::Center };
        write(area, &cut(unit, FONT, INNER as i32 * 2 - 30), spot, FONT, look.soft)?;
    }
    let row = 52;
    let top = HEIGHT / 2 - row * values.len() as i32 / 2 + row / 2;
    for (at, (label, value)) in chart.labels.iter().zip(&values).enumerate() {
        let y = top + row * at as i32;
        let swatch = Rectangle::new([(LEGEND, y - 11), (LEGEND + 22, y + 11)], color(at).filled());
        area.draw(&swatch).map_err(failed)?;
        let share = format!("{} %", number(value / sum * 100.0, 1));
        write(area, &share, Spot { at: (LEGEND + 140, y), side: HPos::Right }, FONT, look.ink)?;
        let label = cut(label, FONT, WIDTH - LEGEND - 170);
        write(area, &label, Spot { at: (LEGEND + 160, y), side: HPos::Left }, FONT, look.soft)?;
    }
    Ok(())
}

/// Draws one slice of the ring. The shares `from` and `to` are measured clockwise from the top.
fn slice(area: &Area<'_>, from: f64, to: f64, at: usize, look: &Look) -> Result<(), Error> {
    let steps = ((to - from) * 180.0).ceil().max(2.0) as usize;
    let point = |radius: f64, step: usize| {
        let turn = from + (to - from) * step as f64 / steps as f64;
        let angle = turn * TAU - FRAC_PI_2;
        let x = CENTER.0 + radius * angle.cos();
        let y = CENTER.1 + radius * angle.sin();
        (x.round() as i32, y.round() as i32)
    };
    let outer = (0..=steps).map(|step| point(OUTER, step));
    let inner = (0..=steps).rev().map(|step| point(INNER, step));
    let outline: Vec<_> = outer.chain(inner).collect();
    area.draw(&Polygon::new(outline.clone(), color(at))).map_err(failed)?;
    // A gap separates neighbouring slices of similar brightness.
    if to - from < 1.0 {
        let gap = look.paper.stroke_width(5);
        area.draw(&PathElement::new(vec![point(INNER, 0), point(OUTER, 0)], gap)).map_err(failed)?;
        area.draw(&PathElement::new(vec![point(INNER, steps), point(OUTER, steps)], gap)).map_err(failed)?;
    }
    Ok(())
}
