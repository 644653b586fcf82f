//! Points in time as the token cache writes them: `2026-11-23T20:04:11Z`, and lengths of time as people read them.
//!
//! Every tool that shares the cache writes its own dialect of ISO 8601; all of them are read, one is written.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

pub const MINUTE: i64 = 60;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// Whole seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A time as read, and whether its text said in which zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    pub at: Timestamp,
    /// `false` where the text named no zone and UTC was assumed.
    pub has_zone: bool,
}

impl Timestamp {
    /// The clock of this machine; a clock before 1970 counts as 1970.
    pub fn of(time: SystemTime) -> Timestamp {
        let seconds = time
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Timestamp(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    /// Later by `seconds` (earlier where negative); stops at the ends of the number range.
    pub fn plus(self, seconds: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this; negative where it lies before.
    pub fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads the one form in which servers must write a `Date` (RFC 9110, section 5.6.7): `Mon, 23 Nov 2026 20:04:11 GMT`.
    pub fn of_http(text: &str) -> Option<Timestamp> {
        const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
        let part = |from, to| text.get(from..to);
        let (day, year, time) = (part(5, 7)?, part(12, 16)?, part(17, 25)?);
        let month = (0..12).find(|month| MONTHS.get(3 * month..3 * month + 3) == part(8, 11))? + 1;
        let parsed = Timestamp::parse(&format!("{year}-{month:02}-{day}T{time}Z"))?;
        Some(parsed.at)
    }

    /// Reads `YYYY-MM-DDTHH:MM:SS`, up to nine digits of a fraction (cut off), and `Z`, `UTC`, a numeric offset or
    /// nothing; `t`, `z` and a blank for the `T` pass too. These are the forms that the AWS CLI before and since
    /// 2.1.14, botocore and the JS, Rust, Go, Java, PHP and .NET SDKs write.
    pub fn parse(text: &str) -> Option<Parsed> {
        let text = text.trim();
        let (date_time, rest) = text.split_at_checked(19)?;
        let b = date_time.as_bytes();
        let separators_fit = b[4] == b'-' && b[7] == b'-' && b[13] == b':' && b[16] == b':';
        if !separators_fit || !matches!(b[10], b'T' | b't' | b' ') {
            return None;
        }
        let number = |from: usize, to: usize| digits(&b[from..to]);
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
            return None;
        }
        // RFC 3339 lets a leap second be written as :60; it is the first second of the next minute here.
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let zone = match rest.strip_prefix('.') {
            None => rest,
            Some(fraction) => {
                let end = fraction
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(fraction.len());
                if !(1..=9).contains(&end) {
                    return None;
                }
                &fraction[end..]
            }
        };
        let offset = match zone {
            "" | "Z" | "z" | "UTC" => 0,
            _ => offset(zone)?,
        };
        let seconds =
            days_from_civil(year, month, day) * DAY + hour * HOUR + minute * MINUTE + second
                - offset;
        Some(Parsed {
            at: Timestamp(seconds),
            has_zone: !zone.is_empty(),
        })
    }
}

/// `YYYY-MM-DDTHH:MM:SSZ`, the one form that every tool reads. Years are held between 0000 and 9999.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FIRST: i64 = -62_167_219_200; // 0000-01-01T00:00:00Z
        const LAST: i64 = 253_402_300_799; // 9999-12-31T23:59:59Z
        let seconds = self.0.clamp(FIRST, LAST);
        let (year, month, day) = civil_from_days(seconds.div_euclid(DAY));
        let of_day = seconds.rem_euclid(DAY);
        let (hour, minute, second) = (of_day / HOUR, of_day % HOUR / MINUTE, of_day % MINUTE);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

/// How often something happens, for people: `every minute`, `every 10 minutes`.
pub fn every(minutes: i64) -> String {
    match minutes {
        1 => "every minute".to_string(),
        _ => format!("every {minutes} minutes"),
    }
}

/// A length of time for people, in its two largest units: `5h 23m`, `12m`, `2d 4h`, `45s` below a minute.
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let units = [
        (seconds / DAY, "d"),
        (seconds % DAY / HOUR, "h"),
        (seconds % HOUR / MINUTE, "m"),
    ];
    let Some(first) = units.iter().position(|(count, _)| *count > 0) else {
        return seconds.to_string() + "s";
    };
    let mut text = String::with_capacity(32); // also for what the caller adds
    for (count, unit) in units[first..]
        .iter()
        .take(2)
        .filter(|(count, _)| *count > 0)
    {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&count.to_string());
        text.push_str(unit);
    }
    text
}

fn digits(text: &[u8]) -> Option<i64> {
    let digit = |b: u8| b.is_ascii_digit().then(|| i64::from(b - b'0'));
    text.iter().try_fold(0, |n, b| Some(10 * n + digit(*b)?))
}

/// `+HH:MM`, `-HHMM` or `+HH`, in seconds east of UTC.
fn offset(zone: &str) -> Option<i64> {
    let zone = zone.as_bytes();
    let sign = match zone.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = match zone.len() {
        3 => (&zone[1..3], &b"00"[..]),
        5 => (&zone[1..3], &zone[3..5]),
        6 if zone[3] == b':' => (&zone[1..3], &zone[4..6]),
        _ => return None,
    };
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * HOUR + minutes * MINUTE))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar. Counting years from March puts the leap day
/// at their end, and 400 years always have 146,097 days.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let march_year = if month > 2 { year } else { year - 1 };
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of `days_from_civil`.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * march_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(
            Timestamp::parse(text).map(|p| p.at.to_string()).as_deref(),
            expected,
            "{text:?}"
        );
    }

    #[test]
    fn how_often_is_said_as_people_do() {
        assert_eq!([every(1), every(10)], ["every minute", "every 10 minutes"]);
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        for (text, expected) in [
            (
                "Mon, 23 Nov 2026 20:04:11 GMT",
                Some("2026-11-23T20:04:11Z"),
            ),
            (
                "Thu, 01 Jan 1970 00:00:00 GMT",
                Some("1970-01-01T00:00:00Z"),
            ),
            ("Mon, 23 anF 2026 20:04:11 GMT", None),
            ("Mon, 23 an  2026 20:04:11 GMT", None),
            ("Monday, 23-Nov-26 20:04:11 GMT", None),
            ("Mon, 23 Nov 2026", None),
            ("2026-11-23T20:04:11Z", None),
            ("", None),
        ] {
            let read = Timestamp::of_http(text).map(|at| at.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn every_dialect_of_the_cache_is_read() {
        for text in [
            "2026-11-23T20:04:11Z",           // AWS CLI, botocore, Go, PHP
            "2026-11-23T20:04:11UTC",         // AWS CLI before 2.1.14
            "2026-11-23T20:04:11.123Z",       // JS, VS Code toolkit
            "2026-11-23T20:04:11.123456Z",    // Rust
            "2026-11-23T20:04:11.1234567Z",   // .NET
            "2026-11-23T20:04:11.123456789Z", // Java
            "2026-11-23T20:04:11+00:00",
            "2026-11-23T21:34:11+0130",
            "2026-11-23T15:04:11.5-05:00",
            "2026-11-24T06:04:11+10",
            "2026-11-23t20:04:11z",
            "2026-11-23 20:04:11Z",
            " 2026-11-23T20:04:11Z\n",
        ] {
            check(text, Some("2026-11-23T20:04:11Z"));
            assert!(
                Timestamp::parse(text).expect("checked above").has_zone,
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_time_without_a_zone_is_utc_and_says_so() {
        let parsed = Timestamp::parse("2026-11-23T20:04:11").expect("a time");
        assert_eq!(
            (parsed.at.to_string().as_str(), parsed.has_zone),
            ("2026-11-23T20:04:11Z", false)
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23T20:04",
            "2026/11-23T20:04:11Z",
            "2026-11/23T20:04:11Z",
            "2026-11-23_20:04:11Z",
            "2026-11-23T20-04:11Z",
            "2026-11-23T20:04-11Z",
            "2026-11-23T20:04:11+01x00",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T20:60:00Z",
            "2026-11-23T20:04:61Z",
            "2026-11-23T20:04:11.Z",
            "2026-11-23T20:04:11.1234567890Z",
            "2026-11-23T20:04:11GMT",
            "2026-11-23T20:04:11+24:00",
            "2026-11-23T20:04:11+1",
            "2026-11-23T20:04:11+5\u{e9}98",
            "2026-11-23T20:04:11+\u{e9}:00",
            "2026-11-23T20:04:11+00:\u{e9}",
            "2026-11-23T20:04:11ZZ",
            "+026-11-23T20:04:11Z",
            "2026-11-23T20:04:1\u{661}Z",
            "\u{663}026-11-23T20:04:11Z",
            "1795464251",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn every_day_of_eight_hundred_years_survives_the_round_trip() {
        for day in -146_097..146_097 {
            let (year, month, of_month) = civil_from_days(day);
            assert_eq!(days_from_civil(year, month, of_month), day);
        }
        check("1970-01-01T00:00:00Z", Some("1970-01-01T00:00:00Z"));
        check("2000-02-29T23:59:60Z", Some("2000-03-01T00:00:00Z"));
        check("0000-01-01T00:00:00+23:59", Some("0000-01-01T00:00:00Z"));
    }

    #[test]
    fn the_ends_of_the_number_range_are_shown_and_do_not_overflow() {
        assert_eq!(Timestamp(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp(i64::MIN).to_string(), "0000-01-01T00:00:00Z");
        assert_eq!(Timestamp(i64::MAX).plus(1), Timestamp(i64::MAX));
        assert_eq!(Timestamp(i64::MIN).since(Timestamp(1)), i64::MIN);
    }

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        for (seconds, expected) in [
            (-5, "0s"),
            (59, "59s"),
            (60, "1m"),
            (12 * MINUTE + 59, "12m"),
            (HOUR, "1h"),
            (5 * HOUR + 23 * MINUTE, "5h 23m"),
            (DAY + 30 * MINUTE, "1d"),
            (2 * DAY + 4 * HOUR, "2d 4h"),
        ] {
            assert_eq!(span(seconds), expected);
        }
    }
}
