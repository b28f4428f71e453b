//! The mistakes that limiters are known to make, and the test that would see each of them here.

const CONCURRENCY: &str = include_str!("concurrency.rs");
const KEYED: &str = include_str!("keyed.rs");
const GATE: &str = include_str!("quota_gate.rs");
const WINDOWS: &str = include_str!("quota_windows.rs");
const RATE: &str = include_str!("rate.rs");
const RATE_MODEL: &str = include_str!("rate_model.rs");
const STRICT: &str = include_str!("strict.rs");
const THREADS: &str = include_str!("threads.rs");
const BUCKET: &str = include_str!("../../src/bucket/tests.rs");
const PERMIT_LOOM: &str = include_str!("../../src/concurrency/tests/loom.rs");
const SLOT_LOOM: &str = include_str!("../../src/quota/tests/loom.rs");

/// The pitfall, where its tests are, and their names.
const PITFALLS: [(&str, &str, &[&str]); 29] = [
    ("head of the line cancelled, next not woken", PERMIT_LOOM, &["a_grant_races_the_drop_of_its_waiter"]),
    ("woken and dropped", PERMIT_LOOM, &["a_woken_waiter_that_is_dropped_wakes_the_next"]),
    ("permit lost between taking and guarding", CONCURRENCY, &["equals_the_model"]),
    ("permit held by a future that nobody polls", RATE, &["a_head_that_is_not_polled_holds_up_nobody"]),
    ("the same", CONCURRENCY, &["a_waiter_that_is_never_polled_again_holds_only_its_own_permit"]),
    ("release meets a barger", PERMIT_LOOM, &["a_release_meets_a_newcomer_and_a_barger"]),
    ("close meets enqueue", PERMIT_LOOM, &["close_meets_enqueue_and_release"]),
    ("refund of a slot before later ones", RATE_MODEL, &["cancelling_is_as_if_never_asked"]),
    ("second wait taken for success", RATE, &["a_hundred_waiters_are_counted_once_in_each_window"]),
    ("compared and not reserved", CONCURRENCY, &["the_peak_never_passes_the_limit"]),
    ("charged although a later window rejects", WINDOWS, &["a_rejected_call_charges_no_window"]),
    ("twice the limit around a window's edge", BUCKET, &["no_window_sees_more_than_burst_and_rate"]),
    ("the same, strictly", STRICT, &["no_window_sees_more_than_the_amount"]),
    ("overflow, a rate of zero, huge numbers", BUCKET, &["all_of_u64_is_safe", "equals_a_single_level"]),
    ("faster than asked by rounding", BUCKET, &["no_error_adds_up_in_a_billion_seconds"]),
    ("an idle bucket overflows", BUCKET, &["an_idle_bucket_does_not_overflow"]),
    (
        "the clock goes back, stands or jumps",
        BUCKET,
        &["a_clock_that_goes_back_brings_nothing", "equals_a_single_level"],
    ),
    ("the large starve", RATE, &["a_large_request_beside_small_traffic_waits_no_longer_than_alone"]),
    ("the large starve", CONCURRENCY, &["a_large_request_is_not_starved_by_a_stream_of_small_ones"]),
    ("thundering herd", RATE, &["a_hundred_waiters_cost_two_polls_each_and_one_timer"]),
    ("thundering herd after a gate", GATE, &["no_herd_after_the_gate"]),
    (
        "shrinking below what is in use, growing",
        CONCURRENCY,
        &["shrinking_below_what_is_in_use_waits_for_it", "growing_lets_in_exactly_as_many_as_fit"],
    ),
    ("the same, at any moment", PERMIT_LOOM, &["shrink_and_grow_meet_acquire"]),
    ("re-rating with some in line", RATE_MODEL, &["re_rating_equals_the_schedule_worked_out_anew"]),
    // That a charge is settled once is a matter of its type: `settle` consumes it.
    ("settling races", SLOT_LOOM, &["settling_meets_resizing", "settling_meets_closing"]),
    (
        "a key evicted that has waiters or debts",
        KEYED,
        &["forgetting_races_taking", "a_debt_is_not_forgotten", "a_waiter_is_not_forgotten"],
    ),
    ("unfair among keys", KEYED, &["a_quiet_key_under_a_common_limit_waits_for_those_ahead_of_it_only"]),
    ("refused for an empty cooperative budget", CONCURRENCY, &["a_million_refusals_are_not_made_up"]),
    // Its forms on the wire are read by another crate. What becomes of a lease that is lost is nobody's question here:
    // no limit is shared between processes.
    (
        "absurd Retry-After",
        GATE,
        &["absurd_hints_do_no_harm", "a_hint_of_zero_is_not_taken_for_leave_to_go_on"],
    ),
];

#[test]
fn every_pitfall_has_its_test() {
    for (pitfall, source, tests) in PITFALLS {
        for test in tests {
            let fn_name = format!("fn {test}(");
            let at = source.find(&fn_name).unwrap_or_else(|| panic!("{pitfall}: {test} is gone"));
            let attributes = source[..at].rsplit("\n\n").next().unwrap_or_default();
            let is_test = attributes.contains("#[test]") || attributes.contains("#[tokio::test");
            let in_a_macro = attributes.contains("proptest!") || source[..at].contains("proptest! {");
            assert!(is_test || in_a_macro, "{pitfall}: {test} is not a test");
            assert!(!attributes.contains("#[ignore"), "{pitfall}: {test} is not run");
        }
    }
    assert!(THREADS.contains("fn no_wake_without_a_permit("));
}
