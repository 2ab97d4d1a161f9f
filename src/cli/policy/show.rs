//! `policy show`: the lists, the rules, and which of them hold now.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    agent::{groups_for, load_policy},
    cli::{Context, Exit, Failed, looking, output},
    client::{
        Policy,
        policy::{Action, Except, Rule, Who, shown_words},
        text::visible,
    },
    config::{
        List, PolicyFile,
        policy::{dates_words, weekly_words},
    },
    control::Request,
};

/// The whole policy, for programs.
#[derive(Serialize)]
struct Told<'a> {
    schema: u32,
    default: Action,
    allow: &'a [String],
    polite_block: &'a [String],
    block: &'a [String],
    timezone: Option<String>,
    rules: Vec<ToldRule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct ToldRule {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    except: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    when: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dates: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sphere: Vec<String>,
    action: Action,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    show: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instead: Option<String>,
    /// By its times alone: spheres and identities are another matter.
    holds_now: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Timestamp>,
}

/// Prints what the file says, and what is amiss.
pub(super) async fn run(context: &Context) -> Result<Exit, Failed> {
    let file = PolicyFile::load(&context.paths.policy_file)?;
    let buddies = groups_for(&file, &context.paths)?;
    let policy = load_policy(&context.settings, &context.paths)?;
    let now = Timestamp::now();
    let told = Told {
        schema: 1,
        default: file.default,
        allow: file.list(List::Allow),
        polite_block: file.list(List::PoliteBlock),
        block: file.list(List::Block),
        timezone: file.zone.iana_name().map(str::to_owned),
        rules: policy.rules().iter().map(|rule| tell(rule, &policy, now)).collect(),
        warnings: file.warnings(&buddies),
    };
    let text = if context.output.is_json() {
        format!("{}\n", serde_json::to_string(&told).unwrap_or_default())
    } else {
        in_words(&told)
    };
    if let Err(closed) = output::print_bytes(text.as_bytes()) {
        return Ok(closed.into());
    }
    if !context.output.is_json() {
        for warning in &told.warnings {
            context.output.tell(&format!("note: {}", visible(warning)));
        }
    }
    // An agent that could not take up the file goes by the one of before.
    if let Some(mut agent) = looking::agent(context).await?
        && let Some(problem) =
            looking::ask(&mut agent, &Request::Status {}, context).await?.agent.and_then(|agent| agent.policy_problem)
    {
        context.output.tell(&format!("note: the agent goes by the rules of before: {}", visible(&problem)));
    }
    Ok(Exit::Done)
}

fn tell(rule: &Rule, policy: &Policy, now: Timestamp) -> ToldRule {
    let zone = policy.zone();
    let holds = rule.times.contain(now, zone.to_datetime(now));
    let (mut who, mut except) = (Vec::new(), Vec::new());
    for one in rule.who.iter().flatten() {
        match one {
            Who::One(one) => who.push(short(one)),
            Who::Many { domain, except: left_out } => {
                who.push(domain.as_ref().map_or_else(|| "*".to_owned(), |domain| format!("*@{domain}")));
                except.extend(left_out.iter().map(|except| match except {
                    Except::One(one) => short(one),
                    Except::Domain(domain) => format!("*@{domain}"),
                }));
            }
        }
    }
    except.sort();
    except.dedup();
    let allows = rule.action == Action::Allow;
    ToldRule {
        id: rule.id.as_ref().to_owned(),
        who: rule.who.as_ref().map(|_| who),
        except,
        when: rule.times.weekly.iter().map(|weekly| weekly_words(*weekly)).collect(),
        dates: rule.times.dates.iter().map(|dates| dates_words(*dates, zone)).collect(),
        sphere: rule.spheres.iter().map(|sphere| sphere.as_ref().to_owned()).collect(),
        action: rule.action,
        show: if allows && rule.instead.is_none() { shown_words(&rule.shown) } else { Vec::new() },
        instead: rule.instead.as_ref().map(|instead| match &instead.note {
            Some(note) => format!("{} ({note})", instead.status),
            None => instead.status.to_string(),
        }),
        holds_now: holds && !rule.unknown,
        next: rule.times.next_edge(now, zone),
    }
}

fn short(who: &str) -> String {
    who.strip_prefix("sip:").unwrap_or(who).to_owned()
}

fn in_words(told: &Told<'_>) -> String {
    let mut lines = vec![format!("everybody else: {}", told.default)];
    let lists = [("block", told.block), ("polite-block", told.polite_block), ("allow", told.allow)];
    for (name, people) in lists.into_iter().filter(|(_, people)| !people.is_empty()) {
        let people: Vec<String> = people.iter().map(|who| visible(&short(who))).collect();
        lines.push(format!("{name}: {}", people.join(", ")));
    }
    for rule in &told.rules {
        let hour = |at: Timestamp| output::clock_until(at);
        let state = match (rule.holds_now, rule.next) {
            (true, None) => "holds".to_owned(),
            (true, Some(next)) => format!("holds until {}", hour(next)),
            (false, Some(next)) => format!("does not hold; looked at again {}", hour(next)),
            (false, None) => "holds no more".to_owned(),
        };
        lines.push(format!("rule {}: {}, {state}", visible(&rule.id), rule.action));
        let who = rule.who.as_ref().map_or_else(
            || "everybody, known or not".to_owned(),
            |who| match who.as_slice() {
                [] => "nobody".to_owned(),
                some => some.join(", "),
            },
        );
        let rows = [
            ("who", vec![who]),
            ("except", rule.except.clone()),
            ("when", rule.when.clone()),
            ("dates", rule.dates.clone()),
            ("sphere", rule.sphere.clone()),
            (
                "shows",
                if rule.action == Action::Allow && rule.show.is_empty() && rule.instead.is_none() {
                    vec!["whether you can be reached, no more".to_owned()]
                } else {
                    rule.show.clone()
                },
            ),
            ("shows instead", rule.instead.iter().cloned().collect()),
        ];
        for (name, words) in rows.into_iter().filter(|(_, words)| !words.is_empty()) {
            lines.push(format!("  {name}: {}", visible(&words.join(", "))));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
