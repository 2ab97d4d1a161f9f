//! Values under ids that a [`Slab`](super::slab::Slab) elsewhere gives out: what another owner knows of the same things.
//!
//! As its ids are small and close together, a value takes no more room than itself; a table by hashes takes half as much again.

/// How many values stand in one piece; one without a value takes no room.
const PIECE: usize = 256;

/// See the module's text.
#[derive(Debug)]
pub struct Beside<T> {
    pieces: Vec<Piece<T>>,
}

#[derive(Debug)]
struct Piece<T> {
    values: Vec<Option<T>>,
    used: usize,
}

impl<T> Default for Beside<T> {
    fn default() -> Self {
        Self { pieces: Vec::new() }
    }
}

impl<T> Beside<T> {
    /// Puts a value under an id; returns the one that was there.
    pub fn insert(&mut self, id: u32, value: T) -> Option<T> {
        let (number, place) = split(id);
        if self.pieces.len() <= number {
            self.pieces.resize_with(number + 1, || Piece { values: Vec::new(), used: 0 });
        }
        let piece = &mut self.pieces[number];
        if piece.values.len() <= place {
            // The first one grows with what there is: often there is little.
            if number > 0 {
                piece.values.reserve_exact(PIECE - piece.values.len());
            }
            piece.values.resize_with(place + 1, || None);
        }
        let before = piece.values[place].replace(value);
        piece.used += usize::from(before.is_none());
        before
    }

    /// Returns the value under an id.
    pub fn get(&self, id: u32) -> Option<&T> {
        let (number, place) = split(id);
        self.pieces.get(number)?.values.get(place)?.as_ref()
    }

    /// Returns the value under an id for change.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let (number, place) = split(id);
        self.pieces.get_mut(number)?.values.get_mut(place)?.as_mut()
    }

    /// Takes the value under an id out.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let (number, place) = split(id);
        let piece = self.pieces.get_mut(number)?;
        let value = piece.values.get_mut(place)?.take()?;
        piece.used -= 1;
        if piece.used == 0 && number > 0 {
            piece.values = Vec::new();
        }
        Some(value)
    }
}

fn split(id: u32) -> (usize, usize) {
    (id as usize / PIECE, id as usize % PIECE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_has_its_value_until_that_is_taken() {
        let mut beside = Beside::default();
        for id in [0, 7, 255, 256, 5000] {
            assert_eq!(beside.insert(id, id + 1), None);
        }
        assert_eq!((beside.get(255), beside.get(256), beside.get(5000)), (Some(&256), Some(&257), Some(&5001)));
        assert_eq!((beside.get(1), beside.get(257), beside.get(9999)), (None, None, None));
        assert_eq!(beside.insert(7, 0), Some(8));
        *beside.get_mut(7).unwrap() += 2;
        assert_eq!((beside.remove(7), beside.remove(7), beside.remove(100_000)), (Some(2), None, None));
        assert_eq!(beside.insert(7, 9), None);
    }

    #[test]
    fn what_a_crowd_needed_is_given_back() {
        let mut beside = Beside::default();
        assert!((0..10_000).all(|id| beside.insert(id, id).is_none()));
        let room = |beside: &Beside<u32>| beside.pieces.iter().map(|piece| piece.values.capacity()).sum::<usize>();
        assert!((10_000..10_000 + PIECE + 1).contains(&room(&beside)), "{}", room(&beside));
        assert!((1..10_000).all(|id| beside.remove(id) == Some(id)));
        assert_eq!((room(&beside), beside.get(0)), (PIECE, Some(&0)));
        assert_eq!((beside.insert(9999, 1), beside.get(9999)), (None, Some(&1)));
    }
}
