//! What messages are called. The model knows a message by its `message-id`, and clients of others
//! put there what they like: so it is replaced by the message's number, on the way in and out.

use warren_core::broker::Message;

use crate::checkers::Failure;
use crate::judge::UNNAMED;
use crate::wire::{Argument, Incoming, Properties};

use super::bodies;

/// The `message-id` of each message, in the order of their numbers, the first of which is 1.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<Option<String>>);

impl Names {
    /// Renames a message that comes in.
    pub(super) fn enter(&mut self, number: u64, properties: &mut Properties) {
        self.0.resize(number as usize, None);
        self.0[number as usize - 1] = properties.text("message-id").map(str::to_owned);
        properties.set("message-id", Argument::Text(name_of(number).into()));
    }

    /// Renames a message that goes out. One whose body does not tell what it is has no name.
    ///
    /// # Errors
    /// When its `message-id` is not the one that it came with.
    pub(super) fn leave(&self, incoming: &mut Incoming) -> Result<(), Failure> {
        let Incoming::Content(_, _, properties, body) = incoming else { return Ok(()) };
        let Some(number) = bodies::number_of(body) else {
            properties.set("message-id", Argument::Text(UNNAMED.into()));
            return Ok(());
        };
        let name = name_of(number);
        let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let came_with = at.and_then(|at| self.0.get(at)).map(Option::as_deref);
        if came_with.is_some_and(|id| id != properties.text("message-id")) {
            let (seen, was) = (properties.text("message-id"), came_with.flatten());
            let text = format!("{name} has the message-id {seen:?}, and came with {was:?}");
            return Err(Failure::about(&name, "no-phantom", text));
        }
        properties.set("message-id", Argument::Text(name.into()));
        Ok(())
    }
}

/// The name of a message that the broker has; `None` if its body does not tell what it is.
pub(super) fn known(message: &Message) -> Option<String> {
    let start: Vec<u8> =
        message.body.pieces().flatten().copied().take(bodies::NUMBER_LEN).collect();
    bodies::number_of(&start).map(name_of)
}

fn name_of(number: u64) -> String {
    format!("m{number}")
}
