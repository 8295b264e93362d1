//! Times as texts, by the formats of Moment.js (<https://momentjs.com/docs/#/displaying/format/>), in English.

use std::fmt::Write as _;

use jiff::{
    Timestamp, Zoned,
    civil::{Date, Weekday},
    tz::TimeZone,
};

use super::error::Problem;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Formats that stand for others.
const LONG: [(&str, &str); 10] = [
    ("LTS", "h:mm:ss A"),
    ("LT", "h:mm A"),
    ("LLLL", "dddd, MMMM D, YYYY h:mm A"),
    ("LLL", "MMMM D, YYYY h:mm A"),
    ("LL", "MMMM D, YYYY"),
    ("L", "MM/DD/YYYY"),
    ("llll", "ddd, MMM D, YYYY h:mm A"),
    ("lll", "MMM D, YYYY h:mm A"),
    ("ll", "MMM D, YYYY"),
    ("l", "M/D/YYYY"),
];

/// The longest goes first: `MMM` is not `MM` and `M`.
const TOKENS: [&str; 68] = [
    "Hmmss", "hmmss", "Hmm", "hmm", "Mo", "MMMM", "MMM", "MM", "M", "DDDo", "Do", "DDDD", "DDD", "DD", "D",
    "dddd", "ddd", "dd", "do", "d", "wo", "ww", "w", "Wo", "WW", "W", "Qo", "Q", "NNNNN", "NNNN", "NNN",
    "NN", "N", "YYYYYY", "YYYYY", "YYYY", "YY", "Y", "yyyy", "yyy", "yy", "yo", "y", "ggggg", "gggg", "gg",
    "GGGGG", "GGGG", "GG", "e", "E", "a", "A", "hh", "h", "HH", "H", "kk", "k", "mm", "m", "ss", "s", "x",
    "X", "zz", "z", "Z",
];

/// The time as a text.
///
/// # Errors
/// There is no such time zone.
pub(super) fn format(time: Timestamp, format: &str, zone: Option<&str>) -> Result<String, Problem> {
    let zone = match zone {
        None | Some("UTC") => TimeZone::UTC,
        Some(name) => TimeZone::get(name).map_err(|_| {
            let problem = Problem::new(format!("there is no time zone `{name}`"));
            problem.hint("zones have names such as `Europe/Berlin`; without `tz` it is UTC")
        })?,
    };
    Ok(write(&time.to_zoned(zone), &expanded(format)))
}

/// The format with what stands for others replaced, but not what is in brackets.
fn expanded(format: &str) -> String {
    let mut text = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if let Some(literal) = bracketed(rest) {
            text.push_str(&rest[..literal.len() + 2]);
            rest = &rest[literal.len() + 2..];
        } else if let Some((short, long)) = LONG.iter().find(|(short, _)| rest.starts_with(short)) {
            text.push_str(long);
            rest = &rest[short.len()..];
        } else {
            let mut length = first.len_utf8();
            if first == '\\' {
                length += rest[1..].chars().next().map_or(0, char::len_utf8);
            }
            text.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    text
}

/// What is in the brackets that the text begins with.
fn bracketed(text: &str) -> Option<&str> {
    let (inside, _) = text.strip_prefix('[')?.split_once(']')?;
    (!inside.contains('[')).then_some(inside)
}

fn write(time: &Zoned, format: &str) -> String {
    let mut text = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if let Some(literal) = bracketed(rest) {
            text.push_str(literal);
            rest = &rest[literal.len() + 2..];
            continue;
        }
        if let Some(escaped) = rest.strip_prefix('\\') {
            let token = token(escaped).unwrap_or_default();
            text.push_str(token);
            rest = &escaped[token.len()..];
            continue;
        }
        match token(rest) {
            Some(token) => {
                value(time, token, &mut text);
                rest = &rest[token.len()..];
            }
            None => {
                text.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    text
}

/// The token that the text begins with.
fn token(text: &str) -> Option<&str> {
    let fraction = text.bytes().take_while(|byte| *byte == b'S').count().min(9);
    if fraction > 0 {
        return Some(&text[..fraction]);
    }
    let token = TOKENS.iter().find(|token| text.starts_with(**token))?;
    let length = if text.starts_with("ZZ") { 2 } else { token.len() };
    Some(&text[..length])
}

fn value(time: &Zoned, token: &str, text: &mut String) {
    // Writing to a string does not fail.
    let _ = match token.as_bytes().first() {
        Some(b'Y' | b'y' | b'N' | b'M' | b'Q' | b'D') => date(time, token, text),
        Some(b'd' | b'e' | b'E' | b'w' | b'W' | b'g' | b'G') => week(time, token, text),
        _ => clock(time, token, text),
    };
}

fn date(time: &Zoned, token: &str, text: &mut String) -> std::fmt::Result {
    let (year, month, day, of_year) = (
        i64::from(time.year()),
        i64::from(time.month()),
        i64::from(time.day()),
        i64::from(time.day_of_year()),
    );
    let quarter = (month + 2) / 3;
    let name = MONTHS[usize::from(time.month().unsigned_abs().saturating_sub(1)) % 12];
    match token {
        "YYYYYY" => write!(text, "{year:+07}"),
        "YYYYY" => write!(text, "{year:05}"),
        "YYYY" | "Y" => write!(text, "{year:04}"),
        "YY" => write!(text, "{:02}", year.rem_euclid(100)),
        "yo" => ordinal(year, text),
        "y" | "yy" | "yyy" | "yyyy" => write!(text, "{year:0width$}", width = token.len()),
        "NNNN" => text.write_str("Anno Domini"),
        "N" | "NN" | "NNN" | "NNNNN" => text.write_str("AD"),
        "Qo" => ordinal(quarter, text),
        "Q" => write!(text, "{quarter}"),
        "Mo" => ordinal(month, text),
        "MMMM" => text.write_str(name),
        "MMM" => text.write_str(&name[..3]),
        "MM" => write!(text, "{month:02}"),
        "M" => write!(text, "{month}"),
        "DDDo" => ordinal(of_year, text),
        "DDDD" => write!(text, "{of_year:03}"),
        "DDD" => write!(text, "{of_year}"),
        "Do" => ordinal(day, text),
        "DD" => write!(text, "{day:02}"),
        _ => write!(text, "{day}"),
    }
}

fn week(time: &Zoned, token: &str, text: &mut String) -> std::fmt::Result {
    let weekday = time.weekday().to_sunday_zero_offset();
    let name = DAYS[usize::from(weekday.unsigned_abs()) % 7];
    let weekday = i64::from(weekday);
    let iso = time.date().iso_week_date();
    let (iso_year, iso_week) = (i64::from(iso.year()), i64::from(iso.week()));
    let (year, week) = english_week(time.date());
    match token {
        "dddd" => text.write_str(name),
        "ddd" => text.write_str(&name[..3]),
        "dd" => text.write_str(&name[..2]),
        "do" => ordinal(weekday, text),
        "d" | "e" => write!(text, "{weekday}"),
        "E" => write!(text, "{}", if weekday == 0 { 7 } else { weekday }),
        "wo" => ordinal(week, text),
        "ww" => write!(text, "{week:02}"),
        "w" => write!(text, "{week}"),
        "Wo" => ordinal(iso_week, text),
        "WW" => write!(text, "{iso_week:02}"),
        "W" => write!(text, "{iso_week}"),
        "gg" => write!(text, "{:02}", year.rem_euclid(100)),
        "gggg" | "ggggg" => write!(text, "{year:0width$}", width = token.len()),
        "GG" => write!(text, "{:02}", iso_year.rem_euclid(100)),
        _ => write!(text, "{iso_year:0width$}", width = token.len()),
    }
}

/// The year and the week of those that begin on Sunday, the first being that of the first of January.
fn english_week(date: Date) -> (i64, i64) {
    let first_of = |year: i16| Date::new(year, 1, 1).ok();
    let next = date.year().checked_add(1).and_then(first_of);
    // The last days of a year are in the first week of the next one, if that begins with them.
    if let Some(next) = next {
        let begins = i64::from(next.weekday().to_sunday_zero_offset());
        let left = i64::from(date.days_in_year()) - i64::from(date.day_of_year());
        if left < begins {
            return (i64::from(next.year()), 1);
        }
    }
    let first = first_of(date.year()).map_or(Weekday::Sunday, Date::weekday);
    let begins = i64::from(first.to_sunday_zero_offset());
    (i64::from(date.year()), (i64::from(date.day_of_year()) - 1 + begins) / 7 + 1)
}

fn clock(time: &Zoned, token: &str, text: &mut String) -> std::fmt::Result {
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    let to_24 = if hour == 0 { 24 } else { hour };
    let offset = time.offset().seconds();
    let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs() / 60);
    match token {
        "a" => text.write_str(if hour < 12 { "am" } else { "pm" }),
        "A" => text.write_str(if hour < 12 { "AM" } else { "PM" }),
        "hh" => write!(text, "{twelve:02}"),
        "h" => write!(text, "{twelve}"),
        "HH" => write!(text, "{hour:02}"),
        "H" => write!(text, "{hour}"),
        "kk" => write!(text, "{to_24:02}"),
        "k" => write!(text, "{to_24}"),
        "hmm" => write!(text, "{twelve}{minute:02}"),
        "hmmss" => write!(text, "{twelve}{minute:02}{second:02}"),
        "Hmm" => write!(text, "{hour}{minute:02}"),
        "Hmmss" => write!(text, "{hour}{minute:02}{second:02}"),
        "mm" => write!(text, "{minute:02}"),
        "m" => write!(text, "{minute}"),
        "ss" => write!(text, "{second:02}"),
        "s" => write!(text, "{second}"),
        "x" => write!(text, "{}", time.timestamp().as_millisecond()),
        "X" => write!(text, "{}", time.timestamp().as_second()),
        "z" | "zz" => write!(text, "{}", time.strftime("%Z")),
        "Z" => write!(text, "{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        "ZZ" => write!(text, "{sign}{:02}{:02}", minutes / 60, minutes % 60),
        // Moment knows milliseconds, and writes zeros behind them.
        fraction => {
            let digits = format!("{:03}000000", time.subsec_nanosecond() / 1_000_000);
            text.write_str(&digits[..fraction.len().min(digits.len())])
        }
    }
}

fn ordinal(number: i64, text: &mut String) -> std::fmt::Result {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    write!(text, "{number}{suffix}")
}
