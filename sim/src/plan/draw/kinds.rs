//! Exchanges of the types that RabbitMQ has as plugins: some runs have some of them.

use fastrand::Rng;

use super::{ExchangeKind, pick};

/// What a consistent hash goes by.
const HASH_ON: [&str; 4] =
    ["hash-header:h", "hash-property:message_id", "hash-property:correlation_id", ""];
/// How much is kept of what came last.
const LENGTHS: [&str; 4] = ["1", "2", "5", "1000"];

/// Makes some exchanges choose among their bindings, or keep what they were given last.
pub(super) fn draw(rng: &mut Rng, exchanges: &mut [ExchangeKind]) {
    if rng.bool() {
        return;
    }
    for exchange in exchanges {
        if rng.bool() {
            continue;
        }
        let kinds =
            ["x-consistent-hash", "x-modulus-hash", "x-random", "x-local-random", HISTORY, HISTORY];
        exchange.kind = pick(rng, &kinds);
        let arguments = match exchange.kind {
            "x-consistent-hash" => pick(rng, &HASH_ON).to_owned(),
            HISTORY if rng.bool() => format!("x-recent-history-length:{}", pick(rng, &LENGTHS)),
            _ => String::new(),
        };
        exchange.arguments = Some(arguments).filter(|arguments| !arguments.is_empty());
    }
}

const HISTORY: &str = "x-recent-history";
