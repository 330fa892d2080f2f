//! A panic is a defect, whatever the clients sent and whatever befell the disk. It is caught, so
//! that it has a trace, a plan and a replay like any other failure.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use super::Failure;

/// The failure's id.
pub const ID: &str = "panic";

thread_local! {
    static IS_CATCHING: Cell<bool> = const { Cell::new(false) };
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

static HOOK: Once = Once::new();

/// Plays something; a panic in it is a failure. Nothing of it is printed.
///
/// # Errors
/// What `play` says, or where it panicked.
pub(crate) fn catch(play: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    HOOK.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |info| match IS_CATCHING.get() {
            true => SAID.set(describe(info)),
            false => print(info),
        }));
    });
    let was_catching = IS_CATCHING.replace(true);
    let played = catch_unwind(AssertUnwindSafe(play));
    IS_CATCHING.set(was_catching);
    played.unwrap_or_else(|_| Err(Failure::new(ID, SAID.take())))
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let place = info.location().map_or(String::new(), |place| format!(" ({place})"));
    format!("{}{place}", text.unwrap_or("something that is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_that_says_where_and_what() {
        let failure = catch(|| panic!("no {}", "more")).expect_err("it panicked");
        assert_eq!(failure.checker, ID);
        assert!(failure.text.starts_with("no more ("), "{failure}");
        assert!(failure.text.contains("panic.rs:"), "{failure}");
        assert_eq!(catch(|| Ok(())), Ok(()));
    }
}
