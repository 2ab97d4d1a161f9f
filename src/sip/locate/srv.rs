//! The order of SRV records: by priority, then by lot in the shares of their weights (RFC 2782).

use rand::{Rng, RngExt as _};

use super::Srv;

/// Brings records into the order in which they are to be tried.
pub(super) fn ordered(mut records: Vec<Srv>, rng: &mut impl Rng) -> Vec<Srv> {
    // Those of no weight stand first among their like, which gives them their very small chance.
    records.sort_by_key(|srv| (srv.priority, srv.weight != 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let peers = records.iter().take_while(|srv| srv.priority == priority);
        let sum: u32 = peers.map(|srv| u32::from(srv.weight)).sum();
        let drawn = rng.random_range(0..=sum);
        let mut running = 0;
        let winner = records.iter().position(|srv| {
            running += u32::from(srv.weight);
            running >= drawn
        });
        ordered.push(records.remove(winner.unwrap_or(0)));
    }
    ordered
}
