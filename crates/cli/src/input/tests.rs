//! Inputs of every form, right and wrong.

use super::*;

/// Reads an input from a file `in.END`. An error has the lines before the first wrong one, and its message.
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

/// A right line of an OpenAI batch file.
const GOOD: &str = r#"{"custom_id":"a","url":"/v1/x","body":{}}"#;

fn wrong<T: std::fmt::Debug>(read: Result<T, (Vec<Line>, String)>) -> String {
    read.expect_err("something wrong").1
}

/// Reads each text as an input, and shows the errors one below the other.
async fn errors(texts: &[&str], end: &str, provider: Provider, forms: &Forms) -> String {
    let mut shown = String::new();
    for text in texts {
        let error = wrong(read(text.as_bytes(), end, provider, forms).await);
        shown += &format!(
            "{}\n    {}\n",
            text.escape_debug().to_string().replace("\\\"", "\""),
            error.replace('\n', "\n    ")
        );
    }
    shown
}

#[tokio::test]
async fn a_wrong_line_is_named() {
    let lines = [
        "{",
        r#"{"custom_id":"b","url":"/v1/x"}"#,
        r#"{"custom_id":"b","body":{}}"#,
        r#"{"custom_id":7,"url":"/v1/x","body":{}}"#,
        r#"{"prompt":"hi"}"#,
        r#"{"prompt":" ","model":"m"}"#,
        r#"{"prompt":["hi"],"model":"m"}"#,
        r#"{"prompt":"hi","model":"m","max_tokens":0}"#,
        r#"{"question":"hi"}"#,
        r#"{"custom_id":"b","params":{}}"#,
        r#"[{"prompt":"hi","model":"m"}]"#,
        "[null,null,null,\"/v1/x\",{},null,null,null,null,null,null]",
        r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":[1,"t",null,null,[]]}"#,
        "Name a river.",
        "\"Name a river.\"",
        r#"{"custom_id":"b","url":"/v1/x","body":[]}"#,
        r#"{"custom_id":"","url":"/v1/x","body":{}}"#,
        r#"{"custom_id":"b","method":"GET","url":"/v1/x","body":{}}"#,
        r#"{"custom_id":"b","url":"http://elsewhere/","body":{}}"#,
        r#"{"custom_id":"a","url":"/v1/x","body":{}}"#,
        r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"prority":1}}"#,
        r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"priority":"high"}}"#,
        r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"deadline":0}}"#,
        r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"deadline":1e300}}"#,
        r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"max_attempts":0}}"#,
        r#"{"custom_id":"b","url":"/v1/x","body":{},"outbound":{"fallback":[""]}}"#,
    ];
    let mut shown = String::new();
    for line in lines {
        let text = format!("{GOOD}\n{line}\n");
        let read = read(text.as_bytes(), "jsonl", Provider::openai(), &Forms::default()).await;
        let (before, error) = read.expect_err(line);
        let error = error.strip_prefix("in.jsonl, line 2: ").expect("the place of the error");
        assert_eq!(before.len(), 1);
        shown += &format!("{line}\n    {}\n", error.replace('\n', "\n    "));
    }
    insta::assert_snapshot!("wrong_lines", shown);
}

fn forms(model: &str) -> Forms {
    Forms { model: Some(model.to_owned()), ..Forms::default() }
}

/// What the lines send: method, URL and body.
fn sent(lines: &[Line]) -> Vec<String> {
    let sent = |line: &Line| {
        let body = line.sends.body.as_ref().map_or("", |body| body.get());
        format!("{} {} {body}", line.sends.method, line.sends.url)
    };
    lines.iter().map(sent).collect()
}

fn ids(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.custom_id.as_str()).collect()
}

#[tokio::test]
async fn a_batch_line_is_sent_as_it_stands() {
    let text = "\u{feff}{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\": { \"k\" :1.0, \
                \"half\":\"\\ud83d\"} , \"more\":1}\r\n\n  {\"custom_id\":\"b\",\"url\":\"/v1/x\",\"body\":{}}";
    let lines = read(text.as_bytes(), "jsonl", Provider::openai(), &Forms::default()).await.expect("lines");
    assert_eq!(ids(&lines), ["a", "b"]);
    let body = r#"{ "k" :1.0, "half":"\ud83d"}"#;
    assert_eq!(sent(&lines), [format!("POST /v1/x {body}"), String::from("POST /v1/x {}")]);
    assert_eq!((lines[0].number, lines[1].number), (1, 3));
    assert_eq!(lines[1].text, r#"{"custom_id":"b","url":"/v1/x","body":{}}"#);
    let read = read(text.as_bytes(), "jsonl", Provider::openai(), &forms("new")).await.expect("lines");
    assert_eq!(sent(&read)[0], r#"POST /v1/x {"model":"new", "k" :1.0, "half":"\ud83d"}"#);
    for option in [
        Forms { system: Some(String::from("x")), ..Forms::default() },
        Forms { max_tokens: Some(7), ..Forms::default() },
    ] {
        let read = super::tests::read(text.as_bytes(), "jsonl", Provider::openai(), &option).await;
        assert!(wrong(read).contains("is only for prompts, and this line has a body of its own"));
    }
}

#[tokio::test]
async fn prompts_have_the_shape_of_their_provider() {
    let text = r#"{"prompt":"Why?","id":7,"model":"m","system":"Be brief.","max_tokens":9}"#;
    for (provider, sends) in [
        (
            Provider::openai(),
            r#"POST /chat/completions {"max_completion_tokens":9,"messages":[{"content":"Be brief.","role":"system"},{"content":"Why?","role":"user"}],"model":"m"}"#,
        ),
        (
            Provider::anthropic(),
            r#"POST /messages {"max_tokens":9,"messages":[{"content":"Why?","role":"user"}],"model":"m","system":"Be brief."}"#,
        ),
        (
            Provider::gemini(),
            r#"POST /models/m:generateContent {"contents":[{"parts":[{"text":"Why?"}],"role":"user"}],"generationConfig":{"maxOutputTokens":9},"systemInstruction":{"parts":[{"text":"Be brief."}]}}"#,
        ),
    ] {
        let lines = read(text.as_bytes(), "jsonl", provider, &Forms::default()).await.expect("a line");
        assert_eq!((sent(&lines), ids(&lines)), (vec![sends.to_owned()], vec!["7"]));
        assert_eq!(lines[0].check().expect("JSON").model.as_deref(), Some("m"));
        assert_eq!(lines[0].check().expect("JSON").estimate.output, 9);
    }
    // Options override members of the line.
    let all = Forms {
        model: Some(String::from("other")),
        system: Some(String::from("Be long.")),
        max_tokens: Some(99),
        ..Forms::default()
    };
    let lines = read(text.as_bytes(), "jsonl", Provider::anthropic(), &all).await.expect("a line");
    let sends = r#"POST /messages {"max_tokens":99,"messages":[{"content":"Why?","role":"user"}],"model":"other","system":"Be long."}"#;
    assert_eq!(sent(&lines), [sends]);
    assert!(
        wrong(read(text.as_bytes(), "jsonl", Provider::http(), &all).await)
            .contains("each line must be a request")
    );
    let embedding = read(text.as_bytes(), "jsonl", Provider::openai_embeddings(), &Forms::default()).await;
    assert!(wrong(embedding).contains("a request for an embedding cannot have a system prompt"));
}

#[tokio::test]
async fn anthropic_batches_are_for_anthropic() {
    let text = r#"{"custom_id":"a","params":{"model":"m", "max_tokens":5,"messages":[]}}"#;
    let lines =
        read(text.as_bytes(), "jsonl", Provider::anthropic(), &Forms::default()).await.expect("a line");
    assert_eq!(sent(&lines), [r#"POST /messages {"model":"m", "max_tokens":5,"messages":[]}"#]);
    assert_eq!(lines[0].form, "Anthropic batch");
    let read = read(text.as_bytes(), "jsonl", Provider::gemini(), &Forms::default()).await;
    assert!(wrong(read).contains("send it with `--provider anthropic` (the provider is gemini)"));
}

#[tokio::test]
async fn plain_text_is_a_prompt_a_line() {
    let text = "Name a river.\r\n\n  [1] {x} \"q\"\nName a river.";
    let lines = read(text.as_bytes(), "txt", Provider::openai(), &forms("m")).await.expect("lines");
    let sends = |text: &str| {
        let text = serde_json::to_string(text).expect("a text");
        format!(r#"POST /chat/completions {{"messages":[{{"content":{text},"role":"user"}}],"model":"m"}}"#)
    };
    assert_eq!(sent(&lines), [sends("Name a river."), sends("  [1] {x} \"q\""), sends("Name a river.")]);
    assert_eq!(lines[2].number, 4);
    assert_eq!(lines[2].custom_id, format!("{:016x}-2", lines[0].fingerprint().0));
    // The text of a line, as a file of JSON, gives the same line again.
    let again: Vec<_> = lines.iter().map(|line| line.text.clone()).collect();
    let again =
        read(again.join("\n").as_bytes(), "jsonl", Provider::openai(), &forms("m")).await.expect("lines");
    assert_eq!((ids(&again), sent(&again)), (ids(&lines), sent(&lines)));

    let json = read(b"fine\n {\"prompt\": 1}\n", "txt", Provider::openai(), &forms("m")).await;
    assert!(wrong(json).starts_with("in.txt, line 2: it is JSON in a file of plain text"));
    let plain = Forms { format: Some(Format::Plain), ..forms("m") };
    assert_eq!(read(b"[1]", "txt", Provider::openai(), &plain).await.expect("a line").len(), 1);
    let wrong = wrong(read(b"fine\ncaf\xe9\n", "txt", Provider::openai(), &forms("m")).await);
    assert!(wrong.starts_with("in.txt, line 2: byte 4 is not UTF-8"), "{wrong}");
}

#[tokio::test]
async fn ids_are_made_from_what_is_sent() {
    let line = |more: &str| format!(r#"{{"prompt":"Why?","model":"m"{more}}}"#);
    let text = [line(""), line(r#","outbound":{"priority":3}"#), line(r#","max_tokens":5"#), GOOD.to_owned()];
    let read_all = async |text: &[String]| {
        let text = text.join("\n");
        let lines =
            read(text.as_bytes(), "jsonl", Provider::openai(), &Forms::default()).await.expect("lines");
        lines.into_iter().map(|line| line.custom_id).collect::<Vec<_>>()
    };
    let ids = read_all(&text).await;
    assert_eq!(ids[1], format!("{}-2", ids[0]), "options do not count");
    assert!(ids[2] != ids[0] && ids[2].len() == 16 && ids[3] == "a", "{ids:?}");
    // SHA-256 of the method, the path and the body.
    assert_eq!(ids[0], "68f390407ac9c733");
    // A line inserted before them does not change the ids of the others.
    let text = [&[line(r#","max_tokens":6"#)], &text[..]].concat();
    assert_eq!(read_all(&text).await[1..], ids);
}

#[tokio::test]
async fn an_array_is_read_element_by_element() {
    let text = b" \n[{\"prompt\":\"a]}\",\"x\":[{}]},\n {\n\"prompt\": \"b\\\"}\"\n}\r\n] \n";
    for end in ["json", "jsonl"] {
        let lines = read(text, end, Provider::openai(), &forms("m")).await.expect("lines");
        assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [2, 3]);
        assert!(sent(&lines)[1].contains(r#"{"content":"b\"}","role":"user"}"#));
        assert!(!lines[1].text.contains('\n'), "it can be a line");
    }
    assert_eq!(read(b"[ ]", "json", Provider::openai(), &forms("m")).await.expect("nothing").len(), 0);
    let texts = [
        "[",
        "[\n{\"prompt\":\"a\"",
        "[{\"prompt\":\"a\"},\n{\"a\":1}]",
        "[{\"prompt\":\"a\"},\n\n{\"a\":}]",
        "[{\"prompt\":\"a\"} {\"a\":1}]",
        "[{\"prompt\":\"a\"},]",
        "[,]",
        "[\"a\"]",
        "[]\n[]",
        "[{\"prompt\":\"a\nb\"}]",
    ];
    insta::assert_snapshot!("wrong_arrays", errors(&texts, "json", Provider::openai(), &forms("m")).await);
}

#[tokio::test]
async fn a_table_has_a_column_of_prompts() {
    let table = "\u{feff}id,question, lang\r\n7,\"Why, and\n\"\"how\"\"?\",fr\r\n\r\n,5\" wide?,\n";
    let question = Forms { column: Some(String::from("question")), ..forms("m") };
    let lines = read(table.as_bytes(), "csv", Provider::openai(), &question).await.expect("rows");
    assert!(sent(&lines)[0].contains(r#""content":"Why, and\n\"how\"?""#), "{:?}", sent(&lines));
    assert!(sent(&lines)[1].contains(r#""content":"5\" wide?""#), "{:?}", sent(&lines));
    assert_eq!((ids(&lines)[0], ids(&lines)[1].len(), lines[1].number), ("7", 16, 5));
    let again: Vec<_> = lines.iter().map(|line| line.text.clone()).collect();
    let again =
        read(again.join("\n").as_bytes(), "jsonl", Provider::openai(), &question).await.expect("lines");
    assert_eq!((ids(&again), sent(&again)), (ids(&lines), sent(&lines)));

    let template = Forms { template: Some(String::from("{prompt} In {lang}.")), ..question.clone() };
    let lines = read(b"question,lang\nWhy?,fr", "csv", Provider::openai(), &template).await.expect("a row");
    assert!(sent(&lines)[0].contains(r#""content":"Why? In fr.""#), "{:?}", sent(&lines));
    let tables = [
        "text,lang\na,b",
        "question,a,a\n",
        "question,a\nx\n",
        "question,a\nx,y\n\"x,y\nz,z\n",
        "question,a\nx,\"y\"z\n",
        "question,a\n,y\n",
    ];
    insta::assert_snapshot!("wrong_tables", errors(&tables, "csv", Provider::openai(), &question).await);
}

#[tokio::test]
async fn any_request_is_for_http() {
    let text = r#"{"method":"GET","url":"/x?q=1"}
                  {"method":"DELETE","url":"/x","body":null}
                  {"method":"PUT","url":"/x","body":[1, 2]}
                  {"method":"PATCH","url":"/x","body":{}}
                  {"url":"/x"}"#;
    let lines = read(text.as_bytes(), "jsonl", Provider::http(), &Forms::default()).await.expect("lines");
    assert_eq!(sent(&lines), ["GET /x?q=1 ", "DELETE /x ", "PUT /x [1, 2]", "PATCH /x {}", "POST /x "]);
    let head = read(br#"{"method":"HEAD","url":"/x"}"#, "jsonl", Provider::http(), &Forms::default()).await;
    assert!(wrong(head).contains("`method` must be GET, POST, PUT, PATCH or DELETE"));
    let wrong = wrong(read(text.as_bytes(), "jsonl", Provider::openai(), &Forms::default()).await);
    assert!(wrong.contains("`method` is not POST; other methods need `--provider http`"), "{wrong}");
}

#[tokio::test]
async fn an_address_is_below_the_base_url() {
    let line = |url: &str| format!(r#"{{"custom_id":"a","url":"{url}","body":{{}}}}"#);
    let base = "https://api.openai.com/v1";
    let text = line(&format!("{base}/chat/completions"));
    let lines = read(text.as_bytes(), "jsonl", Provider::openai(), &Forms::default()).await.expect("a line");
    assert_eq!(sent(&lines), ["POST /chat/completions {}"]);
    for url in [
        "https://api.openai.com/v2/chat",
        "https://api.openai.com/v1@elsewhere/x",
        "https://api.openai.com/v1.elsewhere/x",
        "http://api.openai.com/v1/x",
        "//api.openai.com/v1/x",
        "v1/x",
    ] {
        let wrong = wrong(read(line(url).as_bytes(), "jsonl", Provider::openai(), &Forms::default()).await);
        assert!(wrong.contains("`url` is not a path such as /v1/chat/completions"), "{url}: {wrong}");
    }
}

#[tokio::test]
async fn a_part_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("in.txt");
    let text: Vec<_> = (0..1_000).map(|line| format!("line {line}")).collect();
    std::fs::write(&path, text.join("\n")).expect("a file in it");
    let numbers = async |part| {
        let reading =
            Reading::new(&path, &forms("m"), part, Provider::openai(), None).await.expect("options");
        let lines = reading.lines().await.expect("a file");
        lines.map(|line| line.expect("a line").number).collect::<Vec<_>>().await
    };
    assert_eq!(numbers(Part { limit: Some(3), sample: None }).await, [1, 2, 3]);
    let drawn = numbers(Part { limit: None, sample: Some(50) }).await;
    assert!(drawn.len() == 50 && drawn.is_sorted() && drawn[49] > 500, "{drawn:?}");
    assert_eq!(drawn, numbers(Part { limit: None, sample: Some(50) }).await);
    assert_eq!(numbers(Part { limit: None, sample: Some(5_000) }).await.len(), 1_000);
}

/// Reading a damaged file ends without a panic, and each error names a line or an element.
#[tokio::test]
async fn damaged_files_are_errors() {
    let inputs = [
        ("jsonl", &br#"{"prompt":"a","id":1,"outbound":{"deadline":3}}
                       {"custom_id":"x","method":"POST","url":"/v1/x","body":{"model":"m","a":[1,"\ud83d"]}}"#[..]),
        ("json", br#"[{"prompt":"a\"","id":1}, {"custom_id":"x","url":"/v1/x","body":{"model":null}}]"#),
        ("csv", b"id,prompt\r\n1,\"a, \"\"b\"\"\"\r\n2,\xc3\xa9\r\n"),
        ("txt", b"a\n\xc3\xa9 {x}\n"),
        ("txt", b"\xff\xfea\0\n\0\x3d\xd8\0\xde"),
    ];
    let template = Forms { template: Some(String::from("{prompt}!")), ..forms("m") };
    let mut draw = 7_u64;
    for round in 0..100 {
        for (end, input) in inputs {
            let mut input = input.to_vec();
            for _ in 0..=round % 3 {
                draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (draw >> 33) as usize % input.len();
                let bytes = b"{}[]\",:\\\n\r\0\xff\xfe 1a";
                match draw % 3 {
                    0 => input[at] = bytes[(draw >> 20) as usize % bytes.len()],
                    1 => input.insert(at, bytes[(draw >> 20) as usize % bytes.len()]),
                    _ => input.truncate(at.max(1)),
                }
            }
            for forms in [&forms("m"), &template] {
                if let Err((_, why)) = read(&input, end, Provider::openai(), forms).await {
                    let place = why.strip_prefix(&format!("in.{end}, ")).expect("the file");
                    assert!(place.starts_with("line ") || place.starts_with("element "), "{why}");
                }
            }
        }
    }
}
