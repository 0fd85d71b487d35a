//! The levels and numbers of headings.

use sequent_documents::Section;

/// A heading's place among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// 1 to 3, and at most one below the heading before: a level that was left out would leave a zero in the number.
    pub(crate) level: u8,
    /// As in `1.2`.
    pub(crate) number: String,
}

/// The places of the headings of `sections`.
pub(crate) fn places(sections: &[Section]) -> Vec<Place> {
    let mut counts = [0_usize; 3];
    // The levels, as written, of the headings that the next one may stand below.
    let mut above: Vec<u8> = Vec::new();
    let place = |section: &Section| {
        let written = section.level.clamp(1, 3);
        above.retain(|level| *level < written);
        above.push(written);
        let depth = above.len();
        counts[depth - 1] += 1;
        counts[depth..].fill(0);
        let numbers: Vec<_> = counts[..depth].iter().map(usize::to_string).collect();
        Place { level: depth as u8, number: numbers.join(".") }
    };
    sections.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_has_a_zero() {
        let section = |level| Section { heading: "h".into(), level, blocks: Vec::new() };
        let places = places(&[3, 1, 3, 3, 2, 3, 1].map(section));
        let numbers: Vec<_> = places.iter().map(|place| place.number.as_str()).collect();
        assert_eq!(numbers, ["1", "2", "2.1", "2.2", "2.3", "2.3.1", "3"]);
    }
}
