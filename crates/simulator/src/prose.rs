//! The text of an answer: plain sentences about words of the prompt, as many words as are asked for. It says that it is
//! simulated, wherever there is room for that, so that nobody takes it for the answer of a model.

use serde_json::Value;

use crate::draw::Draw;

/// With a word of the prompt for `{w}`; with two of its numbers for `{n}` and `{m}`, or left out where it has none.
const SENTENCES: [&str; 20] = [
    "The question turns on {w}, so that comes first.",
    "Take it one step at a time and write each step down.",
    "What is given is clear, and what is asked for follows from it.",
    "The part about {w} is easy to miss.",
    "With {n} and {m} the rest is arithmetic.",
    "A short check at the end shows that nothing was left out.",
    "There is more than one way to see {w}, and the plain one is enough here.",
    "If something is unclear, it is better to ask than to guess.",
    "Start with what is known.",
    "Then look at {w} again.",
    "It helps to name each part before putting them together.",
    "Put {n} beside {m} and compare the two.",
    "An example makes this easier to follow.",
    "Most of the work is in {w}, and the rest is quickly done.",
    "That leaves one thing to decide.",
    "The same holds for {w}.",
    "Both ways lead to the same result.",
    "Keep it simple, and keep it short.",
    "Someone who knows {w} well may skip this step.",
    "What remains is to say it in a few words.",
];

/// The last sentence: one word, two words, and so on.
const ENDINGS: [&str; 8] = [
    "Done.",
    "That's all.",
    "That is all.",
    "That is the answer.",
    "That is the whole answer.",
    "And that is the whole answer.",
    "That is all there is to it.",
    "With that, the question has its whole answer.",
];

/// Long words that say nothing about a subject.
const EMPTY: [&str; 22] = [
    "about", "after", "again", "answer", "before", "being", "could", "every", "first", "other", "please",
    "shall", "should", "their", "there", "these", "thing", "those", "where", "which", "while", "would",
];

/// So many words of the prompt are quoted.
const QUOTED: usize = 6;
/// So much of a prompt is looked at.
const LOOKED_AT: usize = 80;

/// What a prompt is about.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    /// Its first words.
    beginning: Vec<String>,
    words: Vec<String>,
    numbers: Vec<String>,
}

impl Subject {
    /// That of a request's body: the last text in it.
    pub(crate) fn of(body: &Value) -> Self {
        let text = last_text(body).unwrap_or_default();
        // Behind it stands the number of an item, which is no part of the prompt.
        let text = text.rsplit_once(" [item ").map_or(text, |(text, _)| text);
        let bare = |word: &str| word.trim_matches(|letter: char| !letter.is_alphanumeric()).to_owned();
        let words: Vec<_> =
            text.split_whitespace().take(LOOKED_AT).map(bare).filter(|word| !word.is_empty()).collect();
        let mut subject = Self { beginning: words.iter().take(QUOTED).cloned().collect(), ..Self::default() };
        for word in words {
            let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
            let is_telling = word.chars().count() > 4
                && word.chars().all(char::is_alphabetic)
                && !EMPTY.contains(&word.to_lowercase().as_str());
            let kind = match (is_number, is_telling) {
                (true, _) => &mut subject.numbers,
                (_, true) => &mut subject.words,
                _ => continue,
            };
            if !kind.contains(&word) {
                kind.push(word);
            }
        }
        subject
    }

    /// A text of so many words, all drawn but the subject.
    pub(crate) fn text(&self, words: u64, draw: &mut Draw) -> String {
        let mut text = Text { left: words, text: String::new() };
        let heading = format!("Simulated answer to \"{}\":", self.beginning.join(" "));
        if !self.beginning.is_empty() && count(&heading) + 5 <= words {
            text.add(&heading);
        } else if words >= 6 {
            text.add("Simulated:");
        }
        let all = SENTENCES.len() as u64;
        // Each sentence once before any comes again: the steps have no divisor in common with their number.
        let (mut at, step) =
            (draw.between(0, all - 1), [1, 3, 7, 9, 11, 13, 17, 19][draw.between(0, 7) as usize]);
        let mut used = draw.between(0, 11) as usize;
        while text.left > ENDINGS.len() as u64 {
            at = (at + step) % all;
            let sentence = SENTENCES[at as usize];
            let is_about_numbers = sentence.contains("{n}");
            if count(sentence) >= text.left || (is_about_numbers && self.numbers.len() < 2) {
                continue;
            }
            let of = |words: &[String], index: usize| words.get(index % words.len().max(1)).cloned();
            let sentence = if is_about_numbers {
                let (one, other) = (of(&self.numbers, used), of(&self.numbers, used + 1));
                sentence.replace("{n}", &one.unwrap_or_default()).replace("{m}", &other.unwrap_or_default())
            } else {
                let word =
                    of(&self.words, used).map_or_else(|| String::from("this"), |word| format!("\"{word}\""));
                sentence.replace("{w}", &word)
            };
            used += 1;
            text.add(&sentence);
        }
        if let Some(ending) = text.left.checked_sub(1) {
            text.add(ENDINGS[ending as usize]);
        }
        text.text
    }
}

struct Text {
    /// Words that are still to come.
    left: u64,
    text: String,
}

impl Text {
    fn add(&mut self, sentence: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(sentence);
        self.left -= count(sentence);
    }
}

fn count(text: &str) -> u64 {
    text.split(' ').count() as u64
}

/// The last text of the last message, in any of the formats.
fn last_text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(list) => list.iter().rev().find_map(last_text),
        Value::Object(members) => ["messages", "contents", "input", "content", "parts", "text"]
            .iter()
            .find_map(|name| members.get(*name).and_then(last_text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::draw::Purpose;

    fn text(prompt: &str, words: u64, seed: u64) -> String {
        let body = json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}]});
        Subject::of(&body).text(words, &mut Draw::keyed(seed, 7, 0, Purpose::Words))
    }

    #[test]
    fn it_has_as_many_words_as_are_asked_for() {
        for prompt in [
            "",
            "Hi.",
            "John drives for 3 hours at a speed of 60 mph. \"Where\" is he?",
            "  \n\t ",
            "限流 和 重试",
        ] {
            for words in 1..200 {
                for seed in 0..4 {
                    let text = text(prompt, words, seed);
                    assert_eq!(count(&text), words, "{text}");
                    assert_eq!(text.split_whitespace().count() as u64, words, "{text}");
                    assert!(text.ends_with('.') && !text.contains('{'), "{text}");
                }
            }
        }
    }

    #[test]
    fn it_speaks_of_the_prompt_and_says_that_it_is_simulated() {
        let prompt = "John drives for 3 hours at a speed of 60 mph to his brother. [item 12]";
        let text = text(prompt, 90, 1);
        assert!(text.starts_with("Simulated answer to \"John drives for 3 hours at\": "), "{text}");
        assert!(text.contains("\"drives\"") && text.contains("60"), "{text}");
        assert!(!text.contains("12"), "{text}");
    }

    #[test]
    fn endings_have_one_word_more_each() {
        let counts: Vec<_> = ENDINGS.iter().map(|ending| count(ending)).collect();
        assert_eq!(counts, (1..=ENDINGS.len() as u64).collect::<Vec<_>>());
        // One of them fits wherever an ending does not.
        assert!(
            SENTENCES
                .iter()
                .any(|sentence| !sentence.contains("{n}") && count(sentence) <= ENDINGS.len() as u64)
        );
    }

    #[test]
    fn another_seed_is_another_text() {
        assert_ne!(text("Hello there, world.", 60, 1), text("Hello there, world.", 60, 2));
        assert_eq!(text("Hello there, world.", 60, 1), text("Hello there, world.", 60, 1));
    }
}
