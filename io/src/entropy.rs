//! Where the broker's randomness and its time of day come from.

use std::io;

use warren_core::Boot;

use crate::clock;

/// A boot with a seed from the operating system, and with the time of day of this process's clock.
///
/// # Errors
/// When the operating system has no entropy to give.
pub fn boot() -> io::Result<Boot> {
    let draw = || getrandom::u64().map_err(io::Error::other);
    Ok(Boot { seed: [draw()?, draw()?], clock_origin_ms: clock::origin_ms() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_boots_have_different_seeds() {
        assert_ne!(boot().expect("entropy").seed, boot().expect("entropy").seed);
    }
}
