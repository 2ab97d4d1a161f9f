//! A vector with holes: values under small ids that stay the same while they live.
//!
//! What a crowd needed is given back when it has gone: pieces without a value, and with [`give_back`] the tables beside
//! them.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
};

/// How many values stand in one piece; a slab grows by whole pieces, so it never moves what it has, and never has room for
/// twice as many as there are.
const PIECE: usize = 256;
/// So many holes are kept for the next crowd, however few values there are.
const SPARE: usize = 4 * PIECE;

/// Values under `u32` ids; ids of removed values are given out again.
#[derive(Debug)]
pub struct Slab<T> {
    /// All full but the last, or given back.
    pieces: Vec<Piece<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Piece<T> {
    /// None at all in one that was given back.
    entries: Vec<Option<T>>,
    used: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Stores a value and returns its id.
    ///
    /// # Panics
    /// Beyond 2³² values, which every owner's own limit is far below.
    pub fn insert(&mut self, value: T) -> u32 {
        if let Some(id) = self.free.pop() {
            if let Some(piece) = self.pieces.get_mut(id as usize / PIECE) {
                if piece.entries.is_empty() {
                    piece.entries.resize_with(PIECE, || None);
                }
                piece.entries[id as usize % PIECE] = Some(value);
                piece.used += 1;
            }
            return id;
        }
        let id = u32::try_from(self.entries()).expect("owners limit their entries");
        if (id as usize).is_multiple_of(PIECE) {
            // The first one grows with what there is: most slabs are small.
            let room = if self.pieces.is_empty() { 0 } else { PIECE };
            self.pieces.push(Piece { entries: Vec::with_capacity(room), used: 0 });
        }
        if let Some(piece) = self.pieces.last_mut() {
            piece.entries.push(Some(value));
            piece.used += 1;
        }
        id
    }

    /// Returns how many ids were given out.
    fn entries(&self) -> usize {
        self.pieces.last().map_or(0, |last| {
            let in_last = if last.entries.is_empty() { PIECE } else { last.entries.len() };
            (self.pieces.len() - 1) * PIECE + in_last
        })
    }

    /// Returns the value under `id`.
    pub fn get(&self, id: u32) -> Option<&T> {
        let id = id as usize;
        self.pieces.get(id / PIECE)?.entries.get(id % PIECE)?.as_ref()
    }

    /// Returns the value under `id` for change.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let id = id as usize;
        self.pieces.get_mut(id / PIECE)?.entries.get_mut(id % PIECE)?.as_mut()
    }

    /// Takes the value under `id` out.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let piece = self.pieces.get_mut(id as usize / PIECE)?;
        let value = piece.entries.get_mut(id as usize % PIECE)?.take()?;
        piece.used -= 1;
        self.free.push(id);
        let is_crowd_gone = self.free.len() > SPARE && self.free.len() > self.entries() / 2;
        if is_crowd_gone
            && let Some(piece) = self.pieces.get_mut(id as usize / PIECE)
            && piece.used == 0
            && piece.entries.len() == PIECE
        {
            piece.entries = Vec::new();
        }
        Some(value)
    }

    /// Returns how many values are stored.
    pub fn len(&self) -> usize {
        self.entries() - self.free.len()
    }

    /// Returns whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes through all values in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.pieces.iter().enumerate().flat_map(|(number, piece)| {
            let values = piece.entries.iter().enumerate();
            values.filter_map(move |(place, value)| Some(((number * PIECE + place) as u32, value.as_ref()?)))
        })
    }
}

/// Gives back the room of a table from which a crowd has gone.
pub fn give_back<K: Eq + Hash, V, S: BuildHasher>(table: &mut HashMap<K, V, S>) {
    if table.capacity() > SPARE && table.len() < table.capacity() / 8 {
        table.shrink_to(table.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_given_out_again_only_after_its_value_left() {
        let mut slab = Slab::default();
        let (a, b) = (slab.insert('a'), slab.insert('b'));
        assert_ne!(a, b);
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.insert('c'), a);
        assert_eq!(slab.iter().collect::<Vec<_>>(), [(a, &'c'), (b, &'b')]);
        assert_eq!(slab.len(), 2);
    }

    #[test]
    fn every_id_keeps_its_value_over_many_pieces() {
        let mut slab = Slab::default();
        let ids: Vec<u32> = (0..3 * PIECE + 7).map(|n| slab.insert(n)).collect();
        assert_eq!((slab.len(), slab.get(ids.len() as u32)), (ids.len(), None));
        assert!(ids.iter().enumerate().all(|(n, id)| slab.get(*id) == Some(&n)));
        for id in ids.iter().step_by(2) {
            slab.remove(*id);
        }
        *slab.get_mut(ids[PIECE + 1]).unwrap() = 0;
        let left: Vec<usize> = slab.iter().map(|(_, n)| *n).collect();
        assert_eq!((left.len(), left[0], slab.len()), (ids.len() / 2, 1, ids.len() / 2));
        let again: Vec<u32> = (0..left.len()).map(|n| slab.insert(n)).collect();
        assert!(again.iter().all(|id| ids.contains(id)));
    }

    #[test]
    fn what_a_crowd_needed_is_given_back_and_can_be_had_again() {
        let mut slab = Slab::default();
        let crowd = 20 * PIECE;
        let ids: Vec<u32> = (0..crowd).map(|n| slab.insert(n)).collect();
        let stays = ids[3 * PIECE + 5];
        for id in ids.iter().filter(|id| **id != stays) {
            slab.remove(*id);
        }
        let room: usize = slab.pieces.iter().map(|piece| piece.entries.capacity()).sum();
        assert!(room <= 12 * PIECE, "{room}");
        assert_eq!((slab.len(), slab.get(stays), slab.iter().count()), (1, Some(&(3 * PIECE + 5)), 1));
        let again: Vec<u32> = (0..crowd).map(|n| slab.insert(n)).collect();
        assert!(again.iter().zip(0..).all(|(id, n)| slab.get(*id) == Some(&n)));
        assert_eq!((slab.len(), slab.iter().count()), (crowd + 1, crowd + 1));
    }

    #[test]
    fn a_table_that_was_large_gives_its_room_back() {
        let mut table: HashMap<u32, u32> = (0..100_000).map(|n| (n, n)).collect();
        table.retain(|n, _| *n < 10);
        give_back(&mut table);
        assert!(table.len() == 10 && table.capacity() < SPARE, "{}", table.capacity());
    }
}
