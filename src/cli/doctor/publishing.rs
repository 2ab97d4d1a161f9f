//! The steps about publications: entity-tags, size, and one whole publication that is compared with what comes back.
//!
//! The first two publish nothing: they name a tag that the server never gave. The third one modifies what the agent keeps
//! there to the same; where nothing is kept, a test status is published with leave, and taken back. Publications of other
//! devices are not touched.

use std::io::IsTerminal as _;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Args, Found, Stop, Visit,
    found::{Mark, code_words},
    server::Trial,
};
use crate::{
    cli::{
        compared, looking,
        me::{compared as compare_with, look},
    },
    client::{Answer, FailureCode, Freshness, Line, Link, Name, OpenWhen, PresenceStatus, Published, Refused},
    control::Request,
    presence::pidf::{self, Identity},
    sip::events::publisher::lacks_publication,
};

/// What a test status says.
const NOTE: &str = "sippresence doctor tries the server";
/// How long the server may take for one of our publications.
const TAKEN_WITHIN: std::time::Duration = std::time::Duration::from_secs(4);

/// Tries out how publications fare.
pub(super) async fn examine(
    visit: &mut Visit<'_>,
    args: &Args,
    trial: &mut Trial,
    shown: &mut Option<Line>,
) -> Result<(), Stop> {
    let mut refusal = None;
    let tags = visit.step("entity-tags", entity_tags(trial, &mut refusal)).await?;
    match &refusal {
        _ if tags.mark == Mark::Failed => visit.skip(&["message size", "publish"], "PUBLISH is not answered")?,
        Some(found) => {
            visit.skip(&["message size"], "the server takes no publication of ours")?;
            visit.tell("publish", found.clone())?;
        }
        None => {
            visit.step("message size", large(trial)).await?;
            publish(visit, args, trial, shown).await?;
        }
    }
    Ok(())
}

/// Names a publication that the server cannot know, in the form that Kamailio wants of its own.
fn unknown_tag() -> String {
    let now = Timestamp::now();
    format!("a.{}.{}.1.0", now.as_second(), now.subsec_nanosecond())
}

/// A tag that was made up has to be refused; how publications are refused at all shows by the way.
async fn entity_tags(trial: &Trial, refusal: &mut Option<Found>) -> Found {
    let tag = unknown_tag();
    let headers = [(Name::Event, "presence"), (Name::Expires, "60"), (Name::SipIfMatch, tag.as_str())];
    match trial.ask("PUBLISH", &headers).await {
        Ok(Answer { code: 412, .. }) => Found::ok("a made-up entity-tag is refused, as it must be"),
        Ok(answer @ Answer { code: 200..300, .. }) => {
            let left = remove(trial, answer).await;
            Found::warning(
                format!("the server takes an entity-tag that it never gave{left}"),
                "two devices may overwrite each other's state there: ask its administrator",
            )
        }
        Ok(answer) if lacks_publication(answer.code) => {
            let offers = answer.allow_events.as_ref().map(|offers| format!("; it offers {offers}")).unwrap_or_default();
            *refusal = Some(Found::ok(format!("not offered ({}){offers}", code_words(answer.code))));
            Found::ok("not offered: the server takes no publications")
        }
        Ok(answer @ Answer { code: 400 | 500..600, .. }) => {
            let found = Found::answered(&answer);
            Found { words: format!("a made-up entity-tag gets {} instead of 412", found.words), ..found }
                .only_a_warning()
        }
        Ok(answer) => {
            *refusal = Some(Found::answered(&answer));
            Found::skipped(format!("the server refuses our publications: {}", code_words(answer.code)))
        }
        Err(refused @ Refused { code: FailureCode::Sip(_), .. }) => {
            *refusal = Some(Found::refused(&refused));
            Found::skipped(format!("the server refuses our publications: {}", refused.reason))
        }
        Err(refused) => Found::refused(&refused),
    }
}

/// Takes back what should not have been made; says so if that failed.
async fn remove(trial: &Trial, answer: Answer) -> &'static str {
    let Some(tag) = answer.tag else { return "" };
    let headers = [(Name::Event, "presence"), (Name::Expires, "0"), (Name::SipIfMatch, tag.as_str())];
    match trial.ask("PUBLISH", &headers).await {
        Ok(Answer { code: 200..300, .. }) => "",
        _ => "; what it made of that ends in a minute",
    }
}

/// A document that is too long for a datagram has to find a stream.
async fn large(trial: &Trial) -> Found {
    let mut published = Published::new(PresenceStatus::Away, Timestamp::now());
    published.note = Some("large ".repeat(170));
    let identity = Identity::new(&trial.address, trial.client.uri(), "urn:uuid:00000000-0000-4000-8000-000000000000");
    let document = pidf::write(&published, &identity, &OpenWhen::default());
    let (tag, size) = (unknown_tag(), document.len());
    let headers = [
        (Name::Event, "presence"),
        (Name::Expires, "60"),
        (Name::SipIfMatch, tag.as_str()),
        (Name::ContentType, pidf::CONTENT_TYPE),
    ];
    let answer = match trial.send("PUBLISH", &headers, document).await {
        Ok(answer) => answer,
        Err(refused) => {
            let found = Found::refused(&refused);
            return Found { words: format!("a document of {size} bytes: {}", found.words), ..found }.only_a_warning();
        }
    };
    let transport = answer.flow.transport;
    let (code, left) = (answer.code, if answer.code < 300 { remove(trial, answer).await } else { Default::default() });
    match code {
        413 | 513 => Found::warning(
            format!("a document of {size} bytes is too large for the server ({code})"),
            "keep notes short, or ask its administrator",
        ),
        _ if transport.is_stream() => {
            Found::ok(format!("a document of {size} bytes gets there, over {}{left}", transport.token()))
        }
        _ => Found::warning(
            format!("a document of {size} bytes gets there, but over UDP: the server takes no TCP{left}"),
            "long notes may be lost on the way; let the server listen on TCP as well",
        ),
    }
}

/// Publishes, looks at ourselves, compares.
async fn publish(visit: &mut Visit<'_>, args: &Args, trial: &mut Trial, shown: &mut Option<Line>) -> Result<(), Stop> {
    let line = visit.patient.agent.as_ref().and_then(|reply| reply.publication.as_deref());
    let kept = line.filter(|line| line.server.as_ref().is_some_and(|server| server.publication.is_some()));
    if let Some(line) = kept.filter(|line| compared::published(line).is_some()) {
        let context = visit.context;
        visit.note("the agent's publication is told to the server once more; watchers may get the same state again");
        visit.step("publish", again(context, trial, line, shown)).await?;
        return Ok(());
    }
    if !args.publish && !visit.asked("publish a test status for a moment? Your watchers may see it. [y/N] ").await {
        let words = "you publish nothing; `--publish` publishes a test status for a moment, which watchers may see";
        visit.tell("publish", Found::skipped(words))?;
        return Ok(());
    }
    visit.note("a test status is published now and taken back; watchers may see you away for a moment");
    visit.step("publish", test(trial, shown)).await?;
    Ok(())
}

/// Has the agent tell the server again what it keeps.
async fn again(context: &crate::cli::Context, trial: &Trial, line: &Line, shown: &mut Option<Line>) -> Found {
    let told = async {
        let mut agent = looking::agent(context).await?.ok_or_else(crate::cli::Failed::no_agent)?;
        looking::ask(&mut agent, &Request::Republish {}, context).await
    };
    let reply = match told.await {
        Ok(reply) => reply,
        Err(failed) => {
            let fix = failed.hint.unwrap_or_else(|| "`sippresence agent restart`, and try again".to_owned());
            return Found::failed(failed.exit, format!("the agent: {}", failed.message), fix);
        }
    };
    let taken = reply.publication.and_then(|told| told.server?.publication);
    if let Some(bad) = not_standing(taken.as_ref()) {
        return bad;
    }
    let theirs = match look(&trial.client, &trial.address).await {
        Ok(theirs) => theirs,
        Err(failed) => return Found::failed(failed.exit, failed.message, "try again"),
    };
    let state = theirs.to_state().unwrap_or_default();
    let found = match state.freshness {
        Freshness::Fresh => match compare_with(context, line, &state) {
            Ok(compared) => told_apart(&compared),
            Err(failed) => Found::failed(failed.exit, failed.message, "mend the configuration"),
        },
        _ => unseen(&state.headline()),
    };
    *shown = Some(theirs);
    found
}

/// Publishes a status of this command alone, and takes it back.
async fn test(trial: &mut Trial, shown: &mut Option<Line>) -> Found {
    trial.published = true;
    let mut published = Published::new(PresenceStatus::Away, Timestamp::now());
    published.note = Some(NOTE.to_owned());
    let client = &trial.client;
    let stopped = |error: crate::client::ClientError| Found::no_answer(FailureCode::Connect, &error.to_string());
    let link = match client.publish(published).await {
        Ok(()) => client.published_within(TAKEN_WITHIN).await,
        Err(error) => Err(error),
    };
    let found = match link {
        Err(error) => stopped(error),
        Ok(link) => match not_standing(link.as_ref()) {
            Some(bad) => bad,
            None => match look(client, &trial.address).await {
                Ok(theirs) => {
                    let state = theirs.to_state().unwrap_or_default();
                    let there = theirs.document.as_ref().is_some_and(|document| document.contains(NOTE));
                    *shown = Some(theirs);
                    if there {
                        Found::ok("a test status was taken, came back as it was, and is taken back")
                    } else {
                        unseen(&state.headline())
                    }
                }
                Err(failed) => Found::failed(failed.exit, failed.message, "try again"),
            },
        },
    };
    let removed = match client.clear().await {
        Ok(()) => client.published_within(TAKEN_WITHIN).await.ok().flatten(),
        Err(_) => None,
    };
    match removed {
        Some(link) if link.state == "none" || found.exit != crate::cli::Exit::Done => {
            trial.published = false;
            found
        }
        _ if found.exit != crate::cli::Exit::Done => found,
        _ => Found::warning(
            format!("{}, but it could not be taken back for sure", found.words),
            "nothing: it lapses by itself within the hour",
        ),
    }
}

/// Says what is wrong with a publication that does not stand.
fn not_standing(link: Option<&Link>) -> Option<Found> {
    let Some(link) = link else {
        return Some(Found::no_answer(FailureCode::Timeout, "the server does not answer our publication"));
    };
    if link.state == "standing" {
        return None;
    }
    let reason = link.reason.clone().unwrap_or_else(|| format!("the publication is {}", link.state));
    Some(Found::no_answer(link.code.unwrap_or(FailureCode::Timeout), &reason))
}

fn told_apart(compared: &compared::Compared) -> Found {
    let left = match compared.elsewhere.len() {
        0 => "",
        _ => "; there are tuples of other devices",
    };
    if compared.differences.is_empty() {
        return Found::ok(format!("the agent's publication was taken again and is shown as it is{left}"));
    }
    let differences: Vec<String> = compared.differences.iter().map(compared::Difference::words).collect();
    Found::warning(format!("{}{left}", differences.join("; ")), "`sippresence me --server` shows it field by field")
}

fn unseen(headline: &str) -> Found {
    Found::warning(
        format!("what was published does not come back: the server shows {headline}"),
        "the server's rules may hide us from ourselves, or it merges documents: `sippresence me --server` shows more",
    )
}

impl Visit<'_> {
    /// Asks on a terminal; without one nobody answers.
    async fn asked(&mut self, question: &'static str) -> bool {
        let terminal = std::io::stdin().is_terminal() && self.context.output.is_terminal();
        if !terminal || self.context.output.is_for_programs() {
            return false;
        }
        self.context.output.tell(question.trim_end());
        let asked_at = Instant::now();
        let answer = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            // Who closes stdin does not say yes.
            std::io::stdin().read_line(&mut line).map(|_| line)
        });
        let answer = answer.await;
        // Who thinks it over takes none of the server's time.
        self.ends_at += asked_at.elapsed();
        matches!(answer, Ok(Ok(line)) if matches!(line.trim(), "y" | "Y" | "yes"))
    }
}
