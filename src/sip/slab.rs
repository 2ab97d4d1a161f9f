//! A vector with holes: values under small ids that stay the same while they live.

/// How many values stand in one piece; a slab grows by whole pieces, so it never moves what it has, and never has room for
/// twice as many as there are.
const PIECE: usize = 256;

/// Values under `u32` ids; ids of removed values are given out again.
#[derive(Debug)]
pub struct Slab<T> {
    /// All full but the last.
    pieces: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
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
            if let Some(entry) = self.entry(id) {
                *entry = Some(value);
            }
            return id;
        }
        let id = u32::try_from(self.entries()).expect("owners limit their entries");
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
            // The first one grows with what there is: most slabs are small.
            let room = if self.pieces.is_empty() { 0 } else { PIECE };
            self.pieces.push(Vec::with_capacity(room));
        }
        if let Some(piece) = self.pieces.last_mut() {
            piece.push(Some(value));
        }
        id
    }

    /// Returns how many ids were given out.
    fn entries(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len())
    }

    fn entry(&mut self, id: u32) -> Option<&mut Option<T>> {
        let id = id as usize;
        self.pieces.get_mut(id / PIECE)?.get_mut(id % PIECE)
    }

    /// Returns the value under `id`.
    pub fn get(&self, id: u32) -> Option<&T> {
        let id = id as usize;
        self.pieces.get(id / PIECE)?.get(id % PIECE)?.as_ref()
    }

    /// Returns the value under `id` for change.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.entry(id)?.as_mut()
    }

    /// Takes the value under `id` out.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let value = self.entry(id)?.take()?;
        self.free.push(id);
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
        self.pieces.iter().flatten().enumerate().filter_map(|(id, value)| Some((id as u32, value.as_ref()?)))
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
}
