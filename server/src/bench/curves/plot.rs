//! The curves as a drawing: one panel, the numbers along a logarithmic axis.

use plotters::prelude::*;

use super::report::Curves;
use crate::bench::error::BenchError;

const SIZE: (u32, u32) = (860, 480);
const FONT: (&str, u32) = ("sans-serif", 14);
/// Colours that people who see few can tell from each other (Okabe and Ito's).
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
];

/// An SVG document.
pub(super) fn svg(curves: &Curves) -> Result<String, BenchError> {
    let mut text = String::new();
    draw(curves, &mut text).map_err(|error| {
        BenchError::system("drawing the curves", std::io::Error::other(error.to_string()))
    })?;
    Ok(text)
}

fn draw(curves: &Curves, text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let points = || curves.curves.iter().flat_map(|curve| &curve.points);
    let right = points().map(|point| point.number).max().unwrap_or(1).max(10);
    // Above the curves there is room for what they are called.
    let top = points().map(|point| point.cpu_us_per_message).fold(0.1, f64::max) * 1.45;
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{}: CPU time for each message", curves.broker), ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d((1.0..f64::from(right)).log_scale(), 0.0..top)?;
    chart
        .configure_mesh()
        .label_style(FONT)
        .x_desc("how many")
        .y_desc("µs")
        .x_label_formatter(&|number| thousands(*number))
        .draw()?;
    for (curve, colour) in curves.curves.iter().zip(COLOURS) {
        let line = || curve.points.iter().map(|at| (f64::from(at.number), at.cpu_us_per_message));
        chart
            .draw_series(LineSeries::new(line(), colour.stroke_width(2)))?
            .label(curve.title)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(line().map(|at| Circle::new(at, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .label_font(FONT)
        .draw()?;
    area.present()?;
    Ok(())
}

/// `10k`, `1M`.
fn thousands(number: f64) -> String {
    match number {
        1e6.. => format!("{}M", number / 1e6),
        1e3.. => format!("{}k", number / 1e3),
        _ => format!("{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::curves;
    use super::*;

    #[test]
    fn a_drawing_has_a_line_a_title_and_the_numbers() {
        let drawn = svg(&curves(&[(1, 0.5), (100, 0.6), (100_000, 0.7)])).unwrap();
        for part in ["<svg", "<polyline", "Some Broker 1.0: CPU time", "100k", "queues, to which"] {
            assert!(drawn.contains(part), "{part} in {drawn}");
        }
        assert!(svg(&curves(&[])).is_ok(), "nothing measured is nothing drawn");
    }
}
