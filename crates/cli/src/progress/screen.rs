//! A few lines at the bottom of the terminal, which each update replaces. Only the thread that writes standard error uses it.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use console::Term;

/// A smaller width is not believed: some terminals report 0.
const NARROWEST: usize = 10;

/// The width if the terminal does not report one.
const USUAL: usize = 80;

/// What is on the terminal.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// The width in columns of each line that is shown.
    shown: Vec<usize>,
}

impl Screen {
    /// Shows these lines in place of those shown before. Errors are ignored: the terminal may be gone.
    pub(crate) fn show(&mut self, lines: &[String]) {
        let columns = Term::stderr().size_checked().map(|(_, columns)| usize::from(columns));
        let columns = columns.filter(|columns| *columns >= NARROWEST).unwrap_or(USUAL);
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let text = self.draw(lines, columns, colour);
        let mut stderr = io::stderr();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }

    /// The text to write for that. The third line, the reason, has a colour of its own.
    fn draw(&mut self, lines: &[String], columns: usize, colour: bool) -> String {
        // A terminal that became narrower has wrapped the lines.
        let rows: usize = self.shown.iter().map(|width| width.div_ceil(columns).max(1)).sum();
        let mut text = if rows > 0 { format!("\x1b[{rows}A\r\x1b[J") } else { String::new() };
        self.shown.clear();
        for (place, line) in lines.iter().enumerate() {
            // The last column stays empty: some terminals wrap there.
            let (line, width) = cut(line, columns - 1);
            let (on, off) = if colour && place == 2 { ("\x1b[33m", "\x1b[0m") } else { ("", "") };
            let _ = writeln!(text, "{on}{line}{off}");
            self.shown.push(width);
        }
        text
    }
}

/// The part of a line that fits, and its width in columns.
fn cut(line: &str, columns: usize) -> (&str, usize) {
    let mut taken = 0;
    for (at, character) in line.char_indices() {
        let wide = width(character);
        if taken + wide > columns {
            return (&line[..at], taken);
        }
        taken += wide;
    }
    (line, taken)
}

/// The width of a character in columns, or more than that: 2 from the first alphabet on that has wide characters.
fn width(character: char) -> usize {
    let wide = ('\u{1100}'..'\u{2000}').contains(&character) || character >= '\u{2e80}';
    if wide { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn lines_are_drawn_over_those_before() {
        let mut screen = Screen::default();
        assert_eq!(screen.draw(&lines(&["a", "b"]), 80, false), "a\nb\n");
        assert_eq!(
            screen.draw(&lines(&["c", "d", "e"]), 80, true),
            "\x1b[2A\r\x1b[Jc\nd\n\x1b[33me\x1b[0m\n"
        );
        assert_eq!(screen.draw(&[], 80, false), "\x1b[3A\r\x1b[J");
        assert_eq!(screen.draw(&[], 80, false), "");
    }

    #[test]
    fn a_narrow_terminal_gets_what_fits() {
        let mut screen = Screen::default();
        assert_eq!(screen.draw(&lines(&["0123456789abc"]), 11, false), "0123456789\n");
        assert_eq!(screen.draw(&lines(&["日本語日本語"]), 12, false), "\x1b[1A\r\x1b[J日本語日本\n");
        // Ten columns on a terminal of four are three rows.
        assert_eq!(screen.draw(&[], 4, false), "\x1b[3A\r\x1b[J");
    }
}
