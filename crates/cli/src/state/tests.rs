//! The state beside an output: what a later run learns from it.

use super::*;
use crate::output::Found;

fn id(number: u64) -> Digest {
    Digest::of_id(&format!("r{number}"))
}

struct Place {
    _folder: tempfile::TempDir,
    output: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let output = folder.path().join("out.jsonl");
        fs::write(&output, "").expect("a file in it");
        Self { _folder: folder, output }
    }

    fn open(&self, existing: Existing, seed: u64, simulated: bool) -> Result<State, Stop> {
        let earlier = Found::look(&self.output, existing)?.earlier;
        State::open(&self.output, Fsync::Off, existing, &earlier, Header { seed, simulated })
    }
}

async fn send(state: &State, line: &str, processed: bool) {
    let log = Log(Arc::clone(&state.journal));
    log.sent(line).await.expect("room");
    if !processed {
        log.not_sent(line);
    }
}

#[tokio::test]
async fn what_was_sent_and_has_no_answer_is_known_after_a_crash() {
    let place = Place::new();
    let state = place.open(Existing::Resume, 7, false).expect("a new state");
    send(&state, "r1", true).await;
    send(&state, "r2", false).await;
    send(&state, "r3", true).await;
    let request = Digest(1).to_string();
    let answer = serde_json::json!({"custom_id": "r3", "error": null, "outbound": {"request": request}});
    fs::write(&place.output, answer.to_string() + "\n").expect("an answer");
    drop(state);
    // Twice, because opening a state rewrites its journal.
    for _ in 0..2 {
        let state = place.open(Existing::Resume, 8, false).expect("it is taken up");
        assert_eq!(state.header, Header { seed: 7, simulated: false }, "the run's own");
        let sent = [1, 2, 3, 4].map(|number| state.may_have_been_sent(id(number)));
        assert_eq!(sent, [true, false, false, false]);
    }
    let state = place.open(Existing::RetryFailed, 9, false).expect("it is taken up");
    assert_eq!(
        (state.header.seed, state.may_have_been_sent(id(1))),
        (9, true),
        "another key, the same doubt"
    );
    drop(state);
    let state = place.open(Existing::Fresh { keep: true }, 10, true).expect("a new one");
    assert_eq!((state.header.seed, state.may_have_been_sent(id(1))), (10, false));
    state.remove();
    assert!(!State::folder_of(&place.output).exists());
}

#[tokio::test]
async fn simulated_and_real_answers_do_not_mix() {
    let place = Place::new();
    drop(place.open(Existing::Resume, 7, true).expect("a new state"));
    let stop = place.open(Existing::Resume, 7, false).err().expect("it is refused").to_string();
    assert!(stop.contains("has answers of a simulated provider") && stop.contains("--fresh"), "{stop}");
    drop(place.open(Existing::Fresh { keep: true }, 7, false).expect("a new state"));
    let stop = place.open(Existing::Resume, 7, true).err().expect("it is refused").to_string();
    assert!(stop.contains("has a real provider's answers"), "{stop}");
}

#[tokio::test]
async fn a_second_run_and_damage_are_named() {
    let place = Place::new();
    let state = place.open(Existing::Resume, 7, false).expect("a new state");
    let stop = place.open(Existing::Resume, 7, false).err().expect("it is refused").to_string();
    assert!(stop.contains("another run uses it"), "{stop}");
    send(&state, "r1", true).await;
    send(&state, "r2", true).await;
    drop(state);
    let mut segments: Vec<_> = fs::read_dir(State::folder_of(&place.output))
        .expect("the state")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "journal"))
        .collect();
    segments.sort();
    let segment = segments.pop().expect("a segment");
    let mut bytes = fs::read(&segment).expect("its bytes");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).expect("damage");
    let stop = place.open(Existing::Resume, 7, false).err().expect("it is refused").to_string();
    assert!(stop.contains("damaged") && stop.contains("The answers are safe"), "{stop}");
}

#[tokio::test]
async fn only_what_is_ours_goes_and_only_what_is_answered_is_settled() {
    let place = Place::new();
    send(&place.open(Existing::Resume, 7, false).expect("a new state"), "r1", true).await;
    let state = place.open(Existing::Resume, 7, false).expect("it is taken up");
    let settled = |output: &str| {
        fs::write(&place.output, output).expect("the output");
        state.is_settled(&Earlier::of_file(&place.output).expect("an output"))
    };
    assert!(!state.has_sent_nothing() && !settled(""), "r1 may be billed");
    let request = Digest(1).to_string();
    let answer = serde_json::json!({"custom_id": "r1", "error": null, "outbound": {"request": request}});
    assert!(settled(&(answer.to_string() + "\n")));
    let folder = State::folder_of(&place.output);
    fs::write(folder.join("mine.txt"), "paid for").expect("somebody's file");
    state.remove();
    let left: Vec<_> = fs::read_dir(&folder).expect("it stays").flatten().map(|it| it.file_name()).collect();
    assert_eq!(left, ["mine.txt"]);
    fs::remove_file(folder.join("mine.txt")).expect("it goes");
    place.open(Existing::Resume, 7, false).expect("a new state").remove();
    assert!(!folder.exists());
}
