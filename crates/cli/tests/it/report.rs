//! The report that `--html` writes.

use outbound_simulator::{Latency, Refusal, Simulator};
use serde_json::json;

use crate::support::{folder, input, outbound, said, text};

/// Ids and models come from the input. They are shown as text, and never as markup.
#[tokio::test]
async fn no_id_is_markup() {
    let refuse = |seen: &outbound_simulator::Seen| (seen.sequence == 0).then(|| Refusal::status(400).into());
    let latency = Latency::fixed(std::time::Duration::from_millis(30));
    let simulator = Simulator::builder().latency(latency).fault_when(refuse).build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{address}/v1");
    let folder = folder();
    let line = |id: &str| {
        let body =
            json!({"model": "<i>\"m\"", "messages": [{"role": "user", "content": "Hi."}], "max_tokens": 5});
        json!({"custom_id": id, "url": "/v1/chat/completions", "body": body}).to_string()
    };
    let lines = ["<script>alert(1)</script>", "\"><img src=x onerror='alert(2)'>", "&lt;", "plain"].map(line);
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let input = input(&folder, 0, &lines);
    let html = folder.path().join("report.html");
    let (given, page) = (text(&input).to_owned(), text(&html).to_owned());
    let run = tokio::task::spawn_blocking(move || {
        let arguments =
            ["run", &given, "--base-url", &base, "--rpm", "120", "--concurrency", "1", "--html", &page, "-q"];
        outbound(&arguments).output()
    });
    let run = run.await.expect("no panic").expect("it runs");
    assert_eq!((run.status.code(), said(&run).as_str()), (Some(1), ""));
    let page = std::fs::read_to_string(&html).expect("a page");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for markup in ["<script", "<img", "onerror='", "<i>\"m"] {
        assert!(!page.contains(markup), "{markup}");
    }
    for shown in ["&lt;script&gt;alert(1)&lt;/script&gt;", "&amp;lt;", "requests of &lt;i&gt;&quot;m&quot;"] {
        assert!(page.contains(shown), "{shown}");
    }
    for title in [
        "Requests a minute",
        "Tokens a minute",
        "In flight and waiting",
        "Latency over time",
        "Waits by reason",
        "Failures by class",
        "Summary",
    ] {
        assert!(page.contains(&format!("<h2>{title}</h2>")), "{title}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
    for loads in [" src=\"", " href=\"", "url(", "@import"] {
        assert!(!page.contains(loads), "it needs nothing else: {loads}");
    }
    simulator.shutdown().await;
}
