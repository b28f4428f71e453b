//! Reading scenarios from text.

use std::time::Duration;

use outbound_simulator::Scenario;

const REST: &str = "[workload]\nrequests = 1\n[expect]\nanswered = 1\n";

fn error(server: &str) -> String {
    let text = format!("story = \"x\"\n{REST}[server]\n{server}\n");
    Scenario::parse(&text).expect_err("no scenario").to_string()
}

#[test]
fn what_is_not_said_is_the_default() {
    let scenario = Scenario::parse(&format!("story = \"x\"\n{REST}")).expect("a scenario");
    assert_eq!(scenario.story(), "x");
    let workload = scenario.workload();
    assert_eq!((workload.requests, workload.stream, workload.max_tokens), (1, false, 32));
    assert_eq!(
        (workload.models.as_slice(), workload.concurrency, workload.deadline),
        (&[String::from("test")][..], None, None)
    );
    assert_eq!((scenario.expect().answered, scenario.expect().billed_twice_at_most), (1, 0));
    let plain = format!("{:?}", outbound_simulator::Simulator::builder());
    assert_eq!(format!("{:?}", scenario.server()), plain);
}

#[test]
fn what_is_said_reaches_the_server() {
    let server = r#"
        seed = 9
        key = "k"
        requests_per_minute = 60
        burst = "1s"
        window = "fixed"
        charging = "actual"
        limit_headers = "retry-after"
        latency = { median = "1s", p99 = "8s", max = "12s" }
        time_to_first_token = "250ms"
        tokens_per_second = 50.0
        output_tokens = [3, 5]
        close_idle_after = "1.5m"
        fault = [
            { kind = "stall", after = 3, chance = 0.25 },
            { status = 503, retry_after = "2s", attempt = 2 },
            { kind = "keep-alive", every = "10s", count = 2, from = "1s", to = "1h" },
        ]
        trouble = [{ kind = "silent-drop", from = "5s", to = "8s" }]
        outage = [{ from = "20s", to = "30s" }]
    "#;
    let text = format!("story = \"x\"\n{REST}[server]\n{server}\n");
    let shown = format!("{:?}", Scenario::parse(&text).expect("a scenario").server());
    for part in [
        "seed: 9",
        "window: Fixed",
        "charging: Actual",
        "limit_headers: RetryAfter",
        "LogNormal { median: 1s",
        "max: 12s",
        "Fixed(250ms)",
        "token_time: 20ms",
        "output_tokens: 3..=5",
        "idle_close: Some(90s)",
        "Chance(Stall { after: 3 }, 0.25)",
        "OnAttempt(Refuse(Refusal { status: 503",
        "retry_after: Some(2s)",
        "During(KeepAlive { every: 10s, count: Some(2) }, 1s..3600s)",
        "SilentDrop",
        "20s..30s",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (server, says) in [
        ("latncy = \"1s\"", &["line 7", "unknown field `latncy`"][..]),
        ("burst = \"1 day\"", &["line 7", "\"1 day\" is no time: write 250ms, 30s, 10m or 2h"]),
        ("burst = \"-1s\"", &["\"-1s\" is no time"]),
        ("window = \"sliding\"", &["line 7", "unknown variant `sliding`", "`log`"]),
        (
            "fault = [{ status = 500 }]",
            &["fault 1 of [server]", "a `chance`, an `attempt`, or `from` and `to`"],
        ),
        ("fault = [{ status = 500, chance = 0.1, attempt = 1 }]", &["one of the three"]),
        ("fault = [{ chance = 0.1 }]", &["a `status` or a `kind`"]),
        ("fault = [{ status = 500, kind = \"stall\", chance = 0.1 }]", &["a `status` or a `kind`"]),
        ("fault = [{ status = 500, chance = 1.5 }]", &["between 0 and 1"]),
        ("fault = [{ status = 500, from = \"1s\" }]", &["both `from` and `to`"]),
        ("fault = [{ status = 500, from = \"2s\", to = \"1s\" }]", &["the first before the second"]),
        (
            "fault = [{ kind = \"stall\", retry_after = \"1s\", chance = 0.1 }]",
            &["`retry_after` is for a refusal"],
        ),
        ("fault = [{ kind = \"keep-alive\", chance = 0.1 }]", &["`every` goes with"]),
        ("trouble = [{ kind = \"refused\", from = \"2s\", to = \"2s\" }]", &["`from` has to be before `to`"]),
        ("outage = [{ from = \"2s\", to = \"1s\" }]", &["`from` has to be before `to`"]),
    ] {
        let error = error(server);
        assert!(says.iter().all(|part| error.contains(part)), "{server}: {error}");
    }
    let error =
        Scenario::parse("story = \"x\"\n[workload]\n[expect]\nanswered = 1\n").expect_err("no scenario");
    assert!(error.to_string().contains("missing field `requests`"), "{error}");
}

#[test]
fn times_of_the_workload_are_read() {
    let text = "story = \"x\"\n[workload]\nrequests = 1\ndeadline = \"10m\"\nattempt_timeout = \"500ms\"\n[expect]\n";
    let scenario = Scenario::parse(text).expect("a scenario");
    assert_eq!(scenario.workload().deadline, Some(Duration::from_secs(600)));
    assert_eq!(scenario.workload().attempt_timeout, Some(Duration::from_millis(500)));
}
