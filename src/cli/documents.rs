//! What `buddies` and `policy` share of the documents that an account's server keeps.

use tokio::time::timeout_at;

use super::{Context, Exit, Failed, progress::Progress};
use crate::{
    agent::{self, Documents},
    client::text,
};

/// Finds the documents of the account that is used, and warns of a way to them that is not safe.
pub(super) fn open(context: &Context) -> Result<Documents, Failed> {
    if context.args.account.as_deref() == Some("all") {
        return Err(Failed::new(Exit::Usage, "each account has documents of its own: name one"));
    }
    let account = context.settings.default_account().ok_or_else(|| {
        Failed::new(Exit::NoAccount, "without an account there is no server to share it at")
            .with_hint("`sippresence config example` shows one")
    })?;
    let documents = Documents::of(&context.settings, account, &context.paths)?;
    for warning in agent::insecure_warnings(std::iter::once(account)).into_iter().chain(documents.warning()) {
        context.output.tell(&format!("note: {}", text::visible(&warning)));
    }
    Ok(documents)
}

/// Waits for the server; with `--timeout` not for longer than that.
pub(super) async fn within<T, E>(context: &Context, asked: impl Future<Output = Result<T, E>>) -> Result<T, Failed>
where
    Failed: From<E>,
{
    let by = context.args.timeout.map(|limit| context.started + limit);
    let mut progress = Progress::new(context.output);
    let Some(deadline) = by else { return Ok(progress.during(asked, "the server", None).await?) };
    match progress.during(timeout_at(deadline, asked), "the server", by).await {
        Ok(answered) => Ok(answered?),
        Err(_) => {
            Err(Failed::new(Exit::Unreachable, "the server did not answer in time")
                .with_hint("`--timeout` waits longer"))
        }
    }
}
