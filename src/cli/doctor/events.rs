//! What a server offers beyond presence, and the shortest subscription that it grants. What it lacks is no failure.

use std::time::Duration;

use tokio::time::timeout;

use super::{Found, Stop, Visit, found::code_words, server::Trial};
use crate::client::{Answer, FailureCode, Name, Refused};

/// How long one of these questions goes unanswered.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks for the shortest subscription, and for other packages.
pub(super) async fn examine(visit: &mut Visit<'_>, trial: &Trial) -> Result<(), Stop> {
    visit.step("shortest", shortest(trial)).await?;
    let winfo = ("presence.winfo", "application/watcherinfo+xml");
    visit.step("watcher info", package(trial, winfo, "who watches you can be asked of the server")).await?;
    let dialog = ("dialog", "application/dialog-info+xml");
    visit.step("dialog", package(trial, dialog, "who is on the phone can be watched")).await?;
    visit.step("lists", lists(trial)).await?;
    Ok(())
}

/// Asks for a subscription of one second.
async fn shortest(trial: &Trial) -> Found {
    let headers = [(Name::Event, "presence"), (Name::Expires, "1"), (Name::Accept, "application/pidf+xml")];
    match asked(trial, &headers).await {
        Ok(Answer { code: 423, min_expires: Some(least), .. }) => {
            Found::ok(format!("subscriptions of less than {least} s are refused (423)"))
        }
        Ok(Answer { code: 423, .. }) => Found::warning(
            "a short subscription is refused (423), and it is not said which is long enough",
            "nothing: longer ones are asked for",
        ),
        Ok(answer @ Answer { code: 200..300, .. }) => {
            let granted =
                answer.expires.map_or_else(|| "without a length".to_owned(), |seconds| format!("as {seconds} s"));
            Found::ok(format!("a subscription of 1 s is granted {granted}"))
        }
        other => unclear(other),
    }
}

/// Asks for another event package about ourselves.
async fn package(trial: &Trial, (event, accept): (&str, &str), use_of_it: &str) -> Found {
    let headers = [(Name::Event, event), (Name::Expires, "0"), (Name::Accept, accept)];
    match asked(trial, &headers).await {
        Ok(Answer { code: 200..300, .. }) => Found::ok(format!("offered: {use_of_it}")),
        Ok(answer @ Answer { code: 489 | 501, .. }) => {
            let offers = answer.allow_events.as_ref().map(|offers| format!("; it offers {offers}")).unwrap_or_default();
            Found::ok(format!("not offered ({}){offers}", code_words(answer.code)))
        }
        other => unclear(other),
    }
}

/// Asks whether somebody there reads lists (RFC 4662); our own address is none, so a plain answer proves nothing.
async fn lists(trial: &Trial) -> Found {
    let headers = [
        (Name::Event, "presence"),
        (Name::Expires, "0"),
        (Name::Supported, "eventlist"),
        (Name::Accept, "application/pidf+xml, application/rlmi+xml, multipart/related"),
    ];
    match asked(trial, &headers).await {
        Ok(answer) if answer.extensions.as_ref().is_some_and(|tags| tags.contains("eventlist")) => {
            Found::ok("offered: one subscription can be to many")
        }
        Ok(Answer { code: 200..300, .. }) => Found::ok("no sign of lists: each buddy is watched by itself"),
        Ok(answer @ Answer { code: 420 | 489 | 501, .. }) => {
            Found::ok(format!("not offered ({})", code_words(answer.code)))
        }
        other => unclear(other),
    }
}

/// Asks within a time of its own: some leave unanswered what they do not know.
async fn asked(trial: &Trial, headers: &[(Name, &str)]) -> Result<Answer, Refused> {
    let late = |_| Err(Refused { code: FailureCode::Timeout, reason: "no answer".to_owned() });
    timeout(PATIENCE, trial.ask("SUBSCRIBE", headers)).await.unwrap_or_else(late)
}

/// What a server that is otherwise well does with such questions does not harm presence.
fn unclear(answered: Result<Answer, Refused>) -> Found {
    let found = match answered {
        Ok(answer) => Found::answered(&answer),
        Err(refused) => Found::refused(&refused),
    };
    Found { words: format!("not known: {}", found.words), ..found }.only_a_warning()
}
