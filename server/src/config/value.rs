//! How values are written: each function reads one kind of them, or says what it would take.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use crate::size::Size;

/// What is as long as for ever, and can still be added to a time.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    /// On a port of all interfaces.
    Port(u16),
    /// On an address.
    Socket(SocketAddr),
}

impl ListenAddress {
    /// The address to bind; if that cannot be had, as there is no IPv6, the other.
    pub(crate) fn candidates(self) -> Vec<SocketAddr> {
        match self {
            Self::Port(port) => vec![
                (Ipv6Addr::UNSPECIFIED, port).into(),
                (std::net::Ipv4Addr::UNSPECIFIED, port).into(),
            ],
            Self::Socket(address) => vec![address],
        }
    }
}

/// `5672`, `127.0.0.1:5672`, `::1:5672` or `[::1]:5672`.
pub(crate) fn listen_address(text: &str) -> Result<ListenAddress, String> {
    if let Ok(port) = text.parse() {
        return Ok(ListenAddress::Port(port));
    }
    if text.starts_with("unix:") || text.starts_with("local:") {
        return Err("Warren does not listen on Unix sockets".into());
    }
    let unreadable =
        || format!("`{text}` is not a port, or an IP address and a port, such as 127.0.0.1:5672");
    let (host, port) = text.rsplit_once(':').ok_or_else(unreadable)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let host: IpAddr = host.trim().parse().map_err(|_| unreadable())?;
    let port = port.trim().parse().map_err(|_| unreadable())?;
    Ok(ListenAddress::Socket((host, port).into()))
}

/// `true` or `false`.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "on" => Ok(true),
        "false" | "off" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

/// A whole number between these.
pub(crate) fn integer<T>(text: &str, min: T, max: T) -> Result<T, String>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    let number = text.parse().ok().filter(|number| (&min..=&max).contains(&number));
    number.ok_or_else(|| format!("`{text}` is not a whole number from {min} to {max}"))
}

/// A number of things, or `infinity`, which is no limit.
pub(crate) fn count(text: &str) -> Result<Option<u32>, String> {
    match text {
        "infinity" => Ok(None),
        _ => integer(text, 0, u32::MAX)
            .map(Some)
            .map_err(|error| format!("{error}, and not `infinity`")),
    }
}

/// Milliseconds, at least one, or `infinity`.
pub(crate) fn milliseconds(text: &str) -> Result<Duration, String> {
    match text {
        "infinity" => Ok(FOR_EVER),
        _ => integer(text, 1, FOR_EVER.as_millis() as u64)
            .map(Duration::from_millis)
            .map_err(|error| format!("{error} (milliseconds)")),
    }
}

/// A time as RabbitMQ writes it, `90s`, `1h` or `1d12h`; milliseconds where there is no unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 6] =
        [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", WEEK)];
    const WEEK: u64 = 7 * 86_400_000;
    let (mut millis, mut rest) = (0_u64, text);
    let read = loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let is_bare = rest == text && unit.is_empty() && behind.is_empty();
        let unit = if is_bare { "ms" } else { unit };
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let part = number.parse().ok().zip(factor);
        let part = part.and_then(|(number, factor): (u64, u64)| number.checked_mul(factor));
        match part.and_then(|part| millis.checked_add(part)) {
            None => break None,
            Some(sum) if behind.is_empty() => break Some(sum),
            Some(sum) => (millis, rest) = (sum, behind),
        }
    };
    let read = read.map(Duration::from_millis).filter(|read| *read <= FOR_EVER);
    read.ok_or_else(|| format!("`{text}` is no time, such as 500ms, 90s, 1h or 1d12h"))
}

/// Bytes, or `10KB`, `10MB` and `10GB`, which go by 1024 here.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let units = [("kb", 10), ("mb", 20), ("gb", 30), ("", 0)];
    let read = units.iter().find_map(|(unit, shift)| {
        let number: u64 = lower.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(1 << shift)
    });
    read.ok_or_else(|| format!("`{text}` is no number of bytes, such as 131072 or 128KB"))
}

/// An amount of memory or disk in RabbitMQ's units (`M` and `MiB` go by 1024, `MB` by 1000), or a
/// part of all, such as `40%`.
pub(crate) fn size(text: &str) -> Result<Size, String> {
    let text = text.trim();
    let binary = ["k", "m", "g", "t", "p"];
    match text.strip_suffix(|unit: char| binary.contains(&&*unit.to_ascii_lowercase().to_string()))
    {
        Some(number) => format!("{number}{}iB", &text[number.len()..]).parse(),
        None => text.parse(),
    }
}

/// A factor, such as `0.4`, up to `max`.
pub(crate) fn factor(text: &str, max: f64) -> Result<f64, String> {
    let factor: Option<f64> = text.parse().ok();
    let factor = factor.filter(|factor| (0.0..=max).contains(factor));
    factor.ok_or_else(|| format!("`{text}` is not a number from 0.0 to {max:.1}"))
}

/// One of these words; gives what stands beside it.
pub(crate) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        format!("`{text}` is not one of {}", words.join(", "))
    })
}

/// A text that is to stay secret.
pub(crate) fn secret(text: &str) -> Result<String, String> {
    match text.starts_with("encrypted:") {
        true => {
            Err("Warren does not decrypt values; write `$(<FILE)` to take one from a file that \
                     only the broker's user can read"
                .into())
        }
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_form_that_rabbitmq_takes() {
        let socket = |text: &str| Ok(ListenAddress::Socket(text.parse().expect("an address")));
        assert_eq!(listen_address("5672"), Ok(ListenAddress::Port(5672)));
        assert_eq!(listen_address("127.0.0.1:5672"), socket("127.0.0.1:5672"));
        assert_eq!(listen_address("::1:5672"), socket("[::1]:5672"));
        assert_eq!(listen_address("[::1]:5672"), socket("[::1]:5672"));
        assert_eq!(listen_address(":::5672"), socket("[::]:5672"));
        for text in ["", "70000", "127.0.0.1", "host:5672", "127.0.0.1:x", "unix:/run/warren:0"] {
            assert!(listen_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_read_in_rabbitmq_s_units() {
        let amounts = [
            ("1000", 1000),
            ("2k", 2048),
            ("512M", 512 << 20),
            ("512MiB", 512 << 20),
            ("512MB", 512_000_000),
            ("2GB", 2_000_000_000),
            ("2gib", 2 << 30),
            ("1T", 1 << 40),
        ];
        for (text, bytes) in amounts {
            assert_eq!(size(text), Ok(Size::Bytes(bytes)), "{text}");
        }
        assert_eq!(size("40%"), Ok(Size::Percent(40.0)));
        assert!(size("lots").is_err());
    }

    #[test]
    fn numbers_of_bytes_go_by_1024() {
        assert_eq!(bytes("131072"), Ok(131_072));
        assert_eq!(bytes("128KB"), Ok(131_072));
        assert_eq!(bytes("1mb"), Ok(1 << 20));
        for text in ["", "KB", "-1", "1.5MB", "99999999999999999999", "99999999999999GB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_has_units_or_is_in_milliseconds() {
        let millis = |text: &str| duration(text).map(|read| read.as_millis()).ok();
        assert_eq!(
            (millis("1500"), millis("10ms"), millis("90s")),
            (Some(1500), Some(10), Some(90_000))
        );
        assert_eq!((millis("1h"), millis("1d12h30m")), (Some(3_600_000), Some(131_400_000)));
        assert_eq!(millis("1w"), Some(604_800_000));
        for text in ["", "h", "1x", "1h2", "1 h", "-1", "11y", "99999999999w", "521w2d23h59m60s1s"]
        {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused_with_the_range() {
        let refused = Err("`70000` is not a whole number from 0 to 65535".to_owned());
        assert_eq!(integer("70000", 0, u16::MAX), refused);
        assert_eq!(count("infinity"), Ok(None));
        assert_eq!(count("0"), Ok(Some(0)));
        assert!(count("-1").is_err());
        assert!(milliseconds("0").is_err());
        assert_eq!(milliseconds("infinity"), Ok(FOR_EVER));
        assert!(factor("1.5", 1.0).is_err());
        assert!(boolean("yes").is_err());
        assert_eq!(
            one_of("c", &[("a", 1), ("b", 2)]),
            Err("`c` is not one of `a`, `b`".to_owned())
        );
    }

    #[test]
    fn a_value_that_rabbitmq_would_decrypt_is_not_taken_for_the_secret() {
        assert!(secret("encrypted:g2gJ").is_err());
        assert_eq!(secret("hunter2"), Ok("hunter2".to_owned()));
    }
}
