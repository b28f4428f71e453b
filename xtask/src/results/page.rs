//! The page and its charts, made of the CSV files.

use std::path::{Path, PathBuf};

use super::{
    FOLDER, PAGE, RUNS, chart, csv, csv_of,
    figures::{Answer, Figures, Group},
    figures_in,
    gates::{CRITERION, GATES},
    table,
    topics::{TOPICS, Topic},
};
use crate::{
    run::Result,
    svg::{Theme, svg},
};

/// Groups of one family, in one table: a column for each.
const FAMILIES: &[&str] = &["one thread", "two threads"];

/// What loses an item, and what hands one out that nobody sends any more: questions of the queues' contract.
const LOSES: &str = "dropped pending get keeps the item";
const DELIVERS: &str = "dropped pending put is never delivered";

/// Each file that is generated, with its text.
pub(crate) fn files() -> Result<Vec<(PathBuf, String)>> {
    let runs = csv::read(&figures_in(RUNS))?;
    let mut files = Vec::new();
    let mut page = HEAD.to_owned();
    page += &machines(&runs);
    for topic in TOPICS {
        let figures = Figures::read(&csv_of(topic.name))?;
        if figures.groups.is_empty() {
            continue;
        }
        page += &format!("\n## {}\n\n{}\n", topic.title, topic.contract);
        if let Some(line) = runs.iter().find(|line| line[0] == topic.name) {
            page += &format!("\n`{}`, {} s.\n", line[1], line[2]);
        }
        if !figures.answers.is_empty() {
            page += &format!(
                "\n### contract\n\n{}{}",
                promises(&figures.answers),
                table::of_answers(&figures.answers)
            );
        }
        if let Some(chart) = chart::of(topic, &figures) {
            for (theme, word) in [(Theme::Light, "light"), (Theme::Dark, "dark")] {
                files.push((
                    Path::new(FOLDER).join(format!("peers-{}-{word}.svg", topic.name)),
                    svg(&chart, theme),
                ));
            }
            page += &picture(topic);
        }
        page += &tables(&figures.groups);
    }
    page += &gates()?;
    page += &criterion()?;
    page += TAIL;
    files.push((PathBuf::from(PAGE), page));
    Ok(files)
}

fn picture(topic: &Topic) -> String {
    let Topic { name, title, unit, .. } = topic;
    format!(
        "\n<picture>\n  <source media=\"(prefers-color-scheme: dark)\" srcset=\"results/peers-{name}-dark.svg\">\n  \
         <img alt=\"{title}: {unit}; the tables below have the figures\" src=\"results/peers-{name}-light.svg\">\n</picture>\n"
    )
}

/// Where the figures come from. All topics of one machine and commit share a line.
fn machines(runs: &[Vec<String>]) -> String {
    let mut text = String::from("\n## Machine, compiler, commit\n\n");
    let mut seen: Vec<(&[String], Vec<&str>)> = Vec::new();
    for line in runs {
        let rest = &line[3..];
        match seen.iter_mut().find(|(known, _)| *known == rest) {
            Some((_, names)) => names.push(&line[0]),
            None => seen.push((rest, vec![&line[0]])),
        }
    }
    for (rest, names) in seen {
        let [commit, compiler, hardware] = rest else { continue };
        text += &format!("- {}: {hardware}; {compiler}; commit {commit}\n", names.join(", "));
    }
    if runs.iter().any(|line| line[1].contains("--quick")) {
        text += "\nThese are figures of **quick runs**, which are shorter and scatter more: each section names its command. \
                 Do not compare small differences.\n";
    }
    text
}

/// Who breaks the promises that matter most, by name.
fn promises(answers: &[Answer]) -> String {
    let those = |question: &str| {
        let found = answers.iter().filter(|answer| answer.question == question && answer.answer != "yes");
        let names: Vec<&str> = found.map(|answer| answer.case.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    format!(
        "**An item is lost** where a receive that waits is dropped at the wrong moment (a `select!` or a time-out does \
         that): {}.\n**An item is delivered** although the send that waited with it was dropped: {}.\nWhoever drops no future that waits need \
         not mind.\n\n",
        those(LOSES),
        those(DELIVERS)
    )
}

fn tables(groups: &[Group]) -> String {
    let family = |group: &Group| FAMILIES.iter().copied().find(|family| group.name.starts_with(family));
    let mut text = String::new();
    for group in groups.iter().filter(|group| family(group).is_none()) {
        text += &format!("\n### {}\n\n{}\n\n{}", group.name, group.about, table::of_group(group));
    }
    for name in FAMILIES {
        let members: Vec<&Group> = groups.iter().filter(|group| family(group) == Some(name)).collect();
        let Some(first) = members.first() else { continue };
        text += &format!(
            "\n### {name}\n\n{} In nanoseconds, and in brackets how many times ours it is. A column is so many producers \
             and as many consumers, and the capacity.\n\n{}",
            first.about,
            table::of_groups(&members, name)
        );
    }
    text
}

/// The counts with a limit.
fn gates() -> Result<String> {
    let lines = csv::read(&figures_in(GATES))?;
    if lines.is_empty() {
        return Ok(String::new());
    }
    let heads = ["gates", "seconds"].map(str::to_owned);
    let rows = lines.into_iter().map(|line| vec![format!("`{}`", line[0]), line[1].clone(), line[2].clone()]);
    Ok(format!("\n## Gates\n\n{GATES_ABOUT}\n\n{}", table::table(&heads, rows)))
}

fn criterion() -> Result<String> {
    let lines = csv::read(&figures_in(CRITERION))?;
    if lines.is_empty() {
        return Ok(String::new());
    }
    let heads = ["median, ns", "95 % confidence"].map(str::to_owned);
    let rows = lines.into_iter().map(|line| {
        let figure = |field: &String| table::number(field.parse().unwrap_or(f64::NAN));
        vec![line[0].clone(), figure(&line[2]), format!("{} to {}", figure(&line[1]), figure(&line[3]))]
    });
    Ok(format!(
        "\n## cargo bench\n\n{CRITERION_ABOUT}\n\n<details><summary>All benchmarks</summary>\n\n{}\n</details>\n",
        table::table(&heads, rows)
    ))
}

const HEAD: &str = "\
# Results

Ours beside its peers: what one operation costs, and what each of them promises. This page and its charts are generated
from the CSV files in [`results/`](results) by `cargo xtask results`; nothing on it is written by hand.

## How to read it

- **Contracts come before the ranking.** Each section begins with what the compared things promise, and where they differ.
  A lower figure of something that promises less is no better.
- **Bold** is each figure in which a peer is better than the first row, and the name of each peer that has one. A time is
  better where its median is lower and the median of its ratios is below 1.
- `floor` is the same work done without any of the crates. It lacks what they are for, so it is no peer.
- A time is the median of all rounds, and in brackets are the lowest and the highest round. The cases of a table run by
  turns in one process, round by round, so that all of them have the same neighbours; `x ours` is the median of the ratios
  within a round. Each case asserts its result.
- Instructions are counted by callgrind, allocations by the allocator. Both are the same each time, where a time is not;
  below 5 ns compare instructions. They are counted where a case polls its futures by itself: what a runtime does for tasks
  differs from start to start by more than a round costs. The counts with limits, of ours and some peers, are in
  `cargo bench -p outbound-client-costs` and its like, which run one thing in a process. A crate with a thread of its own
  does more than its row shows.
- `future` is the size of the future with what is in it.
";

const GATES_ABOUT: &str = "\
Counts of instructions and allocations have limits, which fail a command that is over them. A limit stands in the source of
its bench. The counts of instructions are in packages of their own, and not in `outbound-benches`: what else is linked, and
with which features, changes what is inlined and which clock tokio reads, and so the counts. `benches/README.md` has the
counts of both.";

const CRITERION_ABOUT: &str = "\
`cargo bench` in the root times each piece beside its light peers with criterion, one case after the other and not by turns,
with the features that tokio has in the tests (a clock that can be paused, which costs more to read). Use it to see what a
change does; use the tables above to compare. Times are for one iteration: of `10k-pending` for 10,000 futures, of the
queues for 20,000 items, of the manager for 64 chats.";

const TAIL: &str = "
## Bias of the authors

Those who wrote one side of each table also chose its cases. We know our own crates better than the peers, have measured
them more often, and made them faster where a table like these showed a lead of a peer; no peer had that chance. The cases
are those that sending requests needs: many tasks, few of which wait. Other uses have other winners, and a peer may have a
faster way than the one its documentation shows first. A correction of a case is welcome: each is a few lines in
`benches/peers/src`.

## Reproduction

```sh
cargo xtask results                    # all of it, unattended
cargo xtask results --quick            # shorter, and scatters more
cargo xtask results --only queue       # one section
cargo xtask results --page             # the page from the CSV files, without measuring
cargo xtask results --check            # whether this page is what the CSV files give
```

valgrind has to be installed for instructions. Nothing leaves the machine: all servers are on loopback. What fails is named
at the end and leaves the earlier figures of its section in place.
";
