//! How long an upstream asks to wait, in the forms that headers and bodies have.

use std::time::Duration;

/// Reads a `Retry-After` header: seconds (whole or not), or a date counted from `now_s` (Unix
/// seconds). Waits beyond a day are cut to one.
pub fn parse_retry_after(value: &str, now_s: u64) -> Option<Duration> {
    let value = value.trim();
    if let Some(wait) = parse_seconds(value) {
        return Some(wait);
    }
    let at_s = parse_http_date(value)?;
    Some(Duration::from_secs(at_s.saturating_sub(now_s)).min(LONGEST_WAIT))
}

const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Reads a protobuf duration, as `RetryInfo` has it: `34.07s`.
pub(super) fn parse_delay(text: &str) -> Option<Duration> {
    parse_seconds(text.strip_suffix('s')?)
}

fn parse_seconds(text: &str) -> Option<Duration> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let seconds: f64 = text.parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT))
}

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that HTTP still allows to send.
fn parse_http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day: u64 = parts.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = parts.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let year: u64 = parts.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    // Days since 1970, counting years from March so that leap days come last.
    let (shifted_year, shifted_month) =
        if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    let days = shifted_year * 365 + leap_days + (shifted_month * 153 + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some(days * 86_400 + hours.min(23) * 3_600 + minutes.min(59) * 60 + seconds.min(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read() {
        assert_eq!(parse_retry_after("7", 0), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after(" 1.5 ", 0), Some(Duration::from_millis(1500)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(parse_retry_after(date, 784_111_770), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after(date, 784_111_999), Some(Duration::ZERO));
        for bad in ["", "soon", "-3", "nan", "inf", "Sun, 99 Foo 1994 08:49:37 GMT"] {
            assert_eq!(parse_retry_after(bad, 0), None, "{bad}");
        }
        assert_eq!(parse_retry_after("1e300", 0), Some(LONGEST_WAIT));
        assert_eq!(parse_delay("34.5s"), Some(Duration::from_millis(34_500)));
        assert_eq!(parse_delay("34"), None);
    }
}
