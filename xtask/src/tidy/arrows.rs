//! Which crate of ours depends on which.

use std::collections::BTreeMap;

use super::{
    Files, Metadata,
    metadata::{folder, name},
};

/// Which of our crates a crate may depend on. The picture is in ARCHITECTURE.md; this is the proof.
pub(crate) const ARROWS: &[(&str, &[&str])] = &[
    ("outbound-waitlist", &[]),
    ("outbound-timer", &[]),
    ("outbound-timeout", &["outbound-timer"]),
    ("outbound-retry", &["outbound-timer"]),
    ("outbound-limiter", &["outbound-waitlist", "outbound-timer"]),
    ("outbound-queue", &["outbound-waitlist"]),
    ("outbound-client", &["outbound-timer"]),
    ("outbound-provider", &[]),
    ("outbound-journal", &[]),
    (
        "outbound",
        &[
            "outbound-timeout",
            "outbound-retry",
            "outbound-limiter",
            "outbound-queue",
            "outbound-client",
            "outbound-provider",
            "outbound-journal",
        ],
    ),
    ("outbound-tower", &["outbound-timeout", "outbound-retry", "outbound-limiter"]),
    ("outbound-simulator", &[]),
    ("outbound-otel", &["outbound"]),
    ("outbound-postgres", &["outbound"]),
    ("outbound-cli", &["outbound", "outbound-journal", "outbound-postgres", "outbound-simulator"]),
];

pub(super) fn check(metadata: &Metadata, files: &Files) -> Vec<String> {
    [missing(metadata), manifests(metadata), picture(files.text("ARCHITECTURE.md"))].concat()
}

/// Crates of the table that the workspace does not have.
fn missing(metadata: &Metadata) -> Vec<String> {
    let there: Vec<&str> = metadata.published().map(name).collect();
    let missing = ARROWS.iter().filter(|(name, _)| !there.contains(name));
    missing
        .map(|(name, _)| format!("{name} has a line in the table of arrows and is not published"))
        .collect()
}

/// The manifests against the table.
fn manifests(metadata: &Metadata) -> Vec<String> {
    let mut wrong = Vec::new();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for package in metadata.published() {
        let name = name(package);
        let Some(allowed) = allowed.get(name) else {
            wrong.push(format!("{name} is published and has no line in the table of arrows"));
            continue;
        };
        let mut used = Vec::new();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            let ours = on == "outbound" || on.starts_with("outbound-");
            if ours && dependency["kind"] != "dev" {
                used.push(on);
                if !allowed.contains(&on) {
                    wrong.push(format!("{name} -> {on} is not an arrow of the design"));
                }
            }
        }
        for missing in allowed.iter().filter(|on| !used.contains(on)) {
            wrong.push(format!("{name} -> {missing} is an arrow that nothing uses"));
        }
        let manifest = package["manifest_path"].as_str().unwrap_or_default().replace('\\', "/");
        if !manifest.ends_with(&format!("{}/Cargo.toml", folder(name))) {
            wrong.push(format!("{name} does not live in {}", folder(name)));
        }
    }
    wrong
}

/// The rows of the table in ARCHITECTURE.md against the table above.
fn picture(map: &str) -> Vec<String> {
    let short = |name: &str| format!("`{}`", name.trim_start_matches("outbound-"));
    let mut wrong = Vec::new();
    for (package, arrows) in ARROWS {
        let arrows: Vec<String> = arrows.iter().map(|name| short(name)).collect();
        let arrows = if arrows.is_empty() { String::from("-") } else { arrows.join(", ") };
        let row = map.lines().find(|line| line.starts_with(&format!("| {} |", short(package))));
        if !row.is_some_and(|row| row.ends_with(&format!("| {arrows} |"))) {
            wrong.push(format!("ARCHITECTURE.md: the row of {package} should end with `{arrows}`"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(on: &[&str]) -> Metadata {
        let dependencies: Vec<_> = on.iter().map(|on| json!({"name": on, "kind": null})).collect();
        Metadata::planted(&[json!({
            "name": "outbound-retry",
            "publish": null,
            "manifest_path": "/x/crates/retry/Cargo.toml",
            "dependencies": dependencies,
        })])
    }

    #[test]
    fn finds_an_arrow_too_many_and_one_too_few() {
        assert_eq!(manifests(&package(&["outbound-timer", "tokio"])), [""; 0]);
        let wrong = manifests(&package(&["outbound-client"]));
        assert!(wrong[0].contains("outbound-retry -> outbound-client is not an arrow"), "{wrong:?}");
        assert!(
            wrong[1].contains("outbound-retry -> outbound-timer is an arrow that nothing uses"),
            "{wrong:?}"
        );
    }

    #[test]
    fn finds_a_package_without_a_line() {
        let metadata = Metadata::planted(&[json!({"name": "outbound-new", "publish": null})]);
        assert!(manifests(&metadata)[0].contains("outbound-new is published and has no line"));
    }

    #[test]
    fn finds_a_line_without_a_package() {
        let of = |names: &[&str]| {
            names.iter().map(|name| json!({"name": name, "publish": null})).collect::<Vec<_>>()
        };
        let all: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
        assert_eq!(missing(&Metadata::planted(&of(&all))), [""; 0]);
        assert_eq!(missing(&Metadata::planted(&of(&all[1..]))).len(), 1);
    }

    #[test]
    fn finds_a_row_that_differs() {
        let wrong = picture("| `retry` | trying again | `timer`, `client` |\n| `timer` | a wake-up | - |\n");
        assert!(wrong.iter().any(|wrong| wrong.contains("outbound-retry should end with ``timer``")));
        assert!(!wrong.iter().any(|wrong| wrong.contains("outbound-timer should")));
    }
}
