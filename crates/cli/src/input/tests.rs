use super::*;

/// The lines of an input in the file `in` of this ending, read for this provider, up to the first that is wrong.
async fn read(
    text: &[u8],
    end: &str,
    provider: Provider,
    forms: &Forms,
) -> Result<Vec<Line>, (Vec<Line>, String)> {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join(format!("in.{end}"));
    std::fs::write(&path, text).expect("a file in it");
    let reading = Reading::new(&path, forms, Part::default(), provider, None).await.expect("options");
    let mut stream = pin!(reading.lines().await.expect("a file"));
    let mut lines = Vec::new();
    while let Some(line) = stream.next().await {
        match line {
            Ok(line) => lines.push(line),
            Err(stop) => {
                let folder = format!("{}{}", folder.path().display(), std::path::MAIN_SEPARATOR);
                return Err((lines, stop.to_string().replace(&folder, "")));
            }
        }
    }
    Ok(lines)
}

/// A line of OpenAI's batch format, and nothing said on the command line.
const GOOD: &str = r#"{"custom_id":"a","url":"/v1/x","body":{}}"#;

#[allow(dead_code)]
fn wrong<T: std::fmt::Debug>(read: Result<T, (Vec<Line>, String)>) -> String {
    read.expect_err("something wrong").1
}

#[tokio::test]
async fn a_wrong_line_is_named() {
    for (line, says) in [
        ("{", "in.jsonl, line 2: EOF"),
        (r#"{"custom_id":"b","url":"/v1/x"}"#, "in.jsonl, line 2: missing field `body`"),
        (r#"{"custom_id":"b","body":{}}"#, "in.jsonl, line 2: missing field `url`"),
        (r#"{"custom_id":7,"url":"/v1/x","body":{}}"#, "in.jsonl, line 2: `custom_id` is no text"),
        (r#"{"prompt":"hi"}"#, "in.jsonl, line 2: it names no model; `--model gpt-4o-mini` names one"),
        (r#"{"prompt":" ","model":"m"}"#, "in.jsonl, line 2: `prompt` is empty"),
        (r#"{"prompt":["hi"],"model":"m"}"#, "in.jsonl, line 2: `prompt` is no text"),
        (r#"{"prompt":"hi","model":"m","max_tokens":0}"#, "in.jsonl, line 2: `max_tokens` is 0"),
        (r#"{"question":"hi"}"#, "in.jsonl, line 2: it has no `prompt`, no `body` and no `params`"),
        (r#"{"custom_id":"b","params":{}}"#, "in.jsonl, line 2: it has `params`"),
        (r#"[{"prompt":"hi","model":"m"}]"#, "in.jsonl, line 2: it begins with `[`"),
        ("Name a river.", "in.jsonl, line 2: it is no object of JSON"),
        ("\"Name a river.\"", "in.jsonl, line 2: it is no object of JSON"),
        (r#"{"custom_id":"b","url":"/v1/x","body":[]}"#, "in.jsonl, line 2: `body` is not an object"),
        (r#"{"custom_id":"","url":"/v1/x","body":{}}"#, "in.jsonl, line 2: `custom_id` is empty"),
        (
            r#"{"custom_id":"b","method":"GET","url":"/v1/x","body":{}}"#,
            "in.jsonl, line 2: `method` is not POST",
        ),
        (r#"{"custom_id":"b","url":"http://elsewhere/","body":{}}"#, "in.jsonl, line 2: `url` is not a path"),
        (
            r#"{"custom_id":"a","url":"/v1/x","body":{}}"#,
            "in.jsonl, line 2: `custom_id` \"a\" was there before",
        ),
        (
            r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"prority":1}}"#,
            "in.jsonl, line 2: unknown field `prority`, expected one of `priority`, `tenant`, `deadline`, \
                 `max_attempts`, `fallback`",
        ),
        (
            r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"priority":"high"}}"#,
            "in.jsonl, line 2: invalid type: string \"high\", expected i32",
        ),
        (
            r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"deadline":0}}"#,
            "in.jsonl, line 2: `outbound.deadline` is not a time",
        ),
        (
            r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"deadline":1e300}}"#,
            "in.jsonl, line 2: `outbound.deadline` is not a time",
        ),
        (
            r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"max_attempts":0}}"#,
            "in.jsonl, line 2: `outbound.max_attempts` is zero",
        ),
        (
            r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"fallback":[""]}}"#,
            "in.jsonl, line 2: `outbound.fallback` has a model",
        ),
    ] {
        let text = format!("{GOOD}\n{line}\n");
        let (before, error) =
            read(text.as_bytes(), "jsonl", Provider::openai(), &Forms::default()).await.expect_err(says);
        assert!(error.starts_with(says), "{error}");
        assert_eq!(before.len(), 1);
    }
}
