//! Framing of a stream that is one JSON document: Gemini's array without `alt=sse`, or a lone object.

use memchr::memchr2;

use crate::error::ArrayPosition;

/// Finds where the elements of a top-level array (or a lone top-level object) end, without parsing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct JsonScanner {
    depth: u64,
    in_string: bool,
    after_backslash: bool,
    is_array: bool,
    elements: u64,
}

impl JsonScanner {
    /// The offset behind the next element that ends in `bytes[from..]`, or `None` if none does.
    pub(crate) fn next_end(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        while at < bytes.len() {
            if self.in_string {
                at = self.skip_string(bytes, at);
                continue;
            }
            let byte = *bytes.get(at)?;
            at += 1;
            match byte {
                b'"' => self.in_string = true,
                b'[' if self.depth == 0 => self.is_array = true,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.elements = self.elements.saturating_add(1);
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn skip_string(&mut self, bytes: &[u8], at: usize) -> usize {
        if std::mem::take(&mut self.after_backslash) {
            return at + 1;
        }
        let Some(length) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) else {
            return bytes.len();
        };
        match bytes.get(at + length) {
            Some(b'"') => self.in_string = false,
            _ => self.after_backslash = true,
        }
        at + length + 1
    }

    /// How far the array has come, if it is one; counted in whole elements.
    pub(crate) const fn array(self) -> Option<ArrayPosition> {
        match (self.is_array, self.elements) {
            (false, _) => None,
            (true, 0) => Some(ArrayPosition::Unopened),
            (true, _) => Some(ArrayPosition::AfterElement),
        }
    }
}

/// The element itself, without the brackets, commas and blanks before it.
pub(crate) fn trim_element(block: &[u8]) -> &[u8] {
    let start = block.iter().position(|byte| *byte == b'{').unwrap_or(block.len());
    &block[start..]
}
