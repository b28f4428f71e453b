//! Files that import from each other in a circle are understood only together. Their number may not grow.

use std::collections::{BTreeMap, BTreeSet};

use super::{Files, uses};

/// A folder of a crate, and how many of its files are part of some circle. A lower number is written here at once.
const CIRCLES: &[(&str, usize)] = &[("crates/client/src", 58), ("crates/outbound/src/manager", 0)];

pub(super) fn check(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (folder, recorded) in CIRCLES {
        let circles = circles(&imports(folder, files));
        let found: usize = circles.iter().map(Vec::len).sum();
        if found > *recorded {
            wrong.push(format!(
                "{folder}: {found} files import each other in circles, and {recorded} are the most"
            ));
            wrong.extend(circles.iter().map(|circle| format!("{folder}: a circle: {}", circle.join(", "))));
        } else if found < *recorded {
            wrong.push(format!(
                "xtask/src/tidy/circles.rs: write {found} for {folder}, {recorded} is no longer true"
            ));
        }
    }
    wrong
}

/// Which file of the folder imports from which others of it. What a file only hands on (`pub use`) is not an import: who
/// takes it from there is seen as importing from where it is defined.
pub(super) fn imports<'a>(folder: &str, files: &'a Files) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let (source, _) = folder.split_once("/src").unwrap_or((folder, ""));
    let source = format!("{source}/src/");
    let crate_files: Vec<_> =
        files.ending(".rs").filter(|(file, _)| file.starts_with(&source) && !is_test(file)).collect();
    let module = |file: &str| uses::module(file.strip_prefix(&source).unwrap_or(file));
    let modules: BTreeMap<Vec<String>, &str> =
        crate_files.iter().map(|(file, _)| (module(file), *file)).collect();
    let mut declared = Vec::new();
    let mut handed_on = BTreeMap::new();
    for (file, text) in &crate_files {
        let here = module(file);
        for found in uses::of(text) {
            let Some(path) = absolute(&here, &found.path, &modules) else { continue };
            handed_on.insert((here.clone(), found.name), path.clone());
            declared.push((*file, path, found.public));
        }
    }
    let inside = format!("{folder}/");
    let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, path, public) in declared {
        let target = defining(path, &modules, &handed_on).filter(|target| target.starts_with(&inside));
        if let Some(target) = target.filter(|target| !public && *target != file && file.starts_with(&inside))
        {
            imports.entry(file).or_default().insert(target);
        }
    }
    imports
}

fn is_test(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// A path as `use` has it, from the crate's root; nothing where it leads to another crate.
fn absolute(here: &[String], path: &[String], modules: &BTreeMap<Vec<String>, &str>) -> Option<Vec<String>> {
    let mut base = here.to_vec();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => (base, rest) = (Vec::new(), &rest[1..]),
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                base.pop()?;
                rest = &rest[1..];
            }
        }
        child => {
            let child = [here, &[child.to_owned()]].concat();
            modules.get(&child)?;
        }
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// The file in which the last part of a path is defined.
fn defining<'a>(
    mut path: Vec<String>,
    modules: &BTreeMap<Vec<String>, &'a str>,
    handed_on: &BTreeMap<(Vec<String>, String), Vec<String>>,
) -> Option<&'a str> {
    // A bound, in case names are handed round in a circle.
    for _ in 0..16 {
        let length = (0..=path.len()).rev().find(|length| modules.contains_key(&path[..*length]))?;
        let module = path[..length].to_vec();
        let next = path.get(length).and_then(|name| handed_on.get(&(module.clone(), name.clone())));
        match next {
            Some(next) => path = [next, &path[length + 1..]].concat(),
            None => return modules.get(&module).copied(),
        }
    }
    None
}

/// The sets of files that reach each other.
fn circles<'a>(imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<Vec<&'a str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|file| (*file, reach(file, imports))).collect();
    let mut circles = BTreeSet::new();
    for (file, others) in &reached {
        let back = |other: &&&'a str| reached.get(**other).is_some_and(|others| others.contains(file));
        let circle: Vec<&str> = others.iter().filter(back).copied().collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reach<'a>(from: &str, imports: &BTreeMap<&str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for next in imports.get(file).into_iter().flatten() {
            if reached.insert(*next) {
                open.push(next);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = "crates/client/src";

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let paths: Vec<_> = files.iter().map(|(file, text)| (format!("{FOLDER}/{file}"), *text)).collect();
        let paths: Vec<_> = paths.iter().map(|(file, text)| (file.as_str(), *text)).collect();
        let files = Files::planted(&paths);
        let short = |file: &&str| file[FOLDER.len() + 1..].to_owned();
        circles(&imports(FOLDER, &files))
            .iter()
            .map(|circle| circle.iter().map(short).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn finds_files_that_import_each_other() {
        assert_eq!(found(&[("a.rs", "use crate::b::B;"), ("b.rs", "")]), [""; 0]);
        assert_eq!(found(&[("a.rs", "use crate::b::B;"), ("b.rs", "use super::a;")]), ["a.rs b.rs"]);
        let three = [
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::{b::c::C, d};"),
            ("b/c.rs", "use crate::a::A;"),
        ];
        assert_eq!(found(&three), ["a.rs b.rs b/c.rs"]);
    }

    #[test]
    fn what_is_handed_on_leads_to_where_it_is_defined() {
        let through_the_root = [
            ("lib.rs", "mod a; pub use crate::b::B;"),
            ("a.rs", "use crate::B;"),
            ("b.rs", "use crate::a::A;"),
        ];
        assert_eq!(found(&through_the_root), ["a.rs b.rs"]);
        let no_circle = [
            ("lib.rs", "pub use crate::a::A; pub use crate::b::B;"),
            ("a.rs", "use crate::B;"),
            ("b.rs", ""),
        ];
        assert_eq!(found(&no_circle), [""; 0]);
    }

    #[test]
    fn a_number_that_is_no_longer_true_is_found() {
        let files =
            [("crates/client/src/a.rs", "use crate::b;"), ("crates/client/src/b.rs", "use crate::a;")];
        let wrong = check(&Files::planted(&files));
        assert!(wrong.iter().any(|wrong| wrong.contains("crates/client/src")), "{wrong:?}");
    }
}
