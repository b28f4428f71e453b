//! What cargo knows of the workspace.

use serde_json::Value;

use super::arrows::ARROWS;
use crate::run::{Result, output};

/// The packages of the workspace, as `cargo metadata` prints them.
#[derive(Debug)]
pub(crate) struct Metadata(Vec<Value>);

impl Metadata {
    pub(crate) fn read() -> Result<Self> {
        let text = output("cargo", &["metadata", "--format-version", "1", "--no-deps"])?;
        let metadata: Value = serde_json::from_str(&text)?;
        Ok(Self(metadata["packages"].as_array().cloned().unwrap_or_default()))
    }

    #[cfg(test)]
    pub(crate) fn planted(packages: &[Value]) -> Self {
        Self(packages.to_vec())
    }

    pub(crate) fn packages(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    /// The packages that people depend on.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Value> {
        self.packages().filter(|package| package["publish"] != Value::Array(Vec::new()))
    }

    fn find(&self, name: &str) -> Result<&Value> {
        self.packages().find(|found| found["name"] == name).ok_or_else(|| format!("no package {name}").into())
    }
}

/// A package's folder, from the workspace's root.
pub(crate) fn folder(package: &str) -> String {
    format!("crates/{}", package.strip_prefix("outbound-").unwrap_or(package))
}

/// A package's name.
pub(crate) fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap_or_default()
}

/// Names of a package's features, `default` aside.
pub(crate) fn features_of(package: &Value) -> Vec<String> {
    let features = package["features"].as_object();
    let names = features.into_iter().flat_map(|features| features.keys());
    names.filter(|name| *name != "default").cloned().collect()
}

/// Names of the packages that people depend on.
pub(crate) fn library_packages() -> Vec<String> {
    ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// Names of a package's targets of one kind.
pub(crate) fn targets(package: &str, kind: &str) -> Result<Vec<String>> {
    let metadata = Metadata::read()?;
    let targets = metadata.find(package)?["targets"].as_array().cloned().unwrap_or_default();
    let of_kind = targets.iter().filter(|target| target["kind"][0] == kind);
    Ok(of_kind.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect())
}

/// Names of a package's features, `default` aside.
pub(crate) fn features(package: &str) -> Result<Vec<String>> {
    Ok(features_of(Metadata::read()?.find(package)?))
}
