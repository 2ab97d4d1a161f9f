//! Patience made visible: whom a command waits for, and how long it will, once that has taken a second.
//!
//! On a terminal it is one line of stderr that is rewritten each second and gone before anything else is printed; else it
//! is one line, once. What is waited for, and what happens then, is the caller's.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::output::{Output, Status};
use crate::client::text::visible;

/// How long a wait goes unmentioned, and how often it is mentioned anew.
const TICK: Duration = Duration::from_secs(1);

/// The waiting of one command; dropping it clears its line.
#[derive(Debug)]
pub(super) struct Progress {
    status: Status,
    next: Instant,
}

impl Progress {
    /// Begins: the first second counts from now, over however many waits.
    pub(super) fn new(output: Output) -> Self {
        Self { status: output.status(), next: Instant::now() + TICK }
    }

    /// Waits for `future`; says meanwhile that there is no answer from `whom`, and how long is left if that is known.
    ///
    /// Cancel-safe where `future` is.
    pub(super) async fn during<F: Future>(&mut self, future: F, whom: &str, deadline: Option<Instant>) -> F::Output {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                biased;
                output = &mut future => return output,
                () = sleep_until(self.next) => {
                    let now = Instant::now();
                    self.status.show(|| words(whom, deadline.map(|deadline| deadline.saturating_duration_since(now))));
                    self.next = now + TICK;
                }
            }
        }
    }
}

/// Names those who have not answered: the only one, or how many of how many.
pub(super) fn those_left(targets: &[String], answered: usize) -> String {
    match targets {
        [only] => visible(only),
        several => format!("{} of {}", several.len().saturating_sub(answered), several.len()),
    }
}

/// Says whom we wait for; nothing in the last second, in which it would be read too late.
fn words(whom: &str, left: Option<Duration>) -> Option<String> {
    match left {
        None => Some(format!("waiting for {whom}: no answer yet")),
        Some(left) if left < TICK => None,
        Some(left) => Some(format!("waiting for {whom}: no answer yet, {} s left", left.as_secs_f64().ceil())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_name_whom_we_wait_for_and_the_seconds_that_are_left() {
        let left = |ms| words("alice@host", Some(Duration::from_millis(ms)));
        assert_eq!(left(8_999).as_deref(), Some("waiting for alice@host: no answer yet, 9 s left"));
        assert_eq!(left(1_000).as_deref(), Some("waiting for alice@host: no answer yet, 1 s left"));
        assert_eq!(left(999), None);
        assert_eq!(words("2 of 3", None).as_deref(), Some("waiting for 2 of 3: no answer yet"));
    }
}
