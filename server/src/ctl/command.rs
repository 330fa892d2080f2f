//! What a command is: its name, its arguments, and what carries it out.

use std::future::Future;
use std::pin::Pin;

use super::call::Call;
use super::failure::Failure;
use super::output::Output;

/// What comes of a command.
pub(super) type Answer = Result<Output, Failure>;

/// What carries a command out.
pub(super) type Handler = for<'a> fn(&'a Call) -> Pin<Box<dyn Future<Output = Answer> + 'a>>;

/// See the [module](self).
pub(super) struct Command {
    pub(super) name: &'static str,
    /// One line, for people.
    pub(super) about: &'static str,
    pub(super) args: &'static [Arg],
    /// Whether it heeds `--timeout` itself.
    pub(super) has_own_timeout: bool,
    pub(super) run: Handler,
}

impl Command {
    /// It heeds `--timeout` itself.
    pub(super) const fn with_own_timeout(mut self) -> Self {
        self.has_own_timeout = true;
        self
    }
}

/// An argument, or an option.
pub(super) struct Arg {
    pub(super) name: &'static str,
    pub(super) short: Option<char>,
    /// What is said of it in the help; a name says enough otherwise.
    pub(super) about: &'static str,
    pub(super) kind: Kind,
}

/// How often an argument is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It must be there.
    One,
    /// It may be there.
    Maybe,
    /// There may be any number.
    Any,
    /// There may be any number, but one.
    Some,
    /// An option that is there or not.
    Flag,
    /// An option with a value.
    Value,
    /// An option with a number.
    Number,
}

impl Arg {
    const fn new(name: &'static str, about: &'static str, kind: Kind) -> Self {
        Self { name, short: None, about, kind }
    }

    /// An option that has a letter too.
    pub(super) const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }
}

pub(super) const fn one(name: &'static str) -> Arg {
    Arg::new(name, "", Kind::One)
}

pub(super) const fn maybe(name: &'static str) -> Arg {
    Arg::new(name, "", Kind::Maybe)
}

pub(super) const fn any(name: &'static str) -> Arg {
    Arg::new(name, "", Kind::Any)
}

pub(super) const fn some(name: &'static str) -> Arg {
    Arg::new(name, "", Kind::Some)
}

pub(super) const fn flag(name: &'static str, about: &'static str) -> Arg {
    Arg::new(name, about, Kind::Flag)
}

pub(super) const fn value(name: &'static str, about: &'static str) -> Arg {
    Arg::new(name, about, Kind::Value)
}

pub(super) const fn number(name: &'static str, about: &'static str) -> Arg {
    Arg::new(name, about, Kind::Number)
}
