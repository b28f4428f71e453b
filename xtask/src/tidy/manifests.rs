//! What a package needs to be found and used: its manifest's lines, its readme, its licences, its recorded API.

use serde_json::Value;

use super::{
    Files, Metadata,
    metadata::{folder, name},
};

pub(super) fn check(metadata: &Metadata, files: &Files) -> Vec<String> {
    let published = metadata.published().flat_map(|package| of_package(package, files));
    inherited(files).into_iter().chain(rust_version(files)).chain(published).collect()
}

/// The README and the workspaces apart ask for the same version of Rust as the workspace.
fn rust_version(files: &Files) -> Vec<String> {
    let asks = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("rust-version = "));
        line.map(|version| version.trim_matches('"').to_owned())
    };
    let version = asks(files.text("Cargo.toml")).unwrap_or_default();
    let manifests = files.ending("/Cargo.toml").filter_map(|(file, text)| Some((file, asks(text)?)));
    let differing = manifests.filter(|(_, asked)| *asked != version);
    let mut wrong: Vec<String> = differing
        .map(|(file, asked)| format!("{file}: asks for Rust {asked}, the workspace for {version}"))
        .collect();
    if !files.text("README.md").contains(&format!("Rust {version}")) {
        wrong.push(format!("README.md: does not say that Rust {version} is needed"));
    }
    wrong
}

/// Version, edition, licence and lints are the workspace's.
fn inherited(files: &Files) -> Vec<String> {
    // Workspaces of their own: what they use is not built with the project.
    let apart = |file: &str| file.starts_with("benches/peers/") || file.starts_with("xtask/api/");
    let mut wrong = Vec::new();
    for (file, text) in files.ending("/Cargo.toml").filter(|(file, _)| !apart(file)) {
        for line in ["version.workspace = true", "edition.workspace = true", "license.workspace = true"] {
            if !text.contains(line) {
                wrong.push(format!("{file}: no `{line}`"));
            }
        }
        if !text.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{file}: the workspace's lints are not inherited"));
        }
    }
    wrong
}

fn of_package(package: &Value, files: &Files) -> Vec<String> {
    let (name, mut wrong) = (name(package), Vec::new());
    let text = |key: &str| package[key].as_str().unwrap_or_default();
    for key in ["description", "license", "documentation"] {
        if text(key).is_empty() {
            wrong.push(format!("{name}: its manifest has no {key}"));
        }
    }
    if text("readme") != "README.md" {
        wrong.push(format!("{name}: its manifest names no README.md"));
    }
    // The registry's own rules: five at most, twenty letters at most.
    for key in ["keywords", "categories"] {
        let listed: Vec<&str> =
            package[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if listed.is_empty() || listed.len() > 5 {
            wrong.push(format!("{name}: its manifest has {} {key}; one to five are useful", listed.len()));
        }
        if key == "keywords" && listed.iter().any(|word| word.len() > 20) {
            wrong.push(format!("{name}: a keyword has more than 20 letters"));
        }
    }
    let library = files.has(&format!("{}/src/lib.rs", folder(name)));
    let needed =
        ["README.md", "LICENSE-APACHE", "LICENSE-MIT"].into_iter().chain(library.then_some("api.txt"));
    for file in needed.map(|file| format!("{}/{file}", folder(name))) {
        if files.text(&file).is_empty() {
            wrong.push(format!("{file} is missing"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_a_manifest_that_does_not_inherit() {
        let manifest = "version.workspace = true\nedition.workspace = true\nlicense.workspace = true\n\n";
        let faults = |text: &str| inherited(&Files::planted(&[("crates/retry/Cargo.toml", text)])).len();
        assert_eq!(faults(&format!("{manifest}[lints]\nworkspace = true\n")), 0);
        assert_eq!(faults(manifest), 1);
        assert_eq!(faults("version = \"1\"\n[lints]\nworkspace = true\n"), 3);
    }

    #[test]
    fn finds_another_version_of_rust() {
        let asks = |version: &str| format!("[package]\nrust-version = \"{version}\"\n");
        let faults = |apart: &str, readme: &str| {
            let (root, apart) = (asks("1.89"), asks(apart));
            let files =
                [("Cargo.toml", root.as_str()), ("x/Cargo.toml", apart.as_str()), ("README.md", readme)];
            rust_version(&Files::planted(&files)).len()
        };
        assert_eq!(faults("1.89", "With Rust 1.89 or later"), 0);
        assert_eq!(faults("1.88", "With Rust 1.89 or later"), 1);
        assert_eq!(faults("1.89", "With Rust 1.88 or later"), 1);
    }

    #[test]
    fn finds_what_a_package_lacks() {
        let whole = json!({
            "name": "outbound-retry", "description": "d", "license": "l", "documentation": "u", "readme": "README.md",
            "keywords": ["retry"], "categories": ["asynchronous"],
        });
        let files = [
            ("README.md", "x"),
            ("LICENSE-APACHE", "x"),
            ("LICENSE-MIT", "x"),
            ("api.txt", "x"),
            ("src/lib.rs", "x"),
        ];
        let paths = files.map(|(file, text)| (format!("crates/retry/{file}"), text));
        let there: Vec<(&str, &str)> = paths.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        assert_eq!(of_package(&whole, &Files::planted(&there)), [""; 0]);
        assert_eq!(of_package(&whole, &Files::planted(&there[4..])).len(), 4);
        for key in ["description", "license", "documentation", "readme", "keywords", "categories"] {
            let mut package = whole.clone();
            package.as_object_mut().expect("an object").remove(key);
            assert_eq!(of_package(&package, &Files::planted(&there)).len(), 1, "{key}");
        }
        let mut package = whole;
        package["keywords"] = json!(["a-word-of-twenty-one-letters"]);
        assert_eq!(of_package(&package, &Files::planted(&there)).len(), 1);
    }
}
