//! The page of results from planted figures: numbers, tables, the lead of a peer, faults in a file.

use super::{
    csv,
    figures::{Figures, Kind},
    table::{number, of_answers, of_group, of_groups},
};

#[test]
fn the_page_and_its_charts_are_what_the_figures_give() {
    super::check().expect("nothing is stale");
}

fn figures(text: &str) -> Figures {
    Figures::of(&csv::parse(text)).expect("figures")
}

const TWO_CASES: &str = "\
timeout/ready,\"A future, ready at once.\",about,,,,,,
timeout/ready,outbound,ours,time,ns,lower,2,3,4
timeout/ready,outbound,ours,x ours,,,1,1,1
timeout/ready,tokio,peer,time,ns,lower,2,2.9,90
timeout/ready,tokio,peer,x ours,,,0.5,1.2,30
timeout/ready,tokio,peer,instructions,,lower,7,7,7
timeout/ready,outbound,ours,instructions,,lower,8,8,8
timeout/ready,bare,floor,time,ns,lower,1,1,1
";

#[test]
fn csv_is_read_as_it_is_written() {
    let lines = csv::parse("a,\"b, c\",\"say \"\"d\"\"\"\n,,\n");
    assert_eq!(lines, [["a", "b, c", "say \"d\""], ["", "", ""]]);
}

#[test]
fn a_group_has_its_text_its_cases_and_their_kinds() {
    let figures = figures(TWO_CASES);
    let group = &figures.groups[0];
    assert_eq!((group.name.as_str(), group.about.as_str()), ("ready", "A future, ready at once."));
    assert_eq!(group.cases(), [("outbound", Kind::Ours), ("tokio", Kind::Peer), ("bare", Kind::Floor)]);
}

#[test]
fn a_peer_wins_in_time_by_the_ratio_and_in_counts_by_the_count_and_a_floor_never() {
    let figures = figures(TWO_CASES);
    let table = of_group(&figures.groups[0]);
    // The median of tokio's times is lower, that of the ratios is not.
    assert!(table.contains("| **tokio** | 2.9 (2 to 90) | 1.20 | **7** |"), "{table}");
    assert!(table.contains("| outbound | 3 (2 to 4) | 1.00 | 8 |"), "{table}");
    assert!(table.contains("| floor: bare | 1 | - | - |"), "{table}");
}

#[test]
fn a_peer_whose_rounds_are_shorter_and_whose_median_is_not_wins_nothing() {
    let figures = figures(
        &TWO_CASES.replace("time,ns,lower,2,2.9,90", "time,ns,lower,2,3.1,90").replace("0.5,1.2", "0.5,0.9"),
    );
    assert!(of_group(&figures.groups[0]).contains("| 3.1 (2 to 90) | 0.90 |"));
}

#[test]
fn more_is_better_where_the_measure_says_so() {
    let figures = figures(
        "journal/one,journal,ours,rate,records/s,higher,1,2,3\njournal/one,redb,peer,rate,records/s,higher,1,3,3\n",
    );
    assert!(of_group(&figures.groups[0]).contains("| **redb** | **3** (1 to 3) |"));
}

#[test]
fn a_family_of_groups_is_one_table() {
    let text = "\
queue/two threads, 1x1,outbound,ours,time,ns,lower,9,10,11
queue/two threads, 1x1,outbound,ours,x ours,,,1,1,1
queue/two threads, 1x1,kanal,peer,time,ns,lower,4,5,6
queue/two threads, 1x1,kanal,peer,x ours,,,0.4,0.5,0.6
queue/two threads, 4x4,outbound,ours,time,ns,lower,9,10,11
queue/two threads, 4x4,outbound,ours,x ours,,,1,1,1
"
    .replace("queue/two threads, 1x1", "\"queue/two threads, 1x1\"")
    .replace("queue/two threads, 4x4", "\"queue/two threads, 4x4\"");
    let figures = figures(&text);
    let groups: Vec<_> = figures.groups.iter().collect();
    let table = of_groups(&groups, "two threads");
    assert!(table.starts_with("| | 1x1 | 4x4 |\n"), "{table}");
    assert!(table.contains("| **kanal** | **5 (0.50)** | - |"), "{table}");
}

#[test]
fn answers_have_a_row_for_each_question() {
    let figures = figures(
        "queue/probes,kanal,contract,keeps the item,LOST,,,,\nqueue/probes,ours,contract,keeps the item,yes,,,,\n",
    );
    assert!(of_answers(&figures.answers).ends_with("| keeps the item | LOST | yes |\n"));
}

#[test]
fn numbers_have_three_digits_and_thousands() {
    let texts = [0.0, 0.512, 2.0, 2.345, 23.45, 234.5, 58_912.4].map(number);
    assert_eq!(texts, ["0", "0.512", "2", "2.35", "23.4", "234", "58,912"]);
}
