//! The first command of the README, and the output that the README shows for it.

use std::path::Path;

use serde_json::Value;

use crate::support::{folder, outbound, said, text};

/// The first block of text in the README that holds a summary.
fn printed(readme: &str) -> &str {
    let blocks = readme.split("```").skip(1).step_by(2);
    blocks
        .filter_map(|block| block.strip_prefix("text\n"))
        .find(|block| block.contains(" succeeded"))
        .expect("a summary")
}

/// Times, and what depends on them, differ from run to run. Everything else is the same each time.
#[test]
fn the_first_command_says_what_the_readme_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = folder();
    let (output, summary) = (folder.path().join("out.jsonl"), folder.path().join("summary.json"));
    let input = root.join("examples/data/prompts.jsonl");
    let arguments = ["run", "--simulate", text(&input), "-o", text(&output), "--summary", text(&summary)];
    let run = outbound(&arguments).output().expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("a README");
    let (said, printed) = (said(&run), printed(&readme));
    for beginning in
        ["120 succeeded, 0 failed in ", "tokens ", "the simulated provider received ", "the usual loop ("]
    {
        let of = |text: &str| text.lines().find(|line| line.starts_with(beginning)).map(str::to_owned);
        let (line, in_readme) = (of(&said).expect(beginning), of(printed).expect(beginning));
        if beginning.starts_with("tokens") || beginning.starts_with("the usual") {
            assert_eq!(line, in_readme);
        }
    }
    // The same kinds of lines, in the same order.
    let kind = |line: &str| {
        line.split([':', '1', '2', '3', '4', '5', '6', '7', '8', '9']).next().unwrap_or_default().to_owned()
    };
    let known: Vec<_> = said.lines().map(kind).collect();
    for line in printed.lines().filter(|line| !line.starts_with('[') && !line.contains("waited")) {
        assert!(known.contains(&kind(line)), "{line:?} is nothing that the command says: {said}");
    }

    let facts: Value = serde_json::from_slice(&std::fs::read(&summary).expect("a summary")).expect("JSON");
    let simulated = &facts["simulated"];
    assert_eq!(simulated["provider"]["calls"], facts["attempts"]);
    assert_eq!(
        (&simulated["provider"]["answered"], &simulated["provider"]["restarts"]),
        (&120.into(), &1.into())
    );
    let usual = &simulated["usual_loop"];
    assert_eq!(
        (&usual["answered"], &usual["lost"], &usual["refused"]),
        (&71.into(), &49.into(), &170.into())
    );
}

#[test]
fn answers_are_text_that_says_it_is_simulated() {
    let folder = folder();
    let input = crate::support::input(&folder, 20, &[]);
    let run = outbound(&["run", "--simulate", text(&input)]).output().expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    for answer in crate::support::answers(&folder.path().join("in.simulated.jsonl")) {
        let content =
            answer["response"]["body"]["choices"][0]["message"]["content"].as_str().expect("a text");
        assert!(content.starts_with("Simulated"), "{content}");
    }
}

/// The summary of a run with a real provider has no such part.
#[test]
fn the_loop_is_run_beside_a_demonstration_of_a_whole_file_only() {
    let folder = folder();
    let input = crate::support::input(&folder, 3, &[]);
    let summary = folder.path().join("summary.json");
    let run = outbound(&["run", "--simulate", text(&input), "-o", "-", "--summary", text(&summary)]);
    let run = { run }.output().expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let facts: Value = serde_json::from_slice(&std::fs::read(&summary).expect("a summary")).expect("JSON");
    assert_eq!(facts["simulated"]["usual_loop"]["answered"], 3);
    assert_eq!(facts["simulated"]["provider"]["restarts"], 0, "it ended before");
}
