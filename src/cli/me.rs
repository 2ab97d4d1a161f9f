//! `me`: what I publish and where; with `--server` what my server shows others of it.

use serde::Serialize;

use super::{
    Context, Exit, Failed,
    args::Me,
    compared::{self, Compared},
    explain::hint,
    looking::{self, ask},
    output::{object, table},
    progress::Progress,
    watch::Signals,
};
use crate::{
    agent,
    client::{Freshness, Kind, Line, Lines, OpenWhen, PresenceClient, PresentityState, Subscribing},
    control::Request,
};

/// Shows what I publish, and where.
pub(super) async fn run(context: Context, args: &Me) -> Result<Exit, Failed> {
    let mut agent = looking::agent(&context).await?.ok_or_else(Failed::no_agent)?;
    let reply = ask(&mut agent, &Request::Me {}, &context).await?;
    let Some(line) = reply.publication else {
        return Err(Failed::new(Exit::Conflict, "the agent does not say what you publish"));
    };
    if args.server {
        return at_server(&context, &line).await;
    }
    Ok(context.output.me(&line).map_or_else(Into::into, |()| Exit::Done))
}

/// Looks at ourselves as others do, through the server, and says where that differs.
async fn at_server(context: &Context, line: &Line) -> Result<Exit, Failed> {
    let settings = &context.settings;
    let account = settings.default_account();
    let server = account.map(|(name, account)| agent::server(settings, name, account)).transpose()?.flatten();
    let (Some((_, account)), Some(_)) = (account, server) else {
        let message = "this account works through no server: whoever may watch you gets what `sippresence me` shows";
        return Err(Failed::new(Exit::Usage, message));
    };
    let address = account.address.clone();
    let mut progress = Progress::new(context.output);
    let mut signals = Signals::new();
    let client = looking::own_client(context, std::slice::from_ref(&address)).await?;
    let deadline = context.started + looking::limit(context);
    let looked = tokio::select! {
        signal = signals.next() => Err(Exit::Signal(signal)),
        looked = progress.during(tokio::time::timeout_at(deadline, look(&client, &address)), "the server", Some(deadline)) => {
            Ok(looked)
        }
    };
    drop(progress);
    tokio::select! {
        () = client.stop() => {}
        _ = signals.next() => {}
    }
    let shown = match looked {
        Err(exit) => return Ok(exit),
        Ok(Err(_)) => {
            let waited = crate::config::format_duration(looking::limit(context));
            return Err(Failed::new(Exit::Unreachable, format!("the server: no answer within {waited}")));
        }
        Ok(Ok(shown)) => shown?,
    };
    tell(context, line, &shown)
}

/// Takes one look at an address; the state has the document as it came.
pub(super) async fn look(client: &PresenceClient, address: &str) -> Result<Line, Failed> {
    let mut lines = Lines::new();
    lines.add_as(client, address, Subscribing::Raw).await?;
    loop {
        let news = lines.next().await;
        if let Some(line) = news.into_iter().find(|line| line.kind == Kind::Snapshot || line.kind == Kind::End) {
            if line.kind == Kind::End {
                return Err(Failed::new(Exit::Bug, "the look ended without a state"));
            }
            return Ok(line);
        }
    }
}

/// Compares what an agent says that I publish with what is shown.
pub(super) fn compared(context: &Context, line: &Line, shown: &PresentityState) -> Result<Compared, Failed> {
    let open_when = OpenWhen::from_words(context.settings.publish.open_when.iter().map(String::as_str))
        .map_err(|error| Failed::new(Exit::Usage, format!("publish.open_when: {error}")))?;
    let device = agent::known_device(&context.paths.state_dir);
    let published = compared::published(line);
    Ok(compared::compare(published.as_ref(), device.as_deref(), open_when, shown))
}

fn tell(context: &Context, line: &Line, shown: &Line) -> Result<Exit, Failed> {
    let state = shown.to_state().unwrap_or_default();
    // Nothing is what a server shows of somebody who publishes nothing.
    let nothing = state.freshness == Freshness::Unknown;
    if state.freshness != Freshness::Fresh && !nothing {
        if let Err(closed) = context.output.line(shown, false) {
            return Ok(closed.into());
        }
        if let Some(hint) = hint(state.freshness) {
            context.output.tell(&format!("hint: {hint}"));
        }
        return Ok(Exit::of_freshness(state.freshness));
    }
    let compared = compared(context, line, &state)?;
    let agrees = compared.differences.is_empty();
    let headline = if nothing { "nothing".to_owned() } else { state.headline() };
    let printed = if context.output.is_json() {
        let all = Told::of(&compared, agrees, shown);
        object(&all)
    } else {
        let mut rows = vec![("the server shows", crate::client::text::visible(&headline))];
        rows.extend(compared.differences.iter().map(|difference| ("it differs in", difference.words())));
        rows.extend(compared.elsewhere.iter().map(|left| ("left over elsewhere", compared::tuple(left))));
        if agrees {
            rows.push(("that is", "what you publish".to_owned()));
        }
        table(&rows)
    };
    if let Err(closed) = printed {
        return Ok(closed.into());
    }
    if !compared.elsewhere.is_empty() {
        context.output.tell(
            "hint: set the status there too, or take it back there; what a program left behind lapses by itself, \
             within an hour at most servers",
        );
    } else if !agrees {
        context.output.tell("hint: a change takes up to 5 s to get there; `sippresence doctor` tests the server");
    }
    Ok(if agrees { Exit::Done } else { Exit::False })
}

/// The same for programs.
#[derive(Serialize)]
struct Told<'a> {
    schema: u32,
    kind: &'static str,
    agrees: bool,
    differences: Vec<Field<'a>>,
    elsewhere: &'a [crate::presence::info::Device],
    shown: &'a Line,
}

#[derive(Serialize)]
struct Field<'a> {
    #[serde(rename = "field")]
    name: &'a str,
    published: &'a str,
    shown: &'a str,
}

impl<'a> Told<'a> {
    fn of(compared: &'a Compared, agrees: bool, shown: &'a Line) -> Self {
        let field = |difference: &'a compared::Difference| Field {
            name: difference.field,
            published: &difference.ours,
            shown: &difference.theirs,
        };
        Self {
            schema: crate::presence::event::SCHEMA,
            kind: "compared",
            agrees,
            differences: compared.differences.iter().map(field).collect(),
            elsewhere: &compared.elsewhere,
            shown,
        }
    }
}
