//! `cargo xtask examples`: each example runs to its end, and prints what `examples/README.md` says that it prints.
//!
//! The page has for each example the command that runs it, and after the command a block of text with the output:
//!
//! ````text
//! ```sh
//! cargo run --example NAME
//! ```
//!
//! ```text
//! what it prints
//! ```
//! ````
//!
//! A port or a measured time is different in every run. The page writes `…` in its place: within a line `…` stands for any
//! text, and a line that is nothing but `…` stands for any number of lines. All else has to be equal.
//!
//! `cargo xtask examples --write` puts what was printed into the page, where the two differ. A line with `…` stays where it
//! matches a line that was printed. A new one, and a line of `…` alone, has to be written by hand.

use std::{
    collections::BTreeMap,
    io::Read,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    run::{Result, cargo, output, program, section},
    tidy,
};

const PAGE: &str = "examples/README.md";
const COMMAND: &str = "cargo run --example ";

/// Stands in the page for what is different in every run.
const ANYTHING: &str = "…";

/// An example that runs longer than this is stopped, and has failed.
const LONGEST: Duration = Duration::from_secs(120);

pub(crate) fn examples() -> Result {
    let write = std::env::args().any(|argument| argument == "--write");
    let page = std::fs::read_to_string(PAGE)?;
    let mut new_page = page.clone();
    let mut outputs = outputs(&page)?;
    let executables = build()?;
    for example in tidy::targets("outbound-examples", "example")? {
        let executable = executables.get(&example).ok_or("cargo says where each example is")?;
        let Some(expected) = outputs.remove(example.as_str()) else {
            return Err(format!("{PAGE} does not say what `{COMMAND}{example}` prints").into());
        };
        section(&example, || {
            let output = run(executable)?;
            match compare(&expected, &output) {
                Err(_) if write => {
                    new_page = with_output(&new_page, &example, &merged(&expected, &output));
                    Ok(())
                }
                compared => compared.map_err(Into::into),
            }
        })?;
    }
    if let Some(unknown) = outputs.keys().next() {
        return Err(format!("{PAGE}: there is no example `{unknown}`").into());
    }
    if new_page != page {
        std::fs::write(PAGE, new_page)?;
        println!("{PAGE} is changed: look at the difference");
    }
    Ok(())
}

/// What was printed, with the lines of the page that say what varies in it.
fn merged(expected: &[&str], output: &str) -> String {
    let varying: Vec<_> =
        expected.iter().filter(|line| line.contains(ANYTHING) && **line != ANYTHING).collect();
    let lines = trimmed(output.lines()).into_iter();
    lines
        .map(|line| {
            varying.iter().find(|pattern| line_matches(pattern, line)).map_or(line, |pattern| **pattern)
        })
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The page with another block of output for an example.
fn with_output(page: &str, example: &str, output: &str) -> String {
    let block = || {
        let command = page.find(&format!("{COMMAND}{example}\n"))?;
        let begin = command + page[command..].find("\n```text\n")? + "\n```text\n".len();
        Some((begin, begin + page[begin..].find("```\n")?))
    };
    block().map_or_else(|| page.to_owned(), |(begin, end)| [&page[..begin], output, &page[end..]].concat())
}

/// The page's block of output for each example that it names.
fn outputs(page: &str) -> Result<BTreeMap<&str, Vec<&str>>> {
    let mut outputs = BTreeMap::new();
    let mut lines = page.lines();
    let mut command = None;
    while let Some(line) = lines.next() {
        if let Some(example) = line.strip_prefix(COMMAND) {
            command = Some(example.trim());
        } else if line == "```text"
            && let Some(example) = command.take()
        {
            let block = lines.by_ref().take_while(|line| *line != "```").collect();
            if outputs.insert(example, block).is_some() {
                return Err(format!("{PAGE}: two blocks for the example `{example}`").into());
            }
        }
    }
    Ok(outputs)
}

/// Builds the examples: the name and the file of each.
fn build() -> Result<BTreeMap<String, String>> {
    cargo(&["build", "--examples", "--package", "outbound-examples"])?;
    // Nothing is left to build, and cargo says where it is. To start each example through cargo would take longer than
    // the example.
    let messages = output(
        &program(),
        &["build", "--quiet", "--examples", "--package", "outbound-examples", "--message-format", "json"],
    )?;
    let messages =
        messages.lines().map(serde_json::from_str::<Value>).collect::<std::result::Result<Vec<_>, _>>()?;
    let examples = messages.iter().filter(|message| message["target"]["kind"][0] == "example");
    let named = examples
        .filter_map(|message| Some((message["target"]["name"].as_str()?, message["executable"].as_str()?)));
    Ok(named.map(|(name, executable)| (name.to_owned(), executable.to_owned())).collect())
}

/// Runs an example, and returns what it wrote to standard output.
fn run(executable: &str) -> Result<String> {
    let mut child = Command::new(executable)
        // The examples talk to servers of their own on loopback, never through a proxy of the environment.
        .envs([("NO_PROXY", "*"), ("no_proxy", "*")])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut written = child.stdout.take().ok_or("standard output is piped")?;
    let (send, receive) = mpsc::channel();
    // The thread ends with the output, which ends with the child.
    thread::spawn(move || {
        let mut text = String::new();
        let _ = send.send(written.read_to_string(&mut text).map(|_| text));
    });
    let text = receive.recv_timeout(LONGEST);
    if text.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    let text = text.map_err(|_| format!("it did not end within {} s", LONGEST.as_secs()))??;
    print!("{text}");
    if status.success() { Ok(text) } else { Err(status.to_string().into()) }
}

/// Whether the output is what the page says.
///
/// # Errors
///
/// The first line of the output that differs.
fn compare(expected: &[&str], output: &str) -> std::result::Result<(), String> {
    // Editors cut spaces at the end of a line, and a block does not begin or end with an empty line.
    let expected: Vec<_> = trimmed(expected.iter().copied());
    let printed: Vec<_> = trimmed(output.lines());
    let mut furthest = (0, 0);
    if all_match(&expected, &printed, (0, 0), &mut furthest) {
        return Ok(());
    }
    let line = |lines: &[&str], index: usize| {
        lines.get(index).map_or_else(|| String::from("(nothing more)"), |line| format!("`{line}`"))
    };
    Err(format!(
        "the output is not that of {PAGE}\n  page:    {}\n  printed: {}",
        line(&expected, furthest.0),
        line(&printed, furthest.1)
    ))
}

fn trimmed<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut lines: Vec<_> = lines.map(str::trim_end).skip_while(|line| line.is_empty()).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}

/// Whether the lines match from these two indices on. Notes the furthest pair of lines that did not match.
fn all_match(expected: &[&str], printed: &[&str], at: (usize, usize), furthest: &mut (usize, usize)) -> bool {
    let (mut page, mut out) = at;
    loop {
        match (expected.get(page), printed.get(out)) {
            (None, None) => return true,
            (Some(&ANYTHING), _) => {
                return (out..=printed.len())
                    .any(|out| all_match(expected, printed, (page + 1, out), furthest));
            }
            (Some(pattern), Some(line)) if line_matches(pattern, line) => (page, out) = (page + 1, out + 1),
            _ => {
                *furthest = (*furthest).max((page, out));
                return false;
            }
        }
    }
}

/// Whether a line is as the page has it.
fn line_matches(pattern: &str, line: &str) -> bool {
    let Some((start, rest)) = pattern.split_once(ANYTHING) else {
        return pattern == line;
    };
    let Some(mut line) = line.strip_prefix(start) else {
        return false;
    };
    let (middle, end) = rest.rsplit_once(ANYTHING).map_or((None, rest), |(middle, end)| (Some(middle), end));
    // The first place that fits leaves the most for what follows.
    for part in middle.into_iter().flat_map(|middle| middle.split(ANYTHING)) {
        match line.find(part) {
            Some(index) => line = &line[index + part.len()..],
            None => return false,
        }
    }
    line.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# Examples

```sh
cargo run --example one
```

It prints:

```text
begun
took … s at port …
…
done
```

```text
a block that is no output
```

```sh
cargo run --example two
```

```text
two
```
";

    #[test]
    fn the_page_has_a_block_for_each_command() {
        let outputs = outputs(PAGE).unwrap();
        assert_eq!(outputs.keys().collect::<Vec<_>>(), [&"one", &"two"]);
        assert_eq!(outputs["one"], ["begun", "took … s at port …", "…", "done"]);
        assert_eq!(outputs["two"], ["two"]);
        let twice = format!("{PAGE}\n{PAGE}");
        assert!(super::outputs(&twice).is_err());
    }

    #[test]
    fn what_varies_may_vary() {
        let page = outputs(PAGE).unwrap().remove("one").unwrap();
        for output in [
            "begun\ntook 1.5 s at port 4012\ndone\n",
            "\nbegun  \ntook 22 s at port 1\nmore\n\nand more\ndone\n\n",
            "begun\ntook  s at port 1\ndone",
        ] {
            assert_eq!(compare(&page, output), Ok(()), "{output}");
        }
    }

    #[test]
    fn a_wrong_output_is_found() {
        let page = outputs(PAGE).unwrap().remove("one").unwrap();
        for (output, page_says, printed) in [
            ("", "`begun`", "(nothing more)"),
            ("begun\ntook 1 m at port 1\ndone", "`took … s at port …`", "`took 1 m at port 1`"),
            ("begun\ntook 1 s at port 1\nmore", "`done`", "(nothing more)"),
            ("begun\ntook 1 s at port 1\ndone\nmore", "(nothing more)", "`more`"),
            ("begun\nmore\ntook 1 s at port 1\ndone", "`took … s at port …`", "`more`"),
        ] {
            let error = compare(&page, output).unwrap_err();
            assert!(error.contains(&format!("page:    {page_says}")), "{output}: {error}");
            assert!(error.contains(&format!("printed: {printed}")), "{output}: {error}");
        }
        assert!(compare(&["one"], "one\ntwo").unwrap_err().contains("page:    (nothing more)"));
    }

    #[test]
    fn a_new_output_keeps_the_lines_that_vary() {
        let page = outputs(PAGE).unwrap().remove("one").unwrap();
        let new = merged(&page, "begun\ntook 7 s at port 1\nall done\n");
        assert_eq!(new, "begun\ntook … s at port …\nall done\n");
        let new_page = with_output(PAGE, "one", &new);
        let outputs = outputs(&new_page).unwrap();
        assert_eq!(outputs["one"], ["begun", "took … s at port …", "all done"]);
        assert_eq!(outputs["two"], ["two"]);
    }

    #[test]
    fn a_line_matches_in_order() {
        assert!(line_matches("a…b…c", "a1b2c"));
        assert!(line_matches("a…b…c", "abc"));
        assert!(!line_matches("a…b…c", "acb"));
        assert!(!line_matches("a…a", "a"), "one letter cannot be both ends");
        assert!(!line_matches("exact", "exactly"));
        assert!(line_matches("…", "anything"));
    }
}
