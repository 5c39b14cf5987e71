//! Work on something that comes from anyone, and may nest as it likes: on a thread whose stack is large enough
//! for all that its size allows, and for so long at most.

use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::Duration;

/// None when it took too long. Then the thread runs on; nothing can stop it.
pub fn on_own_stack<T: Send + 'static>(
    stack_bytes: usize,
    seconds: u64,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Option<Result<T, String>> {
    let (sender, receiver) = channel();
    let run = move || {
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let _ = sender.send(()); // nobody listens when it took too long
        outcome
    };
    let thread = match Builder::new().stack_size(stack_bytes).spawn(run) {
        Ok(thread) => thread,
        Err(error) => return Some(Err(format!("no thread to run it on: {error}"))),
    };
    receiver.recv_timeout(Duration::from_secs(seconds)).ok()?;
    let outcome = thread.join().unwrap_or_else(Err); // it has caught its own panic
    Some(outcome.unwrap_or_else(|panic| resume_unwind(panic)))
}
