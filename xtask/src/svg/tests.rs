//! What a chart says, and that it stays inside its frame.

use super::*;

fn bar(label: &str, value: f64) -> Bar {
    Bar { label: label.to_owned(), value: Some(value), ..Bar::default() }
}

fn chart(scale: Scale, bars: Vec<Bar>) -> Chart {
    Chart {
        title: String::from("Seconds <for> 2,000 & more"),
        unit: String::from("seconds, less is better"),
        scale,
        reference: Some(Reference { label: String::from("optimum"), value: 50.0 }),
        groups: vec![Group { label: String::from("A"), bars }],
    }
}

/// The number after `name="` in each element that begins with `element`.
fn numbers(svg: &str, element: &str, name: &str) -> Vec<f64> {
    let name = format!(" {name}=\"");
    svg.lines()
        .filter(|line| line.starts_with(element))
        .filter_map(|line| line.split_once(&name)?.1.split_once('"')?.0.parse().ok())
        .collect()
}

/// The lengths of the bars; the first rectangle is the background.
fn lengths(svg: &str) -> Vec<f64> {
    numbers(svg, "<rect", "width").into_iter().skip(1).collect()
}

#[test]
fn a_bar_twice_as_long_is_a_value_twice_as_large() {
    let svg = svg(&chart(Scale::Linear, vec![bar("one", 100.0), bar("two", 50.0)]), Theme::Light);
    let lengths = lengths(&svg);
    assert!((lengths[0] - 2.0 * lengths[1]).abs() < 0.2, "{lengths:?}");
    // The reference line ends where the bar of its value does.
    let dashed = svg.lines().find(|line| line.contains("dasharray")).expect("the reference line");
    let end = numbers(&svg, "<rect x", "x")[1] + lengths[1];
    assert!((numbers(dashed, "<line", "x1")[0] - end).abs() < 0.2, "{dashed}");
}

#[test]
fn ten_times_as_much_is_the_same_length_more_on_a_logarithmic_scale() {
    let bars = [2.0, 20.0, 200.0, 2_000.0].map(|value| bar("x", value)).to_vec();
    let lengths = lengths(&svg(&chart(Scale::Logarithmic, bars), Theme::Dark));
    let steps: Vec<_> = lengths.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(lengths[0] > 10.0 && steps.iter().all(|step| (step - steps[0]).abs() < 0.3), "{lengths:?}");
}

#[test]
fn all_of_it_is_said_and_nothing_is_markup() {
    let mut lost = bar("a & b", 60.0);
    lost.note = String::from("14 <lost>");
    lost.spread = Some((55.0, 70.0));
    let none = Bar { label: String::from("c"), note: String::from("does not end"), ..Bar::default() };
    let svg = svg(&chart(Scale::Linear, vec![lost, none]), Theme::Light);
    for text in [
        "Seconds &lt;for&gt; 2,000 &amp; more",
        "a &amp; b",
        "60<",
        ", 14 &lt;lost&gt;",
        "optimum 50",
        "does not end",
    ] {
        assert!(svg.contains(text), "{text} is missing in {svg}");
    }
    assert!(svg.contains(
        "seconds, less is better; optimum: 50; A, a &amp; b: 60, 14 &lt;lost&gt;; A, c: does not end"
    ));
    assert_eq!(lengths(&svg).len(), 1, "what has no value has no bar");
    assert!(!svg.contains("<script") && !svg.contains("14 <lost>"));
}

#[test]
fn everything_stays_inside_the_frame() {
    for scale in [Scale::Linear, Scale::Logarithmic] {
        for value in [0.0, 1e-9, 1.0, 1e12] {
            let mut long = bar(&"a long label ".repeat(6), value);
            long.note = "a long note ".repeat(3);
            long.spread = Some((value / 2.0, value * 3.0));
            let svg = svg(&chart(scale, vec![long, bar("short", 7.0)]), Theme::Light);
            for name in ["x", "x1", "x2"] {
                for element in ["<rect", "<line", "<text"] {
                    for x in numbers(&svg, element, name) {
                        assert!((0.0..=WIDTH).contains(&x), "{element} {name} {x}: {svg}");
                    }
                }
            }
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}

#[test]
fn the_themes_differ_only_in_colours() {
    let chart = chart(Scale::Linear, vec![Bar { is_ours: true, ..bar("one", 3.0) }]);
    let without_colours = |theme| {
        let mut text = svg(&chart, theme);
        while let Some(at) = text.find('#') {
            text.replace_range(at..at + 7, "");
        }
        text
    };
    assert_ne!(svg(&chart, Theme::Light), svg(&chart, Theme::Dark));
    assert_eq!(without_colours(Theme::Light), without_colours(Theme::Dark));
}

#[test]
fn numbers_have_three_digits_that_count() {
    let shown = [0.0, 0.012_34, 0.5, 1.5, 9.999, 64.23, 999.4, 1_234.0, 12_345_678.0, 3.0];
    let expected = ["0", "0.0123", "0.5", "1.5", "10", "64.2", "999", "1,234", "12,345,678", "3"];
    assert_eq!(shown.map(number), expected);
}

#[test]
fn a_chart_without_anything_is_drawn_too() {
    let svg = svg(&Chart::default(), Theme::Dark);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("NaN"));
}
