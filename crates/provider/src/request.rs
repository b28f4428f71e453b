//! What the body of a request says about the request.

use std::{error, fmt};

use crate::{
    Estimate, estimate,
    json::{self, JsonError, Scanner},
};

/// The output assumed of a request that names no maximum, for each answer it asks for.
const DEFAULT_OUTPUT: u64 = 1_024;

/// What a request's body says about the request, read in one pass by
/// [`Provider::read_request`](crate::Provider::read_request).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestFacts {
    /// The model it names.
    pub model: Option<String>,
    /// Whether it asks for its answer as a stream.
    pub stream: bool,
    /// How many answers it asks for (`n`); at least 1, which is the default.
    pub choices: usize,
    /// The tokens it will take at most.
    pub estimate: Estimate,
    /// Whether only a generated text can answer it: a chat, a completion, a response. Then the answer has to be JSON with
    /// choices, content or output. It is false for embeddings, audio, images, moderation, files and everything else.
    pub chat: bool,
}

/// The body of a request is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotJson {
    /// How many bytes of it can be read as JSON.
    pub at: usize,
    /// Whether it only ends too early.
    pub cut: bool,
}

impl Default for RequestFacts {
    /// A request of which nothing is known: one answer, no stream, an estimate of 0.
    fn default() -> RequestFacts {
        RequestFacts { model: None, stream: false, choices: 1, estimate: Estimate::default(), chat: false }
    }
}

impl RequestFacts {
    /// Reads a body. An empty body, or one that is no object, says nothing.
    pub(crate) fn read(body: &[u8]) -> Result<RequestFacts, NotJson> {
        if body.is_empty() {
            return Ok(RequestFacts::default());
        }
        let mut scanner = Scanner::new(body);
        let mark = body.len() - json::without_mark(body).len();
        let mut fields = Fields::default();
        let is_object = scanner.peek() == b'{';
        let read = if is_object {
            scanner.object(|scanner, name| fields.read(scanner, name))
        } else {
            scanner.skip()
        };
        match read.and_then(|()| scanner.end()) {
            Ok(()) if is_object => Ok(fields.facts()),
            Ok(()) => Ok(RequestFacts::default()),
            Err(JsonError) => Err(NotJson { at: scanner.at() + mark, cut: scanner.is_at_end() }),
        }
    }
}

/// The fields of a request that say something about it.
#[derive(Default)]
struct Fields {
    model: Option<String>,
    stream: bool,
    n: Option<u64>,
    best_of: Option<u64>,
    max_completion_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    max_tokens: Option<u64>,
    quarters: u64,
    messages: bool,
    prompt: bool,
    input: bool,
    /// It has a field that only requests for embeddings have.
    embedding: bool,
    /// It has a field that only requests for text have.
    sampling: bool,
    /// It has a field that only requests for speech, images, moderation or ranking have.
    other: bool,
}

impl Fields {
    #[inline]
    fn read(&mut self, scanner: &mut Scanner<'_>, name: &[u8]) -> Result<(), JsonError> {
        match name {
            b"messages" | b"contents" => {
                self.messages = true;
                self.weigh(scanner, false)
            }
            b"model" => {
                self.model = scanner.text_or_skip()?.map(|text| text.decode().into_owned());
                Ok(())
            }
            b"stream" => {
                self.stream = scanner.peek() == b't';
                scanner.skip()
            }
            b"max_tokens" => number(scanner, &mut self.max_tokens),
            b"max_completion_tokens" => number(scanner, &mut self.max_completion_tokens),
            b"max_output_tokens" => number(scanner, &mut self.max_output_tokens),
            b"n" => number(scanner, &mut self.n),
            b"best_of" => number(scanner, &mut self.best_of),
            // Gemini's way, and Ollama's.
            b"generationConfig" | b"generation_config" | b"options" if scanner.peek() == b'{' => scanner
                .object(|scanner, name| match name {
                    b"maxOutputTokens" | b"max_output_tokens" | b"num_predict" => {
                        number(scanner, &mut self.max_output_tokens)
                    }
                    b"candidateCount" | b"candidate_count" => number(scanner, &mut self.n),
                    _ => scanner.skip(),
                }),
            b"temperature" | b"top_p" | b"stop" | b"logprobs" | b"suffix" | b"echo" => {
                self.sampling = true;
                scanner.skip()
            }
            b"system" | b"systemInstruction" | b"system_instruction" => self.weigh(scanner, false),
            b"instructions" => {
                self.sampling = true;
                self.weigh(scanner, false)
            }
            b"prompt" => {
                self.prompt = true;
                self.weigh(scanner, false)
            }
            b"input" => {
                self.input = true;
                self.weigh(scanner, false)
            }
            b"tools" | b"functions" | b"response_format" => self.weigh(scanner, true),
            b"encoding_format" | b"dimensions" => {
                self.embedding = true;
                scanner.skip()
            }
            b"voice" | b"size" | b"quality" | b"query" | b"documents" | b"duration" => {
                self.other = true;
                scanner.skip()
            }
            _ => scanner.skip(),
        }
    }

    fn weigh(&mut self, scanner: &mut Scanner<'_>, names: bool) -> Result<(), JsonError> {
        self.quarters = self.quarters.saturating_add(estimate::quarters(scanner, names)?);
        Ok(())
    }

    fn facts(self) -> RequestFacts {
        let (output, output_stated) = self.output();
        let estimate = Estimate { input: self.quarters.div_ceil(4), output, output_stated };
        let choices = self.n.and_then(|n| usize::try_from(n).ok()).unwrap_or(1).max(1);
        RequestFacts { stream: self.stream, choices, estimate, chat: self.is_chat(), model: self.model }
    }

    fn output(&self) -> (u64, bool) {
        let stated = self.max_completion_tokens.or(self.max_output_tokens).or(self.max_tokens);
        if stated.is_none() && self.is_embedding() {
            return (0, true);
        }
        let answers = self.n.max(self.best_of).unwrap_or(1).max(1);
        (stated.unwrap_or(DEFAULT_OUTPUT).saturating_mul(answers), stated.is_some())
    }

    /// A request for embeddings has `input` and no messages, as one for a response has. The name of its model tells them
    /// apart.
    fn is_embedding(&self) -> bool {
        let says = self.embedding || self.model_says(&["embed"]);
        says && self.input && !self.messages
    }

    /// Requests for images have `prompt` too, and those for embeddings, speech and moderation have `input`.
    fn is_chat(&self) -> bool {
        let limited = self.max_completion_tokens.or(self.max_output_tokens).or(self.max_tokens).is_some();
        let response = self.input
            && self.model.is_some()
            && !self.is_embedding()
            && !self.other
            && !self.model_says(&["moderation", "tts", "rerank", "bge-", "e5-"]);
        self.messages || response || (self.prompt && (limited || self.sampling || self.stream))
    }

    fn model_says(&self, words: &[&str]) -> bool {
        self.model.as_deref().is_some_and(|model| words.iter().any(|word| model.contains(word)))
    }
}

fn number(scanner: &mut Scanner<'_>, into: &mut Option<u64>) -> Result<(), JsonError> {
    *into = scanner.u64_or_skip()?;
    Ok(())
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cut {
            write!(f, "it ends at byte {}, in the middle of a value", self.at)
        } else {
            write!(f, "it is wrong at byte {}", self.at)
        }
    }
}

impl error::Error for NotJson {}
