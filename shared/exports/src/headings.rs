//! The levels and numbers of headings.

use sequent_documents::Section;

/// The number of one heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeadingNumber {
    /// The position among all headings, from 1.
    pub(crate) position: usize,
    /// 1 to 3, and at most one more than the level of the heading before: a level that was left out would put
    /// a zero into the number.
    pub(crate) level: u8,
    /// The number as text, such as `1.2`.
    pub(crate) text: String,
}

/// Numbers the headings of `sections`.
pub(crate) fn numbers(sections: &[Section]) -> Vec<HeadingNumber> {
    let mut counts = [0_usize; 3];
    // The levels, as written, of the headings that can be parents of the next one.
    let mut parents: Vec<u8> = Vec::new();
    let number = |(section, position): (&Section, usize)| {
        let written = section.level.clamp(1, 3);
        parents.retain(|level| *level < written);
        parents.push(written);
        let depth = parents.len();
        counts[depth - 1] += 1;
        counts[depth..].fill(0);
        let parts: Vec<_> = counts[..depth].iter().map(usize::to_string).collect();
        HeadingNumber { position, level: depth as u8, text: parts.join(".") }
    };
    sections.iter().zip(1..).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_has_a_zero() {
        let section = |level| Section { heading: "h".into(), level, blocks: Vec::new() };
        let numbers = numbers(&[3, 1, 3, 3, 2, 3, 1].map(section));
        let texts: Vec<_> = numbers.iter().map(|number| number.text.as_str()).collect();
        assert_eq!(texts, ["1", "2", "2.1", "2.2", "2.3", "2.3.1", "3"]);
    }
}
