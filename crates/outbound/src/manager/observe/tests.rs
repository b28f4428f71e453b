//! The operation of a request, read from its path and its body.

use super::*;

#[test]
fn what_is_asked_for_is_seen_from_the_path_and_the_body() {
    for (path, generates, operation) in [
        ("/chat/completions", true, Operation::Chat),
        ("/messages", true, Operation::Chat),
        ("/responses", true, Operation::Chat),
        ("/models/gemini-2.5-flash:streamGenerateContent?alt=sse", true, Operation::Chat),
        ("/completions", true, Operation::TextCompletion),
        ("/api/generate", true, Operation::TextCompletion),
        ("/embeddings", false, Operation::Embeddings),
        ("/openai/deployments/e/embeddings/?api-version=2024-10-21", false, Operation::Embeddings),
        ("/models/e:batchEmbedContents", false, Operation::Embeddings),
        ("/api/embed", false, Operation::Embeddings),
        ("/files", false, Operation::Other),
        ("/completions", false, Operation::Other),
        ("/audio/speech?to=/embeddings", false, Operation::Other),
    ] {
        assert_eq!(Operation::of(path, generates), operation, "{path}");
    }
}
