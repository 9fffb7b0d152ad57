//! Prices: both spellings to exact integers.

use bitrouter_metering::{ParseMoneyError, PicoUsd, Price, Rates, Tier};

use crate::{
    raw::{
        price::{Input, Output, Pricing},
        scalar::Decimal,
    },
    report::{Place, Report},
};

/// Reads a price; problems are reported and leave the rate out.
pub(crate) fn price(raw: &Pricing, place: &Place, report: &mut Report) -> Price {
    let mut base = rates(raw.input_tokens.as_ref(), raw.output_tokens.as_ref(), place, report);
    let mut flat =
        |decimal: Option<&Decimal>, key: &str, nested: &str, rate: &mut Option<PicoUsd>| {
            let place = place.key(key);
            let Some(given) = per_million(decimal, &place, report) else { return };
            if rate.is_some_and(|rate| rate != given) {
                report.problem(
                    &place,
                    format!("differs from `{nested}`, which is the same number"),
                    None,
                );
            }
            *rate = Some(given);
        };
    let input = raw.input_micro_usd_per_token.as_ref();
    flat(input, "input_micro_usd_per_token", "input_tokens.no_cache", &mut base.input_uncached);
    let output = raw.output_micro_usd_per_token.as_ref();
    flat(output, "output_micro_usd_per_token", "output_tokens.text", &mut base.output);
    let read = raw.cache_read_micro_usd_per_token.as_ref();
    flat(read, "cache_read_micro_usd_per_token", "input_tokens.cache_read", &mut base.cache_read);
    let write = raw.cache_write_micro_usd_per_token.as_ref();
    let nested = "input_tokens.cache_write";
    flat(write, "cache_write_micro_usd_per_token", nested, &mut base.cache_write_5m);
    base.cache_write_1h = base.cache_write_1h.or(base.cache_write_5m);
    let reasoning = raw.reasoning_micro_usd_per_token.as_ref();
    let nested = "output_tokens.reasoning";
    flat(reasoning, "reasoning_micro_usd_per_token", nested, &mut base.reasoning);

    let tiers = raw.context_tiers.iter().flatten().enumerate().filter_map(|(index, tier)| {
        let place = place.key("context_tiers").index(index);
        let rates = rates(tier.input_tokens.as_ref(), tier.output_tokens.as_ref(), &place, report);
        Some(Tier { above_input_tokens: tier.above_input_tokens?, rates })
    });
    let tiers: Vec<Tier> = tiers.collect();
    for (index, tier) in tiers.iter().enumerate() {
        if tiers[..index].iter().any(|it| it.above_input_tokens == tier.above_input_tokens) {
            let place = place.key("context_tiers").index(index);
            report.problem(&place, "a second tier with the same threshold", None);
        }
    }
    let per_request_place = place.key("per_request");
    let per_request =
        exact(raw.per_request.as_ref(), PicoUsd::parse_usd, &per_request_place, report);
    Price { base, tiers, per_request }
}

fn rates(
    input: Option<&Input>,
    output: Option<&Output>,
    place: &Place,
    report: &mut Report,
) -> Rates {
    let mut rates = Rates::default();
    if let Some(input) = input {
        let place = place.key("input_tokens");
        let mut read = |rate: Option<&Decimal>, key| per_million(rate, &place.key(key), report);
        rates.input_uncached = read(input.no_cache.as_ref(), "no_cache");
        rates.cache_read = read(input.cache_read.as_ref(), "cache_read");
        rates.cache_write_5m = read(input.cache_write.as_ref(), "cache_write");
        rates.cache_write_1h =
            read(input.cache_write_1h.as_ref(), "cache_write_1h").or(rates.cache_write_5m);
        rates.audio_in = read(input.audio.as_ref(), "audio");
        rates.image = read(input.image.as_ref(), "image");
    }
    if let Some(output) = output {
        let place = place.key("output_tokens");
        let mut read = |rate: Option<&Decimal>, key| per_million(rate, &place.key(key), report);
        rates.output = read(output.text.as_ref(), "text");
        rates.reasoning = read(output.reasoning.as_ref(), "reasoning");
        rates.audio_out = read(output.audio.as_ref(), "audio");
    }
    rates
}

fn per_million(decimal: Option<&Decimal>, place: &Place, report: &mut Report) -> Option<PicoUsd> {
    exact(decimal, PicoUsd::parse_usd_per_million, place, report)
}

fn exact(
    decimal: Option<&Decimal>,
    parse: fn(&str) -> Result<PicoUsd, ParseMoneyError>,
    place: &Place,
    report: &mut Report,
) -> Option<PicoUsd> {
    let Decimal(text) = decimal?;
    parse(text).map_err(|error| report.problem(place, format!("not a price: {error}"), None)).ok()
}
