//! What the model says: a text that depends on the seed and on the body, and on nothing else. Each word is a token.

use std::ops::RangeInclusive;

use crate::{
    dialect::Ask,
    draw::{Draw, Purpose},
    prose::Subject,
};

/// Tokens in a prompt of this many characters: one for every four, rounded up.
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
    /// Its words, with one space between them.
    text: String,
    tokens: u64,
    // Stands behind the words and counts for nothing.
    mark: Option<String>,
}

impl Answer {
    /// The answer to a request with this key. Its length is drawn from `length` and cut at `max_tokens`.
    pub(crate) fn to(
        ask: &Ask,
        subject: &Subject,
        seed: u64,
        key: u64,
        length: &RangeInclusive<u64>,
        created: u64,
        mark: Option<String>,
    ) -> Self {
        let (wanted, given) = length_of(ask, seed, key, length);
        let mut draw = Draw::keyed(seed, key, 0, Purpose::Words);
        let mut text = subject.text(wanted, &mut draw);
        let end = given
            .checked_sub(1)
            .map_or(Some(0), |last| text.match_indices(' ').nth(last as usize).map(|(end, _)| end));
        if let Some(end) = end {
            text.truncate(end);
        }
        Self {
            id: format!("{:016x}", Draw::keyed(seed, key, 0, Purpose::RequestId).next()),
            model: ask.model.clone(),
            created,
            input_tokens: ask.input_tokens,
            is_cut: given < wanted,
            text,
            tokens: given,
            mark,
        }
    }

    pub(crate) fn output_tokens(&self) -> u64 {
        self.tokens
    }

    pub(crate) fn text(&self) -> String {
        let mut text = self.text.clone();
        if let Some(mark) = &self.mark {
            text.push(' ');
            text.push_str(mark);
        }
        text
    }

    /// The text in pieces of one token; a mark goes with the last.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = String> {
        (1..).zip(self.text.split(' ')).map(|(number, word)| {
            let mut token = if number == 1 { word.into() } else { format!(" {word}") };
            if let (true, Some(mark)) = (number == self.tokens, &self.mark) {
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
