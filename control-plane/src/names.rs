//! What may be a name: of a user, a route, a provider, an account.

const LONGEST: usize = 200;

/// True for names that can be told apart and shown; every character that is not a control character
/// is only data.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST
        && text == text.trim()
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_told_apart_is_refused() {
        let longest = "x".repeat(LONGEST);
        for name in ["a", "a b", "名前", "'; DROP TABLE x; --", "../..", "${HOME}", &longest] {
            assert!(is_name(name), "{name}");
        }
        let too_long = "x".repeat(LONGEST + 1);
        for name in ["", " ", "a ", "\ta", "a\nb", "a\0", "\u{7f}", &too_long] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
