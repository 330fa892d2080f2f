//! Errors that a client is told: reply code, text, and the method that failed (§1.2, §4.10).

use alloc::format;
use alloc::string::String;

use super::ShortStr;
use super::method::MethodId;

/// The reply codes that the broker uses (§1.2 of the reference).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the specification's
pub enum ReplyCode {
    AccessRefused,
    NotFound,
    ResourceLocked,
    PreconditionFailed,
    ConnectionForced,
    FrameError,
    SyntaxError,
    CommandInvalid,
    ChannelError,
    UnexpectedFrame,
    ResourceError,
    NotAllowed,
    NotImplemented,
    InternalError,
}

impl ReplyCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.parts().0
    }

    /// The name, as it stands in front of the text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.parts().1
    }

    /// Whether the error ends the channel only. On channel 0 every error ends the connection.
    #[must_use]
    pub const fn is_soft(self) -> bool {
        matches!(
            self,
            Self::AccessRefused | Self::NotFound | Self::ResourceLocked | Self::PreconditionFailed
        )
    }

    const fn parts(self) -> (u16, &'static str) {
        match self {
            Self::AccessRefused => (403, "ACCESS_REFUSED"),
            Self::NotFound => (404, "NOT_FOUND"),
            Self::ResourceLocked => (405, "RESOURCE_LOCKED"),
            Self::PreconditionFailed => (406, "PRECONDITION_FAILED"),
            Self::ConnectionForced => (320, "CONNECTION_FORCED"),
            Self::FrameError => (501, "FRAME_ERROR"),
            Self::SyntaxError => (502, "SYNTAX_ERROR"),
            Self::CommandInvalid => (503, "COMMAND_INVALID"),
            Self::ChannelError => (504, "CHANNEL_ERROR"),
            Self::UnexpectedFrame => (505, "UNEXPECTED_FRAME"),
            Self::ResourceError => (506, "RESOURCE_ERROR"),
            Self::NotAllowed => (530, "NOT_ALLOWED"),
            Self::NotImplemented => (540, "NOT_IMPLEMENTED"),
            Self::InternalError => (541, "INTERNAL_ERROR"),
        }
    }
}

/// An error for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmqpError {
    /// What kind of error.
    pub code: ReplyCode,
    /// What went wrong, without the code's name in front.
    pub explanation: String,
}

impl AmqpError {
    /// An error with this explanation.
    #[must_use]
    pub fn new(code: ReplyCode, explanation: impl Into<String>) -> Self {
        Self { code, explanation: explanation.into() }
    }

    /// The text for the client: `NAME - explanation`, cut at 255 bytes.
    #[must_use]
    pub fn reply_text(&self) -> ShortStr {
        ShortStr::truncated(format!("{} - {}", self.code.name(), self.explanation).as_bytes())
    }

    /// `channel.close` for a soft error, caused by `method`.
    #[must_use]
    pub fn channel_close(&self, method: MethodId) -> super::ChannelClose {
        super::ChannelClose {
            reply_code: self.code.code(),
            reply_text: self.reply_text(),
            class_id: method.class,
            method_id: method.method,
        }
    }

    /// `connection.close`, caused by `method`.
    #[must_use]
    pub fn connection_close(&self, method: MethodId) -> super::ConnectionClose {
        super::ConnectionClose {
            reply_code: self.code.code(),
            reply_text: self.reply_text(),
            class_id: method.class,
            method_id: method.method,
        }
    }
}
