//! What those who run the broker do to queues and single messages, of which the broker must first
//! be asked which are there.

use warren_core::amqp::ShortStr;
use warren_core::broker::Message;
use warren_core::listing::{MessageId, MessageInfo};
use warren_core::{Broker, Command, ResourceLimits};

use super::command::{table, to_table};
use crate::model::{Intervention, Model, qualified};
use crate::plan::Step;

/// More than any queue of a run has.
const ALL: usize = 1 << 20;

/// Whether a command of this verb is about single messages.
pub(super) fn is_about_messages(verb: &str) -> bool {
    matches!(verb, "delete_message" | "cancel_delayed")
}

/// The command of a step.
pub(super) fn of_step(step: &Step, broker: &Broker) -> Option<Command> {
    let vhost = ShortStr::from(step.value("vhost").unwrap_or("/"));
    let queue = ShortStr::from(step.text("q"));
    let nth = step.number("nth", 0);
    Some(match step.verb() {
        "arguments" => {
            let arguments = table(step.text("arg"));
            Command::SetQueueArguments { vhost, queue, arguments }
        }
        "pause_queue" => Command::PauseQueue { vhost, queue, is_paused: true },
        "resume_queue" => Command::PauseQueue { vhost, queue, is_paused: false },
        "delete_message" => {
            let listed = broker.list_messages(&vhost, &queue, None, ALL).unwrap_or_default();
            // Which one it is, those in memory say only.
            let mut known = listed.iter().take_while(|info| info.message.is_some());
            let found = known.nth(nth as usize).map(|info| info.id);
            let message = found.unwrap_or(MessageId { row: 0, position: u64::MAX });
            Command::DeleteMessage { vhost, queue, message }
        }
        "cancel_delayed" => {
            let waiting = broker.delayed(&vhost.to_text(), None, ALL);
            let id = waiting.get(nth as usize).map(|message| message.id);
            Command::CancelDelayed { vhost, id: id.unwrap_or(u64::MAX) }
        }
        "limits" => {
            let limit = |key: &str| step.value(key).and_then(|limit| limit.parse().ok());
            let (memory_max, disk_free_min) = (limit("memory_max"), limit("disk_free_min"));
            Command::SetResourceLimits(ResourceLimits { memory_max, disk_free_min })
        }
        _ => return None,
    })
}

/// What the model is told of such a command; `named` tells a message's name. `None` if it is none.
pub(super) fn wish(
    command: &Command,
    broker: &Broker,
    model: &Model,
    named: impl Fn(&Message) -> Option<String>,
) -> Option<Intervention> {
    let called = |vhost: &ShortStr, queue: &ShortStr| {
        qualified(&vhost.to_text(), &queue.to_text()).into_owned()
    };
    Some(match command {
        Command::SetQueueArguments { vhost, queue, arguments } => {
            Intervention::Arguments(called(vhost, queue), to_table(arguments))
        }
        Command::PauseQueue { vhost, queue, is_paused } => {
            Intervention::Pause(called(vhost, queue), *is_paused)
        }
        Command::DeleteMessage { vhost, queue, message } => {
            let listed = broker.list_messages(vhost, queue, None, ALL).unwrap_or_default();
            let at = listed.iter().position(|info| info.id == *message);
            // Those of its level stand before it, from the first on.
            let before = listed.iter().take(at.unwrap_or(0));
            let before = before.filter(|info| info.id.row == message.row);
            let name = |info: &MessageInfo| named(info.message.as_deref()?);
            let own = at.and_then(|at| name(&listed[at]));
            let same = before.filter(|info| name(info) == own).count();
            let spot = own.and_then(|own| model.spot(&called(vhost, queue), &own, same));
            Intervention::Delete(called(vhost, queue), at.unwrap_or(ALL) as u64, spot)
        }
        Command::SetResourceLimits(limits) => {
            Intervention::Limits(limits.memory_max, limits.disk_free_min)
        }
        Command::CancelDelayed { vhost, id } => {
            let vhost = vhost.to_string();
            let listed = broker.delayed(&vhost, None, ALL);
            let at = listed.iter().position(|message| message.id == *id).unwrap_or(ALL);
            let place = model.place_of_delayed(&vhost, at);
            Intervention::Cancel(vhost, at as u64, place)
        }
        _ => return None,
    })
}

/// The name that a message of the simulator has.
pub(super) fn name_of(message: &Message) -> Option<String> {
    message.properties.decode().ok()?.message_id.map(|id| id.to_string())
}
