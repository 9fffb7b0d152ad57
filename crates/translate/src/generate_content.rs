//! generate_content.
