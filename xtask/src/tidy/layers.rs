//! The picture of the manager's files is true: nothing imports from a line above its own.

use std::collections::BTreeMap;

use super::{Files, circles::imports};

/// The folders whose `mod.rs` has such a picture, as a block of text in which each line is a layer.
const PICTURES: &[&str] = &["crates/outbound/src/manager"];

pub(super) fn check(files: &Files) -> Vec<String> {
    PICTURES.iter().flat_map(|folder| of(folder, files)).collect()
}

fn of(folder: &str, files: &Files) -> Vec<String> {
    let page = format!("{folder}/mod.rs");
    let layers = layers(files.text(&page));
    let prefix = format!("{folder}/");
    // What is in a folder of its own stands in the picture under the folder's name.
    let module = |file: &str| -> String {
        let name = file.strip_prefix(&prefix).unwrap_or(file).split('/').next().unwrap_or_default();
        name.strip_suffix(".rs").unwrap_or(name).to_owned()
    };
    let mut wrong = Vec::new();
    let inside = files.ending(".rs").filter(|(file, _)| file.starts_with(&prefix) && *file != page);
    let mut modules: Vec<String> =
        inside.map(|(file, _)| module(file)).filter(|name| !name.ends_with("tests")).collect();
    modules.dedup();
    for name in modules.iter().filter(|name| !layers.contains_key(name.as_str())) {
        wrong.push(format!("{page}: `{name}` is not in its picture"));
    }
    for (file, imported) in imports(folder, files) {
        for target in imported {
            let (from, to) = (module(file), module(target));
            let (Some(above), Some(below)) = (layers.get(&from), layers.get(&to)) else { continue };
            if above > below {
                wrong.push(format!(
                    "{file}: imports from {to}, which is above {from} in the picture of {page}"
                ));
            }
        }
    }
    wrong
}

/// The layer of each name, counted from the top.
fn layers(page: &str) -> BTreeMap<String, usize> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("//!"));
    let picture =
        lines.skip_while(|line| !line.contains("```text")).skip(1).take_while(|line| !line.contains("```"));
    let mut layers = BTreeMap::new();
    for (layer, line) in picture.enumerate() {
        // After a colon stands what is inside of the folder before it.
        let line = line.split(':').next().unwrap_or_default();
        for name in line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')) {
            if !name.is_empty() {
                layers.entry(name.to_owned()).or_insert(layer);
            }
        }
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(top: &str, bottom: &str, picture: &str) -> Vec<String> {
        let page = format!("//! The manager:\n//!\n//! ```text\n//! {picture}\n//! ```\nmod top;\n");
        let path = |file: &str| format!("{}/{file}", PICTURES[0]);
        let paths = [path("mod.rs"), path("top.rs"), path("scope/bottom.rs")];
        check(&Files::planted(&[(&paths[0], &page), (&paths[1], top), (&paths[2], bottom)]))
    }

    #[test]
    fn finds_an_import_from_above() {
        let picture = "top\n//! scope: bottom";
        assert_eq!(faults("use super::scope::bottom::A;", "", picture), [""; 0]);
        let wrong = faults("", "use super::super::top::A;", picture);
        assert!(wrong[0].contains("imports from top, which is above scope"), "{wrong:?}");
    }

    #[test]
    fn finds_a_file_that_is_not_in_the_picture() {
        let wrong = faults("", "", "scope: bottom");
        assert!(wrong[0].contains("`top` is not in its picture"), "{wrong:?}");
    }
}
