//! Names to addresses by the system's own resolver: hosts file, mDNS, whatever `nsswitch.conf` says (RES-18).
//!
//! NAPTR and SRV belong to the core's plan of RFC 3263 and to the DNS client; here is what is left to
//! `getaddrinfo`. It cannot be interrupted, so each look-up has a thread of its own that nobody waits for
//! longer than [`LIMIT`], and their number is bounded: a resolver that hangs delays nothing else (RES-15).

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, LazyLock},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

/// How long a look-up may take in all.
pub const LIMIT: Duration = Duration::from_secs(5);

/// How many look-ups may be under way; the next one waits, within its own limit.
const AT_ONCE: usize = 16;

/// The most addresses that we take from one answer.
const ANSWERS: usize = 32;

static SLOTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The system answered that there is none, or why it could not ask.
    #[error("cannot find the address of {host}: {error}")]
    Failed {
        /// The name.
        host: String,
        /// What the system said.
        error: io::Error,
    },
    /// The system knows the name and has no address for it.
    #[error("{host} has no address")]
    Empty {
        /// The name.
        host: String,
    },
    /// The resolver did not answer in time.
    #[error("cannot find the address of {host}: the system's resolver gave no answer for {} s", LIMIT.as_secs())]
    TimedOut {
        /// The name.
        host: String,
    },
}

/// Asks the system for the addresses of `host`, in the order that it prefers, for at most [`LIMIT`].
///
/// An IP address, in brackets or not, is returned as it is. Dropping the future gives the look-up up.
pub async fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
    lookup_by(&SLOTS, LIMIT, host, port, |host, port| Ok((host, port).to_socket_addrs()?.collect())).await
}

async fn lookup_by(
    slots: &Arc<Semaphore>,
    limit: Duration,
    host: &str,
    port: u16,
    ask: fn(&str, u16) -> io::Result<Vec<SocketAddr>>,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let name = host.to_owned();
    let answer = timeout(limit, async {
        // The slot stays with the thread, which may outlive our patience.
        let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
        let (answer, answered) = oneshot::channel();
        // Not the runtime's pool: its end would wait for a look-up that hangs.
        std::thread::Builder::new().name("resolve".into()).spawn(move || {
            let _ = answer.send(ask(&name, port));
            drop(slot);
        })?;
        answered.await.unwrap_or_else(|gone| Err(io::Error::other(gone)))
    });
    let host = host.to_owned();
    let mut addresses = match answer.await {
        Ok(Ok(addresses)) if addresses.is_empty() => return Err(ResolveError::Empty { host }),
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return Err(ResolveError::Failed { host, error }),
        Err(_elapsed) => return Err(ResolveError::TimedOut { host }),
    };
    addresses.truncate(ANSWERS);
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_its_own_answer() {
        assert_eq!(lookup("192.0.2.1", 5060).await.unwrap(), ["192.0.2.1:5060".parse().unwrap()]);
        assert_eq!(lookup("[::1]", 5061).await.unwrap(), ["[::1]:5061".parse().unwrap()]);
    }

    #[tokio::test]
    async fn res_18_a_name_of_the_hosts_file_is_found() {
        let found = lookup("localhost", 5060).await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 5060));
    }

    #[tokio::test]
    async fn res_15_an_unknown_name_is_named_in_the_error() {
        let error = lookup("nobody.invalid", 5060).await.unwrap_err();
        assert!(error.to_string().contains("nobody.invalid"), "{error}");
    }

    #[tokio::test]
    async fn res_15_res_18_a_resolver_that_hangs_is_given_up_and_delays_nothing_else() {
        let slots = Arc::new(Semaphore::new(2));
        let hang: fn(&str, u16) -> io::Result<Vec<SocketAddr>> = |_, _| loop {
            std::thread::park();
        };
        let started = std::time::Instant::now();
        let limit = Duration::from_millis(50);
        let (first, second, third) = tokio::join!(
            lookup_by(&slots, limit, "a.example", 5060, hang),
            lookup_by(&slots, limit, "b.example", 5060, hang),
            lookup_by(&slots, limit, "c.example", 5060, hang),
        );
        for (result, name) in [(first, "a.example"), (second, "b.example"), (third, "c.example")] {
            let error = result.unwrap_err();
            assert!(matches!(error, ResolveError::TimedOut { .. }) && error.to_string().contains(name), "{error}");
        }
        assert!(started.elapsed() < Duration::from_secs(5));
        // Another look-up has slots of its own to ask for, and an address needs none.
        assert_eq!(slots.available_permits(), 0);
        assert!(lookup("localhost", 5060).await.is_ok());
        assert!(lookup_by(&slots, limit, "127.0.0.1", 5060, hang).await.is_ok());
    }

    #[tokio::test]
    async fn a_slot_is_free_again_after_its_answer() {
        let slots = Arc::new(Semaphore::new(1));
        for _ in 0..3 {
            let error = lookup_by(&slots, LIMIT, "a.example", 5060, |_, _| Ok(Vec::new())).await.unwrap_err();
            assert!(matches!(error, ResolveError::Empty { .. }));
        }
    }
}
