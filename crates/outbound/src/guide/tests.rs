//! That the guide leaves nothing out.

use crate::ErrorKind;

/// Lists kinds of failure. It does not compile unless it lists all of them.
macro_rules! every_kind {
    ($($kind:ident),* $(,)?) => {{
        let _is_listed = |kind: ErrorKind| match kind {
            $(ErrorKind::$kind => {})*
        };
        [$((stringify!($kind), ErrorKind::$kind)),*]
    }};
}

#[test]
fn every_kind_of_failure_has_its_row() {
    let kinds = every_kind![
        RateLimited,
        Overloaded,
        Server,
        Connection,
        Timeout,
        StreamBroken,
        Unreadable,
        QuotaSpent,
        BudgetSpent,
        Auth,
        Stopped,
        Rejected,
        Deadline,
        Impossible,
        Invalid,
        Cancelled,
        ShutDown,
        Panicked,
    ];
    let page = include_str!("failures.md");
    for (variant, kind) in kinds {
        let start = format!("| [`{variant}`](crate::ErrorKind::{variant}) `{kind}` |");
        let rows: Vec<_> = page.lines().filter(|line| line.starts_with(&start)).collect();
        let [row] = rows[..] else { panic!("{variant} has {} rows", rows.len()) };
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 4, "kind, cause, what was done, what to do: {row}");
        assert!(cells.iter().all(|cell| cell.len() >= 8), "an empty cell: {row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| [`")).count();
    assert_eq!(rows, kinds.len(), "a row that stands for no kind");
}
