//! Words and numbers in a chart.

/// How wide a text is, at most, in most fonts. A renderer has the font; this program does not.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let wide = |letter: char| match letter {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' => 0.32,
        ' ' | 't' | 'f' | 'r' | '(' | ')' | '-' | '/' => 0.4,
        'm' | 'w' | 'M' | 'W' | '%' => 0.9,
        'A'..='Z' => 0.7,
        // Chinese, Japanese and Korean characters fill a square.
        '\u{2e80}'.. => 1.0,
        _ => 0.58,
    };
    text.chars().map(wide).sum::<f64>() * size
}

/// As much of a text as has room, with a mark where something is missing.
pub(super) fn clipped(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room + 0.5 {
        return text.to_owned();
    }
    let mut kept = text.to_owned();
    while !kept.is_empty() && width(&kept, size) + width("…", size) > room {
        kept.pop();
    }
    kept.trim_end().to_owned() + "…"
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Three digits that count, thousands apart: `0.0123`, `1.5`, `64.2`, `12,300,000`.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return String::from(if value == 0.0 { "0" } else { "?" });
    }
    let power = value.abs().log10().floor() as i32;
    if power >= 3 {
        return thousands(value);
    }
    let places = usize::try_from((2 - power).max(0)).unwrap_or_default();
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
