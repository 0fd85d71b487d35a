use sequent_documents::chart::Series;

use super::*;

fn chart(kind: ChartKind, labels: &[&str], series: &[&[Option<f64>]]) -> Chart {
    let series = series
        .iter()
        .enumerate()
        .map(|(at, values)| Series { name: format!("<s{at}>"), values: values.to_vec() });
    Chart {
        caption: None,
        kind,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        series: series.collect(),
        unit: Some("%".into()),
        x_title: Some("x & more".into()),
        y_title: None,
    }
}

const KINDS: [ChartKind; 6] = [
    ChartKind::Bar,
    ChartKind::StackedBar,
    ChartKind::Line,
    ChartKind::Area,
    ChartKind::Scatter,
    ChartKind::Pie,
];

#[test]
fn any_numbers_are_drawn() {
    let columns: [&[Option<f64>]; 6] = [
        &[Some(0.0)],
        &[Some(1e15), Some(1e-12)],
        &[Some(5.0), None, Some(5.0)],
        &[Some(0.1), Some(0.2), Some(0.30000001)],
        &[None, Some(7.0)],
        &[Some(1.0); 500],
    ];
    for kind in KINDS {
        for values in columns {
            let labels: Vec<_> = (0..values.len()).map(|at| at.to_string()).collect();
            let labels: Vec<_> = labels.iter().map(String::as_str).collect();
            let empty_pie = kind == ChartKind::Pie && values.iter().flatten().sum::<f64>() <= 0.0;
            let drawn = svg(&chart(kind, &labels, &[values]), &Look::LIGHT);
            assert_eq!(drawn.is_err(), empty_pie, "{kind:?} {values:?}");
            if let Ok(svg) = drawn {
                assert!(
                    svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"),
                    "{kind:?}"
                );
            }
        }
    }
}

#[test]
fn texts_are_escaped_and_cut() {
    let long = "an endless label ".repeat(20);
    for kind in [ChartKind::Bar, ChartKind::Line, ChartKind::Pie] {
        let drawn =
            svg(&chart(kind, &["</svg><script>", &long], &[&[Some(1.0), Some(2.0)]]), &Look::DARK).unwrap();
        assert!(!drawn.contains("<script") && drawn.contains('…'), "{drawn}");
        assert_eq!(drawn.matches("</svg>").count(), 1);
    }
}

#[test]
fn the_length_of_a_bar_is_proportional_to_its_value() {
    let drawn =
        svg(&chart(ChartKind::Bar, &["a", "b"], &[&[Some(50.0), Some(100.0)]]), &Look::LIGHT).unwrap();
    let heights: Vec<i32> = drawn
        .lines()
        .filter(|line| line.starts_with("<rect"))
        .map(|line| line.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(heights.len(), 2);
    assert!((heights[1] - 2 * heights[0]).abs() <= 1, "{heights:?}");
}
