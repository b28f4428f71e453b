//! The judge finds what is planted, and finds nothing where nothing is.

use serde_json::json;

use super::*;

fn items() -> Vec<Item> {
    let item = |id: &str| Item { id: id.to_owned(), hash: hash(id), max_tokens: 8 };
    ["a", "b", "c"].map(item).to_vec()
}

fn sent(id: &str, outcome: &str, tokens: u64) -> String {
    json!({"at": 1.0, "ended": 2.0, "body_hash": hash(id), "idempotency_key": format!("key of {id}"),
        "outcome": outcome, "input_tokens": tokens, "output_tokens": 0})
    .to_string()
}

fn line(id: &str, is_flagged: bool) -> String {
    json!({"custom_id": id, "response": {"status_code": 200}, "error": null,
        "outbound": {"possible_duplicate": is_flagged}})
    .to_string()
}

fn verdict(sends: &[String], lines: &[String]) -> Verdict {
    let sends = ledger(&sends.join("\n")).expect("a ledger");
    judge(&items(), &sends, &lines.join("\n")).expect("an export")
}

fn all_sent() -> Vec<String> {
    ["a", "b", "c"].map(|id| sent(id, "answered", 9)).to_vec()
}

fn all_lines() -> Vec<String> {
    ["a", "b", "c"].map(|id| line(id, false)).to_vec()
}

fn wrong(verdict: &Verdict) -> Vec<(&'static str, Vec<&str>)> {
    let all = [
        ("lost", &verdict.lost),
        ("failed", &verdict.failed),
        ("twice", &verdict.twice),
        ("unflagged", &verdict.unflagged),
        ("invented", &verdict.invented),
        ("strange", &verdict.strange),
        ("keys", &verdict.keys),
    ];
    let named = all.into_iter().filter(|(_, ids)| !ids.is_empty());
    named.map(|(name, ids)| (name, ids.iter().map(String::as_str).collect())).collect()
}

#[test]
fn nothing_is_wrong_with_what_is_right() {
    let verdict = verdict(&all_sent(), &all_lines());
    assert!(wrong(&verdict).is_empty(), "{verdict:?}");
    assert_eq!((verdict.items, verdict.sends, verdict.billed_again, verdict.flagged), (3, 3, 0, 0));
}

#[test]
fn a_planted_loss_is_found() {
    let verdict = verdict(&all_sent(), &all_lines()[..2]);
    assert_eq!(wrong(&verdict), [("lost", vec!["c"])]);
}

#[test]
fn a_planted_failure_is_found() {
    let mut lines = all_lines();
    lines[1] = json!({"custom_id": "b", "response": null, "error": {"code": "deadline"}}).to_string();
    assert_eq!(wrong(&verdict(&all_sent(), &lines)), [("failed", vec!["b"])]);
}

#[test]
fn a_planted_double_is_found_unless_it_is_flagged() {
    let mut sends = all_sent();
    sends.push(sent("b", "abandoned", 9));
    assert_eq!(wrong(&verdict(&sends, &all_lines())), [("unflagged", vec!["b"])]);
    let mut lines = all_lines();
    lines[1] = line("b", true);
    let flagged = verdict(&sends, &lines);
    assert!(wrong(&flagged).is_empty(), "{flagged:?}");
    assert_eq!((flagged.billed_again, flagged.flagged), (1, 1));
}

#[test]
fn what_was_not_billed_needs_no_flag() {
    let mut sends = all_sent();
    sends.push(sent("b", "over quota of requests", 0));
    let verdict = verdict(&sends, &all_lines());
    assert!(wrong(&verdict).is_empty(), "{verdict:?}");
    assert_eq!(verdict.over_quota, 1);
}

#[test]
fn two_lines_of_one_request_and_an_answer_of_nobody_are_found() {
    let mut lines = all_lines();
    lines.push(line("a", true));
    lines.push(line("stranger", false));
    let mut sends = all_sent();
    sends[2] = sent("c", "broken", 9);
    let found = verdict(&sends, &lines);
    let expected = [("twice", vec!["a"]), ("invented", vec!["c"]), ("strange", vec!["a line of stranger"])];
    assert_eq!(wrong(&found), expected);
}

#[test]
fn a_request_with_two_keys_and_a_send_of_nobody_are_found() {
    let mut sends = all_sent();
    sends.push(sent("a", "refused 500", 0).replace("key of a", "another key"));
    sends.push(sent("stranger", "answered", 9));
    let found = verdict(&sends, &all_lines());
    let stranger = format!("a send of the body {}", hash("stranger"));
    assert_eq!(wrong(&found), [("strange", vec![stranger.as_str()]), ("keys", vec!["a"])]);
}

#[test]
fn the_hash_is_that_of_the_ledger() {
    assert_eq!(hash(""), "cbf29ce484222325");
    assert_eq!(hash("foobar"), "85944171f73967e8");
}

#[test]
fn what_is_no_export_and_no_ledger_is_an_error() {
    assert!(judge(&items(), &[], "{").is_err());
    assert!(judge(&items(), &[], "{}").is_err());
    assert!(ledger("{}").is_err());
}
