//! Plots as SVG: lines over a logarithmic axis, a legend, and colours for a light and for a dark page.
//!
//! A hundred lines of our own, since the crates that draw plots write each colour into its shape; here the reader's
//! browser chooses (`prefers-color-scheme`).

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;

/// The plane between the axes: room is left for numbers, for the title and for the legend.
const X: (f64, f64) = (80.0, 590.0);
const Y: (f64, f64) = (320.0, 50.0);

/// Colours that are told apart on either page, and by those who see fewer of them.
const STYLE: &str = "svg{font:13px sans-serif;fill:#24292f;background:#fff}.grid{stroke:#d0d7de}\
.line{fill:none;stroke-width:2}.c0{stroke:#0550ae}.c1{stroke:#bc4c00}.c2{stroke:#1a7f37}.c3{stroke:#8250df}.c4{stroke:#bf3989}\
@media(prefers-color-scheme:dark){svg{fill:#e6edf3;background:#0d1117}.grid{stroke:#3d444d}\
.c0{stroke:#79c0ff}.c1{stroke:#ffa657}.c2{stroke:#7ee787}.c3{stroke:#d2a8ff}.c4{stroke:#ff9bce}}";

/// How many of them there are.
const COLOURS: usize = 5;

/// Points of a line that is drawn with a mark at each.
const MARKED_MAX: usize = 10;

/// An axis, from its first tick to its last.
pub(crate) struct Axis {
    pub(crate) label: &'static str,
    /// Values in rising order, with what is written there.
    pub(crate) ticks: Vec<(f64, String)>,
    pub(crate) logarithmic: bool,
}

impl Axis {
    /// From 0 to above the highest value, in steps of 1, 2 or 5 times a power of ten.
    pub(crate) fn linear(label: &'static str, highest: f64, text: impl Fn(f64) -> String) -> Self {
        let decade = 10_f64.powf((highest.max(1.0) / 5.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|it| it * decade).into_iter().find(|step| step * 5.0 >= highest);
        let step = step.unwrap_or(highest);
        let count = (highest / step).ceil() as u32;
        let ticks = (0..=count).map(|number| f64::from(number) * step).map(|value| (value, text(value))).collect();
        Self { label, ticks, logarithmic: false }
    }

    /// The powers of ten around the values.
    pub(crate) fn decades(label: &'static str, lowest: f64, highest: f64, text: impl Fn(f64) -> String) -> Self {
        let (first, last) = (lowest.log10().floor() as i32, highest.log10().ceil() as i32);
        let ticks = (first..=last).map(|power| 10_f64.powi(power)).map(|value| (value, text(value))).collect();
        Self { label, ticks, logarithmic: true }
    }

    /// Where a value is between two places of the picture.
    fn place(&self, value: f64, (from, to): (f64, f64)) -> f64 {
        let scale = |value: f64| if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let (first, last) = (scale(self.ticks[0].0), scale(self.ticks[self.ticks.len() - 1].0));
        from + (to - from) * ((scale(value) - first) / (last - first)).clamp(0.0, 1.0)
    }
}

/// A picture beside the page.
pub(crate) struct Plot {
    /// Its name in `docs/`.
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// A name, and points in the order in which they are connected.
    pub(crate) lines: Vec<(String, Vec<(f64, f64)>)>,
}

impl Plot {
    pub(crate) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
             <title>{0}</title>\n<style>{STYLE}</style>\n<text x=\"{1}\" y=\"24\" font-weight=\"bold\">{0}</text>\n",
            escaped(self.title),
            X.0
        );
        for (value, text) in &self.x.ticks {
            let x = self.x.place(*value, X);
            let _ = writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} {}V{}\"/>", Y.0, Y.1);
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                Y.0 + 20.0,
                escaped(text)
            );
        }
        for (value, text) in &self.y.ticks {
            let y = self.y.place(*value, Y);
            let _ = writeln!(svg, "<path class=\"grid\" d=\"M{} {y:.1}H{}\"/>", X.0, X.1);
            let (x, y) = (X.0 - 8.0, y + 4.0);
            let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>", escaped(text));
        }
        let middle = f64::midpoint(X.0, X.1);
        let _ = writeln!(svg, "<text x=\"{middle}\" y=\"365\" text-anchor=\"middle\">{}</text>", escaped(self.x.label));
        let _ = writeln!(svg, "<text x=\"{}\" y=\"42\">{}</text>", X.0, escaped(self.y.label));
        for (number, (name, points)) in self.lines.iter().enumerate() {
            let at = points.iter().map(|&(x, y)| format!("{:.1},{:.1}", self.x.place(x, X), self.y.place(y, Y)));
            let (class, at) = (number % COLOURS, at.collect::<Vec<_>>());
            let _ = writeln!(svg, "<polyline class=\"line c{class}\" points=\"{}\"/>", at.join(" "));
            // Of a curve only the line is seen; of a few points each.
            for (x, y) in at.iter().filter(|_| at.len() <= MARKED_MAX).filter_map(|at| at.split_once(',')) {
                let _ = writeln!(svg, "<circle class=\"line c{class}\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/>");
            }
            let y = Y.1 + 20.0 * number as f64;
            let _ = writeln!(svg, "<path class=\"line c{class}\" d=\"M{} {y}h20\"/>", X.1 + 12.0);
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\">{}</text>", X.1 + 38.0, y + 4.0, escaped(name));
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
