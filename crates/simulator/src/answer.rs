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
}

impl Answer {
    /// The answer to a request whose body has this hash. Its length is drawn from `length` and cut at `max_tokens`.
    pub(crate) fn to(
        ask: &Ask,
        seed: u64,
        body_hash: u64,
        length: &RangeInclusive<u64>,
        created: u64,
    ) -> Self {
        let wanted =
            Draw::keyed(seed, body_hash, 0, Purpose::Length).between(*length.start(), *length.end()).max(1);
        let given = ask.max_tokens.map_or(wanted, |max| wanted.min(max));
        let mut draw = Draw::keyed(seed, body_hash, 0, Purpose::Words);
        let words = (0..given).map(|_| WORDS[draw.between(0, WORDS.len() as u64 - 1) as usize]).collect();
        Self {
            id: format!("{:016x}", Draw::keyed(seed, body_hash, 0, Purpose::RequestId).next()),
            model: ask.model.clone(),
            created,
            input_tokens: ask.input_tokens,
            is_cut: given < wanted,
            words,
        }
    }

    pub(crate) fn output_tokens(&self) -> u64 {
        self.words.len() as u64
    }

    pub(crate) fn text(&self) -> String {
        self.words.join(" ")
    }

    /// The text in pieces of one token.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = String> {
        self.words
            .iter()
            .enumerate()
            .map(|(index, word)| if index == 0 { (*word).into() } else { format!(" {word}") })
    }
}
