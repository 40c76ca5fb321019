//! Says that something is being waited for, when it takes long enough for a person to wonder.

use std::time::Duration;

use tokio::{
    pin, select,
    time::{Instant, sleep},
};

use super::Out;

/// People take a silence of two seconds for a program that hangs.
const FIRST: Duration = Duration::from_secs(2);
/// After that they only want to see that it goes on.
const AGAIN: Duration = Duration::from_secs(10);

/// Does `work`; says `what` it does on stderr if that takes its time.
pub(super) async fn patiently<T>(
    say: impl Fn(&str),
    what: &str,
    work: impl Future<Output = T>,
) -> T {
    telling((FIRST, AGAIN), say, what, work).await
}

async fn telling<T>(
    (first, again): (Duration, Duration),
    say: impl Fn(&str),
    what: &str,
    work: impl Future<Output = T>,
) -> T {
    pin!(work);
    let began = Instant::now();
    let mut next = first;
    loop {
        select! {
            // What is done is not waited for, though a slow reader kept us until now.
            biased;
            done = &mut work => return done,
            () = sleep(next) => {
                say(&format!("{what}, for {} s now", began.elapsed().as_secs()));
                next = again;
            }
        }
    }
}

/// For a verb that holds `Out` itself: a voice of its own.
pub(super) fn voice(out: &Out) -> impl Fn(&str) + use<> {
    let out = out.voice();
    move |text| out.say(text)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn what_is_slow_is_told_now_and_then_until_it_is_done() {
        let (told, done) = (RefCell::new(Vec::new()), Notify::new());
        let say = |text: &str| {
            told.borrow_mut().push(text.to_owned());
            if told.borrow().len() == 3 {
                done.notify_one();
            }
        };
        let soon = Duration::from_millis(1);
        telling(
            (soon, soon),
            say,
            "waiting for the controller",
            done.notified(),
        )
        .await;
        let told = told.into_inner();
        assert_eq!(told.len(), 3);
        assert!(
            told[0].starts_with("waiting for the controller, for "),
            "{told:?}"
        );
    }

    #[tokio::test]
    async fn what_is_done_at_once_is_silent() {
        let say = |text: &str| panic!("{text}");
        let no_time = Duration::ZERO;
        telling((no_time, no_time), say, "waiting", async {}).await;
    }
}
