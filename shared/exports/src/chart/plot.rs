//! Charts with two axes.

use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use sequent_documents::Chart;
use sequent_documents::chart::{ChartKind, Series};

use super::frame::PlotFrame;
use super::scale::Scale;
use super::{Area, Look, color, failed};
use crate::Error;

type Plane<'a> = DrawingArea<SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

pub(super) fn draw(area: &Area<'_>, chart: &Chart, look: &Look) -> Result<(), Error> {
    let y = y_scale(chart);
    let frame = PlotFrame::new(area, chart, look, &y)?;
    frame.grid(area, &y, look)?;
    let x = x_scale(chart);
    let pixels = (frame.left..frame.right, frame.bottom..frame.top);
    let spec = Cartesian2d::<RangedCoordf64, RangedCoordf64>::new(x.low..x.high, y.low..y.high, pixels);
    let plane = area.apply_coord_spec(spec);
    let place = |value: f64| RangedCoordf64::from(x.low..x.high).map(&value, (frame.left, frame.right));
    if chart.kind == ChartKind::Scatter {
        let ticks: Vec<_> = x.ticks().iter().map(|tick| (place(*tick), x.label(*tick))).collect();
        let labels: Vec<_> = ticks.iter().map(|(at, label)| (*at, label.as_str())).collect();
        frame.labels(area, &labels, look)?;
    } else {
        let labels: Vec<_> =
            chart.labels.iter().enumerate().map(|(at, label)| (place(at as f64), label.as_str())).collect();
        frame.labels(area, &labels, look)?;
    }
    frame.x_title(area, chart, look)?;
    match chart.kind {
        ChartKind::Bar => bars(&plane, chart),
        ChartKind::StackedBar => stacked_bars(&plane, chart),
        ChartKind::Area => areas(&plane, chart),
        ChartKind::Scatter => points(&plane, chart),
        ChartKind::Line | ChartKind::Pie => lines(&plane, chart, look),
    }
}

fn values(chart: &Chart) -> impl Iterator<Item = f64> {
    chart.series.iter().flat_map(|series| series.values.iter().copied().flatten())
}

fn y_scale(chart: &Chart) -> Scale {
    let mut low = f64::INFINITY;
    let mut high = f64::NEG_INFINITY;
    let mut include = |value: f64| {
        low = low.min(value);
        high = high.max(value);
    };
    match chart.kind {
        ChartKind::StackedBar => {
            for at in 0..chart.labels.len() {
                let column =
                    || chart.series.iter().filter_map(|series| series.values.get(at).copied().flatten());
                include(column().filter(|value| *value > 0.0).sum());
                include(column().filter(|value| *value < 0.0).sum());
            }
        }
        ChartKind::Area => stacks(chart).iter().flatten().for_each(|value| include(*value)),
        _ => values(chart).for_each(include),
    }
    let far_from_zero = low > 0.0 && high - low < low || high < 0.0 && high - low < -high;
    match chart.kind {
        // The length of a bar shows its value, so bars must start at zero.
        ChartKind::Line | ChartKind::Scatter if far_from_zero => Scale::new(low, high),
        _ => Scale::from_zero(low, high),
    }
}

fn x_scale(chart: &Chart) -> Scale {
    let last = chart.labels.len().saturating_sub(1) as f64;
    match chart.kind {
        ChartKind::Bar | ChartKind::StackedBar => Scale { low: -0.5, high: last + 0.5, step: 1.0 },
        ChartKind::Scatter => {
            let numbers = xs(chart);
            let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            Scale::new(low, numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max))
        }
        // Both ends have room for half a label. A single point is in the middle.
        _ => Scale { low: -0.35_f64.max(last * 0.03), high: last + 0.35_f64.max(last * 0.03), step: 1.0 },
    }
}

fn xs(chart: &Chart) -> Vec<f64> {
    chart.labels.iter().map(|label| label.trim().parse().unwrap_or_default()).collect()
}

fn bar(plane: &Plane<'_>, x: (f64, f64), y: (f64, f64), at: usize) -> Result<(), Error> {
    plane.draw(&Rectangle::new([(x.0, y.0), (x.1, y.1)], color(at).filled())).map_err(failed)
}

fn bars(plane: &Plane<'_>, chart: &Chart) -> Result<(), Error> {
    let wide = 0.76 / chart.series.len().max(1) as f64;
    for (at, series) in chart.series.iter().enumerate() {
        for (label, value) in present(series) {
            let left = label - 0.38 + wide * at as f64;
            bar(plane, (left, left + wide * 0.92), (0.0, value), at)?;
        }
    }
    Ok(())
}

fn stacked_bars(plane: &Plane<'_>, chart: &Chart) -> Result<(), Error> {
    let mut ends = vec![(0.0, 0.0); chart.labels.len()];
    for (at, series) in chart.series.iter().enumerate() {
        for ((label, value), index) in present(series).zip(indices(series)) {
            let Some((up, down)) = ends.get_mut(index) else { continue };
            let end = if value < 0.0 { down } else { up };
            bar(plane, (label - 0.32, label + 0.32), (*end, *end + value), at)?;
            *end += value;
        }
    }
    Ok(())
}

/// Returns the upper edge of each area: the sums of all series up to it. A missing value counts as zero.
fn stacks(chart: &Chart) -> Vec<Vec<f64>> {
    let mut edge = vec![0.0; chart.labels.len()];
    let mut stacks = Vec::new();
    for series in &chart.series {
        edge.iter_mut().zip(&series.values).for_each(|(sum, value)| *sum += value.unwrap_or(0.0));
        stacks.push(edge.clone());
    }
    stacks
}

fn areas(plane: &Plane<'_>, chart: &Chart) -> Result<(), Error> {
    let mut below = vec![0.0; chart.labels.len()];
    for (at, edge) in stacks(chart).into_iter().enumerate() {
        let upper = edge.iter().enumerate().map(|(x, y)| (x as f64, *y));
        let lower = below.iter().enumerate().rev().map(|(x, y)| (x as f64, *y));
        let outline: Vec<_> = upper.clone().chain(lower).collect();
        plane.draw(&Polygon::new(outline, color(at).mix(0.55))).map_err(failed)?;
        plane
            .draw(&PathElement::new(upper.collect::<Vec<_>>(), color(at).stroke_width(4)))
            .map_err(failed)?;
        below = edge;
    }
    Ok(())
}

fn lines(plane: &Plane<'_>, chart: &Chart, look: &Look) -> Result<(), Error> {
    let markers = chart.labels.len() <= 24;
    for (at, series) in chart.series.iter().enumerate() {
        let gaps = series.values.split(Option::is_none);
        let mut start = 0_usize;
        for run in gaps {
            let points: Vec<_> =
                run.iter().flatten().enumerate().map(|(x, y)| ((start + x) as f64, *y)).collect();
            start += run.len() + 1;
            let is_single = points.len() == 1;
            plane.draw(&PathElement::new(points.clone(), color(at).stroke_width(5))).map_err(failed)?;
            if markers || is_single {
                for point in points {
                    plane.draw(&Circle::new(point, 8, look.paper.filled())).map_err(failed)?;
                    plane.draw(&Circle::new(point, 6, color(at).filled())).map_err(failed)?;
                }
            }
        }
    }
    Ok(())
}

fn points(plane: &Plane<'_>, chart: &Chart) -> Result<(), Error> {
    let xs = xs(chart);
    for (at, series) in chart.series.iter().enumerate() {
        for (x, value) in xs.iter().zip(&series.values) {
            if let Some(value) = value {
                plane.draw(&Circle::new((*x, *value), 9, color(at).mix(0.75).filled())).map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// Returns the values of a series with their positions along the x axis.
fn present(series: &Series) -> impl Iterator<Item = (f64, f64)> {
    series.values.iter().enumerate().filter_map(|(at, value)| value.map(|value| (at as f64, value)))
}

fn indices(series: &Series) -> impl Iterator<Item = usize> {
    series.values.iter().enumerate().filter_map(|(at, value)| value.map(|_| at))
}
