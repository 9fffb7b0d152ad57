//! chat_completions.
