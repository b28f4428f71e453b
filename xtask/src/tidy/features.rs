//! Every feature of a crate is on its page.

use super::{
    Files, Metadata,
    metadata::{features_of, folder, name},
};

pub(super) fn check(metadata: &Metadata, files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in metadata.published() {
        // A command has its page in `main.rs`.
        let [lib, main] = ["lib", "main"].map(|file| format!("{}/src/{file}.rs", folder(name(package))));
        let file = if files.get(&lib).is_some() { lib } else { main };
        let page: Vec<&str> = files.text(&file).lines().filter(|line| line.starts_with("//!")).collect();
        for feature in features_of(package) {
            let named = format!("`{feature}`");
            if !page.iter().any(|line| line.contains(&named)) {
                wrong.push(format!("{file}: the page does not name the feature {named}"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_a_feature_that_the_page_does_not_name() {
        let package =
            json!({"name": "outbound-client", "features": {"default": [], "gzip": [], "socks": []}});
        let metadata = Metadata::planted(&[package]);
        let faults = |page: &str| check(&metadata, &Files::planted(&[("crates/client/src/lib.rs", page)]));
        assert_eq!(faults("//! `gzip` and `socks`\n"), [""; 0]);
        let wrong = faults("//! `gzip`\n// `socks`\n");
        assert_eq!(wrong, ["crates/client/src/lib.rs: the page does not name the feature `socks`"]);
    }
}
