//! Where requests to each built-in provider go, for somebody to compare with its documentation.

use std::fmt::Write;

use bitrouter_catalog::Catalog;
use bitrouter_translate::Dialect;

use crate::{Find, document};

const fn operation(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::ChatCompletions => "chat/completions",
        Dialect::Responses => "responses",
        Dialect::Messages => "messages",
        Dialect::GenerateContent => "models/MODEL:generateContent",
    }
}

#[test]
fn every_built_in_is_spoken_to_where_it_listens() {
    let document = document("", &[("AZURE_OPENAI_RESOURCE", "mine")]);
    let mut urls = String::new();
    for builtin in Catalog::builtin().providers() {
        let provider = document.provider(&builtin.id);
        for dialect in Dialect::ALL {
            if !provider.dialects.iter().any(|rule| rule.dialects.contains(&dialect)) {
                continue;
            }
            let of = |wanted| provider.base_urls.iter().find(|base| base.dialect == wanted);
            let base = of(Some(dialect)).or_else(|| of(None)).unwrap();
            let base = base.url.as_str().trim_end_matches('/');
            writeln!(urls, "{}: {base}/{}", builtin.id, operation(dialect)).unwrap();
        }
    }
    insta::assert_snapshot!(urls);
}
