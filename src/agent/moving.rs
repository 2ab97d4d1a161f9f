//! The machine moves: another network, a cable, a tunnel. What we hold elsewhere is made sure of at once, and an agent
//! that should listen on an address that was not there before begins anew with all that it has (TRN-30).

use std::{
    net::{IpAddr, UdpSocket},
    time::Duration,
};

use tokio::time::sleep;
use tracing::{debug, info};

use super::{AgentError, Order, Place, Shared, accounts_of, lock, opened::placed};
use crate::client::address::all_machine_addresses;

/// How often the addresses are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// The addresses of this machine, as they were when they rested last.
#[derive(Debug)]
struct Addresses {
    known: Vec<IpAddr>,
    last: Vec<IpAddr>,
}

impl Addresses {
    fn new(mut now: Vec<IpAddr>) -> Self {
        now.sort_unstable();
        Self { known: now.clone(), last: now }
    }

    /// Takes a look; says whether they are others than before, and the same as at the look before: while a network
    /// comes up they change several times.
    fn moved(&mut self, mut now: Vec<IpAddr>) -> bool {
        now.sort_unstable();
        let rest = now == self.last;
        self.last = now;
        let moved = rest && self.last != self.known;
        if moved {
            self.known.clone_from(&self.last);
        }
        moved
    }
}

/// Follows the machine for as long as the agent runs.
pub(super) async fn follow(shared: &Shared) {
    let mut addresses = Addresses::new(all_machine_addresses());
    loop {
        sleep(EVERY).await;
        if !addresses.moved(all_machine_addresses()) {
            continue;
        }
        info!("the addresses of this machine are others now");
        match listens_elsewhere(shared).await {
            Ok(false) => {
                for seat in shared.kept.seats().iter() {
                    // A client that is gone has nothing to make sure of.
                    let _ = seat.client().await.resumed().await;
                }
            }
            Ok(true) => {
                info!("beginning anew, to listen there as well");
                // An agent that ends already takes no orders.
                let _ = shared.orders.send(Order::Restart(Place::default())).await;
            }
            Err(error) => debug!(%error, "where to listen now is not known"),
        }
    }
}

/// Says whether an account should listen on an address where it does not, and could.
async fn listens_elsewhere(shared: &Shared) -> Result<bool, AgentError> {
    let Some(configured) = &shared.configured else { return Ok(false) };
    let configured = lock(configured).clone();
    let settings = shared.kept.place.over(&configured.settings);
    for account in accounts_of(&settings) {
        let name = account.map_or("", |(name, _)| name);
        let seats = shared.kept.seats();
        let Some(seat) = seats.iter().find(|seat| seat.name == name) else { continue };
        let builder = placed(&settings, account, &configured.env).await?;
        let client = seat.client().await;
        let bound = client.locals();
        if builder.listens().iter().any(|ip| !bound.iter().any(|local| local.ip() == *ip) && can_be_bound(*ip)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Says whether an address can be had: one that is still being checked for its like cannot.
fn can_be_bound(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(last: &[u8]) -> Vec<IpAddr> {
        last.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect()
    }

    #[test]
    fn trn_30_a_move_is_one_that_rests_and_is_told_once() {
        let mut seen = Addresses::new(addresses(&[1, 2]));
        assert!(!seen.moved(addresses(&[2, 1])));
        // The network goes, and comes back before we looked twice.
        assert!(!seen.moved(addresses(&[1])));
        assert!(!seen.moved(addresses(&[1, 2])));
        assert!(!seen.moved(addresses(&[1, 2])));
        // Another one, in two steps.
        assert!(!seen.moved(addresses(&[1])));
        assert!(!seen.moved(addresses(&[1, 3])));
        assert!(seen.moved(addresses(&[1, 3])));
        assert!(!seen.moved(addresses(&[1, 3])));
        // And none.
        assert!(!seen.moved(addresses(&[1])));
        assert!(seen.moved(addresses(&[1])));
    }

    #[test]
    fn trn_30_an_address_of_nobody_here_is_not_moved_to() {
        assert!(can_be_bound(IpAddr::from([127, 0, 0, 1])));
        assert!(!can_be_bound(IpAddr::from([192, 0, 2, 77])));
    }
}
