//! What the replies of LLM and HTTP providers mean: error classes, limit headers, stream endings.
#![forbid(unsafe_code)]
