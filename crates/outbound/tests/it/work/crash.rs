//! A process that works on a folder and is killed at any moment.

use std::{
    collections::{HashMap, HashSet},
    env,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use outbound::work::{Ambiguous, FolderWork, Pushed, WorkStore};

use super::suite::{answer, answered, work};

const FOLDER: &str = "OUTBOUND_WORK_TEST_FOLDER";
const ITEMS: u32 = 2000;

/// The other process. It works for ever and prints what became durable. Run alone, this test does nothing.
#[tokio::test]
async fn the_process_that_is_killed() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let store = FolderWork::open(folder).expect("opens");
    // Not `println`, which a test captures. Each text is one write, so that a kill cannot cut it.
    let say = |word: &str, id: &str| {
        std::io::stderr().write_all(format!("{word} {id}\n").as_bytes()).expect("somebody reads");
    };
    store.push(work(0..ITEMS)).await.expect("works");
    say("pushed", "all");
    loop {
        let leases = store.claim(8, Duration::from_secs(600), Ambiguous::Take).await.expect("works");
        if leases.is_empty() {
            break;
        }
        let all: Vec<_> = leases.iter().collect();
        store.sent(&all).await.expect("works").into_iter().for_each(|held| held.expect("held"));
        for lease in &leases {
            say(if lease.may_have_been_sent { "resent" } else { "sent" }, &lease.id);
        }
        // Half of them are finished together, the others one by one.
        let (together, others) = leases.split_at(leases.len() / 2);
        let answers: Vec<_> = together.iter().map(|lease| (lease, answered(&lease.id))).collect();
        store.finish(&answers).await.expect("works").into_iter().for_each(|held| held.expect("held"));
        together.iter().for_each(|lease| say("done", &lease.id));
        for lease in others {
            store.finish(&[(lease, answered(&lease.id))]).await.expect("works")[0].as_ref().expect("held");
            say("done", &lease.id);
        }
    }
    say("finished", "all");
}

#[tokio::test]
async fn nothing_that_was_promised_is_lost_by_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut sent, mut done) = (HashMap::<String, u32>::new(), HashSet::new());
    let mut unknown = 0;
    for round in 0..12_u64 {
        let mut child = Command::new(env::current_exe().expect("this binary"))
            .args(["work::crash::the_process_that_is_killed", "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut seen = 0;
        while let Some(Ok(line)) = lines.next() {
            let (word, id) = line.split_once(' ').expect("a word and an id");
            match word {
                "sent" => {
                    assert!(!sent.contains_key(id), "{id} was sent, and is taken for unsent");
                    sent.insert(id.to_owned(), 1);
                }
                "resent" => *sent.entry(id.to_owned()).or_default() += 1,
                "done" => assert!(done.insert(id.to_owned()), "{id} was done twice"),
                _ => {}
            }
            seen += 1;
            if seen == 20 + round * 17 {
                thread::park_timeout(Duration::from_micros(round * 911 % 5000));
                child.kill().expect("killed");
            }
        }
        child.wait().expect("ended");

        let store = FolderWork::open(folder.path()).expect("the lock died with its owner");
        let counts = store.counts().await.expect("works");
        let answers = store.answers(None, ITEMS as usize).await.expect("works");
        assert!(answers.iter().all(|one| one.bytes == answer(&one.id)));
        let found: HashSet<_> = answers.iter().map(|one| one.id.to_string()).collect();
        assert!(done.is_subset(&found), "an answer is lost");
        // Durable ones that the killed process did not print any more.
        assert!(found.difference(&done).count() <= 8);
        done = found;
        // All others that were sent are known to be sent.
        let open = sent.keys().filter(|id| !done.contains(*id)).count();
        assert!(counts.ambiguous >= open, "{counts:?} {open}");
        assert!(counts.ambiguous <= 8, "no more than were under way");
        assert_eq!(counts.ready + counts.ambiguous + counts.done, ITEMS as usize);
        assert_eq!(
            store.push(work(0..1)).await.expect("works"),
            [if done.contains("0") { Pushed::Done } else { Pushed::Unfinished }]
        );
        unknown += counts.ambiguous;
    }
    assert!(done.len() > 500 && unknown > 0, "{} {unknown}", done.len());
    // At most the calls in flight at each kill are sent twice.
    assert!(sent.values().filter(|times| **times > 1).count() <= 12 * 8);
}
