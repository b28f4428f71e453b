//! CSV as RFC 4180 has it: a field with a comma, a quote or a line break stands in quotes.

use std::path::Path;

use crate::run::Result;

/// The lines of a file, each as its fields; none where there is no file.
pub(crate) fn read(path: &Path) -> Result<Vec<Vec<String>>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("{}: {error}", path.display()).into()),
    }
}

pub(crate) fn write(path: &Path, lines: &[Vec<String>]) -> Result {
    let line =
        |fields: &Vec<String>| fields.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(",") + "\n";
    std::fs::write(path, lines.iter().map(line).collect::<String>())?;
    Ok(())
}

pub(crate) fn parse(text: &str) -> Vec<Vec<String>> {
    let (mut lines, mut fields, mut field, mut is_quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
            '\n' if !is_quoted => {
                fields.push(std::mem::take(&mut field));
                lines.push(std::mem::take(&mut fields));
            }
            _ => field.push(char),
        }
    }
    lines
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
