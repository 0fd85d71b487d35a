//! Inspection of typeset pages: text that is on no page, and characters that no font covers.
//!
//! typst lays out a block that may not break beyond the end of its page, without a word. Such text is in the file, but
//! it cannot be seen. So the letters on the pages are counted and compared with those of the document.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use typst::layout::{Frame, FrameItem, Point, Size, Transform};
use typst::text::TextItem;
use typst_layout::PagedDocument;
use unicode_script::{Script, UnicodeScript as _};

/// Scripts that a warning names, and characters that it quotes of each.
const MAX_SCRIPTS: usize = 10;
const MAX_EXAMPLES: usize = 5;

/// The letters and digits of a text, with their numbers.
type Letters = HashMap<char, usize>;

/// Returns what a reader of the pages misses: the data of the document tells what they should contain.
pub(super) fn warnings(document: &PagedDocument, data: &Value) -> Vec<String> {
    let mut seen = Seen::default();
    walk(document, &mut |glyph| seen.glyph(&glyph));
    [seen.lost(data), seen.uncovered()].into_iter().flatten().collect()
}

/// A rectangle of a page.
#[derive(Clone, Copy)]
struct Area {
    from: Point,
    to: Point,
}

impl Area {
    fn of_frame(size: Size, at: Transform) -> Self {
        let corners = [Point::zero(), size.to_point()].map(|corner| corner.transform(at));
        Self { from: corners[0].min(corners[1]), to: corners[0].max(corners[1]) }
    }

    fn and(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    fn contains(&self, point: Point) -> bool {
        let Self { from, to } = self;
        (from.x..=to.x).contains(&point.x) && (from.y..=to.y).contains(&point.y)
    }
}

/// A glyph of the pages.
struct ShownGlyph<'a> {
    /// The characters that the glyph stands for.
    text: &'a str,
    /// The font has the characters.
    is_covered: bool,
    /// It is within its page, and the first one of its characters.
    is_visible: bool,
}

/// Calls `see` with each glyph of the pages.
fn walk(document: &PagedDocument, see: &mut impl FnMut(ShownGlyph<'_>)) {
    for page in document.pages() {
        let area = Area { from: Point::zero(), to: page.frame.size().to_point() };
        walk_frame(&page.frame, Transform::identity(), area, see);
    }
}

/// `at` turns the coordinates of the frame into those of the page, of which only `area` is visible.
fn walk_frame(frame: &Frame, at: Transform, area: Area, see: &mut impl FnMut(ShownGlyph<'_>)) {
    for (position, item) in frame.items() {
        let at = at.pre_concat(Transform::translate(position.x, position.y));
        match item {
            FrameItem::Group(group) => {
                let at = at.pre_concat(group.transform);
                let clipped = group.clip.as_ref().map(|_| area.and(Area::of_frame(group.frame.size(), at)));
                walk_frame(&group.frame, at, clipped.unwrap_or(area), see);
            }
            FrameItem::Text(text) => walk_text(text, at, area, see),
            _ => {}
        }
    }
}

fn walk_text(item: &TextItem, at: Transform, area: Area, see: &mut impl FnMut(ShownGlyph<'_>)) {
    let mut x = Point::zero().x;
    let mut before = None;
    for glyph in &item.glyphs {
        let place = Point::with_x(x).transform(at);
        x += glyph.x_advance.at(item.size);
        let text = item.text.get(glyph.range()).unwrap_or_default();
        // A character may have several glyphs.
        let is_first = before.replace(glyph.range()) != Some(glyph.range());
        see(ShownGlyph { text, is_covered: glyph.id != 0, is_visible: is_first && area.contains(place) });
    }
}

/// The text of the pages.
#[derive(Default)]
struct Seen {
    letters: Letters,
    uncovered: BTreeMap<&'static str, BTreeSet<char>>,
}

impl Seen {
    fn glyph(&mut self, glyph: &ShownGlyph<'_>) {
        if !glyph.is_covered {
            self.note_uncovered(glyph.text);
        }
        if glyph.is_visible {
            count(glyph.text, &mut self.letters);
        }
    }

    fn note_uncovered(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_whitespace() && !c.is_control()) {
            let script = match c.script() {
                Script::Common | Script::Inherited | Script::Unknown => "symbols",
                script => script.full_name(),
            };
            self.uncovered.entry(script).or_default().insert(c);
        }
    }

    fn lost(&self, data: &Value) -> Option<String> {
        let mut expected = Letters::new();
        collect(data, &mut expected);
        let on_pages = |c: char| self.letters.get(&c).copied().unwrap_or(0);
        let lost: usize = expected.into_iter().map(|(c, count)| count.saturating_sub(on_pages(c))).sum();
        (lost > 0).then(|| {
            format!("{lost} letters of the document are on no page. Export it as HTML to read all of it.")
        })
    }

    fn uncovered(&self) -> Option<String> {
        let scripts = self.uncovered.iter().take(MAX_SCRIPTS).map(|(script, found)| {
            let examples: Vec<String> = found.iter().take(MAX_EXAMPLES).map(char::to_string).collect();
            format!("{} ({})", script.replace('_', " "), examples.join(" "))
        });
        let scripts: Vec<String> = scripts.collect();
        (!scripts.is_empty()).then(|| {
            format!("No font covers these characters, which show as empty boxes: {}.", scripts.join(", "))
        })
    }
}

fn count(text: &str, letters: &mut Letters) {
    for c in text.chars().filter(|c| c.is_alphanumeric()) {
        *letters.entry(c).or_default() += 1;
    }
}

/// Counts the letters of every text in the data of a document: the templates show each value with the name `text`.
fn collect(data: &Value, letters: &mut Letters) {
    match data {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "text" => count(text, letters),
                    value => collect(value, letters),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, letters)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
