//! Answers in a folder: what is found again, damaged files, a folder that cannot be written.

use std::time::{Duration, SystemTime};

use http::header::CONTENT_TYPE;

use super::*;

fn reply() -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.append("x-two", HeaderValue::from_static("1"));
    headers.append("x-two", HeaderValue::from_static("2"));
    headers.append("x-latin", HeaderValue::from_bytes(b"caf\xe9").expect("a value"));
    Reply { status: StatusCode::CREATED, headers, body: Bytes::from_static(b"{\"a\":\n\xff}") }
}

const NOW: Duration = Duration::from_secs(1_800_000_000);

#[test]
fn what_was_kept_is_found_byte_for_byte() {
    let dir = tempfile::tempdir().expect("a folder");
    let (folder, key) = (Folder::new(dir.path().join("a/b")), Key([7; 32]));
    assert!(folder.find(key).is_none());
    folder.keep(key, &reply(), SystemTime::UNIX_EPOCH + NOW);
    let (found, since) = folder.find(key).expect("kept");
    let mut expected = reply();
    expected.headers.remove("x-latin");
    assert_eq!((found.status, found.headers, found.body), (expected.status, expected.headers, expected.body));
    assert_eq!(since, SystemTime::UNIX_EPOCH + NOW);
    assert!(folder.find(Key([8; 32])).is_none());
    let file = folder.file(key);
    let names: Vec<_> = fs::read_dir(file.parent().expect("a folder")).expect("a list").collect();
    assert_eq!(names.len(), 1, "no unfinished file is left");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    }
}

/// A power cut may shorten a file to any length, and a disk may change a byte.
#[test]
fn a_damaged_file_is_no_answer() {
    let dir = tempfile::tempdir().expect("a folder");
    let (folder, key) = (Folder::new(dir.path().to_owned()), Key([7; 32]));
    folder.keep(key, &reply(), SystemTime::UNIX_EPOCH + NOW);
    let file = folder.file(key);
    let whole = fs::read(&file).expect("a file");
    let body = whole.len() - reply().body.len();
    for end in 0..whole.len() {
        fs::write(&file, &whole[..end]).expect("written");
        assert!(folder.find(key).is_none(), "cut at {end}");
    }
    for at in body..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&file, damaged).expect("written");
        assert!(folder.find(key).is_none(), "damaged at {at}");
    }
    folder.keep(key, &reply(), SystemTime::UNIX_EPOCH + NOW);
    assert!(folder.find(key).is_some(), "the next answer takes its place");
}

#[test]
fn a_folder_that_cannot_be_written_costs_no_answer() {
    let dir = tempfile::tempdir().expect("a folder");
    let in_the_way = dir.path().join("file");
    fs::write(&in_the_way, "").expect("written");
    let folder = Folder::new(in_the_way);
    folder.keep(Key([7; 32]), &reply(), SystemTime::UNIX_EPOCH + NOW);
    assert!(folder.find(Key([7; 32])).is_none());
}
