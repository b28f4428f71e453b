//! Options from the file, the environment and the command line, and which of them counts.

use super::*;

fn all(own: &[&str], file: &str, environment: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let own = own.iter().map(OsString::from).collect();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let words = with_options(own, Some(file), environment).map_err(|stop| stop.to_string())?;
    Ok(words.into_iter().map(|word| word.into_string().expect("text")).collect())
}

const FILE: &str =
    "[run]\nrpm = 500\nfallback = [\"a\", \"b\"]\nkeep-going = true\nquiet = false\nkey_env = \"MY_KEY\"\n";

#[test]
fn the_file_goes_first_then_the_environment_then_the_command_line() {
    let words = all(&["outbound", "run", "in"], FILE, &[]);
    let file = ["--fallback=a", "--fallback=b", "--keep-going", "--key-env=MY_KEY", "--rpm=500"];
    assert_eq!(
        words,
        Ok([&["outbound", "run"][..], &file, &["in"]].concat().iter().map(|w| (*w).to_owned()).collect())
    );
    let words = all(
        &["outbound", "run", "in"],
        FILE,
        &[("OUTBOUND_RPM", "7"), ("OUTBOUND_KEEP_GOING", "0"), ("RPM", "9")],
    );
    assert!(words.as_ref().is_ok_and(|words| words.contains(&"--rpm=7".into())
        && !words.contains(&"--rpm=500".into())
        && !words.contains(&"--keep-going".into())
        && !words.contains(&"--keep-going".into())));
    let words =
        all(&["outbound", "run", "in", "--rpm", "3"], FILE, &[("OUTBOUND_RPM", "7")]).expect("good options");
    assert!(!words.iter().any(|word| word.starts_with("--rpm=")), "{words:?}");
    let words = all(&["outbound", "sim"], FILE, &[("OUTBOUND_RPM", "7")]).expect("good options");
    assert_eq!(words, ["outbound", "sim", "--rpm=7"], "each command has its own table");
}

#[test]
fn what_cannot_stand_beside_an_option_gives_way_to_it() {
    let words = all(&["outbound", "run", "in", "--simulate"], FILE, &[("OUTBOUND_BASE_URL", "http://h")]);
    let words = words.expect("good options");
    assert!(!words.iter().any(|word| word.contains("key-env") || word.contains("base-url")), "{words:?}");
    let words = all(&["outbound", "run", "in", "-q"], "[run]\nquiet = true\n", &[]).expect("good options");
    assert_eq!(words, ["outbound", "run", "in", "-q"]);
}

#[test]
fn what_is_wrong_in_the_file_is_named() {
    for (file, says) in [
        (
            "[run]\nrpms = 5\n",
            "outbound.toml: [run] has \"rpms\", but there is no option --rpms; outbound run -h lists the options",
        ),
        ("[runs]\n", "outbound.toml: \"runs\" is not the name of a command"),
        (
            "rpm = 5\n",
            "outbound.toml: \"rpm\" is not the name of a command; an option of run stands below the line [run]",
        ),
        ("[run]\nrpm = \n", "outbound.toml: TOML parse error at line 2"),
        ("[run]\nkeep-going = 1\n", "outbound.toml: \"keep-going\" must be true or false"),
        ("[run]\nrpm = { a = 1 }\n", "outbound.toml: \"rpm\" must be a string, a number, or a list of these"),
    ] {
        let error = all(&["outbound", "run", "in"], file, &[]).expect_err(says);
        assert!(error.starts_with(says), "{error}");
    }
    assert!(all(&["outbound", "--help"], "[", &[]).is_ok(), "help comes always");
}
