//! What the black-box tests share: a broker process of their own ([`broker`], [`setup`]) and a
//! client that says exactly what it is told to say ([`client`], [`wire`]), with a layer of whole
//! messages on it ([`session`]); and a Warren that is not sound ([`planted`]).
//!
//! Nothing here knows how Warren works inside: no crate of the project is a dependency, so that a
//! mistake in the broker's codec cannot hide behind the same mistake in the tests'.

pub mod broker;
pub mod client;
pub mod planted;
pub mod session;
pub mod setup;
pub mod wire;
