//! Moving messages from a queue to another one: what [`Mover`] decides is carried out in a session
//! of AMQP within this process. What it promises is said there.

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::spawn_local;
use warren_core::amqp::ShortStr;
use warren_core::moving::{Action, Mover};

use super::auth::Principal;
use super::call::{Answer, Call, Failure, Reply, short};
use super::session::{Refused, Session};
use super::{State, queue};

/// After so long a request is answered, whatever is left: who asked can ask again.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Moves as many messages as the body says (`count`), or as many as are ready, to the queue that it
/// names (`destination`).
pub(super) async fn to_queue(call: Call) -> Answer {
    let source = queue::find(&call).await?;
    let object = call.object()?;
    let destination = short(object.text("destination")?)?;
    let Some(target) = queue::find_in(&call.state, &source.vhost, &destination).await else {
        return Err(Failure::not_found(format!("there is no queue '{destination}' to move to")));
    };
    if target.name == source.name {
        return Err(Failure::bad_request("the messages are in this queue already"));
    }
    if source.is_paused {
        return Err(Failure::bad_request("the queue is paused: it hands out nothing to be moved"));
    }
    // Those that come meanwhile stay, or it might never end.
    let ready = source.numbers.ready;
    let count = match object.get("count") {
        Some(_) => u64::try_from(object.integer("count", 0)?)
            .map_err(|_| Failure::bad_request("count is negative"))?
            .min(ready),
        None => ready,
    };
    let number = call.state.moves.get();
    call.state.moves.set(number + 1);
    let mover = Mover::new(&source, &target, count, number);
    // A task of its own goes on, and clears up, when who asked has gone.
    let state = Rc::clone(&call.state);
    let moving = spawn_local(async move { move_all(&state, &source.vhost, mover).await });
    moving.await.map_err(|error| Failure::unavailable(error.to_string()))?
}

async fn move_all(state: &State, vhost: &ShortStr, mut mover: Mover) -> Answer {
    let mut session = open(state, vhost).await.map_err(Refused::into_plain)?;
    let (began, mut failure) = (Instant::now(), None);
    let outcome = loop {
        let done = match mover.poll() {
            Some(Action::Send(method)) => {
                session.cast(method);
                Ok(())
            }
            Some(Action::Publish(publish, properties, body)) => {
                session.publish(publish, &properties, &body).await
            }
            Some(Action::Open) => match open(state, vhost).await {
                Ok(another) => {
                    session = another;
                    mover.opened();
                    Ok(())
                }
                Err(refused) => Err(refused),
            },
            Some(Action::End(outcome)) => break outcome,
            None => {
                if began.elapsed() >= TIME_MAX {
                    mover.stop();
                }
                session.next_frame().await.map(|frame| mover.handle(frame))
            }
        };
        if let Err(refused) = done {
            let refused = refused.into_plain();
            mover.ended(refused.reason.clone());
            failure.get_or_insert(refused);
        }
    };
    // A session in which something was refused has ended by itself.
    let _ = session.close().await;
    match failure {
        Some(failure) if !outcome.is_begun => Err(failure),
        _ => Ok(Reply::Json(json!({
            "moved": outcome.moved,
            "wanted": outcome.wanted,
            "exactly_once": outcome.is_exact,
            "stopped": outcome.stopped,
        }))),
    }
}

async fn open(state: &State, vhost: &ShortStr) -> Result<Session, Refused> {
    Session::open(&state.broker, &Principal::operator(), vhost).await
}
