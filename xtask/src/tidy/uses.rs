//! What a source file imports: its `use` declarations, one for each name.

use super::rust;

/// One name that a `use` brings in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// As it is written: `["super", "pool", "Pool"]`, with `*` as the last part of a glob.
    pub(super) path: Vec<String>,
    /// The name that it has here.
    pub(super) name: String,
    /// `pub use`, whatever for.
    pub(super) public: bool,
}

/// The declarations outside of all braces: a function's own and those of a module in the same file are not seen.
pub(super) fn of(source: &str) -> Vec<Use> {
    let mut uses = Vec::new();
    let code = rust::code(source);
    for statement in statements(&code) {
        let statement = statement.trim();
        let (public, body) = match statement.strip_prefix("use ") {
            Some(body) => (false, Some(body)),
            None if statement.starts_with("pub") => {
                (true, statement.split_once(" use ").map(|(_, body)| body))
            }
            None => (false, None),
        };
        let mut tree = Vec::new();
        expand(&[], body.unwrap_or_default(), &mut tree);
        uses.extend(tree.into_iter().map(|(path, name)| Use { path, name, public }));
    }
    uses
}

/// The module of a file of `src`: `pool/idle.rs` is `["pool", "idle"]`.
pub(super) fn module(file: &str) -> Vec<String> {
    let file = file.strip_suffix(".rs").unwrap_or(file);
    let file = file.strip_suffix("/mod").unwrap_or(file);
    if matches!(file, "lib" | "main") {
        return Vec::new();
    }
    file.split('/').map(str::to_owned).collect()
}

/// What stands between semicolons at the top of a file, `use` trees whole, without attributes.
fn statements(code: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut depth = 0_usize;
    for letter in code.chars() {
        let current = statements.last_mut().expect("it starts with one");
        let in_use = current.trim_start().starts_with("use ") || current.contains(" use ");
        match letter {
            '{' if !in_use => depth += 1,
            '}' if !in_use => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    statements.push(String::new());
                }
            }
            ';' if depth == 0 => statements.push(String::new()),
            // The end of an attribute.
            ']' if depth == 0 => current.clear(),
            '\n' if depth == 0 => current.push(' '),
            letter if depth == 0 => current.push(letter),
            _ => {}
        }
    }
    statements
}

/// `a::{b, c::D as E}` is `a::b` and `a::c::D`, called `E` here.
fn expand(before: &[String], tree: &str, into: &mut Vec<(Vec<String>, String)>) {
    let tree = tree.trim();
    if tree.is_empty() {
        return;
    }
    if let Some((head, group)) = tree.split_once('{') {
        let mut path = before.to_vec();
        path.extend(head.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
        for part in top_commas(group.trim_end().strip_suffix('}').unwrap_or(group)) {
            expand(&path, part, into);
        }
        return;
    }
    let (tree, alias) =
        tree.split_once(" as ").map_or((tree, None), |(tree, alias)| (tree, Some(alias.trim())));
    let mut path = before.to_vec();
    path.extend(tree.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()));
    // `a::{self}` brings in `a`.
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let name = alias.map(str::to_owned).or_else(|| path.last().cloned());
    into.extend(name.map(|name| (path, name)));
}

/// Splits at the commas that stand in no braces.
fn top_commas(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_usize, 0, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(source: &str) -> Vec<String> {
        let line = |found: Use| {
            let public = if found.public { "pub " } else { "" };
            format!("{public}{} = {}", found.name, found.path.join("::"))
        };
        of(source).into_iter().map(line).collect()
    }

    #[test]
    fn a_tree_is_one_use_for_each_name() {
        let source = "//! Text; use no::such;\nuse a::{self, b, c::{D as E, *}};\npub(crate) use super::f;\n";
        assert_eq!(seen(source), ["a = a", "b = a::b", "E = a::c::D", "* = a::c::*", "pub f = super::f"]);
    }

    #[test]
    fn what_stands_in_braces_or_after_attributes_is_told_apart() {
        let source = "#![allow(x)]\nmod a;\n#[cfg(test)]\nuse b::C;\nfn d() { use e::F; }\nmod g { use super::*; }\nuse h::I;\n";
        assert_eq!(seen(source), ["C = b::C", "I = h::I"]);
    }

    #[test]
    fn a_file_is_a_module() {
        assert_eq!(module("pool/idle.rs"), ["pool", "idle"]);
        assert_eq!(module("manager/mod.rs"), ["manager"]);
        assert_eq!(module("lib.rs"), [""; 0]);
    }
}
