//! Points in time and durations as people write them, and as they like to read them.

use std::time::Duration;

use bitrouter_control_plane::api::types::Time;
use bitrouter_runtime::Timestamp;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, civil};

use crate::failure::Failure;

/// A point in the past: a time, a day, or how long ago (`24h`, `7d`).
pub(crate) fn past(text: &str, now: Timestamp) -> Result<Time, Failure> {
    if let Some(time) = absolute(text) {
        return Ok(time);
    }
    let ago = span(text).ok_or_else(|| not_a_time(text, "24h or 7d ago"))?;
    Ok(Time::from_millis(now.saturating_sub(ago).as_millis()))
}

/// A point in the future: a time, a day, or how long from now (`12h`, `30d`).
pub(crate) fn future(text: &str, now: Timestamp) -> Result<Time, Failure> {
    let time = if let Some(time) = absolute(text) {
        time
    } else {
        let ahead = span(text).ok_or_else(|| not_a_time(text, "12h or 30d from now"))?;
        Time::from_millis(now.saturating_add(ahead).as_millis())
    };
    if time.as_millis() <= now.as_millis() {
        return Err(Failure::usage(format!("`{text}` is not in the future")));
    }
    Ok(time)
}

/// A duration: `90s`, `12h`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, Failure> {
    span(text).ok_or_else(|| {
        Failure::usage(format!("`{text}` is not a duration")).hint("write it as 90s, 12h or 7d")
    })
}

/// A time in the reader's own zone, to the second.
pub(crate) fn local(time: Time) -> String {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map_or_else(
        |_| time.to_string(),
        |time| time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

fn absolute(text: &str) -> Option<Time> {
    if let Ok(time) = text.parse::<Time>() {
        return Some(time);
    }
    let day: civil::Date = text.parse().ok()?;
    let start = day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    u64::try_from(start).ok().map(Time::from_millis)
}

fn span(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(duration).ok()
}

fn not_a_time(text: &str, relative: &str) -> Failure {
    Failure::usage(format!("`{text}` is not a time"))
        .hint(format!("write 2026-01-31, 2026-01-31T12:00:00Z, or {relative}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[test]
    fn times_are_read_as_people_write_them() {
        let cases = [
            ("2023-11-14T00:00:00Z", Some("2023-11-14T00:00:00.000Z")),
            ("2023-11-14T01:00:00+01:00", Some("2023-11-14T00:00:00.000Z")),
            ("2023-11-14", Some("2023-11-14T00:00:00.000Z")),
            ("24h", Some("2023-11-13T22:13:20.000Z")),
            ("7d", Some("2023-11-07T22:13:20.000Z")),
            ("yesterday", None),
            ("", None),
            ("-5d", None),
        ];
        for (text, expected) in cases {
            let read = past(text, NOW).ok().map(|time| time.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_end_lies_in_the_future() {
        assert_eq!(future("1d", NOW).unwrap().to_string(), "2023-11-15T22:13:20.000Z");
        assert!(future("2020-01-01", NOW).is_err());
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("0s").unwrap(), Duration::ZERO);
        assert!(duration("90").is_err());
    }
}
