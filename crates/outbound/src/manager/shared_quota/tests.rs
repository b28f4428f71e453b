//! The decisions of the task that fetches chunks.
