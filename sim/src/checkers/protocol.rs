//! Replies come in the order of their requests, with what the request asked for; errors come with
//! the right code, text and method, at the right level.

use super::Failure;
use crate::model::{Expected, Refusal};
use crate::plan::Setup;
use crate::wire::Method;

const ID: &str = "protocol";

/// Checks a method that answers a request against the reply that is due first. What it says about
/// names that the broker may choose is not looked at here.
///
/// # Errors
/// When nothing is due, or something else.
pub fn check_reply(due: Option<&Expected>, reply: &Method, setup: &Setup) -> Result<(), Failure> {
    let Some(due) = due else {
        return Err(Failure::new(ID, format!("{reply:?} answers nothing")));
    };
    let is_right = match due {
        Expected::Method(name) => reply.name() == *name,
        Expected::Tune => {
            reply.name() == "connection.tune"
                && reply.number("channel-max") == u64::from(setup.channel_max)
                && reply.number("frame-max") == u64::from(setup.frame_max)
                && reply.number("heartbeat") == setup.heartbeat_s
        }
        Expected::DeclareOk { ready, taken, consumers, .. } => {
            reply.name() == "queue.declare-ok"
                && (*ready..=ready + taken).contains(&reply.number("message-count"))
                && reply.number("consumer-count") == *consumers
        }
        Expected::ReplyAddressOk => {
            reply.name() == "queue.declare-ok" && reply.number("consumer-count") == 1
        }
        Expected::Count(name, count) => {
            reply.name() == *name && reply.number("message-count") == *count
        }
        Expected::ConsumeOk { .. } => reply.name() == "basic.consume-ok",
        Expected::CancelOk(tag) => {
            reply.name() == "basic.cancel-ok" && reply.text("consumer-tag") == tag
        }
        Expected::Get { .. } => reply.name() == "basic.get-empty",
        Expected::Close { refusal, cause } => return check_close(reply, refusal, *cause),
        Expected::Promise(inner, _) => return check_reply(Some(inner), reply, setup),
        Expected::Return(_) | Expected::Refusal(_) => false,
    };
    if is_right {
        return Ok(());
    }
    Err(Failure::new(ID, format!("{reply:?} where {due:?} is due")))
}

fn check_close(
    reply: &Method,
    refusal: &Refusal,
    cause: Option<(u16, u16)>,
) -> Result<(), Failure> {
    let fail = |what: &str| {
        let text = format!("{reply:?}: {what}; due is {refusal:?} for {cause:?}");
        Err(Failure::new(ID, text))
    };
    let name = if refusal.is_hard { "connection.close" } else { "channel.close" };
    if reply.name() != name {
        return fail("not the right level");
    }
    let code = reply.number("reply-code") as u16;
    if !refusal.codes.contains(&code) {
        return fail("not the right code");
    }
    let Some(text) = reply.text("reply-text").strip_prefix(code_name(code)) else {
        return fail("the text does not begin with the code's name");
    };
    let Some(text) = text.strip_prefix(" - ") else {
        return fail("no explanation behind the code's name");
    };
    let is_right_text = |wanted: &str| match reply.text("reply-text").len() {
        255 => wanted.starts_with(text),
        _ => wanted == text,
    };
    if !refusal.text.as_deref().is_none_or(is_right_text) {
        return fail("not the right text");
    }
    let id = (reply.number("class-id") as u16, reply.number("method-id") as u16);
    if cause.is_some_and(|cause| cause != id) {
        return fail("not the method that failed");
    }
    Ok(())
}

/// The name that belongs to a reply code.
fn code_name(code: u16) -> &'static str {
    match code {
        320 => "CONNECTION_FORCED",
        403 => "ACCESS_REFUSED",
        404 => "NOT_FOUND",
        405 => "RESOURCE_LOCKED",
        406 => "PRECONDITION_FAILED",
        501 => "FRAME_ERROR",
        502 => "SYNTAX_ERROR",
        503 => "COMMAND_INVALID",
        504 => "CHANNEL_ERROR",
        505 => "UNEXPECTED_FRAME",
        506 => "RESOURCE_ERROR",
        530 => "NOT_ALLOWED",
        540 => "NOT_IMPLEMENTED",
        541 => "INTERNAL_ERROR",
        _ => "a code that brokers do not use",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(code: u64, text: &str) -> Method {
        Method::new("channel.close")
            .with_number("reply-code", code)
            .with_text("reply-text", text)
            .with_number("class-id", 50)
            .with_number("method-id", 10)
    }

    fn due() -> Expected {
        let text = Some("no queue 'q' in vhost '/'".into());
        let refusal = Refusal { codes: vec![404], text, is_hard: false };
        Expected::Close { refusal, cause: Some((50, 10)) }
    }

    fn check(due: Option<&Expected>, reply: &Method) -> Result<(), Failure> {
        check_reply(due, reply, &Setup::default())
    }

    #[test]
    fn the_right_error_passes() {
        let right = close(404, "NOT_FOUND - no queue 'q' in vhost '/'");
        assert_eq!(check(Some(&due()), &right), Ok(()));
    }

    #[test]
    fn a_wrong_code_text_method_or_level_fails() {
        let text = "NOT_FOUND - no queue 'q' in vhost '/'";
        assert!(check(Some(&due()), &close(406, text)).is_err());
        assert!(check(Some(&due()), &close(404, "no queue 'q' in vhost '/'")).is_err());
        assert!(check(Some(&due()), &close(404, "NOT_FOUND - no queue 'r'")).is_err());
        let method = close(404, text).with_number("method-id", 11);
        assert!(check(Some(&due()), &method).is_err());
        let level = Method::new("connection.close").with_number("reply-code", 404);
        assert!(check(Some(&due()), &level).is_err());
    }

    #[test]
    fn a_reply_that_is_not_due_or_counts_wrong_fails() {
        let reply = Method::new("queue.purge-ok").with_number("message-count", 3);
        assert!(check(None, &reply).is_err());
        assert!(check(Some(&Expected::Method("tx.select-ok")), &reply).is_err());
        assert!(check(Some(&Expected::Count("queue.purge-ok", 2)), &reply).is_err());
        assert_eq!(check(Some(&Expected::Count("queue.purge-ok", 3)), &reply), Ok(()));
    }
}
