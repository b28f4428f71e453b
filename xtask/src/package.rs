//! What would be published: each crate's package is made, and looked into.

use crate::{
    run::{Result, cargo, output},
    tidy::library_packages,
};

/// What every package holds. `api.txt` is for those who change the crate, and stays at home.
const NEEDED: &[&str] = &["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// Lists every package, then makes all of them. What is inside is built with the workspace, so nothing is built again.
pub(crate) fn package() -> Result {
    let packages = library_packages();
    let mut faults = Vec::new();
    for package in &packages {
        let listed = output("cargo", &["package", "--allow-dirty", "--list", "--package", package])?;
        let files: Vec<&str> = listed.lines().collect();
        println!("{package}: {} files", files.len());
        faults.extend(faults_of(&files).into_iter().map(|fault| format!("{package}: {fault}")));
    }
    if !faults.is_empty() {
        return Err(faults.join("\n").into());
    }
    let selected = packages.iter().flat_map(|package| ["--package", package.as_str()]);
    let arguments = ["package", "--quiet", "--no-verify", "--allow-dirty"].into_iter().chain(selected);
    cargo(&arguments.collect::<Vec<_>>())
}

fn faults_of(files: &[&str]) -> Vec<String> {
    let missing = NEEDED.iter().filter(|file| !files.contains(file)).map(|file| format!("{file} is missing"));
    let mut faults: Vec<String> = missing.collect();
    if !files.iter().any(|file| matches!(*file, "src/lib.rs" | "src/main.rs")) {
        faults.push(String::from("it has no source"));
    }
    if files.contains(&"api.txt") {
        faults.push(String::from("api.txt is in it"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_missing_and_what_is_too_many() {
        let whole = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "src/lib.rs"];
        assert_eq!(faults_of(&whole), [""; 0]);
        for (number, _) in whole.iter().enumerate() {
            let mut files = whole.to_vec();
            files.remove(number);
            assert_eq!(faults_of(&files).len(), 1);
        }
        assert_eq!(faults_of(&[&whole[..], &["api.txt"]].concat()).len(), 1);
    }
}
