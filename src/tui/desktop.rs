//! Notifications of the desktop (freedesktop.org, by D-Bus): with the feature `desktop`, and where there is a desktop.

/// Shows words for a while; where nobody shows them, the bell was all.
#[cfg(feature = "desktop")]
pub(super) fn tell(words: String) {
    tokio::spawn(async move {
        if let Err(error) = notify(&words).await {
            tracing::debug!(%error, "no desktop shows it");
        }
    });
}

#[cfg(feature = "desktop")]
async fn notify(words: &str) -> zbus::Result<()> {
    use std::collections::HashMap;

    const NAME: &str = "org.freedesktop.Notifications";
    let session = zbus::Connection::session().await?;
    let hints = HashMap::<&str, zbus::zvariant::Value<'_>>::new();
    // Our name, no other one to replace, no picture, words and nothing below, no buttons, as long as is usual.
    let body = ("sippresence", 0_u32, "", words, "", Vec::<&str>::new(), hints, -1_i32);
    session.call_method(Some(NAME), "/org/freedesktop/Notifications", Some(NAME), "Notify", &body).await?;
    Ok(())
}

/// The bell is all.
#[cfg(not(feature = "desktop"))]
pub(super) fn tell(_words: String) {}
