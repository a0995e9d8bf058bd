//! Small charts as SVG, drawn by the server.

use std::fmt::Write as _;

/// The width of a chart's coordinates.
const WIDTH: u64 = 120;
/// The height of them.
const HEIGHT: u64 = 24;

/// A line through these values, oldest first, with the area below it. `name` is what a screen reader
/// says; it must not come from outside.
pub(crate) fn line(name: &str, values: &[u64]) -> String {
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let last = values.len().saturating_sub(1).max(1) as u64;
    let mut points = String::new();
    for (at, value) in values.iter().enumerate() {
        let x = at as u64 * WIDTH / last;
        let y =
            HEIGHT - 1 - (u128::from(*value) * u128::from(HEIGHT - 2) / u128::from(most)) as u64;
        let _to_text = write!(points, "{x},{y} ");
    }
    let now = values.last().copied().unwrap_or(0);
    format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{name}: {now} now, {most} at most\">\
         <polygon points=\"0,{HEIGHT} {points}{WIDTH},{HEIGHT}\"/><polyline points=\"{points}\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_point_for_each_value_within_its_frame() {
        let chart = line("received", &[0, 5, 10, u64::MAX]);
        assert!(
            chart.contains("points=\"0,23 40,23 80,23 120,1 \""),
            "{chart}"
        );
        assert!(line("received", &[]).contains("0 now"));
    }
}
