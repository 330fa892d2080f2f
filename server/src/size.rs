//! Amounts of memory and of disk, as people write them.

use std::str::FromStr;

use bytesize::ByteSize;

/// An amount: so many bytes, or a share of what there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Size {
    /// Bytes.
    Bytes(u64),
    /// Hundredths of all.
    Percent(f64),
}

impl Size {
    /// How many bytes it is when there are `total`.
    pub(crate) fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            // No machine has so much that the rounding matters.
            Self::Percent(percent) => (total as f64 * percent / 100.0) as u64,
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unreadable =
            || format!("{text:?} is no size, such as 512MiB, 1.5GiB, 2GB, 1000000 (bytes) or 40%");
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.trim().parse().map_err(|_| unreadable())?;
            return match percent {
                0.0..=100.0 => Ok(Self::Percent(percent)),
                _ => Err(format!("{text} is not between 0% and 100%")),
            };
        }
        let size: ByteSize = text.trim().parse().map_err(|_| unreadable())?;
        Ok(Self::Bytes(size.as_u64()))
    }
}

/// `bytes` for people: `1.2 GiB`.
pub(crate) fn written(bytes: u64) -> impl std::fmt::Display {
    ByteSize::b(bytes).display().iec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        let sizes = [
            ("0", 0),
            ("4096", 4096),
            ("10B", 10),
            ("128MiB", 128 << 20),
            ("128 MiB", 128 << 20),
            ("1.5GiB", 3 << 29),
            ("2GB", 2_000_000_000),
            ("1KiB", 1024),
        ];
        for (text, bytes) in sizes {
            assert_eq!(text.parse(), Ok(Size::Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn a_share_is_of_what_there_is() {
        assert_eq!("40%".parse::<Size>().map(|size| size.of(1000)), Ok(400));
        assert_eq!("0.5 %".parse::<Size>().map(|size| size.of(1 << 40)), Ok((1 << 40) / 200));
        assert_eq!(Size::Bytes(7).of(1000), 7);
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "%", "lots", "-1", "-5%", "101%", "NaN%", "12XB", "0x10"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_written_for_people() {
        assert_eq!(written(412 << 20).to_string(), "412.0 MiB");
    }
}
