//! The output file: how it is begun, locked, repaired and written.

use super::*;
use crate::identity::Digest;

fn answer(id: &str, error: Option<&str>) -> String {
    let request = Digest::of(&[id.as_bytes(), b"body"]);
    let error = error.map(|code| serde_json::json!({"code": code, "message": "no"}));
    let response = serde_json::json!({"status_code": 200, "request_id": "", "body": {}});
    let line = serde_json::json!({
        "custom_id": id,
        "response": response,
        "error": error,
        "outbound": {"request": request.to_string(), "sends": 1},
    });
    line.to_string() + "\n"
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("out.jsonl");
    fs::write(&path, text).expect("a file in it");
    (folder, path)
}

fn known(earlier: &Earlier, id: &str) -> Option<State> {
    earlier.of(Digest::of_id(id), Digest::of(&[id.as_bytes(), b"body"])).expect("the same body")
}

fn begun(path: &Path, existing: Existing) -> (String, Earlier) {
    let found = Found::look(path, existing).expect("it can be resumed");
    let (output, earlier) = found.begin(Fsync::Off).expect("it is writable");
    output.finish().expect("nothing to do");
    (fs::read_to_string(path).expect("the output"), earlier)
}

#[test]
fn the_default_output_stands_beside_the_input() {
    assert_eq!(default_path(Path::new("a/in.jsonl"), false), Path::new("a/in.results.jsonl"));
    assert_eq!(default_path(Path::new("in.jsonl"), true), Path::new("in.simulated.jsonl"));
    assert_eq!(default_path(Path::new("-"), true), Path::new("-"));
}

#[test]
fn a_file_that_holds_something_else_is_not_touched_unasked() {
    for text in ["paid for\n", "{}\n", "{\"custom_id\":\"a\",\"response\":{},\"error\":null}\n"] {
        let (_folder, path) = file(text);
        for existing in [Existing::Resume, Existing::RetryFailed] {
            let stop = Found::look(&path, existing).err().expect("it is refused").to_string();
            assert!(stop.contains("line 1 is no answer that it wrote"), "{stop}");
        }
        assert_eq!(fs::read_to_string(&path).expect("still there"), text);
        let (now, _) = begun(&path, Existing::Fresh { keep: true });
        assert_eq!(now, "");
        assert_eq!(fs::read_to_string(path.with_extension("jsonl.1")).expect("kept"), text);
    }
}

#[test]
fn fresh_keeps_every_old_file() {
    let (folder, path) = file(&answer("a", None));
    begun(&path, Existing::Fresh { keep: true });
    fs::write(&path, answer("b", None)).expect("a second run");
    begun(&path, Existing::Fresh { keep: true });
    begun(&path, Existing::Fresh { keep: true });
    assert_eq!(fs::read_to_string(folder.path().join("out.jsonl.1")).expect("kept"), answer("a", None));
    assert_eq!(fs::read_to_string(folder.path().join("out.jsonl.2")).expect("kept"), answer("b", None));
    assert!(!folder.path().join("out.jsonl.3").exists(), "an empty file is not kept");
}

#[test]
fn a_line_that_a_crash_cut_is_cut_wherever_that_was() {
    let (whole, last) = (answer("a", None) + &answer("b", Some("rejected")), answer("c", None));
    for cut in 0..last.len() {
        let (_folder, path) = file(&(whole.clone() + &last[..cut]));
        let (now, earlier) = begun(&path, Existing::Resume);
        assert_eq!(known(&earlier, "a"), Some(State::Answered));
        assert_eq!(known(&earlier, "b"), Some(State::Failed));
        // If only the line end is missing, the answer counts.
        let has_all = cut == last.len() - 1;
        assert_eq!(known(&earlier, "c"), has_all.then_some(State::Answered), "cut at {cut}");
        assert_eq!(now, if has_all { whole.clone() + &last } else { whole.clone() }, "cut at {cut}");
    }
}

#[test]
fn damage_in_the_middle_is_named_and_nothing_is_changed() {
    let text = answer("a", None) + "{\"custom_id\": \"b\n" + &answer("c", None);
    let (_folder, path) = file(&text);
    let stop = Found::look(&path, Existing::Resume).err().expect("it is refused").to_string();
    assert!(stop.contains("line 2"), "{stop}");
    assert_eq!(fs::read_to_string(&path).expect("still there"), text);
}

#[test]
fn what_failed_is_sent_again_if_asked_and_what_the_key_or_the_end_stopped_is_always() {
    let lines = [("a", None), ("b", Some("rejected")), ("c", Some("auth")), ("d", Some("quota_spent"))];
    let text: String = lines.iter().map(|(id, error)| answer(id, *error)).collect();
    let (_folder, path) = file(&text);
    let (now, earlier) = begun(&path, Existing::Resume);
    assert_eq!(now, answer("a", None) + &answer("b", Some("rejected")));
    assert_eq!((known(&earlier, "b"), known(&earlier, "c"), earlier.len()), (Some(State::Failed), None, 2));
    let (now, earlier) = begun(&path, Existing::RetryFailed);
    assert_eq!((now, known(&earlier, "b")), (answer("a", None), None));
}

#[test]
fn another_body_under_the_same_id_is_told() {
    let (_folder, path) = file(&(answer("a", None) + &answer("b", Some("rejected"))));
    let (_, earlier) = begun(&path, Existing::Resume);
    assert_eq!(earlier.of(Digest::of_id("a"), Digest(1)), Err(Changed(State::Answered)));
    assert_eq!(earlier.of(Digest::of_id("b"), Digest(1)), Err(Changed(State::Failed)));
    assert_eq!(earlier.of(Digest::of_id("c"), Digest(1)), Ok(None));
}

#[test]
fn two_runs_do_not_write_one_file() {
    let (folder, path) = file("");
    let first = Found::look(&path, Existing::Resume).expect("it is free");
    let link = folder.path().join("link.jsonl");
    fs::hard_link(&path, &link).expect("a second name");
    for name in [&path, &link] {
        let stop = Found::look(name, Existing::Resume).err().expect("it is locked").to_string();
        assert!(stop.contains("another run writes to it"), "{stop}");
    }
    drop(first);
    assert!(Found::look(&link, Existing::Resume).is_ok());
}

#[test]
fn only_lines_that_the_input_has_are_taken_out() {
    let (_folder, path) = file(&(answer("a", Some("rejected")) + &answer("b", Some("rejected"))));
    let mut found = Found::look(&path, Existing::RetryFailed).expect("it can be resumed");
    found.earlier.only_these_again(&[Digest::of_id("b")].into());
    let (_, earlier) = found.begin(Fsync::Off).expect("it is writable");
    assert_eq!(fs::read_to_string(&path).expect("the output"), answer("a", Some("rejected")));
    assert_eq!((known(&earlier, "a"), known(&earlier, "b")), (Some(State::Failed), None));
}

#[cfg(unix)]
#[test]
fn a_link_stays_one_and_whoever_may_not_read_the_file_still_may_not() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = file(&(answer("a", None) + &answer("b", Some("rejected"))));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    begun(&link, Existing::RetryFailed);
    assert!(link.is_symlink());
    assert_eq!(fs::read_to_string(&path).expect("the output"), answer("a", None));
    assert_eq!(path.metadata().expect("it is there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_came_meanwhile_is_not_added_to() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("out.jsonl");
    let found = Found::look(&path, Existing::Resume).expect("there is none");
    fs::write(&path, answer("a", None)).expect("another run's");
    let stop = found.begin(Fsync::Off).err().expect("it is refused").to_string();
    assert!(stop.contains("another run has changed it in the meantime"), "{stop}");
    assert_eq!(fs::read_to_string(&path).expect("still there"), answer("a", None));
}

#[cfg(unix)]
#[test]
fn a_file_that_lost_its_name_is_not_written() {
    let (folder, path) = file("");
    let old = File::open(&path).expect("it is there");
    fs::write(folder.path().join("new"), "").expect("a file");
    fs::rename(folder.path().join("new"), &path).expect("in its place");
    assert!(lock(&old, &path, "out").is_err());
    lock(&File::open(&path).expect("it is there"), &path, "out").expect("nobody has it");
}
