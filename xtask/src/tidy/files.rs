//! The project's files and their text.

use std::{collections::BTreeMap, path::Path};

use crate::run::{Result, output};

/// Path from the workspace's root, with `/` between its parts, and text. The text is empty where a file is not UTF-8.
#[derive(Debug, Default)]
pub(crate) struct Files(BTreeMap<String, String>);

impl Files {
    /// All files that git knows, or would know after `git add`.
    pub(crate) fn of_the_project() -> Result<Self> {
        let listed = output("git", &["ls-files", "--cached", "--others", "--exclude-standard"])?;
        let there = listed.lines().filter(|file| Path::new(file).is_file());
        Ok(Self(
            there.map(|file| (file.to_owned(), std::fs::read_to_string(file).unwrap_or_default())).collect(),
        ))
    }

    #[cfg(test)]
    pub(crate) fn planted(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The files whose path ends so.
    pub(crate) fn ending(&self, end: &str) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter(move |(path, _)| path.ends_with(end))
    }

    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// A file's text; empty where there is no such file.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.get(path).unwrap_or_default()
    }

    /// Whether there is such a file, or a folder with a file in it.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty() || self.0.contains_key(path) || self.0.keys().any(|file| file.starts_with(&folder))
    }
}
