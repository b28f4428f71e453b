//! What prose claims, checked by a machine. Each check is a file of this folder, with a test that plants the fault.

mod arrows;
mod circles;
mod dependencies;
mod examples;
mod features;
mod files;
mod heads;
mod house_names;
mod layers;
mod lengths;
mod links;
mod manifests;
mod map;
mod markdown;
mod metadata;
mod prose;
pub(crate) mod readmes;
mod rust;
mod sources;
mod translation;
mod uses;

pub(crate) use self::{
    files::Files,
    metadata::{Metadata, features, library_packages, targets},
};

use crate::run::Result;

/// Runs every check and reports all that is wrong, not only the first fault.
pub(crate) fn tidy() -> Result {
    let files = Files::of_the_project()?;
    let metadata = Metadata::read()?;
    let wrong = [
        arrows::check(&metadata, &files),
        manifests::check(&metadata, &files),
        sources::check(&files),
        lengths::check(&files),
        heads::check(&files),
        house_names::check(&files),
        circles::check(&files),
        layers::check(&files),
        prose::check(&files),
        links::check(&files),
        map::check(&files),
        examples::check(&files),
        features::check(&metadata, &files),
        readmes::check(&metadata, &files),
        translation::check(&files),
        dependencies::check(&files)?,
    ]
    .concat();
    for line in &wrong {
        println!("tidy: {line}");
    }
    if wrong.is_empty() {
        println!("tidy: {} files, no fault", files.len());
        return Ok(());
    }
    Err(format!("{} faults", wrong.len()).into())
}
