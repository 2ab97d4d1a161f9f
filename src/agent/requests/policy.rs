//! What somebody would get, asked before anybody looks.

use jiff::Timestamp;

use super::{Own, Shared, refuse};
use crate::{
    agent::lock,
    client::{Judgement, WatcherGrade},
    config::identity::normalize,
    control::Reply,
};

/// Says what `who` would get of this account, and why.
pub(super) async fn judge(
    shared: &Shared,
    own: &Own,
    who: &str,
    identity: Option<WatcherGrade>,
    at: Option<Timestamp>,
) -> Reply {
    let who = match normalize(who) {
        Ok(who) => who,
        Err(error) => return Reply::error(2, error.to_string()),
    };
    let at = at.unwrap_or_else(Timestamp::now);
    match own.seat.client().await.preview(&who, identity, at).await {
        Ok(preview) => {
            let body = preview.body.as_deref();
            let judgement = Judgement::of(&preview.who, preview.grade, at, &preview.explained, body);
            let problem = lock(&shared.policy_problem).clone();
            let message = problem.map(|problem| format!("the rules of before are in force: {problem}"));
            Reply { judgement: Some(Box::new(judgement)), message, ..Reply::ok() }
        }
        Err(error) => refuse(&error),
    }
}
