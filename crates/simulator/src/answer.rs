//! What the model says: words that depend on the seed and on the body, and on nothing else.

use std::ops::RangeInclusive;

use crate::{
    dialect::Ask,
    draw::{Draw, Purpose},
};

/// Three letters each, so that a word and its space are four characters, which is one token.
const WORDS: [&str; 32] = [
    "sun", "sea", "oak", "fox", "owl", "bee", "ant", "elk", "ash", "fir", "yew", "ivy", "fig", "pea", "rye",
    "oat", "hay", "dew", "fog", "ice", "bay", "cap", "den", "ewe", "fen", "gem", "hut", "ink", "jar", "keg",
    "log", "mud",
];

/// Tokens in a text of this many characters: one for every four, rounded up. Exact for the words of an answer.
pub(crate) fn tokens_of(characters: u64) -> u64 {
    characters.div_ceil(4)
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// A function of seed and body, like the words.
    pub(crate) id: String,
    pub(crate) model: String,
    /// Unix seconds.
    pub(crate) created: u64,
    pub(crate) input_tokens: u64,
    /// Whether it ended because it reached `max_tokens`.
    pub(crate) is_cut: bool,
    words: Vec<&'static str>,
    // Stands behind the words and counts for nothing.
    mark: Option<String>,
}

impl Answer {
    /// The answer to a request with this key. Its length is drawn from `length` and cut at `max_tokens`.
    pub(crate) fn to(
        ask: &Ask,
        seed: u64,
        key: u64,
        length: &RangeInclusive<u64>,
        created: u64,
        mark: Option<String>,
    ) -> Self {
        let (wanted, given) = length_of(ask, seed, key, length);
        let mut draw = Draw::keyed(seed, key, 0, Purpose::Words);
        let words = (0..given).map(|_| WORDS[draw.between(0, WORDS.len() as u64 - 1) as usize]).collect();
        Self {
            id: format!("{:016x}", Draw::keyed(seed, key, 0, Purpose::RequestId).next()),
            model: ask.model.clone(),
            created,
            input_tokens: ask.input_tokens,
            is_cut: given < wanted,
            words,
            mark,
        }
    }

    pub(crate) fn output_tokens(&self) -> u64 {
        self.words.len() as u64
    }

    pub(crate) fn text(&self) -> String {
        let mut text = self.words.join(" ");
        if let Some(mark) = &self.mark {
            text.push(' ');
            text.push_str(mark);
        }
        text
    }

    /// The text in pieces of one token; a mark goes with the last.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = String> {
        let last = self.words.len() - 1;
        self.words.iter().enumerate().map(move |(index, word)| {
            let mut token = if index == 0 { (*word).into() } else { format!(" {word}") };
            if let (true, Some(mark)) = (index == last, &self.mark) {
                token.push(' ');
                token.push_str(mark);
            }
            token
        })
    }
}

/// How many tokens the model would say, and how many it is let say.
pub(crate) fn length_of(ask: &Ask, seed: u64, key: u64, length: &RangeInclusive<u64>) -> (u64, u64) {
    let wanted = Draw::keyed(seed, key, 0, Purpose::Length).between(*length.start(), *length.end()).max(1);
    (wanted, ask.max_tokens.map_or(wanted, |max| wanted.min(max)))
}
