//! How numbers and names are shown in tables.

use bitrouter_control_plane::api::types::{LeftOutView, Outcome};
use bitrouter_metering::{Micros, Tokens};

/// Money, in dollars; with a sign that it is a lower bound where part of it had no price.
pub(crate) fn cost(cost: Micros, is_unpriced: bool) -> String {
    if is_unpriced { format!("≥{cost} (unpriced)") } else { cost.to_string() }
}

/// Input and output tokens in short.
pub(crate) fn tokens(tokens: &Tokens) -> String {
    format!("{} in, {} out", count(tokens.input_total()), count(tokens.output_total()))
}

/// A count in at most five characters.
pub(crate) fn count(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..10_000_000 => format!("{}k", n / 1_000),
        _ => format!("{}M", n / 1_000_000),
    }
}

/// A duration in milliseconds, in the unit that suits it.
pub(crate) fn millis(ms: u64) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { format!("{} s", ms / 1_000) }
}

/// How a request or an attempt ended, with the status and the code that were seen.
pub(crate) fn ended(outcome: Outcome, status: Option<u16>, code: Option<&str>) -> String {
    let mut said = name_of(&outcome);
    let status = status.filter(|status| outcome != Outcome::Completed || *status != 200);
    for detail in [status.map(|status| status.to_string()), code.map(str::to_owned)] {
        said.extend(detail.map(|detail| format!(" {detail}")));
    }
    said
}

/// Endpoints that are not tried, and why: a line each, under a heading, if there are any.
pub(crate) fn left_out(endpoints: &[LeftOutView]) -> Vec<String> {
    let heading = (!endpoints.is_empty()).then(|| "Left out:".to_owned());
    let line = |it: &LeftOutView| format!("  - {}:{}: {}", it.provider, it.model, it.reason);
    heading.into_iter().chain(endpoints.iter().map(line)).collect()
}

/// A dash for what is absent.
pub(crate) fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

/// The name that a value has in JSON.
pub(crate) fn name_of(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// `1 model`, `2 models`.
pub(crate) fn plural(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stay_short() {
        let cases = [(0, "0"), (9_999, "9999"), (10_000, "10k"), (12_345_678, "12M")];
        for (n, expected) in cases {
            assert_eq!(count(n), expected);
        }
    }

    #[test]
    fn a_cost_without_a_price_is_a_lower_bound() {
        assert!(cost(Micros::ZERO, true).contains("unpriced"));
    }
}
