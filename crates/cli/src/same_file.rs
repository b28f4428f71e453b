//! Whether two paths name the same file.

use std::path::Path;

/// Whether both paths name one file that exists. A symbolic or hard link to a file is that file.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => (one == other && one.is_file()) || is_hard_link(&one, &other),
        _ => false,
    }
}

#[cfg(unix)]
fn is_hard_link(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => one.is_file() && (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// The standard library has no stable way to find this out on other systems.
#[cfg(not(unix))]
fn is_hard_link(_one: &Path, _other: &Path) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_link_to_a_file_is_the_file_and_what_is_missing_is_none() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = |name: &str| folder.path().join(name);
        let (file, soft, hard, other) = (path("file"), path("soft"), path("hard"), path("other"));
        fs::write(&file, "same").expect("a file");
        fs::write(&other, "same").expect("a file");
        symlink(&file, &soft).expect("a symbolic link");
        fs::hard_link(&file, &hard).expect("a hard link");
        for link in [&file, &soft, &hard, &path("./file")] {
            assert!(is_same_file(&file, link), "{}", link.display());
        }
        assert!(!is_same_file(&file, &other), "equal content is not the same file");
        assert!(!is_same_file(&path("none"), &path("none")), "a file that does not exist");
        assert!(!is_same_file(folder.path(), folder.path()), "a folder is no file");
    }
}
